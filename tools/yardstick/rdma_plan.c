#include "rdma.h"

static uint64_t next_random(uint64_t *state)
{
	/* splitmix64 (Steele, Lea, Flood 2014) */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Fisher and Yates, as far as the epoch goes. */
static void shuffle(uint64_t *places, uint64_t place_count, uint64_t count)
{
	uint64_t random = 1;

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t other = i + next_random(&random) % (place_count - i);
		const uint64_t place = places[i];

		places[i] = places[other];
		places[other] = place;
	}
}

void yardstick_plan_make(struct yardstick_plan *plan, const struct yardstick_options *options)
{
	static const uint32_t write_bytes[] = {[YARDSTICK_RANDOM] = 4096,
	                                       [YARDSTICK_RUNS] = 65536,
	                                       [YARDSTICK_SEQUENTIAL] = 262144};
	uint64_t place_count;

	plan->write_bytes = write_bytes[options->pattern];
	plan->write_count = options->bytes / plan->write_bytes;
	place_count = options->region_bytes / plan->write_bytes;
	plan->offsets = yardstick_map(place_count * sizeof *plan->offsets);
	for (uint64_t i = 0; i < place_count; i++)
		plan->offsets[i] = i * plan->write_bytes;
	if (options->pattern != YARDSTICK_SEQUENTIAL)
		shuffle(plan->offsets, place_count, plan->write_count);
}
