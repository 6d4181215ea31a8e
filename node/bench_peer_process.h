#ifndef TANDEM_BENCH_PEER_PROCESS_H
#define TANDEM_BENCH_PEER_PROCESS_H

#include <sys/types.h>

#include "bench_link.h"

/* The other side of a bench in a process of its own, as the peer's host would be: it listens on a
 * port that it picks, and runs `serve`, whose error goes to the log. */
struct tandem_bench_peer_process {
	pid_t pid;
	uint16_t port;
};

/* Before this process opens a device. */
TANDEM_MUST_CHECK int tandem_bench_peer_process_start(
        const struct tandem_bench_link_options *options,
        int (*serve)(struct tandem_bench_link *link, struct tandem_error *reterr_error),
        struct tandem_bench_peer_process *ret_process, struct tandem_error *reterr_error);
/* Stopped: it answers nothing until it goes on. */
TANDEM_MUST_CHECK int tandem_bench_peer_process_stop(
        const struct tandem_bench_peer_process *process, struct tandem_error *reterr_error);
void tandem_bench_peer_process_go_on(const struct tandem_bench_peer_process *process);
/* It serves until then. */
void tandem_bench_peer_process_kill(const struct tandem_bench_peer_process *process);
/* Waits for its end, which is asked for where `code` is a failure. Gives `code`, or TANDEM_E_SYSTEM
 * where the process failed. */
int tandem_bench_peer_process_end(const struct tandem_bench_peer_process *process, int code,
                                  struct tandem_error *reterr_error);

#endif
