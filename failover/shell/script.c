#include "shell/script.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <unistd.h>

extern char **environ;

#define VARIABLE_BYTES  330
#define ENVIRONMENT_MAX 512
#define READ_BYTES      4096

struct tandem_script {
	struct tandem_script_options options;
	struct event *launched;
	struct event *deadline;
	struct event *ended;
	struct event *output;
	int launched_fd; /* of the thread that starts it; -1: closed */
	int output_fd;
	int pidfd;
	pid_t process; /* 0: not started yet */
	uint64_t start_ns;
	bool is_late;
	bool is_flood;
	size_t output_bytes;
	size_t line_length;
	char line[TANDEM_SCRIPT_LINE_BYTES]; /* that is being written */
	char last_line[TANDEM_SCRIPT_LINE_BYTES];
};

/* ---- the thread that starts it ---- */

struct launch {
	int report_fd;
	int output_fd;
	char text[TANDEM_SCRIPT_BYTES];
	char variables[TANDEM_SCRIPT_VARIABLES_MAX][VARIABLE_BYTES];
	char *list[ENVIRONMENT_MAX];
};

struct report {
	int failure;
	pid_t process;
};

static int spawn(const struct launch *launch, char *text, pid_t *ret_process)
{
	char shell[] = "sh", option[] = "-c";
	char *arguments[] = {shell, option, text, NULL};
	const struct sched_param parameters = {.sched_priority = 0};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
	posix_spawnattr_setschedparam(&attributes, &parameters);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
	                                              POSIX_SPAWN_SETPGROUP |
	                                              POSIX_SPAWN_SETSCHEDULER);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, launch->output_fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, launch->output_fd, STDERR_FILENO);
	int failure =
	        posix_spawn(ret_process, "/bin/sh", &files, &attributes, arguments, launch->list);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return failure;
}

/* Owns the launch. Who waited for it may be gone. */
static void *run_launch(void *argument)
{
	struct launch *launch = argument;
	struct report report = {.process = 0};
	report.failure = spawn(launch, launch->text, &report.process);
	if (write(launch->report_fd, &report, sizeof(report)) != sizeof(report) &&
	    report.failure == 0)
		kill(-report.process, SIGKILL);
	close(launch->report_fd);
	close(launch->output_fd);
	tandem_memory_free(launch);
	return NULL;
}

static void fill_launch(struct launch *launch, const struct tandem_script_options *options)
{
	size_t count = 0;
	for (size_t i = 0; i < options->variable_count; i++) {
		snprintf(launch->variables[i], VARIABLE_BYTES, "%s=%s", options->variables[i].name,
		         options->variables[i].value);
		launch->list[count++] = launch->variables[i];
	}
	for (char **each = environ; *each && count < ENVIRONMENT_MAX - 1; each++) {
		if (strncmp(*each, "TANDEM_", 7) != 0)
			launch->list[count++] = *each;
	}
	snprintf(launch->text, sizeof(launch->text), "%s", options->text);
}

/* With ordinary scheduling, whatever this thread has, and no signals. */
static int start_thread(struct launch *launch)
{
	const struct sched_param parameters = {.sched_priority = 0};
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
	pthread_attr_setschedparam(&attributes, &parameters);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failure = pthread_create(&thread, &attributes, run_launch, launch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return failure;
}

/* ---- its output ---- */

static void close_output(struct tandem_script *script)
{
	if (script->output)
		event_free(script->output);
	if (script->output_fd >= 0)
		close(script->output_fd);
	script->output = NULL;
	script->output_fd = -1;
}

static void end_line(struct tandem_script *script)
{
	if (script->line_length == 0)
		return;
	memcpy(script->last_line, script->line, script->line_length);
	script->last_line[script->line_length] = 0;
	script->line_length = 0;
}

static void take_bytes(struct tandem_script *script, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool is_printable = bytes[i] >= ' ' && bytes[i] <= '~';
		if (bytes[i] == '\n')
			end_line(script);
		else if (script->line_length < sizeof(script->line) - 1)
			script->line[script->line_length++] = is_printable ? bytes[i] : '?';
	}
}

/* True when there may be more. */
static bool read_output(struct tandem_script *script)
{
	char bytes[READ_BYTES];
	if (script->output_fd < 0)
		return false;
	ssize_t length = read(script->output_fd, bytes, sizeof(bytes));
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (length <= 0) {
		close_output(script);
		return false;
	}
	take_bytes(script, bytes, (size_t)length);
	script->output_bytes += (size_t)length;
	script->is_flood = script->output_bytes >= TANDEM_SCRIPT_OUTPUT_MAX;
	if (script->is_flood) {
		script->line_length = 0; /* half a line */
		close_output(script);
	}
	return !script->is_flood;
}

static void on_output(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	read_output(context);
}

/* ---- its life ---- */

