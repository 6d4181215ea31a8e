#include <criterion/criterion.h>

#include <string.h>

#include "core/event_queue.h"

static struct tandem_event_queue queue;
static struct tandem_session_event event;

Test(event_queue, empty_gives_nothing)
{
	cr_assert(tandem_event_queue_is_empty(&queue));
	cr_assert(!tandem_event_queue_take(&queue, &event));
}

Test(event_queue, order_is_kept_over_the_wrap)
{
	unsigned taken = 0;
	for (unsigned i = 0; i < 3 * TANDEM_NOTICES_MAX; i++) {
		cr_assert(tandem_event_queue_add_notice(&queue, i % 16, i));
		if (i % 2 == 0 || i > TANDEM_NOTICES_MAX) {
			cr_assert(tandem_event_queue_take(&queue, &event));
			cr_assert_eq(event.immediate, taken);
			cr_assert_eq(event.channel, taken % 16);
			taken++;
		}
	}
}

Test(event_queue, full_is_said_and_nothing_is_overwritten)
{
	char text[2] = "a";
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX; i++)
		cr_assert(tandem_event_queue_add_notice(&queue, 0, i));
	cr_assert(!tandem_event_queue_add_notice(&queue, 0, 99));
	for (unsigned i = 0; i < TANDEM_MESSAGES_MAX; i++)
		cr_assert(tandem_event_queue_add_message(&queue, text, 1 + i % 2));
	cr_assert(!tandem_event_queue_add_message(&queue, "b", 1));
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX; i++) {
		cr_assert(tandem_event_queue_take(&queue, &event));
		cr_assert(event.type == TANDEM_SESSION_NOTIFIED && event.immediate == i);
	}
	for (unsigned i = 0; i < TANDEM_MESSAGES_MAX; i++) {
		cr_assert(tandem_event_queue_take(&queue, &event));
		cr_assert(event.type == TANDEM_SESSION_MESSAGE && event.message_bytes == 1 + i % 2);
		cr_assert_eq(event.message[0], 'a');
	}
	cr_assert(tandem_event_queue_is_empty(&queue));
}

Test(event_queue, a_message_that_is_too_long_is_not_taken)
{
	static uint8_t message[TANDEM_MESSAGE_BYTES_MAX + 1];
	cr_assert(!tandem_event_queue_add_message(&queue, message, sizeof(message)));
	cr_assert(tandem_event_queue_add_message(&queue, message, sizeof(message) - 1));
	cr_assert(tandem_event_queue_take(&queue, &event));
	cr_assert_eq(event.message_bytes, TANDEM_MESSAGE_BYTES_MAX);
}

static void assert_taken(enum tandem_session_event_type type, unsigned channel)
{
	cr_assert(tandem_event_queue_take(&queue, &event));
	cr_assert(event.type == type && event.channel == channel);
}

/* T14, T15: what had arrived on a channel comes before its loss, and its return after it. */
Test(event_queue, channel_events_stand_among_the_notices)
{
	const struct tandem_error cause = {.code = TANDEM_E_TIMEOUT};
	cr_assert(tandem_event_queue_add_notice(&queue, 3, 7));
	tandem_event_queue_add_channel_lost(&queue, 3, &cause);
	tandem_event_queue_add_channel_up(&queue, 3);
	cr_assert(tandem_event_queue_add_notice(&queue, 3, 8));
	cr_assert(tandem_event_queue_has_channel_lost(&queue, 3));
	cr_assert(!tandem_event_queue_has_channel_lost(&queue, 2));
	assert_taken(TANDEM_SESSION_NOTIFIED, 3);
	assert_taken(TANDEM_SESSION_CHANNEL_LOST, 3);
	cr_assert_eq(event.error.code, TANDEM_E_TIMEOUT);
	cr_assert(!tandem_event_queue_has_channel_lost(&queue, 3));
	assert_taken(TANDEM_SESSION_CHANNEL_UP, 3);
	assert_taken(TANDEM_SESSION_NOTIFIED, 3);
	cr_assert(tandem_event_queue_is_empty(&queue));
}

Test(event_queue, a_ring_full_of_notices_has_room_for_channel_events)
{
	const struct tandem_error cause = {.code = TANDEM_E_PEER_LOST};
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX; i++)
		cr_assert(tandem_event_queue_add_notice(&queue, 0, i));
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++) {
		tandem_event_queue_add_channel_up(&queue, i);
		tandem_event_queue_add_channel_lost(&queue, i, &cause);
	}
	cr_assert(!tandem_event_queue_add_notice(&queue, 0, 0));
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX; i++)
		assert_taken(TANDEM_SESSION_NOTIFIED, 0);
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++) {
		assert_taken(TANDEM_SESSION_CHANNEL_UP, i);
		assert_taken(TANDEM_SESSION_CHANNEL_LOST, i);
	}
	cr_assert(tandem_event_queue_is_empty(&queue));
}

/* A peer that has itself fenced and joins again must not fill the ring of who is slow to take. */
Test(event_queue, a_channel_that_is_up_again_is_told_once)
{
	const struct tandem_error cause = {.code = TANDEM_E_PEER_LOST};
	for (unsigned i = 0; i < 3 * TANDEM_CHANNEL_EVENTS_MAX; i++)
		tandem_event_queue_add_channel_up(&queue, 5);
	tandem_event_queue_add_channel_lost(&queue, 5, &cause);
	assert_taken(TANDEM_SESSION_CHANNEL_UP, 5);
	assert_taken(TANDEM_SESSION_CHANNEL_LOST, 5);
	cr_assert(tandem_event_queue_is_empty(&queue));
	tandem_event_queue_add_channel_up(&queue, 5);
	assert_taken(TANDEM_SESSION_CHANNEL_UP, 5);
	cr_assert(tandem_event_queue_is_empty(&queue));
}
