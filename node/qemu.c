#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>
#include <tandem/qemu_probe.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#include "qemu_ahead.h"
#include "qemu_command.h"
#include "qemu_forward.h"
#include "qemu_gates.h"
#include "qemu_identity.h"
#include "qemu_keeper.h"
#include "qemu_leash.h"
#include "qemu_options.h"
#include "qemu_process.h"
#include "qemu_trial.h"
#include "qemu_watch.h"

#define START_TIMEOUT_NS   (60 * TANDEM_NS_PER_S) /* a large guest's memory may be made meanwhile */
#define COMMAND_TIMEOUT_NS (5 * TANDEM_NS_PER_S)
#define CONNECT_NS         (2 * TANDEM_NS_PER_S) /* QEMU tries every 100 ms */
#define END_TIMEOUT_S      10
#define STATUS_NOT_LEADER  3

struct program {
	struct tandem_qemu_options options;
	struct tandem_qemu_keeper keeper;
	struct tandem_qemu_restored restored;
	char incoming_uri[16];
	struct tandem_qemu_leash leash;
	struct event *leash_event;
	struct event *signals[3];
	struct event *end_timer;
	pid_t qemu; /* 0: it has ended, or is not held yet */
	struct tandem_qemu_watch watch;
	uint64_t attach_deadline_ns; /* 0: it has not failed yet */
	pid_t found;                 /* one that runs already */
	bool has_sockets; /* those at qmp_path and watch_path are of the QEMU that it starts */
	bool is_ending;
	int status;
};

static bool is_started_here(const struct program *program)
{
	return program->options.words != NULL;
}

/* Nobody knows of this program yet: when it fails, another one may be started on the same image. */
static bool is_restoring(const struct program *program)
{
	return program->keeper.attach != NULL && !program->keeper.tandem;
}

static void on_end_timeout(evutil_socket_t fd, short what, void *context)
{
	struct program *program = context;

	(void)fd;
	(void)what;
	if (program->qemu > 0)
		kill(program->qemu, SIGKILL);
}

/* QEMU ends as by its power button's owner: it writes what it has, and the loop goes on until it is
 * gone. */
static void end_qemu(struct program *program)
{
	const struct timeval limit = {.tv_sec = END_TIMEOUT_S};

	program->is_ending = true;
	if (program->qemu <= 0)
		return;
	kill(program->qemu, SIGTERM);
	event_add(program->end_timer, &limit);
	event_base_dispatch(program->keeper.base);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	struct program *program = context;

	(void)number;
	(void)what;
	if (!is_started_here(program) && program->qemu > 0)
		tandem_qemu_keeper_leave(&program->keeper);
	else if (!program->keeper.is_stopping)
		tandem_qemu_keeper_stop(&program->keeper);
}

static void on_leash(evutil_socket_t fd, short what, void *context)
{
	struct program *program = context;
	int status;

	(void)fd;
	(void)what;
	if (!tandem_qemu_leash_read(&program->leash, &status))
		return;
	const bool is_well = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	                     !is_restoring(program);
	if (!is_well && !program->is_ending)
		tandem_log(TANDEM_LOG_ERROR, "QEMU ended with status %d",
		           status == -1        ? -1
		           : WIFEXITED(status) ? WEXITSTATUS(status)
		                               : 128 + WTERMSIG(status));
	program->qemu = 0;
	program->status = is_well || program->is_ending ? EXIT_SUCCESS : EXIT_FAILURE;
	event_del(program->leash_event);
	event_base_loopbreak(program->keeper.base);
}

/* Of what restores the guest; the guard's end is seen at its socket. */
static void on_child(evutil_socket_t number, short what, void *context)
{
	const struct program *program = context;
	int status;
	pid_t child;

	(void)number;
	(void)what;
	while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
		if (child != program->leash.guard && !program->is_ending &&
		    !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
			tandem_log(TANDEM_LOG_ERROR, "%s failed",
			           child == program->watch.process ? "the watch of the guest"
			                                           : "what restores the guest");
	}
}

static bool catch (struct program *program)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGCHLD};

	for (unsigned i = 0; i < 3; i++) {
		program->signals[i] =
		        evsignal_new(program->keeper.base, numbers[i],
		                     numbers[i] == SIGCHLD ? on_child : on_signal, program);
		if (!program->signals[i] || event_add(program->signals[i], NULL) != 0)
			return false;
	}
	program->end_timer = evtimer_new(program->keeper.base, on_end_timeout, program);
	return program->end_timer != NULL;
}

