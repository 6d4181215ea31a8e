#ifndef TANDEM_RDMA_BEAT_H
#define TANDEM_RDMA_BEAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>
#include <tandem/transport.h>

#include "rdma/channel.h"
#include "rdma/core/message.h"

/* [T18] The beats of a session: this side's own, in a registration of the control channel's
 * protection domain that the peer may read and nobody may write, and what is needed to read the
 * peer's.
 *
 * The control channel's queue pair carries the reading. A reading that the device gives up puts its
 * queue pair in ERR, as anything does that was posted on a path that is dead; on this one that is
 * the session's end, which the next message would have found too. A queue pair of its own would add
 * an end to each session that says nothing new. */
struct tandem_rdma_session;

struct tandem_rdma_beat {
	_Atomic uint64_t *word; /* a page */
	struct ibv_mr *mr;
	bool is_told;       /* the peer was told where it is */
	bool is_peer_known; /* and has told the same */
	struct tandem_rdma_piece peer;
	struct tandem_rdma_tag tag;
	bool is_posted; /* the device has it: at most one, which is all that the join asks for */
	uint64_t posted_ns;
	bool is_awaited; /* the owner was not told yet */
	uint64_t deadline_ns;
	bool has_event;
	bool has_come;
	uint64_t peer_word;
};

/* Errors: TANDEM_E_MEMORY, TANDEM_E_MEMLOCK, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_beat_open(struct tandem_rdma_session *session, struct ibv_pd *pd,
                                            struct tandem_error *reterr_error);
/* The peer reads it no more; what fails here is tried again by close. */
void tandem_rdma_beat_withdraw(struct tandem_rdma_session *session);
void tandem_rdma_beat_close(struct tandem_rdma_session *session);

/* NULL, or what is wrong with what the peer told. */
const char *tandem_rdma_beat_take(struct tandem_rdma_session *session, const uint8_t *payload,
                                  size_t payload_bytes);
/* The device has given the reading back. */
void tandem_rdma_beat_completed(struct tandem_rdma_session *session, bool is_success);
void tandem_rdma_beat_check(struct tandem_rdma_session *session, uint64_t now_ns);
uint64_t tandem_rdma_beat_deadline_ns(const struct tandem_rdma_session *session);
bool tandem_rdma_beat_next_event(struct tandem_rdma_session *session,
                                 struct tandem_session_event *ret_event);

/* Calls of the ops table. */
void tandem_rdma_session_beat(struct tandem_session *session);
TANDEM_MUST_CHECK int tandem_rdma_session_read_beat(struct tandem_session *session,
                                                    uint64_t timeout_ns);

#endif
