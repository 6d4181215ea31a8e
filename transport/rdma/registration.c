#include "rdma/registration.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "rdma/thread.h"
#include "rdma/verbs.h"

#define THREADS_MAX 8
/* Less is done sooner than a thread begins. */
#define THREAD_BYTES (UINT64_C(64) << 20)

/* Linux 5.14, in headers since glibc 2.35. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

int tandem_rdma_registration_new(const struct tandem_rdma_extent *extent, struct ibv_pd *pd,
                                 unsigned access,
                                 struct tandem_rdma_registration **ret_registration,
                                 struct tandem_error *reterr_error)
{
	const uint64_t piece_count =
	        extent->length / extent->piece_bytes + (extent->length % extent->piece_bytes != 0);
	struct tandem_rdma_registration *registration;

	if (piece_count > UINT32_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "%llu bytes are too many for one memory",
		                        (unsigned long long)extent->length);
	registration = tandem_memory_alloc(sizeof(*registration));
	if (registration != NULL)
		registration->pieces = tandem_memory_alloc_array((size_t)piece_count,
		                                                 sizeof(*registration->pieces));
	if (registration == NULL || registration->pieces == NULL) {
		tandem_rdma_registration_free(registration);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                        "no memory for a registration");
	}
	registration->base = (uint8_t *)(uintptr_t)extent->base;
	registration->length = extent->length;
	registration->piece_bytes = extent->piece_bytes;
	registration->piece_count = (uint32_t)piece_count;
	registration->pd = pd;
	registration->access = access;
	*ret_registration = registration;
	return 0;
}

/* ---- one piece ---- */

static uint64_t piece_length(const struct tandem_rdma_registration *registration, uint32_t index)
{
	const uint64_t left = registration->length - index * registration->piece_bytes;

	return left < registration->piece_bytes ? left : registration->piece_bytes;
}

/* The device's own way to touch pages is one after the other, under a lock; what cannot be touched
 * is for the registration to report. */
static void touch(const struct tandem_rdma_registration *registration, uint8_t *base,
                  uint64_t length)
{
	const uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = (uintptr_t)base / page_bytes * page_bytes;
	const bool is_written = (registration->access & IBV_ACCESS_LOCAL_WRITE) != 0;

	/* Fewer entries for a device to keep, faster to register and to give back. A wish: a kernel
	 * without them says no. */
	if (is_written)
		(void)madvise((void *)begin, (uintptr_t)base + length - begin, MADV_HUGEPAGE);
	if (madvise((void *)begin, (uintptr_t)base + length - begin,
	            is_written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) != 0)
		return;
}

static int pin_piece(struct tandem_rdma_registration *registration, uint32_t index)
{
	uint8_t *base = registration->base + index * registration->piece_bytes;
	const uint64_t length = piece_length(registration, index);

	touch(registration, base, length);
	registration->pieces[index] =
	        ibv_reg_mr(registration->pd, base, (size_t)length, (int)registration->access);
	return tandem_rdma_errno_of_object(registration->pieces[index]);
}

static int unpin_piece(struct tandem_rdma_registration *registration, uint32_t index)
{
	int os_errno;

	if (registration->pieces[index] == NULL)
		return 0;
	os_errno = tandem_rdma_errno_of(ibv_dereg_mr(registration->pieces[index]));
	if (os_errno == 0)
		registration->pieces[index] = NULL;
	return os_errno;
}

/* ---- all pieces ---- */

struct work {
	struct tandem_rdma_registration *const *registrations;
	unsigned count;
	uint32_t piece_count; /* of all */
	uint64_t bytes;
	int (*handle)(struct tandem_rdma_registration *registration, uint32_t index);
	bool ends_at_failure;
	const atomic_bool *is_cancelled;
	atomic_uint next; /* the piece that the next turn takes */
	atomic_bool has_failed;
	int os_errno; /* of the first failure, its owner's until the threads have ended */
	uint32_t failed_piece;
};

