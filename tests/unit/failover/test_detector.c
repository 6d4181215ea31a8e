#include <criterion/criterion.h>

#include "core/detector.h"

#define MS UINT64_C(1000000)

static struct tandem_detector make_detector(void)
{
	struct tandem_detector detector;
	tandem_detector_init(&detector, 10 * MS, 5, 2, 1000 * MS);
	return detector;
}

Test(detector, suspects_after_a_whole_window_of_silence_on_every_link)
{
	struct tandem_detector detector = make_detector();
	tandem_detector_hear(&detector, 0, 1010 * MS);
	tandem_detector_hear(&detector, 1, 1030 * MS);
	cr_expect(!(tandem_detector_is_silent(&detector, 1079 * MS)));
	cr_expect(tandem_detector_is_silent(&detector, 1080 * MS));
	cr_expect(!(tandem_detector_link_is_up(&detector, 0, 1060 * MS)));
	cr_expect(tandem_detector_link_is_up(&detector, 1, 1060 * MS));
	cr_expect(tandem_detector_heard_ns(&detector) == 1030 * MS);
}

Test(detector, never_heard_is_silent_a_window_after_the_start)
{
	struct tandem_detector detector = make_detector();
	cr_expect(!(tandem_detector_is_silent(&detector, 1049 * MS)));
	cr_expect(tandem_detector_is_silent(&detector, 1050 * MS));
	cr_expect(!(tandem_detector_link_is_up(&detector, 0, 1001 * MS)));
}

Test(detector, who_was_not_scheduled_for_half_a_window_may_not_accuse)
{
	struct tandem_detector detector = make_detector();
	tandem_detector_hear(&detector, 0, 1000 * MS);
	cr_expect(tandem_detector_tick(&detector, 1024 * MS, 0) == 0);
	cr_expect(tandem_detector_tick(&detector, 1049 * MS, 0) == 25 * MS);
	cr_expect(!(tandem_detector_is_silent(&detector, 1050 * MS)));
	cr_expect(tandem_detector_is_silent(&detector, 1099 * MS));
}

Test(detector, who_did_not_listen_for_half_a_window_may_not_accuse)
{
	struct tandem_detector detector = make_detector();
	tandem_detector_hear(&detector, 0, 1000 * MS);
	for (uint64_t now_ms = 1010; now_ms < 1060; now_ms += 10)
		cr_expect(tandem_detector_tick(&detector, now_ms * MS, 24 * MS) == 0);
	cr_expect(tandem_detector_is_silent(&detector, 1060 * MS));
	cr_expect(tandem_detector_tick(&detector, 1060 * MS, 25 * MS) == 25 * MS);
	cr_expect(!(tandem_detector_is_silent(&detector, 1109 * MS)));
	cr_expect(tandem_detector_is_silent(&detector, 1110 * MS));
}

Test(detector, a_heartbeat_counts_from_its_arrival)
{
	struct tandem_detector detector = make_detector();
	for (uint64_t now_ms = 1010; now_ms <= 1070; now_ms += 10)
		cr_expect(tandem_detector_tick(&detector, now_ms * MS, 0) == 0);
	cr_expect(tandem_detector_is_silent(&detector, 1070 * MS));
	tandem_detector_hear(&detector, 0, 1030 * MS); /* told late */
	cr_expect(!(tandem_detector_is_silent(&detector, 1079 * MS)));
	cr_expect(tandem_detector_is_silent(&detector, 1080 * MS));
	cr_expect(detector.back_ns == 0, "it was never silent");
}

Test(detector, a_node_runs_twice_in_half_a_window_at_least)
{
	cr_expect(tandem_detector_pace_ns(10 * MS, 2) == 5 * MS);
	cr_expect(tandem_detector_pace_ns(10 * MS, 3) == 7500000);
	cr_expect(tandem_detector_pace_ns(10 * MS, 4) == 10 * MS);
	cr_expect(tandem_detector_pace_ns(10 * MS, 1000) == 10 * MS);
}

Test(detector, time_that_seems_to_go_back_changes_nothing)
{
	struct tandem_detector detector = make_detector();
	tandem_detector_hear(&detector, 0, 1020 * MS);
	tandem_detector_hear(&detector, 0, 1010 * MS);
	cr_expect(detector.heard_ns[0] == 1020 * MS);
	cr_expect(tandem_detector_tick(&detector, 1020 * MS, 0) == 0);
	cr_expect(tandem_detector_tick(&detector, 900 * MS, 0) == 0);
	cr_expect(tandem_detector_tick(&detector, 1030 * MS, 0) == 0);
}
