#include <criterion/criterion.h>

#include "core/peer_beat.h"

#define INTERVAL_NS UINT64_C(20)
#define BEGIN_NS    UINT64_C(1000)
#define NEVER_NS    UINT64_MAX

static struct tandem_peer_beat_view view;
static uint64_t now_ns;

static void begin(void)
{
	now_ns = BEGIN_NS;
	tandem_peer_beat_begin(&view, INTERVAL_NS, now_ns);
}

TestSuite(peer_beat, .init = begin);

/* One interval later. */
static enum tandem_peer_beat read_word(bool has_word, uint64_t word)
{
	cr_assert_eq(tandem_peer_beat_deadline_ns(&view), now_ns);
	tandem_peer_beat_reading(&view, true, now_ns);
	cr_assert_eq(tandem_peer_beat_deadline_ns(&view), NEVER_NS, "one at a time");
	tandem_peer_beat_read(&view, has_word, word);
	now_ns += INTERVAL_NS;
	return tandem_peer_beat_of(&view);
}

Test(peer_beat, a_word_that_moves_is_a_process_that_lives)
{
	cr_expect_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(read_word(true, 7), TANDEM_PEER_BEAT_UNKNOWN, "one reading says nothing");
	cr_expect_eq(read_word(true, 9), TANDEM_PEER_BEAT_ADVANCING);
	cr_expect_eq(view.moved_ns, BEGIN_NS + INTERVAL_NS);
	cr_expect_eq(read_word(true, 9), TANDEM_PEER_BEAT_ADVANCING);
	cr_expect_eq(view.moved_ns, BEGIN_NS + INTERVAL_NS, "since it moved");
	cr_expect_eq(read_word(true, 1), TANDEM_PEER_BEAT_ADVANCING, "wherever it moves to");
}

Test(peer_beat, a_word_that_stands_still_is_a_process_that_hangs)
{
	read_word(true, 7);
	for (unsigned i = 1; i < TANDEM_PEER_BEAT_PATIENCE; i++)
		cr_expect_eq(read_word(true, 7), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(read_word(true, 7), TANDEM_PEER_BEAT_STILL);
	cr_expect_eq(view.moved_ns, BEGIN_NS);
	cr_expect_eq(read_word(true, 8), TANDEM_PEER_BEAT_ADVANCING, "it goes on");
}

Test(peer_beat, a_reading_that_failed_says_nothing_and_what_was_known_is_forgotten)
{
	read_word(true, 7);
	cr_assert_eq(read_word(true, 8), TANDEM_PEER_BEAT_ADVANCING);
	cr_expect_eq(read_word(false, 9), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(read_word(true, 9), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(read_word(true, 9), TANDEM_PEER_BEAT_UNKNOWN, "moved before, not since");
	cr_expect_eq(read_word(true, 10), TANDEM_PEER_BEAT_ADVANCING);
	tandem_peer_beat_reading(&view, false, now_ns);
	cr_expect_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_UNKNOWN, "could not begin");
	cr_expect_eq(tandem_peer_beat_deadline_ns(&view), now_ns + INTERVAL_NS);
}

Test(peer_beat, a_stand_still_does_not_outlast_a_failed_reading)
{
	for (unsigned i = 0; i <= TANDEM_PEER_BEAT_PATIENCE; i++)
		read_word(true, 7);
	cr_assert_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_STILL);
	cr_expect_eq(read_word(false, 0), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(read_word(true, 7), TANDEM_PEER_BEAT_UNKNOWN);
}

Test(peer_beat, without_a_session_nothing_is_read_or_known)
{
	read_word(true, 7);
	read_word(true, 8);
	tandem_peer_beat_reading(&view, true, now_ns);
	tandem_peer_beat_end(&view);
	cr_expect_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_UNKNOWN);
	cr_expect_eq(tandem_peer_beat_deadline_ns(&view), NEVER_NS);
	tandem_peer_beat_read(&view, true, 9);
	cr_expect_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_UNKNOWN, "of the old one");
	tandem_peer_beat_read(&view, true, 10);
	cr_expect_eq(tandem_peer_beat_of(&view), TANDEM_PEER_BEAT_UNKNOWN);
}
