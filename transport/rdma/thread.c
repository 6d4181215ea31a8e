#include "rdma/thread.h"

#include <signal.h>

#define STACK_BYTES ((size_t)512 << 10)

/* 0, or a positive errno. */
static int create(pthread_t *ret_thread, void *(*run)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	int rc = pthread_attr_init(&attributes);

	if (rc != 0)
		return rc;
	rc = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (rc == 0)
		rc = pthread_create(ret_thread, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	return rc;
}

bool tandem_rdma_thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument)
{
	sigset_t all;
	sigset_t before;
	int rc;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return false;
	rc = create(ret_thread, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0;
}
