#include <criterion/criterion.h>

#include <tandem/histogram.h>

static struct tandem_histogram histogram;

Test(histogram, empty_gives_zero)
{
	cr_assert_eq(tandem_histogram_at(&histogram, 500), 0);
}

Test(histogram, small_values_are_exact)
{
	for (uint64_t value = 0; value < 32; value++)
		tandem_histogram_add(&histogram, value);
	cr_assert_eq(tandem_histogram_at(&histogram, 500), 15);
	cr_assert_eq(tandem_histogram_at(&histogram, 1000), 31);
	cr_assert_eq(tandem_histogram_at(&histogram, 0), 0);
	cr_assert_eq(histogram.count, 32);
	cr_assert_eq(histogram.sum, 31 * 32 / 2);
}

Test(histogram, one_value_is_found_within_its_bucket)
{
	for (uint64_t value = 1; value < UINT64_C(1) << 43; value = value * 3 + 1) {
		tandem_histogram_clear(&histogram);
		tandem_histogram_add(&histogram, value);
		tandem_histogram_add(&histogram, value * 2);
		uint64_t found = tandem_histogram_at(&histogram, 500);
		cr_assert(found >= value && found <= value + value / 32, "%lu for %lu",
		          (unsigned long)found, (unsigned long)value);
	}
}

Test(histogram, never_above_max)
{
	tandem_histogram_add(&histogram, 1000003);
	cr_assert_eq(tandem_histogram_at(&histogram, 500), 1000003);
	cr_assert_eq(histogram.max, 1000003);
}

Test(histogram, too_large_values_share_the_last_bucket)
{
	tandem_histogram_add(&histogram, UINT64_MAX);
	tandem_histogram_add(&histogram, UINT64_C(1) << 60);
	cr_assert_eq(histogram.buckets[TANDEM_HISTOGRAM_BUCKETS - 1], 2);
	cr_assert_eq(tandem_histogram_at(&histogram, 500), UINT64_MAX);
}

Test(histogram, percentiles_follow_the_ranks)
{
	for (uint64_t value = 1; value <= 1000; value++)
		tandem_histogram_add(&histogram, value * 1000);
	uint64_t found = tandem_histogram_at(&histogram, 990);
	cr_assert(found >= 990000 && found <= 990000 + 990000 / 32 + 1);
}

Test(histogram, buckets_grow_with_their_values)
{
	uint64_t before = 0;
	for (uint64_t value = 1; value < UINT64_C(1) << 44; value += value / 40 + 1) {
		tandem_histogram_clear(&histogram);
		tandem_histogram_add(&histogram, value);
		tandem_histogram_add(&histogram, UINT64_MAX);
		uint64_t found = tandem_histogram_at(&histogram, 500);
		cr_assert(found >= before && found >= value);
		before = found;
	}
}

Test(histogram, how_many_are_at_most_a_value)
{
	tandem_histogram_clear(&histogram);
	cr_assert_eq(tandem_histogram_below(&histogram, UINT64_MAX), 0);
	for (uint64_t value = 1; value <= 1000; value++)
		tandem_histogram_add(&histogram, value * 1000);
	cr_assert_eq(tandem_histogram_below(&histogram, 999), 0);
	uint64_t half = tandem_histogram_below(&histogram, 500000);
	cr_assert(half > 480 && half <= 500, "%llu", (unsigned long long)half);
	tandem_histogram_add(&histogram, UINT64_MAX);
	cr_assert_eq(tandem_histogram_below(&histogram, 2000000), 1000);
	cr_assert_eq(tandem_histogram_below(&histogram, UINT64_MAX), 1001);
}
