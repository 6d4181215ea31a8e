#include "workload.h"

#define GOLDEN       UINT64_C(0x9e3779b97f4a7c15)
#define ZERO_ONE_IN  16u
#define VERSION_BITS 32

static uint64_t mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

/* Of an odd number, modulo 2^64: each round of Newton's method doubles the bits that are right. */
static uint64_t inverse(uint64_t odd)
{
	uint64_t found = odd;

	for (int round = 0; round < 5; round++)
		found *= 2 - odd * found;
	return found;
}

/* A round's order: place k has page (k * multiplier + shift) modulo the hot pages. */
struct order {
	uint64_t multiplier;
	uint64_t shift;
};

static struct order order_of(const struct workload *workload, uint64_t round)
{
	if (workload->order == WORKLOAD_SWEEP)
		return (struct order){.multiplier = 1};
	return (struct order){.multiplier = mix(workload->seed ^ mix(round)) | 1,
	                      .shift = mix(workload->seed + mix(round + 1))};
}

bool workload_is_valid(const struct workload *workload)
{
	const uint64_t hot = workload->hot_count;

	return hot > 0 && (hot & (hot - 1)) == 0 && hot <= workload->page_count &&
	       workload->page_count < UINT64_C(1) << VERSION_BITS &&
	       workload->order <= WORKLOAD_RANDOM;
}

uint64_t workload_next(const struct workload *workload, uint64_t write_count)
{
	const struct order order = order_of(workload, write_count / workload->hot_count);

	return (write_count * order.multiplier + order.shift) & (workload->hot_count - 1);
}

uint64_t workload_version(const struct workload *workload, uint64_t page, uint64_t write_count)
{
	const uint64_t round = write_count / workload->hot_count;
	const uint64_t mask = workload->hot_count - 1;
	const struct order order = order_of(workload, round);

	if (page > mask)
		return 0;
	const uint64_t place = ((page - order.shift) * inverse(order.multiplier)) & mask;
	return round + (place < (write_count & mask) ? 1 : 0);
}

static uint64_t base_of(const struct workload *workload, uint64_t page, uint64_t version)
{
	return mix(workload->seed ^ mix((page << VERSION_BITS) ^ version));
}

static uint64_t word_of(uint64_t base, unsigned index)
{
	if (base % ZERO_ONE_IN == 0)
		return 0;
	const uint64_t value = (base + index * GOLDEN) * UINT64_C(0xbf58476d1ce4e5b9);
	return value ^ (value >> 32);
}

void workload_fill(const struct workload *workload, uint64_t page, uint64_t version,
                   volatile uint64_t words[WORKLOAD_WORDS])
{
	const uint64_t base = base_of(workload, page, version);

	for (unsigned i = 0; i < WORKLOAD_WORDS; i++)
		words[i] = word_of(base, i);
}

unsigned workload_differs(const struct workload *workload, uint64_t page, uint64_t version,
                          const volatile uint64_t words[WORKLOAD_WORDS], uint64_t *ret_expected)
{
	const uint64_t base = base_of(workload, page, version);

	for (unsigned i = 0; i < WORKLOAD_WORDS; i++) {
		const uint64_t expected = word_of(base, i);
		if (words[i] == expected)
			continue;
		*ret_expected = expected;
		return i;
	}
	return WORKLOAD_WORDS;
}
