#include "rdma/registration.h"

#include <stddef.h>

#include <tandem/memory.h>

#include "rdma/verbs.h"

int tandem_rdma_registration_new(const void *base, uint64_t length, uint64_t piece_bytes,
                                 struct tandem_rdma_registration **ret_registration,
                                 struct tandem_error *reterr_error)
{
	const uint64_t piece_count = length / piece_bytes + (length % piece_bytes != 0);
	struct tandem_rdma_registration *registration;

	if (piece_count > UINT32_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "%llu bytes are too many for one memory",
		                        (unsigned long long)length);
	registration = tandem_memory_alloc(sizeof(*registration));
	if (registration != NULL)
		registration->pieces = tandem_memory_alloc_array((size_t)piece_count,
		                                                 sizeof(*registration->pieces));
	if (registration == NULL || registration->pieces == NULL) {
		tandem_rdma_registration_free(registration);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                        "no memory for a registration");
	}
	registration->base = (uint8_t *)(uintptr_t)base;
	registration->length = length;
	registration->piece_bytes = piece_bytes;
	registration->piece_count = (uint32_t)piece_count;
	*ret_registration = registration;
	return 0;
}

static uint64_t piece_length(const struct tandem_rdma_registration *registration, uint32_t index)
{
	const uint64_t left = registration->length - index * registration->piece_bytes;

	return left < registration->piece_bytes ? left : registration->piece_bytes;
}

static int pin_piece(struct tandem_rdma_registration *registration, uint32_t index,
                     struct ibv_pd *pd, unsigned access, struct tandem_error *reterr_error)
{
	const uint64_t offset = index * registration->piece_bytes;
	const uint64_t length = piece_length(registration, index);
	int rc;

	registration->pieces[index] =
	        ibv_reg_mr(pd, registration->base + offset, (size_t)length, (int)access);
	rc = tandem_rdma_errno_of_object(registration->pieces[index]);
	if (rc == 0)
		return 0;
	return tandem_rdma_error(reterr_error, rc, (size_t)(registration->length - offset),
	                         "ibv_reg_mr", "piece %u of %u, %llu bytes of %llu", index + 1,
	                         registration->piece_count, (unsigned long long)length,
	                         (unsigned long long)registration->length);
}

/* The errno of the first piece that the device did not give back, 0 where it holds none. */
static int withdraw(struct tandem_rdma_registration *registration, uint32_t *ret_index)
{
	int first_errno = 0;

	for (uint32_t i = 0; i < registration->piece_count; i++) {
		int os_errno;

		if (registration->pieces[i] == NULL)
			continue;
		os_errno = tandem_rdma_errno_of(ibv_dereg_mr(registration->pieces[i]));
		if (os_errno == 0) {
			registration->pieces[i] = NULL;
		} else if (first_errno == 0) {
			first_errno = os_errno;
			*ret_index = i;
		}
	}
	return first_errno;
}

int tandem_rdma_registration_pin(struct tandem_rdma_registration *registration, struct ibv_pd *pd,
                                 unsigned access, struct tandem_error *reterr_error)
{
	int rc = 0;

	for (uint32_t i = 0; i < registration->piece_count && rc == 0; i++)
		rc = pin_piece(registration, i, pd, access, reterr_error);
	return rc;
}

int tandem_rdma_registration_unpin(struct tandem_rdma_registration *registration,
                                   struct tandem_error *reterr_error)
{
	uint32_t index = 0;
	const int os_errno = withdraw(registration, &index);

	if (os_errno == 0)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_FENCE, os_errno, "ibv_dereg_mr",
	                              "piece %u of %u could not be withdrawn from the device: its "
	                              "memory may still change",
	                              index + 1, registration->piece_count);
}

struct tandem_rdma_registration *tandem_rdma_registration_free(
        struct tandem_rdma_registration *registration)
{
	uint32_t index;

	if (registration == NULL)
		return NULL;
	/* What fails here is withdrawn by the kernel when the process ends. */
	if (registration->pieces != NULL)
		withdraw(registration, &index);
	tandem_memory_free(registration->pieces);
	tandem_memory_free(registration);
	return NULL;
}

bool tandem_rdma_registration_holds(const struct tandem_rdma_registration *registration,
                                    const void *bytes, uint64_t length)
{
	const uintptr_t base = (uintptr_t)registration->base;
	const uintptr_t start = (uintptr_t)bytes;

	return start >= base && start - base <= registration->length &&
	       length <= registration->length - (start - base);
}
