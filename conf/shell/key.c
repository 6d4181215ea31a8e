#include <tandem/config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/assert.h>

#include "core/form.h"

#define DIGITS (2 * TANDEM_CONFIG_KEY_BYTES)

/* `text` holds more than a key and its newline, so that a longer file is seen as such. */
static int file_read(int fd, const char *path, char *text, size_t text_bytes,
                     struct tandem_error *reterr_error)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "fstat", "%s",
		                              path);
	if (!S_ISREG(status.st_mode))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: not a regular file", path);
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: mode %04o seen, 0600 needed (chmod 600 %s)", path,
		                        (unsigned)status.st_mode & 07777, path);
	ssize_t length = read(fd, text, text_bytes - 1);
	if (length < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "read", "%s",
		                              path);
	text[length] = '\0';
	return 0;
}

static int key_file_read(const char *path, uint8_t ret_key[TANDEM_CONFIG_KEY_BYTES],
                         struct tandem_error *reterr_error)
{
	char text[DIGITS + 8] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "open",
		                              "key_file %s", path);
	int rc = file_read(fd, path, text, sizeof(text), reterr_error);
	close(fd);
	if (rc < 0)
		return rc;
	text[strcspn(text, "\r\n")] = '\0';
	if (!tandem_config_hex_read(text, ret_key))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "key_file",
		                        "%s: a line of %d hex digits needed (openssl rand -hex %d)",
		                        path, DIGITS, TANDEM_CONFIG_KEY_BYTES);
	return 0;
}

int tandem_config_key(const struct tandem_config_pair *pair,
                      uint8_t ret_key[TANDEM_CONFIG_KEY_BYTES], struct tandem_error *reterr_error)
{
	if (pair->key_file[0] != '\0')
		return key_file_read(pair->key_file, ret_key, reterr_error);
	if (pair->key[0] == '\0') {
		memset(ret_key, 0, TANDEM_CONFIG_KEY_BYTES);
		return 0;
	}
	bool is_key = tandem_config_hex_read(pair->key, ret_key);
	TANDEM_ASSERT(is_key); /* the loader has checked it */
	return 0;
}
