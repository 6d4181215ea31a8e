#include <tandem/clock.h>

#include "rdma/session.h"

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

/* The flag first: who publishes a queue pair later sees it. */
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

/* DESIGN 3.5. ERR stops the device soon; only a successful deregistration proves that no write can
 * still land, on every device. The kernel waits there for a packet that is being copied. */
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
	tandem_rdma_session_lose(session, &cause);
	tandem_rdma_session_stop(session);
	rc = withdraw(session, reterr_error);
	if (session->state == TANDEM_RDMA_LOST)
		return rc;
	tandem_rdma_session_drain(session, deadline_ns);
	/* What the device still holds back cannot be acted on any more: LOST comes next. */
	tandem_rdma_session_finish(session);
	tandem_rdma_session_wake(session);
	return rc;
}
