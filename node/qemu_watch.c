#include "qemu_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/qemu_watch.h>
#include <unistd.h>

enum { FREE, HELD, RELEASED };

static bool turn(_Atomic uint32_t *word, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
}

bool tandem_qemu_watch_hold(struct tandem_qemu_watch *watch)
{
	return !watch->word || turn(watch->word, FREE, HELD);
}

void tandem_qemu_watch_free(struct tandem_qemu_watch *watch)
{
	if (watch->word)
		(void)turn(watch->word, HELD, FREE);
}

void tandem_qemu_watch_renew(struct tandem_qemu_watch *watch)
{
	if (watch->word)
		atomic_store(watch->word, FREE);
}

/* ---- the process ---- */

struct keeper {
	_Atomic uint32_t *word;
	bool has_told;
};

static void tell(struct keeper *keeper, uint64_t stood_ns, const char *what)
{
	if (!keeper->has_told)
		tandem_log(TANDEM_LOG_ERROR,
		           "the guest stood still for %llu ms and this program did nothing: %s",
		           (unsigned long long)(stood_ns / TANDEM_NS_PER_MS), what);
	keeper->has_told = true;
}

static bool on_release(void *context, uint64_t stood_ns)
{
	struct keeper *keeper = context;
	uint32_t seen = FREE;

	if (!atomic_compare_exchange_strong(keeper->word, &seen, RELEASED) && seen == HELD) {
		tell(keeper, stood_ns,
		     "its epoch is being read, so it is not let go; end the program to have the "
		     "other node go on");
		return false;
	}
	tell(keeper, stood_ns, "it is let go and runs on unprotected");
	keeper->has_told = false;
	return true;
}

/* The child: it has nothing of its parent but the word and the log. Never returns. */
static void run(struct tandem_qemu_watch_options *options, _Atomic uint32_t *word, pid_t parent)
{
	struct keeper keeper = {.word = word};
	struct tandem_error error = {.code = 0};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	options->on_release = on_release;
	options->context = &keeper;
	if (tandem_qemu_watch_run(options, &error) == 0)
		_exit(EXIT_SUCCESS);
	tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
	_exit(EXIT_FAILURE);
}

int tandem_qemu_watch_start(struct tandem_qemu_watch *watch, const char *qmp_path,
                            const struct tandem_qemu_guest_options *options,
                            struct tandem_error *reterr_error)
{
	struct tandem_qemu_watch_options times = {
	        .qmp_path = qmp_path,
	        .pause_timeout_ns = options->pause_timeout_ns,
	        .start_timeout_ns = options->start_timeout_ns,
	        .command_timeout_ns = options->command_timeout_ns,
	};
	const pid_t parent = getpid();
	void *const word = mmap(NULL, sizeof(*watch->word), PROT_READ | PROT_WRITE,
	                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (word == MAP_FAILED)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "watch", "no memory");
	watch->word = word;
	watch->process = fork();
	if (watch->process == 0)
		run(&times, watch->word, parent);
	if (watch->process < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "watch",
		                              "no process");
	return 0;
}
