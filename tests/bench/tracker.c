#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/pagemap_abi.h>
#include <tandem/random.h>

#include "core/bitmap.h"
#include "shell/tracker.h"

/* What a scan costs beside the bare PAGEMAP_SCAN call: find the pages that were written, and
 * protect them again. Both in turns, on the same pages, in one run. */

#define PAGE       4096u
#define ROUNDS_MAX 101u

static const char usage[] =
        "usage: bench_tracker [--mib N] [--rounds N] [--json]\n"
        "\n"
        "Dirties 1, 10 and 100 % of a region of N MiB (default 1024) at random pages, and times\n"
        "the tracker's scan and the bare system call, the median of ROUNDS (default 11) each.\n"
        "\n"
        "  bench_tracker\n"
        "  bench_tracker --mib 4096 --rounds 5 --json\n";

struct bench {
	uint64_t page_count;
	unsigned rounds;
	bool is_json;
	uint8_t *memory;
	uint32_t *order;
	uint64_t *dirty;
	struct tandem_page_region *ranges;
	int pagemap_fd;
	struct tandem_region_tracker *tracker;
};

struct kind {
	const char *name;
	bool is_shared;
	bool is_sparse;
};

static void shuffle(struct bench *bench)
{
	uint64_t seed = 1;

	for (uint32_t index = 0; index < bench->page_count; index++)
		bench->order[index] = index;
	for (uint64_t index = bench->page_count - 1; index > 0; index--) {
		uint64_t other = tandem_random_next(&seed) % (index + 1);
		uint32_t page = bench->order[index];

		bench->order[index] = bench->order[other];
		bench->order[other] = page;
	}
}

static void dirty(struct bench *bench, uint64_t pages)
{
	for (uint64_t index = 0; index < pages; index++)
		bench->memory[(uint64_t)bench->order[index] * PAGE]++;
}

static uint64_t time_scan(struct bench *bench)
{
	struct tandem_page_set found = {.words = bench->dirty, .page_count = UINT64_MAX};
	uint64_t start_ns = tandem_clock_now_ns();

	if (tandem_tracker_scan(bench->tracker, &found, 0, NULL) < 0)
		abort();
	return tandem_clock_now_ns() - start_ns;
}

static uint64_t time_bare(struct bench *bench)
{
	struct tandem_pm_scan_arg scan = {
	        .size = sizeof scan,
	        .flags = TANDEM_PM_SCAN_WP_MATCHING | TANDEM_PM_SCAN_CHECK_WPASYNC,
	        .start = (uintptr_t)bench->memory,
	        .end = (uintptr_t)bench->memory + bench->page_count * PAGE,
	        .vec = (uintptr_t)bench->ranges,
	        .vec_len = bench->page_count,
	        .category_mask = TANDEM_PAGE_IS_WRITTEN,
	        .return_mask = TANDEM_PAGE_IS_WRITTEN,
	};
	uint64_t start_ns = tandem_clock_now_ns();

	while (scan.start < scan.end) {
		if (ioctl(bench->pagemap_fd, TANDEM_PAGEMAP_SCAN, &scan) < 0)
			abort();
		scan.start = scan.walk_end;
	}
	return tandem_clock_now_ns() - start_ns;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare);
	return values[count / 2];
}

static void run_row(struct bench *bench, const struct kind *kind, unsigned percent)
{
	double scans[ROUNDS_MAX], bares[ROUNDS_MAX], ratios[ROUNDS_MAX];
	uint64_t pages = bench->page_count * percent / 100;

	if (kind->is_sparse)
		pages /= 2;
	for (unsigned round = 0; round < bench->rounds; round++) {
		dirty(bench, pages);
		if (round % 2 == 0)
			bares[round] = (double)time_bare(bench);
		else
			scans[round] = (double)time_scan(bench);
		dirty(bench, pages);
		if (round % 2 == 0)
			scans[round] = (double)time_scan(bench);
		else
			bares[round] = (double)time_bare(bench);
		ratios[round] = scans[round] / bares[round];
	}
	double scan_ms = median(scans, bench->rounds) / 1e6;
	double bare_ms = median(bares, bench->rounds) / 1e6;

	printf(bench->is_json ? "{\"memory\": \"%s\", \"dirty_percent\": %u, \"scan_ms\": %.3f, "
	                        "\"bare_ms\": %.3f, \"scan_ratio\": %.3f}\n"
	                      : "%-26s %3u %%  scan %8.3f ms  bare %8.3f ms  ratio %.2f\n",
	       kind->name, percent, scan_ms, bare_ms, median(ratios, bench->rounds));
}

static void run_kind(struct bench *bench, const struct kind *kind)
{
	size_t bytes = bench->page_count * PAGE;
	int file = kind->is_shared ? memfd_create("bench", MFD_CLOEXEC) : -1;
	static const unsigned percents[] = {1, 10, 100};

	if (file >= 0 && ftruncate(file, (off_t)bytes) != 0)
		abort();
	bench->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                     kind->is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
	if (bench->memory == MAP_FAILED)
		abort();
	dirty(bench, kind->is_sparse ? bench->page_count / 2 : bench->page_count);
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bench->memory, bytes, &bench->tracker,
	                       NULL) < 0) {
		printf("no PAGEMAP_SCAN in this kernel\n");
	} else {
		time_scan(bench);
		for (unsigned index = 0; index < 3; index++)
			run_row(bench, kind, percents[index]);
	}
	bench->tracker = tandem_tracker_free(bench->tracker);
	munmap(bench->memory, bytes);
	if (file >= 0)
		close(file);
}

static int read_options(int argc, char **argv, struct bench *bench)
{
	static const struct option names[] = {{"mib", required_argument, NULL, 'm'},
	                                      {"rounds", required_argument, NULL, 'r'},
	                                      {"json", no_argument, NULL, 'j'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'm')
			bench->page_count = strtoull(optarg, NULL, 10) * (1u << 20) / PAGE;
		else if (option == 'r')
			bench->rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'j')
			bench->is_json = true;
		else
			return option == 'h' ? 1 : -1;
	}
	return bench->page_count > 0 && bench->rounds > 0 && bench->rounds <= ROUNDS_MAX ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {{"anonymous", false, false},
	                                    {"memfd, full", true, false},
	                                    {"memfd, half of it holes", true, true}};
	struct bench bench = {.page_count = (UINT64_C(1) << 30) / PAGE, .rounds = 11};
	int asked = read_options(argc, argv, &bench);

	if (asked != 0) {
		fputs(usage, asked > 0 ? stdout : stderr);
		return asked > 0 ? 0 : 2;
	}
	bench.order = tandem_memory_alloc_array(bench.page_count, sizeof *bench.order);
	bench.dirty = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(bench.page_count) + 1,
	                                        sizeof *bench.dirty);
	bench.ranges = tandem_memory_alloc_array(bench.page_count, sizeof *bench.ranges);
	bench.pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (bench.order == NULL || bench.dirty == NULL || bench.ranges == NULL)
		return 1;
	shuffle(&bench);
	for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
		run_kind(&bench, &kinds[kind]);
	close(bench.pagemap_fd);
	tandem_memory_free(bench.order);
	tandem_memory_free(bench.dirty);
	tandem_memory_free(bench.ranges);
	return 0;
}
