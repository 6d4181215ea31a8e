#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int datagram_send(const struct sockaddr_un *address, socklen_t address_length,
                         const char *state, struct tandem_error *reterr_error)
{
	int rc = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "notify");
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)address,
	           address_length) < 0)
		rc = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "sendto",
		                            "NOTIFY_SOCKET");
	close(fd);
	return rc;
}

int tandem_notify(const char *state, struct tandem_error *reterr_error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	if (!path || !*path)
		return 0;
	size_t length = strlen(path);
	if (length >= sizeof(address.sun_path))
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "notify",
		                        "NOTIFY_SOCKET has %zu characters", length);
	memcpy(address.sun_path, path, length);
	/* An abstract name is written with @ and has no terminating zero. */
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return datagram_send(&address, address_length, state, reterr_error);
}
