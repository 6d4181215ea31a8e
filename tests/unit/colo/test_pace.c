#include <criterion/criterion.h>

#include "core/pace.h"

#define MS UINT64_C(1000000)
/* Of which 3.5 ms are for what is expected: a quarter is left for what is not. */
#define BUDGET_NS (14 * MS / 3)

static struct tandem_pace pace;

static void pause(uint64_t rest_ns, uint64_t pages_ns, uint64_t pages)
{
	const struct tandem_pace_pause took = {
	        .rest_ns = rest_ns, .pages_ns = pages_ns, .pages = pages, .is_staged = true};

	tandem_pace_note_pause(&pace, &took);
}

/* A scan takes 1 ms, a staged page 500 ns, a pushed one 4 us. */
static void begin(enum tandem_capture capture, uint64_t budget_ns)
{
	const struct tandem_pace_options options = {
	        .capture = capture, .budget_ns = budget_ns, .wait_max_ns = 50 * MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	tandem_pace_note_scan(&pace, 2 * MS, MS, 0);
	tandem_pace_note_push(&pace, 1000, 4 * MS);
	pause(MS, MS, 2000);
}

static bool allows(uint64_t now_ns)
{
	return tandem_pace_fits(&pace, now_ns) || tandem_pace_is_overdue(&pace, now_ns);
}

Test(pace, without_a_budget_everything_fits)
{
	begin(TANDEM_CAPTURE_STAGE, 0);
	tandem_pace_look(&pace, 2 * MS, UINT64_C(1) << 40);
	cr_expect(allows(2 * MS));
	cr_expect_eq(tandem_pace_misfit_ns(&pace, 2 * MS), UINT64_MAX);
	cr_expect_eq(tandem_pace_pages_max(&pace), UINT64_MAX);
}

Test(pace, what_was_never_measured_fits)
{
	const struct tandem_pace_options options = {.capture = TANDEM_CAPTURE_STOP,
	                                            .budget_ns = MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	tandem_pace_look(&pace, MS, 1000);
	cr_expect(allows(MS));
}

/* 600 ns a page and 1 ms less a quarter, so that the first pause keeps the budget, too. */
Test(pace, a_copy_that_was_never_measured_has_a_price)
{
	const struct tandem_pace_options options = {.capture = TANDEM_CAPTURE_STAGE,
	                                            .budget_ns = MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 1250);
}

/* 3.5 ms less the scan: 2.5 ms of 500 ns each. */
Test(pace, a_budget_is_for_scan_and_pages)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 5000);
	tandem_pace_look(&pace, 2 * MS, 5000);
	cr_expect(allows(2 * MS));
	tandem_pace_look(&pace, 2 * MS, 5001);
	cr_expect(!allows(2 * MS));
	begin(TANDEM_CAPTURE_STOP, BUDGET_NS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 625, "pushed in the pause");
	begin(TANDEM_CAPTURE_STAGE, MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 500, "the scan alone is too long");
	cr_expect(tandem_pace_is_hopeless(&pace));
}

/* Bad news counts at once, good news slowly. */
Test(pace, a_longer_pause_lowers_what_fits)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	pause(MS, MS + MS / 2, 2000);
	cr_expect_eq(tandem_pace_pages_max(&pace), 4000);
	pause(MS, MS, 2000);
	cr_expect_lt(tandem_pace_pages_max(&pace), 4200);
	pause(MS, 900 * MS, 2000);
	cr_expect_gt(tandem_pace_pages_max(&pace), 2600, "one is not all");
	pause(2 * MS, 0, 3);
	cr_expect_lt(tandem_pace_pages_max(&pace), 2700, "what the rest takes counts, too");
	for (unsigned i = 0; i < 60; i++)
		pause(MS, MS, 2000);
	cr_expect_gt(tandem_pace_pages_max(&pace), 4000, "for a while");
}

/* Else a few of them would be said to take all the time that a scan was kept waiting. */
Test(pace, a_long_scan_is_not_the_price_of_a_page)
{
	begin(TANDEM_CAPTURE_STAGE, 8 * MS);
	pause(3 * MS, MS / 4, 500);
	cr_expect_eq(pace.stage_page_ps, 500000);
}

/* 1000 pages were found in 1 ms, so 5000 are reached 5 ms after the scan that found them began. */
Test(pace, what_is_likely_to_be_written_counts)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	tandem_pace_note_scan(&pace, 3 * MS, MS, 1000);
	cr_expect_eq(tandem_pace_misfit_ns(&pace, 3 * MS), 6 * MS);
	cr_expect_eq(tandem_pace_misfit_ns(&pace, 5 * MS), 6 * MS);
	cr_expect_eq(tandem_pace_misfit_ns(&pace, 7 * MS), 7 * MS, "it does not fit any more");
	cr_expect(allows(6 * MS));
	cr_expect(!allows(7 * MS), "nobody has to look again for that");
	tandem_pace_look(&pace, 7 * MS, 0);
	cr_expect(allows(7 * MS), "it was pushed");
}

