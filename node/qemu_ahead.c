#include "qemu_ahead.h"

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/log.h>
#include <unistd.h>

#include "environment.h"

#define ORDER_BYTES (TANDEM_VARIABLES_MAX * TANDEM_VARIABLE_BYTES + 1)

/* Each with a zero behind it, and one more. */
static bool is_whole(const char *order, size_t length)
{
	return length > 1 && order[length - 1] == 0 && order[length - 2] == 0;
}

static void take_variables(char *order)
{
	for (char *next; *order; order = next) {
		char *value = strchr(order, '=');

		next = order + strlen(order) + 1;
		if (!value)
			continue;
		*value = 0;
		(void)setenv(order, value + 1, 1);
	}
}

bool tandem_qemu_ahead_wait(int fd, int ends_fd)
{
	static char order[ORDER_BYTES];
	size_t length = 0;

	/* Who told it before it was ready does not listen any more. */
	(void)!send(fd, "w", 1, MSG_NOSIGNAL);
	while (!is_whole(order, length)) {
		struct pollfd polled[] = {{.fd = fd, .events = POLLIN},
		                          {.fd = ends_fd, .events = POLLIN}};

		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents != 0) {
			tandem_log(TANDEM_LOG_ERROR, "QEMU has ended before it was needed");
			return false;
		}
		const ssize_t got = recv(fd, order + length, sizeof(order) - length, 0);
		if (got <= 0)
			return false;
		length += (size_t)got;
	}
	close(fd);
	take_variables(order);
	return true;
}
