#include "bench_pair.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/control.h>
#include <tandem/log.h>

#include "bench.h"
#include "bench_memory.h"

#define WAIT_NS (120 * TANDEM_NS_PER_S)

/* ---- the standby's process ---- */

static void clean(const char *directory)
{
	static const char *const files[] = {TANDEM_CONTROL_SOCKET, "bench.stats"};
	char path[96];

	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", directory, files[i]);
		unlink(path);
	}
	rmdir(directory);
}

/* Until the bench has ended, however it did: then nothing of it is left, not even in /dev/shm. */
static int serve(const char *directory, const struct tandem_bench_checkpoint_options *options,
                 int fd, struct tandem_error *error)
{
	struct tandem_bench_peer *peer = NULL;
	uint16_t port = 0;
	char word;
	int code = tandem_bench_peer_new(directory, options, &peer, &port, error);

	if (code == 0 && write(fd, &port, sizeof port) != (ssize_t)sizeof port)
		code = tandem_error_set(error, TANDEM_E_SYSTEM, "write", "the bench has ended");
	if (code == 0 && read(fd, &word, 1) == 1)
		code = tandem_bench_peer_start(peer, error);
	while (code == 0 && read(fd, &word, 1) == 1)
		;
	tandem_bench_peer_free(peer);
	return code;
}

/* A signal of the terminal is for the bench; what follows is seen here. */
static _Noreturn void run_standby(const char *directory,
                                  const struct tandem_bench_checkpoint_options *options, int fd)
{
	struct tandem_error error = {.code = 0};
	int code;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	code = serve(directory, options, fd, &error);
	if (code < 0)
		tandem_log(TANDEM_LOG_ERROR, "standby: %s: %s", error.operation, error.detail);
	clean(directory);
	_exit(code < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int read_port(struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	if (read(pair->standby_fd, &pair->port, sizeof pair->port) == (ssize_t)sizeof pair->port)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "standby",
	                        "it could not listen; its log says why");
}

static int start_standby(const struct tandem_bench_checkpoint_options *options,
                         struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socketpair",
		                              "standby");
	pair->standby_fd = ends[0];
	pair->standby = fork();
	if (pair->standby == 0) {
		close(ends[0]);
		run_standby(pair->directory, options, ends[1]);
	}
	close(ends[1]);
	if (pair->standby < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fork",
		                              "standby");
	return read_port(pair, reterr_error);
}

int tandem_bench_pair_open(const struct tandem_bench_checkpoint_options *options,
                           struct tandem_bench_pair *ret_pair, struct tandem_error *reterr_error)
{
	*ret_pair = (struct tandem_bench_pair){
	        .directory = "/tmp/tandem-bench-XXXXXX", .standby_fd = -1, .standby = -1};
	if (mkdtemp(ret_pair->directory) == NULL)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "mkdtemp", "%s",
		                              ret_pair->directory);
	return start_standby(options, ret_pair, reterr_error);
}

void tandem_bench_pair_close(struct tandem_bench_pair *pair)
{
	tandem_stats_close(pair->stats);
	pair->tandem = tandem_close(pair->tandem);
	if (pair->standby_fd >= 0)
		close(pair->standby_fd);
	while (pair->standby > 0 && waitpid(pair->standby, NULL, 0) < 0 && errno == EINTR)
		;
	tandem_bench_controller_free(pair->controller);
	clean(pair->directory);
}

/* ---- the program's side ---- */

static int start_controller(struct tandem_bench_pair *pair,
                            const struct tandem_bench_checkpoint_options *options,
                            struct tandem_error *reterr_error)
{
	int code = tandem_bench_controller_new(pair->directory, options, pair->port,
	                                       &pair->controller, reterr_error);

	if (code == 0 && send(pair->standby_fd, "", 1, MSG_NOSIGNAL) != 1)
		code = tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "standby",
		                        "it has ended; its log says why");
	return code;
}

