#include <tandem/config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/form.h"

#define DIGITS (2 * TANDEM_KEY_BYTES)

static int status_check(const struct stat *status, const char *path,
                        struct tandem_error *reterr_error)
{
	unsigned mode = (unsigned)status->st_mode & 07777;
	if (!S_ISREG(status->st_mode))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: not a regular file", path);
	if (status->st_uid != 0 && status->st_uid != geteuid())
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: owner %u seen, root or %u (who runs this) needed: "
		                        "chown %u %s",
		                        path, (unsigned)status->st_uid, (unsigned)geteuid(),
		                        (unsigned)geteuid(), path);
	if (mode & (S_IRWXG | S_IRWXO))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: mode %04o seen, 0600 needed: chmod 600 %s", path, mode,
		                        path);
	return 0;
}

/* `text` holds more than a key and its newline, so that a longer file is seen as such. */
static int file_read(int fd, const char *path, char *text, size_t text_bytes,
                     struct tandem_error *reterr_error)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "fstat", "%s",
		                              path);
	int rc = status_check(&status, path, reterr_error);
	if (rc < 0)
		return rc;
	ssize_t length = read(fd, text, text_bytes - 1);
	if (length < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "read", "%s",
		                              path);
	text[length] = '\0';
	return 0;
}

/* The text is a secret: it never gets into a message. */
static int text_parse(char *text, const char *path, struct tandem_key *ret_key,
                      struct tandem_error *reterr_error)
{
	static const struct tandem_key zeros;
	struct tandem_key key;
	text[strcspn(text, "\r\n")] = '\0';
	if (!tandem_config_hex_read(text, &key))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: a line of %zu characters seen, one of %d hex digits "
		                        "needed: tandemctl keygen FILE makes a new one",
		                        path, strlen(text), DIGITS);
	if (memcmp(&key, &zeros, sizeof(key)) == 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: a key of zeros is what everybody knows; tandemctl "
		                        "keygen FILE makes a new one",
		                        path);
	*ret_key = key;
	return 0;
}

static int key_file_read(const char *path, struct tandem_key *ret_key,
                         struct tandem_error *reterr_error)
{
	char text[DIGITS + 8] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "open",
		                              "key_file %s (tandemctl keygen makes one)", path);
	int rc = file_read(fd, path, text, sizeof(text), reterr_error);
	close(fd);
	return rc < 0 ? rc : text_parse(text, path, ret_key, reterr_error);
}

bool tandem_config_has_key(const struct tandem_config_pair *pair)
{
	return pair->key_file[0] != '\0';
}

int tandem_config_key(const struct tandem_config_pair *pair, struct tandem_key *ret_key,
                      struct tandem_error *reterr_error)
{
	if (tandem_config_has_key(pair))
		return key_file_read(pair->key_file, ret_key, reterr_error);
	*ret_key = (struct tandem_key){.bytes = {0}};
	return 0;
}

static int text_write(int fd, const char *path, const char *text, struct tandem_error *reterr_error)
{
	size_t length = strlen(text);
	ssize_t count = write(fd, text, length);
	if (count == (ssize_t)length && fsync(fd) == 0)
		return 0;
	/* A regular file takes less than all only when there is no room for the rest. */
	int cause = count < 0 || count == (ssize_t)length ? errno : ENOSPC;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, cause, "write", "%s", path);
}

int tandem_config_key_make(const char *path, struct tandem_error *reterr_error)
{
	struct tandem_key key;
	char text[DIGITS + 2];
	/* 256 bytes and fewer are never cut short once the pool is ready. */
	if (getrandom(key.bytes, sizeof(key.bytes), 0) != (ssize_t)sizeof(key.bytes))
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "getrandom",
		                              "no random bytes for %s", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s",
		                              path);
	tandem_config_hex_write(&key, text);
	memcpy(text + DIGITS, "\n", 2);
	/* Nothing that the umask takes away is wanted, nothing else may be left. */
	int rc = fchmod(fd, 0600) == 0 ? text_write(fd, path, text, reterr_error)
	                               : tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM,
	                                                        errno, "fchmod", "%s", path);
	close(fd);
	if (rc < 0)
		unlink(path);
	return rc;
}