static void release(struct tandem_script *script)
{
	close_output(script);
	if (script->launched)
		event_free(script->launched);
	if (script->deadline)
		event_free(script->deadline);
	if (script->ended)
		event_free(script->ended);
	if (script->launched_fd >= 0)
		close(script->launched_fd);
	if (script->pidfd >= 0)
		close(script->pidfd);
	tandem_memory_free(script);
}

static void finish(struct tandem_script *script, int failure, int status)
{
	struct tandem_script_options options = script->options;
	char last_line[TANDEM_SCRIPT_LINE_BYTES];
	struct tandem_script_end end = {.failure = failure,
	                                .status = status,
	                                .is_late = script->is_late,
	                                .took_ns = tandem_clock_now_ns() - script->start_ns,
	                                .last_line = last_line};
	while (read_output(script))
		continue;
	end_line(script);
	end.is_flood = script->is_flood;
	memcpy(last_line, script->last_line, sizeof(last_line));
	release(script);
	options.on_end(options.context, &end);
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct tandem_script *script = context;
	int status = 0;
	(void)fd;
	(void)what;
	if (waitpid(script->process, &status, WNOHANG) == script->process)
		finish(script, 0, status);
}

/* One that is not started yet is killed as soon as it is. */
static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct tandem_script *script = context;
	(void)fd;
	(void)what;
	script->is_late = true;
	if (script->process > 0)
		kill(-script->process, SIGKILL);
}

static bool watch_end(struct tandem_script *script)
{
	script->pidfd = pidfd_open(script->process, 0);
	if (script->pidfd < 0)
		return false;
	script->ended = event_new(script->options.base, script->pidfd, EV_READ | EV_PERSIST,
	                          on_ended, script);
	return script->ended && event_add(script->ended, NULL) == 0;
}

static void on_launched(evutil_socket_t fd, short what, void *context)
{
	struct tandem_script *script = context;
	struct report report = {.failure = EIO};
	int status = 0;
	(void)what;
	if (read(fd, &report, sizeof(report)) != sizeof(report))
		report.failure = EIO;
	if (report.failure != 0) {
		finish(script, report.failure, 0);
		return;
	}
	script->process = report.process;
	if (script->is_late)
		kill(-script->process, SIGKILL);
	if (watch_end(script))
		return;
	/* Nobody would know of its end. */
	kill(-script->process, SIGKILL);
	waitpid(script->process, &status, 0);
	finish(script, ENOMEM, 0);
}

static bool prepare(struct tandem_script *script, int launched_fd, int output_fd)
{
	struct event_base *base = script->options.base;
	uint64_t timeout_ns = script->options.timeout_ns;
	struct timeval timeout = tandem_clock_timeval(timeout_ns);
	script->launched_fd = launched_fd;
	script->output_fd = output_fd;
	fcntl(output_fd, F_SETFL, O_NONBLOCK);
	script->launched = event_new(base, launched_fd, EV_READ, on_launched, script);
	script->output = event_new(base, output_fd, EV_READ | EV_PERSIST, on_output, script);
	script->deadline = evtimer_new(base, on_deadline, script);
	return script->launched && script->output && script->deadline &&
	       event_add(script->launched, NULL) == 0 && event_add(script->output, NULL) == 0 &&
	       evtimer_add(script->deadline, &timeout) == 0;
}

static int launch(struct tandem_script *script)
{
	struct launch *launch = tandem_memory_alloc(sizeof(*launch));
	int reports[2] = {-1, -1}, outputs[2] = {-1, -1}, failure = 0;
	if (!launch)
		return ENOMEM;
	if (pipe2(reports, O_CLOEXEC) != 0 || pipe2(outputs, O_CLOEXEC) != 0)
		failure = errno;
	else if (!prepare(script, reports[0], outputs[0]))
		failure = ENOMEM;
	fill_launch(launch, &script->options);
	launch->report_fd = reports[1];
	launch->output_fd = outputs[1];
	if (failure == 0)
		failure = start_thread(launch);
	if (failure == 0)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		if (reports[i] >= 0 && (i == 1 || script->launched_fd < 0))
			close(reports[i]);
		if (outputs[i] >= 0 && (i == 1 || script->output_fd < 0))
			close(outputs[i]);
	}
	tandem_memory_free(launch);
	return failure;
}

int tandem_script_start(const struct tandem_script_options *options,
                        struct tandem_script **ret_script, struct tandem_error *reterr_error)
{
	struct tandem_script *script = tandem_memory_alloc(sizeof(*script));
	if (!script)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "script", "no memory");
	script->options = *options;
	script->launched_fd = script->output_fd = script->pidfd = -1;
	script->start_ns = tandem_clock_now_ns();
	int failure = launch(script);
	if (failure == 0) {
		*ret_script = script;
		return 0;
	}
	release(script);
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "script",
	                              "no thread or descriptor to start it");
}

void tandem_script_free(struct tandem_script *script)
{
	if (!script)
		return;
	if (script->process > 0) {
		kill(-script->process, SIGKILL);
		waitpid(script->process, NULL, WNOHANG); /* what stays is init's */
	}
	release(script);
}
