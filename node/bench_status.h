#ifndef TANDEM_BENCH_STATUS_H
#define TANDEM_BENCH_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

/* What the bench needs of a controller's status. */
struct tandem_bench_status {
	bool is_primary_pair;
	bool is_secondary;
	bool is_real_time;
	uint64_t generation;
	uint32_t program; /* process of the data plane, 0: none */
	bool has_take_over;
	/* the last take-over: a moment of the monotonic clock, and spans from there */
	uint64_t suspected_ns;
	uint64_t decide_ns;
	uint64_t fence_ns; /* without the drain */
	uint64_t drain_ns;
	uint64_t activate_ns;
	char headline[160];
};

/* Errors: as of tandemctl_ask(). */
TANDEM_MUST_CHECK int tandem_bench_status_ask(const char *run_directory, const char *pair,
                                              struct tandem_bench_status *ret_status,
                                              struct tandem_error *reterr_error);

#endif