static int watch_leash(struct program *program, struct tandem_error *reterr_error)
{
	program->qemu = program->leash.process;
	program->leash_event = event_new(program->keeper.base, program->leash.fd,
	                                 EV_READ | EV_PERSIST, on_leash, program);
	if (!program->leash_event || event_add(program->leash_event, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "leash", "no memory");
	return 0;
}

static int hold(void *argument, struct tandem_error *reterr_error)
{
	struct program *program = argument;
	int code = tandem_qemu_leash_hold(&program->leash, program->found, reterr_error);

	if (code == 0)
		code = watch_leash(program, reterr_error);
	if (code == 0)
		tandem_log(TANDEM_LOG_INFO,
		           "QEMU, process %d, ends with this program from now on: another node may "
		           "go on with its guest",
		           (int)program->found);
	return code;
}

static int open_gates(struct program *program, struct tandem_error *reterr_error)
{
	struct tandem_qemu_gates *gates = &program->options.gates;

	program->options.guest.network_ends = gates->ends;
	program->options.guest.network_end_count = gates->count;
	const int code =
	        tandem_qemu_forward_take(&program->options, program->keeper.base, program->found,
	                                 &program->keeper.has_network, reterr_error);
	return code == 0 ? tandem_qemu_gates_open(gates, program->keeper.base,
	                                          program->options.run_directory,
	                                          program->options.pair, reterr_error)
	                 : code;
}

static int start_qemu(struct program *program, struct tandem_error *reterr_error)
{
	struct tandem_qemu_process process = {
	        .words = program->options.words,
	        .gates = &program->options.gates,
	        .restored = &program->restored,
	};
	const char *const paths[] = {program->options.qmp_path, program->options.watch_path};
	int code = open_gates(program, reterr_error);

	if (code == 0)
		code = tandem_qemu_process_prepare(&process, paths, reterr_error);
	program->has_sockets = code == 0;
	if (code == 0)
		code = tandem_qemu_leash_open(&program->leash, tandem_qemu_process_run, &process,
		                              reterr_error);
	tandem_qemu_process_forget(&process);
	return code == 0 ? watch_leash(program, reterr_error) : code;
}

/* A QEMU that runs already has a second control socket only if it was given one. */
static int start_watch(struct program *program, struct tandem_error *reterr_error)
{
	if (access(program->options.watch_path, F_OK) == 0)
		return tandem_qemu_watch_start(&program->watch, program->options.watch_path,
		                               &program->options.guest, reterr_error);
	tandem_log(TANDEM_LOG_WARNING,
	           "nothing lets the guest go if this program hangs in a checkpoint: QEMU has no "
	           "second control socket, -qmp unix:%s,server=on,wait=off",
	           program->options.watch_path);
	return 0;
}

/* A QEMU that has other memory than the image would go on with a guest that never was. */
static int on_restore(void *argument, struct tandem_error *reterr_error)
{
	struct program *program = argument;
	const struct tandem_qemu_restored *restored = &program->restored;

	for (unsigned i = 0; i < restored->shared_count; i++) {
		if (!tandem_qemu_shared_is_mapped(program->keeper.process,
		                                  restored->shared[i].path))
			return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "QEMU",
			                        "it has not mapped %.120s, which the command line "
			                        "has for the mem-path of %s",
			                        restored->shared[i].path, restored->shared[i].id);
	}
	return 0;
}

static int attach(void *argument, struct tandem_error *reterr_error)
{
	struct program *program = argument;
	struct tandem_options options = TANDEM_OPTIONS_DEFAULT;

	options.pair = program->options.pair;
	options.run_directory = program->options.run_directory;
	return tandem_open(&options, &program->keeper.tandem, reterr_error);
}

/* The controller may have just ended, and starts again: the guest is loaded, and nothing runs. */
static int attach_restored(void *argument, struct tandem_error *reterr_error)
{
	struct program *program = argument;
	const int code = attach(program, reterr_error);
	const uint64_t now_ns = tandem_clock_now_ns();

	if (code == 0) {
		tandem_qemu_restored_use(&program->restored);
		return 0;
	}
	if (code != TANDEM_E_SYSTEM && code != TANDEM_E_TIMEOUT && code != TANDEM_E_PEER_LOST)
		return code;
	if (program->attach_deadline_ns == 0) {
		program->attach_deadline_ns = now_ns + START_TIMEOUT_NS;
		tandem_log(TANDEM_LOG_WARNING,
		           "the guest is loaded and waits for its controller: %s",
		           reterr_error->detail);
	}
	return now_ns < program->attach_deadline_ns ? TANDEM_E_AGAIN : code;
}

