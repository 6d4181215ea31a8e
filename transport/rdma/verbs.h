#ifndef TANDEM_RDMA_VERBS_H
#define TANDEM_RDMA_VERBS_H

#include <stddef.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

/* The one place that knows how the native libraries say that they failed: rdma_cm gives -1 with
 * errno, verbs give a positive errno as value or NULL with errno, some give a negative errno or -1
 * without one. */

/* 0, or the positive errno behind `result`. Call it before anything else can change errno. */
int tandem_rdma_errno_of(int result);
/* The same for calls that give an object. */
int tandem_rdma_errno_of_object(const void *object);

/* A failed native call: TANDEM_E_MEMLOCK with limit and fix where the memory-lock limit explains
 * it (ENOMEM while `needed_bytes` is not 0 and the limit is finite), TANDEM_E_MEMORY for other
 * ENOMEM, else TANDEM_E_DEVICE. */
int tandem_rdma_error(struct tandem_error *reterr_error, int os_errno, size_t needed_bytes,
                      const char *operation, const char *format, ...) TANDEM_PRINTF(5, 6);

/* What the failed completion of a request means, and what to look at. */
struct tandem_rdma_verdict {
	int code;
	const char *advice;
};
struct tandem_rdma_verdict tandem_rdma_verdict_of_status(enum ibv_wc_status status, int is_receive);

const char *tandem_rdma_state_text(enum ibv_qp_state state);
/* Bytes of a path MTU. */
unsigned tandem_rdma_mtu_bytes(enum ibv_mtu mtu);

#endif
