#include "rdma/channel.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <tandem/memory.h>

#include "rdma/attachment.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

/* IB specification, table 45: 20 is 10.24 ms, so that six tries are about 70 ms. Credits make sure
 * that a receive is posted; this is for a peer that does not count. */
#define RECEIVER_TIMER 20

const char *tandem_rdma_channel_name(const struct tandem_rdma_channel *channel, char text[24])
{
	if (channel->index == 0)
		snprintf(text, 24, "control channel");
	else
		snprintf(text, 24, "data channel %u", channel->index - 1);
	return text;
}

const char *tandem_rdma_join_state_text(enum tandem_rdma_join_state state)
{
	switch (state) {
	case TANDEM_RDMA_CHANNEL_IDLE:
		return "not begun";
	case TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS:
		return "resolving the address";
	case TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE:
		return "resolving the route";
	case TANDEM_RDMA_CHANNEL_CONNECTING:
		return "connecting";
	case TANDEM_RDMA_CHANNEL_JOINED:
		return "joined";
	}
	return "unknown";
}

static unsigned send_capacity(const struct tandem_rdma_channel *channel)
{
	if (channel->index == 0)
		return TANDEM_RDMA_SEND_SLOTS;
	return channel->session->is_listening_side ? 0 : channel->session->options.write_depth;
}

static unsigned receive_capacity(const struct tandem_rdma_channel *channel)
{
	if (channel->index == 0)
		return TANDEM_RDMA_RECEIVE_SLOTS;
	return channel->session->is_listening_side ? TANDEM_RDMA_NOTIFY_RECEIVES : 0;
}

static int open_domain(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	int rc;

	/* [T16] What the peer may write has a domain of its own in each channel: only then can one
	 * be fenced alone. */
	channel->owns_pd = channel->index == 0 || channel->session->is_listening_side;
	if (!channel->owns_pd) {
		channel->pd = channel->attachment->pd;
		return 0;
	}
	channel->pd = ibv_alloc_pd(channel->device.context);
	rc = tandem_rdma_errno_of_object(channel->pd);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_alloc_pd",
		                         "no protection domain");
	return 0;
}

/* ---- queues ---- */

static int open_queue(struct tandem_rdma_channel *channel, unsigned capacity,
                      struct tandem_error *reterr_error)
{
	const struct tandem_rdma_device *device = &channel->device;
	int rc;

	if (capacity > (unsigned)device->limits.max_cqe)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "ibv_create_cq",
		                        "%s completes at most %d requests a queue, %u are needed: "
		                        "lower write_depth",
		                        ibv_get_device_name(device->context->device),
		                        device->limits.max_cqe, capacity);
	channel->queue.cq = ibv_create_cq(device->context, (int)capacity, &channel->watcher,
	                                  channel->attachment->completion_channel, 0);
	rc = tandem_rdma_errno_of_object(channel->queue.cq);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, (size_t)capacity * 64, "ibv_create_cq",
		                         "queue of %u completions", capacity);
	return 0;
}

static void close_queue(struct tandem_rdma_queue *queue)
{
	if (queue->cq == NULL)
		return;
	if (queue->unacknowledged_count > 0)
		ibv_ack_cq_events(queue->cq, queue->unacknowledged_count);
	ibv_destroy_cq(queue->cq);
	*queue = (struct tandem_rdma_queue){0};
}

/* Requests the device may hold at once: credits overtake messages, and the reading of the peer's
 * beat does, so that they come on top. */
static unsigned send_depth(const struct tandem_rdma_channel *channel)
{
	return channel->index == 0 ? channel->sends.capacity + TANDEM_RDMA_CREDIT_SLOTS + 1
	                           : channel->sends.capacity;
}

static int allocate_requests(struct tandem_rdma_channel *channel, unsigned capacity)
{
	if (channel->index == 0)
		return 0;
	channel->requests = tandem_memory_alloc_array(capacity, sizeof(*channel->requests));
	channel->sources = tandem_memory_alloc_array(capacity, sizeof(*channel->sources));
	channel->peer_memories = tandem_memory_alloc(sizeof(*channel->peer_memories));
	return channel->requests != NULL && channel->sources != NULL &&
	                       channel->peer_memories != NULL
	               ? 0
	               : TANDEM_E_MEMORY;
}

static int allocate_sends(struct tandem_rdma_channel *channel, unsigned capacity,
                          struct tandem_error *reterr_error)
{
	const enum tandem_rdma_tag_kind kind =
	        channel->index == 0 ? TANDEM_RDMA_TAG_MESSAGE : TANDEM_RDMA_TAG_WRITE;

	if (capacity == 0)
		return 0;
	channel->sent_entries = tandem_memory_alloc_array(capacity, sizeof(*channel->sent_entries));
	channel->send_tags = tandem_memory_alloc_array(capacity, sizeof(*channel->send_tags));
	if (channel->sent_entries == NULL || channel->send_tags == NULL ||
	    allocate_requests(channel, capacity) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "join",
		                        "no memory for %u requests", capacity);
	for (unsigned i = 0; i < capacity; i++)
		channel->send_tags[i] = (struct tandem_rdma_tag){kind, i, channel};
	channel->sends = tandem_rdma_send_ring_over(channel->sent_entries, capacity);
	return 0;
}

