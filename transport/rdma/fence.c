#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rdma/remains.h"
#include "rdma/session.h"

#define REST_NS  UINT64_C(500000000)
#define QUELL_NS UINT64_C(20000000)

/* Counted, so that no queue pair is destroyed under it; see tandem_rdma_channel_release_queue_pair.
 * One that does not take it is in RESET, or its device is gone: nothing is lost. */
void tandem_rdma_session_stop(struct tandem_rdma_session *session)
{
	atomic_fetch_add(&session->stopper_count, 1);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		struct ibv_qp *queue_pair = atomic_load(&session->queue_pairs[i]);
		struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

		if (queue_pair != NULL)
			ibv_modify_qp(queue_pair, &attributes, IBV_QP_STATE);
	}
	atomic_fetch_sub(&session->stopper_count, 1);
}

/* [T10] The flag first: progress looks at it after it has made a queue pair. */
void tandem_rdma_session_yank(struct tandem_session *head)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	atomic_store(&session->is_yanked, true);
	tandem_rdma_session_stop(session);
	tandem_rdma_session_wake(session);
}

/* ---- coming to rest ---- */

static bool is_writable(const struct tandem_rdma_channel *channel)
{
	return channel->exposed != NULL && channel->id != NULL && channel->id->qp != NULL &&
	       tandem_rdma_device_is_soft(&channel->device);
}

static bool has_active_receives(const struct tandem_rdma_session *session,
                                const struct tandem_rdma_channel *only)
{
	for (unsigned i = 1; i <= session->channel_count; i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if ((only == NULL || only == channel) && is_writable(channel) &&
		    channel->receive_posted_count > 0)
			return true;
	}
	return false;
}

/* Soft-RoCE of Linux 6.12 keeps a packet with an immediate for ever when its queue pair goes to ERR
 * in the middle of it: it reports the immediate again and again and does not give back the key. A
 * queue pair that may not be written stops by itself between two packets, if any come. */
void tandem_rdma_session_quell(struct tandem_rdma_session *session,
                               const struct tandem_rdma_channel *only)
{
	const uint64_t end_ns = tandem_clock_now_ns() + QUELL_NS;

	if (!session->is_listening_side || session->state != TANDEM_RDMA_UP)
		return;
	for (unsigned i = 1; i <= session->channel_count; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];
		struct ibv_qp_attr attributes = {.qp_access_flags = 0};

		/* One that refuses is stopped the hard way next. */
		if ((only == NULL || only == channel) && is_writable(channel))
			ibv_modify_qp(channel->id->qp, &attributes, IBV_QP_ACCESS_FLAGS);
	}
	while (has_active_receives(session, only) && tandem_clock_now_ns() < end_ns)
		tandem_rdma_session_await(session);
}

/* How long to wait for the device to come to rest before its memory is withdrawn. */
static uint64_t rest_deadline_ns(uint64_t deadline_ns)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

	return now_ns + (left_ns / 2 < REST_NS ? left_ns / 2 : REST_NS);
}

/* ---- memory ---- */

/* Nobody registers any more, so that what is registered can be taken back. */
static int end_job(struct tandem_rdma_channel *channel, uint64_t deadline_ns,
                   struct tandem_error *reterr_error)
{
	if (channel->job == NULL)
		return 0;
	tandem_rdma_job_cancel(channel->job);
	if (!tandem_rdma_job_wait(channel->job, deadline_ns))
		return tandem_error_set(reterr_error, TANDEM_E_FENCE, "fence",
		                        "memory is still being registered for data channel %u",
		                        channel->index - 1);
	/* Whether all of it was registered does not matter any more. */
	if (tandem_rdma_job_end(channel->job, NULL) != 0)
		channel->has_keys = false;
	channel->job = NULL;
	return 0;
}

static unsigned collect(const struct tandem_rdma_channel *channel,
                        struct tandem_rdma_registration **list)
{
	unsigned count = 0;

	for (unsigned id = 0; channel->exposed != NULL && id < TANDEM_MEMORY_IDS_MAX; id++) {
		if (channel->exposed[id].registration != NULL)
			list[count++] = channel->exposed[id].registration;
	}
	return count;
}

/* All of the channels `first` to `last`, whatever fails: a memory that can be taken back is. */
static int withdraw(struct tandem_rdma_session *session, unsigned first, unsigned last,
                    struct tandem_error *reterr_error)
{
	struct tandem_rdma_registration *list[TANDEM_MEMORY_IDS_MAX];
	int rc = 0;

