#include "rdma/beat.h"

#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

#define WORD_BYTES sizeof(uint64_t)
#define PAGE_BYTES 4096

/* ---- this side's own ---- */

int tandem_rdma_beat_open(struct tandem_rdma_session *session, struct ibv_pd *pd,
                          struct tandem_error *reterr_error)
{
	struct tandem_rdma_beat *beat = &session->beat;
	int rc;

	beat->tag = (struct tandem_rdma_tag){TANDEM_RDMA_TAG_READ, 0, &session->channels[0]};
	beat->word = tandem_memory_map(PAGE_BYTES);
	if (beat->word == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "mmap",
		                        "no memory for a beat");
	/* A page that was never written is the kernel's page of zeros: pinned for reading alone it
	 * could stay that, whatever is stored later. */
	atomic_store(beat->word, 1);
	beat->mr = ibv_reg_mr(pd, (void *)beat->word, PAGE_BYTES, IBV_ACCESS_REMOTE_READ);
	rc = tandem_rdma_errno_of_object(beat->mr);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, PAGE_BYTES, "ibv_reg_mr", "a beat");
	return 0;
}

void tandem_rdma_beat_withdraw(struct tandem_rdma_session *session)
{
	if (session->beat.mr != NULL && ibv_dereg_mr(session->beat.mr) == 0)
		session->beat.mr = NULL;
}

void tandem_rdma_beat_close(struct tandem_rdma_session *session)
{
	tandem_rdma_beat_withdraw(session);
	tandem_memory_unmap((void *)session->beat.word, PAGE_BYTES);
	memset(&session->beat, 0, sizeof(session->beat));
}

/* The peer's device may read in the middle of it: only whether the word moves matters, and half a
 * move is one. */
void tandem_rdma_session_beat(struct tandem_session *head)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	if (session->beat.word != NULL)
		atomic_fetch_add_explicit(session->beat.word, 1, memory_order_relaxed);
}

/* ---- the peer's ---- */

const char *tandem_rdma_beat_take(struct tandem_rdma_session *session, const uint8_t *payload,
                                  size_t payload_bytes)
{
	struct tandem_rdma_piece peer;
	const char *fault = tandem_rdma_beat_decode(payload, payload_bytes, &peer);

	if (fault != NULL)
		return fault;
	if (session->beat.is_peer_known)
		return "BEAT a second time";
	session->beat.peer = peer;
	session->beat.is_peer_known = true;
	return NULL;
}

static int post(struct tandem_rdma_session *session)
{
	struct tandem_rdma_beat *beat = &session->beat;
	struct ibv_sge landing = {.addr = (uintptr_t)tandem_rdma_slot(session, TANDEM_RDMA_LANDING),
	                          .length = WORD_BYTES,
	                          .lkey = session->slots_mr->lkey};
	struct ibv_send_wr request = {
	        .wr_id = (uintptr_t)&beat->tag,
	        .sg_list = &landing,
	        .num_sge = 1,
	        .opcode = IBV_WR_RDMA_READ,
	        .send_flags = IBV_SEND_SIGNALED,
	        .wr.rdma = {.remote_addr = beat->peer.address, .rkey = beat->peer.key}};
	struct ibv_send_wr *bad;

	return tandem_rdma_errno_of(ibv_post_send(session->channels[0].id->qp, &request, &bad));
}

int tandem_rdma_session_read_beat(struct tandem_session *head, uint64_t timeout_ns)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_beat *beat = &session->beat;
	const uint64_t now_ns = tandem_clock_now_ns();

	if (tandem_rdma_session_has_ended(session))
		return TANDEM_E_PEER_LOST;
	if (session->state != TANDEM_RDMA_UP || !beat->is_peer_known || beat->is_posted ||
	    beat->has_event)
		return TANDEM_E_AGAIN;
	/* A queue pair that takes nothing more has its end told elsewhere. */
	if (post(session) != 0)
		return TANDEM_E_AGAIN;
	beat->is_posted = true;
	beat->is_awaited = true;
	beat->posted_ns = now_ns;
	beat->deadline_ns = now_ns + timeout_ns;
	return 0;
}

static void tell(struct tandem_rdma_beat *beat, bool has_come)
{
	if (!beat->is_awaited)
		return;
	beat->is_awaited = false;
	beat->has_event = true;
	beat->has_come = has_come;
}

/* What comes after its time says how it was then, and is dropped: its owner was told that nothing
 * is known. */
void tandem_rdma_beat_completed(struct tandem_rdma_session *session, bool is_success)
{
	struct tandem_rdma_beat *beat = &session->beat;

	beat->is_posted = false;
	if (is_success)
		memcpy(&beat->peer_word, tandem_rdma_slot(session, TANDEM_RDMA_LANDING),
		       WORD_BYTES);
	tell(beat, is_success);
}

void tandem_rdma_beat_check(struct tandem_rdma_session *session, uint64_t now_ns)
{
	if (session->beat.is_awaited && now_ns >= session->beat.deadline_ns)
		tell(&session->beat, false);
}

uint64_t tandem_rdma_beat_deadline_ns(const struct tandem_rdma_session *session)
{
	return session->beat.is_awaited ? session->beat.deadline_ns : UINT64_MAX;
}

bool tandem_rdma_beat_next_event(struct tandem_rdma_session *session,
                                 struct tandem_session_event *ret_event)
{
	struct tandem_rdma_beat *beat = &session->beat;

	if (!beat->has_event)
		return false;
	beat->has_event = false;
	ret_event->type = TANDEM_SESSION_BEAT_READ;
	ret_event->has_beat = beat->has_come;
	ret_event->beat = beat->has_come ? beat->peer_word : 0;
	return true;
}
