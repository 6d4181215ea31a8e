#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "bench_bare.h"
#include "bench_checkpoint_figures.h"
#include "bench_memory.h"
#include "bench_plot.h"
#include "bench_program.h"
#include "bench_progress.h"

static const char help[] =
        "usage: tandem-bench checkpoint [options]\n"
        "\n"
        "Protects a region of this process, dirties it and takes checkpoints; the standby is a "
        "process of\n"
        "its own, and a controller says yes to everything. Every pause is kept in memory that was "
        "made\n"
        "before the run. A row for each size of --dirty.\n"
        "\n"
        "  --size N          memory of the region (default 256M)\n"
        "  --dirty LIST      what the program writes before each checkpoint, in bytes or per cent\n"
        "                    (default 1%,10%,100%)\n"
        "  --rate N          instead: bytes a second that it writes all the time; needs "
        "--interval\n"
        "  --pattern NAME    random pages (default), sequential, hot (nine of ten writes in one "
        "tenth of\n"
        "                    the pages), or upload (with --rate: a file arrives through a socket "
        "into a\n"
        "                    cache of 64 KiB buffers)\n"
        "  --interval MS     from one checkpoint to the next (default 0: at once)\n"
        "  --epochs N        checkpoints of a row (default 20)\n"
        "  --channels N      data channels, 1 to 16 (default 4)\n"
        "  --provider NAME   auto, rdma or tcp (default auto)\n"
        "  --tracker NAME    auto, pagemap, compare or mark (default auto)\n"
        "  --address A       local address to use (default 127.0.0.1)\n"
        "  --capture MODE    stop, stage or auto (default stop): how the library captures; stage "
        "copies what\n"
        "                    was written, and pushes it beside the running program\n"
        "  --staging N       memory for the copy (default as much as the region)\n"
        "  --push-interval US  how often it pushes beside the running program (default 0: never)\n"
        "  --push-rate N     bytes a second that this may take (default: no limit)\n"
        "  --budget US       of a pause: a checkpoint is put off until it is likely to fit\n"
        "  --on-overload DO  when it never fits: grow the pause (default) or slow the program\n"
        "  --bare            beside each checkpoint, on the same pages: PAGEMAP_SCAN alone, one\n"
        "                    non-temporal copy, and a plain send over as many TCP connections; "
        "the\n"
        "                    ratios are of pairs. With --rate: PAGEMAP_SCAN and copy where a "
        "checkpoint\n"
        "                    could be, which tells what the machine does to such a pause\n"
        "  --json            the result as JSON, with all samples\n"
        "  --plot FILE.svg   also draws it: the pauses, and the pause against the dirty size "
        "(gnuplot)\n"
        "\n"
        "examples:\n"
        "  tandem-bench checkpoint\n"
        "  tandem-bench checkpoint --size 2G --dirty 64K,1M,16M,256M --epochs 200 --bare\n"
        "  tandem-bench checkpoint --size 2G --pattern upload --rate 64M --interval 600 --epochs "
        "200\n"
        "  tandem-bench checkpoint --size 2G --capture stage --rate 500M --interval 100 --budget "
        "3000 \\\n"
        "      --push-interval 2000 --epochs 200\n"
        "  tandem-bench checkpoint --dirty 4K,64K,1M,16M,100% --plot pause.svg\n";

struct bench {
	const struct tandem_bench_checkpoint_options *options;
	struct tandem_bench_pair pair;
	struct tandem_bench_program program;
	struct tandem_bench_bare bare;
	struct tandem_bench_checkpoint_figures figures;
	struct tandem_bench_mark mark;
	struct tandem_bench_progress progress;
	uint64_t bytes_before; /* of the program's memory, before it was protected */
};

/* ---- all at once ---- */

static int measure_bare(struct bench *bench, struct tandem_bench_row *row,
                        struct tandem_error *error)
{
	uint64_t scan_ns, send_ns;
	int code = tandem_bench_bare_scan(&bench->bare, bench->program.region,
	                                  bench->options->size_bytes, &scan_ns, error);

