#ifndef TANDEM_RDMA_JOB_H
#define TANDEM_RDMA_JOB_H

#include "rdma/registration.h"

/* Registers memory beside the session's thread. The registrations are the job's until it is
 * ended. */
struct tandem_rdma_job;

/* Takes a copy of the list. `wake_fd` is an eventfd that is written when it is done. Errors:
 * TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_rdma_job_start(struct tandem_rdma_registration *const *registrations,
                                            unsigned count, int wake_fd,
                                            struct tandem_rdma_job **ret_job,
                                            struct tandem_error *reterr_error);
bool tandem_rdma_job_is_done(const struct tandem_rdma_job *job);
/* It ends with the piece that is being registered. */
void tandem_rdma_job_cancel(struct tandem_rdma_job *job);
/* True when it is done, false when it is not by `deadline_ns`. */
bool tandem_rdma_job_wait(struct tandem_rdma_job *job, uint64_t deadline_ns);
/* Waits for it and frees it; its result, and the error of it. */
int tandem_rdma_job_end(struct tandem_rdma_job *job, struct tandem_error *reterr_error);

#endif
