#include "bench_checkpoint_figures.h"

#include <string.h>

#define PPM 1000000.0

int tandem_bench_checkpoint_figures_make(const struct tandem_bench_checkpoint_options *options,
                                         struct tandem_bench_checkpoint_figures *ret_figures,
                                         struct tandem_error *reterr_error)
{
	int code = 0;

	memset(ret_figures, 0, sizeof *ret_figures);
	ret_figures->row_count = options->row_count;
	for (unsigned i = 0; i < options->row_count; i++) {
		struct tandem_bench_row *row = &ret_figures->rows[i];

		row->dirty_bytes = options->dirty_bytes[i];
		for (unsigned span = 0; code == 0 && span < TANDEM_BENCH_SPANS; span++)
			code = tandem_bench_samples_make(&row->spans_ns[span], options->epochs,
			                                 reterr_error);
		for (unsigned ratio = 0; code == 0 && ratio < TANDEM_BENCH_RATIOS; ratio++)
			code = tandem_bench_samples_make(&row->ratios_ppm[ratio], options->epochs,
			                                 reterr_error);
	}
	return code;
}

void tandem_bench_checkpoint_figures_clear(struct tandem_bench_checkpoint_figures *figures)
{
	for (unsigned i = 0; i < figures->row_count; i++) {
		for (unsigned span = 0; span < TANDEM_BENCH_SPANS; span++)
			tandem_bench_samples_clear(&figures->rows[i].spans_ns[span]);
		for (unsigned ratio = 0; ratio < TANDEM_BENCH_RATIOS; ratio++)
			tandem_bench_samples_clear(&figures->rows[i].ratios_ppm[ratio]);
	}
	figures->row_count = 0;
}

/* ---- the engine's page ---- */

static const struct tandem_histogram *histogram_of(const struct tandem_stats *stats, unsigned span)
{
	switch (span) {
	case TANDEM_BENCH_SPAN_MEMORY:
		return &stats->pause_ns;
	case TANDEM_BENCH_SPAN_SCAN:
		return &stats->scan_ns;
	case TANDEM_BENCH_SPAN_STAGE:
		return &stats->stage_ns;
	case TANDEM_BENCH_SPAN_PUSH:
		return &stats->push_ns;
	case TANDEM_BENCH_SPAN_COMMIT:
		return &stats->commit_ns;
	case TANDEM_BENCH_SPAN_APPLY:
		return &stats->apply_ns;
	default:
		return NULL;
	}
}

static void set_span(struct tandem_bench_mark *mark, const struct tandem_stats *stats,
                     unsigned span)
{
	const struct tandem_histogram *histogram = histogram_of(stats, span);

	if (histogram == NULL)
		return;
	mark->spans[span].count = histogram->count;
	mark->spans[span].sum_ns = histogram->sum;
}

void tandem_bench_mark_renew(struct tandem_bench_mark *mark, const struct tandem_stats *stats)
{
	for (unsigned span = 0; span < TANDEM_BENCH_SPANS; span++) {
		if (span != TANDEM_BENCH_SPAN_APPLY)
			set_span(mark, stats, span);
	}
	mark->bytes_pushed = stats->bytes_pushed;
}

void tandem_bench_mark_set(struct tandem_bench_mark *mark, const struct tandem_stats *stats)
{
	tandem_bench_mark_renew(mark, stats);
	set_span(mark, stats, TANDEM_BENCH_SPAN_APPLY);
}

static bool take_span(struct tandem_bench_row *row, const struct tandem_stats *stats,
                      const struct tandem_bench_mark *mark, enum tandem_bench_span span)
{
	const struct tandem_histogram *histogram = histogram_of(stats, span);

	if (histogram == NULL || histogram->count == mark->spans[span].count)
		return false;
	tandem_bench_row_add(row, span, histogram->sum - mark->spans[span].sum_ns);
	return true;
}

