#include "shell/gate_outside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_PATH        "/dev/net/tun"
#define SEND_ROOM_BYTES (1 << 20)

/* ---- a tap ---- */

static bool exists(int fd, const char *name)
{
	struct ifreq request = {0};

	memcpy(request.ifr_name, name, strlen(name));
	return ioctl(fd, SIOCGIFINDEX, &request) == 0;
}

static bool interface_exists(const char *name)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool is_there = fd >= 0 && exists(fd, name);

	if (fd >= 0)
		close(fd);
	return is_there;
}

/* A tap that is not there would be made, and be connected to nothing. */
static int open_tap(struct tandem_qemu_outside *outside, const char *name,
                    struct tandem_error *reterr_error)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	if (strlen(name) >= IFNAMSIZ || !interface_exists(name))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "gate",
		                        "there is no interface %.60s; make it, for instance: "
		                        "ip tuntap add %.60s mode tap user USER; "
		                        "ip link set %.60s master BRIDGE up",
		                        name, name, name);
	memcpy(request.ifr_name, name, strlen(name));
	outside->fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (outside->fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "gate",
		                              "%s cannot be opened", TUN_PATH);
	if (ioctl(outside->fd, TUNSETIFF, &request) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "gate",
		                              "%s cannot be had: it has to be a tap, with 'user' "
		                              "who runs this, that nobody else uses",
		                              name);
	return 0;
}

/* ---- a datagram socket ---- */

static int open_socket(struct tandem_qemu_outside *outside, const char *name, const char *path,
                       struct tandem_error *reterr_error)
{
	const int room_bytes = SEND_ROOM_BYTES;
	int status = tandem_unix_address(name, &outside->peer, reterr_error);

	if (status == 0)
		status = tandem_unix_listen(path, SOCK_DGRAM | SOCK_NONBLOCK, 0, &outside->fd,
		                            reterr_error);
	if (status != 0)
		return status;
	memcpy(outside->path, path, strlen(path) + 1);
	(void)setsockopt(outside->fd, SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof(room_bytes));
	return 0;
}

int tandem_qemu_outside_open(struct tandem_qemu_outside *outside, const char *name,
                             const char *path, struct tandem_error *reterr_error)
{
	*outside = (struct tandem_qemu_outside){.fd = -1};
	if (strchr(name, '/'))
		return open_socket(outside, name, path, reterr_error);
	return open_tap(outside, name, reterr_error);
}

int tandem_qemu_outside_adopt(struct tandem_qemu_outside *outside, const char *name,
                              const char *path, int fd, struct tandem_error *reterr_error)
{
	*outside = (struct tandem_qemu_outside){.fd = fd};
	if (!strchr(name, '/'))
		return 0;
	memcpy(outside->path, path, strlen(path) + 1);
	return tandem_unix_address(name, &outside->peer, reterr_error);
}

static int send_once(const struct tandem_qemu_outside *outside, const uint8_t *bytes, size_t length)
{
	const ssize_t sent = outside->peer.sun_family == 0
	                             ? write(outside->fd, bytes, length)
	                             : send(outside->fd, bytes, length, MSG_NOSIGNAL);

	return sent < 0 ? errno : 0;
}

/* A program that is not there yet, or was started anew, is looked for each time. */
int tandem_qemu_outside_send(struct tandem_qemu_outside *outside, const uint8_t *bytes,
                             size_t length)
{
	int status = send_once(outside, bytes, length);

	if ((status == ENOTCONN || status == ECONNREFUSED) &&
	    connect(outside->fd, (const struct sockaddr *)&outside->peer, sizeof(outside->peer)) ==
	            0)
		status = send_once(outside, bytes, length);
	return status;
}

size_t tandem_qemu_outside_recv(struct tandem_qemu_outside *outside, uint8_t *ret_bytes,
                                size_t capacity)
{
	const ssize_t got = read(outside->fd, ret_bytes, capacity);

	return got > 0 ? (size_t)got : 0;
}

void tandem_qemu_outside_close(struct tandem_qemu_outside *outside)
{
	if (outside->fd >= 0)
		close(outside->fd);
	if (outside->path[0] != 0)
		(void)unlink(outside->path);
	outside->fd = -1;
}
