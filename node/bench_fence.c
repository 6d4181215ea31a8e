#include "bench.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "bench_value.h"
#include "bench_link.h"
#include "bench_report.h"

#define SIZES_MAX  8
#define HUGE_BYTES (UINT64_C(2) << 20)

static const char help[] =
        "usage: tandem-bench fence [options]\n"
        "\n"
        "Exposes memory to a session and fences it: the time until no write of the peer can change "
        "it any\n"
        "more, all of it withdrawn from the device in parallel. The sender is idle.\n"
        "\n"
        "  --provider NAME     auto, rdma or tcp (default auto)\n"
        "  --address A         local address of both sides (default 127.0.0.1)\n"
        "  --channels N        data channels, 1 to 16 (default 4)\n"
        "  --sizes LIST        of the memory (default 256M,1G,4G); what this machine cannot hold "
        "is "
        "left out\n"
        "  --rounds N          of each size (default 5)\n"
        "  --json              the result as JSON\n"
        "\n"
        "examples:\n"
        "  tandem-bench fence --provider tcp\n"
        "  tandem-bench fence --provider rdma --address 10.77.0.1 --sizes 64M,256M --json\n";

struct options {
	struct tandem_bench_link_options link;
	uint64_t sizes[SIZES_MAX];
	unsigned size_count;
	unsigned rounds;
	bool is_json;
};

struct row {
	uint64_t size_bytes;
	bool has_huge_pages;
	uint64_t huge_bytes; /* what the kernel made huge */
	struct tandem_histogram expose_ns;
	struct tandem_histogram fence_ns;
};

/* ---- the sender: a thread that joins again each time that it was fenced, or was not let in while
 * memory was made ---- */

struct sender {
	struct tandem_bench_link_options to;
	atomic_bool is_ending; /* the next fence is the last */
	pthread_t thread;
	struct tandem_bench_link link;
};

static struct sender sender;

static void *send_sessions(void *argument)
{
	struct tandem_bench_link *link = &sender.link;

	(void)argument;

	while (!atomic_load(&sender.is_ending)) {
		int code = tandem_bench_link_connect(link, &sender.to, NULL);

		/* Each lost channel is told before the session. */
		while (link->session != NULL && code != TANDEM_E_TIMEOUT &&
		       link->event.type != TANDEM_SESSION_LOST)
			code = tandem_bench_link_next(link, NULL);
		tandem_bench_link_close(link);
		memset(&link->event, 0, sizeof link->event);
	}
	return NULL;
}

/* ---- a round ---- */

/* What of this process the kernel made of huge pages. */
static uint64_t huge_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long long kib = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "AnonHugePages: %llu", &kib) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return kib << 10;
}