static int allocate_receives(struct tandem_rdma_channel *channel, unsigned capacity,
                             struct tandem_error *reterr_error)
{
	const bool is_control = channel->index == 0;
	const enum tandem_rdma_tag_kind kind =
	        is_control ? TANDEM_RDMA_TAG_RECEIVE_MESSAGE : TANDEM_RDMA_TAG_RECEIVE_NOTIFY;

	channel->receive_capacity = capacity;
	if (capacity == 0)
		return 0;
	channel->receive_tags = tandem_memory_alloc_array(capacity, sizeof(*channel->receive_tags));
	if (!is_control)
		channel->exposed =
		        tandem_memory_alloc_array(TANDEM_MEMORY_IDS_MAX, sizeof(*channel->exposed));
	if (channel->receive_tags == NULL || (!is_control && channel->exposed == NULL))
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "join",
		                        "no memory for %u receives", capacity);
	for (unsigned i = 0; i < capacity; i++)
		channel->receive_tags[i] = (struct tandem_rdma_tag){kind, i, channel};
	return 0;
}

/* ---- the queue pair ---- */

static bool is_unknown(int os_errno)
{
	return os_errno == EOPNOTSUPP || os_errno == ENOSYS || os_errno == EINVAL;
}

/* For ibv_wr_post(3) where writes are posted and the device knows it, else for lists. 0 or a
 * positive errno. */
static int create(struct tandem_rdma_channel *channel, struct ibv_qp_init_attr *attributes)
{
	struct ibv_qp_init_attr_ex extended = {
	        .qp_context = attributes->qp_context,
	        .send_cq = attributes->send_cq,
	        .recv_cq = attributes->recv_cq,
	        .cap = attributes->cap,
	        .qp_type = attributes->qp_type,
	        .comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
	        .pd = channel->pd,
	        .send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM,
	};
	int rc = EOPNOTSUPP;

	if (channel->requests != NULL)
		rc = tandem_rdma_errno_of(rdma_create_qp_ex(channel->id, &extended));
	if (rc == 0)
		channel->extended = ibv_qp_to_qp_ex(channel->id->qp);
	if (!is_unknown(rc))
		return rc;
	return tandem_rdma_errno_of(rdma_create_qp(channel->id, channel->pd, attributes));
}

static int create_queue_pair(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	const unsigned sends = send_depth(channel);
	const unsigned receives = channel->receive_capacity;
	struct ibv_qp_init_attr attributes = {
	        .qp_context = &channel->watcher,
	        .send_cq = channel->queue.cq,
	        .recv_cq = channel->queue.cq,
	        .cap = {.max_send_wr = sends > 0 ? sends : 1,
	                .max_recv_wr = receives > 0 ? receives : 1,
	                .max_send_sge = 1,
	                .max_recv_sge = 1},
	        .qp_type = IBV_QPT_RC,
	};
	char name[24];
	int rc;

	if (sends > (unsigned)channel->device.limits.max_qp_wr)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "rdma_create_qp",
		                        "%s takes at most %d requests a queue pair, write_depth is "
		                        "%u",
		                        ibv_get_device_name(channel->device.context->device),
		                        channel->device.limits.max_qp_wr, sends);
	rc = create(channel, &attributes);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, (size_t)(sends + receives) * 128,
		                         "rdma_create_qp", "%s, depth %u",
		                         tandem_rdma_channel_name(channel, name), sends);
	/* A yank that came before this did not see it; progress ends with a look at its flag. */
	atomic_store(&session->queue_pairs[channel->index], channel->id->qp);
	return 0;
}

int tandem_rdma_channel_post_receive(struct tandem_rdma_channel *channel, uint32_t index)
{
	const struct tandem_rdma_session *session = channel->session;
	struct ibv_sge sge;
	struct ibv_recv_wr request = {.wr_id = (uintptr_t)&channel->receive_tags[index]};
	struct ibv_recv_wr *bad;
	int rc;

	if (channel->index == 0) {
		sge.addr = (uintptr_t)tandem_rdma_slot(session, index);
		sge.length = TANDEM_RDMA_SLOT_BYTES;
		sge.lkey = session->slots_mr->lkey;
		request.sg_list = &sge;
		request.num_sge = 1;
	}
	rc = tandem_rdma_errno_of(ibv_post_recv(channel->id->qp, &request, &bad));
	if (rc == 0)
		channel->receive_posted_count++;
	return rc;
}

static int post_receives(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	for (uint32_t i = 0; i < channel->receive_capacity; i++) {
		const int rc = tandem_rdma_channel_post_receive(channel, i);

		if (rc != 0)
			return tandem_rdma_error(reterr_error, rc, 0, "ibv_post_recv",
			                         "receive %u of %u", i + 1,
			                         channel->receive_capacity);
	}
	return 0;
}

