#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

#define DESCRIPTORS   4
#define DRAIN_WAIT_MS 2 /* the descriptor wakes earlier; this is for a wake-up that got lost */

static bool has_ended(const struct tandem_rdma_session *session)
{
	return session->state == TANDEM_RDMA_DRAINING || session->state == TANDEM_RDMA_LOST;
}

static bool is_quiet(const struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (!tandem_rdma_channel_is_quiet(&session->channels[i]))
			return false;
	}
	return tandem_rdma_send_ring_inflight_count(&session->credits) == 0;
}

/* What was never posted ends with the session; what was posted comes back flushed. */
static void drop_unposted(struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		tandem_rdma_send_ring_drop_unposted(&session->channels[i].sends);
}

/* The peer's device does not tell its owner that our queue pairs stopped: connection management
 * does. One channel is enough, and no answer is waited for. */
static void tell_peer(struct tandem_rdma_session *session)
{
	struct tandem_rdma_channel *control = &session->channels[0];

	if (control->join_state == TANDEM_RDMA_CHANNEL_JOINED)
		rdma_disconnect(control->id);
}

void tandem_rdma_session_lose(struct tandem_rdma_session *session, const struct tandem_error *cause)
{
	if (has_ended(session))
		return;
	session->cause = *cause;
	/* A yank makes everything fail; what failed is not the cause. */
	if (atomic_load(&session->is_yanked))
		tandem_error_set(&session->cause, TANDEM_E_YANKED, "yank", "session with %s yanked",
		                 session->peer_text);
	session->state = TANDEM_RDMA_DRAINING;
	session->drain_deadline_ns = tandem_clock_now_ns() + TANDEM_RDMA_FLUSH_NS;
	tandem_rdma_session_stop(session);
	drop_unposted(session);
	tandem_rdma_session_wake(session);
}

static void lose_with(struct tandem_rdma_session *session, int code, const char *operation,
                      const char *text)
{
	struct tandem_error cause;

	tandem_error_set(&cause, code, operation, "%s (session with %s)", text, session->peer_text);
	tandem_rdma_session_lose(session, &cause);
}

static void read_cm_events(struct tandem_rdma_session *session)
{
	struct tandem_rdma_cm_event event;
	struct tandem_error cause;
	int rc;

	for (;;) {
		rc = tandem_rdma_cm_event_next(session->cm_channel, &event, &cause);
		if (rc == TANDEM_E_AGAIN)
			return;
		if (rc != 0) {
			tandem_rdma_session_lose(session, &cause);
			return;
		}
		tandem_rdma_join_event(session, &event);
	}
}

static void take_device_events(struct tandem_rdma_session *session)
{
	const unsigned events = tandem_rdma_watcher_take(&session->watcher);

	if ((events & TANDEM_RDMA_ASYNC_DEVICE_FATAL) != 0)
		lose_with(session, TANDEM_E_DEVICE, "device event", "the RDMA device failed");
	if ((events & TANDEM_RDMA_ASYNC_PORT_DOWN) != 0)
		lose_with(session, TANDEM_E_DEVICE, "device event",
		          "the RDMA device's port went down; check cable and network device");
	if ((events & TANDEM_RDMA_ASYNC_COMPLETION_QUEUE) != 0)
		lose_with(session, TANDEM_E_DEVICE, "device event", "a completion queue failed");
	if ((events & TANDEM_RDMA_ASYNC_QUEUE_PAIR) != 0)
		lose_with(session, TANDEM_E_DEVICE, "device event", "a queue pair failed");
	/* Any address that comes or goes on the port raises this; only ours matters. */
	if ((events & TANDEM_RDMA_ASYNC_GID_CHANGED) != 0 &&
	    !tandem_rdma_device_has_gid(&session->device, &session->gid))
		lose_with(session, TANDEM_E_DEVICE, "device event",
		          "the local address left the RDMA device");
}

