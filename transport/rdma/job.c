#include "rdma/job.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rdma/thread.h"

struct tandem_rdma_job {
	struct tandem_rdma_registration **registrations;
	unsigned count;
	int wake_fd;
	pthread_t thread;
	atomic_bool is_cancelled;
	atomic_bool is_done;
	pthread_mutex_t lock;
	pthread_cond_t done;
	int result; /* the thread's until it is done, as `error` */
	struct tandem_error error;
};

static void *run(void *argument)
{
	struct tandem_rdma_job *job = argument;
	const uint64_t one = 1;

	job->result = tandem_rdma_registrations_pin(job->registrations, job->count,
	                                            &job->is_cancelled, &job->error);
	pthread_mutex_lock(&job->lock);
	atomic_store(&job->is_done, true);
	pthread_cond_broadcast(&job->done);
	pthread_mutex_unlock(&job->lock);
	/* A full counter is a wake-up too, so the result does not matter. */
	if (write(job->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return NULL;
	return NULL;
}

static void free_job(struct tandem_rdma_job *job)
{
	pthread_cond_destroy(&job->done);
	pthread_mutex_destroy(&job->lock);
	tandem_memory_free(job->registrations);
	tandem_memory_free(job);
}

static struct tandem_rdma_job *new_job(struct tandem_rdma_registration *const *registrations,
                                       unsigned count)
{
	struct tandem_rdma_job *job = tandem_memory_alloc(sizeof(*job));
	pthread_condattr_t attributes;

	if (job == NULL)
		return NULL;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&job->done, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&job->lock, NULL);
	job->registrations =
	        tandem_memory_alloc_array(count, sizeof(struct tandem_rdma_registration *));
	if (job->registrations == NULL) {
		free_job(job);
		return NULL;
	}
	memcpy(job->registrations, registrations, count * sizeof(*registrations));
	job->count = count;
	return job;
}

int tandem_rdma_job_start(struct tandem_rdma_registration *const *registrations, unsigned count,
                          int wake_fd, struct tandem_rdma_job **ret_job,
                          struct tandem_error *reterr_error)
{
	struct tandem_rdma_job *job = new_job(registrations, count);

	if (job == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                        "no memory for %u registrations", count);
	job->wake_fd = wake_fd;
	if (!tandem_rdma_thread_start(&job->thread, run, job)) {
		free_job(job);
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "pthread_create",
		                        "no thread to register memory");
	}
	*ret_job = job;
	return 0;
}

bool tandem_rdma_job_is_done(const struct tandem_rdma_job *job)
{
	return atomic_load(&job->is_done);
}

void tandem_rdma_job_cancel(struct tandem_rdma_job *job)
{
	atomic_store(&job->is_cancelled, true);
}

bool tandem_rdma_job_wait(struct tandem_rdma_job *job, uint64_t deadline_ns)
{
	const struct timespec deadline = tandem_clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&job->lock);
	while (rc == 0 && !atomic_load(&job->is_done))
		rc = pthread_cond_timedwait(&job->done, &job->lock, &deadline);
	pthread_mutex_unlock(&job->lock);
	return atomic_load(&job->is_done);
}

int tandem_rdma_job_end(struct tandem_rdma_job *job, struct tandem_error *reterr_error)
{
	int result;

	pthread_join(job->thread, NULL);
	result = job->result;
	if (result != 0 && reterr_error != NULL)
		*reterr_error = job->error;
	free_job(job);
	return result;
}
