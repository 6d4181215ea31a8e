#include <criterion/criterion.h>
#include <string.h>

#include <tandem/random.h>

#include "core/bitmap.h"

#define BITS 1500u /* some long steps, and what is left behind them */

static uint64_t words[TANDEM_BITMAP_WORDS(BITS)], other[TANDEM_BITMAP_WORDS(BITS)];
static bool truth[BITS];

static void expect_truth(void)
{
	uint64_t population = 0, next = BITS;

	for (unsigned bit = BITS; bit-- > 0;) {
		next = truth[bit] ? bit : next;
		population += truth[bit];
		cr_assert_eq(tandem_bitmap_get(words, bit), truth[bit], "bit %u", bit);
		cr_assert_eq(tandem_bitmap_next(words, BITS, bit), next, "from %u", bit);
	}
	cr_assert_eq(tandem_bitmap_population(words, BITS), population);
	cr_assert_eq(tandem_bitmap_is_empty(words, BITS), population == 0);
	cr_assert_eq(tandem_bitmap_next(words, BITS, BITS), BITS);
}

Test(bitmap, behaves_as_an_array_of_bits)
{
	uint64_t seed = 5;

	expect_truth();
	for (unsigned round = 0; round < 300; round++) {
		uint64_t first = tandem_random_next(&seed) % BITS;
		uint64_t length = tandem_random_next(&seed) % (BITS - first + 1);

		tandem_bitmap_set_range(words, first, length);
		memset(truth + first, true, length);
		expect_truth();
		tandem_bitmap_clear(words, first);
		truth[first] = false;
		expect_truth();
		tandem_bitmap_clear_range(words, first / 2, length / 2);
		memset(truth + first / 2, false, length / 2);
		expect_truth();
		tandem_bitmap_set(words, length % BITS);
		truth[length % BITS] = true;
		expect_truth();
		if (round % 7 == 0) {
			tandem_bitmap_zero(words, BITS);
			memset(truth, 0, sizeof truth);
		}
	}
}

Test(bitmap, a_range_may_be_empty_or_all)
{
	tandem_bitmap_set_range(words, 64, 0);
	cr_expect(tandem_bitmap_is_empty(words, BITS));
	tandem_bitmap_fill(words, BITS);
	cr_expect_eq(tandem_bitmap_population(words, BITS), BITS);
	cr_expect_eq(words[BITS / 64] >> (BITS % 64), 0, "bits past the count stay 0");
}

Test(bitmap, or_unites)
{
	tandem_bitmap_set(words, 3);
	tandem_bitmap_set(other, 499);
	tandem_bitmap_or(words, other, BITS);
	cr_expect(tandem_bitmap_get(words, 3) && tandem_bitmap_get(words, 499));
	cr_expect_eq(tandem_bitmap_population(words, BITS), 2);
}

Test(bitmap, or_at_unites_at_any_place)
{
	uint64_t seed = 3;

	for (unsigned first = 0; first < 200; first++) {
		memset(words, 0, sizeof words);
		memset(other, 0, sizeof other);
		memset(truth, 0, sizeof truth);
		for (unsigned count = 0; count < 20; count++) {
			uint64_t bit = tandem_random_next(&seed) % (BITS - 200);

			tandem_bitmap_set(other, bit);
			truth[first + bit] = true;
		}
		tandem_bitmap_set(words, 7);
		truth[7] = true;
		tandem_bitmap_or_at(words, first, other, BITS - 200);
		expect_truth();
	}
}
