#include <criterion/criterion.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench_bare.h"
#include "bench_checkpoint_figures.h"
#include "bench_checkpoint_options.h"
#include "bench_pages.h"
#include "bench_plot.h"
#include "bench_upload.h"

#define MIB (UINT64_C(1) << 20)

/* ---- options ---- */

static enum tandem_bench_reading read_words(const char *line,
                                            struct tandem_bench_checkpoint_options *options)
{
	static char text[512];
	char *words[40] = {NULL}, *rest = NULL;
	int count = 0;

	snprintf(text, sizeof(text), "checkpoint %s", line);
	for (char *word = strtok_r(text, " ", &rest); word && count < 39;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	optind = 0;
	return tandem_bench_checkpoint_options_read(count, words, options);
}

Test(bench_checkpoint, without_options_three_rows_of_256_mib)
{
	struct tandem_bench_checkpoint_options options;

	cr_assert_eq(read_words("", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.size_bytes, 256 * MIB);
	cr_assert_eq(options.row_count, 3);
	cr_expect_eq(options.dirty_bytes[0], 655 * 4096);
	cr_expect_eq(options.dirty_bytes[1], 6553 * 4096);
	cr_expect_eq(options.dirty_bytes[2], 256 * MIB);
	cr_expect_eq(options.writes, TANDEM_BENCH_WRITES_RANDOM);
	cr_expect_eq(options.interval_ns, 0);
	cr_expect_null(options.plot_path);
	cr_expect_not(options.measures_bare);
}

Test(bench_checkpoint, every_option_arrives)
{
	struct tandem_bench_checkpoint_options options;

	cr_assert_eq(read_words("--dirty 64K,10%,5000 --size 1G --pattern hot --interval 600 "
	                        "--epochs 7 --channels 2 --provider tcp --tracker mark "
	                        "--address 127.0.0.2 --plot a.svg --json --bare",
	                        &options),
	             TANDEM_BENCH_RUN);
	cr_expect_eq(options.size_bytes, 1024 * MIB);
	cr_assert_eq(options.row_count, 3);
	cr_expect_eq(options.dirty_bytes[0], 65536);
	cr_expect_eq(options.dirty_bytes[1], 107372544, "whole pages of a tenth of 1 GiB");
	cr_expect_eq(options.dirty_bytes[2], 4096);
	cr_expect_eq(options.writes, TANDEM_BENCH_WRITES_HOT);
	cr_expect_eq(options.interval_ns, UINT64_C(600000000));
	cr_expect_eq(options.epochs, 7);
	cr_expect_eq(options.channel_count, 2);
	cr_expect_str_eq(options.provider, "tcp");
	cr_expect_str_eq(options.tracker, "mark");
	cr_expect_str_eq(options.address, "127.0.0.2");
	cr_expect_str_eq(options.plot_path, "a.svg");
	cr_expect(options.is_json);
	cr_expect(options.measures_bare);
}

Test(bench_checkpoint, how_the_library_captures_arrives)
{
	struct tandem_bench_checkpoint_options options;

	cr_assert_eq(read_words("--size 64M", &options), TANDEM_BENCH_RUN);
	cr_expect_str_eq(options.capture.mode, "stop");
	cr_expect_eq(options.capture.staging_bytes, 64 * MIB, "room for all of it");
	cr_expect_eq(options.capture.push_interval_ns, 0);
	cr_expect_eq(options.capture.budget_ns, 0);
	cr_assert_eq(read_words("--capture auto --staging 8M --push-interval 2000 --push-rate 100M "
	                        "--budget 1500 --on-overload slow",
	                        &options),
	             TANDEM_BENCH_RUN);
	cr_expect_str_eq(options.capture.mode, "auto");
	cr_expect_eq(options.capture.staging_bytes, 8 * MIB);
	cr_expect_eq(options.capture.push_interval_ns, 2000000);
	cr_expect_eq(options.capture.push_rate_bytes_s, 100 * MIB);
	cr_expect_eq(options.capture.budget_ns, 1500000);
	cr_expect(options.capture.slows_program);
}

Test(bench_checkpoint, a_rate_makes_one_row_of_an_interval)
{
	struct tandem_bench_checkpoint_options options;

	cr_assert_eq(read_words("--pattern upload --rate 64M --interval 600", &options),
	             TANDEM_BENCH_RUN);
	cr_assert_eq(options.row_count, 1);
	cr_expect_eq(options.dirty_bytes[0], 9830 * 4096, "38.4 MiB in whole pages");
	cr_assert_eq(read_words("--rate 10G --interval 1000", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.dirty_bytes[0], 256 * MIB, "no more than there is");
}

Test(bench_checkpoint, wrong_options_are_refused)
{
	static const char *const lines[] = {
	        "--size 1000001",
	        "--size 0",
	        "--dirty 101%",
	        "--dirty %",
	        "--dirty 1X",
	        "--dirty ,",
	        "--dirty 257M",
	        "--dirty 1M,2M,3M,4M,5M,6M,7M,8M,9M,10M,11M,12M,13M,14M,15M,16M,17M",
	        "--pattern cold",
	        "--pattern upload",
	        "--rate 64M",
	        "--rate 64M --interval 600 --dirty 1M",
	        "--interval -1",
	        "--epochs 0",
	        "--epochs 1000001",
	        "--channels 17",
	        "--tracker mprotect",
	        "--capture copy",
	        "--staging 4K",
	        "--budget 1000",
	        "--budget 10000001 --push-interval 1",
	        "--on-overload panic",
	        "--no-such-option 1",
	        "argument",
	};
	struct tandem_bench_checkpoint_options options;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect_eq(read_words(lines[i], &options), TANDEM_BENCH_WRONG, "%s", lines[i]);
	cr_expect_eq(read_words("--help", &options), TANDEM_BENCH_HELP);
}

/* ---- where it writes ---- */

#define PAGES 1000

static void count_pages(enum tandem_bench_writes writes, unsigned writes_count,
                        unsigned counts[PAGES])
{
	struct tandem_bench_pages pages;

	memset(counts, 0, PAGES * sizeof(*counts));
	cr_assert_eq(tandem_bench_pages_make(writes, PAGES, &pages, NULL), 0);
	for (unsigned i = 0; i < writes_count; i++) {
		const uint64_t page = tandem_bench_pages_next(&pages);

		cr_assert_lt(page, PAGES);
		counts[page]++;
	}
	tandem_bench_pages_clear(&pages);
}

Test(bench_checkpoint, random_and_sequential_write_each_page_before_one_again)
{
	unsigned counts[PAGES];

	for (unsigned round = 1; round <= 3; round++) {
		count_pages(TANDEM_BENCH_WRITES_RANDOM, round * PAGES, counts);
		for (unsigned page = 0; page < PAGES; page++)
			cr_assert_eq(counts[page], round);
		count_pages(TANDEM_BENCH_WRITES_SEQUENTIAL, round * PAGES, counts);
		for (unsigned page = 0; page < PAGES; page++)
			cr_assert_eq(counts[page], round);
	}
}

Test(bench_checkpoint, random_is_not_the_order_of_memory)
{
	struct tandem_bench_pages pages;
	unsigned neighbour_count = 0;
	uint64_t before;

	cr_assert_eq(tandem_bench_pages_make(TANDEM_BENCH_WRITES_RANDOM, PAGES, &pages, NULL), 0);
	before = tandem_bench_pages_next(&pages);
	for (unsigned i = 1; i < PAGES; i++) {
		const uint64_t page = tandem_bench_pages_next(&pages);

		neighbour_count += page == before + 1;
		before = page;
	}
	cr_expect_lt(neighbour_count, PAGES / 50);
	tandem_bench_pages_clear(&pages);
}

static int compare_down(const void *left, const void *right)
{
	const unsigned one = *(const unsigned *)left, other = *(const unsigned *)right;

	return (one < other) - (one > other);
}

Test(bench_checkpoint, a_tenth_of_the_pages_is_hot)
{
	unsigned counts[PAGES], hot = 0;

	count_pages(TANDEM_BENCH_WRITES_HOT, 100000, counts);
	qsort(counts, PAGES, sizeof(*counts), compare_down);
	for (unsigned i = 0; i < PAGES / 10; i++)
		hot += counts[i];
	cr_expect_gt(hot, 89000);
	cr_expect_lt(hot, 91000);
}

Test(bench_checkpoint, a_copy_writes_the_same_pages_once_more)
{
	for (unsigned writes = 0; writes < TANDEM_BENCH_WRITES_UPLOAD; writes++) {
		struct tandem_bench_pages pages, copy;

		cr_assert_eq(tandem_bench_pages_make((enum tandem_bench_writes)writes, PAGES,
		                                     &pages, NULL),
		             0);
		tandem_bench_pages_next(&pages);
		copy = pages;
		for (unsigned i = 0; i < 2 * PAGES; i++)
			cr_assert_eq(tandem_bench_pages_next(&copy),
			             tandem_bench_pages_next(&pages));
		tandem_bench_pages_clear(&pages);
	}
}

/* ---- the cache of an upload ---- */

Test(bench_checkpoint, an_upload_takes_the_oldest_buffer)
{
	static uint8_t region[1 << 20];
	struct tandem_bench_cache cache = tandem_bench_cache_in(region, sizeof(region));
	size_t room;
	uint8_t *first = tandem_bench_cache_place(&cache, &room);

	cr_assert_eq(cache.buffer_count, 15);
	cr_expect_eq(room, TANDEM_BENCH_BUFFER_BYTES);
	tandem_bench_cache_fill(&cache, 1000);
	cr_expect_eq(tandem_bench_cache_place(&cache, &room), first + 1000);
	cr_expect_eq(room, TANDEM_BENCH_BUFFER_BYTES - 1000);
	cr_expect_eq(cache.table[0], 0, "not before it is full");
	tandem_bench_cache_fill(&cache, room);
	cr_expect_eq(cache.table[0], 1);
	for (unsigned buffer = 1; buffer < 15; buffer++) {
		cr_expect_eq(tandem_bench_cache_place(&cache, &room),
		             first + buffer * TANDEM_BENCH_BUFFER_BYTES);
		tandem_bench_cache_fill(&cache, room);
	}
	cr_expect_eq(tandem_bench_cache_place(&cache, &room), first);
	tandem_bench_cache_fill(&cache, room);
	cr_expect_eq(cache.table[0], 16);
	cr_expect_leq(first + 15 * TANDEM_BENCH_BUFFER_BYTES, region + sizeof(region));
}

/* ---- arithmetic ---- */

static struct tandem_bench_checkpoint_figures figures_of(unsigned epochs)
{
	struct tandem_bench_checkpoint_options options = {
	        .dirty_bytes = {MIB}, .row_count = 1, .epochs = epochs};
	struct tandem_bench_checkpoint_figures figures;

	cr_assert_eq(tandem_bench_checkpoint_figures_make(&options, &figures, NULL), 0);
	return figures;
}

Test(bench_checkpoint, bins_are_1_2_5)
{
	struct tandem_bench_checkpoint_figures figures = figures_of(8);
	static const uint64_t values_ns[] = {1,    1000,     1001, 2000,
	                                     2001, 50000000, 1,    UINT64_C(1) << 62};
	uint64_t counts[TANDEM_BENCH_BINS];

	cr_expect_eq(tandem_bench_bin_edge_us(0), 1);
	cr_expect_eq(tandem_bench_bin_edge_us(2), 5);
	cr_expect_eq(tandem_bench_bin_edge_us(3), 10);
	cr_expect_eq(tandem_bench_bin_edge_us(14), 50000);
	for (unsigned i = 0; i < 8; i++)
		tandem_bench_row_add(&figures.rows[0], TANDEM_BENCH_SPAN_PAUSE, values_ns[i]);
	tandem_bench_bins(&figures.rows[0].spans_ns[TANDEM_BENCH_SPAN_PAUSE], counts);
	cr_expect_eq(counts[0], 3);
	cr_expect_eq(counts[1], 2);
	cr_expect_eq(counts[2], 1);
	cr_expect_eq(counts[14], 1);
	cr_expect_eq(counts[TANDEM_BENCH_BINS - 1], 1, "beyond the last edge");
	tandem_bench_checkpoint_figures_clear(&figures);
}

Test(bench_checkpoint, ratios_are_of_pairs)
{
	struct tandem_bench_checkpoint_figures figures = figures_of(3);
	struct tandem_bench_row *row = &figures.rows[0];
	/* pause, scan, bare scan, bare copy, bare send: the pauses are not in order */
	static const uint64_t values[3][5] = {
	        {300, 110, 100, 100, 200}, {100, 60, 50, 50, 150}, {900, 300, 100, 200, 200}};

	for (unsigned i = 0; i < 3; i++) {
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_PAUSE, values[i][0]);
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_SCAN, values[i][1]);
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_SCAN, values[i][2]);
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_COPY, values[i][3]);
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_SEND, values[i][4]);
	}
	tandem_bench_row_sort(row);
	cr_expect_eq(tandem_bench_samples_at(&row->ratios_ppm[TANDEM_BENCH_RATIO_SCAN], 500),
	             1200000);
	cr_expect_eq(tandem_bench_samples_at(&row->ratios_ppm[TANDEM_BENCH_RATIO_COPY], 500),
	             1500000);
	cr_expect_eq(tandem_bench_samples_at(&row->ratios_ppm[TANDEM_BENCH_RATIO_SEND], 500),
	             1000000);
	cr_expect_eq(tandem_bench_samples_at(&row->spans_ns[TANDEM_BENCH_SPAN_PAUSE], 1000), 900);
	cr_expect_float_eq(tandem_bench_samples_mean(&row->spans_ns[TANDEM_BENCH_SPAN_PAUSE]),
	                   433.3, 0.1);
	tandem_bench_checkpoint_figures_clear(&figures);
}