static uint64_t available_bytes(void)
{
	return (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Aligned to huge pages and touched: NULL where there is not enough. */
static uint8_t *map_cache(struct row *row)
{
	const size_t bytes = row->size_bytes + HUGE_BYTES;
	uint8_t *base =
	        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *cache = base;

	if (base == MAP_FAILED)
		return NULL;
	cache += (HUGE_BYTES - (uintptr_t)base % HUGE_BYTES) % HUGE_BYTES;
	madvise(cache, row->size_bytes, row->has_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	/* Faster than to touch them one by one; an older kernel does not know it. */
	if (madvise(cache, row->size_bytes, MADV_POPULATE_WRITE) != 0)
		memset(cache, 1, row->size_bytes);
	row->huge_bytes = huge_bytes();
	return cache;
}

static void unmap_cache(const struct row *row, uint8_t *cache)
{
	munmap(cache, row->size_bytes);
}

static bool is_whole(const struct tandem_bench_link *link, unsigned channel_count)
{
	struct tandem_channel_status status = {.state = TANDEM_CHANNEL_UP};

	for (unsigned i = 0; i < channel_count && status.state == TANDEM_CHANNEL_UP; i++)
		tandem_session_channel_status(link->session, i, &status);
	return status.state == TANDEM_CHANNEL_UP;
}

static int await_channels(struct tandem_bench_link *link, unsigned channel_count,
                          struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_WAIT_NS;

	while (!is_whole(link, channel_count)) {
		if (tandem_clock_now_ns() > deadline_ns)
			return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "fence",
			                        "the sender's channels did not join");
		tandem_bench_link_wait(link);
	}
	return 0;
}

static int run_round(struct tandem_bench_link *link, const struct options *options, struct row *row,
                     uint8_t *cache, bool is_last, struct tandem_error *reterr_error)
{
	int code = tandem_bench_link_accept(link, reterr_error);
	uint64_t begin_ns;

	if (code == 0)
		code = await_channels(link, options->link.channel_count, reterr_error);
	atomic_store(&sender.is_ending, is_last);
	begin_ns = tandem_clock_now_ns();
	if (code == 0)
		code = tandem_session_expose(link->session, 0, cache, row->size_bytes,
		                             reterr_error);
	tandem_histogram_add(&row->expose_ns, tandem_clock_now_ns() - begin_ns);
	begin_ns = tandem_clock_now_ns();
	if (code == 0)
		code = tandem_session_fence(link->session, begin_ns + TANDEM_BENCH_WAIT_NS,
		                            reterr_error);
	tandem_histogram_add(&row->fence_ns, tandem_clock_now_ns() - begin_ns);
	link->session = tandem_session_free(link->session);
	return code;
}

static int run_row(struct tandem_bench_link *link, const struct options *options, struct row *row,
                   bool is_last, struct tandem_error *reterr_error)
{
	uint8_t *cache = map_cache(row);
	int code = 0;

	if (cache == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "fence",
		                        "no memory for %" PRIu64 " bytes", row->size_bytes);
	for (unsigned i = 0; code == 0 && i < options->rounds; i++)
		code = run_round(link, options, row, cache, is_last && i + 1 == options->rounds,
		                 reterr_error);
	/* Not proven to be withdrawn, it may not be freed. */
	if (code == 0)
		unmap_cache(row, cache);
	return code;
}

/* ---- the report ---- */

static void print_row(const struct row *row)
{
	printf("%6" PRIu64 " MiB  %-10s %9.2f ms  %9.2f ms  %9.2f ms\n", row->size_bytes >> 20,
	       row->has_huge_pages ? row->huge_bytes < row->size_bytes / 2 ? "refused" : "huge"
	                           : "4 KiB",
	       (double)tandem_histogram_at(&row->expose_ns, 500) / 1e6,
	       (double)tandem_histogram_at(&row->fence_ns, 500) / 1e6,
	       (double)row->fence_ns.max / 1e6);
}

static struct json_object *json_row(const struct row *row)
{
	struct json_object *object = json_object_new_object();

	tandem_bench_json_count(object, "size_bytes", row->size_bytes);
	json_object_object_add(object, "has_huge_pages",
	                       json_object_new_boolean(row->has_huge_pages));
	tandem_bench_json_count(object, "huge_bytes", row->huge_bytes);
	tandem_bench_json_latency(object, "expose_us", &row->expose_ns);
	tandem_bench_json_latency(object, "fence_us", &row->fence_ns);
	return object;
}

static void report_row(const struct options *options, const struct row *row,
                       struct json_object *rows)
{
	json_object_array_add(rows, json_row(row));
	if (!options->is_json)
		print_row(row);
	fflush(stdout);
}

/* ---- all rows ---- */

static int run_rows(struct tandem_bench_link *link, const struct options *options,
                    struct json_object *rows, struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < 2 * options->size_count; i++) {
		static struct row row;

		row = (struct row){.size_bytes = options->sizes[i / 2], .has_huge_pages = i % 2};
		code = run_row(link, options, &row, i + 1 == 2 * options->size_count, reterr_error);
		if (code == 0)
			report_row(options, &row, rows);
	}
	return code;
}

/* The registrations' own memory comes on top. */
static void drop_what_does_not_fit(struct options *options)
{
	const uint64_t bytes = available_bytes() / 10 * 8;
	unsigned kept = 0;

	for (unsigned i = 0; i < options->size_count; i++) {
		if (options->sizes[i] <= bytes)
			options->sizes[kept++] = options->sizes[i];
		else
			fprintf(stderr,
			        "tandem-bench: %" PRIu64 " MiB left out, %" PRIu64 " are free\n",
			        options->sizes[i] >> 20, bytes >> 20);
	}
	options->size_count = kept;
}

static int run(struct options *options, struct json_object *rows, struct tandem_error *reterr_error)
{
	static struct tandem_bench_link link;
	int code = tandem_bench_link_listen(&link, &options->link, reterr_error);
	int failure;

	if (code == 0) {
		sender.to = options->link;
		sender.to.port = tandem_listener_port(link.listener);
		failure = pthread_create(&sender.thread, NULL, send_sessions, NULL);
		if (failure != 0)
			code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
			                              "pthread_create", "sender");
	}
	if (code == 0) {
		code = run_rows(&link, options, rows, reterr_error);
		/* After a failure it would go on to join until it is tired. */
		if (code == 0)
			pthread_join(sender.thread, NULL);
	}
	if (code == 0)
		tandem_bench_link_close(&link);
	return code;
}

