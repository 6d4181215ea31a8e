#include <criterion/criterion.h>

#include <tandem/rate.h>

#define SECOND UINT64_C(1000000000)

static unsigned take_times(struct tandem_rate *rate, unsigned times, uint64_t now_ns)
{
	unsigned taken_count = 0;
	for (unsigned i = 0; i < times; i++)
		taken_count += tandem_rate_take(rate, 3, now_ns);
	return taken_count;
}

Test(rate, allows_so_many_in_a_second_and_as_many_in_the_next)
{
	struct tandem_rate rate = {0};
	cr_assert_eq(take_times(&rate, 2, 10 * SECOND), 2u);
	cr_assert_eq(take_times(&rate, 5, 11 * SECOND - 1), 1u);
	cr_assert_eq(take_times(&rate, 5, 11 * SECOND), 3u);
}

Test(rate, tells_the_refused_once_and_after_their_second)
{
	struct tandem_rate rate = {0};
	take_times(&rate, 7, 5 * SECOND);
	cr_assert_eq(tandem_rate_refused(&rate, 6 * SECOND - 1), 0u);
	cr_assert_eq(tandem_rate_refused(&rate, 6 * SECOND), 4u);
	cr_assert_eq(tandem_rate_refused(&rate, 6 * SECOND), 0u);
}

Test(rate, refuses_nothing_when_slow)
{
	struct tandem_rate rate = {0};
	for (unsigned i = 1; i < 10; i++)
		cr_assert_eq(take_times(&rate, 3, i * SECOND), 3u);
	cr_assert_eq(tandem_rate_refused(&rate, 20 * SECOND), 0u);
}
