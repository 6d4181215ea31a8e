
#include <tandem/clock.h>

#include "rdma/remains.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

/* ---- the session ---- */

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
	if (tandem_rdma_session_has_ended(session))
		return;
	session->cause = *cause;
	/* A yank makes everything fail; what failed is not the cause. */
	if (atomic_load(&session->is_yanked))
		tandem_error_set(&session->cause, TANDEM_E_YANKED, "yank", "session with %s yanked",
		                 tandem_rdma_session_peer(session));
	session->state = TANDEM_RDMA_DRAINING;
	session->drain_deadline_ns = tandem_clock_now_ns() + TANDEM_RDMA_FLUSH_NS;
	tandem_rdma_session_stop(session);
	drop_unposted(session);
	tandem_rdma_session_wake(session);
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
	return count + tandem_rdma_send_ring_inflight_count(&session->credits) +
	       session->beat.is_posted;
}

static void wrap_missing(struct tandem_error *cause, unsigned count)
{
	if (count > 0)
		tandem_error_wrap(cause, cause->code,
		                  "%u requests did not come back from the device", count);
}

static void finish_session(struct tandem_rdma_session *session, uint64_t now_ns)
{
	if (!tandem_rdma_session_is_quiet(session) && now_ns < session->drain_deadline_ns)
		return;
	wrap_missing(&session->cause, missing_count(session));
	tandem_rdma_session_finish(session);
}

/* ---- one channel [T15] ---- */

static unsigned count_in(const struct tandem_rdma_session *session, enum tandem_channel_state state)
{
	unsigned count = 0;

	for (unsigned i = 1; i <= session->channel_count; i++)
		count += session->channels[i].state == state;
	return count;
}

/* While the connecting side joins, the others decide whether it gets up; on the listening side one
 * that is joining may still be the first. */
static bool was_last(const struct tandem_rdma_session *session)
{
	if (count_in(session, TANDEM_CHANNEL_UP) > 0)
		return false;
	if (!session->is_listening_side)
		return session->state == TANDEM_RDMA_UP;
	return session->has_joined && count_in(session, TANDEM_CHANNEL_JOINING) == 0;
}

static void note(struct tandem_rdma_channel *channel, const struct tandem_error *cause)
{
	channel->cause = *cause;
	if (channel->first_error.code == 0)
		channel->first_error = *cause;
	channel->lost_count++;
	channel->state = TANDEM_CHANNEL_LOST;
	channel->owes_ended = channel->join_state >= TANDEM_RDMA_CHANNEL_CONNECTING;
}

/* Nothing more is posted, and what was posted comes back. */
static void begin_drain(struct tandem_rdma_channel *channel)
{
	channel->reports_loss = channel->session->state == TANDEM_RDMA_UP;
	channel->is_draining = true;
	channel->drain_deadline_ns = tandem_clock_now_ns() + TANDEM_RDMA_FLUSH_NS;
	tandem_rdma_channel_stop(channel);
	tandem_rdma_send_ring_drop_unposted(&channel->sends);
	tandem_rdma_session_wake(channel->session);
}

void tandem_rdma_channel_lose(struct tandem_rdma_channel *channel, const struct tandem_error *cause)
{
	struct tandem_rdma_session *session = channel->session;

	if (tandem_rdma_session_has_ended(session))
		return;
	if (channel->index == 0 || atomic_load(&session->is_yanked)) {
		tandem_rdma_session_lose(session, cause);
		return;
	}
	if (channel->is_fencing ||
	    (channel->state != TANDEM_CHANNEL_UP && channel->state != TANDEM_CHANNEL_JOINING))
		return;
	note(channel, cause);
	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX && !session->is_listening_side; id++)
		tandem_rdma_exposures_count(session, id);
	/* The listening side's end stays as it is until it is fenced: soft-RoCE must not be stopped
	 * in the middle of a packet, and what still comes is taken. */
	if (session->is_listening_side)
		tandem_rdma_arrival_add_news(channel, TANDEM_SESSION_CHANNEL_LOST);
	else
		begin_drain(channel);
	if (was_last(session))
		tandem_rdma_session_lose(session, cause);
}

