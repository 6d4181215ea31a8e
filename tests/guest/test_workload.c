#include <criterion/criterion.h>

#include <string.h>

#include "workload.h"

#define HOT   64u
#define PAGES 80u

static struct workload make(uint64_t order)
{
	return (struct workload){.seed = 7, .page_count = PAGES, .hot_count = HOT, .order = order};
}

/* Counts the writes one by one, and asks after each. */
static void compare_versions(uint64_t order)
{
	const struct workload workload = make(order);
	uint64_t versions[PAGES] = {0};

	for (uint64_t step = 0; step < 5 * HOT + 3; step++) {
		for (uint64_t page = 0; page < PAGES; page++)
			cr_assert_eq(workload_version(&workload, page, step), versions[page]);
		const uint64_t page = workload_next(&workload, step);
		cr_assert_lt(page, HOT);
		versions[page]++;
	}
	for (uint64_t page = HOT; page < PAGES; page++)
		cr_assert_eq(versions[page], 0);
}

Test(workload, sweep_versions_are_what_counting_says)
{
	compare_versions(WORKLOAD_SWEEP);
}

Test(workload, random_versions_are_what_counting_says)
{
	compare_versions(WORKLOAD_RANDOM);
}

Test(workload, rounds_have_orders_of_their_own)
{
	const struct workload workload = make(WORKLOAD_RANDOM);
	unsigned same = 0;

	for (uint64_t step = 0; step < HOT; step++)
		same += workload_next(&workload, step) == workload_next(&workload, step + HOT);
	cr_assert_lt(same, HOT / 2);
}

Test(workload, each_version_differs_from_the_others)
{
	const struct workload workload = make(WORKLOAD_SWEEP);
	uint64_t words[WORKLOAD_WORDS], expected;
	unsigned zeros = 0;

	for (uint64_t version = 0; version < 200; version++) {
		workload_fill(&workload, 3, version, words);
		cr_assert_eq(workload_differs(&workload, 3, version, words, &expected),
		             WORKLOAD_WORDS);
		if (words[0] == 0) {
			zeros++;
			continue;
		}
		cr_assert_eq(workload_differs(&workload, 3, version + 1, words, &expected), 0);
		cr_assert_eq(workload_differs(&workload, 4, version, words, &expected), 0);
	}
	cr_assert(zeros > 0 && zeros < 40);
}

Test(workload, a_changed_bit_is_found_where_it_is)
{
	const struct workload workload = make(WORKLOAD_SWEEP);
	uint64_t words[WORKLOAD_WORDS], expected;

	workload_fill(&workload, 9, 1, words);
	const uint64_t right = words[100];
	words[100] ^= 1;
	cr_assert_eq(workload_differs(&workload, 9, 1, words, &expected), 100);
	cr_assert_eq(expected, right);
}

Test(workload, settings_that_make_no_sense_are_refused)
{
	struct workload workload = make(WORKLOAD_SWEEP);

	cr_assert(workload_is_valid(&workload));
	workload.hot_count = 63;
	cr_assert_not(workload_is_valid(&workload));
	workload.hot_count = 128;
	cr_assert_not(workload_is_valid(&workload));
	workload = make(2);
	cr_assert_not(workload_is_valid(&workload));
}