Test(bench_checkpoint, what_the_page_gained_belongs_to_the_epoch)
{
	static struct tandem_stats stats;
	struct tandem_bench_checkpoint_figures figures = figures_of(2);
	struct tandem_bench_row *row = &figures.rows[0];
	struct tandem_bench_mark mark;

	tandem_histogram_add(&stats.scan_ns, 1000000);
	tandem_histogram_add(&stats.apply_ns, 5000);
	stats.bytes_pushed = 4096;
	tandem_bench_mark_set(&mark, &stats);
	tandem_histogram_add(&stats.scan_ns, 100);
	tandem_histogram_add(&stats.scan_ns, 23);
	stats.bytes_pushed = 3 * 4096;
	tandem_bench_row_take(row, &stats, &mark);
	cr_expect_not(tandem_bench_row_take_apply(row, &stats, &mark));
	cr_assert_eq(row->spans_ns[TANDEM_BENCH_SPAN_SCAN].count, 1);
	cr_expect_eq(row->spans_ns[TANDEM_BENCH_SPAN_SCAN].values[0], 123);
	cr_expect_eq(row->spans_ns[TANDEM_BENCH_SPAN_PUSH].count, 0);
	cr_expect_eq(row->spans_ns[TANDEM_BENCH_SPAN_APPLY].count, 0, "not told yet");
	cr_expect_eq(row->pushed_bytes, 2 * 4096);
	tandem_bench_mark_renew(&mark, &stats);
	tandem_histogram_add(&stats.apply_ns, 777);
	cr_expect(tandem_bench_row_take_apply(row, &stats, &mark));
	cr_assert_eq(row->spans_ns[TANDEM_BENCH_SPAN_APPLY].count, 1);
	cr_expect_eq(row->spans_ns[TANDEM_BENCH_SPAN_APPLY].values[0], 777);
	cr_expect_not(tandem_bench_row_take_apply(row, &stats, &mark));
	cr_expect_eq(row->spans_ns[TANDEM_BENCH_SPAN_APPLY].count, 1, "once");
	tandem_bench_checkpoint_figures_clear(&figures);
}

