#include "bench_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody writes to the pipe: it ends when its other end is closed, by whatever means. */
static void keep(int word_fd)
{
	char byte;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	while (read(word_fd, &byte, 1) < 0 && errno == EINTR)
		;
	kill(0, SIGKILL);
	_exit(EXIT_FAILURE);
}

int tandem_bench_keeper_start(struct tandem_bench_keeper *keeper, struct tandem_error *reterr_error)
{
	int fds[2];

	/* Programs that lost their parent become children of the bench, which so learns of their
	 * end. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || pipe2(fds, O_CLOEXEC) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "pipe",
		                              "keeper");
	keeper->pid = fork();
	if (keeper->pid == 0) {
		close(fds[1]);
		if (setpgid(0, 0) != 0)
			_exit(EXIT_FAILURE);
		keep(fds[0]);
	}
	close(fds[0]);
	keeper->word_fd = fds[1];
	if (keeper->pid < 0) {
		close(fds[1]);
		keeper->pid = 0;
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fork",
		                              "keeper");
	}
	/* Whoever comes first; the keeper may have done it. */
	setpgid(keeper->pid, keeper->pid);
	return 0;
}

void tandem_bench_keeper_end(struct tandem_bench_keeper *keeper)
{
	pid_t ended;

	if (keeper->pid == 0)
		return;
	close(keeper->word_fd);
	do
		ended = waitpid(-keeper->pid, NULL, 0);
	while (ended > 0 || (ended < 0 && errno == EINTR));
	keeper->pid = 0;
}

static void become(const struct tandem_bench_keeper *keeper, char *const *arguments, int log_fd)
{
	if (setpgid(0, keeper->pid) != 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	execv(arguments[0], arguments);
	_exit(EXIT_FAILURE);
}

int tandem_bench_keeper_spawn(const struct tandem_bench_keeper *keeper, char *const *arguments,
                              const char *log, pid_t *ret_pid, struct tandem_error *reterr_error)
{
	const int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t pid;

	if (log_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s",
		                              log);
	if (access(arguments[0], X_OK) != 0) {
		close(log_fd);
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "start",
		                              "%s must be beside tandem-bench: build all of "
		                              "Tandem, with its examples",
		                              arguments[0]);
	}
	pid = fork();
	if (pid == 0)
		become(keeper, arguments, log_fd);
	close(log_fd);
	if (pid < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fork", "%s",
		                              arguments[0]);
	*ret_pid = pid;
	return 0;
}
