#ifndef TANDEM_RDMA_THREAD_H
#define TANDEM_RDMA_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* A short-lived thread with all signals blocked: they are the program's. False where there is none
 * to be had. */
bool tandem_rdma_thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument);

#endif