static void share(struct program *program)
{
	program->keeper.process = program->options.words ? program->qemu : program->found;
	program->keeper.way = program->options.way;
	program->keeper.on_restore = on_restore;
	if (!program->keeper.attach)
		return;
	snprintf(program->incoming_uri, sizeof(program->incoming_uri), "fd:%d",
	         program->restored.fd);
	program->options.guest.incoming_uri = program->incoming_uri;
	program->options.guest.is_incoming_shared = program->restored.shared_count > 0;
}

/* No other node goes on with the guest, so it may live without this program. */
static void release(void *argument)
{
	struct program *program = argument;
	struct tandem_error error;

	if (program->qemu <= 0)
		return;
	event_del(program->leash_event); /* the guard ends, and QEMU does not */
	if (tandem_qemu_leash_release(&program->leash, &error) != 0)
		tandem_log(TANDEM_LOG_ERROR, "%s", error.detail);
	program->qemu = 0;
}

static void unlink_sockets(const struct program *program)
{
	if (!program->has_sockets)
		return;
	(void)unlink(program->options.qmp_path);
	(void)unlink(program->options.watch_path);
}

/* Nothing has come of it. If it has just been told to take over, another one does. */
static _Noreturn void end_ahead(struct program *program)
{
	tandem_qemu_leash_close(&program->leash);
	tandem_qemu_gates_close(&program->options.gates);
	unlink_sockets(program);
	exit(EXIT_FAILURE);
}

/* Starts the QEMU that takes over before it is known what with, and waits for that. */
static int start_ahead(struct program *program, struct tandem_recovery *ret_recovery,
                       struct tandem_error *reterr_error)
{
	const struct tandem_recovery held = {.image_directory = getenv("TANDEM_IMAGE_DIR"),
	                                     .state_file = getenv("TANDEM_STATE_FILE")};
	const char *qmp_path = program->options.qmp_path;
	char other[TANDEM_QEMU_LISTENER_BYTES];
	int code;

	if (!held.image_directory || !held.state_file)
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, "--ahead",
		                        "TANDEM_IMAGE_DIR and TANDEM_STATE_FILE are not set");
	else if (tandem_qemu_listener_find(qmp_path, other))
		code = tandem_error_set(reterr_error, TANDEM_E_AGAIN, "--ahead",
		                        "none is started beside it: %s", other);
	else
		code = tandem_qemu_restore_prepare(&held, &program->restored, reterr_error);
	if (code == 0)
		code = start_qemu(program, reterr_error);
	if (code == 0)
		code = tandem_qemu_probe_waiting(qmp_path, START_TIMEOUT_NS, false,
		                                 program->options.ahead_fd, reterr_error);
	if (code == 0 && !tandem_qemu_ahead_wait(program->options.ahead_fd, program->leash.fd))
		end_ahead(program);
	tandem_qemu_gates_forget(&program->options.gates);
	if (code == 0 && !tandem_recovery_read(ret_recovery))
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, "--ahead",
		                        "it is not told what to take over with");
	return code;
}

static int start_restored(struct program *program, struct tandem_recovery *recovery,
                          struct tandem_error *reterr_error)
{
	const bool is_ahead = program->options.ahead_fd >= 0;
	int code =
	        is_ahead ? start_ahead(program, recovery, reterr_error)
	                 : tandem_qemu_restore_prepare(recovery, &program->restored, reterr_error);

	program->keeper.attach = attach_restored;
	if (code == 0)
		code = tandem_qemu_restore_feed(recovery, &program->restored, reterr_error);
	return code == 0 && !is_ahead ? start_qemu(program, reterr_error) : code;
}

static int start_guest(struct program *program, struct tandem_error *reterr_error)
{
	struct tandem_recovery recovery;
	int code = 0;

	program->keeper.on_left = release;
	program->keeper.hold_argument = program;
	program->keeper.argument = program;
	if (!is_started_here(program)) {
		program->keeper.hold = hold;
		code = tandem_qemu_process_find(program->options.qmp_path, &program->found,
		                                reterr_error);
		if (code == 0 && program->options.other_words)
			code = tandem_qemu_process_compare(
			        program->found, program->options.other_words, reterr_error);
		if (code == 0)
			code = tandem_qemu_leash_open(&program->leash, NULL, NULL, reterr_error);
	}
	const bool is_restored = is_started_here(program) && (tandem_recovery_read(&recovery) ||
	                                                      program->options.ahead_fd >= 0);
	if (is_restored)
		code = start_restored(program, &recovery, reterr_error);
	else if (code == 0)
		code = attach(program, reterr_error);
	if (code == 0 && !is_restored)
		code = is_started_here(program) ? start_qemu(program, reterr_error)
		                                : open_gates(program, reterr_error);
	if (code == 0 && !is_started_here(program))
		tandem_qemu_gates_await(&program->options.gates, CONNECT_NS);
	return code == 0 ? start_watch(program, reterr_error) : code;
}

