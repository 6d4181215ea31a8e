#include "qemu_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/qemu_watch.h>
#include <unistd.h>

static void on_release(void *context, uint64_t stood_ns)
{
	(void)context;
	tandem_log(
	        TANDEM_LOG_ERROR,
	        "the guest stood still for %llu ms and this program did nothing: it is let go and "
	        "runs on unprotected",
	        (unsigned long long)(stood_ns / TANDEM_NS_PER_MS));
}

/* The child: it has nothing of its parent but the log. Never returns. */
static void watch(const struct tandem_qemu_watch_options *options, pid_t parent)
{
	struct tandem_error error = {.code = 0};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (tandem_qemu_watch_run(options, &error) == 0)
		_exit(EXIT_SUCCESS);
	tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
	_exit(EXIT_FAILURE);
}

int tandem_qemu_watch_start(const char *qmp_path, const struct tandem_qemu_guest_options *options,
                            pid_t *ret_process, struct tandem_error *reterr_error)
{
	const struct tandem_qemu_watch_options times = {
	        .qmp_path = qmp_path,
	        .pause_timeout_ns = options->pause_timeout_ns,
	        .start_timeout_ns = options->start_timeout_ns,
	        .command_timeout_ns = options->command_timeout_ns,
	        .on_release = on_release,
	};
	const pid_t parent = getpid();
	const pid_t child = fork();

	if (child == 0)
		watch(&times, parent);
	if (child < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "watch",
		                              "no process");
	*ret_process = child;
	return 0;
}
