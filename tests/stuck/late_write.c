/* stuck_late_write PROVIDER ADDRESS session|channel ROUNDS
 *
 * A thread writes at full rate on every channel. After some notices the other side fences, poisons
 * the memory at once, and not a byte of it may change any more: [T11] of the session, or [T16] of
 * one channel, whose part of the memory it is, while the other channels go on. Each round has its
 * own session, keys and moment. */

#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "flood.h"

#define POISON       0xa5
#define FENCE_NS     (UINT64_C(5) * TANDEM_NS_PER_S)
#define NOTICES_MORE 64 /* after the fence of a channel, on the others */

static unsigned round_number;
static uint64_t longest_ns;
static uint64_t late_total_bytes;

static size_t count_late_bytes(const uint8_t *part, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += part[i] != POISON;
	if (count > 0)
		printf("round %u: %zu late bytes\n", round_number, count);
	late_total_bytes += count;
	return count;
}

static int check_fence(int rc, uint64_t begin_ns, const struct tandem_error *error)
{
	const uint64_t took_ns = tandem_clock_now_ns() - begin_ns;

	if (took_ns > longest_ns)
		longest_ns = took_ns;
	if (rc != 0)
		fprintf(stderr, "fence: %s\n", error->detail);
	TANDEM_CONTRACT_CHECK(rc == 0);
	return 0;
}

static int fence_session(struct pair *pair)
{
	struct tandem_error error = {0};
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int rc = tandem_session_fence(pair->listening.session, begin_ns + FENCE_NS, &error);

	memset(pair->memory, POISON, PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(check_fence(rc, begin_ns, &error) == 0);
	return pair_wait(pair, pair_is_listening_lost, 0);
}

static int fence_channel(struct pair *pair)
{
	const unsigned channel = round_number % pair->options.channel_count;
	const size_t part_bytes = flood_part_bytes(pair);
	uint8_t *part = pair->memory + channel * part_bytes;
	struct tandem_error error = {0};
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int rc = tandem_session_fence_channel(pair->listening.session, channel,
	                                            begin_ns + FENCE_NS, &error);

	memset(part, POISON, part_bytes);
	TANDEM_CONTRACT_CHECK(check_fence(rc, begin_ns, &error) == 0);
	/* What had arrived may still come out as notices; these are more than that. */
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices,
	                                pair->listening.notice_count + NOTICES_MORE) == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 0);
	TANDEM_CONTRACT_CHECK(count_late_bytes(part, part_bytes) == 0);
	return 0;
}

static int fence_against_flood(struct pair *pair, int (*fence)(struct pair *pair))
{
	struct flood flood;
	int rc;

	TANDEM_CONTRACT_CHECK(flood_start(&flood, pair) == 0);
	rc = pair_wait(pair, pair_has_notices, 1 + round_number % 17);
	if (rc == 0)
		rc = fence(pair);
	if (rc == 0 && fence == fence_session)
		rc = flood_wait_lost(&flood, tandem_clock_now_ns() + PAIR_WAIT_NS);
	flood_end(&flood);
	TANDEM_CONTRACT_CHECK(rc == 0);
	return 0;
}

static int run_session(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(fence_against_flood(pair, fence_session) == 0);
	return count_late_bytes(pair->memory, PAIR_MEMORY_BYTES) == 0 ? 0 : -1;
}

static int run_channel(struct pair *pair)
{
	return fence_against_flood(pair, fence_channel);
}

int main(int argument_count, char **arguments)
{
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	struct tandem_transport_options options;
	unsigned failed_count = 0;
	unsigned rounds;
	int (*run)(struct pair * pair);

	if (argument_count != 5)
		return 2;
	run = strcmp(arguments[3], "channel") == 0 ? run_channel : run_session;
	rounds = (unsigned)strtoul(arguments[4], NULL, 10);
	if (tandem_contract_bed_open(arguments[1], arguments[2], &bed, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return EXIT_FAILURE;
	}
	options = pair_options(&bed);
	for (round_number = 0; round_number < rounds; round_number++)
		failed_count += pair_run(&bed, &options, true, run) != 0;
	tandem_contract_bed_close(&bed);
	printf("%s: %u rounds, %u failed, %llu late bytes, longest fence %llu ms\n", arguments[3],
	       rounds, failed_count, (unsigned long long)late_total_bytes,
	       (unsigned long long)(longest_ns / TANDEM_NS_PER_MS));
	return failed_count == 0 && rounds > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
