#include "qemu_forward.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/process.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#include "qemu_hand.h"
#include "qemu_note.h"

#define LINK_FD    3
#define LINK_TEXT  "3"
#define RETRY_MS   10
#define GATE_BYTES 256
#define WORDS_MAX  (8 + 2 * TANDEM_QEMU_GATES_MAX)

extern char **environ;

static void name_door(const struct tandem_qemu_options *options, char ret_path[PATH_MAX])
{
	snprintf(ret_path, PATH_MAX, "%s/%s.gates", options->run_directory, options->pair);
}

/* ---- starting it ---- */

/* An errno. A session of its own: whoever ends the terminal of this program does not end it. */
static int spawn(const struct tandem_qemu_options *options, int link)
{
	static char gates[TANDEM_QEMU_GATES_MAX][GATE_BYTES];
	const char *words[WORDS_MAX] = {
	        "tandem-qemu",          "--pair",    options->pair, "--run-dir",
	        options->run_directory, "--forward", LINK_TEXT};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	size_t count = 7;
	pid_t process;

	for (unsigned i = 0; i < options->gates.count; i++) {
		const struct tandem_qemu_card *card = &options->gates.cards[i];

		snprintf(gates[i], GATE_BYTES, "%s:%s",
		         card->kind == TANDEM_QEMU_GATE_USER ? "user" : "plug", card->outside);
		words[count++] = "--gate";
		words[count++] = gates[i];
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, link, LINK_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, LINK_FD + 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	const int failure = posix_spawn(&process, "/proc/self/exe", &actions, &attributes,
	                                (char *const *)(uintptr_t)words, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return failure;
}

int tandem_qemu_forward_start(struct tandem_qemu_options *options, pid_t qemu,
                              struct tandem_error *reterr_error)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "gate",
		                              "no socket");
	tandem_qemu_hand_limit(ends[0]);
	const int failure = spawn(options, ends[1]);
	close(ends[1]);
	const int code =
	        failure == 0 ? tandem_qemu_hand_give(&options->gates, qemu, ends[0], reterr_error)
	                     : tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
	                                              "gate", "no process");
	close(ends[0]);
	return code;
}

/* ---- taking them from it ---- */

/* An errno. */
static int reach(int link, const struct sockaddr_un *address)
{
	int code;

	do /* with a limit the kernel does not go on by itself after a signal */
		code = connect(link, (const struct sockaddr *)address, sizeof(*address));
	while (code != 0 && errno == EINTR);
	return code == 0 ? 0 : errno;
}

/* *ret_link -1: there is none. */
static int connect_to(const struct tandem_qemu_options *options, int *ret_link,
                      struct tandem_error *reterr_error)
{
	struct sockaddr_un address;
	char path[PATH_MAX];
	int link, failure, code;

	*ret_link = -1;
	name_door(options, path);
	code = tandem_unix_address(path, &address, reterr_error);
	if (code != 0)
		return code;
	link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (link < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "gate",
		                              "no socket");
	tandem_qemu_hand_limit(link);
	failure = reach(link, &address);
	if (failure == 0) {
		*ret_link = link;
		return 0;
	}
	close(link);
	if (failure == ENOENT || failure == ECONNREFUSED)
		return 0;
	return tandem_error_set_errno(reterr_error,
	                              failure == EAGAIN ? TANDEM_E_TIMEOUT : TANDEM_E_SYSTEM,
	                              failure, "gate",
	                              "what has the network of a guest that was let go does not "
	                              "answer at %.80s: end that QEMU first, or what listens there",
	                              path);
}

static int take(struct tandem_qemu_options *options, struct event_base *base, pid_t qemu, int link,
                struct tandem_error *reterr_error)
{
	unsigned count;
	pid_t of;
	int code = tandem_qemu_hand_ask(link, &of, &count, reterr_error);