static void finish_channel(struct tandem_rdma_channel *channel, uint64_t now_ns)
{
	const bool reports_loss = channel->reports_loss;
	const bool has_joined = channel->join_state == TANDEM_RDMA_CHANNEL_JOINED;

	if (!channel->is_draining ||
	    (!tandem_rdma_channel_is_quiet(channel) && now_ns < channel->drain_deadline_ns))
		return;
	wrap_missing(&channel->cause, tandem_rdma_send_ring_inflight_count(&channel->sends));
	if (has_joined) {
		rdma_disconnect(channel->id);
		tandem_rdma_remains_leave(channel, false);
	} else {
		/* Called off, so that the peer does not wait for it. */
		tandem_rdma_channel_close(channel);
		tandem_rdma_channel_destroy_id(channel);
	}
	if (reports_loss)
		tandem_rdma_arrival_add_news(channel, TANDEM_SESSION_CHANNEL_LOST);
}

/* Whatever ended the queue pair has had its chance to say so. */
static void check_flushed(struct tandem_rdma_channel *channel, uint64_t now_ns)
{
	struct tandem_error cause;
	char name[24];

	if (channel->flushed_ns == 0 || now_ns < channel->flushed_ns + TANDEM_RDMA_CAUSE_NS)
		return;
	channel->flushed_ns = 0;
	tandem_error_set(&cause, TANDEM_E_PEER_LOST, "ibv_poll_cq",
	                 "the queue pair of the %s with %s failed without a cause of its own",
	                 tandem_rdma_channel_name(channel, name), channel->peer_text);
	tandem_rdma_channel_lose(channel, &cause);
}

/* [T4] */
static void check_channelless(struct tandem_rdma_session *session, uint64_t now_ns)
{
	struct tandem_error cause;

	if (!session->is_listening_side || session->state != TANDEM_RDMA_UP)
		return;
	if (count_in(session, TANDEM_CHANNEL_UP) > 0)
		session->channelless_ns = 0;
	else if (session->channelless_ns == 0)
		session->channelless_ns = now_ns;
	else if (now_ns - session->channelless_ns >= session->options.connect_timeout_ns) {
		tandem_error_set(&cause, TANDEM_E_TIMEOUT, "join",
		                 "%s has had no data channel for %llu ms",
		                 tandem_rdma_session_peer(session),
		                 (unsigned long long)((now_ns - session->channelless_ns) /
		                                      TANDEM_NS_PER_MS));
		tandem_rdma_session_lose(session, &cause);
	}
}

void tandem_rdma_loss_check(struct tandem_rdma_session *session, uint64_t now_ns)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		check_flushed(&session->channels[i], now_ns);
	check_channelless(session, now_ns);
	if (session->state == TANDEM_RDMA_DRAINING) {
		tandem_rdma_completions_take(session, true, tandem_clock_now_ns());
		finish_session(session, now_ns);
		return;
	}
	for (unsigned i = 1; i <= session->channel_count; i++)
		finish_channel(&session->channels[i], now_ns);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t tandem_rdma_loss_deadline_ns(const struct tandem_rdma_session *session)
{
	uint64_t deadline_ns = UINT64_MAX;

	if (session->state == TANDEM_RDMA_DRAINING)
		return session->drain_deadline_ns;
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->flushed_ns != 0)
			deadline_ns =
			        earlier(deadline_ns, channel->flushed_ns + TANDEM_RDMA_CAUSE_NS);
		if (channel->is_draining)
			deadline_ns = earlier(deadline_ns, channel->drain_deadline_ns);
	}
	if (session->channelless_ns != 0)
		deadline_ns = earlier(deadline_ns, session->channelless_ns +
		                                           session->options.connect_timeout_ns);
	return deadline_ns;
}

/* ---- on request ---- */

void tandem_rdma_session_break_channel(struct tandem_session *head, unsigned number)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_channel *channel = &session->channels[number + 1];
	struct tandem_error cause;

	if (tandem_rdma_session_has_ended(session) || channel->state != TANDEM_CHANNEL_UP)
		return;
	tandem_error_set(&cause, TANDEM_E_CHANNEL_LOST, "break",
	                 "data channel %u with %s was broken on request", number,
	                 channel->peer_text);
	/* The device's own end of it, in the way that soft-RoCE can bear. */
	tandem_rdma_session_quell(session, channel);
	tandem_rdma_channel_stop(channel);
	tandem_rdma_channel_lose(channel, &cause);
}
