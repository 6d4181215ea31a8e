#ifndef TANDEM_BENCH_CHECKPOINT_OPTIONS_H
#define TANDEM_BENCH_CHECKPOINT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_reading.h"

/* What `tandem-bench checkpoint` is asked for. */

#define TANDEM_BENCH_PAGE_BYTES 4096u
#define TANDEM_BENCH_ROWS_MAX   16
#define TANDEM_BENCH_EPOCHS_MAX 1000000

/* Where the program writes. */
enum tandem_bench_writes {
	TANDEM_BENCH_WRITES_RANDOM,     /* no page twice before each was written once */
	TANDEM_BENCH_WRITES_SEQUENTIAL, /* in ascending order, epoch after epoch further on */
	TANDEM_BENCH_WRITES_HOT,        /* nine of ten in the same tenth of the pages */
	TANDEM_BENCH_WRITES_UPLOAD,     /* a file arrives, in a cache of buffers */
	TANDEM_BENCH_WRITES_COUNT,
};

/* How the library captures, as the configuration's keys of these names say. */
struct tandem_bench_capture {
	const char *mode; /* stop, stage or auto */
	uint64_t staging_bytes;
	uint64_t budget_ns;
	uint64_t push_interval_ns;
	uint64_t push_rate_bytes_s;
	bool slows_program;
};

struct tandem_bench_checkpoint_options {
	uint64_t size_bytes; /* of the region: whole pages */
	/* A row each: what an epoch writes, whole pages. With a rate there is one row, of what that
	 * makes in an interval. */
	uint64_t dirty_bytes[TANDEM_BENCH_ROWS_MAX];
	unsigned row_count;
	enum tandem_bench_writes writes;
	uint64_t interval_ns;  /* from one checkpoint to the next; 0: at once */
	uint64_t rate_bytes_s; /* written all the time; 0: all at once before the checkpoint */
	unsigned epochs;       /* of a row */
	unsigned channel_count;
	struct tandem_bench_capture capture;
	const char *provider;
	const char *tracker;
	const char *address;
	const char *plot_path; /* NULL: none */
	bool is_json;          /* on standard output, instead of the text */
	bool measures_bare;    /* the kernel's own calls beside each checkpoint */
};

/* `arguments` begins with the command; texts are borrowed from it. */
enum tandem_bench_reading tandem_bench_checkpoint_options_read(
        int argument_count, char **arguments, struct tandem_bench_checkpoint_options *ret_options);

/* What the options give to a capture; 0 with capture stop. */
uint64_t tandem_bench_staging_bytes(const struct tandem_bench_checkpoint_options *options);
const char *tandem_bench_writes_text(enum tandem_bench_writes writes);

#endif
