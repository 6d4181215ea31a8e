#include <criterion/criterion.h>

#include "core/rhythm.h"

#define MS UINT64_C(1000000)

static struct tandem_rhythm make_rhythm(uint32_t miss_count)
{
	struct tandem_rhythm rhythm;
	tandem_rhythm_init(&rhythm, 10 * MS, miss_count, 1000 * MS);
	return rhythm;
}

Test(rhythm, lateness_does_not_add_up)
{
	struct tandem_rhythm rhythm = make_rhythm(4);
	for (uint64_t beat = 0; beat < 1000; beat++) {
		uint64_t due_ns = (1000 + 10 * beat) * MS;
		uint64_t late_ns = beat % 9 * MS;
		cr_assert(!tandem_rhythm_is_due(&rhythm, due_ns - 1));
		cr_assert(tandem_rhythm_is_due(&rhythm, due_ns + late_ns));
		cr_assert(tandem_rhythm_advance(&rhythm, due_ns + late_ns) == late_ns);
	}
}

Test(rhythm, what_was_missed_is_not_made_up_for)
{
	struct tandem_rhythm rhythm = make_rhythm(4);
	cr_expect(tandem_rhythm_advance(&rhythm, 1035 * MS) == 35 * MS);
	cr_expect(!tandem_rhythm_is_due(&rhythm, 1039 * MS));
	cr_expect(tandem_rhythm_is_due(&rhythm, 1040 * MS));
	cr_expect(tandem_rhythm_advance(&rhythm, 1040 * MS) == 0);
	cr_expect(!tandem_rhythm_is_due(&rhythm, 1049 * MS));
}

Test(rhythm, wakes_when_due_and_at_the_pace_of_the_window)
{
	struct tandem_rhythm rhythm = make_rhythm(4);
	tandem_rhythm_advance(&rhythm, 1000 * MS);
	cr_expect(tandem_rhythm_wake_ns(&rhythm, 1000 * MS) == 1010 * MS);
	cr_expect(tandem_rhythm_wake_ns(&rhythm, 1007 * MS) == 1010 * MS);
	rhythm = make_rhythm(2);
	tandem_rhythm_advance(&rhythm, 1000 * MS);
	cr_expect(tandem_rhythm_wake_ns(&rhythm, 1000 * MS) == 1005 * MS);
}

Test(rhythm, half_a_window_of_what_was_said_last_is_sent)
{
	struct tandem_rhythm rhythm = make_rhythm(8);
	cr_expect(!tandem_rhythm_may_speak(&rhythm, 0), "nothing was said yet");
	for (unsigned i = 0; i < 4; i++)
		cr_expect(tandem_rhythm_may_speak(&rhythm, 1));
	cr_expect(!tandem_rhythm_may_speak(&rhythm, 1));
	cr_expect(!tandem_rhythm_may_speak(&rhythm, 1));
	for (unsigned i = 0; i < 4; i++)
		cr_expect(tandem_rhythm_may_speak(&rhythm, 2));
	cr_expect(!tandem_rhythm_may_speak(&rhythm, 2));
}

Test(rhythm, the_smallest_window_is_sent_once)
{
	struct tandem_rhythm rhythm = make_rhythm(2);
	for (uint64_t publication = 1; publication < 5; publication++) {
		cr_expect(tandem_rhythm_may_speak(&rhythm, publication));
		cr_expect(!tandem_rhythm_may_speak(&rhythm, publication));
	}
}
