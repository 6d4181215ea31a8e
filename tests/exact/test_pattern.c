#include <criterion/criterion.h>

#include <string.h>

#include <tandem/memory.h>

#include "pattern.h"

#define SEED  7u
#define STEPS (2 * PATTERN_STORM_STEPS)

struct memory {
	uint8_t *regions[PATTERN_REGIONS];
	uint64_t step;
	uint64_t written[3];                             /* by kind */
	uint8_t writers[PATTERN_REGIONS][PATTERN_PAGES]; /* of the step, as a mask */
	unsigned writer;
	bool frees_to_zeros;
};

static struct memory memory;

static void store_page(void *argument, const struct pattern_write *write)
{
	uint8_t *page = memory.regions[write->region] + (size_t)write->page * PATTERN_PAGE_BYTES;

	(void)argument;
	memory.written[write->kind]++;
	memory.writers[write->region][write->page] |= (uint8_t)(1u << memory.writer);
	if (write->kind == PATTERN_DATA)
		pattern_fill(page, SEED, memory.step, write->region, write->page);
	else if (write->kind == PATTERN_ZERO || memory.frees_to_zeros)
		memset(page, 0, PATTERN_PAGE_BYTES);
}

static void run_steps(void)
{
	for (unsigned region = 0; region < PATTERN_REGIONS; region++)
		memory.regions[region] = tandem_memory_map(PATTERN_REGION_BYTES);
	for (memory.step = 1; memory.step <= STEPS; memory.step++) {
		memset(memory.writers, 0, sizeof memory.writers);
		for (memory.writer = 0; memory.writer < PATTERN_WRITERS; memory.writer++)
			pattern_step(SEED, memory.step, memory.writer, store_page, NULL);
	}
}

static void end_steps(void)
{
	for (unsigned region = 0; region < PATTERN_REGIONS; region++)
		tandem_memory_unmap(memory.regions[region], PATTERN_REGION_BYTES);
}

static uint64_t differences(uint64_t step)
{
	const uint8_t *regions[PATTERN_REGIONS] = {memory.regions[0], memory.regions[1]};
	struct pattern_difference difference;

	cr_assert(pattern_compare(regions, SEED, step, &difference));
	return difference.pages;
}

TestSuite(pattern, .init = run_steps, .fini = end_steps);

Test(pattern, memory_after_a_step_is_made_again)
{
	cr_assert_eq(differences(STEPS), 0);
}

Test(pattern, freed_pages_may_read_as_zeros)
{
	end_steps();
	memory.frees_to_zeros = true;
	run_steps();
	cr_assert_eq(differences(STEPS), 0);
}

Test(pattern, another_step_is_not_taken_for_it)
{
	cr_assert_gt(differences(STEPS - 1), PATTERN_REGIONS);
	cr_assert_gt(differences(STEPS + 1), PATTERN_REGIONS);
}

Test(pattern, one_byte_is_seen)
{
	const uint8_t *regions[PATTERN_REGIONS] = {memory.regions[0], memory.regions[1]};
	struct pattern_difference difference;

	memory.regions[1][5 * PATTERN_PAGE_BYTES + 17] ^= 1;
	cr_assert(pattern_compare(regions, SEED, STEPS, &difference));
	cr_assert_eq(difference.pages, 1);
	cr_assert_eq(difference.region, 1);
	cr_assert_eq(difference.page, 5);
}

Test(pattern, every_kind_of_write_is_met)
{
	for (unsigned kind = 0; kind < 3; kind++)
		cr_assert_gt(memory.written[kind], 100, "%u", kind);
}

Test(pattern, no_two_writers_share_a_page)
{
	for (unsigned region = 0; region < PATTERN_REGIONS; region++) {
		for (unsigned page = 0; page < PATTERN_PAGES; page++) {
			uint8_t writers = memory.writers[region][page];

			cr_assert_eq(writers & (writers - 1), 0);
		}
	}
}