	if (code == 0)
		code = tandem_bench_bare_send(&bench->bare, &send_ns, error);
	if (code < 0)
		return code;
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_SCAN, scan_ns);
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_SEND, send_ns);
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_COPY,
	                     tandem_bench_bare_copy(&bench->bare));
	return 0;
}

/* What the bare scan took from the tracker is dirty all the same. */
static void mark_found(struct bench *bench)
{
	for (size_t i = 0; i < bench->bare.range_count; i++)
		tandem_mark_dirty(bench->pair.tandem, bench->bare.ranges[i].start,
		                  bench->bare.ranges[i].length);
}

static int give_back(struct bench *bench, struct tandem_error *error)
{
	mark_found(bench);
	return tandem_bench_pair_checkpoint(&bench->pair, error);
}

/* Of few pages the standby says with its answer that they are applied. A program has no empty
 * epochs in between: the kernel acknowledges each read of a stream whose segments differ so. */
static int await_apply(struct bench *bench, struct tandem_bench_row *row,
                       struct tandem_error *error)
{
	int code;

	if (tandem_bench_row_take_apply(row, bench->pair.stats, &bench->mark))
		return 0;
	code = tandem_bench_pair_settle(&bench->pair, error);
	tandem_bench_row_take_apply(row, bench->pair.stats, &bench->mark);
	return code;
}

static int measure_checkpoint(struct bench *bench, struct tandem_bench_row *row,
                              struct tandem_error *error)
{
	const uint64_t committed = bench->pair.stats->epochs_committed;
	uint64_t ticket, begin_ns, resumed_ns;
	int code;

	tandem_bench_mark_renew(&bench->mark, bench->pair.stats);
	begin_ns = tandem_clock_now_ns();
	code = tandem_checkpoint(bench->pair.tandem, NULL, 0, &ticket, error);
	resumed_ns = tandem_clock_now_ns();
	if (code == 0)
		code = tandem_wait_released(bench->pair.tandem, ticket, 60 * TANDEM_NS_PER_S);
	if (code < 0)
		return code;
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_TOTAL, tandem_clock_now_ns() - begin_ns);
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_PAUSE, resumed_ns - begin_ns);
	tandem_bench_pair_wait_counted(&bench->pair, committed);
	tandem_bench_row_take(row, bench->pair.stats, &bench->mark);
	return await_apply(bench, row, error);
}

/* Whoever comes second finds the pages in the caches: they take turns. What comes first is written
 * once more, so that the tracker misses nothing; what comes second is given back. */
static int run_epoch(struct bench *bench, struct tandem_bench_row *row, unsigned epoch,
                     struct tandem_error *error)
{
	const struct tandem_bench_pages pages = bench->program.pages;
	const bool has_bare = bench->options->measures_bare;
	int code = 0;

	tandem_bench_program_write(&bench->program, row->dirty_bytes);
	if (has_bare && epoch % 2 == 0) {
		code = measure_bare(bench, row, error);
		bench->program.pages = pages;
		tandem_bench_program_write(&bench->program, row->dirty_bytes);
	}
	if (code == 0)
		code = measure_checkpoint(bench, row, error);
	if (code < 0 || !has_bare || epoch % 2 == 0)
		return code;
	bench->program.pages = pages;
	tandem_bench_program_write(&bench->program, row->dirty_bytes);
	code = measure_bare(bench, row, error);
	if (code == 0)
		code = give_back(bench, error);
	return code == 0 ? tandem_bench_pair_settle(&bench->pair, error) : code;
}

static int run_epochs(struct bench *bench, struct tandem_bench_row *row, struct tandem_error *error)
{
	uint64_t next_ns = tandem_clock_now_ns();
	int code = 0;

	for (unsigned epoch = 0; code == 0 && epoch < bench->options->epochs; epoch++) {
		next_ns += bench->options->interval_ns;
		tandem_bench_program_run(&bench->program, bench->pair.tandem, next_ns);
		code = run_epoch(bench, row, epoch, error);
		tandem_bench_progress_step(&bench->progress, "checkpoints");
	}
	return code;
}

