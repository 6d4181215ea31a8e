#ifndef TANDEM_BENCH_FAILOVER_FIGURES_H
#define TANDEM_BENCH_FAILOVER_FIGURES_H

#include "bench_failover_options.h"
#include "bench_samples.h"

/* A take-over is the sum of its parts, in this order. */
#define TANDEM_BENCH_PART_TABLE(X)                                                                 \
	X(DETECT, "detect_ms", "until the other controller suspects the old primary")              \
	X(DECIDE, "decide_ms", "until it has won the register")                                    \
	X(FENCE, "fence_ms", "until the old primary can change nothing any more")                  \
	X(DRAIN, "drain_ms", "until the last epoch is applied")                                    \
	X(ACTIVATE, "activate_ms", "until the promoted program has attached the image")            \
	X(REPLY, "reply_ms", "until it has answered the client")

enum tandem_bench_part {
#define X(name, key, text) TANDEM_BENCH_PART_##name,
	TANDEM_BENCH_PART_TABLE(X)
#undef X
	        TANDEM_BENCH_PARTS,
};

struct tandem_bench_failover_figures {
	struct tandem_bench_samples total_ns;
	struct tandem_bench_samples parts_ns[TANDEM_BENCH_PARTS];
	struct tandem_bench_samples pair_ns; /* from the first reply until the next pair */
	uint64_t acknowledged_count;         /* writes */
	unsigned disturbed_count;            /* take-overs that no fault of the bench caused */
	unsigned lost_copy_count; /* without a fault, and no take-over: SOLO for a while */
	bool is_real_time;        /* both controllers */
	uint64_t elapsed_ns;
	double loads[2]; /* load average at the start and at the end */
};

TANDEM_MUST_CHECK int tandem_bench_failover_figures_make(
        struct tandem_bench_failover_figures *figures, size_t rounds,
        struct tandem_error *reterr_error);
void tandem_bench_failover_figures_clear(struct tandem_bench_failover_figures *figures);
/* For people on standard output; with options->json_path to that file, too. Sorts the samples.
 * Errors: TANDEM_E_SYSTEM (the file). */
TANDEM_MUST_CHECK int tandem_bench_failover_report(
        const struct tandem_bench_failover_options *options,
        struct tandem_bench_failover_figures *figures, struct tandem_error *reterr_error);

#endif