void tandem_bench_row_take(struct tandem_bench_row *row, const struct tandem_stats *stats,
                           const struct tandem_bench_mark *mark)
{
	for (unsigned span = 0; span < TANDEM_BENCH_SPANS; span++) {
		if (span != TANDEM_BENCH_SPAN_APPLY)
			take_span(row, stats, mark, (enum tandem_bench_span)span);
	}
	row->pushed_bytes += stats->bytes_pushed - mark->bytes_pushed;
}

bool tandem_bench_row_take_apply(struct tandem_bench_row *row, const struct tandem_stats *stats,
                                 struct tandem_bench_mark *mark)
{
	const bool is_told = take_span(row, stats, mark, TANDEM_BENCH_SPAN_APPLY);

	if (is_told)
		set_span(mark, stats, TANDEM_BENCH_SPAN_APPLY);
	return is_told;
}

/* ---- samples ---- */

void tandem_bench_row_add(struct tandem_bench_row *row, enum tandem_bench_span span, uint64_t ns)
{
	tandem_bench_samples_add(&row->spans_ns[span], ns);
}

static void add_ratio(struct tandem_bench_row *row, enum tandem_bench_ratio ratio, uint64_t ours_ns,
                      uint64_t bare_ns)
{
	if (bare_ns > 0)
		tandem_bench_samples_add(&row->ratios_ppm[ratio],
		                         (uint64_t)((double)ours_ns / (double)bare_ns * PPM));
}

/* In the order of the checkpoints still; a row without bare measures has none. */
static void make_ratios(struct tandem_bench_row *row)
{
	const struct tandem_bench_samples *spans = row->spans_ns;

	for (size_t i = 0; i < spans[TANDEM_BENCH_SPAN_BARE_SCAN].count; i++) {
		const uint64_t bare_scan_ns = spans[TANDEM_BENCH_SPAN_BARE_SCAN].values[i];
		const uint64_t pause_ns = spans[TANDEM_BENCH_SPAN_PAUSE].values[i];

		add_ratio(row, TANDEM_BENCH_RATIO_SCAN, spans[TANDEM_BENCH_SPAN_SCAN].values[i],
		          bare_scan_ns);
		add_ratio(row, TANDEM_BENCH_RATIO_COPY, pause_ns,
		          bare_scan_ns + spans[TANDEM_BENCH_SPAN_BARE_COPY].values[i]);
		add_ratio(row, TANDEM_BENCH_RATIO_SEND, pause_ns,
		          bare_scan_ns + spans[TANDEM_BENCH_SPAN_BARE_SEND].values[i]);
	}
}

void tandem_bench_row_sort(struct tandem_bench_row *row)
{
	make_ratios(row);
	for (unsigned span = 0; span < TANDEM_BENCH_SPANS; span++)
		tandem_bench_samples_sort(&row->spans_ns[span]);
	for (unsigned ratio = 0; ratio < TANDEM_BENCH_RATIOS; ratio++)
		tandem_bench_samples_sort(&row->ratios_ppm[ratio]);
}

double tandem_bench_samples_mean(const struct tandem_bench_samples *samples)
{
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++)
		sum += (double)samples->values[i];
	return samples->count > 0 ? sum / (double)samples->count : 0;
}

uint64_t tandem_bench_bin_edge_us(unsigned bin)
{
	static const uint64_t steps[] = {1, 2, 5};
	uint64_t decade = 1;

	for (unsigned i = 0; i < bin / 3; i++)
		decade *= 10;
	return decade * steps[bin % 3];
}

void tandem_bench_bins(const struct tandem_bench_samples *samples_ns,
                       uint64_t ret_counts[TANDEM_BENCH_BINS])
{
	memset(ret_counts, 0, TANDEM_BENCH_BINS * sizeof *ret_counts);
	for (size_t i = 0; i < samples_ns->count; i++) {
		unsigned bin = 0;

		while (bin < TANDEM_BENCH_BINS - 1 &&
		       samples_ns->values[i] > tandem_bench_bin_edge_us(bin) * 1000)
			bin++;
		ret_counts[bin]++;
	}
}
