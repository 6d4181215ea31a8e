#include "shell/fence_process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/controller.h>
#include <tandem/memory.h>

#include "core/fencing.h"

#define INPUT_BYTES (TANDEM_CONTROLLER_PARAMETERS_BYTES + 32)
/* One that was killed and is not gone then waits in the kernel; it does nothing any more. */
#define GRACE_NS     TANDEM_FENCING_GRACE_NS
#define LAST_WAIT_MS 100

extern char **environ;

struct tandem_fence_process {
	pid_t process_id; /* and its group; 0: not started */
	int pidfd;
	int error_fd; /* its error output */
	struct event *ended;
	struct event *error_output;
	struct event *timer;
	bool is_late;
	bool is_killed;
	tandem_fence_end_fn on_end;
	void *context;
	size_t length;
	char line[TANDEM_FENCE_LINE_BYTES]; /* the one that is not ended yet */
	char last[TANDEM_FENCE_LINE_BYTES];
};

static void take_character(struct tandem_fence_process *process, char character)
{
	if (character == '\n' || character == '\r') {
		if (process->length > 0)
			memcpy(process->last, process->line, sizeof(process->last));
		process->length = 0;
	} else if (process->length < sizeof(process->line) - 1) {
		process->line[process->length++] =
		        character < ' ' || character > '~' ? '?' : character;
		process->line[process->length] = 0;
	}
}

/* At most what a pipe holds, so that one who never stops does not hold the loop. */
static void read_errors(struct tandem_fence_process *process)
{
	char bytes[4096];
	for (unsigned i = 0; i < 16; i++) {
		ssize_t length = read(process->error_fd, bytes, sizeof(bytes));
		if (length == 0)
			event_del(process->error_output);
		if (length <= 0)
			return;
		for (ssize_t j = 0; j < length; j++)
			take_character(process, bytes[j]);
	}
}

static void on_errors(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	read_errors(context);
}

static void set_timer(struct tandem_fence_process *process, uint64_t wait_ns)
{
	struct timeval wait = tandem_clock_timeval(wait_ns);
	event_add(process->timer, &wait);
}

static void close_all(struct tandem_fence_process *process)
{
	if (process->ended)
		event_free(process->ended);
	if (process->error_output)
		event_free(process->error_output);
	if (process->timer)
		event_free(process->timer);
	if (process->pidfd >= 0)
		close(process->pidfd);
	if (process->error_fd >= 0)
		close(process->error_fd);
	tandem_memory_free(process);
}

/* `information` NULL: it did not end in time. */
static void tell_end(struct tandem_fence_process *process, const siginfo_t *information)
{
	char line[TANDEM_FENCE_LINE_BYTES];
	tandem_fence_end_fn on_end = process->on_end;
	void *context = process->context;
	struct tandem_fence_end end = {.is_late = process->is_late, .line = line};
	read_errors(process);
	take_character(process, '\n');
	memcpy(line, process->last, sizeof(line));
	if (information && information->si_code == CLD_EXITED)
		end.status = information->si_status;
	else
		end.signal = information ? information->si_status : SIGKILL;
	close_all(process);
	on_end(context, &end);
}

/* Not yet waited for, its number is still its own, and so is the group's: what it left behind ends
 * with it. */
static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct tandem_fence_process *process = context;
	siginfo_t information = {.si_code = 0};
	(void)what;
	kill(-process->process_id, SIGKILL);
	if (waitid(P_PIDFD, (id_t)fd, &information, WEXITED | WNOHANG) != 0 ||
	    information.si_pid == 0)
		return;
	tell_end(process, &information);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
	struct tandem_fence_process *process = context;
	(void)fd;
	(void)what;
	if (process->is_killed) {
		tell_end(process, NULL);
		return;
	}
	process->is_late = true;
	tandem_fence_process_kill(process);
}

void tandem_fence_process_kill(struct tandem_fence_process *process)
{
	process->is_killed = true;
	kill(-process->process_id, SIGKILL);
	set_timer(process, GRACE_NS);
}

void tandem_fence_process_free(struct tandem_fence_process *process)
{
	if (!process)
		return;
	if (process->process_id > 0) {
		struct pollfd wait = {.fd = process->pidfd, .events = POLLIN};
		siginfo_t information;
		kill(-process->process_id, SIGKILL);
		if (poll(&wait, 1, LAST_WAIT_MS) > 0)
			waitid(P_PIDFD, (id_t)process->pidfd, &information, WEXITED | WNOHANG);
	}
	close_all(process);
}