	if (code == 0 && of != qemu)
		code = tandem_error_set(reterr_error, TANDEM_E_AGAIN, "gate",
		                        "process %d, " TANDEM_PROCESS_FORWARDER
		                        ", has the network of the QEMU that is process %d and "
		                        "was let go: end that one first",
		                        (int)tandem_unix_peer(link), (int)of);
	if (code == 0)
		code = tandem_qemu_hand_take(&options->gates, base, options->run_directory,
		                             options->pair, count, link, reterr_error);
	if (code == 0)
		code = tandem_qemu_hand_confirm(&options->gates, link, reterr_error);
	if (code != 0) /* whose they are still has them */
		tandem_qemu_gates_yield(&options->gates);
	return code;
}

static int take_once(struct tandem_qemu_options *options, struct event_base *base, pid_t qemu,
                     bool *ret_is_taken, struct tandem_error *reterr_error)
{
	int link;
	int code = connect_to(options, &link, reterr_error);

	*ret_is_taken = false;
	if (code != 0 || link < 0)
		return code;
	code = take(options, base, qemu, link, reterr_error);
	if (code == TANDEM_E_TIMEOUT)
		tandem_error_wrap(reterr_error, code, "process %d, " TANDEM_PROCESS_FORWARDER,
		                  (int)tandem_unix_peer(link));
	close(link);
	*ret_is_taken = code == 0 && tandem_qemu_gates_are_open(&options->gates);
	return code;
}

/* Where its QEMU has just ended it is about to end, too, and then there is none. */
int tandem_qemu_forward_take(struct tandem_qemu_options *options, struct event_base *base,
                             pid_t qemu, bool *ret_is_taken, struct tandem_error *reterr_error)
{
	const uint64_t end_ns = tandem_clock_now_ns() + TANDEM_QEMU_HAND_S * TANDEM_NS_PER_S;
	int code;

	while ((code = take_once(options, base, qemu, ret_is_taken, reterr_error)) ==
	               TANDEM_E_PEER_LOST &&
	       tandem_clock_now_ns() < end_ns)
		poll(NULL, 0, RETRY_MS);
	return code;
}

/* ---- the forwarder ---- */

struct forwarder {
	struct tandem_qemu_options *options;
	struct event_base *base;
	struct tandem_qemu_note note;
	pid_t qemu;
	int qemu_fd; /* its pidfd */
	char door_path[PATH_MAX];
	struct evconnlistener *door;
	struct event *events[4];
	int link; /* of who has taken them, and waits for the end of this process; -1: nobody */
};

static void on_qemu_end(evutil_socket_t fd, short what, void *context)
{
	const struct forwarder *forwarder = context;

	(void)fd;
	(void)what;
	tandem_log(TANDEM_LOG_INFO, "QEMU, process %d, has ended, and its network with it",
	           (int)forwarder->qemu);
	event_base_loopbreak(forwarder->base);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	const struct forwarder *forwarder = context;

	(void)what;
	tandem_log(TANDEM_LOG_WARNING,
	           "ending on signal %d: the guest of QEMU, process %d, has no network until it is "
	           "protected again",
	           (int)number, (int)forwarder->qemu);
	event_base_loopbreak(forwarder->base);
}

/* What the network had no room for is tried again, too. */
static void on_second(evutil_socket_t fd, short what, void *context)
{
	struct forwarder *forwarder = context;

	(void)fd;
	(void)what;
	tandem_qemu_gates_release(&forwarder->options->gates, 0);
	tandem_qemu_note_renew(&forwarder->note);
}

static bool has_ended(const struct forwarder *forwarder)
{
	struct pollfd polled = {.fd = forwarder->qemu_fd, .events = POLLIN};

	return poll(&polled, 1, 0) != 0;
}

static void on_taker(struct evconnlistener *door, evutil_socket_t fd, struct sockaddr *from,
                     int from_length, void *context)
{
	struct forwarder *forwarder = context;
	struct tandem_error error;

	(void)from;
	(void)from_length;
	tandem_qemu_hand_limit(fd);
	if (!has_ended(forwarder) &&
	    tandem_qemu_hand_give(&forwarder->options->gates, forwarder->qemu, fd, &error) == 0) {
		evconnlistener_disable(door);
		tandem_log(TANDEM_LOG_INFO, "the guest's network is protected again, or about to");
		forwarder->link = fd;
		event_base_loopbreak(forwarder->base);
		return;
	}
	close(fd);
}

