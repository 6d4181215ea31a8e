#include "bench.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/histogram.h>
#include <tandem/memory.h>
#include <tandem/random.h>
#include <tandem/stats_page.h>
#include <tandem/tandem.h>

#define PAGE_BYTES         4096u
#define RELEASE_TIMEOUT_NS (60 * TANDEM_NS_PER_S)

/* Dirties random pages, takes a checkpoint, waits until it is committed and applied, and compares
 * the pause with a plain memcpy of the same pages in the same run. */
struct bench {
	const struct tandem_bench_options *options;
	struct tandem *tandem;
	const struct tandem_stats *stats;
	uint8_t *region;
	uint8_t *copy;
	uint64_t page_count;
	uint64_t *order; /* page numbers, shuffled */
	uint64_t random;
	uint64_t stamp;
};

struct row {
	unsigned dirty_percent;
	uint64_t dirty_pages;
	struct tandem_histogram memcpy_ns;
	struct tandem_histogram scan_ns, push_ns, commit_ns, apply_ns, pause_ns;
};

static void shuffle(struct bench *bench)
{
	for (uint64_t index = bench->page_count - 1; index > 0; index--) {
		uint64_t other = tandem_random_next(&bench->random) % (index + 1);
		uint64_t page = bench->order[index];

		bench->order[index] = bench->order[other];
		bench->order[other] = page;
	}
}

static void dirty(struct bench *bench, uint64_t pages)
{
	bench->stamp++;
	for (uint64_t index = 0; index < pages; index++) {
		uint8_t *page = bench->region + bench->order[index] * PAGE_BYTES;

		memcpy(page + bench->stamp * 64 % PAGE_BYTES, &bench->stamp, sizeof bench->stamp);
	}
}

static uint64_t time_memcpy(struct bench *bench, uint64_t pages)
{
	uint64_t start_ns = tandem_clock_now_ns();

	for (uint64_t index = 0; index < pages; index++) {
		uint64_t offset = bench->order[index] * PAGE_BYTES;

		memcpy(bench->copy + offset, bench->region + offset, PAGE_BYTES);
	}
	return tandem_clock_now_ns() - start_ns;
}

static int checkpoint(struct bench *bench, struct tandem_error *error)
{
	uint64_t ticket;
	int code = tandem_checkpoint(bench->tandem, &bench->stamp, sizeof bench->stamp, &ticket,
	                             error);

	if (code == 0)
		code = tandem_wait_released(bench->tandem, ticket, RELEASE_TIMEOUT_NS);
	if (code == TANDEM_E_TIMEOUT)
		tandem_error_set(error, code, "checkpoint", "not committed within a minute");
	return code;
}

/* An epoch is applied when the next one could be pushed: an empty one is sealed only then. */
static int settle(struct bench *bench, struct tandem_error *error)
{
	return checkpoint(bench, error);
}

static void subtract(struct tandem_histogram *histogram, const struct tandem_histogram *before)
{
	for (unsigned bucket = 0; bucket < TANDEM_HISTOGRAM_BUCKETS; bucket++)
		histogram->buckets[bucket] -= before->buckets[bucket];
	histogram->count -= before->count;
	histogram->sum -= before->sum;
}

static void add_mean(struct tandem_histogram *to, const struct tandem_histogram *now,
                     struct tandem_histogram *before)
{
	struct tandem_histogram difference = *now;

	subtract(&difference, before);
	*before = *now;
	if (difference.count > 0)
		tandem_histogram_add(to, difference.sum / difference.count);
}

static int run_row(struct bench *bench, struct row *row, struct tandem_error *error)
{
	static struct tandem_histogram scan, push, commit, apply, pause;

	row->dirty_pages = bench->page_count * row->dirty_percent / 100;
	for (unsigned epoch = 0; epoch < bench->options->epochs; epoch++) {
		int code = settle(bench, error);

		shuffle(bench);
		dirty(bench, row->dirty_pages);
		scan = bench->stats->scan_ns;
		push = bench->stats->push_ns;
		commit = bench->stats->commit_ns;
		apply = bench->stats->apply_ns;
		pause = bench->stats->pause_ns;
		if (code == 0)
			code = checkpoint(bench, error);
		if (code < 0)
			return code;
		add_mean(&row->pause_ns, &bench->stats->pause_ns, &pause);
		add_mean(&row->scan_ns, &bench->stats->scan_ns, &scan);
		add_mean(&row->push_ns, &bench->stats->push_ns, &push);
		add_mean(&row->commit_ns, &bench->stats->commit_ns, &commit);
		code = settle(bench, error);
		if (code < 0)
			return code;
		struct tandem_histogram first = bench->stats->apply_ns;
		add_mean(&row->apply_ns, &first, &apply);
		tandem_histogram_add(&row->memcpy_ns, time_memcpy(bench, row->dirty_pages));
	}
	return 0;
}

