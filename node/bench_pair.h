#ifndef TANDEM_BENCH_PAIR_H
#define TANDEM_BENCH_PAIR_H

#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>
#include <tandem/stats_page.h>
#include <tandem/tandem.h>

#include "bench_checkpoint_options.h"

/* The pair of `tandem-bench checkpoint`: the library in this process, the standby in one of its
 * own, as it would be on another host, and a controller here that always says yes. */

struct tandem_bench_pair {
	struct tandem *tandem;
	const struct tandem_stats *stats;
	/* private */
	char directory[40];
	int standby_fd; /* whose end is the end of the standby; -1: none */
	pid_t standby;
	uint16_t port;
	struct tandem_bench_controller *controller;
};

/* Starts the standby's process. Before this process has threads. Errors: TANDEM_E_SYSTEM,
 * TANDEM_E_PEER_LOST (it could not listen; its log says why). */
TANDEM_MUST_CHECK int tandem_bench_pair_open(const struct tandem_bench_checkpoint_options *options,
                                             struct tandem_bench_pair *ret_pair,
                                             struct tandem_error *reterr_error);
/* Joins the controller and names `region`, which is filled already. Errors: as of the library. */
TANDEM_MUST_CHECK int tandem_bench_pair_add(struct tandem_bench_pair *pair,
                                            const struct tandem_bench_checkpoint_options *options,
                                            uint8_t *region, struct tandem_error *reterr_error);
/* Lets the library begin. */
TANDEM_MUST_CHECK int tandem_bench_pair_start(struct tandem_bench_pair *pair,
                                              struct tandem_error *reterr_error);
/* Does what the library asks for while the standby has no copy. 1: it has one; 0: not yet. Errors:
 * as of the library. */
TANDEM_MUST_CHECK int tandem_bench_pair_step(struct tandem_bench_pair *pair,
                                             struct tandem_error *reterr_error);
/* All of it: returns when the standby holds a copy. Errors: as above, and TANDEM_E_TIMEOUT. */
TANDEM_MUST_CHECK int tandem_bench_pair_join(struct tandem_bench_pair *pair,
                                             const struct tandem_bench_checkpoint_options *options,
                                             uint8_t *region, struct tandem_error *reterr_error);
/* Until the page counts more committed epochs than `committed`, which is a moment after the program
 * was told: its figures are complete then. A second at most. */
void tandem_bench_pair_wait_counted(const struct tandem_bench_pair *pair, uint64_t committed);
/* Ends an epoch and waits until it is committed and counted. Errors: as of the library, and
 * TANDEM_E_TIMEOUT.
 */
TANDEM_MUST_CHECK int tandem_bench_pair_checkpoint(struct tandem_bench_pair *pair,
                                                   struct tandem_error *reterr_error);
/* The same, and until it is applied. */
TANDEM_MUST_CHECK int tandem_bench_pair_settle(struct tandem_bench_pair *pair,
                                               struct tandem_error *reterr_error);
/* What both sides keep in memory now: the program's process, and the standby's with its image. The
 * run directory's files count as the program's. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_bench_pair_memory(const struct tandem_bench_pair *pair,
                                               uint64_t *ret_program_bytes,
                                               uint64_t *ret_standby_bytes,
                                               struct tandem_error *reterr_error);
/* Ends everything and removes its files. Allowed after a failed open. */
void tandem_bench_pair_close(struct tandem_bench_pair *pair);

#endif
