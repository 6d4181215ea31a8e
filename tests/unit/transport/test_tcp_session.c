#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "core/event_queue.h"
#include "raw_peer.h"

static struct raw_peer peer;
static struct tandem_session_event event;

static void setup(void)
{
	raw_peer_listen(&peer, UINT64_C(20) * TANDEM_NS_PER_S);
	raw_peer_join(&peer);
}

static void teardown(void)
{
	raw_peer_done(&peer);
}

TestSuite(tcp_session, .init = setup, .fini = teardown, .timeout = 60);

static void send_notify(unsigned channel, uint64_t sequence, uint32_t immediate)
{
	struct tandem_frame frame = raw_peer_write(&peer, sequence, 0);
	frame.type = TANDEM_FRAME_NOTIFY;
	frame.immediate = immediate;
	raw_peer_send_frame(peer.fds[1 + channel], &frame, 0x77, frame.length);
}

static void send_message(uint64_t sequence, uint8_t fill)
{
	const struct tandem_frame frame = {
	        .type = TANDEM_FRAME_MESSAGE, .length = 10, .sequence = sequence};
	uint8_t payload[10];
	memset(payload, fill, sizeof(payload));
	raw_peer_send_tagged(&peer, &frame, payload);
}

static bool is_readable_within(int wait_ms)
{
	struct pollfd fd = {.fd = tandem_session_fd(peer.session), .events = POLLIN};
	return poll(&fd, 1, wait_ms) == 1;
}

static bool is_readable(void)
{
	return is_readable_within(0);
}

Test(tcp_session, everything_before_the_end_is_delivered_first)
{
	unsigned notice_count = 0, message_count = 0;
	send_notify(0, 0, 1);
	send_notify(1, 0, 2);
	send_message(0, 'a');
	send_message(1, 'b');
	for (unsigned i = 0; i < 3; i++)
		shutdown(peer.fds[i], SHUT_WR);
	for (bool is_lost = false; !is_lost;) {
		tandem_session_progress(peer.session);
		while (tandem_session_next_event(peer.session, &event)) {
			cr_assert(!is_lost);
			notice_count += event.type == TANDEM_SESSION_NOTIFIED;
			message_count += event.type == TANDEM_SESSION_MESSAGE;
			is_lost = event.type == TANDEM_SESSION_LOST;
		}
	}
	cr_assert_eq(notice_count, 2);
	cr_assert_eq(message_count, 2);
	cr_assert_eq(event.error.code, TANDEM_E_PEER_LOST);
	cr_assert(!is_readable(), "nothing is left, so the descriptor must be quiet");
}

/* Connections end in any order; what another one still carries counts: T14. */
Test(tcp_session, a_connection_that_ends_later_is_waited_for)
{
	struct tandem_error error;
	shutdown(peer.fds[0], SHUT_WR);
	cr_assert(is_readable_within(20000));
	tandem_session_progress(peer.session);
	cr_assert(!tandem_session_next_event(peer.session, &event));
	cr_assert(!is_readable(), "waiting must not spin");
	cr_assert_neq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
	cr_assert_eq(tandem_session_send(peer.session, "x", 1), TANDEM_E_PEER_LOST);
	send_notify(0, 0, 1);
	send_notify(1, 0, 2);
	for (unsigned i = 1; i < 3; i++)
		shutdown(peer.fds[i], SHUT_WR);
	cr_assert_eq(raw_peer_wait_lost(&peer, &error), 2);
	cr_assert_eq(error.code, TANDEM_E_PEER_LOST);
}

Test(tcp_session, a_connection_that_never_ends_is_not_waited_for_longer_than_the_peer_timeout)
{
	struct tandem_error error;
	uint64_t begin_ns = tandem_clock_now_ns();
	shutdown(peer.fds[0], SHUT_WR);
	raw_peer_wait_lost(&peer, &error);
	uint64_t took_ns = tandem_clock_now_ns() - begin_ns;
	cr_assert_eq(error.code, TANDEM_E_PEER_LOST);
	cr_assert(took_ns >= UINT64_C(1) * TANDEM_NS_PER_S &&
	          took_ns < UINT64_C(15) * TANDEM_NS_PER_S);
}

