#ifndef TANDEM_BENCH_PROGRAM_H
#define TANDEM_BENCH_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_pages.h"
#include "bench_pair.h"
#include "bench_upload.h"

/* The protected program of `tandem-bench checkpoint`: a region and what writes to it. One thread.
 */
struct tandem_bench_program {
	const struct tandem_bench_checkpoint_options *options;
	uint8_t *region;
	struct tandem_bench_pages pages;
	struct tandem_bench_upload upload; /* pattern upload only */
	struct tandem_bench_cache cache;
	struct tandem *tandem;   /* told of each write where the tracker needs it; else NULL */
	uint64_t stamp;          /* of the round of writes */
	uint64_t paced_since_ns; /* 0: the rate does not count yet */
	uint64_t written_bytes;  /* at a rate, in all */
	uint64_t paced_bytes;
};

/* Makes the region and, with `is_filled`, fills it, so that no page is zero. Before this process
 * has threads. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_bench_program_open(
        const struct tandem_bench_checkpoint_options *options, bool is_filled,
        struct tandem_bench_program *ret_program, struct tandem_error *reterr_error);
/* Allowed after a failed open. */
void tandem_bench_program_close(struct tandem_bench_program *program);

/* Writes to that many pages, at once. */
void tandem_bench_program_write(struct tandem_bench_program *program, uint64_t bytes);
/* Fills some pages. */
void tandem_bench_program_fill(struct tandem_bench_program *program, uint64_t first_page,
                               uint64_t count);
/* Writes what is due at the rate of the options since the first call, 1 MiB at most; the bytes. */
uint64_t tandem_bench_program_pace(struct tandem_bench_program *program);
/* Writes at the rate of the options until then, and until a checkpoint would not wait for the one
 * before it. Without a rate it only waits. */
void tandem_bench_program_run(struct tandem_bench_program *program, struct tandem *tandem,
                              uint64_t until_ns);

#endif
