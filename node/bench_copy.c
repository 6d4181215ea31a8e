#include "bench.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "bench_copy_options.h"
#include "bench_pages.h"
#include "bench_program.h"
#include "bench_report.h"

#define RUN_PAGES 16u /* live memory comes in pieces of 64 KiB */
#define WAIT_NS   (600 * TANDEM_NS_PER_S)
#define SHOW_NS   (TANDEM_NS_PER_S / 4)
#define MIB       1048576.0

static const char help[] =
        "usage: tandem-bench copy [options]\n"
        "\n"
        "The first synchronisation: protects a region of this process and measures until the "
        "standby, a\n"
        "process of its own, holds a copy.\n"
        "\n"
        "  --size N          memory of the region (default 256M)\n"
        "  --live N          of it that holds data (default 4.3 %), in pieces of 64 KiB at random\n"
        "  --history NAME    of the rest. ended: a workload has filled it, and ended (default); "
        "boot:\n"
        "                    nobody has written there\n"
        "  --free            the library can know what is free: memory of a workload that ended "
        "is named\n"
        "                    by tandem_mark_free(), after boot it was never touched. Without: it "
        "holds\n"
        "                    old data, or zeros\n"
        "  --rate N          bytes a second that the program writes meanwhile, to random pages\n"
        "  --channels N      data channels, 1 to 16 (default 4)\n"
        "  --provider NAME   auto, rdma or tcp (default auto)\n"
        "  --tracker NAME    auto, pagemap, compare or mark (default auto)\n"
        "  --address A       local address to use (default 127.0.0.1)\n"
        "  --json            the result as JSON\n"
        "\n"
        "examples:\n"
        "  tandem-bench copy --size 2G\n"
        "  tandem-bench copy --size 2G --free\n"
        "  tandem-bench copy --size 2G --live 2G --rate 500M\n";

struct bench {
	const struct tandem_bench_copy_options *options;
	struct tandem_bench_pair pair;
	struct tandem_bench_program program;
	struct tandem_bench_pages pieces; /* of the region, in random order: the first ones live */
	uint64_t live_pieces;
	uint64_t elapsed_ns;
	uint64_t copy_ns;  /* of that, since the standby's memory was ready */
	uint64_t freed_ns; /* what telling took */
};

/* Neighbours are named in one call, as an allocator would. */
static void tell_free(struct bench *bench, const uint8_t *is_live)
{
	const uint64_t piece_bytes = RUN_PAGES * TANDEM_BENCH_PAGE_BYTES;
	const uint64_t begin_ns = tandem_clock_now_ns();

	for (uint64_t piece = 0, next; piece < bench->pieces.page_count; piece = next) {
		for (next = piece + 1;
		     next < bench->pieces.page_count && !is_live[piece] && !is_live[next];)
			next++;
		if (!is_live[piece])
			tandem_mark_free(bench->pair.tandem,
			                 bench->program.region + piece * piece_bytes,
			                 (next - piece) * piece_bytes);
	}
	bench->freed_ns = tandem_clock_now_ns() - begin_ns;
}

static void fill(struct bench *bench, uint8_t *is_live)
{
	const uint64_t size_bytes = bench->options->pair.size_bytes;

	if (bench->options->history == TANDEM_BENCH_HISTORY_ENDED)
		tandem_bench_program_fill(&bench->program, 0, size_bytes / TANDEM_BENCH_PAGE_BYTES);
	else if (!bench->options->tells_free)
		memset(bench->program.region, 0, size_bytes);
	for (uint64_t i = 0; i < bench->live_pieces; i++) {
		const uint64_t piece = tandem_bench_pages_next(&bench->pieces);

		is_live[piece] = 1;
		tandem_bench_program_fill(&bench->program, piece * RUN_PAGES, RUN_PAGES);
	}
}