static void clear_wake(struct tandem_rdma_session *session)
{
	uint64_t count;

	if (read(session->wake_fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return; /* another descriptor was the reason */
}

/* Reads all that is ready, so that a level-triggered descriptor falls silent. */
static void read_descriptors(struct tandem_rdma_session *session)
{
	struct epoll_event ready[DESCRIPTORS];
	const int count = epoll_wait(session->epoll_fd, ready, DESCRIPTORS, 0);

	for (int i = 0; i < count; i++) {
		if (ready[i].data.fd == session->wake_fd)
			clear_wake(session);
		else if (ready[i].data.fd == session->cm_channel->fd)
			read_cm_events(session);
		else if (session->watcher.context != NULL &&
		         ready[i].data.fd == session->watcher.context->async_fd)
			tandem_rdma_watcher_dispatch(&session->watcher);
		else
			tandem_rdma_completions_woken(session);
	}
}

/* [T9] The ring whose peer has moved nothing for longest. Channel 0 has two: credits overtake. */
static const struct tandem_rdma_send_ring *slowest_ring(const struct tandem_rdma_session *session,
                                                        const struct tandem_rdma_channel *channel)
{
	const struct tandem_rdma_send_ring *credits = &session->credits;
	const struct tandem_rdma_send_ring *sends = &channel->sends;

	if (channel->index != 0 || tandem_rdma_send_ring_is_empty(credits))
		return sends;
	if (tandem_rdma_send_ring_is_empty(sends) || credits->progress_ns < sends->progress_ns)
		return credits;
	return sends;
}

static uint64_t stall_deadline_ns(const struct tandem_rdma_session *session,
                                  const struct tandem_rdma_channel *channel)
{
	const struct tandem_rdma_send_ring *ring = slowest_ring(session, channel);

	if (tandem_rdma_send_ring_is_empty(ring))
		return UINT64_MAX;
	return ring->progress_ns + session->options.peer_timeout_ns;
}

uint64_t tandem_rdma_session_deadline_ns(const struct tandem_session *head)
{
	const struct tandem_rdma_session *session = tandem_rdma_session_of_const(head);
	uint64_t deadline_ns = UINT64_MAX;

	if (session->state == TANDEM_RDMA_DRAINING)
		return session->drain_deadline_ns;
	if (session->state != TANDEM_RDMA_LOST && session->flushed_ns != 0)
		return session->flushed_ns + TANDEM_RDMA_CAUSE_NS;
	if (session->state == TANDEM_RDMA_JOINING)
		return session->join_deadline_ns;
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const uint64_t channel_ns = stall_deadline_ns(session, &session->channels[i]);

		if (session->state == TANDEM_RDMA_UP && channel_ns < deadline_ns)
			deadline_ns = channel_ns;
	}
	return deadline_ns;
}

static void check_join(struct tandem_rdma_session *session, uint64_t now_ns)
{
	struct tandem_error cause;
	char step[64];

	if (now_ns < session->join_deadline_ns)
		return;
	tandem_rdma_join_describe(session, step, sizeof(step));
	tandem_error_set(
	        &cause, TANDEM_E_TIMEOUT, "join", "with %s not done within %llu ms; %s",
	        session->peer_text,
	        (unsigned long long)(session->options.connect_timeout_ns / TANDEM_NS_PER_MS), step);
	tandem_rdma_session_lose(session, &cause);
}

static void check_stalls(struct tandem_rdma_session *session, uint64_t now_ns)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];
		const struct tandem_rdma_send_ring *ring = slowest_ring(session, channel);
		struct tandem_error cause;
		char name[24];

		if (now_ns < stall_deadline_ns(session, channel))
			continue;
		tandem_error_set(
		        &cause, TANDEM_E_TIMEOUT, "progress",
		        "%u %s pending on the %s to %s, nothing completed for %llu ms",
		        ring->capacity - tandem_rdma_send_ring_free_count(ring),
		        channel->index == 0 ? "messages" : "writes",
		        tandem_rdma_channel_name(channel, name), session->peer_text,
		        (unsigned long long)((now_ns - ring->progress_ns) / TANDEM_NS_PER_MS));
		tandem_rdma_session_lose(session, &cause);
		return;
	}
}

