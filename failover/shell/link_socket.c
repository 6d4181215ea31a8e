#include "shell/link_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

socklen_t tandem_link_address(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	inet_pton(AF_INET6, text, &six->sin6_addr);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

bool tandem_link_address_is_same(const struct sockaddr_storage *one,
                                 const struct sockaddr_storage *other)
{
	if (one->ss_family != other->ss_family)
		return false;
	if (one->ss_family == AF_INET) {
		const struct sockaddr_in *first = (const struct sockaddr_in *)one;
		const struct sockaddr_in *second = (const struct sockaddr_in *)other;
		return first->sin_port == second->sin_port &&
		       first->sin_addr.s_addr == second->sin_addr.s_addr;
	}
	const struct sockaddr_in6 *first = (const struct sockaddr_in6 *)one;
	const struct sockaddr_in6 *second = (const struct sockaddr_in6 *)other;
	return first->sin6_port == second->sin6_port &&
	       memcmp(&first->sin6_addr, &second->sin6_addr, sizeof(first->sin6_addr)) == 0;
}

int tandem_link_socket_open(const char *address, uint16_t port, int *ret_fd,
                            struct tandem_error *reterr_error)
{
	struct sockaddr_storage local;
	socklen_t length = tandem_link_address(address, port, &local);
	int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "heartbeat link %s", address);
	if (bind(fd, (const struct sockaddr *)&local, length) != 0) {
		int status = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "bind",
		                                    "heartbeat link %s port %u", address,
		                                    (unsigned)port);
		close(fd);
		return status;
	}
	*ret_fd = fd;
	return 0;
}
