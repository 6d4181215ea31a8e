/* stuck_leaks PROVIDER ADDRESS ROUNDS [ask]
 *
 * Descriptors, threads, heap, mappings, pinned memory and device objects before and after ROUNDS
 * sessions that each end in another way. With `ask` it says "warm" and "done" and waits each time
 * for a line on stdin, so that others can count what the kernel keeps for it.
 * GLIBC_TUNABLES=glibc.malloc.tcache_count=0 keeps the C library's own caches out of the heap. */

#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "device_hooks.h"
#include "flood.h"

#define HEAP_SLACK_BYTES    1024
#define HEAP_ROUND_BYTES    8                   /* half of the smallest allocation */
#define MAPPING_SLACK_BYTES ((uint64_t)4 << 20) /* thread stacks that the C library keeps */
/* The address sanitizer keeps freed memory for a while, and looks for leaks itself at the end. */
#ifdef __SANITIZE_ADDRESS__
#define COUNTS_MEMORY false
#else
#define COUNTS_MEMORY true
#endif
#define WARM_CYCLES  3
#define THREAD_TURNS 20000 /* of a millisecond or more */

struct counts {
	unsigned descriptors;
	unsigned threads;
	uint64_t heap_bytes;
	uint64_t mapped_bytes;
	uint64_t pinned_bytes;
	unsigned device_objects;
};

/* ---- counting ---- */

static unsigned count_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

/* A line such as "VmPin:	     12 kB" of /proc/self/status. */
static uint64_t status_bytes(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t bytes = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			bytes = strtoull(line + strlen(name), NULL, 10) * 1024;
	}
	if (file != NULL)
		fclose(file);
	return bytes;
}

static struct counts count_all(void)
{
	return (struct counts){
	        .descriptors = count_entries("/proc/self/fd"),
	        .threads = count_entries("/proc/self/task"),
	        .heap_bytes = mallinfo2().uordblks + mallinfo2().hblkhd,
	        .mapped_bytes = status_bytes("VmSize:"),
	        .pinned_bytes = status_bytes("VmPin:"),
	        .device_objects = device_object_count(),
	};
}

static void say_counts(const char *when, const struct counts *counts)
{
	printf("%s: %u descriptors, %u threads, %llu bytes of heap, %llu mapped, %llu pinned, "
	       "%u device objects\n",
	       when, counts->descriptors, counts->threads, (unsigned long long)counts->heap_bytes,
	       (unsigned long long)counts->mapped_bytes, (unsigned long long)counts->pinned_bytes,
	       counts->device_objects);
	fflush(stdout);
}

static bool has_same_memory(const struct counts *before, const struct counts *after,
                            unsigned rounds)
{
	const uint64_t slack_bytes = HEAP_SLACK_BYTES + (uint64_t)rounds * HEAP_ROUND_BYTES;

	return after->heap_bytes <= before->heap_bytes + slack_bytes &&
	       after->mapped_bytes <= before->mapped_bytes + MAPPING_SLACK_BYTES;
}

static int compare(const struct counts *before, const struct counts *after, unsigned rounds)
{
	TANDEM_CONTRACT_CHECK(after->descriptors == before->descriptors);
	TANDEM_CONTRACT_CHECK(after->threads == before->threads);
	TANDEM_CONTRACT_CHECK(after->pinned_bytes == before->pinned_bytes);
	TANDEM_CONTRACT_CHECK(after->device_objects == before->device_objects);
	TANDEM_CONTRACT_CHECK(!COUNTS_MEMORY || has_same_memory(before, after, rounds));
	return 0;
}

/* ---- ways to end ---- */

static int write_on_each(struct pair *pair)
{
	const unsigned before = pair->listening.notice_count;
	const struct tandem_write write = {.source = pair->source, .length = 4096};

	for (unsigned i = 0; i < pair->options.channel_count; i++)
		TANDEM_CONTRACT_CHECK(pair_notify(pair, i, &write, i) == 0);
	return pair_wait(pair, pair_has_notices, before + pair->options.channel_count);
}

static int end_with_yank(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = 4096};

	TANDEM_CONTRACT_CHECK(write_on_each(pair) == 0);
	TANDEM_CONTRACT_CHECK(pair_notify(pair, 0, &write, 0) == 0);
	tandem_session_yank(pair->connecting.session);
	return pair_wait(pair, pair_is_lost, 0);
}

static int end_with_free(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(write_on_each(pair) == 0);
	pair->listening.session = tandem_session_free(pair->listening.session);
	return pair_wait(pair, pair_is_connecting_lost, 0);
}

static int end_with_fence(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(write_on_each(pair) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_fence(pair->listening.session,
	                                           tandem_clock_now_ns() + PAIR_WAIT_NS,
	                                           NULL) == 0);
	return pair_wait(pair, pair_is_lost, 0);
}

