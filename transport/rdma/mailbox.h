#ifndef TANDEM_RDMA_MAILBOX_H
#define TANDEM_RDMA_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include "rdma/core/join.h"

/* Data channels that ask to join a session come in at its listener, on the listener's thread, and
 * are judged by the session, on its own. Shared by both and freed by the last; every call from any
 * thread. */
struct tandem_rdma_mailbox;

#define TANDEM_RDMA_REQUESTS_MAX 32 /* that wait in a mailbox [S5] */

struct tandem_rdma_request {
	struct rdma_cm_id *id;
	unsigned rail;
	struct tandem_rdma_join join;
};

/* Has two owners. `channel` and `wake_fd` are the session's, borrowed until it closes the mailbox.
 * NULL where there is no memory. */
struct tandem_rdma_mailbox *tandem_rdma_mailbox_new(uint64_t session_id,
                                                    struct rdma_event_channel *channel,
                                                    int wake_fd);
uint64_t tandem_rdma_mailbox_session_id(const struct tandem_rdma_mailbox *mailbox);

/* The listener: moves the request's id to the session's event channel, so that none is left on the
 * listener's, and wakes the session. False, and the id is still the caller's, where the mailbox is
 * closed or full or the id does not move; *ret_reason says which. */
bool tandem_rdma_mailbox_put(struct tandem_rdma_mailbox *mailbox,
                             const struct tandem_rdma_request *request,
                             enum tandem_rdma_reject_reason *ret_reason);
bool tandem_rdma_mailbox_is_closed(struct tandem_rdma_mailbox *mailbox);

/* The session: the next request, in order; false where there is none. */
bool tandem_rdma_mailbox_take(struct tandem_rdma_mailbox *mailbox,
                              struct tandem_rdma_request *ret_request);
/* Nothing is put any more; what is in it can still be taken. */
void tandem_rdma_mailbox_close(struct tandem_rdma_mailbox *mailbox);

/* One owner less; NULL is allowed. */
struct tandem_rdma_mailbox *tandem_rdma_mailbox_release(struct tandem_rdma_mailbox *mailbox);

#endif