/* 1000 pages a ms, of which 5000 fit, but not in the 8 ms that it stands still. */
Test(pace, a_program_that_is_held_writes_nothing)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	tandem_pace_note_scan(&pace, 3 * MS, MS, 1000);
	tandem_pace_hold(&pace, 4 * MS);
	cr_expect(allows(12 * MS));
	cr_expect_eq(tandem_pace_misfit_ns(&pace, 12 * MS), 14 * MS, "once it is let go");
	tandem_pace_let_go(&pace, 12 * MS);
	cr_expect(allows(14 * MS));
	cr_expect(!allows(15 * MS));
	tandem_pace_hold(&pace, 15 * MS);
	cr_expect(!allows(15 * MS), "what it wrote before counts");
	tandem_pace_note_scan(&pace, 18 * MS, MS, 5000);
	cr_expect(allows(40 * MS), "all of it is known");
	cr_expect_float_eq(pace.written_per_ns, 0.001, 0.0001, "while it ran");
}

Test(pace, a_checkpoint_is_not_put_off_for_ever)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	tandem_pace_look(&pace, 40 * MS, 9000);
	cr_expect(!allows(40 * MS));
	tandem_pace_look(&pace, 52 * MS, 9000);
	cr_expect(allows(52 * MS) && !pace.is_fitting);
	tandem_pace_open(&pace, 60 * MS, 60 * MS);
	tandem_pace_look(&pace, 61 * MS, 9000);
	cr_expect(!allows(61 * MS), "the next one anew");
}

/* Nor does it wait for what no push can reach: a quarter of the budget is for pages. */
Test(pace, a_scan_that_is_too_long_keeps_no_pause_away)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	for (unsigned i = 0; i < 5; i++)
		pause(9 * MS, 0, 3);
	cr_expect(tandem_pace_is_hopeless(&pace));
	cr_expect_eq(tandem_pace_pages_max(&pace), 2333);
	for (unsigned i = 0; i < 50; i++)
		pause(MS, 0, 3);
	cr_expect(!tandem_pace_is_hopeless(&pace));
	cr_expect_gt(tandem_pace_pages_max(&pace), 4000);
}

/* 50 ms are the longest wait: a quarter of them without a hold. */
Test(pace, a_program_that_writes_too_much_is_held_in_pieces)
{
	begin(TANDEM_CAPTURE_STAGE, BUDGET_NS);
	tandem_pace_look(&pace, 40 * MS, 9000);
	cr_expect_eq(tandem_pace_hold_ns(&pace, 13 * MS), 0, "it may fit soon");
	cr_expect_eq(tandem_pace_hold_ns(&pace, 14 * MS), 4 * MS - MS / 2);
	tandem_pace_look(&pace, 41 * MS, 900);
	cr_expect_eq(tandem_pace_hold_ns(&pace, 41 * MS), 0, "it fits");
	tandem_pace_open(&pace, 60 * MS, 60 * MS);
	tandem_pace_look(&pace, 60 * MS, 9000);
	cr_expect_gt(tandem_pace_hold_ns(&pace, 60 * MS), 0, "the next epoch at once");
	tandem_pace_open(&pace, 70 * MS, 70 * MS);
	tandem_pace_open(&pace, 80 * MS, 80 * MS);
	tandem_pace_look(&pace, 80 * MS, 9000);
	cr_expect_eq(tandem_pace_hold_ns(&pace, 86 * MS), 0, "one was not held between");
	cr_expect_gt(tandem_pace_hold_ns(&pace, 87 * MS), 0);
}

Test(pace, auto_stages_where_a_copy_is_quicker_than_a_push)
{
	begin(TANDEM_CAPTURE_AUTO, 0);
	cr_expect(tandem_pace_stages(&pace, 1000));
	cr_expect(!tandem_pace_stages(&pace, 10), "40 us are not worth a copy");
	cr_expect(!tandem_pace_stages(&pace, 20), "80 us: it does not flicker");
	cr_expect(tandem_pace_stages(&pace, 30));
	cr_expect(tandem_pace_stages(&pace, 20));
	for (unsigned i = 0; i < 60; i++)
		tandem_pace_note_push(&pace, 1000, MS / 2);
	cr_expect(!tandem_pace_stages(&pace, 10000), "the link is as quick as the copy");
	begin(TANDEM_CAPTURE_STOP, 0);
	cr_expect(!tandem_pace_stages(&pace, 10000));
	begin(TANDEM_CAPTURE_STAGE, 0);
	cr_expect(tandem_pace_stages(&pace, 1));
}
