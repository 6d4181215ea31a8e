#include "rdma/mailbox.h"

#include <pthread.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "rdma/verbs.h"

struct tandem_rdma_mailbox {
	uint64_t session_id;
	pthread_mutex_t lock; /* of all below; nothing blocks under it but the kernel's own move */
	unsigned owner_count;
	bool is_closed;
	struct rdma_event_channel *channel;
	int wake_fd;
	unsigned first;
	unsigned count;
	struct tandem_rdma_request requests[TANDEM_RDMA_REQUESTS_MAX];
};

struct tandem_rdma_mailbox *tandem_rdma_mailbox_new(uint64_t session_id,
                                                    struct rdma_event_channel *channel, int wake_fd)
{
	struct tandem_rdma_mailbox *mailbox = tandem_memory_alloc(sizeof(*mailbox));

	if (mailbox == NULL)
		return NULL;
	pthread_mutex_init(&mailbox->lock, NULL);
	mailbox->session_id = session_id;
	mailbox->owner_count = 2;
	mailbox->channel = channel;
	mailbox->wake_fd = wake_fd;
	return mailbox;
}

uint64_t tandem_rdma_mailbox_session_id(const struct tandem_rdma_mailbox *mailbox)
{
	return mailbox->session_id;
}

/* Under the lock: the channel is there as long as the mailbox is open. */
static enum tandem_rdma_reject_reason put(struct tandem_rdma_mailbox *mailbox,
                                          const struct tandem_rdma_request *request)
{
	const uint64_t one = 1;

	if (mailbox->is_closed)
		return TANDEM_RDMA_REJECT_SESSION;
	if (mailbox->count == TANDEM_RDMA_REQUESTS_MAX)
		return TANDEM_RDMA_REJECT_FULL;
	if (tandem_rdma_errno_of(rdma_migrate_id(request->id, mailbox->channel)) != 0)
		return TANDEM_RDMA_REJECT_DEVICE;
	mailbox->requests[(mailbox->first + mailbox->count++) % TANDEM_RDMA_REQUESTS_MAX] =
	        *request;
	/* A full counter is a wake-up too, so the result does not matter. */
	if (write(mailbox->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return TANDEM_RDMA_REJECT_NONE;
	return TANDEM_RDMA_REJECT_NONE;
}

bool tandem_rdma_mailbox_put(struct tandem_rdma_mailbox *mailbox,
                             const struct tandem_rdma_request *request,
                             enum tandem_rdma_reject_reason *ret_reason)
{
	enum tandem_rdma_reject_reason reason;

	pthread_mutex_lock(&mailbox->lock);
	reason = put(mailbox, request);
	pthread_mutex_unlock(&mailbox->lock);
	if (reason != TANDEM_RDMA_REJECT_NONE)
		*ret_reason = reason;
	return reason == TANDEM_RDMA_REJECT_NONE;
}

bool tandem_rdma_mailbox_is_closed(struct tandem_rdma_mailbox *mailbox)
{
	bool is_closed;

	pthread_mutex_lock(&mailbox->lock);
	is_closed = mailbox->is_closed;
	pthread_mutex_unlock(&mailbox->lock);
	return is_closed;
}

bool tandem_rdma_mailbox_take(struct tandem_rdma_mailbox *mailbox,
                              struct tandem_rdma_request *ret_request)
{
	bool is_taken = false;

	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->count > 0) {
		*ret_request = mailbox->requests[mailbox->first];
		mailbox->first = (mailbox->first + 1) % TANDEM_RDMA_REQUESTS_MAX;
		mailbox->count--;
		is_taken = true;
	}
	pthread_mutex_unlock(&mailbox->lock);
	return is_taken;
}

void tandem_rdma_mailbox_close(struct tandem_rdma_mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->is_closed = true;
	pthread_mutex_unlock(&mailbox->lock);
}

struct tandem_rdma_mailbox *tandem_rdma_mailbox_release(struct tandem_rdma_mailbox *mailbox)
{
	unsigned left;

	if (mailbox == NULL)
		return NULL;
	pthread_mutex_lock(&mailbox->lock);
	left = --mailbox->owner_count;
	pthread_mutex_unlock(&mailbox->lock);
	if (left > 0)
		return NULL;
	pthread_mutex_destroy(&mailbox->lock);
	tandem_memory_free(mailbox);
	return NULL;
}
