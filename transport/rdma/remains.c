#include "rdma/remains.h"

#include <pthread.h>
#include <stdatomic.h>

#include <tandem/memory.h>

#include "rdma/session.h"
#include "rdma/thread.h"

struct tandem_rdma_remains {
	struct tandem_rdma_remains *next;
	struct tandem_rdma_channel channel; /* the attempt, without its queue pair */
	struct ibv_qp *queue_pair;
	pthread_t thread;
	bool has_thread;
	atomic_bool is_given_up;
};

static void *give_up(void *argument)
{
	struct tandem_rdma_remains *remains = argument;
	struct tandem_rdma_session *session = remains->channel.session;

	ibv_destroy_qp(remains->queue_pair);
	atomic_store(&remains->is_given_up, true);
	tandem_rdma_session_wake(session);
	return NULL;
}

/* Events of the old queue are counted where it is now; those of the old queue pair concern nobody.
 */
static void move(struct tandem_rdma_channel *channel, struct tandem_rdma_remains *remains,
                 bool takes_id)
{
	remains->queue_pair = tandem_rdma_channel_release_queue_pair(channel);
	tandem_rdma_watcher_detach(&channel->watcher);
	remains->channel = *channel;
	remains->queue_pair->qp_context = &remains->channel.watcher;
	remains->channel.queue.cq->cq_context = &remains->channel.watcher;
	tandem_rdma_channel_begin_anew(channel);
	if (takes_id)
		channel->id = NULL;
	else
		remains->channel.id = NULL;
}

void tandem_rdma_remains_leave(struct tandem_rdma_channel *channel, bool takes_id)
{
	struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_remains *remains = NULL;

	if (channel->id != NULL && channel->id->qp != NULL)
		remains = tandem_memory_alloc(sizeof(*remains));
	if (remains == NULL) {
		tandem_rdma_channel_close(channel);
		if (takes_id)
			tandem_rdma_channel_destroy_id(channel);
		return;
	}
	move(channel, remains, takes_id);
	remains->next = session->remains;
	session->remains = remains;
	remains->has_thread = tandem_rdma_thread_start(&remains->thread, give_up, remains);
	if (!remains->has_thread)
		give_up(remains);
}

void tandem_rdma_remains_settle(struct tandem_rdma_session *session)
{
	struct tandem_rdma_remains **place = &session->remains;

	while (*place != NULL) {
		struct tandem_rdma_remains *remains = *place;

		if (!atomic_load(&remains->is_given_up)) {
			place = &remains->next;
			continue;
		}
		*place = remains->next;
		if (remains->has_thread)
			pthread_join(remains->thread, NULL);
		tandem_rdma_channel_close(&remains->channel);
		tandem_rdma_channel_destroy_id(&remains->channel);
		tandem_memory_free(remains);
	}
}

void tandem_rdma_remains_wait(struct tandem_rdma_session *session)
{
	for (struct tandem_rdma_remains *each = session->remains; each != NULL; each = each->next) {
		if (each->has_thread)
			pthread_join(each->thread, NULL);
		each->has_thread = false;
	}
}
