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
	/* A third of the budget for each of three connections, at most twice when more comes
	 * meanwhile, and the descriptor stayed readable until all was taken. */
	cr_assert_geq(call_count, sent_bytes / (2 * ((4u << 20) / 3)));
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
	cr_assert(strstr(text, "up") && strstr(text, "2 data channels"), "%s", text);
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
