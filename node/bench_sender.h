#ifndef TANDEM_BENCH_SENDER_H
#define TANDEM_BENCH_SENDER_H

#include <tandem/histogram.h>

#include "bench_link.h"

/* The connecting side of `tandem-bench transport`. */
struct tandem_bench_plan {
	struct tandem_bench_load load; /* without a list */
	unsigned channel_count;
	unsigned epochs;
	unsigned commits; /* one-page epochs of which the latency is taken */
	bool has_huge_pages;
};

struct tandem_bench_figures {
	uint64_t elapsed_ns; /* all epochs */
	uint64_t bytes;      /* all epochs */
	uint64_t sender_cpu_ns;
	uint64_t receiver_cpu_ns;
	struct tandem_histogram epoch_ns;
	struct tandem_histogram commit_ns;
};

/* Runs the plan on a link that is up: an epoch to warm up, the commits, and the epochs; then what
 * the receiver holds is compared by its checksum. */
TANDEM_MUST_CHECK int tandem_bench_sender_run(struct tandem_bench_link *link,
                                              const struct tandem_bench_plan *plan,
                                              struct tandem_bench_figures *ret_figures,
                                              struct tandem_error *reterr_error);

#endif