static int open_door(struct forwarder *forwarder, struct tandem_error *reterr_error)
{
	int fd;
	int code;

	name_door(forwarder->options, forwarder->door_path);
	code = tandem_unix_listen(forwarder->door_path, SOCK_SEQPACKET | SOCK_NONBLOCK, 1, &fd,
	                          reterr_error);
	if (code != 0)
		return code;
	forwarder->door = evconnlistener_new(forwarder->base, on_taker, forwarder,
	                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
	                                             LEV_OPT_LEAVE_SOCKETS_BLOCKING,
	                                     0, fd);
	return forwarder->door
	               ? 0
	               : tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
}

static int watch(struct forwarder *forwarder, struct tandem_error *reterr_error)
{
	const struct timeval second = {.tv_sec = 1};
	struct event **events = forwarder->events;

	forwarder->qemu_fd = (int)syscall(SYS_pidfd_open, forwarder->qemu, 0);
	if (forwarder->qemu_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "pidfd_open",
		                              "QEMU, process %d", (int)forwarder->qemu);
	events[0] = event_new(forwarder->base, forwarder->qemu_fd, EV_READ, on_qemu_end, forwarder);
	events[1] = evsignal_new(forwarder->base, SIGTERM, on_signal, forwarder);
	events[2] = evsignal_new(forwarder->base, SIGINT, on_signal, forwarder);
	events[3] = event_new(forwarder->base, -1, EV_PERSIST, on_second, forwarder);
	for (unsigned i = 0; i < 4; i++) {
		if (!events[i] || event_add(events[i], i == 3 ? &second : NULL) != 0)
			return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
	}
	return open_door(forwarder, reterr_error);
}

static int begin(struct forwarder *forwarder, struct tandem_error *reterr_error)
{
	struct tandem_qemu_options *options = forwarder->options;
	const int link = options->forward_fd;
	unsigned count;
	int code;

	forwarder->base = event_base_new();
	if (!forwarder->base)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
	tandem_qemu_hand_limit(link);
	code = tandem_qemu_hand_ask(link, &forwarder->qemu, &count, reterr_error);
	if (code == 0)
		code = tandem_qemu_hand_take(&options->gates, forwarder->base,
		                             options->run_directory, options->pair, count, link,
		                             reterr_error);
	if (code == 0)
		code = watch(forwarder, reterr_error);
	if (code == 0)
		code = tandem_qemu_hand_confirm(&options->gates, link, reterr_error);
	close(link);
	return code;
}

/* The gates first: who finds nobody at the door makes its own. */
static void end(struct forwarder *forwarder)
{
	tandem_qemu_gates_close(&forwarder->options->gates);
	tandem_qemu_note_close(&forwarder->note);
	if (forwarder->door) {
		(void)unlink(forwarder->door_path);
		evconnlistener_free(forwarder->door);
	}
	for (unsigned i = 0; i < 4; i++) {
		if (forwarder->events[i])
			event_free(forwarder->events[i]);
	}
	if (forwarder->qemu_fd >= 0)
		close(forwarder->qemu_fd);
	if (forwarder->link >= 0)
		close(forwarder->link);
	if (forwarder->base)
		event_base_free(forwarder->base);
}

int tandem_qemu_forward_run(struct tandem_qemu_options *options)
{
	struct forwarder forwarder = {.options = options, .qemu_fd = -1, .link = -1};
	struct tandem_error error = {.code = 0};

	(void)prctl(PR_SET_NAME, TANDEM_PROCESS_FORWARDER);
	const int code = begin(&forwarder, &error);
	if (code == 0) {
		tandem_log(TANDEM_LOG_INFO,
		           "this process, %d, has the guest's network and holds nothing back, "
		           "until QEMU, process %d, ends or is protected again",
		           (int)getpid(), (int)forwarder.qemu);
		tandem_qemu_note_open(&forwarder.note, &options->gates, options->run_directory,
		                      options->pair);
		forwarder.note.forwards_for = forwarder.qemu;
		tandem_qemu_note_write(&forwarder.note, false);
		event_base_dispatch(forwarder.base);
	} else {
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
		tandem_qemu_gates_yield(&options->gates);
	}
	end(&forwarder);
	return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
