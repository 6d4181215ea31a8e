#ifndef TANDEM_BENCH_PROGRESS_H
#define TANDEM_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* A line on standard error that says how far a long run is, where that is a terminal. */
struct tandem_bench_progress {
	uint64_t total;
	uint64_t done;
	/* private */
	bool is_shown;
	uint64_t begin_ns;
	uint64_t show_at_ns;
};

struct tandem_bench_progress tandem_bench_progress_begin(uint64_t total);
void tandem_bench_progress_step(struct tandem_bench_progress *progress, const char *what);
/* Wipes the line, before another one is printed and at the end. */
void tandem_bench_progress_wipe(struct tandem_bench_progress *progress);

#endif
