#include <criterion/criterion.h>

#include "core/backoff.h"

Test(backoff, pauses_double_up_to_the_limit)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct tandem_backoff backoff = {
		        .interval_ns = 100, .interval_max_ns = 500, .random = seed};
		static const uint64_t limits[] = {100, 200, 400, 500, 500, 500};

		for (unsigned attempt = 0; attempt < 6; attempt++) {
			uint64_t pause_ns = tandem_backoff_next(&backoff);

			cr_expect_leq(pause_ns, limits[attempt]);
			cr_expect_geq(pause_ns, limits[attempt] / 2);
		}
		tandem_backoff_reset(&backoff);
		cr_expect_leq(tandem_backoff_next(&backoff), 100);
	}
}

Test(backoff, two_seeds_do_not_keep_step)
{
	struct tandem_backoff one = {
	        .interval_ns = 1000000, .interval_max_ns = 64000000, .random = 1};
	struct tandem_backoff other = one;
	unsigned same = 0;

	other.random = 2;
	for (unsigned attempt = 0; attempt < 100; attempt++)
		same += tandem_backoff_next(&one) == tandem_backoff_next(&other);
	cr_expect_leq(same, 2);
}

Test(backoff, odd_limits_are_safe)
{
	struct tandem_backoff none = {.random = 3};
	struct tandem_backoff flat = {.interval_ns = 50, .interval_max_ns = 10, .random = 3};
	struct tandem_backoff huge = {
	        .interval_ns = UINT64_MAX - 1, .interval_max_ns = UINT64_MAX, .random = 3};

	for (unsigned attempt = 0; attempt < 5; attempt++) {
		cr_expect_eq(tandem_backoff_next(&none), 0);
		cr_expect_leq(tandem_backoff_next(&flat), 50);
		cr_expect_geq(tandem_backoff_next(&huge), UINT64_MAX / 2 - 1);
	}
}
