#include <tandem/clock.h>

#include "rdma/session.h"

#define REST_NS  UINT64_C(500000000)
#define QUELL_NS UINT64_C(20000000)

/* A queue pair that does not take it is in RESET, or its device is gone: nothing is lost. */
void tandem_rdma_session_stop(struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		struct ibv_qp *queue_pair = atomic_load(&session->queue_pairs[i]);
		struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

		if (queue_pair != NULL)
			ibv_modify_qp(queue_pair, &attributes, IBV_QP_STATE);
	}
}

static bool has_active_receives(const struct tandem_rdma_session *session)
{
	for (unsigned i = 1; i <= session->channel_count; i++) {
		if (session->channels[i].receive_posted_count > 0)
			return true;
	}
	return false;
}

/* Soft-RoCE of Linux 6.12 keeps a packet with an immediate for ever when its queue pair goes to ERR
 * in the middle of it: it reports the immediate again and again and does not give back the key. A
 * queue pair that may not be written stops by itself between two packets, if any come. */
void tandem_rdma_session_quell(struct tandem_rdma_session *session)
{
	const uint64_t end_ns = tandem_clock_now_ns() + QUELL_NS;

	if (!session->is_listening_side || session->state != TANDEM_RDMA_UP ||
	    !tandem_rdma_device_is_soft(&session->device))
		return;
	for (unsigned i = 1; i <= session->channel_count; i++) {
		struct ibv_qp *queue_pair = atomic_load(&session->queue_pairs[i]);
		struct ibv_qp_attr attributes = {.qp_access_flags = 0};

		/* One that refuses is stopped the hard way next. */
		ibv_modify_qp(queue_pair, &attributes, IBV_QP_ACCESS_FLAGS);
	}
	while (has_active_receives(session) && tandem_clock_now_ns() < end_ns)
		tandem_rdma_session_await(session);
}

/* [T10] The flag first: progress looks at it after it has made a queue pair. */
void tandem_rdma_session_yank(struct tandem_session *head)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	atomic_store(&session->is_yanked, true);
	tandem_rdma_session_stop(session);
	tandem_rdma_session_wake(session);
}

/* All of them, whatever fails: a memory that can be taken back is. */
static int withdraw(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	int rc = 0;

	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX; id++) {
		struct tandem_rdma_registration *registration = session->exposures[id].registration;
		struct tandem_error error;

		if (registration == NULL ||
		    tandem_rdma_registration_unpin(registration, &error) == 0 || rc != 0)
			continue;
		rc = tandem_error_wrap(&error, TANDEM_E_FENCE, "memory %u", id);
		if (reterr_error != NULL)
			*reterr_error = error;
	}
	return rc;
}

/* How long to wait for the device to come to rest before its memory is withdrawn. */
static uint64_t rest_deadline_ns(uint64_t deadline_ns)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

	return now_ns + (left_ns / 2 < REST_NS ? left_ns / 2 : REST_NS);
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
	                 session->peer_text);
	tandem_rdma_session_quell(session);
	tandem_rdma_session_lose(session, &cause);
	tandem_rdma_session_stop(session);
	tandem_rdma_session_drain(session, rest_deadline_ns(deadline_ns));
	rc = withdraw(session, reterr_error);
	if (session->state == TANDEM_RDMA_LOST)
		return rc;
	/* [T12] What the device still holds back after that cannot be acted on any more. */
	tandem_rdma_session_drain(session, deadline_ns);
	tandem_rdma_session_finish(session);
	tandem_rdma_session_wake(session);
	return rc;
}
