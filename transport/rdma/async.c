#include "rdma/async.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

static pthread_mutex_t watchers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tandem_rdma_watcher *watchers;

enum tandem_rdma_async tandem_rdma_async_of(enum ibv_event_type type)
{
	switch (type) {
	case IBV_EVENT_PORT_ERR:
		return TANDEM_RDMA_ASYNC_PORT_DOWN;
	case IBV_EVENT_GID_CHANGE:
		return TANDEM_RDMA_ASYNC_GID_CHANGED;
	case IBV_EVENT_DEVICE_FATAL:
		return TANDEM_RDMA_ASYNC_DEVICE_FATAL;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		return TANDEM_RDMA_ASYNC_QUEUE_PAIR;
	case IBV_EVENT_CQ_ERR:
		return TANDEM_RDMA_ASYNC_COMPLETION_QUEUE;
	case IBV_EVENT_COMM_EST:
	case IBV_EVENT_SQ_DRAINED:
	case IBV_EVENT_PATH_MIG:
	case IBV_EVENT_PATH_MIG_ERR:
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_LID_CHANGE:
	case IBV_EVENT_PKEY_CHANGE:
	case IBV_EVENT_SM_CHANGE:
	case IBV_EVENT_SRQ_ERR:
	case IBV_EVENT_SRQ_LIMIT_REACHED:
	case IBV_EVENT_QP_LAST_WQE_REACHED:
	case IBV_EVENT_CLIENT_REREGISTER:
	case IBV_EVENT_WQ_FATAL:
		break;
	}
	return TANDEM_RDMA_ASYNC_NOTED;
}

static bool concerns(const struct tandem_rdma_watcher *watcher, struct ibv_context *context,
                     const struct ibv_async_event *event)
{
	if (watcher->context != context)
		return false;
	switch (tandem_rdma_async_of(event->event_type)) {
	case TANDEM_RDMA_ASYNC_PORT_DOWN:
	case TANDEM_RDMA_ASYNC_GID_CHANGED:
		return (unsigned)event->element.port_num == watcher->port;
	case TANDEM_RDMA_ASYNC_DEVICE_FATAL:
		return true;
	case TANDEM_RDMA_ASYNC_QUEUE_PAIR:
		return event->element.qp->qp_context == watcher;
	case TANDEM_RDMA_ASYNC_COMPLETION_QUEUE:
		return event->element.cq->cq_context == watcher;
	case TANDEM_RDMA_ASYNC_NOTED:
		break;
	}
	return false;
}

static void wake(struct tandem_rdma_watcher *watcher)
{
	const uint64_t one = 1;

	/* A full counter is a wake-up too, so the result does not matter. */
	if (write(watcher->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return;
}

static void hand_out(struct ibv_context *context, const struct ibv_async_event *event)
{
	const unsigned bit = tandem_rdma_async_of(event->event_type);

	for (struct tandem_rdma_watcher *w = watchers; w != NULL; w = w->next) {
		if (!concerns(w, context, event))
			continue;
		atomic_fetch_or(&w->events, bit);
		wake(w);
	}
}

/* Under the lock. */
static void read_all(struct ibv_context *context)
{
	struct ibv_async_event event;

	while (ibv_get_async_event(context, &event) == 0) {
		hand_out(context, &event);
		ibv_ack_async_event(&event);
	}
}

int tandem_rdma_watcher_attach(struct tandem_rdma_watcher *watcher, struct ibv_context *context,
                               unsigned port, int wake_fd, struct tandem_error *reterr_error)
{
	const int flags = fcntl(context->async_fd, F_GETFL);

	if (flags < 0 || fcntl(context->async_fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fcntl",
		                              "device events to non-blocking");
	pthread_mutex_lock(&watchers_lock);
	read_all(context);
	watcher->context = context;
	watcher->port = port;
	watcher->wake_fd = wake_fd;
	watcher->next = watchers;
	watchers = watcher;
	pthread_mutex_unlock(&watchers_lock);
	return 0;
}

void tandem_rdma_watcher_detach(struct tandem_rdma_watcher *watcher)
{
	if (watcher->context == NULL)
		return;
	pthread_mutex_lock(&watchers_lock);
	for (struct tandem_rdma_watcher **w = &watchers; *w != NULL; w = &(*w)->next) {
		if (*w == watcher) {
			*w = watcher->next;
			break;
		}
	}
	pthread_mutex_unlock(&watchers_lock);
	watcher->context = NULL;
}

void tandem_rdma_watchers_read(struct ibv_context *context)
{
	pthread_mutex_lock(&watchers_lock);
	read_all(context);
	pthread_mutex_unlock(&watchers_lock);
}

unsigned tandem_rdma_watcher_take(struct tandem_rdma_watcher *watcher)
{
	return atomic_exchange(&watcher->events, 0);
}