static bool is_channel_lost(const struct pair *pair, uint64_t channel)
{
	return pair->connecting.channel_lost_counts[channel] > 0 || pair->connecting.lost_count > 0;
}

static bool is_channel_back(const struct pair *pair, uint64_t channel)
{
	return pair->connecting.channel_up_counts[channel] > 0;
}

/* Lost, fenced and joined again. */
static int end_with_repair(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(write_on_each(pair) == 0);
	tandem_session_break_channel(pair->connecting.session, 1);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_channel_lost, 1) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_fence_channel(pair->listening.session, 1,
	                                                   tandem_clock_now_ns() + PAIR_WAIT_NS,
	                                                   NULL) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 1, NULL) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_channel_back, 1) == 0);
	return write_on_each(pair);
}

static int end_with_last_channel(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(write_on_each(pair) == 0);
	for (unsigned i = 0; i < pair->options.channel_count; i++)
		tandem_session_break_channel(pair->connecting.session, i);
	return pair_wait(pair, pair_is_lost, 0);
}

static int end_unlost(struct pair *pair)
{
	return write_on_each(pair);
}

static int (*const ways[])(struct pair *pair) = {end_unlost,      end_with_yank,
                                                 end_with_free,   end_with_fence,
                                                 end_with_repair, end_with_last_channel};
#define WAYS ((unsigned)(sizeof(ways) / sizeof(ways[0])))

/* One more way: before it has joined. */
static int end_unjoined(struct tandem_contract_bed *bed,
                        const struct tandem_transport_options *options)
{
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	int rc;

	TANDEM_CONTRACT_CHECK(pair != NULL);
	rc = pair_begin(pair, bed, options);
	if (rc == 0)
		tandem_session_progress(pair->connecting.session);
	pair_end(pair);
	tandem_memory_free(pair);
	return rc;
}

static int run_rounds(struct tandem_contract_bed *bed, unsigned rounds)
{
	const struct tandem_transport_options options = pair_options(bed);

	for (unsigned i = 0; i < rounds; i++) {
		const unsigned way = i % (WAYS + 1);
		const int rc = way == WAYS ? end_unjoined(bed, &options)
		                           : pair_run(bed, &options, true, ways[way]);

		if (rc != 0) {
			fprintf(stderr, "round %u, way %u\n", i, way);
			return -1;
		}
	}
	return 0;
}

static void wait_for_answer(bool asks)
{
	char answer[16];

	/* Not with stdio, which would keep a buffer. */
	if (asks && read(STDIN_FILENO, answer, sizeof(answer)) <= 0)
		exit(EXIT_FAILURE);
}

/* On a busy computer a thread may still be about the end of a session that was freed [N21]. */
static void wait_for_threads(unsigned own_count)
{
	for (unsigned i = 0; i < THREAD_TURNS && count_entries("/proc/self/task") > own_count; i++)
		poll(NULL, 0, 1);
}

static int count_rounds(struct tandem_contract_bed *bed, unsigned rounds, bool asks)
{
	const unsigned own_count = count_entries("/proc/self/task");
	struct counts before;
	struct counts after;

	/* The first ones open what stays. */
	TANDEM_CONTRACT_CHECK(run_rounds(bed, WARM_CYCLES * (WAYS + 1)) == 0);
	wait_for_threads(own_count);
	before = count_all();
	say_counts("warm", &before);
	wait_for_answer(asks);
	TANDEM_CONTRACT_CHECK(run_rounds(bed, rounds) == 0);
	wait_for_threads(own_count);
	after = count_all();
	say_counts("done", &after);
	wait_for_answer(asks);
	return compare(&before, &after, rounds);
}

int main(int argument_count, char **arguments)
{
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	unsigned rounds;
	int rc;

	if (argument_count < 4)
		return 2;
	/* Else each further thread at one time may get a mapping of its own, for good. */
	mallopt(M_ARENA_MAX, 1);
	rounds = (unsigned)strtoul(arguments[3], NULL, 10);
	printf("%s, %u rounds\n", arguments[1], rounds); /* stdout has its buffer from here on */
	if (tandem_contract_bed_open(arguments[1], arguments[2], &bed, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return EXIT_FAILURE;
	}
	rc = count_rounds(&bed, rounds, argument_count > 4);
	tandem_contract_bed_close(&bed);
	if (*device_misuse() != '\0' || device_object_count() > 0) {
		printf("%u device objects are left; misuse: %s\n", device_object_count(),
		       device_misuse());
		rc = -1;
	}
	printf("%u rounds: %s\n", rounds, rc == 0 ? "nothing leaks" : "FAILED");
	return rc == 0 && rounds > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