int tandem_bench_pair_add(struct tandem_bench_pair *pair,
                          const struct tandem_bench_checkpoint_options *options, uint8_t *region,
                          struct tandem_error *reterr_error)
{
	struct tandem_options library = TANDEM_OPTIONS_DEFAULT;
	int code = start_controller(pair, options, reterr_error);

	library.pair = "bench";
	library.run_directory = pair->directory;
	if (code == 0)
		code = tandem_open(&library, &pair->tandem, reterr_error);
	if (code == 0)
		code = tandem_region_add(pair->tandem, "bench", region, options->size_bytes,
		                         TANDEM_TRACKER_AUTO, reterr_error);
	return code;
}

int tandem_bench_pair_start(struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	int code = tandem_start(pair->tandem, reterr_error);

	if (code == 0)
		code = tandem_stats_open(pair->directory, "bench", &pair->stats, reterr_error);
	return code;
}

int tandem_bench_pair_step(struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	struct tandem_news news;
	uint64_t ticket;

	tandem_poll(pair->tandem, &news);
	if (news.is_halted)
		return tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "bench", "halted");
	if (news.is_pair)
		return 1;
	if (!news.wants_checkpoint)
		return 0;
	return tandem_checkpoint(pair->tandem, NULL, 0, &ticket, reterr_error);
}

int tandem_bench_pair_join(struct tandem_bench_pair *pair,
                           const struct tandem_bench_checkpoint_options *options, uint8_t *region,
                           struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + WAIT_NS;
	struct pollfd news = {.events = POLLIN};
	int code = tandem_bench_pair_add(pair, options, region, reterr_error);

	if (code == 0)
		code = tandem_bench_pair_start(pair, reterr_error);
	if (code < 0)
		return code;
	news.fd = tandem_event_fd(pair->tandem);
	while ((code = tandem_bench_pair_step(pair, reterr_error)) == 0) {
		if (tandem_clock_now_ns() > deadline_ns)
			return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "bench",
			                        "the pair did not form in two minutes");
		poll(&news, 1, 100);
	}
	return code < 0 ? code : 0;
}

void tandem_bench_pair_wait_counted(const struct tandem_bench_pair *pair, uint64_t committed)
{
	const uint64_t until_ns = tandem_clock_now_ns() + TANDEM_NS_PER_S;

	while (pair->stats->epochs_committed == committed && tandem_clock_now_ns() < until_ns)
		sched_yield();
}

int tandem_bench_pair_checkpoint(struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	const uint64_t committed = pair->stats->epochs_committed;
	uint64_t ticket;
	int code = tandem_checkpoint(pair->tandem, NULL, 0, &ticket, reterr_error);

	if (code == 0)
		code = tandem_wait_released(pair->tandem, ticket, WAIT_NS);
	if (code == TANDEM_E_TIMEOUT)
		tandem_error_set(reterr_error, code, "checkpoint", "not committed in two minutes");
	if (code == 0)
		tandem_bench_pair_wait_counted(pair, committed);
	return code;
}

int tandem_bench_pair_memory(const struct tandem_bench_pair *pair, uint64_t *ret_program_bytes,
                             uint64_t *ret_standby_bytes, struct tandem_error *reterr_error)
{
	char images[96];
	int code = tandem_bench_memory_of(getpid(), ret_program_bytes, reterr_error);

	if (code == 0)
		code = tandem_bench_memory_of(pair->standby, ret_standby_bytes, reterr_error);
	if (code < 0)
		return code;
	snprintf(images, sizeof images, "/dev/shm%s/bench", strrchr(pair->directory, '/'));
	*ret_program_bytes += tandem_bench_memory_of_files(pair->directory);
	*ret_standby_bytes += tandem_bench_memory_of_files(images);
	return 0;
}

/* An epoch without a page is sealed only when the one before it is applied. */
int tandem_bench_pair_settle(struct tandem_bench_pair *pair, struct tandem_error *reterr_error)
{
	return tandem_bench_pair_checkpoint(pair, reterr_error);
}
