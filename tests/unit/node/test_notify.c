#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

static int manager_new(const char *name, size_t name_length)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, name, name_length);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&address,
	                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_length)),
	             0);
	return fd;
}

static void expect_told(int fd)
{
	char text[64] = "";
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_notify("READY=1\nSTATUS=up", &error), 0, "%s", error.detail);
	cr_assert_eq(recv(fd, text, sizeof(text) - 1, 0), 17);
	cr_assert_str_eq(text, "READY=1\nSTATUS=up");
}

Test(notify, tells_a_socket_in_the_file_system)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/tandem-test-notify-%d", getpid());
	int fd = manager_new(path, strlen(path));
	setenv("NOTIFY_SOCKET", path, 1);
	expect_told(fd);
	close(fd);
	unlink(path);
}

Test(notify, tells_an_abstract_socket)
{
	char name[64];
	snprintf(name, sizeof(name), "@tandem-test-notify-%d", getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	int fd = manager_new(name, 1 + strlen(name + 1));
	expect_told(fd);
	close(fd);
}

Test(notify, says_nothing_without_a_manager)
{
	unsetenv("NOTIFY_SOCKET");
	cr_assert_eq(tandem_notify("READY=1", NULL), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	cr_assert_eq(tandem_notify("READY=1", NULL), 0);
}

Test(notify, says_when_it_cannot)
{
	char path[200];
	struct tandem_error error = {.code = 0};
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	cr_assert_eq(tandem_notify("READY=1", &error), TANDEM_E_SYSTEM);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	cr_assert_eq(tandem_notify("READY=1", &error), TANDEM_E_SYSTEM);
	cr_assert_not_null(strstr(error.detail, "199 characters"));
}
