#include <stdio.h>

#include "bench_checkpoint_figures.h"
#include "bench_report.h"

#define MIB 1048576.0

static const struct {
	const char *key;
	const char *text;
} spans[TANDEM_BENCH_SPANS] = {
#define X(name, key, text) [TANDEM_BENCH_SPAN_##name] = {key, text},
        TANDEM_BENCH_SPAN_TABLE(X)
#undef X
};

static const struct {
	const char *key;
	const char *text;
} ratios[TANDEM_BENCH_RATIOS] = {
#define X(name, key, text) [TANDEM_BENCH_RATIO_##name] = {key, text},
        TANDEM_BENCH_RATIO_TABLE(X)
#undef X
};

static double us_at(const struct tandem_bench_samples *samples_ns, unsigned per_mille)
{
	return (double)tandem_bench_samples_at(samples_ns, per_mille) / 1e3;
}

static double ratio_at(const struct tandem_bench_samples *samples_ppm, unsigned per_mille)
{
	return (double)tandem_bench_samples_at(samples_ppm, per_mille) / 1e6;
}

/* ---- JSON ---- */

/* {count, mean, p50, p99, p999, max} in microseconds. */
static struct json_object *json_samples(const struct tandem_bench_samples *samples_ns)
{
	struct json_object *object = json_object_new_object();

	tandem_bench_json_count(object, "count", samples_ns->count);
	tandem_bench_json_number(object, "mean", tandem_bench_samples_mean(samples_ns) / 1e3);
	tandem_bench_json_number(object, "p50", us_at(samples_ns, 500));
	tandem_bench_json_number(object, "p99", us_at(samples_ns, 990));
	tandem_bench_json_number(object, "p999", us_at(samples_ns, 999));
	tandem_bench_json_number(object, "max", us_at(samples_ns, 1000));
	return object;
}

static struct json_object *json_ratio(const struct tandem_bench_samples *samples_ppm)
{
	struct json_object *object = json_object_new_object();

	tandem_bench_json_number(object, "p25", ratio_at(samples_ppm, 250));
	tandem_bench_json_number(object, "p50", ratio_at(samples_ppm, 500));
	tandem_bench_json_number(object, "p75", ratio_at(samples_ppm, 750));
	return object;
}

/* [[edge in microseconds, how many], ...] of the bins that hold something. */
static struct json_object *json_bins(const struct tandem_bench_samples *samples_ns)
{
	struct json_object *list = json_object_new_array();
	uint64_t counts[TANDEM_BENCH_BINS];

	tandem_bench_bins(samples_ns, counts);
	for (unsigned bin = 0; bin < TANDEM_BENCH_BINS; bin++) {
		struct json_object *pair;

		if (counts[bin] == 0)
			continue;
		pair = json_object_new_array();
		json_object_array_add(
		        pair, json_object_new_int64((int64_t)tandem_bench_bin_edge_us(bin)));
		json_object_array_add(pair, json_object_new_int64((int64_t)counts[bin]));
		json_object_array_add(list, pair);
	}
	return list;
}

static struct json_object *json_list(const struct tandem_bench_samples *samples_ns)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < samples_ns->count; i++)
		json_object_array_add(list,
		                      json_object_new_double((double)samples_ns->values[i] / 1e3));
	return list;
}

static double pushed_mean(const struct tandem_bench_row *row)
{
	const size_t count = row->spans_ns[TANDEM_BENCH_SPAN_PAUSE].count;

	return count > 0 ? (double)row->pushed_bytes / (double)count : 0;
}

static struct json_object *json_row(const struct tandem_bench_row *row)
{
	struct json_object *object = json_object_new_object();

	tandem_bench_json_count(object, "dirty_bytes", row->dirty_bytes);
	tandem_bench_json_number(object, "pushed_bytes_mean", pushed_mean(row));
	tandem_bench_json_number(object, "seconds", (double)row->elapsed_ns / 1e9);
	tandem_bench_json_count(object, "written_bytes", row->written_bytes);
	for (unsigned span = 0; span < TANDEM_BENCH_SPANS; span++) {
		if (row->spans_ns[span].count > 0)
			json_object_object_add(object, spans[span].key,
			                       json_samples(&row->spans_ns[span]));
	}
	for (unsigned ratio = 0; ratio < TANDEM_BENCH_RATIOS; ratio++) {
		if (row->ratios_ppm[ratio].count > 0)
			json_object_object_add(object, ratios[ratio].key,
			                       json_ratio(&row->ratios_ppm[ratio]));
	}
	json_object_object_add(object, "pause_histogram_us",
	                       json_bins(&row->spans_ns[TANDEM_BENCH_SPAN_PAUSE]));
	json_object_object_add(object, "pause_samples_us",
	                       json_list(&row->spans_ns[TANDEM_BENCH_SPAN_PAUSE]));
	json_object_object_add(object, "memory_samples_us",
	                       json_list(&row->spans_ns[TANDEM_BENCH_SPAN_MEMORY]));
	return object;
}

