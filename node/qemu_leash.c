#include "qemu_leash.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tandem/life.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 5000

/* Between holder and guard, one a packet. */
enum word {
	WORD_HOLD,     /* to the guard: the process `value` */
	WORD_RELEASE,  /* to the guard */
	WORD_HELD,     /* the process `value` */
	WORD_REFUSED,  /* an errno */
	WORD_RELEASED, /* the last one */
	WORD_ENDED,    /* with the status `value` */
};

struct message {
	enum word word;
	int value;
};

static bool say(int fd, enum word word, int value)
{
	const struct message message = {.word = word, .value = value};

	return send(fd, &message, sizeof(message), MSG_NOSIGNAL) == (ssize_t)sizeof(message);
}

/* ---- the guard: everything here is its own process ---- */

struct guard {
	int fd;
	int signal_fd; /* SIGCHLD: the process stopped or ended */
	_Atomic pid_t process;
	_Atomic bool is_releasing; /* the holder's end is no reason any more to end it */
	_Atomic uint32_t *life;    /* of the holder */
};

/* EXITKILL does the same as the guard ends; this does it before that. */
static void end_all(const struct guard *guard)
{
	const pid_t process = atomic_load(&guard->process);

	if (atomic_load(&guard->is_releasing))
		return;
	if (process > 0)
		kill(process, SIGKILL);
	_exit(EXIT_SUCCESS);
}

static void *watch_holder(void *argument)
{
	const struct guard *guard = argument;
	const _Atomic uint32_t *const words[] = {guard->life};
	uint32_t value = atomic_load(guard->life);

	while (tandem_life_read(value) != TANDEM_LIFE_OVER) {
		if (!tandem_life_wait(words, &value, 1))
			return NULL; /* the kernel cannot: the socket tells, later */
		value = atomic_load(guard->life);
	}
	end_all(guard);
	return NULL;
}

static void hold(struct guard *guard, pid_t process)
{
	if (ptrace(PTRACE_SEIZE, process, NULL, PTRACE_O_EXITKILL) != 0) {
		say(guard->fd, WORD_REFUSED, errno);
		return;
	}
	atomic_store(&guard->process, process);
	say(guard->fd, WORD_HELD, process);
}

static void let_go(struct guard *guard, pid_t process, int signal_number)
{
	ptrace(PTRACE_DETACH, process, NULL, (long)signal_number);
	say(guard->fd, WORD_RELEASED, process);
	_exit(EXIT_SUCCESS);
}

/* A signal is passed on, a process that others stopped stays stopped. */
static void go_on(struct guard *guard, pid_t process, int status)
{
	const bool is_event = status >> 16 == PTRACE_EVENT_STOP;
	const int signal_number = is_event ? 0 : WSTOPSIG(status);
	const bool is_group_stop = is_event && WSTOPSIG(status) != SIGTRAP;

	if (guard->is_releasing)
		let_go(guard, process, signal_number);
	else
		ptrace(is_group_stop ? PTRACE_LISTEN : PTRACE_CONT, process, NULL,
		       (long)signal_number);
}

static void look(struct guard *guard)
{
	struct signalfd_siginfo info;
	pid_t process;
	int status;

	(void)!read(guard->signal_fd, &info, sizeof(info));
	while ((process = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			go_on(guard, process, status);
		} else if (process == atomic_load(&guard->process)) {
			atomic_store(&guard->process, 0);
			say(guard->fd, WORD_ENDED, status);
			if (guard->is_releasing)
				_exit(EXIT_SUCCESS);
		}
	}
}

static void listen_to_holder(struct guard *guard)
{
	struct message message;
	const ssize_t length = recv(guard->fd, &message, sizeof(message), 0);
	const pid_t process = atomic_load(&guard->process);

	if (length != (ssize_t)sizeof(message)) {
		end_all(guard);
		guard->fd = -1; /* nobody hears how it is let go */
		return;
	}
	if (message.word == WORD_HOLD)
		hold(guard, message.value);
	if (message.word != WORD_RELEASE)
		return;
	if (process == 0) {
		say(guard->fd, WORD_RELEASED, 0);
		_exit(EXIT_SUCCESS);
	}
	guard->is_releasing = true; /* at its next stop */
	ptrace(PTRACE_INTERRUPT, process, NULL, NULL);
}

/* The first byte says that it is held. */
static void start_process(struct guard *guard, void (*run)(const void *argument),
                          const void *argument)
{
	int ends[2];
	char byte = 0;

	if (pipe(ends) != 0) {
		say(guard->fd, WORD_REFUSED, errno);
		return;
	}
	const pid_t process = fork();
	if (process == 0) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) != 1)
			_exit(EXIT_FAILURE);
		close(ends[0]);
		run(argument);
		_exit(EXIT_FAILURE);
	}
	if (process > 0)
		hold(guard, process);
	else
		say(guard->fd, WORD_REFUSED, errno);
	(void)!write(ends[1], &byte, process > 0 && guard->process == process);
	close(ends[0]);
	close(ends[1]);
}

static void take_signals(struct guard *guard)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	sigset_t child;

	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	guard->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What the holder has open is not the guard's to keep open. */