/* ---- at a rate ---- */

/* Where a checkpoint could be: the same pause by the bare calls, which the same machine disturbs.
 */
static int measure_bare_pause(struct bench *bench, struct tandem_bench_row *row,
                              struct tandem_error *error)
{
	uint64_t scan_ns;
	int code = tandem_bench_bare_scan(&bench->bare, bench->program.region,
	                                  bench->options->size_bytes, &scan_ns, error);

	if (code < 0)
		return code;
	tandem_bench_row_add(row, TANDEM_BENCH_SPAN_BARE_PAUSE,
	                     scan_ns + tandem_bench_bare_copy(&bench->bare));
	mark_found(bench);
	tandem_bench_program_run(&bench->program, bench->pair.tandem, tandem_clock_now_ns());
	return 0;
}

static void take_last(struct bench *bench, struct tandem_bench_row *row, uint64_t committed)
{
	tandem_bench_pair_wait_counted(&bench->pair, committed);
	tandem_bench_row_take(row, bench->pair.stats, &bench->mark);
	tandem_bench_row_take_apply(row, bench->pair.stats, &bench->mark);
}

static int run_at_rate(struct bench *bench, struct tandem_bench_row *row,
                       struct tandem_error *error)
{
	const uint64_t written_bytes = bench->program.written_bytes;
	uint64_t next_ns = tandem_clock_now_ns(), committed = 0;
	int code = 0;

	for (unsigned epoch = 0; code == 0 && epoch < bench->options->epochs; epoch++) {
		uint64_t ticket, begin_ns;

		next_ns += bench->options->interval_ns;
		tandem_bench_program_run(&bench->program, bench->pair.tandem, next_ns);
		if (epoch > 0)
			take_last(bench, row, committed);
		if (bench->options->measures_bare)
			code = measure_bare_pause(bench, row, error);
		if (code < 0)
			return code;
		committed = bench->pair.stats->epochs_committed;
		tandem_bench_mark_renew(&bench->mark, bench->pair.stats);
		begin_ns = tandem_clock_now_ns();
		code = tandem_checkpoint(bench->pair.tandem, NULL, 0, &ticket, error);
		tandem_bench_row_add(row, TANDEM_BENCH_SPAN_PAUSE,
		                     tandem_clock_now_ns() - begin_ns);
		tandem_bench_progress_step(&bench->progress, "checkpoints");
	}
	if (code < 0)
		return code;
	row->written_bytes = bench->program.written_bytes - written_bytes;
	tandem_bench_program_run(&bench->program, bench->pair.tandem, next_ns);
	take_last(bench, row, committed);
	return 0;
}

/* ---- the whole ---- */

static int run_row(struct bench *bench, struct tandem_bench_row *row, struct tandem_error *error)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	int code = tandem_bench_pair_settle(&bench->pair, error);

	tandem_bench_mark_set(&bench->mark, bench->pair.stats);
	if (code == 0)
		code = bench->options->rate_bytes_s > 0 ? run_at_rate(bench, row, error)
		                                        : run_epochs(bench, row, error);

	row->elapsed_ns = tandem_clock_now_ns() - begin_ns;
	tandem_bench_row_sort(row);
	tandem_bench_progress_wipe(&bench->progress);
	if (code == 0 && !bench->options->is_json)
		tandem_bench_checkpoint_print_row(row);
	return code;
}

static void name(struct bench *bench)
{
	const struct tandem_stats *stats = bench->pair.stats;

	memcpy(bench->figures.provider, stats->transport, sizeof bench->figures.provider);
	memcpy(bench->figures.provider_detail, stats->transport_detail,
	       sizeof bench->figures.provider_detail);
	memcpy(bench->figures.tracker, stats->tracker, sizeof bench->figures.tracker);
	if (strcmp(stats->tracker, "mark") == 0)
		bench->program.tandem = bench->pair.tandem;
}