static double ms(const struct tandem_histogram *histogram)
{
	return (double)tandem_histogram_at(histogram, 500) / 1e6;
}

static double fraction(const struct row *row)
{
	double memcpy_ms = ms(&row->memcpy_ns);

	return memcpy_ms > 0 ? ms(&row->pause_ns) / memcpy_ms : 0;
}

static void print_row(const struct row *row)
{
	printf("%5u %% %9llu %9.2f %9.2f %9.2f %9.2f %9.2f %11.2f %9.2f\n", row->dirty_percent,
	       (unsigned long long)row->dirty_pages, ms(&row->scan_ns), ms(&row->push_ns),
	       ms(&row->commit_ns), ms(&row->apply_ns), ms(&row->pause_ns), ms(&row->memcpy_ns),
	       fraction(row));
}

static struct json_object *json_row(const struct row *row)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "dirty_percent",
	                       json_object_new_int((int)row->dirty_percent));
	json_object_object_add(object, "dirty_pages",
	                       json_object_new_int64((int64_t)row->dirty_pages));
	json_object_object_add(object, "scan_ms", json_object_new_double(ms(&row->scan_ns)));
	json_object_object_add(object, "push_ms", json_object_new_double(ms(&row->push_ns)));
	json_object_object_add(object, "commit_ms", json_object_new_double(ms(&row->commit_ns)));
	json_object_object_add(object, "apply_ms", json_object_new_double(ms(&row->apply_ns)));
	json_object_object_add(object, "pause_ms", json_object_new_double(ms(&row->pause_ns)));
	json_object_object_add(object, "memcpy_ms", json_object_new_double(ms(&row->memcpy_ns)));
	json_object_object_add(object, "pause_memcpy_ratio", json_object_new_double(fraction(row)));
	return object;
}

static int run_rows(struct bench *bench, struct tandem_error *error)
{
	struct json_object *rows = json_object_new_array(), *report = json_object_new_object();
	int code = 0;

	json_object_object_add(report, "transport",
	                       json_object_new_string(bench->stats->transport));
	json_object_object_add(report, "tracker", json_object_new_string(bench->stats->tracker));
	json_object_object_add(report, "channels",
	                       json_object_new_int((int)bench->options->channel_count));
	json_object_object_add(report, "size_mib",
	                       json_object_new_int64((int64_t)(bench->options->size_bytes >> 20)));
	json_object_object_add(report, "epochs", json_object_new_int((int)bench->options->epochs));
	json_object_object_add(report, "rows", rows);
	if (!bench->options->is_json)
		printf("%llu MiB, %s, %u channels, tracker %s; medians of %u epochs, milliseconds\n"
		       "  dirty     pages      scan      push    commit     apply     pause  "
		       "memcpy alone  fraction\n",
		       (unsigned long long)bench->options->size_bytes >> 20,
		       bench->stats->transport_detail, bench->options->channel_count,
		       bench->stats->tracker, bench->options->epochs);
	for (unsigned index = 0; code == 0 && index < bench->options->dirty_count; index++) {
		static struct row row;

		memset(&row, 0, sizeof row);
		row.dirty_percent = bench->options->dirty_percent[index];
		code = run_row(bench, &row, error);
		if (code == 0 && !bench->options->is_json)
			print_row(&row);
		json_object_array_add(rows, json_row(&row));
	}
	if (code == 0 && bench->options->is_json)
		puts(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY));
	json_object_put(report);
	return code;
}