static void close_others(const struct guard *guard)
{
	const unsigned low =
	        (unsigned)(guard->fd < guard->signal_fd ? guard->fd : guard->signal_fd);
	const unsigned high =
	        (unsigned)(guard->fd < guard->signal_fd ? guard->signal_fd : guard->fd);

	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

static void be_guard(int fd, _Atomic uint32_t *life, void (*run)(const void *argument),
                     const void *argument)
{
	static struct guard guard;
	pthread_t watcher;

	guard = (struct guard){.fd = fd, .life = life};
	prctl(PR_SET_NAME, "tandem-leash");
	if (run)
		start_process(&guard, run, argument);
	take_signals(&guard);
	close_others(&guard);
	if (guard.signal_fd < 0 || pthread_create(&watcher, NULL, watch_holder, &guard) != 0)
		end_all(&guard);
	for (;;) {
		struct pollfd polled[] = {{.fd = guard.fd, .events = POLLIN},
		                          {.fd = guard.signal_fd, .events = POLLIN}};

		look(&guard); /* also what came before it was listened to */
		if (poll(polled, 2, -1) > 0 && polled[0].revents != 0)
			listen_to_holder(&guard);
	}
}

/* ---- the holder ---- */

/* The answer, or what came instead of one. */
static int hear(struct tandem_qemu_leash *leash, enum word wanted, int *ret_value,
                struct tandem_error *reterr_error)
{
	struct pollfd polled = {.fd = leash->fd, .events = POLLIN};
	struct message message;

	if (poll(&polled, 1, ANSWER_TIMEOUT_MS) != 1)
		return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "leash",
		                        "the process that holds QEMU has not answered within %d ms",
		                        ANSWER_TIMEOUT_MS);
	if (recv(leash->fd, &message, sizeof(message), 0) != (ssize_t)sizeof(message) ||
	    message.word == WORD_ENDED)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "leash", "QEMU has ended");
	*ret_value = message.value;
	if (message.word == wanted)
		return 0;
	return tandem_error_set_errno(
	        reterr_error, TANDEM_E_SYSTEM, message.value, "ptrace",
	        "QEMU cannot be held, so that it would not end with its protection: it has to be "
	        "of "
	        "the same user as tandem-qemu, with no debugger on it, and Yama must allow it: run "
	        "tandemd as root or with CAP_SYS_PTRACE, or set kernel.yama.ptrace_scope to 0");
}

static _Atomic uint32_t *make_life(void)
{
	void *page = mmap(NULL, sizeof(uint32_t), PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

int tandem_qemu_leash_open(struct tandem_qemu_leash *leash, void (*run)(const void *argument),
                           const void *argument, struct tandem_error *reterr_error)
{
	int ends[2];

	*leash = TANDEM_QEMU_LEASH_NONE;
	leash->life = make_life();
	if (!leash->life || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "leash",
		                              "no socket, or no memory");
	tandem_life_begin(leash->life);
	leash->guard = fork();
	if (leash->guard == 0) {
		close(ends[0]);
		be_guard(ends[1], leash->life, run, argument);
	}
	close(ends[1]);
	leash->fd = ends[0];
	if (leash->guard < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "leash",
		                              "no process");
	return run ? hear(leash, WORD_HELD, &leash->process, reterr_error) : 0;
}

/* The process outlives this one, whenever the guard comes to hear of it. */
static bool let_live(struct tandem_qemu_leash *leash)
{
	if (!say(leash->fd, WORD_RELEASE, 0))
		return false;
	tandem_life_end(leash->life);
	return true;
}

int tandem_qemu_leash_hold(struct tandem_qemu_leash *leash, pid_t process,
                           struct tandem_error *reterr_error)
{
	if (!say(leash->fd, WORD_HOLD, process))
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "leash",
		                        "the process that would hold QEMU has ended");
	const int code = hear(leash, WORD_HELD, &leash->process, reterr_error);
	if (code == TANDEM_E_TIMEOUT && let_live(leash)) /* it may be held yet */
		leash->guard = 0;
	return code;
}

bool tandem_qemu_leash_read(struct tandem_qemu_leash *leash, int *ret_status)
{
	struct message message;
	const ssize_t length = recv(leash->fd, &message, sizeof(message), MSG_DONTWAIT);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	leash->process = 0;
	*ret_status = length == (ssize_t)sizeof(message) && message.word == WORD_ENDED
	                      ? message.value
	                      : -1;
	return true;
}

int tandem_qemu_leash_release(struct tandem_qemu_leash *leash, struct tandem_error *reterr_error)
{
	int process;

	if (!let_live(leash))
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "leash",
		                        "the process that held QEMU has ended, and QEMU with it");
	const int code = hear(leash, WORD_RELEASED, &process, reterr_error);
	leash->process = 0;
	if (code == TANDEM_E_TIMEOUT)
		leash->guard = 0;
	return code;
}

void tandem_qemu_leash_close(struct tandem_qemu_leash *leash)
{
	if (leash->fd >= 0)
		close(leash->fd);
	if (leash->guard > 0)
		waitpid(leash->guard, NULL, 0);
	if (leash->life) {
		tandem_life_end(leash->life);
		munmap(leash->life, sizeof(uint32_t));
	}
	*leash = TANDEM_QEMU_LEASH_NONE;
}
