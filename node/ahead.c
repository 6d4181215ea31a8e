#include "ahead.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <unistd.h>

#define DIRECTORY_BYTES 256
#define END_TIMEOUT_MS  1000
#define WAIT_NS_MAX     (60 * TANDEM_NS_PER_S)
/* As the child has them. */
enum { LINK_FD = 3, STATE_FD = 4 };

struct tandem_ahead {
	struct tandem_ahead_options options;
	struct event *timer;

	pthread_mutex_t lock;
	char image_directory[DIRECTORY_BYTES];
	int state_fd;     /* of the copy; -1: there is none */
	pid_t process;    /* 0: none */
	int link_fd;      /* to it; nobody has the other end when it and its QEMU have ended */
	bool is_killed;   /* by this one: its end is no failure */
	uint64_t over_ns; /* when it was seen that it has ended, 0: it has not */
	uint64_t wait_ns; /* from a failure to the next start */
	uint64_t start_at_ns;
};

static void close_link(struct tandem_ahead *ahead)
{
	close(ahead->link_fd);
	ahead->link_fd = -1;
	ahead->process = 0;
	ahead->is_killed = false;
	ahead->over_ns = 0;
}

static void end_process(struct tandem_ahead *ahead)
{
	struct pollfd link = {.fd = ahead->link_fd, .events = POLLIN};
	const uint64_t until_ns = tandem_clock_now_ns() + END_TIMEOUT_MS * TANDEM_NS_PER_MS;
	char word[64];
	ssize_t length = 1;

	if (ahead->process == 0)
		return;
	kill(ahead->process, SIGKILL);
	waitpid(ahead->process, NULL, 0);
	while (length > 0 && tandem_clock_now_ns() < until_ns && poll(&link, 1, END_TIMEOUT_MS) > 0)
		length = recv(ahead->link_fd, word, sizeof(word), MSG_DONTWAIT);
	close_link(ahead);
}

static void forget_copy(struct tandem_ahead *ahead)
{
	if (ahead->state_fd >= 0)
		close(ahead->state_fd);
	ahead->state_fd = -1;
	ahead->start_at_ns = 0;
	ahead->wait_ns = ahead->options.look_ns;
}

static int spawn(struct tandem_ahead *ahead, int link_fd)
{
	const struct tandem_places *places = &ahead->options.places;
	const char link_text[] = {'0' + LINK_FD, 0};
	struct tandem_environment environment;
	posix_spawn_file_actions_t actions;

	tandem_environment_init(&environment, places);
	tandem_environment_add(&environment, "TANDEM_IMAGE_DIR=%s", ahead->image_directory);
	tandem_environment_add(&environment, "TANDEM_STATE_FILE=/proc/self/fd/%d", STATE_FD);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, link_fd, LINK_FD);
	posix_spawn_file_actions_adddup2(&actions, ahead->state_fd, STATE_FD);
	const int failure = tandem_environment_spawn_qemu(&environment, places, "--ahead",
	                                                  link_text, &actions, &ahead->process);
	posix_spawn_file_actions_destroy(&actions);
	return failure;
}

/* Descriptors that are none of the child's own numbers. */
static int keep_high(int fd)
{
	const int high_fd = fcntl(fd, F_DUPFD_CLOEXEC, STATE_FD + 1);

	close(fd);
	return high_fd;
}

static void start(struct tandem_ahead *ahead)
{
	int ends[2];

	ahead->start_at_ns = tandem_clock_now_ns() + ahead->wait_ns;
	ahead->wait_ns = ahead->wait_ns < WAIT_NS_MAX / 2 ? 2 * ahead->wait_ns : WAIT_NS_MAX;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return;
	ends[0] = keep_high(ends[0]);
	ends[1] = keep_high(ends[1]);
	ahead->link_fd = ends[0];
	if (ends[0] < 0 || ends[1] < 0 || spawn(ahead, ends[1]) != 0)
		close_link(ahead);
	close(ends[1]);
}

/* True: it has ended. */
static bool read_link(struct tandem_ahead *ahead)
{
	char word;
	const ssize_t length = recv(ahead->link_fd, &word, sizeof(word), MSG_DONTWAIT);

	if (length > 0) {
		ahead->wait_ns = ahead->options.look_ns;
		tandem_log(TANDEM_LOG_INFO, "pair %s: the QEMU that would take over waits for it",
		           ahead->options.places.pair);
	}
	return length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
}

/* True: something that it started has the link for longer than a QEMU takes to end. */
static bool lingers(struct tandem_ahead *ahead)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	siginfo_t end = {.si_pid = 0};

	if (waitid(P_PID, (id_t)ahead->process, &end, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	    end.si_pid == 0)
		return false;
	if (ahead->over_ns == 0)
		ahead->over_ns = now_ns;
	if (now_ns < ahead->over_ns + ahead->options.linger_ns)
		return false;
	tandem_log(TANDEM_LOG_WARNING,
	           "pair %s: what was started ahead has ended, but not all that protect.command "
	           "started; it is not waited for any more",
	           ahead->options.places.pair);
	return true;
}

