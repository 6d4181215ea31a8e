#ifndef TANDEM_BENCH_CHECKPOINT_FIGURES_H
#define TANDEM_BENCH_CHECKPOINT_FIGURES_H

#include <tandem/stats_page.h>

#include "bench_checkpoint_options.h"
#include "bench_samples.h"

/* What is measured of each checkpoint, in the order of the report. */
#define TANDEM_BENCH_SPAN_TABLE(X)                                                                 \
	X(PAUSE, "pause_us", "the call, as the program sees it")                                   \
	X(MEMORY, "memory_us", "of it, the engine's part: scan, push or capture")                  \
	X(SCAN, "scan_us", "of it, looking for dirty pages")                                       \
	X(STAGE, "stage_us", "of it, copying them to staging memory")                              \
	X(PUSH, "push_us", "writing them: in the pause, or what was staged after it")              \
	X(COMMIT, "commit_us", "sealed until committed")                                           \
	X(APPLY, "apply_us", "from cache to image, on the standby")                                \
	X(TOTAL, "total_us", "from the call until output may leave")                               \
	X(BARE_SCAN, "bare_scan_us", "PAGEMAP_SCAN alone")                                         \
	X(BARE_COPY, "bare_copy_us", "one non-temporal copy of the pages")                         \
	X(BARE_SEND, "bare_send_us", "plain send of the pages, until the one-byte answer")         \
	X(BARE_PAUSE, "bare_pause_us", "with --rate: PAGEMAP_SCAN and copy of what it finds")

enum tandem_bench_span {
#define X(name, key, text) TANDEM_BENCH_SPAN_##name,
	TANDEM_BENCH_SPAN_TABLE(X)
#undef X
	        TANDEM_BENCH_SPANS,
};

/* Pairs of one checkpoint, ours through the bare measure's. */
#define TANDEM_BENCH_RATIO_TABLE(X)                                                                \
	X(SCAN, "scan_ratio", "scan / PAGEMAP_SCAN alone")                                         \
	X(COPY, "copy_ratio", "pause / (scan + one non-temporal copy)")                            \
	X(SEND, "send_ratio", "pause / (scan + plain send)")

enum tandem_bench_ratio {
#define X(name, key, text) TANDEM_BENCH_RATIO_##name,
	TANDEM_BENCH_RATIO_TABLE(X)
#undef X
	        TANDEM_BENCH_RATIOS,
};

/* A row of the table. All room is made before the run. */
struct tandem_bench_row {
	uint64_t dirty_bytes;   /* asked for */
	uint64_t pushed_bytes;  /* in all measured epochs */
	uint64_t written_bytes; /* at a rate: what the program came to */
	uint64_t elapsed_ns;
	struct tandem_bench_samples spans_ns[TANDEM_BENCH_SPANS];
	struct tandem_bench_samples ratios_ppm[TANDEM_BENCH_RATIOS]; /* filled by the sorting */
};

struct tandem_bench_checkpoint_figures {
	struct tandem_bench_row rows[TANDEM_BENCH_ROWS_MAX];
	unsigned row_count;
	uint64_t program_bytes; /* of memory: what the library added to the program's, */
	uint64_t standby_bytes; /* and all of the standby */
	char provider[16];
	char provider_detail[128];
	char tracker[16];
};

TANDEM_MUST_CHECK int tandem_bench_checkpoint_figures_make(
        const struct tandem_bench_checkpoint_options *options,
        struct tandem_bench_checkpoint_figures *ret_figures, struct tandem_error *reterr_error);
void tandem_bench_checkpoint_figures_clear(struct tandem_bench_checkpoint_figures *figures);

/* Where the engine's page stood: what it has more later belongs to the epochs in between. */
struct tandem_bench_mark {
	struct {
		uint64_t count, sum_ns;
	} spans[TANDEM_BENCH_SPANS];
	uint64_t bytes_pushed;
};

void tandem_bench_mark_set(struct tandem_bench_mark *mark, const struct tandem_stats *stats);
/* All but the applies, of which the last one may not be told yet. */
void tandem_bench_mark_renew(struct tandem_bench_mark *mark, const struct tandem_stats *stats);
/* What was counted several times in an epoch (a scan beside the running program) adds up. */
void tandem_bench_row_take(struct tandem_bench_row *row, const struct tandem_stats *stats,
                           const struct tandem_bench_mark *mark);
/* True when the standby has told of an apply: when that has ended, or with the next epoch. */
bool tandem_bench_row_take_apply(struct tandem_bench_row *row, const struct tandem_stats *stats,
                                 struct tandem_bench_mark *mark);
void tandem_bench_row_add(struct tandem_bench_row *row, enum tandem_bench_span span, uint64_t ns);
/* After the last sample: the ratios of the pairs, then everything in order. */
void tandem_bench_row_sort(struct tandem_bench_row *row);

/* How often values fell between the edges 1, 2, 5, 10, 20, 50 ... microseconds: bin i holds what is
 * at most edge i and above the one before. Pure. */
#define TANDEM_BENCH_BINS 24
uint64_t tandem_bench_bin_edge_us(unsigned bin);
void tandem_bench_bins(const struct tandem_bench_samples *samples_ns,
                       uint64_t ret_counts[TANDEM_BENCH_BINS]);
double tandem_bench_samples_mean(const struct tandem_bench_samples *samples);

/* The table, row by row, or all as JSON. */
void tandem_bench_checkpoint_print_head(const struct tandem_bench_checkpoint_options *options,
                                        const struct tandem_bench_checkpoint_figures *figures);
void tandem_bench_checkpoint_print_row(const struct tandem_bench_row *row);
void tandem_bench_checkpoint_print_json(const struct tandem_bench_checkpoint_options *options,
                                        const struct tandem_bench_checkpoint_figures *figures);

#endif
