#include <sys/epoll.h>

#include <tandem/clock.h>

#include "tcp/session.h"

int tandem_tcp_session_ready(struct tandem_tcp_session *session, struct epoll_event *ret_ready,
                             int capacity)
{
	struct tandem_poll_pace *pace = &session->pace;
	int count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
	if (count != 0 || !tandem_poll_pace_may_poll(pace, tandem_clock_now_ns()))
		return count;
	do
		count = epoll_wait(session->epoll_fd, ret_ready, capacity, 0);
	while (count == 0 && tandem_clock_now_ns() < pace->until_ns);
	tandem_poll_pace_learn(pace, count != 0);
	return count;
}