Test(tcp_session, fence_does_not_wait_for_connections_to_end)
{
	struct tandem_error error;
	const uint64_t deadline_ns = tandem_clock_now_ns() + UINT64_C(20) * TANDEM_NS_PER_S;
	shutdown(peer.fds[0], SHUT_WR);
	cr_assert(is_readable_within(20000));
	tandem_session_progress(peer.session);
	cr_assert_eq(tandem_session_fence(peer.session, deadline_ns, NULL), 0);
	cr_assert_lt(tandem_clock_now_ns(), deadline_ns);
	memset(peer.memory, 0x3c, RAW_MEMORY_BYTES);
	send_notify(0, 0, 1);
	cr_assert_eq(raw_peer_wait_lost(&peer, &error), 0);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, 0));
}

Test(tcp_session, an_idle_session_is_quiet)
{
	tandem_session_progress(peer.session);
	cr_assert(!tandem_session_next_event(peer.session, &event));
	cr_assert(!is_readable());
	cr_assert_eq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
}

Test(tcp_session, events_that_wait_keep_the_descriptor_readable)
{
	send_notify(0, 0, 1);
	send_notify(0, 1, 2);
	cr_assert(is_readable_within(20000));
	tandem_session_progress(peer.session);
	cr_assert(is_readable());
	cr_assert(tandem_session_next_event(peer.session, &event));
	raw_peer_wait_notices(&peer, 1);
	cr_assert(!is_readable());
}

/* Messages that the owner does not take fill the queue, then the socket, never memory. */
Test(tcp_session, messages_that_are_not_taken_wait_and_then_come)
{
	uint64_t sent_count = 0, got_count = 0;
	for (; sent_count < 3 * TANDEM_MESSAGES_MAX; sent_count++)
		send_message(sent_count, (uint8_t)sent_count);
	for (unsigned i = 0; i < 100; i++)
		tandem_session_progress(peer.session);
	/* What the queue had no room for is whole or in the kernel; either way it must come. */
	while (got_count < sent_count) {
		cr_assert(is_readable_within(20000), "quiet after %u of %u", (unsigned)got_count,
		          (unsigned)sent_count);
		while (tandem_session_next_event(peer.session, &event)) {
			cr_assert_eq(event.type, TANDEM_SESSION_MESSAGE);
			cr_assert_eq(event.message[9], (uint8_t)got_count);
			got_count++;
		}
		tandem_session_progress(peer.session);
	}
}

/* One call must not take in all that a fast peer can send. */
Test(tcp_session, progress_is_bounded)
{
	const size_t payload_bytes = RAW_MEMORY_BYTES;
	uint64_t frame_count = 0;
	size_t sent_bytes = 0;
	fcntl(peer.fds[1], F_SETFL, O_NONBLOCK);
	static uint8_t bytes[TANDEM_FRAME_BYTES + RAW_MEMORY_BYTES];
	/* Fills the socket buffers; the frame that fits no more is left out. */
	for (ssize_t sent = 1; sent > 0;) {
		struct tandem_frame frame = raw_peer_write(&peer, frame_count++, 0);
		frame.length = (uint32_t)payload_bytes;
		tandem_frame_encode(&frame, bytes);
		sent = send(peer.fds[1], bytes, sizeof(bytes), MSG_NOSIGNAL);
		sent_bytes += sent > 0 ? (size_t)sent : 0;
		if (sent != (ssize_t)sizeof(bytes))
			break;
	}
	unsigned call_count = 0;
	while (is_readable()) {
		tandem_session_progress(peer.session);
		call_count++;
	}
	/* A third of the budget for each of three connections, and the descriptor stayed readable
	 * until all was taken. */
	cr_assert_geq(call_count, sent_bytes / ((4u << 20) / 3));
	cr_assert(!tandem_session_next_event(peer.session, &event));
	cr_assert_eq(peer.memory[0], 0);
}

