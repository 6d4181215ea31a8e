#ifndef TANDEM_RDMA_REGISTRATION_H
#define TANDEM_RDMA_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

/* A range of memory that the device may use, registered in pieces: piece i begins i * piece_bytes
 * after the base. Borrows the memory. */
struct tandem_rdma_registration {
	uint8_t *base;
	uint64_t length;
	uint64_t piece_bytes;
	uint32_t piece_count;
	struct ibv_mr **pieces; /* NULL where not registered */
};

/* Nothing is registered yet. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_rdma_registration_new(
        const void *base, uint64_t length, uint64_t piece_bytes,
        struct tandem_rdma_registration **ret_registration, struct tandem_error *reterr_error);
/* `access` are ibv_access_flags. Registers all pieces; after a failure the caller frees
 * the registration, which gives back those that were. Errors: TANDEM_E_MEMLOCK,
 * TANDEM_E_MEMORY, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_registration_pin(struct tandem_rdma_registration *registration,
                                                   struct ibv_pd *pd, unsigned access,
                                                   struct tandem_error *reterr_error);
/* Deregisters what it can. 0 only when the device holds no piece any more, else TANDEM_E_FENCE. */
TANDEM_MUST_CHECK int tandem_rdma_registration_unpin(struct tandem_rdma_registration *registration,
                                                     struct tandem_error *reterr_error);
/* NULL and half-built are allowed. */
struct tandem_rdma_registration *tandem_rdma_registration_free(
        struct tandem_rdma_registration *registration);

bool tandem_rdma_registration_holds(const struct tandem_rdma_registration *registration,
                                    const void *bytes, uint64_t length);

#endif
