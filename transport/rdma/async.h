#ifndef TANDEM_RDMA_ASYNC_H
#define TANDEM_RDMA_ASYNC_H

#include <stdatomic.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

/* Asynchronous events of a device. librdmacm opens each device once a process, so all sessions
 * share one stream: who reads an event hands it to the watchers it concerns, under a short lock
 * that no blocking call is made with. */
enum tandem_rdma_async {
	TANDEM_RDMA_ASYNC_NOTED = 0,
	TANDEM_RDMA_ASYNC_PORT_DOWN = 1 << 0,
	TANDEM_RDMA_ASYNC_GID_CHANGED = 1 << 1,
	TANDEM_RDMA_ASYNC_DEVICE_FATAL = 1 << 2,
	TANDEM_RDMA_ASYNC_QUEUE_PAIR = 1 << 3, /* of this watcher */
	TANDEM_RDMA_ASYNC_COMPLETION_QUEUE = 1 << 4,
};

/* Embedded by a channel; its queue pair and completion queue name it as their context. */
struct tandem_rdma_watcher {
	struct tandem_rdma_watcher *next; /* under the lock */
	struct ibv_context *context;      /* NULL: not attached */
	unsigned port;
	int wake_fd;        /* an eventfd, written when `events` grew */
	atomic_uint events; /* of enum tandem_rdma_async, and what is waiting to be taken */
};

/* Begins to watch `port` of `context`. Events older than this are not for this watcher. */
TANDEM_MUST_CHECK int tandem_rdma_watcher_attach(struct tandem_rdma_watcher *watcher,
                                                 struct ibv_context *context, unsigned port,
                                                 int wake_fd, struct tandem_error *reterr_error);
void tandem_rdma_watcher_detach(struct tandem_rdma_watcher *watcher); /* not attached is allowed */

/* Reads what the device has to say and hands it to all watchers that it concerns; never blocks once
 * one was attached. */
void tandem_rdma_watchers_read(struct ibv_context *context);
/* What concerns this watcher, and forgets it. */
unsigned tandem_rdma_watcher_take(struct tandem_rdma_watcher *watcher);

enum tandem_rdma_async tandem_rdma_async_of(enum ibv_event_type type);

#endif