Test(tcp_session, fence_stops_in_the_middle_of_a_frame)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + UINT64_C(5) * TANDEM_NS_PER_S;
	struct tandem_frame frame = raw_peer_write(&peer, 1, 1024);
	send_notify(0, 0, 7);
	raw_peer_send_frame(peer.fds[1], &frame, 0x99, 100);
	cr_assert(is_readable_within(20000));
	cr_assert_eq(tandem_session_fence(peer.session, deadline_ns, NULL), 0);
	memset(peer.memory, 0x3c, RAW_MEMORY_BYTES);
	/* The rest of the frame, and more, after the fence. */
	uint8_t rest[412];
	memset(rest, 0x99, sizeof(rest));
	send(peer.fds[1], rest, sizeof(rest), MSG_NOSIGNAL);
	struct tandem_error error;
	cr_assert_eq(raw_peer_wait_lost(&peer, &error), 1);
	cr_assert_eq(error.code, TANDEM_E_YANKED);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, 0));
	cr_assert(!is_readable());
}

Test(tcp_session, fence_whose_time_has_passed_still_fences)
{
	send_notify(0, 0, 7);
	cr_assert_eq(tandem_session_fence(peer.session, 0, NULL), 0);
	memset(peer.memory, 0x3c, RAW_MEMORY_BYTES);
	struct tandem_error error;
	raw_peer_wait_lost(&peer, &error);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, 0));
}

Test(tcp_session, more_notices_than_a_session_keeps_are_refused_by_fence)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + UINT64_C(5) * TANDEM_NS_PER_S;
	struct tandem_error error;
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX + 10; i++) {
		send_notify(0, i, i);
		tandem_session_progress(peer.session);
	}
	cr_assert_eq(tandem_session_fence(peer.session, deadline_ns, NULL), 0);
	cr_assert_eq(raw_peer_wait_lost(&peer, &error), TANDEM_NOTICES_MAX);
	cr_assert_eq(error.code, TANDEM_E_PROTOCOL);
}

Test(tcp_session, describe_says_what_is_pending)
{
	char text[512];
	uint8_t message[TANDEM_MESSAGE_BYTES_MAX] = {0};
	tandem_session_describe(peer.session, text, sizeof(text));
	cr_assert(strstr(text, "up") && strstr(text, "2 of 2 data channels up"), "%s", text);
	int status = 0;
	/* The raw peer reads nothing, so it fills in the end. */
	while (status == 0)
		status = tandem_session_send(peer.session, message, sizeof(message));
	cr_assert_eq(status, TANDEM_E_AGAIN);
	tandem_session_describe(peer.session, text, sizeof(text));
	cr_assert(strstr(text, "control channel: 64 frames"), "%s", text);
	cr_assert_neq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
	tandem_session_describe(peer.session, text, 10); /* cut, not written over */
	cr_assert_eq(strlen(text), 9);
}

/* T15, and what describe says of it. */
Test(tcp_session, describe_names_channels_that_are_not_up)
{
	char text[1024];
	struct tandem_error error;
	shutdown(peer.fds[2], SHUT_WR);
	raw_peer_wait_channel_lost(&peer, 1, &error);
	tandem_session_describe(peer.session, text, sizeof(text));
	cr_assert(strstr(text, "1 of 2 data channels up"), "%s", text);
	cr_assert(strstr(text, "; data channel 1: lost on rail 0, lost 1 times, first: "), "%s",
	          text);
	cr_assert(strstr(text, "closed by the peer"), "%s", text);
	cr_assert(!strstr(text, "data channel 0"), "%s", text);
}

/* T16: what had come before is delivered, what comes later is nobody's. */
Test(tcp_session, fence_of_a_channel_stops_in_the_middle_of_a_frame)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + UINT64_C(5) * TANDEM_NS_PER_S;
	struct tandem_frame frame = raw_peer_write(&peer, 1, 1024);
	struct tandem_channel_status status;
	uint8_t rest[412];
	send_notify(0, 0, 7);
	raw_peer_send_frame(peer.fds[1], &frame, 0x99, 100);
	cr_assert(is_readable_within(20000));
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, deadline_ns, NULL), 0);
	tandem_session_channel_status(peer.session, 0, &status);
	cr_assert_eq(status.state, TANDEM_CHANNEL_DOWN);
	memset(peer.memory, 0x3c, RAW_MEMORY_BYTES);
	memset(rest, 0x99, sizeof(rest));
	send(peer.fds[1], rest, sizeof(rest), MSG_NOSIGNAL);
	raw_peer_wait_notices(&peer, 1);
	/* The other channel goes on, and the same one in a new attempt only. */
	send_notify(1, 0, 8);
	raw_peer_wait_notices(&peer, 1);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 1);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_ATTEMPT);
	memset(peer.memory, 0x3c, RAW_MEMORY_BYTES);
	hello = raw_peer_data(&peer, 0, 2);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_JOINED);
	raw_peer_wait_channel_up(&peer, 0);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, 0));
	send_notify(0, 0, 9);
	raw_peer_wait_notices(&peer, 1);
	cr_assert_eq(peer.memory[0], 0x77);
}