static struct tandem_rdma_registration *find(const struct work *work, uint32_t *index)
{
	unsigned i = 0;

	for (; *index >= work->registrations[i]->piece_count; i++)
		*index -= work->registrations[i]->piece_count;
	return work->registrations[i];
}

static bool is_cancelled(const struct work *work)
{
	return work->is_cancelled != NULL && atomic_load(work->is_cancelled);
}

static void *run(void *argument)
{
	struct work *work = argument;

	while (!is_cancelled(work) && !(work->ends_at_failure && atomic_load(&work->has_failed))) {
		const uint32_t piece = atomic_fetch_add(&work->next, 1);
		struct tandem_rdma_registration *registration;
		uint32_t index = piece;
		int os_errno;

		if (piece >= work->piece_count)
			break;
		registration = find(work, &index);
		os_errno = work->handle(registration, index);
		if (os_errno == 0 || atomic_exchange(&work->has_failed, true))
			continue;
		work->os_errno = os_errno;
		work->failed_piece = piece;
	}
	return NULL;
}

static unsigned thread_count(const struct work *work)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t count = work->bytes / THREAD_BYTES;

	if (count > THREADS_MAX)
		count = THREADS_MAX;
	if (count > work->piece_count)
		count = work->piece_count;
	if (cores > 0 && count > (uint64_t)cores)
		count = (uint64_t)cores;
	return (unsigned)count;
}

/* This thread is one of them, so that it goes on where there is no other. */
static void run_all(struct work *work)
{
	pthread_t threads[THREADS_MAX];
	const unsigned wanted = thread_count(work);
	unsigned started = 0;

	for (unsigned i = 1; i < wanted; i++)
		started += tandem_rdma_thread_start(&threads[started], run, work);
	run(work);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static void add_up(struct work *work)
{
	for (unsigned i = 0; i < work->count; i++) {
		work->piece_count += work->registrations[i]->piece_count;
		work->bytes += work->registrations[i]->length;
	}
}

int tandem_rdma_registrations_pin(struct tandem_rdma_registration *const *registrations,
                                  unsigned count, const atomic_bool *is_cancelled_or_null,
                                  struct tandem_error *reterr_error)
{
	struct work work = {.registrations = registrations,
	                    .count = count,
	                    .handle = pin_piece,
	                    .ends_at_failure = true,
	                    .is_cancelled = is_cancelled_or_null};

	add_up(&work);
	run_all(&work);
	if (atomic_load(&work.has_failed))
		return tandem_rdma_error(reterr_error, work.os_errno, (size_t)work.bytes,
		                         "ibv_reg_mr", "piece %u of %u, %llu KiB in all",
		                         work.failed_piece + 1, work.piece_count,
		                         (unsigned long long)work.bytes / 1024);
	if (is_cancelled(&work))
		return tandem_error_set(reterr_error, TANDEM_E_YANKED, "ibv_reg_mr",
		                        "not needed any more");
	return 0;
}

int tandem_rdma_registrations_unpin(struct tandem_rdma_registration *const *registrations,
                                    unsigned count, struct tandem_error *reterr_error)
{
	struct work work = {.registrations = registrations, .count = count, .handle = unpin_piece};

	add_up(&work);
	run_all(&work);
	if (!atomic_load(&work.has_failed))
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_FENCE, work.os_errno, "ibv_dereg_mr",
	                              "piece %u of %u could not be withdrawn from the device: its "
	                              "memory may still change",
	                              work.failed_piece + 1, work.piece_count);
}

struct tandem_rdma_registration *tandem_rdma_registration_free(
        struct tandem_rdma_registration *registration)
{
	if (registration == NULL)
		return NULL;
	/* What fails here is withdrawn by the kernel when the process ends. */
	for (uint32_t i = 0; i < registration->piece_count; i++)
		unpin_piece(registration, i);
	tandem_memory_free(registration->pieces);
	tandem_memory_free(registration);
	return NULL;
}
