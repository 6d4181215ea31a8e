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
	uint8_t key[TANDEM_CONFIG_KEY_BYTES];
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_config_key(pair, key, &error), 0, "%s", error.detail);
	for (unsigned i = 0; i < sizeof(key); i++)
		cr_assert_eq(key[i], i);
}

static void expect_refused(const struct tandem_config_pair *pair, const char *needle)
{
	uint8_t key[TANDEM_CONFIG_KEY_BYTES] = {42};
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_config_key(pair, key, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, needle), "%s", error.detail);
	cr_assert_eq(key[0], 42, "set on success only");
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

Test(key, in_the_configuration)
{
	struct tandem_config_pair pair = {.key = DIGITS};
	expect_key(&pair);
}

Test(key, none_is_all_zero)
{
	struct tandem_config_pair pair = {.key = ""};
	uint8_t key[TANDEM_CONFIG_KEY_BYTES] = {1, 2, 3}, zero[TANDEM_CONFIG_KEY_BYTES] = {0};
	cr_assert_eq(tandem_config_key(&pair, key, NULL), 0);
	cr_assert_arr_eq(key, zero, sizeof(zero));
}

Test(key, in_a_file)
{
	static const char *const texts[] = {DIGITS, (DIGITS "\n"), (DIGITS "\r\n")};
	for (size_t i = 0; i < 3; i++) {
		struct tandem_config_pair pair = {.key = ""};
		file_write(&pair, texts[i], 0600);
		expect_key(&pair);
		unlink(pair.key_file);
	}
}

Test(key, in_a_bad_file)
{
	static const char *const texts[] = {"", "\n", (DIGITS "00"), ("0x" DIGITS)};
	for (size_t i = 0; i < 4; i++) {
		struct tandem_config_pair pair = {.key = ""};
		file_write(&pair, texts[i], 0400);
		expect_refused(&pair, "32 hex digits needed");
		unlink(pair.key_file);
	}
}

Test(key, in_a_file_open_to_others)
{
	struct tandem_config_pair pair = {.key = ""};
	file_write(&pair, DIGITS, 0640);
	expect_refused(&pair, "mode 0640 seen, 0600 needed");
	unlink(pair.key_file);
}

Test(key, in_no_file)
{
	struct tandem_config_pair pair = {.key_file = "/nonexistent/key"};
	expect_refused(&pair, "key_file /nonexistent/key: No such file");
	strcpy(pair.key_file, "/tmp");
	expect_refused(&pair, "not a regular file");
}