/* ---- the plain send ---- */

Test(bench_checkpoint, a_plain_send_ends_for_every_number_of_sockets_and_ranges)
{
	static uint8_t memory[4 << 20];
	struct tandem_bench_bare_range ranges[300];

	for (unsigned i = 0; i < 300; i++)
		ranges[i] = (struct tandem_bench_bare_range){.start = memory + i * 8192,
		                                             .length = 4096};
	ranges[299].length = 1 << 20;
	for (unsigned sockets = 1; sockets <= 16; sockets += 5) {
		struct tandem_bench_bare_link link;

		cr_assert_eq(tandem_bench_bare_link_open(4 << 20, sockets, &link, NULL), 0);
		for (unsigned first = 0; first <= 300; first += 100) {
			uint64_t ns = 0;

			cr_assert_eq(tandem_bench_bare_link_send(&link, ranges + first, 300 - first,
			                                         &ns, NULL),
			             0);
			cr_expect_gt(ns, 0);
		}
		tandem_bench_bare_link_close(&link);
	}
}

/* ---- the picture ---- */

Test(bench_checkpoint, a_picture_has_a_curve_a_row)
{
	struct tandem_bench_checkpoint_options options = {.size_bytes = 2048 * MIB,
	                                                  .dirty_bytes = {65536, 512 * MIB},
	                                                  .row_count = 2,
	                                                  .epochs = 3,
	                                                  .channel_count = 4,
	                                                  .capture = {.mode = "stage"},
	                                                  .tracker = "auto"};
	struct tandem_bench_checkpoint_figures figures;
	static char text[16384];
	FILE *out = fmemopen(text, sizeof(text), "w");

	cr_assert_eq(tandem_bench_checkpoint_figures_make(&options, &figures, NULL), 0);
	for (unsigned row = 0; row < 2; row++)
		for (unsigned i = 0; i < 3; i++)
			tandem_bench_row_add(&figures.rows[row], TANDEM_BENCH_SPAN_PAUSE,
			                     (i + 1) * 1000000);
	tandem_bench_plot_write(out, &options, &figures);
	fclose(out);
	cr_expect_not_null(strstr(text, "$curve0 << END\n1.000000 100.000000\n2.000000 66.666667\n"
	                                "3.000000 33.333333\nEND\n"));
	cr_expect_not_null(strstr(text, "\"64 KiB written\""));
	cr_expect_not_null(strstr(text, "\"512 MiB written\""));
	cr_expect_not_null(strstr(text, "2 GiB"));
	cr_expect_null(strstr(text, "plain send"), "nothing bare was measured");
	tandem_bench_checkpoint_figures_clear(&figures);
}
