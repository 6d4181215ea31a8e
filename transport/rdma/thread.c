#include "rdma/thread.h"

#include <signal.h>

bool tandem_rdma_thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument)
{
	sigset_t all;
	sigset_t before;
	int rc;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return false;
	rc = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0;
}