/* Who may not lead has no guest that runs; processes come before there are threads. */
static int start(struct program *program, struct tandem_error *reterr_error)
{
	struct tandem_qemu_guest_options *guest = &program->options.guest;

	program->leash = TANDEM_QEMU_LEASH_NONE;
	program->restored.fd = program->restored.feed_fd = -1;
	program->keeper.base = event_base_new();
	if (!program->keeper.base || !catch (program))
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "start", "no memory");
	program->keeper.gates = &program->options.gates;
	program->keeper.watch = &program->watch;
	tandem_qemu_note_open(&program->keeper.note, &program->options.gates,
	                      program->options.run_directory, program->options.pair);
	guest->qmp_path = program->options.qmp_path;
	guest->stream_path = program->options.stream_path;
	guest->command_timeout_ns = COMMAND_TIMEOUT_NS;
	guest->start_timeout_ns = is_started_here(program) ? START_TIMEOUT_NS : COMMAND_TIMEOUT_NS;
	const int code = start_guest(program, reterr_error);
	if (code != 0)
		return code;
	share(program);
	return tandem_qemu_keeper_open(&program->keeper, guest, reterr_error);
}

static void end(struct program *program)
{
	tandem_qemu_keeper_close(&program->keeper);
	tandem_qemu_gates_close(&program->options.gates);
	tandem_qemu_leash_close(&program->leash);
	if (program->leash_event)
		event_free(program->leash_event);
	for (unsigned i = 0; i < 3; i++) {
		if (program->signals[i])
			event_free(program->signals[i]);
	}
	if (program->end_timer)
		event_free(program->end_timer);
	if (program->keeper.base)
		event_base_free(program->keeper.base);
	if (!program->keeper.has_left)
		unlink_sockets(program);
}

/* One that is not held yet goes on as if nothing had been. */
static void let_go(struct program *program)
{
	if (!program->keeper.guest || program->keeper.is_over || program->qemu > 0)
		return;
	tandem_qemu_keeper_stop(&program->keeper);
	if (!program->keeper.is_over)
		event_base_dispatch(program->keeper.base);
}

/* Its network goes on, too. */
static void forward(struct program *program)
{
	const pid_t qemu = is_started_here(program) ? program->keeper.process : program->found;
	struct tandem_error error;

	if (!tandem_qemu_keeper_lets_go(&program->keeper) ||
	    !tandem_qemu_gates_are_open(&program->options.gates))
		return;
	tandem_qemu_note_close(&program->keeper.note);
	if (tandem_qemu_forward_start(&program->options, qemu, &error) != 0)
		tandem_log(TANDEM_LOG_ERROR,
		           "the guest has no network until it is protected again: %s",
		           error.detail);
}

static int run(struct program *program)
{
	struct tandem_error error = {.code = 0};
	int code = start(program, &error);

	if (code == 0) {
		event_base_dispatch(program->keeper.base);
		code = program->keeper.code;
	} else {
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
	}
	if (is_restoring(program) && code != TANDEM_E_NOT_LEADER)
		tandem_log(TANDEM_LOG_ERROR, "the guest has not run: its image is as it was");
	/* A guest that may not lead has no time left for anything, and one that has not run needs
	 * none. */
	if (program->qemu > 0 && (code == TANDEM_E_NOT_LEADER || is_restoring(program)))
		kill(program->qemu, SIGKILL);
	if (!is_started_here(program))
		let_go(program);
	if (program->qemu > 0)
		end_qemu(program);
	else
		forward(program);
	end(program);
	if (code != 0)
		return code == TANDEM_E_NOT_LEADER ? STATUS_NOT_LEADER : EXIT_FAILURE;
	return program->status;
}

int main(int argument_count, char **arguments)
{
	static struct program program;

	tandem_log_open("tandem-qemu");
	const int refused = tandem_qemu_options_read(argument_count, arguments, &program.options);
	if (refused != 0)
		return refused - 1;
	signal(SIGPIPE, SIG_IGN);
	if (program.options.asks_identity)
		return tandem_qemu_identity_say(program.options.other_words, START_TIMEOUT_NS);
	if (program.options.is_on_trial)
		return tandem_qemu_trial_say(&program.options, START_TIMEOUT_NS);
	if (program.options.forward_fd >= 0)
		return tandem_qemu_forward_run(&program.options);
	tandem_failpoint_load();
	return run(&program);
}