static void show(const struct bench *bench)
{
	const double done = (double)bench->pair.stats->copy_bytes_done;
	const double total = (double)bench->pair.stats->copy_bytes_total;

	if (isatty(STDERR_FILENO) == 1)
		fprintf(stderr, "\r\033[K%.0f of %.0f MiB", done / MIB, total / MIB);
}

/* What the program could not write while it was held it does not make up for. */
static int step(struct bench *bench, struct tandem_error *error)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int code = tandem_bench_pair_step(&bench->pair, error);

	if (bench->program.paced_since_ns != 0)
		bench->program.paced_since_ns += tandem_clock_now_ns() - begin_ns;
	return code;
}

static int wait_copy(struct bench *bench, struct tandem_error *error)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	uint64_t show_ns = begin_ns + SHOW_NS;
	struct pollfd news = {.fd = tandem_event_fd(bench->pair.tandem), .events = POLLIN};
	const int wait_ms = bench->options->pair.rate_bytes_s > 0 ? 1 : 50;
	int code;

	while ((code = step(bench, error)) == 0) {
		const uint64_t now_ns = tandem_clock_now_ns();

		if (now_ns - begin_ns > WAIT_NS)
			return tandem_error_set(error, TANDEM_E_TIMEOUT, "copy",
			                        "the standby had no copy after ten minutes");
		if (now_ns > show_ns) {
			show(bench);
			show_ns = now_ns + SHOW_NS;
		}
		if (tandem_bench_program_pace(&bench->program) == 0)
			poll(&news, 1, wait_ms);
	}
	if (isatty(STDERR_FILENO) == 1)
		fputs("\r\033[K", stderr);
	return code < 0 ? code : 0;
}

static uint64_t channel_bytes(const struct tandem_stats *stats)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < TANDEM_STATS_CHANNELS_MAX; i++)
		bytes += stats->channels[i].bytes;
	return bytes;
}

/* The engine writes what its channels carried to its page now and then. */
static void wait_shown(const struct bench *bench)
{
	const uint64_t until_ns = tandem_clock_now_ns() + TANDEM_NS_PER_S;

	while (channel_bytes(bench->pair.stats) < bench->pair.stats->bytes_pushed &&
	       tandem_clock_now_ns() < until_ns)
		poll(NULL, 0, 1);
}

static int measure(struct bench *bench, struct tandem_error *error)
{
	const struct tandem_bench_copy_options *options = bench->options;
	uint8_t *is_live = tandem_memory_alloc(bench->pieces.page_count);
	uint64_t begin_ns, end_ns;
	int code;

	if (is_live == NULL)
		return tandem_error_set(error, TANDEM_E_MEMORY, "copy", "no memory for a list");
	fill(bench, is_live);
	code = tandem_bench_pair_add(&bench->pair, &options->pair, bench->program.region, error);
	if (code == 0 && options->tells_free && options->history == TANDEM_BENCH_HISTORY_ENDED)
		tell_free(bench, is_live);
	tandem_memory_free(is_live);
	begin_ns = tandem_clock_now_ns();
	if (code == 0)
		code = tandem_bench_pair_start(&bench->pair, error);
	if (code == 0)
		code = wait_copy(bench, error);
	end_ns = tandem_clock_now_ns();
	bench->elapsed_ns = end_ns - begin_ns;
	bench->copy_ns = end_ns - tandem_bench_controller_session_up_ns(bench->pair.controller);
	if (code == 0)
		wait_shown(bench);
	return code;
}

static int run(struct bench *bench, struct tandem_error *error)
{
	const uint64_t piece_bytes = RUN_PAGES * TANDEM_BENCH_PAGE_BYTES;
	int code = tandem_bench_pair_open(&bench->options->pair, &bench->pair, error);

	bench->live_pieces = (bench->options->live_bytes + piece_bytes - 1) / piece_bytes;
	if (code == 0)
		code = tandem_bench_program_open(&bench->options->pair, false, &bench->program,
		                                 error);
	if (code == 0)
		code = tandem_bench_pages_make(TANDEM_BENCH_WRITES_RANDOM,
		                               bench->options->pair.size_bytes / piece_bytes,
		                               &bench->pieces, error);
	return code == 0 ? measure(bench, error) : code;
}