/* One key a line, as agents read them. A pipe holds it all, so nobody waits for a reader. */
static int fill_input(int fd, const char *parameters, const char *action)
{
	char text[INPUT_BYTES];
	snprintf(text, sizeof(text), "%s\naction=%s\n", parameters, action);
	for (char *at = text; *at != 0; at++)
		*at = *at == ' ' ? '\n' : *at;
	ssize_t length = (ssize_t)strlen(text);
	return write(fd, text, (size_t)length) == length ? 0 : -1;
}

/* An ordinary process, whatever the controller's priority and signals. */
static int spawn(const char *agent, int input_fd, int error_fd, pid_t *ret_process_id)
{
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t files;
	sigset_t none, ordinary;
	const struct sched_param parameters = {.sched_priority = 0};
	char *const arguments[] = {(char *)agent, NULL};
	sigemptyset(&none);
	sigemptyset(&ordinary);
	sigaddset(&ordinary, SIGPIPE);
	sigaddset(&ordinary, SIGTERM);
	sigaddset(&ordinary, SIGINT);
	sigaddset(&ordinary, SIGHUP);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ordinary);
	posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
	posix_spawnattr_setschedparam(&attributes, &parameters);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                              POSIX_SPAWN_SETSIGDEF |
	                                              POSIX_SPAWN_SETSCHEDULER);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, input_fd, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, error_fd, STDERR_FILENO);
	int failure = posix_spawn(ret_process_id, agent, &files, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return failure;
}

static int start(struct tandem_fence_process *process, const char *agent, const char *parameters,
                 const char *action, struct tandem_error *reterr_error)
{
	int input[2] = {-1, -1}, errors[2] = {-1, -1};
	int failure = 0;
	if (pipe2(input, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 ||
	    fcntl(errors[0], F_SETFL, O_NONBLOCK) != 0 ||
	    fill_input(input[1], parameters, action) != 0)
		failure = errno;
	process->error_fd = errors[0];
	if (failure == 0) {
		/* Closed before it starts: it reads to the end. */
		close(input[1]);
		input[1] = -1;
		failure = spawn(agent, input[0], errors[1], &process->process_id);
		process->process_id = failure == 0 ? process->process_id : 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (input[i] >= 0)
			close(input[i]);
	}
	if (errors[1] >= 0)
		close(errors[1]);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "posix_spawn",
		                              "cannot run %.100s", agent);
	return 0;
}

static int watch(struct tandem_fence_process *process, struct event_base *base, uint64_t timeout_ns,
                 struct tandem_error *reterr_error)
{
	process->pidfd = pidfd_open(process->process_id, 0);
	if (process->pidfd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "pidfd_open",
		                              "a fence agent cannot be watched");
	process->ended = event_new(base, process->pidfd, EV_READ | EV_PERSIST, on_ended, process);
	process->error_output =
	        event_new(base, process->error_fd, EV_READ | EV_PERSIST, on_errors, process);
	process->timer = evtimer_new(base, on_time, process);
	if (!process->ended || !process->error_output || !process->timer ||
	    event_add(process->ended, NULL) != 0 || event_add(process->error_output, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event_new",
		                        "a fence agent cannot be watched");
	set_timer(process, timeout_ns);
	return 0;
}

int tandem_fence_process_start(struct event_base *base, const char *agent, const char *parameters,
                               const char *action, uint64_t timeout_ns, tandem_fence_end_fn on_end,
                               void *context, struct tandem_fence_process **ret_process,
                               struct tandem_error *reterr_error)
{
	struct tandem_fence_process *process = tandem_memory_alloc(sizeof(*process));
	if (!process)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "fence", "no memory");
	process->pidfd = -1;
	process->error_fd = -1;
	process->on_end = on_end;
	process->context = context;
	int status = start(process, agent, parameters, action, reterr_error);
	if (status == 0)
		status = watch(process, base, timeout_ns, reterr_error);
	if (status != 0) {
		tandem_fence_process_free(process);
		return status;
	}
	*ret_process = process;
	return 0;
}
