#include <criterion/criterion.h>

#include <tandem/clock.h>

#include "fake_session.h"
#include "shell/beats.h"

/* So long that the readings of a test are due only once. */
#define INTERVAL_NS (UINT64_C(3600) * TANDEM_NS_PER_S)

static struct fake_session fake;
static struct tandem_beats beats;

static void begin(void)
{
	fake_session_init(&fake, 8);
	tandem_beats_begin(&beats, INTERVAL_NS);
}

TestSuite(beats, .init = begin);

static void take(bool has_beat, uint64_t beat)
{
	static struct tandem_session_event event;

	event.type = TANDEM_SESSION_BEAT_READ;
	event.has_beat = has_beat;
	event.beat = beat;
	tandem_beats_take(&beats, &event);
}

static struct tandem_control_message report_at(uint64_t now_ns)
{
	struct tandem_control_message report = {.type = TANDEM_CONTROL_REPORT};

	tandem_beats_report(&beats, now_ns, &report);
	return report;
}

static void read_one(uint64_t beat)
{
	tandem_peer_beat_reading(&beats.view, true, tandem_clock_now_ns());
	take(true, beat);
}

Test(beats, each_turn_moves_the_own_word_and_reads_when_it_is_time)
{
	tandem_beats_turn(&beats, &fake.head);
	cr_expect_eq(fake.beat_count, 1);
	cr_expect_eq(fake.read_count, 1);
	cr_expect_eq(tandem_beats_deadline_ns(&beats), UINT64_MAX, "one is under way");
	tandem_beats_turn(&beats, &fake.head);
	cr_expect_eq(fake.beat_count, 2);
	cr_expect_eq(fake.read_count, 1);
	take(true, 5);
	cr_expect_gt(tandem_beats_deadline_ns(&beats), tandem_clock_now_ns());
	tandem_beats_turn(&beats, &fake.head);
	cr_expect_eq(fake.read_count, 1, "not due");
	tandem_beats_turn(&beats, NULL);
	cr_expect_eq(fake.beat_count, 3);
}

Test(beats, the_report_says_what_the_readings_do_and_how_old_it_is)
{
	struct tandem_control_message report;

	read_one(5);
	cr_expect_eq(report_at(tandem_clock_now_ns()).peer_beat, TANDEM_PEER_BEAT_UNKNOWN);
	read_one(6);
	report = report_at(beats.view.moved_ns + 7);
	cr_expect_eq(report.peer_beat, TANDEM_PEER_BEAT_ADVANCING);
	cr_expect_eq(report.beat_age_ns, 7);
	/* The thread that reports goes on when the one that reads does not. */
	report = report_at(beats.view.moved_ns + 100 * INTERVAL_NS);
	cr_expect_eq(report.peer_beat, TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(report.beat_age_ns, 0);
}

Test(beats, what_cannot_be_read_is_not_known)
{
	read_one(5);
	read_one(6);
	beats.view.next_ns = 0;
	fake.read_code = TANDEM_E_USAGE; /* as over tcp */
	tandem_beats_turn(&beats, &fake.head);
	cr_expect_eq(report_at(tandem_clock_now_ns()).peer_beat, TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(report_at(tandem_clock_now_ns()).beat_age_ns, 0);
}

Test(beats, the_end_of_the_session_is_the_end_of_what_is_known)
{
	read_one(5);
	read_one(6);
	tandem_beats_end(&beats);
	cr_expect_eq(report_at(tandem_clock_now_ns()).peer_beat, TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(tandem_beats_deadline_ns(&beats), UINT64_MAX);
}
