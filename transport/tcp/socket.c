#include "tcp/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <tandem/clock.h>

int tandem_tcp_socket_new(const struct tandem_tcp_address *address, int *ret_fd,
                          struct tandem_error *reterr_error)
{
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "making a TCP socket");
	*ret_fd = fd;
	return 0;
}

int tandem_tcp_socket_tune(int fd, uint64_t peer_timeout_ns, struct tandem_error *reterr_error)
{
	const int on = 1;
	const unsigned timeout_ms = (unsigned)(peer_timeout_ns / TANDEM_NS_PER_MS);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "setsockopt",
		                              "TCP_NODELAY");
	if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "setsockopt",
		                              "TCP_USER_TIMEOUT");
	return 0;
}

int tandem_tcp_socket_bind(int fd, const struct tandem_tcp_address *address,
                           struct tandem_error *reterr_error)
{
	char text[TANDEM_TCP_ADDRESS_TEXT_BYTES];
	if (bind(fd, (const struct sockaddr *)&address->storage, address->length) == 0)
		return 0;
	int os_errno = errno;
	int code = os_errno == EADDRNOTAVAIL ? TANDEM_E_CONFIG : TANDEM_E_SYSTEM;
	tandem_tcp_address_format(address, text, sizeof(text));
	return tandem_error_set_errno(reterr_error, code, os_errno, "bind", "%s", text);
}

uint64_t tandem_tcp_socket_received_bytes(int fd)
{
	int count = 0;
	return ioctl(fd, FIONREAD, &count) == 0 && count > 0 ? (uint64_t)count : 0;
}

int tandem_tcp_socket_error_code(int os_errno)
{
	switch (os_errno) {
	case ETIMEDOUT:
		return TANDEM_E_TIMEOUT;
	case EFAULT:
		return TANDEM_E_USAGE;
	case ENOMEM:
	case ENOBUFS:
	case EADDRNOTAVAIL:
		return TANDEM_E_SYSTEM;
	default:
		return TANDEM_E_PEER_LOST;
	}
}

void tandem_tcp_socket_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
