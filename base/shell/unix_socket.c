#include <tandem/unix_socket.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int tandem_unix_address(const char *path, struct sockaddr_un *ret_address,
                        struct tandem_error *reterr_error)
{
	const size_t length = strlen(path);

	_Static_assert(sizeof(ret_address->sun_path) == TANDEM_UNIX_PATH_BYTES, "a path fits");
	if (length >= TANDEM_UNIX_PATH_BYTES)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "socket",
		                        "%.120s: a socket's path has at most %u characters, this "
		                        "one has %zu",
		                        path, TANDEM_UNIX_PATH_BYTES - 1, length);
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret_address->sun_path, path, length);
	return 0;
}

/* One that a killed process left. */
static bool remove_socket(const char *path)
{
	struct stat found;

	if (lstat(path, &found) != 0)
		return errno == ENOENT;
	if (S_ISSOCK(found.st_mode))
		return unlink(path) == 0 || errno == ENOENT;
	errno = EEXIST;
	return false;
}

static bool listens(int type)
{
	return (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != SOCK_DGRAM;
}

/* The mode of the descriptor becomes that of the path. */
static bool open_at(int fd, const struct sockaddr_un *address, int type, int backlog)
{
	return fchmod(fd, S_IRUSR | S_IWUSR) == 0 && remove_socket(address->sun_path) &&
	       bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
	       (!listens(type) || listen(fd, backlog) == 0);
}

int tandem_unix_listen(const char *path, int type, int backlog, int *ret_fd,
                       struct tandem_error *reterr_error)
{
	struct sockaddr_un address;
	int status = tandem_unix_address(path, &address, reterr_error);

	if (status != 0)
		return status;
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd >= 0 && open_at(fd, &address, type, backlog)) {
		*ret_fd = fd;
		return 0;
	}
	status = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "listen",
	                                "no socket can be made at %s", path);
	if (fd >= 0)
		close(fd);
	return status;
}

pid_t tandem_unix_peer(int fd)
{
	struct ucred peer = {.pid = 0};
	socklen_t peer_bytes = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) == 0 ? peer.pid : 0;
}

bool tandem_unix_is_listened_at(const char *path, pid_t *ret_process)
{
	struct sockaddr_un address;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is_there = false;

	*ret_process = 0;
	if (fd >= 0 && tandem_unix_address(path, &address, NULL) == 0)
		is_there = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
		           errno == EAGAIN; /* its backlog is full */
	if (is_there)
		*ret_process = tandem_unix_peer(fd);
	if (fd >= 0)
		close(fd);
	return is_there;
}