void tandem_bench_checkpoint_print_json(const struct tandem_bench_checkpoint_options *options,
                                        const struct tandem_bench_checkpoint_figures *figures)
{
	struct json_object *report = json_object_new_object(), *rows = json_object_new_array();

	tandem_bench_json_text(report, "provider", figures->provider);
	tandem_bench_json_text(report, "provider_detail", figures->provider_detail);
	tandem_bench_json_text(report, "tracker", figures->tracker);
	tandem_bench_json_count(report, "channels", options->channel_count);
	tandem_bench_json_count(report, "size_bytes", options->size_bytes);
	tandem_bench_json_text(report, "pattern", tandem_bench_writes_text(options->writes));
	tandem_bench_json_text(report, "capture", options->capture.mode);
	tandem_bench_json_count(report, "budget_us", options->capture.budget_ns / 1000);
	tandem_bench_json_count(report, "push_interval_us",
	                        options->capture.push_interval_ns / 1000);
	tandem_bench_json_number(report, "interval_ms", (double)options->interval_ns / 1e6);
	tandem_bench_json_count(report, "rate_bytes_s", options->rate_bytes_s);
	tandem_bench_json_count(report, "epochs", options->epochs);
	tandem_bench_json_count(report, "staging_bytes", tandem_bench_staging_bytes(options));
	tandem_bench_json_count(report, "program_memory_bytes", figures->program_bytes);
	tandem_bench_json_count(report, "standby_memory_bytes", figures->standby_bytes);
	for (unsigned i = 0; i < figures->row_count; i++)
		json_object_array_add(rows, json_row(&figures->rows[i]));
	json_object_object_add(report, "rows", rows);
	tandem_bench_json_print(report);
}

/* ---- text ---- */

void tandem_bench_checkpoint_print_head(const struct tandem_bench_checkpoint_options *options,
                                        const struct tandem_bench_checkpoint_figures *figures)
{
	printf("%.0f MiB, pattern %s, %s, %u channels, tracker %s, capture %s, %u checkpoints a "
	       "row",
	       (double)options->size_bytes / MIB, tandem_bench_writes_text(options->writes),
	       figures->provider_detail, options->channel_count, figures->tracker,
	       options->capture.mode, options->epochs);
	if (options->interval_ns > 0)
		printf(", one in %.0f ms", (double)options->interval_ns / 1e6);
	if (options->rate_bytes_s > 0)
		printf(", %.1f MiB/s written", (double)options->rate_bytes_s / MIB);
	puts("\nmilliseconds                 pause                of it             then\n"
	     "  dirty MiB    pushed      p50      p99      max     scan     push   commit    "
	     "apply");
	fflush(stdout);
}

static double ms_at(const struct tandem_bench_row *row, enum tandem_bench_span span,
                    unsigned per_mille)
{
	return us_at(&row->spans_ns[span], per_mille) / 1e3;
}

void tandem_bench_checkpoint_print_row(const struct tandem_bench_row *row)
{
	printf("%11.3f %9.3f %8.3f %8.3f %8.3f %8.3f %8.3f %8.3f %8.3f\n",
	       (double)row->dirty_bytes / MIB, pushed_mean(row) / MIB,
	       ms_at(row, TANDEM_BENCH_SPAN_PAUSE, 500), ms_at(row, TANDEM_BENCH_SPAN_PAUSE, 990),
	       ms_at(row, TANDEM_BENCH_SPAN_PAUSE, 1000), ms_at(row, TANDEM_BENCH_SPAN_SCAN, 500),
	       ms_at(row, TANDEM_BENCH_SPAN_PUSH, 500), ms_at(row, TANDEM_BENCH_SPAN_COMMIT, 500),
	       ms_at(row, TANDEM_BENCH_SPAN_APPLY, 500));
	for (unsigned ratio = 0; ratio < TANDEM_BENCH_RATIOS; ratio++) {
		if (row->ratios_ppm[ratio].count > 0)
			printf("%12s%-40s %6.2f [%.2f to %.2f]\n", "", ratios[ratio].text,
			       ratio_at(&row->ratios_ppm[ratio], 500),
			       ratio_at(&row->ratios_ppm[ratio], 250),
			       ratio_at(&row->ratios_ppm[ratio], 750));
	}
	if (row->spans_ns[TANDEM_BENCH_SPAN_BARE_PAUSE].count > 0)
		printf("%12sthe same by bare calls: p50 %.3f, p99 %.3f\n", "",
		       ms_at(row, TANDEM_BENCH_SPAN_BARE_PAUSE, 500),
		       ms_at(row, TANDEM_BENCH_SPAN_BARE_PAUSE, 990));
	fflush(stdout);
}
