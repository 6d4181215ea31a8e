#include <criterion/criterion.h>

#include "core/pace.h"

#define MS UINT64_C(1000000)

static struct tandem_pace pace;

/* A scan takes 1 ms, a staged page 500 ns, a pushed one 4 us. */
static void begin(enum tandem_capture capture, uint64_t budget_ns)
{
	const struct tandem_pace_options options = {
	        .capture = capture, .budget_ns = budget_ns, .wait_max_ns = 50 * MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	tandem_pace_note_scan(&pace, 2 * MS, MS, 0);
	tandem_pace_note_push(&pace, 1000, 4 * MS);
	tandem_pace_note_pause(&pace, 2 * MS, 2000, true);
}

Test(pace, without_a_budget_everything_fits)
{
	begin(TANDEM_CAPTURE_STAGE, 0);
	tandem_pace_look(&pace, 2 * MS, UINT64_C(1) << 40);
	cr_expect(tandem_pace_allows(&pace));
	cr_expect_eq(tandem_pace_misfit_ns(&pace), UINT64_MAX);
	cr_expect_eq(tandem_pace_pages_max(&pace), UINT64_MAX);
}

Test(pace, what_was_never_measured_fits)
{
	const struct tandem_pace_options options = {.capture = TANDEM_CAPTURE_STOP,
	                                            .budget_ns = MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	tandem_pace_look(&pace, MS, 1000);
	cr_expect(tandem_pace_allows(&pace));
}

/* 600 ns a page and 1 ms less an eighth, so that the first pause keeps the budget, too. */
Test(pace, a_copy_that_was_never_measured_has_a_price)
{
	const struct tandem_pace_options options = {.capture = TANDEM_CAPTURE_STAGE,
	                                            .budget_ns = MS};

	tandem_pace_init(&pace, &options);
	tandem_pace_open(&pace, MS, MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 1458);
}

/* 4 ms less an eighth, less the scan: 2.5 ms of 500 ns each. */
Test(pace, a_budget_is_for_scan_and_pages)
{
	begin(TANDEM_CAPTURE_STAGE, 4 * MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 5000);
	tandem_pace_look(&pace, 2 * MS, 5000);
	cr_expect(tandem_pace_allows(&pace));
	tandem_pace_look(&pace, 2 * MS, 5001);
	cr_expect(!tandem_pace_allows(&pace));
	begin(TANDEM_CAPTURE_STOP, 4 * MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 625, "pushed in the pause");
	begin(TANDEM_CAPTURE_STAGE, MS);
	cr_expect_eq(tandem_pace_pages_max(&pace), 0, "the scan alone is too long");
}

/* Bad news counts at once, good news slowly. */
Test(pace, a_longer_pause_lowers_what_fits)
{
	begin(TANDEM_CAPTURE_STAGE, 4 * MS);
	tandem_pace_note_pause(&pace, 2 * MS + MS / 2, 2000, true);
	cr_expect_eq(tandem_pace_pages_max(&pace), 4000);
	tandem_pace_note_pause(&pace, 2 * MS, 2000, true);
	cr_expect_lt(tandem_pace_pages_max(&pace), 4200);
	tandem_pace_note_pause(&pace, 900 * MS, 2000, true);
	cr_expect_gt(tandem_pace_pages_max(&pace), 2600, "one is not all");
	tandem_pace_note_pause(&pace, 2 * MS, 3, true);
	cr_expect_lt(tandem_pace_pages_max(&pace), 2000, "few pages tell what the rest takes");
	for (unsigned i = 0; i < 60; i++)
		tandem_pace_note_pause(&pace, 2 * MS, 2000, true);
	cr_expect_gt(tandem_pace_pages_max(&pace), 4000, "for a while");
}

/* 1000 pages were found in 1 ms, so 5000 are reached 5 ms after the scan. */
Test(pace, what_is_likely_to_be_written_counts)
{
	begin(TANDEM_CAPTURE_STAGE, 4 * MS);
	tandem_pace_note_scan(&pace, 3 * MS, MS, 1000);
	cr_expect_eq(tandem_pace_misfit_ns(&pace), 7 * MS);
	tandem_pace_look(&pace, 7 * MS, 1000);
	cr_expect(tandem_pace_allows(&pace));
	tandem_pace_look(&pace, 8 * MS, 1000);
	cr_expect(!tandem_pace_allows(&pace));
	tandem_pace_look(&pace, 8 * MS, 0);
	cr_expect(tandem_pace_allows(&pace), "it was pushed");
}

Test(pace, a_checkpoint_is_not_put_off_for_ever)
{
	begin(TANDEM_CAPTURE_STAGE, 4 * MS);
	tandem_pace_look(&pace, 40 * MS, 9000);
	cr_expect(!tandem_pace_allows(&pace));
	tandem_pace_look(&pace, 52 * MS, 9000);
	cr_expect(tandem_pace_allows(&pace) && !pace.is_fitting);
	tandem_pace_open(&pace, 60 * MS, 60 * MS);
	tandem_pace_look(&pace, 61 * MS, 9000);
	cr_expect(!tandem_pace_allows(&pace), "the next one anew");
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
