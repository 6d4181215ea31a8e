#ifndef TANDEM_BENCH_COPY_OPTIONS_H
#define TANDEM_BENCH_COPY_OPTIONS_H

#include "bench_checkpoint_options.h"

/* What `tandem-bench copy` is asked for. */

enum tandem_bench_history {
	TANDEM_BENCH_HISTORY_BOOT,  /* only what is live was ever written */
	TANDEM_BENCH_HISTORY_ENDED, /* a workload filled the memory, and has ended */
};

struct tandem_bench_copy_options {
	struct tandem_bench_checkpoint_options pair; /* region, channels, rate of the program */
	uint64_t live_bytes;
	enum tandem_bench_history history;
	bool tells_free; /* the library can know which pages are free */
};

/* `arguments` begins with the command; texts are borrowed from it. */
enum tandem_bench_reading tandem_bench_copy_options_read(
        int argument_count, char **arguments, struct tandem_bench_copy_options *ret_options);

const char *tandem_bench_history_text(enum tandem_bench_history history);

#endif