void tandem_rdma_session_finish(struct tandem_rdma_session *session)
{
	session->state = TANDEM_RDMA_LOST;
	session->has_lost_event = true;
	tell_peer(session);
}

static unsigned missing_count(const struct tandem_rdma_session *session)
{
	unsigned count = 0;

	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		count += tandem_rdma_send_ring_inflight_count(&session->channels[i].sends);
	return count + tandem_rdma_send_ring_inflight_count(&session->credits);
}

static void finish_drain(struct tandem_rdma_session *session, uint64_t now_ns)
{
	const unsigned count = missing_count(session);

	if (!is_quiet(session) && now_ns < session->drain_deadline_ns)
		return;
	if (count > 0)
		tandem_error_wrap(&session->cause, session->cause.code,
		                  "%u requests did not come back from the device", count);
	tandem_rdma_session_finish(session);
}

static void check_causes(struct tandem_rdma_session *session)
{
	const uint64_t cause_ns = session->flushed_ns + TANDEM_RDMA_CAUSE_NS;

	if (atomic_load(&session->is_yanked))
		lose_with(session, TANDEM_E_YANKED, "yank", "yanked");
	take_device_events(session);
	/* Whatever ended the session has had its chance to say so. */
	if (session->flushed_ns != 0 && tandem_clock_now_ns() >= cause_ns)
		lose_with(session, TANDEM_E_PEER_LOST, "ibv_poll_cq",
		          "a queue pair failed without a cause of its own");
}

void tandem_rdma_session_progress(struct tandem_session *head)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	uint64_t now_ns;

	read_descriptors(session);
	if (session->state == TANDEM_RDMA_LOST)
		return;
	tandem_rdma_completions_take(session, true);
	check_causes(session);
	/* After the completions: who was not scheduled for long has not waited for long. */
	now_ns = tandem_clock_now_ns();
	if (session->state == TANDEM_RDMA_JOINING)
		check_join(session, now_ns);
	if (session->state == TANDEM_RDMA_UP)
		check_stalls(session, now_ns);
	tandem_rdma_control_pump(session);
	if (session->state != TANDEM_RDMA_DRAINING)
		return;
	tandem_rdma_completions_take(session, true);
	finish_drain(session, now_ns);
}

void tandem_rdma_session_await(struct tandem_rdma_session *session)
{
	struct pollfd completion = {.fd = session->completion_channel->fd, .events = POLLIN};

	tandem_rdma_completions_take(session, true);
	if (poll(&completion, 1, DRAIN_WAIT_MS) > 0)
		tandem_rdma_completions_woken(session);
	tandem_rdma_completions_take(session, false);
}

void tandem_rdma_session_drain(struct tandem_rdma_session *session, uint64_t deadline_ns)
{
	if (session->completion_channel == NULL)
		return;
	tandem_rdma_completions_take(session, false);
	while (!is_quiet(session) && tandem_clock_now_ns() < deadline_ns)
		tandem_rdma_session_await(session);
}

static bool has_sent_all(const struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (tandem_rdma_send_ring_inflight_count(&session->channels[i].sends) > 0)
			return false;
	}
	return true;
}

void tandem_rdma_session_linger(struct tandem_rdma_session *session, uint64_t deadline_ns)
{
	while (session->state == TANDEM_RDMA_UP && !atomic_load(&session->is_yanked)) {
		struct pollfd any = {.fd = session->epoll_fd, .events = POLLIN};

		tandem_rdma_session_progress(&session->head);
		if (has_sent_all(session) || tandem_clock_now_ns() >= deadline_ns)
			return;
		poll(&any, 1, DRAIN_WAIT_MS);
	}
}
