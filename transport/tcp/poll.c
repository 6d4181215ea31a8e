#include <sys/epoll.h>

#include <tandem/clock.h>

#include "tcp/session.h"

/* How long one call of progress may go on. */
#define TURN_NS (UINT64_C(2) * TANDEM_NS_PER_MS)

void tandem_tcp_session_begin_turn(struct tandem_tcp_session *session)
{
	session->turn_bytes = 0;
	session->turn_until_ns = tandem_clock_now_ns() + TURN_NS;
}

bool tandem_tcp_session_goes_on(const struct tandem_tcp_session *session)
{
	/* The connecting side's owner may have writes for the room that was made. */
	return session->is_listening_side && session->options.poll_ns > 0 &&
	       session->turn_bytes < TANDEM_TCP_BUDGET_BYTES &&
	       tandem_event_queue_is_empty(&session->queue) &&
	       tandem_clock_now_ns() < session->turn_until_ns;
}

/* A sleep and a wake-up cost both sides more than most answers take, and more than the bytes
 * themselves in a stream. So after what calls for an answer, or was one, the kernel is asked for
 * poll_ns before the owner sleeps; once, when it gives nothing. */
void tandem_tcp_session_expect(struct tandem_tcp_session *session)
{
	session->is_answer_due = true;
}

int tandem_tcp_session_ready(struct tandem_tcp_session *session, struct epoll_event *ret_ready,
                             int capacity)
{
	int count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
	if (count != 0 || !session->is_answer_due)
		return count;
	const uint64_t end_ns = tandem_clock_now_ns() + session->options.poll_ns;
	while (count == 0 && tandem_clock_now_ns() < end_ns)
		count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
	session->is_answer_due = count != 0;
	return count;
}