	for (unsigned i = first; i <= last; i++) {
		const unsigned count = collect(&session->channels[i], list);
		struct tandem_error error;

		if (count == 0 || tandem_rdma_registrations_unpin(list, count, &error) == 0 ||
		    rc != 0)
			continue;
		rc = tandem_error_wrap(&error, TANDEM_E_FENCE, "data channel %u", i - 1);
		if (reterr_error != NULL)
			*reterr_error = error;
	}
	return rc;
}

/* ---- the session ---- */

static int end_jobs(struct tandem_rdma_session *session, uint64_t deadline_ns,
                    struct tandem_error *reterr_error)
{
	int rc = 0;

	for (unsigned i = 1; i <= session->channel_count; i++) {
		const int channel_rc =
		        end_job(&session->channels[i], deadline_ns, rc == 0 ? reterr_error : NULL);

		rc = rc == 0 ? channel_rc : rc;
	}
	return rc;
}

/* [T11] ERR stops the device soon; only a successful deregistration proves that no write can still
 * land, on every device: the kernel waits there for a packet that is being copied.
 *
 * Between the two the receives that are always posted come back flushed. That is no part of the
 * proof: soft-RoCE of Linux 6.12 loops for ever in the kernel when a packet that it has begun finds
 * its queue pair in ERR and its key gone, and by then it has begun none. */
int tandem_rdma_session_fence(struct tandem_session *head, uint64_t deadline_ns,
                              struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_error cause;
	int rc;

	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side fences");
	tandem_error_set(&cause, TANDEM_E_YANKED, "fence", "session with %s fenced",
	                 tandem_rdma_session_peer(session));
	tandem_rdma_session_quell(session, NULL);
	tandem_rdma_session_lose(session, &cause);
	tandem_rdma_session_stop(session);
	tandem_rdma_session_drain(session, rest_deadline_ns(deadline_ns));
	rc = end_jobs(session, deadline_ns, reterr_error);
	if (rc == 0)
		rc = withdraw(session, 1, session->channel_count, reterr_error);
	/* It can only be read: that it is withdrawn, too, is no part of the proof. */
	tandem_rdma_beat_withdraw(session);
	if (session->state == TANDEM_RDMA_LOST)
		return rc;
	/* [T12] What the device still holds back after that cannot be acted on any more. */
	tandem_rdma_session_drain(session, deadline_ns);
	tandem_rdma_session_finish(session);
	tandem_rdma_session_wake(session);
	return rc;
}

/* ---- one channel [T16] ---- */

static void drain(struct tandem_rdma_channel *channel, uint64_t deadline_ns)
{
	tandem_rdma_completions_take(channel->session, false, tandem_clock_now_ns());
	while (!tandem_rdma_channel_is_quiet(channel) && tandem_clock_now_ns() < deadline_ns)
		tandem_rdma_session_await(channel->session);
}

static void end(struct tandem_rdma_channel *channel)
{
	struct tandem_rdma_session *session = channel->session;

	if (channel->join_state == TANDEM_RDMA_CHANNEL_JOINED)
		rdma_disconnect(channel->id);
	tandem_rdma_remains_leave(channel, true);
	/* Connection management may not reach the peer on a path that is broken. */
	channel->owes_ended = channel->state != TANDEM_CHANNEL_LOST || channel->owes_ended;
	channel->state = TANDEM_CHANNEL_DOWN;
	tandem_rdma_session_wake(session);
	tandem_rdma_control_pump(session);
}

int tandem_rdma_session_fence_channel(struct tandem_session *head, unsigned number,
                                      uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_channel *channel = &session->channels[number + 1];
	int rc;

	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side fences");
	if (channel->state == TANDEM_CHANNEL_DOWN)
		return 0;
	channel->is_fencing = true;
	tandem_rdma_session_quell(session, channel);
	tandem_rdma_channel_stop(channel);
	drain(channel, rest_deadline_ns(deadline_ns));
	rc = end_job(channel, deadline_ns, reterr_error);
	if (rc == 0)
		rc = withdraw(session, channel->index, channel->index, reterr_error);
	if (rc != 0) {
		channel->state = TANDEM_CHANNEL_LOST;
		return rc;
	}
	drain(channel, deadline_ns);
	end(channel);
	return 0;
}