/* What is left of it makes no difference any more. */
static void give_up(struct tandem_ahead *ahead)
{
	waitpid(ahead->process, NULL, 0);
	close_link(ahead);
}

void tandem_ahead_look(struct tandem_ahead *ahead)
{
	const bool is_wanted = ahead->options.is_wanted(ahead->options.argument);
	bool has_failed = false;

	pthread_mutex_lock(&ahead->lock);
	if (ahead->process != 0 && !is_wanted) {
		ahead->is_killed = true;
		kill(ahead->process, SIGKILL);
	}
	if (ahead->process != 0 && read_link(ahead)) {
		has_failed = !ahead->is_killed;
		end_process(ahead);
	} else if (ahead->process != 0 && lingers(ahead)) {
		has_failed = !ahead->is_killed;
		give_up(ahead);
	} else if (ahead->process == 0 && ahead->state_fd >= 0 && is_wanted &&
	           tandem_clock_now_ns() >= ahead->start_at_ns) {
		start(ahead);
	}
	pthread_mutex_unlock(&ahead->lock);
	if (!has_failed)
		return;
	tandem_log(TANDEM_LOG_WARNING,
	           "pair %s: what would take over has ended before it had to; its words are above, "
	           "and it is started again",
	           ahead->options.places.pair);
	ahead->options.on_failure(ahead->options.argument);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	tandem_ahead_look(context);
}

int tandem_ahead_new(struct event_base *base, const struct tandem_ahead_options *options,
                     struct tandem_ahead **ret_ahead, struct tandem_error *reterr_error)
{
	const struct timeval interval = tandem_clock_timeval(options->look_ns);
	struct tandem_ahead *ahead = tandem_memory_alloc(sizeof(*ahead));

	if (ahead) {
		pthread_mutex_init(&ahead->lock, NULL);
		ahead->options = *options;
		ahead->state_fd = ahead->link_fd = -1;
		ahead->wait_ns = options->look_ns;
		ahead->timer = event_new(base, -1, EV_PERSIST, on_timer, ahead);
	}
	if (!ahead || !ahead->timer || event_add(ahead->timer, &interval) != 0) {
		tandem_ahead_free(ahead);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	}
	*ret_ahead = ahead;
	return 0;
}

void tandem_ahead_take_copy(struct tandem_ahead *ahead, const char *image_directory,
                            const void *state, size_t state_bytes)
{
	int state_fd = memfd_create("tandem-state", MFD_CLOEXEC);

	if (state_fd >= 0)
		state_fd = keep_high(state_fd);
	if (state_fd >= 0 && write(state_fd, state, state_bytes) != (ssize_t)state_bytes) {
		close(state_fd);
		state_fd = -1;
	}
	pthread_mutex_lock(&ahead->lock);
	end_process(ahead);
	forget_copy(ahead);
	ahead->state_fd = state_fd;
	snprintf(ahead->image_directory, sizeof(ahead->image_directory), "%s", image_directory);
	pthread_mutex_unlock(&ahead->lock);
}

void tandem_ahead_drop_copy(struct tandem_ahead *ahead)
{
	pthread_mutex_lock(&ahead->lock);
	end_process(ahead);
	forget_copy(ahead);
	pthread_mutex_unlock(&ahead->lock);
}

/* The variables with a zero behind each, and one more. */
static bool send_variables(int fd, const struct tandem_environment *environment)
{
	char text[TANDEM_VARIABLES_MAX * TANDEM_VARIABLE_BYTES + 1];
	size_t length = 0;

	for (size_t i = 0; i < environment->count; i++) {
		const size_t bytes = strlen(environment->variables[i]) + 1;

		memcpy(text + length, environment->variables[i], bytes);
		length += bytes;
	}
	text[length++] = 0;
	return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

pid_t tandem_ahead_go(struct tandem_ahead *ahead, const struct tandem_environment *environment)
{
	pid_t process = 0;

	pthread_mutex_lock(&ahead->lock);
	if (ahead->process != 0 && !ahead->is_killed &&
	    send_variables(ahead->link_fd, environment)) {
		process = ahead->process;
		close_link(ahead);
	}
	end_process(ahead);
	forget_copy(ahead);
	pthread_mutex_unlock(&ahead->lock);
	return process;
}

void tandem_ahead_free(struct tandem_ahead *ahead)
{
	if (!ahead)
		return;
	tandem_ahead_drop_copy(ahead);
	if (ahead->timer)
		event_free(ahead->timer);
	pthread_mutex_destroy(&ahead->lock);
	tandem_memory_free(ahead);
}
