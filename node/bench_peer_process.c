#include "bench_peer_process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/log.h>

static int tell_port(const struct tandem_bench_link *link, int port_fd,
                     struct tandem_error *reterr_error)
{
	const uint16_t port = tandem_listener_port(link->listener);
	const ssize_t written = write(port_fd, &port, sizeof port);

	close(port_fd);
	if (written == (ssize_t)sizeof port)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "write",
	                              "the sender did not wait for the port");
}

/* The process ends here; without a word about its port where it cannot listen. */
static void run(const struct tandem_bench_link_options *options,
                int (*serve)(struct tandem_bench_link *link, struct tandem_error *reterr_error),
                int port_fd)
{
	struct tandem_bench_link link = {.transport = NULL};
	struct tandem_error error = {.code = 0};
	int code = tandem_bench_link_listen(&link, options, &error);

	if (code == 0)
		code = tell_port(&link, port_fd, &error);
	if (code == 0)
		code = serve(&link, &error);
	if (code < 0)
		tandem_log(TANDEM_LOG_ERROR, "receiver: %s: %s", error.operation, error.detail);
	tandem_bench_link_close(&link);
	exit(code < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int read_port(int port_fd, uint16_t *ret_port, struct tandem_error *reterr_error)
{
	uint16_t port = 0;

	if (read(port_fd, &port, sizeof port) != (ssize_t)sizeof port || port == 0)
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "receiver",
		                        "it could not listen; its log says why");
	*ret_port = port;
	return 0;
}

int tandem_bench_peer_process_start(const struct tandem_bench_link_options *options,
                                    int (*serve)(struct tandem_bench_link *link,
                                                 struct tandem_error *reterr_error),
                                    struct tandem_bench_peer_process *ret_process,
                                    struct tandem_error *reterr_error)
{
	const pid_t parent = getpid();
	int port_fds[2];
	int code;

	if (pipe(port_fds) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "pipe",
		                              "receiver");
	ret_process->pid = fork();
	if (ret_process->pid == 0) {
		close(port_fds[0]);
		/* No receiver outlives its sender, however that ends. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
			_exit(EXIT_FAILURE);
		run(options, serve, port_fds[1]);
	}
	close(port_fds[1]);
	code = ret_process->pid < 0 ? tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno,
	                                                     "fork", "receiver")
	                            : read_port(port_fds[0], &ret_process->port, reterr_error);
	close(port_fds[0]);
	if (code < 0 && ret_process->pid > 0) {
		tandem_bench_peer_process_kill(ret_process);
		ret_process->pid = -1;
	}
	return code;
}

int tandem_bench_peer_process_stop(const struct tandem_bench_peer_process *process,
                                   struct tandem_error *reterr_error)
{
	int status;

	if (kill(process->pid, SIGSTOP) == 0 && waitpid(process->pid, &status, WUNTRACED) > 0 &&
	    WIFSTOPPED(status))
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "stop", "it could not be stopped");
}

void tandem_bench_peer_process_go_on(const struct tandem_bench_peer_process *process)
{
	kill(process->pid, SIGCONT);
}

void tandem_bench_peer_process_kill(const struct tandem_bench_peer_process *process)
{
	kill(process->pid, SIGKILL);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int tandem_bench_peer_process_end(const struct tandem_bench_peer_process *process, int code,
                                  struct tandem_error *reterr_error)
{
	int status = 0;

	if (code < 0)
		kill(process->pid, SIGKILL);
	while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (code < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS))
		return code;
	return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "receiver",
	                        "it failed; its log says why");
}