/* ---- the report ---- */

static void print_json(const struct bench *bench)
{
	const struct tandem_bench_copy_options *options = bench->options;
	const struct tandem_stats *stats = bench->pair.stats;
	struct json_object *report = json_object_new_object();

	tandem_bench_json_text(report, "provider", stats->transport);
	tandem_bench_json_text(report, "tracker", stats->tracker);
	tandem_bench_json_count(report, "channels", options->pair.channel_count);
	tandem_bench_json_count(report, "size_bytes", options->pair.size_bytes);
	tandem_bench_json_count(report, "live_bytes",
	                        bench->live_pieces * RUN_PAGES * TANDEM_BENCH_PAGE_BYTES);
	tandem_bench_json_text(report, "history", tandem_bench_history_text(options->history));
	json_object_object_add(report, "free", json_object_new_boolean(options->tells_free));
	tandem_bench_json_count(report, "rate_bytes_s", options->pair.rate_bytes_s);
	tandem_bench_json_count(report, "written_bytes", bench->program.paced_bytes);
	tandem_bench_json_number(report, "seconds", (double)bench->elapsed_ns / 1e9);
	tandem_bench_json_number(report, "copy_seconds", (double)bench->copy_ns / 1e9);
	tandem_bench_json_number(report, "freeing_seconds", (double)bench->freed_ns / 1e9);
	tandem_bench_json_number(report, "held_seconds", (double)stats->copy_held_ns / 1e9);
	tandem_bench_json_count(report, "pushed_bytes", stats->bytes_pushed);
	tandem_bench_json_count(report, "channel_bytes", channel_bytes(stats));
	tandem_bench_json_print(report);
}

static void print(const struct bench *bench)
{
	const struct tandem_bench_copy_options *options = bench->options;
	const struct tandem_stats *stats = bench->pair.stats;

	printf("%.0f MiB, %.1f of them live, history %s, %s, %u channels, tracker %s, %s\n"
	       "a copy after %.3f s, %.3f s of it since the standby had its memory: %.1f MiB of "
	       "data, %.1f MiB through the channels\n",
	       (double)options->pair.size_bytes / MIB,
	       (double)(bench->live_pieces * RUN_PAGES * TANDEM_BENCH_PAGE_BYTES) / MIB,
	       tandem_bench_history_text(options->history), stats->transport_detail,
	       options->pair.channel_count, stats->tracker,
	       options->tells_free ? "what is free can be known" : "what is free is not known",
	       (double)bench->elapsed_ns / 1e9, (double)bench->copy_ns / 1e9,
	       (double)stats->bytes_pushed / MIB, (double)channel_bytes(stats) / MIB);
	if (options->pair.rate_bytes_s > 0)
		printf("meanwhile the program wrote %.1f MiB\n",
		       (double)bench->program.paced_bytes / MIB);
	if (stats->copy_held_ns != 0)
		printf("it was held for %.3f s, because it writes as fast as a copy is made\n",
		       (double)stats->copy_held_ns / 1e9);
}

int tandem_bench_copy_main(int argument_count, char **arguments)
{
	struct tandem_bench_copy_options options;
	struct bench bench;
	struct tandem_error error = {.code = 0};
	int code;

	/* A process of the bench that has ended is an error, not our end. */
	signal(SIGPIPE, SIG_IGN);
	switch (tandem_bench_copy_options_read(argument_count, arguments, &options)) {
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
	                       .program = {.upload = {.fd = -1, .client = -1}}};
	code = run(&bench, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	else if (options.pair.is_json)
		print_json(&bench);
	else
		print(&bench);
	tandem_bench_pair_close(&bench.pair);
	tandem_bench_program_close(&bench.program);
	tandem_bench_pages_clear(&bench.pieces);
	return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
