#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

/* A path in a folder of its own. */
struct place {
	char folder[32];
	char path[64];
};

static struct place place(void)
{
	struct place made = {.folder = "/tmp/tandem-unix-XXXXXX"};

	cr_assert_not_null(mkdtemp(made.folder));
	snprintf(made.path, sizeof(made.path), "%s/socket", made.folder);
	return made;
}

static void leave(const struct place *place)
{
	cr_assert_eq(unlink(place->path), 0);
	cr_assert_eq(rmdir(place->folder), 0);
}

static int connect_to(const char *path, int type)
{
	struct sockaddr_un address;
	const int fd = socket(AF_UNIX, type, 0);

	cr_assert_eq(tandem_unix_address(path, &address, NULL), 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

Test(unix_socket, it_takes_connections_of_this_user_alone)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct place at = place();
		struct stat status;
		int fd = -1;

		cr_assert_eq(tandem_unix_listen(at.path, types[i], 1, &fd, NULL), 0);
		cr_assert_eq(stat(at.path, &status), 0);
		cr_assert_eq(status.st_mode & 0777, 0600, "%o", status.st_mode);
		cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		cr_assert_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		const int client = connect_to(at.path, types[i]);
		cr_assert_geq(client, 0);
		close(client);
		close(fd);
		leave(&at);
	}
}

Test(unix_socket, flags_of_the_type_are_kept)
{
	const struct place at = place();
	int fd = -1;

	cr_assert_eq(tandem_unix_listen(at.path, SOCK_STREAM | SOCK_NONBLOCK, 1, &fd, NULL), 0);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert_eq(accept(fd, NULL, NULL), -1);
	cr_assert_eq(errno, EAGAIN);
	close(fd);
	leave(&at);
}

Test(unix_socket, one_that_somebody_listens_at_is_told_from_one_that_was_left)
{
	const struct place at = place();
	pid_t process;
	int fd = -1;

	cr_expect_not(tandem_unix_is_listened_at(at.path, &process));
	cr_assert_eq(tandem_unix_listen(at.path, SOCK_STREAM, 0, &fd, NULL), 0);
	cr_expect(tandem_unix_is_listened_at(at.path, &process));
	cr_expect_eq(process, getpid());
	cr_expect(tandem_unix_is_listened_at(at.path, &process), "its backlog is full");
	close(fd);
	cr_expect_not(tandem_unix_is_listened_at(at.path, &process));
	leave(&at);
}

Test(unix_socket, one_that_a_killed_process_left_is_replaced)
{
	const struct place at = place();
	int left = -1, fd = -1;

	cr_assert_eq(tandem_unix_listen(at.path, SOCK_STREAM, 1, &left, NULL), 0);
	close(left);
	cr_assert_eq(connect_to(at.path, SOCK_STREAM), -1);
	cr_assert_eq(tandem_unix_listen(at.path, SOCK_STREAM, 1, &fd, NULL), 0);
	const int client = connect_to(at.path, SOCK_STREAM);
	cr_assert_geq(client, 0);
	close(client);
	close(fd);
	leave(&at);
}

Test(unix_socket, a_file_is_not_removed)
{
	const struct place at = place();
	struct tandem_error error = {.code = 0};
	struct stat status;
	int fd = -1;

	close(open(at.path, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(tandem_unix_listen(at.path, SOCK_STREAM, 1, &fd, &error), TANDEM_E_SYSTEM);
	cr_assert_eq(error.os_errno, EEXIST);
	cr_assert(strstr(error.detail, at.path) != NULL, "%s", error.detail);
	cr_assert_eq(fd, -1);
	cr_assert_eq(stat(at.path, &status), 0);
	leave(&at);
}

Test(unix_socket, a_folder_that_is_not_there_is_an_error)
{
	struct tandem_error error = {.code = 0};
	int fd = -1;

	cr_assert_eq(tandem_unix_listen("/tmp/tandem-no-such/socket", SOCK_STREAM, 1, &fd, &error),
	             TANDEM_E_SYSTEM);
	cr_assert_eq(error.os_errno, ENOENT, "%s", error.detail);
}

Test(unix_socket, the_longest_path_fits_and_one_more_is_told)
{
	struct sockaddr_un address;
	struct tandem_error error = {.code = 0};
	char path[TANDEM_UNIX_PATH_BYTES + 1];
	int fd = -1;

	memset(path, 'a', sizeof(path));
	path[TANDEM_UNIX_PATH_BYTES - 1] = 0;
	cr_assert_eq(tandem_unix_address(path, &address, &error), 0);
	cr_assert_str_eq(address.sun_path, path);
	path[TANDEM_UNIX_PATH_BYTES - 1] = 'a';
	path[TANDEM_UNIX_PATH_BYTES] = 0;
	cr_assert_eq(tandem_unix_address(path, &address, &error), TANDEM_E_CONFIG);
	cr_assert_eq(tandem_unix_listen(path, SOCK_STREAM, 1, &fd, &error), TANDEM_E_CONFIG);
	cr_assert(strstr(error.detail, "at most 107 characters, this one has 108") != NULL, "%s",
	          error.detail);
}