int tandem_rdma_channel_open(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	int rc = open_domain(channel, reterr_error);

	if (rc == 0 && channel->index == 0)
		rc = tandem_rdma_session_open_slots(channel->session, channel->pd, reterr_error);
	if (rc == 0 && channel->index == 0)
		rc = tandem_rdma_beat_open(channel->session, channel->pd, reterr_error);
	if (rc == 0)
		rc = allocate_sends(channel, send_capacity(channel), reterr_error);
	if (rc == 0)
		rc = allocate_receives(channel, receive_capacity(channel), reterr_error);
	/* [T13] Room for every request, signalled or not: flushed, each completes. */
	if (rc == 0)
		rc = open_queue(channel, send_depth(channel) + channel->receive_capacity,
		                reterr_error);
	if (rc == 0)
		rc = create_queue_pair(channel, reterr_error);
	return rc == 0 ? post_receives(channel, reterr_error) : rc;
}

int tandem_rdma_channel_set_receiver_timer(struct tandem_rdma_channel *channel,
                                           struct tandem_error *reterr_error)
{
	struct ibv_qp_attr attributes = {.min_rnr_timer = RECEIVER_TIMER};
	char name[24];
	const int rc = tandem_rdma_errno_of(
	        ibv_modify_qp(channel->id->qp, &attributes, IBV_QP_MIN_RNR_TIMER));

	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_modify_qp",
		                         "receiver timer of the %s",
		                         tandem_rdma_channel_name(channel, name));
	return 0;
}

bool tandem_rdma_channel_is_quiet(const struct tandem_rdma_channel *channel)
{
	return tandem_rdma_send_ring_inflight_count(&channel->sends) == 0 &&
	       channel->receive_posted_count == 0;
}

void tandem_rdma_channel_stop(struct tandem_rdma_channel *channel)
{
	struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

	/* One that does not take it is in RESET, or its device is gone: nothing is lost. */
	if (channel->id != NULL && channel->id->qp != NULL)
		ibv_modify_qp(channel->id->qp, &attributes, IBV_QP_STATE);
}

/* ---- the end ---- */

/* [T10] A yank looks at the queue pairs while it is counted: after the pointer is gone nobody new
 * finds it, and who is counted may still use it. */
struct ibv_qp *tandem_rdma_channel_release_queue_pair(struct tandem_rdma_channel *channel)
{
	struct tandem_rdma_session *session = channel->session;
	struct ibv_qp *queue_pair;

	if (channel->id == NULL || channel->id->qp == NULL)
		return NULL;
	atomic_store(&session->queue_pairs[channel->index], NULL);
	while (atomic_load(&session->stopper_count) > 0)
		sched_yield();
	queue_pair = channel->id->qp;
	channel->id->qp = NULL;
	return queue_pair;
}

void tandem_rdma_channel_destroy_queue_pair(struct tandem_rdma_channel *channel)
{
	struct ibv_qp *queue_pair = tandem_rdma_channel_release_queue_pair(channel);

	if (queue_pair != NULL)
		ibv_destroy_qp(queue_pair);
}

void tandem_rdma_channel_release_exposed(struct tandem_rdma_channel *channel)
{
	if (channel->job != NULL) {
		tandem_rdma_job_cancel(channel->job);
		tandem_rdma_job_end(channel->job, NULL);
		channel->job = NULL;
	}
	for (unsigned i = 0; channel->exposed != NULL && i < TANDEM_MEMORY_IDS_MAX; i++)
		channel->exposed[i].registration =
		        tandem_rdma_registration_free(channel->exposed[i].registration);
}

static void release_memory(struct tandem_rdma_channel *channel)
{
	tandem_rdma_channel_release_exposed(channel);
	tandem_memory_free(channel->exposed);
	tandem_rdma_peer_memories_free(channel->peer_memories);
	tandem_memory_free(channel->sent_entries);
	tandem_memory_free(channel->send_tags);
	tandem_memory_free(channel->receive_tags);
	tandem_memory_free(channel->requests);
	tandem_memory_free(channel->sources);
}

void tandem_rdma_channel_begin_anew(struct tandem_rdma_channel *channel)
{
	const size_t attempt = offsetof(struct tandem_rdma_channel, join_state);

	memset((uint8_t *)channel + attempt, 0, sizeof(*channel) - attempt);
}

void tandem_rdma_channel_close(struct tandem_rdma_channel *channel)
{
	tandem_rdma_channel_destroy_queue_pair(channel);
	tandem_rdma_watcher_detach(&channel->watcher);
	close_queue(&channel->queue);
	release_memory(channel);
	if (channel->index == 0) {
		tandem_rdma_beat_close(channel->session);
		tandem_rdma_session_close_slots(channel->session);
	}
	if (channel->owns_pd && channel->pd != NULL)
		ibv_dealloc_pd(channel->pd);
	tandem_rdma_channel_begin_anew(channel);
}

void tandem_rdma_channel_destroy_id(struct tandem_rdma_channel *channel)
{
	if (channel->id == NULL)
		return;
	rdma_destroy_id(channel->id);
	channel->id = NULL;
}
