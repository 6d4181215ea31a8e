#ifndef TANDEM_BENCH_PAGES_H
#define TANDEM_BENCH_PAGES_H

#include <stdint.h>

#include <tandem/error.h>

#include "bench_checkpoint_options.h"

/* Which page the program writes next. Pure but for the list that it makes. A copy of the struct
 * goes on where the original stood: so the same pages can be written once more. */
struct tandem_bench_pages {
	enum tandem_bench_writes writes;
	uint64_t page_count;
	uint64_t *order; /* all pages, shuffled; borrowed by copies */
	uint64_t cursor;
	uint64_t random;
};

/* Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_bench_pages_make(enum tandem_bench_writes writes, uint64_t page_count,
                                              struct tandem_bench_pages *ret_pages,
                                              struct tandem_error *reterr_error);
void tandem_bench_pages_clear(struct tandem_bench_pages *pages);
uint64_t tandem_bench_pages_next(struct tandem_bench_pages *pages);

#endif
