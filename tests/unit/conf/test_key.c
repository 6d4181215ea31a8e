#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/config.h>

#define DIGITS "000102030405060708090a0b0c0d0e0f"

static void expect_key(const struct tandem_config_pair *pair)
{
	struct tandem_key key;
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_config_key(pair, &key, &error), 0, "%s", error.detail);
	for (unsigned i = 0; i < sizeof(key.bytes); i++)
		cr_assert_eq(key.bytes[i], i);
}

static void expect_refused(const struct tandem_config_pair *pair, const char *needle)
{
	struct tandem_key key = {.bytes = {42}};
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_config_key(pair, &key, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, needle), "%s", error.detail);
	cr_assert_not_null(strstr(error.detail, pair->key_file), "%s", error.detail);
	cr_assert_eq(key.bytes[0], 42, "set on success only");
	cr_assert_null(strstr(error.detail, "0102030405"), "a secret in a message");
}

static void file_write(struct tandem_config_pair *pair, const char *text, mode_t mode)
{
	strcpy(pair->key_file, "/tmp/tandem-test-key-XXXXXX");
	int fd = mkstemp(pair->key_file);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

Test(key, none_is_all_zero)
{
	struct tandem_config_pair pair = {.key_file = ""};
	struct tandem_key key = {.bytes = {1, 2, 3}}, zero = {.bytes = {0}};
	cr_assert_eq(tandem_config_key(&pair, &key, NULL), 0);
	cr_assert_arr_eq(key.bytes, zero.bytes, sizeof(zero.bytes));
	cr_assert_not(tandem_config_has_key(&pair));
}

Test(key, in_a_file)
{
	static const char *const texts[] = {DIGITS, (DIGITS "\n"), (DIGITS "\r\n")};
	for (size_t i = 0; i < 3; i++) {
		struct tandem_config_pair pair = {.key_file = ""};
		file_write(&pair, texts[i], i == 0 ? 0400 : 0600);
		cr_assert(tandem_config_has_key(&pair));
		expect_key(&pair);
		unlink(pair.key_file);
	}
}

Test(key, in_a_bad_file)
{
	static const struct {
		const char *text;
		const char *needle;
	} rows[] = {
	        {"", "a line of 0 characters seen, one of 32 hex digits needed"},
	        {"\n", "a line of 0 characters seen"},
	        {DIGITS "00", "a line of 34 characters seen"},
	        {"0x" DIGITS, "a line of 34 characters seen"},
	        {"00000000000000000000000000000000", "a key of zeros is what everybody knows"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tandem_config_pair pair = {.key_file = ""};
		file_write(&pair, rows[i].text, 0400);
		expect_refused(&pair, rows[i].needle);
		unlink(pair.key_file);
	}
}

Test(key, in_a_file_open_to_others)
{
	static const struct {
		mode_t mode;
		const char *needle;
	} rows[] = {
	        {0640, "mode 0640 seen, 0600 needed: chmod 600 /tmp/"},
	        {0604, "mode 0604 seen, 0600 needed"},
	        {0620, "mode 0620 seen, 0600 needed"},
	        {0601, "mode 0601 seen, 0600 needed"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tandem_config_pair pair = {.key_file = ""};
		file_write(&pair, DIGITS, rows[i].mode);
		expect_refused(&pair, rows[i].needle);
		unlink(pair.key_file);
	}
}

Test(key, in_a_file_of_somebody_else)
{
	struct tandem_config_pair pair = {.key_file = ""};
	if (geteuid() != 0)
		cr_skip_test("only root can give a file away");
	file_write(&pair, DIGITS, 0600);
	cr_assert_eq(chown(pair.key_file, 4711, 4711), 0);
	expect_refused(&pair, "owner 4711 seen, root or 0 (who runs this) needed: chown 0 /tmp/");
	unlink(pair.key_file);
}

Test(key, in_no_file)
{
	struct tandem_config_pair pair = {.key_file = "/nonexistent/key"};
	expect_refused(&pair, "key_file /nonexistent/key (tandemctl keygen makes one): No such");
	strcpy(pair.key_file, "/tmp");
	expect_refused(&pair, "not a regular file");
}

Test(key, made)
{
	struct tandem_config_pair pair = {.key_file = "/tmp/tandem-test-key-XXXXXX"};
	struct tandem_key keys[2];
	struct tandem_error error = {.code = 0};
	struct stat status;
	cr_assert_not_null(mkdtemp(pair.key_file));
	strcat(pair.key_file, "/kv.key");
	for (unsigned i = 0; i < 2; i++) {
		umask(i == 0 ? 0 : 0777);
		cr_assert_eq(tandem_config_key_make(pair.key_file, &error), 0, "%s", error.detail);
		cr_assert_eq(stat(pair.key_file, &status), 0);
		cr_assert_eq(status.st_mode & 07777, 0600);
		cr_assert_eq(tandem_config_key(&pair, &keys[i], &error), 0, "%s", error.detail);
		cr_assert_eq(tandem_config_key_make(pair.key_file, &error), TANDEM_E_SYSTEM);
		cr_assert_not_null(strstr(error.detail, "File exists"), "%s", error.detail);
		unlink(pair.key_file);
	}
	cr_assert_arr_neq(keys[0].bytes, keys[1].bytes, sizeof(keys[0].bytes));
	*strrchr(pair.key_file, '/') = '\0';
	rmdir(pair.key_file);
	cr_assert_eq(tandem_config_key_make("/nonexistent/kv.key", &error), TANDEM_E_SYSTEM);
}
