#include "shell/watchdog.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <tandem/memory.h>
#include <unistd.h>

#define FEEDS_IN_TIMEOUT 4

struct tandem_watchdog {
	int fd;
	struct event *event;
	bool is_magic; /* a close after a 'V' disarms it */
	char text[80];
};

static void feed(struct tandem_watchdog *watchdog)
{
	/* A device that refuses will fire, which is what it is for. */
	int status = ioctl(watchdog->fd, WDIOC_KEEPALIVE, 0);
	(void)status;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	feed(context);
}

static int fail(struct tandem_error *reterr_error, const char *operation, const char *path,
                const char *fix)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation,
	                              "watchdog %.100s: %s", path, fix);
}

static int set_up(struct tandem_watchdog *watchdog, const char *path, unsigned timeout_s,
                  unsigned *ret_timeout_s, struct tandem_error *reterr_error)
{
	struct watchdog_info info = {.options = 0};
	int timeout = (int)timeout_s;
	watchdog->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (watchdog->fd < 0)
		return fail(reterr_error, "open", path,
		            "load its driver (modprobe softdog has one without hardware), end the "
		            "program that uses it, or take the key 'watchdog' out");
	if (ioctl(watchdog->fd, WDIOC_GETSUPPORT, &info) != 0)
		return fail(reterr_error, "WDIOC_GETSUPPORT", path, "this is no watchdog device");
	watchdog->is_magic = (info.options & WDIOF_MAGICCLOSE) != 0;
	if (ioctl(watchdog->fd, WDIOC_SETTIMEOUT, &timeout) != 0 &&
	    ioctl(watchdog->fd, WDIOC_GETTIMEOUT, &timeout) != 0)
		return fail(reterr_error, "WDIOC_SETTIMEOUT", path,
		            "its timeout can neither be set nor read");
	if (timeout < 1 || timeout > (int)timeout_s)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "watchdog",
		                        "%.100s fires after %d s, at most %u s needed: set "
		                        "watchdog_timeout_s to what it can do",
		                        path, timeout, timeout_s);
	snprintf(watchdog->text, sizeof(watchdog->text), "%.31s, %d s", (char *)info.identity,
	         timeout);
	*ret_timeout_s = (unsigned)timeout;
	return 0;
}

static int start(struct tandem_watchdog *watchdog, struct event_base *base, unsigned timeout_s,
                 struct tandem_error *reterr_error)
{
	unsigned interval_ms = timeout_s * 1000 / FEEDS_IN_TIMEOUT;
	struct timeval interval = {.tv_sec = interval_ms / 1000,
	                           .tv_usec = (suseconds_t)(interval_ms % 1000) * 1000};
	feed(watchdog);
	watchdog->event = event_new(base, -1, EV_PERSIST, on_timer, watchdog);
	if (!watchdog->event || event_add(watchdog->event, &interval) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "watchdog", "no timer");
	return 0;
}

int tandem_watchdog_open(struct event_base *base, const char *path, unsigned timeout_s,
                         struct tandem_watchdog **ret_watchdog, struct tandem_error *reterr_error)
{
	struct tandem_watchdog *watchdog = tandem_memory_alloc(sizeof(*watchdog));
	if (!watchdog)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "watchdog", "no memory");
	int status = set_up(watchdog, path, timeout_s, &timeout_s, reterr_error);
	if (status == 0)
		status = start(watchdog, base, timeout_s, reterr_error);
	if (status != 0) {
		tandem_watchdog_free(watchdog);
		return status;
	}
	*ret_watchdog = watchdog;
	return 0;
}

void tandem_watchdog_free(struct tandem_watchdog *watchdog)
{
	if (!watchdog)
		return;
	if (watchdog->event)
		event_free(watchdog->event);
	if (watchdog->fd >= 0) {
		ssize_t written = watchdog->is_magic ? write(watchdog->fd, "V", 1) : 0;
		(void)written;
		close(watchdog->fd);
	}
	tandem_memory_free(watchdog);
}

const char *tandem_watchdog_text(const struct tandem_watchdog *watchdog)
{
	return watchdog ? watchdog->text : "";
}
