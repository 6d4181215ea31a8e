/* rdma_fence ADDRESS ROUNDS: a writer at full rate on every channel; after some notifies the other
 * side fences, poisons its memory at once, and not a byte of it may change any more. Each round has
 * its own session, keys and moment. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "pair.h"

#define PAGE    4096
#define BATCH   16
#define POISON  0xa5
#define CONTENT 0x5a

static unsigned round_number;
static uint64_t longest_ns;

static void *write_until_lost(void *argument)
{
	static struct tandem_session_event event;
	struct tandem_session *session = ((struct pair *)argument)->connecting.session;
	const uint8_t *source = ((struct pair *)argument)->source;
	struct tandem_write writes[BATCH];
	bool is_lost = false;

	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){
		        .offset = i * PAGE, .source = source + i * PAGE, .length = PAGE};
	while (!is_lost) {
		for (unsigned channel = 0; channel < 4; channel++) {
			unsigned taken;

			/* What is full or lost shows in the events. */
			if (tandem_session_write(session, channel, writes, BATCH, &taken) != 0 ||
			    tandem_session_notify(session, channel, writes, channel) != 0)
				continue;
		}
		tandem_session_progress(session);
		while (tandem_session_next_event(session, &event))
			is_lost = event.type == TANDEM_SESSION_LOST;
	}
	return NULL;
}

static size_t count_late_bytes(const struct pair *pair)
{
	size_t count = 0;

	for (size_t i = 0; i < PAIR_MEMORY_BYTES; i++)
		count += pair->memory[i] != POISON;
	return count;
}

static int fence_and_poison(struct pair *pair)
{
	struct tandem_error error = {0};
	uint64_t begin_ns;
	uint64_t took_ns;
	int rc;

	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, 1 + round_number % 17) == 0);
	begin_ns = tandem_clock_now_ns();
	rc = tandem_session_fence(pair->listening.session, begin_ns + UINT64_C(5) * TANDEM_NS_PER_S,
	                          &error);
	memset(pair->memory, POISON, PAIR_MEMORY_BYTES);
	took_ns = tandem_clock_now_ns() - begin_ns;
	if (took_ns > longest_ns)
		longest_ns = took_ns;
	if (rc != 0)
		fprintf(stderr, "fence: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(rc == 0);
	return pair_wait(pair, pair_is_listening_lost, 0);
}

static int fence_against_thread(struct pair *pair)
{
	pthread_t thread;
	size_t late_bytes;
	int rc;

	memset(pair->source, CONTENT, PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(pthread_create(&thread, NULL, write_until_lost, pair) == 0);
	pair->connecting.is_silent = true; /* the thread's while it runs */
	rc = fence_and_poison(pair);
	if (rc != 0)
		tandem_session_yank(pair->connecting.session);
	pthread_join(thread, NULL);
	late_bytes = count_late_bytes(pair);
	if (late_bytes > 0)
		printf("round %u: %zu late bytes\n", round_number, late_bytes);
	return rc == 0 && late_bytes == 0 ? 0 : -1;
}

int main(int argument_count, char **arguments)
{
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	struct tandem_transport_options options;
	unsigned failed_count = 0;
	unsigned rounds;

	if (argument_count != 3)
		return 2;
	rounds = (unsigned)strtoul(arguments[2], NULL, 10);
	if (tandem_contract_bed_open("rdma", arguments[1], &bed, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return EXIT_FAILURE;
	}
	options = pair_options(&bed);
	for (round_number = 0; round_number < rounds; round_number++)
		failed_count += pair_run(&bed, &options, true, fence_against_thread) != 0;
	tandem_contract_bed_close(&bed);
	printf("%u rounds, %u failed, longest fence %llu ms\n", rounds, failed_count,
	       (unsigned long long)(longest_ns / TANDEM_NS_PER_MS));
	return failed_count == 0 && rounds > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