static bool parse_sizes(char *text, struct options *options)
{
	char *rest = NULL;

	options->size_count = 0;
	for (char *word = strtok_r(text, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		if (options->size_count == SIZES_MAX ||
		    !tandem_bench_parse_bytes(word, HUGE_BYTES, UINT64_C(1) << 40,
		                              &options->sizes[options->size_count]))
			return false;
		options->size_count++;
	}
	return options->size_count > 0;
}

static bool parse_option(int option, char *value, struct options *options)
{
	switch (option) {
	case 's':
		return parse_sizes(value, options);
	case 'r':
		return tandem_bench_parse_unsigned(value, 1, 10000, &options->rounds);
	case 'j':
		options->is_json = true;
		return true;
	default:
		return tandem_bench_link_option(option, value, &options->link);
	}
}

static void print_json(const struct options *options, struct json_object *rows)
{
	struct json_object *report = json_object_new_object();

	tandem_bench_json_text(report, "provider", options->link.provider);
	tandem_bench_json_count(report, "channels", options->link.channel_count);
	tandem_bench_json_count(report, "rounds", options->rounds);
	json_object_object_add(report, "rows", json_object_get(rows));
	tandem_bench_json_print(report);
}

int tandem_bench_fence_main(int argument_count, char **arguments)
{
	static const struct option long_options[] = {{"provider", required_argument, NULL, 'v'},
	                                             {"address", required_argument, NULL, 'a'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"sizes", required_argument, NULL, 's'},
	                                             {"rounds", required_argument, NULL, 'r'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct options options = {
	        .link = TANDEM_BENCH_LINK_OPTIONS_DEFAULT,
	        .sizes = {UINT64_C(256) << 20, UINT64_C(1) << 30, UINT64_C(4) << 30},
	        .size_count = 3,
	        .rounds = 5};
	struct json_object *rows = json_object_new_array();
	struct tandem_error error = {.code = 0};
	int code, option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h' || !parse_option(option, optarg, &options)) {
			fputs(help, option == 'h' ? stdout : stderr);
			return option == 'h' ? EXIT_SUCCESS : 2;
		}
	}
	if (optind != argument_count) {
		fputs(help, stderr);
		return 2;
	}
	drop_what_does_not_fit(&options);
	if (!options.is_json)
		printf("%u channels, medians of %u rounds\n"
		       "      size  pages         expose         fence     fence, max\n",
		       options.link.channel_count, options.rounds);
	code = run(&options, rows, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	else if (options.is_json)
		print_json(&options, rows);
	json_object_put(rows);
	return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
