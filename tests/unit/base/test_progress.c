#include <criterion/criterion.h>

#include <tandem/progress.h>

#define SECOND UINT64_C(1000000000)
#define MIB    (UINT64_C(1) << 20)

static struct tandem_progress progress;

Test(progress, nothing_is_known_at_first)
{
	tandem_progress_begin(&progress, 5 * SECOND);
	cr_expect_eq(progress.bytes_per_s, 0);
	tandem_progress_note(&progress, 100, 5 * SECOND);
	cr_expect_eq(progress.bytes_per_s, 0, "no time has passed");
}

Test(progress, the_first_window_is_an_average)
{
	tandem_progress_begin(&progress, 5 * SECOND);
	tandem_progress_note(&progress, 10 * MIB, 5 * SECOND + SECOND / 10);
	cr_expect_eq(progress.bytes_per_s, 100 * MIB);
	tandem_progress_note(&progress, 20 * MIB, 5 * SECOND + SECOND / 5);
	cr_expect_eq(progress.bytes_per_s, 100 * MIB);
}

Test(progress, the_rate_follows_what_happens_now)
{
	uint64_t done_bytes = 0;

	tandem_progress_begin(&progress, 0);
	for (uint64_t second = 1; second <= 5; second++)
		tandem_progress_note(&progress, done_bytes += 1000 * MIB, second * SECOND);
	cr_expect_eq(progress.bytes_per_s, 1000 * MIB);
	for (uint64_t second = 6; second <= 30; second++)
		tandem_progress_note(&progress, done_bytes += 10 * MIB, second * SECOND);
	cr_expect(progress.bytes_per_s >= 10 * MIB && progress.bytes_per_s < 12 * MIB, "%llu",
	          (unsigned long long)progress.bytes_per_s);
}

Test(progress, a_clock_or_a_count_that_goes_back_is_no_rate)
{
	tandem_progress_begin(&progress, 5 * SECOND);
	tandem_progress_note(&progress, 100 * MIB, 6 * SECOND);
	tandem_progress_note(&progress, 50 * MIB, 7 * SECOND);
	tandem_progress_note(&progress, 200 * MIB, 4 * SECOND);
	cr_expect_eq(progress.bytes_per_s, 100 * MIB);
}

Test(progress, percents_end_at_99)
{
	cr_expect_eq(tandem_progress_percent(0, 0), 0);
	cr_expect_eq(tandem_progress_percent(0, 1000), 0);
	cr_expect_eq(tandem_progress_percent(370, 1000), 37);
	cr_expect_eq(tandem_progress_percent(1000, 1000), 99);
	cr_expect_eq(tandem_progress_percent(UINT64_MAX, 1), 99);
	cr_expect_eq(tandem_progress_percent(UINT64_MAX / 2, UINT64_MAX), 50);
}

Test(progress, what_is_left)
{
	cr_expect_eq(tandem_progress_left_ns(10, 10, 0), 0);
	cr_expect_eq(tandem_progress_left_ns(20, 10, 5), 0);
	cr_expect_eq(tandem_progress_left_ns(0, 10, 0), UINT64_MAX);
	cr_expect_eq(tandem_progress_left_ns(MIB, 5 * MIB, MIB), 4 * SECOND);
	cr_expect_eq(tandem_progress_left_ns(0, UINT64_MAX, 1), UINT64_MAX);
}
