#include "shell/service.h"

#include <stdio.h>
#include <tandem/unix_socket.h>

#define BACKLOG 32

int tandem_run_socket_listen(struct tandem_controller *controller, const char *name, int type,
                             int *ret_fd, struct tandem_error *reterr_error)
{
	char path[TANDEM_CONTROLLER_PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%.*s/%.60s", TANDEM_CONTROLLER_PATH_BYTES,
	         controller->options.run_directory, name);
	/* The lock on the run directory says that no other controller uses the name. */
	return tandem_unix_listen(path, type | SOCK_NONBLOCK, BACKLOG, ret_fd, reterr_error);
}
