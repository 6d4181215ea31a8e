#include <poll.h>
#include <sys/epoll.h>

#include <tandem/clock.h>

#include "rdma/remains.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

#define DESCRIPTORS   (2 + 2 * TANDEM_RDMA_ATTACHMENTS_MAX)
#define DRAIN_WAIT_MS 2 /* the descriptor wakes earlier; this is for a wake-up that got lost */

bool tandem_rdma_session_is_quiet(const struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (!tandem_rdma_channel_is_quiet(&session->channels[i]))
			return false;
	}
	return tandem_rdma_send_ring_inflight_count(&session->credits) == 0 &&
	       !session->beat.is_posted;
}

/* ---- descriptors ---- */

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

static void read_device_events(struct tandem_rdma_session *session, int fd)
{
	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++) {
		struct ibv_context *context = session->attachments[i].context;

		if (context != NULL && context->async_fd == fd)
			tandem_rdma_watchers_read(context);
	}
}

/* Reads all that is ready, so that a level-triggered descriptor falls silent. False: nothing is. */
static bool read_descriptors(struct tandem_rdma_session *session)
{
	struct epoll_event ready[DESCRIPTORS];
	const int count = epoll_wait(session->epoll_fd, ready, DESCRIPTORS, 0);

	if (count <= 0)
		return false;

	for (int i = 0; i < count; i++) {
		const int fd = ready[i].data.fd;

		if (fd == session->wake_fd)
			tandem_rdma_session_clear_wake(session);
		else if (fd == session->cm_channel->fd)
			read_cm_events(session);
		else
			read_device_events(session, fd);
	}
	tandem_rdma_completions_woken(session);
	return true;
}

/* ---- the device's own news ---- */

static const char *fault_of(const struct tandem_rdma_channel *channel, unsigned events)
{
	if ((events & TANDEM_RDMA_ASYNC_DEVICE_FATAL) != 0)
		return "the RDMA device failed";
	if ((events & TANDEM_RDMA_ASYNC_PORT_DOWN) != 0)
		return "the RDMA device's port went down; check cable and network device";
	if ((events & TANDEM_RDMA_ASYNC_COMPLETION_QUEUE) != 0)
		return "a completion queue failed";
	if ((events & TANDEM_RDMA_ASYNC_QUEUE_PAIR) != 0)
		return "a queue pair failed";
	/* Any address that comes or goes on the port raises this; only ours matters. */
	if ((events & TANDEM_RDMA_ASYNC_GID_CHANGED) != 0 &&
	    !tandem_rdma_device_has_gid(&channel->device, &channel->gid))
		return "the local address left the RDMA device";
	return NULL;
}

static void take_device_events(struct tandem_rdma_channel *channel)
{
	const char *fault = fault_of(channel, tandem_rdma_watcher_take(&channel->watcher));
	struct tandem_error cause;
	char name[24];

	if (fault == NULL)
		return;
	tandem_error_set(&cause, TANDEM_E_DEVICE, "device event", "%s (%s with %s)", fault,
	                 tandem_rdma_channel_name(channel, name), channel->peer_text);
	tandem_rdma_channel_lose(channel, &cause);
}

static void check_yank(struct tandem_rdma_session *session)
{
	struct tandem_error cause = {.code = TANDEM_E_YANKED};

	if (atomic_load(&session->is_yanked))
		tandem_rdma_session_lose(session, &cause);
}

/* ---- [T9] ---- */

/* The ring whose peer has moved nothing for longest. Channel 0 has two: credits overtake. */
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

	if (channel->state != TANDEM_CHANNEL_UP || tandem_rdma_send_ring_is_empty(ring))
		return UINT64_MAX;
	return ring->progress_ns + session->options.peer_timeout_ns;
}

static void check_stall(struct tandem_rdma_session *session, struct tandem_rdma_channel *channel,
                        uint64_t now_ns)
{
	const struct tandem_rdma_send_ring *ring = slowest_ring(session, channel);
	struct tandem_error cause;
	char name[24];

	if (now_ns < stall_deadline_ns(session, channel))
		return;
	tandem_error_set(&cause, TANDEM_E_TIMEOUT, "progress",
	                 "%u %s pending on the %s to %s, nothing completed for %llu ms",
	                 ring->capacity - tandem_rdma_send_ring_free_count(ring),
	                 channel->index == 0 ? "messages" : "writes",
	                 tandem_rdma_channel_name(channel, name), channel->peer_text,
	                 (unsigned long long)((now_ns - ring->progress_ns) / TANDEM_NS_PER_MS));
	tandem_rdma_channel_lose(channel, &cause);
}

