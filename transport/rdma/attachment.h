#ifndef TANDEM_RDMA_ATTACHMENT_H
#define TANDEM_RDMA_ATTACHMENT_H

#include <stdbool.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

#include "rdma/job.h"
#include "rdma/source.h"

/* What a session has once of each device that its rails lead to. */
struct tandem_rdma_attachment {
	unsigned index;
	struct ibv_context *context; /* NULL: not in use */
	struct ibv_comp_channel *completion_channel;
	struct ibv_pd *pd; /* connecting side: of its data channels and of what they read from */
	struct tandem_rdma_job *job; /* registers the sources; NULL: none */
};

struct tandem_rdma_session;

/* The session's attachment to `context`, made where there is none yet; the sources that there are
 * begin to be registered. Errors: TANDEM_E_DEVICE, TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_rdma_attachment_open(struct tandem_rdma_session *session,
                                                  struct ibv_context *context,
                                                  struct tandem_rdma_attachment **ret_attachment,
                                                  struct tandem_error *reterr_error);
/* Registers `source`, which is not among the session's yet, for it. Errors: as
 * tandem_rdma_registrations_pin. */
TANDEM_MUST_CHECK int tandem_rdma_attachment_pin(const struct tandem_rdma_attachment *attachment,
                                                 struct tandem_rdma_source *source,
                                                 struct tandem_error *reterr_error);
/* Ends a job that is done. 0, TANDEM_E_AGAIN while it runs, or what it failed with; the next open
 * tries again then. */
TANDEM_MUST_CHECK int tandem_rdma_attachment_settle(struct tandem_rdma_session *session,
                                                    struct tandem_rdma_attachment *attachment,
                                                    struct tandem_error *reterr_error);
/* Deregisters the sources, wherever the queue pairs are. */
void tandem_rdma_attachment_release(struct tandem_rdma_session *session,
                                    struct tandem_rdma_attachment *attachment);
/* No queue pair and no completion queue uses it any more. Half-built is allowed. */
void tandem_rdma_attachment_close(struct tandem_rdma_session *session,
                                  struct tandem_rdma_attachment *attachment);

#endif
