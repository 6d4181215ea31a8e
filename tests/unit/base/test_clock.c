#include <criterion/criterion.h>

#include <tandem/clock.h>

Test(clock, monotonic_never_goes_back)
{
	uint64_t before = tandem_clock_now_ns();
	for (int i = 0; i < 1000; i++) {
		uint64_t now = tandem_clock_now_ns();
		cr_assert_geq(now, before);
		before = now;
	}
}

Test(clock, wall_is_after_2020)
{
	cr_assert_gt(tandem_clock_wall_ns(), UINT64_C(1577836800) * TANDEM_NS_PER_S);
}
