#ifndef TANDEM_RDMA_REGISTRATION_H
#define TANDEM_RDMA_REGISTRATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

/* A range of memory that the device may use under one protection domain, registered in pieces:
 * piece i begins i * piece_bytes after the base. Borrows the memory. */
struct tandem_rdma_registration {
	uint8_t *base;
	uint64_t length;
	uint64_t piece_bytes;
	uint32_t piece_count;
	struct ibv_pd *pd;
	unsigned access;        /* ibv_access_flags */
	struct ibv_mr **pieces; /* NULL where not registered */
};

/* What is registered: `length` bytes at `base` in pieces of `piece_bytes`. */
struct tandem_rdma_extent {
	const void *base;
	uint64_t length;
	uint64_t piece_bytes;
};

/* Nothing is registered yet. Errors: TANDEM_E_MEMORY, TANDEM_E_USAGE. */
TANDEM_MUST_CHECK int tandem_rdma_registration_new(
        const struct tandem_rdma_extent *extent, struct ibv_pd *pd, unsigned access,
        struct tandem_rdma_registration **ret_registration, struct tandem_error *reterr_error);

/* Registers all pieces of all of them, by several threads where it is much, and touches the pages
 * first. Ends early, with TANDEM_E_YANKED, once *is_cancelled (NULL: never). After a failure the
 * caller frees the registrations, which gives back what was registered. Errors: TANDEM_E_MEMLOCK,
 * TANDEM_E_MEMORY, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_registrations_pin(
        struct tandem_rdma_registration *const *registrations, unsigned count,
        const atomic_bool *is_cancelled, struct tandem_error *reterr_error);
/* Deregisters what it can, in the same way. 0 only when the device holds no piece any more, else
 * TANDEM_E_FENCE. */
TANDEM_MUST_CHECK int tandem_rdma_registrations_unpin(
        struct tandem_rdma_registration *const *registrations, unsigned count,
        struct tandem_error *reterr_error);
/* Deregisters what is registered; NULL and half-built are allowed. */
struct tandem_rdma_registration *tandem_rdma_registration_free(
        struct tandem_rdma_registration *registration);

#endif
