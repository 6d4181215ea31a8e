#include <criterion/criterion.h>
#include <string.h>

#include <tandem/random.h>

#include "core/page_set.h"

#define PAGES 1500u

static uint64_t words[TANDEM_BITMAP_WORDS(PAGES) + 1], some[TANDEM_BITMAP_WORDS(PAGES)];
static bool truth[PAGES];
static struct tandem_page_set set = {.words = words, .page_count = PAGES};

static void expect_truth(void)
{
	uint64_t count = 0, next = PAGES;

	for (unsigned page = PAGES; page-- > 0;) {
		next = truth[page] ? page : next;
		count += truth[page];
		cr_assert_eq(tandem_page_set_has(&set, page), truth[page], "page %u", page);
		cr_assert_eq(tandem_page_set_next(&set, page), next, "from %u", page);
	}
	cr_assert_eq(tandem_page_set_next(&set, PAGES), PAGES);
	cr_assert_eq(tandem_page_set_count(&set), count);
}

static void add_words(uint64_t first, uint64_t count, uint64_t *seed)
{
	memset(some, 0, sizeof some);
	for (uint64_t page = 0; page < count; page++) {
		if (tandem_random_next(seed) % 8 != 0)
			continue;
		tandem_bitmap_set(some, page);
		truth[first + page] = true;
	}
	tandem_page_set_add_words(&set, first, some, count);
}

static void change(uint64_t what, uint64_t *seed)
{
	uint64_t first = tandem_random_next(seed) % PAGES;
	uint64_t count = tandem_random_next(seed) % (PAGES - first + 1);

	if (what == 0) {
		tandem_page_set_add(&set, first);
		truth[first] = true;
	} else if (what == 1) {
		tandem_page_set_add_range(&set, first, count);
		memset(truth + first, true, count);
	} else if (what == 2) {
		add_words(first, count, seed);
	} else if (what == 3) {
		tandem_page_set_empty(&set);
		memset(truth, false, sizeof truth);
	} else {
		for (uint64_t page = first; page < first + count; page++) {
			tandem_page_set_remove(&set, page);
			truth[page] = false;
		}
	}
}

/* Most of a map is taken page by page from its beginning, and then it is empty. */
Test(page_set, behaves_as_an_array_of_bits)
{
	uint64_t seed = 7;

	expect_truth();
	for (unsigned round = 0; round < 300; round++) {
		change(tandem_random_next(&seed) % 5, &seed);
		if (round % 2 == 0)
			tandem_page_set_tighten(&set);
		expect_truth();
	}
}

Test(page_set, knows_where_its_pages_are)
{
	tandem_page_set_add(&set, 900);
	tandem_page_set_add(&set, 1000);
	cr_expect_eq(set.first_page, 900);
	cr_expect_eq(set.end_page, 1001);
	tandem_page_set_remove(&set, 900);
	tandem_page_set_tighten(&set);
	cr_expect_eq(set.first_page, 1000);
	tandem_page_set_remove(&set, 1000);
	tandem_page_set_tighten(&set);
	cr_expect_eq(set.end_page, 0);
	tandem_page_set_add(&set, 3);
	cr_expect_eq(set.first_page, 3);
	cr_expect_eq(set.end_page, 4);
}
