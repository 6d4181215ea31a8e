#include "shell/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 32

static int fail(struct tandem_error *reterr_error, const char *operation, const char *path)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation, "%.160s",
	                              path);
}

int tandem_unix_listen(struct tandem_controller *controller, const char *name, int type,
                       int *ret_fd, struct tandem_error *reterr_error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length =
	        snprintf(address.sun_path, sizeof(address.sun_path), "%.*s/%s",
	                 TANDEM_CONTROLLER_PATH_BYTES, controller->options.run_directory, name);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "listen",
		                        "the name of %s in the run directory is too long", name);
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(reterr_error, "socket", address.sun_path);
	/* The lock on the run directory says that no other controller uses the name. The mode of
	 * the descriptor becomes the mode of the name. */
	if ((unlink(address.sun_path) != 0 && errno != ENOENT) || fchmod(fd, 0600) != 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(address.sun_path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
		int status = fail(reterr_error, "bind", address.sun_path);
		close(fd);
		return status;
	}
	*ret_fd = fd;
	return 0;
}