/* After the epochs, which have filled what they need. */
static int measure_memory(struct bench *bench, struct tandem_error *error)
{
	struct tandem_bench_checkpoint_figures *figures = &bench->figures;
	uint64_t bytes;
	int code = tandem_bench_pair_memory(&bench->pair, &bytes, &figures->standby_bytes, error);

	if (code == 0 && bytes > bench->bytes_before)
		figures->program_bytes = bytes - bench->bytes_before;
	return code;
}

static int run_rows(struct bench *bench, struct tandem_error *error)
{
	const struct tandem_bench_checkpoint_options *options = bench->options;
	int code = 0;

	name(bench);
	if (!options->is_json)
		tandem_bench_checkpoint_print_head(options, &bench->figures);
	bench->progress =
	        tandem_bench_progress_begin((uint64_t)options->epochs * options->row_count);
	for (unsigned i = 0; code == 0 && i < options->row_count; i++)
		code = run_row(bench, &bench->figures.rows[i], error);
	if (code == 0)
		code = measure_memory(bench, error);
	if (code == 0 && options->is_json)
		tandem_bench_checkpoint_print_json(options, &bench->figures);
	if (code == 0 && options->plot_path != NULL)
		code = tandem_bench_plot(options, &bench->figures, error);
	return code;
}

static uint64_t largest(const struct tandem_bench_checkpoint_options *options)
{
	uint64_t bytes = TANDEM_BENCH_PAGE_BYTES;

	for (unsigned i = 0; i < options->row_count; i++) {
		if (options->dirty_bytes[i] > bytes)
			bytes = options->dirty_bytes[i];
	}
	/* At a rate an interval that grows makes more. */
	if (options->rate_bytes_s > 0)
		bytes = bytes < options->size_bytes / 4 ? 4 * bytes : options->size_bytes;
	return bytes;
}

/* What starts processes comes first. */
static int run(struct bench *bench, struct tandem_error *error)
{
	const struct tandem_bench_checkpoint_options *options = bench->options;
	int code = tandem_bench_pair_open(options, &bench->pair, error);

	if (code == 0 && options->measures_bare)
		code = tandem_bench_bare_open(largest(options), options->channel_count,
		                              &bench->bare, error);
	if (code == 0)
		code = tandem_bench_program_open(options, true, &bench->program, error);
	if (code == 0)
		code = tandem_bench_checkpoint_figures_make(options, &bench->figures, error);
	if (code == 0)
		code = tandem_bench_memory_of(getpid(), &bench->bytes_before, error);
	if (code == 0)
		code = tandem_bench_pair_join(&bench->pair, options, bench->program.region, error);
	return code == 0 ? run_rows(bench, error) : code;
}

int tandem_bench_checkpoint_main(int argument_count, char **arguments)
{
	struct tandem_bench_checkpoint_options options;
	static struct bench bench;
	struct tandem_error error = {.code = 0};
	int code;

	/* A process of the bench that has ended is an error, not our end. */
	signal(SIGPIPE, SIG_IGN);
	switch (tandem_bench_checkpoint_options_read(argument_count, arguments, &options)) {
	case TANDEM_BENCH_HELP:
		fputs(help, stdout);
		return EXIT_SUCCESS;
	case TANDEM_BENCH_WRONG:
		fputs(help, stderr);
		return 2;
	case TANDEM_BENCH_RUN:
		break;
	}
	bench = (struct bench){.options = &options,
	                       .bare = {.pagemap_fd = -1},
	                       .program = {.upload = {.fd = -1, .client = -1}}};
	code = run(&bench, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	/* The region is the library's until the pair is closed. */
	tandem_bench_bare_close(&bench.bare);
	tandem_bench_upload_close(&bench.program.upload);
	tandem_bench_pair_close(&bench.pair);
	tandem_bench_program_close(&bench.program);
	tandem_bench_checkpoint_figures_clear(&bench.figures);
	return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