/* T3: a channel that was lost and not fenced is refused, whatever its attempt. */
Test(tcp_session, a_lost_channel_joins_only_after_its_fence)
{
	struct tandem_error error;
	shutdown(peer.fds[1], SHUT_WR);
	raw_peer_wait_channel_lost(&peer, 0, &error);
	cr_assert_eq(error.code, TANDEM_E_PEER_LOST);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 2);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_CHANNEL);
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, UINT64_MAX, NULL), 0);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_JOINED);
	raw_peer_wait_channel_up(&peer, 0);
}

/* The owner has yet to learn of the loss: the peer is told to come again. */
Test(tcp_session, a_channel_whose_loss_was_not_taken_is_busy)
{
	const struct tandem_hello hello = raw_peer_data(&peer, 0, 2);
	struct tandem_error error;
	shutdown(peer.fds[1], SHUT_WR);
	cr_assert(is_readable_within(20000));
	tandem_session_progress(peer.session);
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, UINT64_MAX, NULL), 0);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_BUSY);
	raw_peer_wait_channel_lost(&peer, 0, &error);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_JOINED);
}

/* S5: of those who wait for one channel the newest attempt counts. */
Test(tcp_session, one_connection_waits_for_a_channel)
{
	int fds[3];
	char byte;
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, UINT64_MAX, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct tandem_session *other;
		struct pollfd fd = {.fd = tandem_listener_fd(peer.listener), .events = POLLIN};
		const struct tandem_hello hello = raw_peer_data(&peer, 0, 2 + i);
		fds[i] = raw_peer_connect(&peer);
		raw_peer_hello(fds[i], &hello);
		while (poll(&fd, 1, 100) == 1)
			cr_assert_eq(tandem_listener_accept(peer.listener, &other, NULL),
			             TANDEM_E_AGAIN);
	}
	cr_assert_eq(recv(fds[0], &byte, 1, 0), 0);
	cr_assert_eq(recv(fds[1], &byte, 1, 0), 0);
	tandem_session_progress(peer.session);
	cr_assert_eq(raw_peer_answer(&peer, fds[2]).verdict, TANDEM_VERDICT_JOINED);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

/* T4: a session whose last channel was fenced has the connect timeout to get another. */
Test(tcp_session, a_session_whose_channels_are_fenced_has_a_deadline)
{
	cr_assert_eq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, UINT64_MAX, NULL), 0);
	cr_assert_eq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
	cr_assert_eq(tandem_session_fence_channel(peer.session, 1, UINT64_MAX, NULL), 0);
	cr_assert_neq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
	const struct tandem_hello hello = raw_peer_data(&peer, 1, 2);
	cr_assert_eq(raw_peer_join_data(&peer, &hello), TANDEM_VERDICT_JOINED);
	cr_assert_eq(tandem_session_deadline_ns(peer.session), UINT64_MAX);
}

/* More than the ring keeps: the fence cannot deliver them, so the session is lost, as with T12. */
Test(tcp_session, more_notices_than_a_session_keeps_are_refused_by_the_fence_of_their_channel)
{
	struct tandem_error error;
	for (unsigned i = 0; i < TANDEM_NOTICES_MAX + 10; i++) {
		send_notify(0, i, i);
		tandem_session_progress(peer.session);
	}
	cr_assert_eq(tandem_session_fence_channel(peer.session, 0, UINT64_MAX, NULL), 0);
	cr_assert_eq(raw_peer_wait_lost(&peer, &error), TANDEM_NOTICES_MAX);
	cr_assert_eq(error.code, TANDEM_E_PROTOCOL);
}