static int wait_pair(struct bench *bench, struct tandem_error *error)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + RELEASE_TIMEOUT_NS, ticket;
	struct tandem_news news;

	for (;;) {
		tandem_poll(bench->tandem, &news);
		if (news.is_pair)
			return 0;
		if (tandem_clock_now_ns() > deadline_ns)
			return tandem_error_set(error, TANDEM_E_TIMEOUT, "bench",
			                        "the pair did not form in a minute");
		if (news.wants_checkpoint) {
			int code = tandem_checkpoint(bench->tandem, NULL, 0, &ticket, error);
			if (code < 0)
				return code;
		}
		if (tandem_wait_released(bench->tandem, UINT64_MAX, 10 * TANDEM_NS_PER_MS) ==
		    TANDEM_E_NOT_LEADER)
			return tandem_error_set(error, TANDEM_E_NOT_LEADER, "bench", "halted");
	}
}

static int make_memory(struct bench *bench, struct tandem_error *error)
{
	size_t size = bench->options->size_bytes;

	bench->page_count = size / PAGE_BYTES;
	bench->region = tandem_memory_map(size);
	bench->copy = tandem_memory_map(size);
	bench->order = tandem_memory_alloc_array(bench->page_count, sizeof *bench->order);
	if (bench->region == NULL || bench->copy == NULL || bench->order == NULL)
		return tandem_error_set(error, TANDEM_E_MEMORY, "bench", "%zu MiB twice are needed",
		                        size >> 20);
	madvise(bench->region, size, MADV_NOHUGEPAGE);
	for (uint64_t page = 0; page < bench->page_count; page++) {
		bench->order[page] = page;
		memset(bench->region + page * PAGE_BYTES, (int)(page % 255) + 1, PAGE_BYTES);
	}
	memcpy(bench->copy, bench->region, size);
	return 0;
}

static int join(struct bench *bench, const char *directory, struct tandem_error *error)
{
	struct tandem_options options = TANDEM_OPTIONS_DEFAULT;
	int code;

	options.pair = "bench";
	options.run_directory = directory;
	code = tandem_open(&options, &bench->tandem, error);
	if (code == 0)
		code = tandem_region_add(bench->tandem, "bench", bench->region,
		                         bench->options->size_bytes, TANDEM_TRACKER_AUTO, error);
	if (code == 0)
		code = tandem_start(bench->tandem, error);
	if (code == 0)
		code = tandem_stats_open(directory, "bench", &bench->stats, error);
	return code == 0 ? wait_pair(bench, error) : code;
}

static int run_pair(struct bench *bench, const char *directory, struct tandem_error *error)
{
	struct tandem_bench_controller *controller = NULL;
	struct tandem_bench_peer *peer = NULL;
	uint16_t port = 0;
	int code = tandem_bench_peer_new(directory, bench->options, &peer, &port, error);

	if (code == 0)
		code = tandem_bench_controller_new(directory, bench->options, port, &controller,
		                                   error);
	if (code == 0)
		code = tandem_bench_peer_start(peer, error);
	if (code == 0)
		code = make_memory(bench, error);
	if (code == 0)
		code = join(bench, directory, error);
	if (code == 0)
		code = run_rows(bench, error);
	tandem_stats_close(bench->stats);
	bench->tandem = tandem_close(bench->tandem);
	tandem_bench_peer_free(peer);
	tandem_bench_controller_free(controller);
	return code;
}

static void clean(const char *directory)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, TANDEM_CONTROL_SOCKET);
	unlink(path);
	snprintf(path, sizeof path, "%s/bench.stats", directory);
	unlink(path);
	rmdir(directory);
	rmdir("/dev/shm/tandem-bench/bench");
	rmdir("/dev/shm/tandem-bench");
}

int tandem_bench_checkpoint(const struct tandem_bench_options *options)
{
	char directory[] = "/tmp/tandem-bench-XXXXXX";
	struct tandem_error error = {.code = 0};
	struct bench bench = {.options = options, .random = 1};
	int code;

	if (mkdtemp(directory) == NULL) {
		fprintf(stderr, "tandem-bench: %s: %s\n", directory, strerror(errno));
		return EXIT_FAILURE;
	}
	code = run_pair(&bench, directory, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	if (bench.region != NULL)
		tandem_memory_unmap(bench.region, options->size_bytes);
	if (bench.copy != NULL)
		tandem_memory_unmap(bench.copy, options->size_bytes);
	tandem_memory_free(bench.order);
	clean(directory);
	return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
