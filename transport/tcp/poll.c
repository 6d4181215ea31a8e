#include <sched.h>
#include <sys/epoll.h>

#include <tandem/clock.h>

#include "tcp/session.h"

/* How long one call of progress may go on. */
#define TURN_NS (UINT64_C(2) * TANDEM_NS_PER_MS)

/* Some microseconds. */
#define ASKED_IN_A_ROW 8

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
 * themselves in a stream. So after what calls for an answer, or was one, the kernel is asked for a
 * while before the owner sleeps; once, when it gives nothing. */
void tandem_tcp_session_expect(struct tandem_tcp_session *session)
{
	session->is_answer_due = true;
	tandem_patience_renew(&session->patience);
}

/* The peer may be on this host and need this processor to answer. */
static void offer_processor(unsigned *asked_count)
{
	if (++*asked_count % ASKED_IN_A_ROW == 0)
		sched_yield();
}

int tandem_tcp_session_ready(struct tandem_tcp_session *session, struct epoll_event *ret_ready,
                             int capacity)
{
	int count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
	unsigned asked_count = 0;
	if (count == 0 && session->is_answer_due) {
		tandem_patience_begin(&session->patience, tandem_clock_now_ns());
		while (count == 0 &&
		       tandem_patience_goes_on(&session->patience, tandem_clock_now_ns())) {
			offer_processor(&asked_count);
			count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
		}
		session->is_answer_due = count != 0;
	}
	if (count > 0)
		tandem_patience_end(&session->patience, tandem_clock_now_ns());
	return count;
}