uint64_t tandem_rdma_session_deadline_ns(const struct tandem_session *head)
{
	const struct tandem_rdma_session *session = tandem_rdma_session_of_const(head);
	uint64_t deadline_ns = UINT64_MAX;
	uint64_t other_ns;

	if (session->state == TANDEM_RDMA_LOST)
		return UINT64_MAX;
	deadline_ns = tandem_rdma_loss_deadline_ns(session);
	if (session->state == TANDEM_RDMA_DRAINING)
		return deadline_ns;
	other_ns = tandem_rdma_join_deadline_ns(session);
	if (other_ns < deadline_ns)
		deadline_ns = other_ns;
	other_ns = tandem_rdma_completions_deadline_ns(session);
	if (other_ns < deadline_ns)
		deadline_ns = other_ns;
	other_ns = tandem_rdma_beat_deadline_ns(session);
	if (other_ns < deadline_ns)
		deadline_ns = other_ns;
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		other_ns = stall_deadline_ns(session, &session->channels[i]);
		if (other_ns < deadline_ns)
			deadline_ns = other_ns;
	}
	return deadline_ns;
}

/* ---- progress ---- */

/* What goes on beside this thread. */
static void settle_registrations(struct tandem_rdma_session *session)
{
	for (unsigned i = 1; i <= session->channel_count; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];

		if (tandem_rdma_session_has_ended(session) ||
		    channel->state != TANDEM_CHANNEL_JOINING)
			continue;
		if (session->is_listening_side)
			tandem_rdma_exposures_register(channel);
		else
			tandem_rdma_join_settle(channel);
	}
}

static void check_time(struct tandem_rdma_session *session)
{
	/* Not later than the completions: who was not scheduled for long has not waited for long.
	 */
	const uint64_t now_ns = session->taken_ns;

	if (!tandem_rdma_session_has_ended(session))
		tandem_rdma_join_check(session, now_ns);
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (!tandem_rdma_session_has_ended(session))
			check_stall(session, &session->channels[i], now_ns);
	}
	tandem_rdma_beat_check(session, now_ns);
	tandem_rdma_loss_check(session, now_ns);
}

void tandem_rdma_session_progress(struct tandem_session *head)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	const bool is_woken = read_descriptors(session);
	uint64_t now_ns;

	if (session->state == TANDEM_RDMA_LOST)
		return;
	check_yank(session);
	/* What the own device says of itself is nearer to the cause than what follows from it. */
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		take_device_events(&session->channels[i]);
	now_ns = tandem_clock_now_ns();
	/* The device may be quicker than a sleep: its queues are asked for a while first. */
	if (!is_woken && session->state == TANDEM_RDMA_UP && session->arrival_count == 0)
		now_ns = tandem_rdma_completions_poll(session, now_ns);
	tandem_rdma_completions_take(session, true, now_ns);
	if (session->is_listening_side)
		tandem_rdma_admit_requests(session);
	settle_registrations(session);
	tandem_rdma_remains_settle(session);
	tandem_rdma_join_settle_session(session);
	tandem_rdma_control_pump(session);
	check_time(session);
	/* One of those may have been made after the yank looked for them. */
	check_yank(session);
}

/* ---- waiting, where a call has to ---- */

static unsigned completion_descriptors(const struct tandem_rdma_session *session,
                                       struct pollfd fds[TANDEM_RDMA_ATTACHMENTS_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++) {
		const struct tandem_rdma_attachment *attachment = &session->attachments[i];

		if (attachment->context != NULL)
			fds[count++] = (struct pollfd){.fd = attachment->completion_channel->fd,
			                               .events = POLLIN};
	}
	return count;
}

void tandem_rdma_session_await(struct tandem_rdma_session *session)
{
	struct pollfd fds[TANDEM_RDMA_ATTACHMENTS_MAX];

	tandem_rdma_completions_take(session, true, tandem_clock_now_ns());
	poll(fds, completion_descriptors(session, fds), DRAIN_WAIT_MS);
	tandem_rdma_completions_woken(session);
	tandem_rdma_completions_take(session, false, tandem_clock_now_ns());
}

void tandem_rdma_session_drain(struct tandem_rdma_session *session, uint64_t deadline_ns)
{
	tandem_rdma_completions_take(session, false, tandem_clock_now_ns());
	while (!tandem_rdma_session_is_quiet(session) && tandem_clock_now_ns() < deadline_ns)
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
