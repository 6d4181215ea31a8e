#include <arpa/inet.h>

#include <tandem/clock.h>

#include "rdma/core/split.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

#define BATCH           32
#define SIGNAL_INTERVAL 32 /* at most half the queue */

/* Where a write reads and where it goes. */
struct route {
	const struct tandem_rdma_registration *source; /* with the channel's device */
	const struct tandem_rdma_peer_memory *target;
	uint64_t source_offset;
	uint64_t target_offset;
};

/* False where the peer did not expose it or the source is not registered. */
static bool find_route(struct tandem_rdma_channel *channel, const struct tandem_write *write,
                       struct route *ret_route)
{
	const struct tandem_rdma_peer_memory *target;
	const struct tandem_rdma_source *source;
	uint64_t bytes;

	if (write->memory_id >= TANDEM_MEMORY_IDS_MAX || write->length == 0 ||
	    write->length > TANDEM_WRITE_BYTES_MAX)
		return false;
	target = &channel->peer_memories->entries[write->memory_id];
	bytes = tandem_rdma_peer_memory_bytes(target);
	if (write->offset > bytes || write->length > bytes - write->offset)
		return false;
	source = tandem_rdma_sources_find(&channel->session->sources, write->source, write->length);
	if (source == NULL || source->registrations[channel->attachment->index] == NULL)
		return false;
	*ret_route = (struct route){source->registrations[channel->attachment->index], target,
	                            (uintptr_t)write->source - (uintptr_t)source->extent.base,
	                            write->offset};
	return true;
}

/* ---- taking ---- */

static void take_part(struct tandem_rdma_channel *channel, const struct route *route,
                      uint64_t done_bytes, uint32_t length, unsigned index)
{
	const uint64_t source_offset = route->source_offset + done_bytes;
	const uint64_t target_offset = route->target_offset + done_bytes;
	const uint64_t source_piece = source_offset / route->source->piece_bytes;
	const struct tandem_rdma_piece target =
	        route->target->pieces[target_offset / route->target->piece_bytes];
	struct ibv_sge *sge = &channel->sources[index];
	struct ibv_send_wr *request = &channel->requests[index];

	*sge = (struct ibv_sge){.addr = (uintptr_t)route->source->base + source_offset,
	                        .length = length,
	                        .lkey = route->source->pieces[source_piece]->lkey};
	*request = (struct ibv_send_wr){.wr_id = (uintptr_t)&channel->send_tags[index],
	                                .sg_list = sge,
	                                .num_sge = 1,
	                                .opcode = IBV_WR_RDMA_WRITE};
	request->wr.rdma.remote_addr = target.address + target_offset % route->target->piece_bytes;
	request->wr.rdma.rkey = target.key;
}

/* A part for each pair of pieces that it crosses. The request of the last part, or NULL, and
 * nothing taken, where they do not fit the queue. */
static struct ibv_send_wr *take(struct tandem_rdma_channel *channel, const struct route *route,
                                uint32_t length, uint64_t now_ns)
{
	uint32_t lengths[TANDEM_RDMA_PARTS_MAX];
	const unsigned part_count = tandem_rdma_split(
	        route->source_offset, route->source->piece_bytes, route->target_offset,
	        route->target->piece_bytes, length, lengths);
	uint64_t done_bytes = 0;
	unsigned index = 0;

	if (part_count > tandem_rdma_send_ring_free_count(&channel->sends))
		return NULL;
	for (unsigned i = 0; i < part_count; i++) {
		index = tandem_rdma_send_ring_take(&channel->sends, now_ns, i + 1 == part_count);
		take_part(channel, route, done_bytes, lengths[i], index);
		done_bytes += lengths[i];
	}
	channel->bytes += length;
	return &channel->requests[index];
}

/* ---- posting ---- */

static bool may_post(const struct tandem_rdma_channel *channel, const struct ibv_send_wr *request,
                     unsigned notify_count)
{
	const uint64_t untaken_count =
	        channel->notify_sent_count + notify_count - channel->notify_credited_count;

	return request->opcode != IBV_WR_RDMA_WRITE_WITH_IMM ||
	       untaken_count < TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX;
}

/* Links what may go now; how many. The last is signalled, so that all completes without a further
 * post. */
static unsigned link_batch(struct tandem_rdma_channel *channel, unsigned *ret_notify_count)
{
	const unsigned unposted_count = tandem_rdma_send_ring_unposted_count(&channel->sends);
	const unsigned half = channel->sends.capacity / 2;
	const unsigned interval = half < SIGNAL_INTERVAL ? half : SIGNAL_INTERVAL;
	struct ibv_send_wr *last = NULL;
	unsigned count = 0;

	*ret_notify_count = 0;
	while (count < BATCH && count < unposted_count) {
		struct ibv_send_wr *request =
		        &channel->requests[tandem_rdma_send_ring_unposted(&channel->sends, count)];

		if (!may_post(channel, request, *ret_notify_count))
			break;
		*ret_notify_count += request->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
		if (tandem_rdma_send_ring_wants_signal(&channel->sends, interval, false))
			request->send_flags = IBV_SEND_SIGNALED;
		if (last != NULL)
			last->next = request;
		last = request;
		count++;
	}
	if (last != NULL && last->send_flags == 0 &&
	    tandem_rdma_send_ring_wants_signal(&channel->sends, interval, true))
		last->send_flags = IBV_SEND_SIGNALED;
	return count;
}

static unsigned count_until(const struct ibv_send_wr *first, const struct ibv_send_wr *end)
{
	unsigned count = 0;

	for (; first != end && first != NULL; first = first->next)
		count++;
	return count;
}

static void lose_for_post(struct tandem_rdma_channel *channel, int os_errno)
{
	struct tandem_error cause;
	char name[24];

	tandem_rdma_error(&cause, os_errno, 0, "ibv_post_send", "%s to %s",
	                  tandem_rdma_channel_name(channel, name), channel->peer_text);
	tandem_rdma_channel_lose(channel, &cause);
}

/* 0, or a positive errno and nothing posted. */
static int post_extended(struct ibv_qp_ex *queue_pair, const struct ibv_send_wr *request)
{
	ibv_wr_start(queue_pair);
	for (; request != NULL; request = request->next) {
		queue_pair->wr_id = request->wr_id;
		queue_pair->wr_flags = request->send_flags;
		if (request->opcode == IBV_WR_RDMA_WRITE_WITH_IMM)
			ibv_wr_rdma_write_imm(queue_pair, request->wr.rdma.rkey,
			                      request->wr.rdma.remote_addr, request->imm_data);
		else
			ibv_wr_rdma_write(queue_pair, request->wr.rdma.rkey,
			                  request->wr.rdma.remote_addr);
		ibv_wr_set_sge(queue_pair, request->sg_list->lkey, request->sg_list->addr,
		               request->sg_list->length);
	}
	return tandem_rdma_errno_of(ibv_wr_complete(queue_pair));
}

/* The `count` requests from `first` on, which are linked; how many of them the device took comes
 * back in *count. 0 or a positive errno. */
static int post(struct tandem_rdma_channel *channel, struct ibv_send_wr *first, unsigned *count)
{
	struct ibv_send_wr *bad = first;
	int rc;

	if (channel->extended != NULL) {
		rc = post_extended(channel->extended, first);
		*count = rc == 0 ? *count : 0;
		return rc;
	}
	rc = tandem_rdma_errno_of(ibv_post_send(channel->id->qp, first, &bad));
	/* What the device took before it failed comes back flushed. */
	if (rc != 0)
		*count = count_until(first, bad);
	return rc;
}

void tandem_rdma_channel_flush(struct tandem_rdma_channel *channel, uint64_t now_ns)
{
	while (channel->state == TANDEM_CHANNEL_UP && channel->session->state == TANDEM_RDMA_UP) {
		struct ibv_send_wr *first =
		        &channel->requests[tandem_rdma_send_ring_unposted(&channel->sends, 0)];
		unsigned notify_count;
		unsigned count = link_batch(channel, &notify_count);
		int rc;

		if (count == 0)
			return;
		rc = post(channel, first, &count);
		tandem_rdma_send_ring_post(&channel->sends, count, now_ns);
		channel->notify_sent_count += notify_count;
		if (rc != 0)
			lose_for_post(channel, rc);
	}
}

/* ---- the calls ---- */

/* *ret_channel, where it may be posted on. */
static int find_channel(struct tandem_rdma_session *session, unsigned number,
                        struct tandem_rdma_channel **ret_channel)
{
	if (number >= session->channel_count || session->state == TANDEM_RDMA_JOINING ||
	    session->is_listening_side)
		return TANDEM_E_USAGE;
	if (session->state != TANDEM_RDMA_UP)
		return TANDEM_E_PEER_LOST;
	if (session->channels[number + 1].state != TANDEM_CHANNEL_UP)
		return TANDEM_E_CHANNEL_LOST;
	*ret_channel = &session->channels[number + 1];
	return 0;
}

/* After posting, which may have lost it. */
static int outcome(const struct tandem_rdma_channel *channel)
{
	if (channel->session->state != TANDEM_RDMA_UP)
		return TANDEM_E_PEER_LOST;
	return channel->state == TANDEM_CHANNEL_UP ? 0 : TANDEM_E_CHANNEL_LOST;
}

int tandem_rdma_session_write(struct tandem_session *head, unsigned channel_number,
                              const struct tandem_write *writes, unsigned count,
                              unsigned *ret_taken_count)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_rdma_channel *channel;
	struct route route;
	unsigned taken = 0;
	int rc;

	rc = find_channel(tandem_rdma_session_of(head), channel_number, &channel);
	/* A wrong one among them posts none. */
	for (unsigned i = 0; i < count && rc == 0; i++)
		rc = find_route(channel, &writes[i], &route) ? 0 : TANDEM_E_USAGE;
	if (rc != 0)
		return rc;
	while (taken < count && find_route(channel, &writes[taken], &route) &&
	       take(channel, &route, writes[taken].length, now_ns) != NULL)
		taken++;
	channel->ends_with_notify = taken == 0 && channel->ends_with_notify;
	tandem_rdma_channel_flush(channel, now_ns);
	rc = outcome(channel);
	if (rc == 0)
		*ret_taken_count = taken;
	return rc;
}

int tandem_rdma_session_notify(struct tandem_session *head, unsigned channel_number,
                               const struct tandem_write *write, uint32_t immediate)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_rdma_channel *channel;
	struct ibv_send_wr *last;
	struct route route;
	const int rc = find_channel(tandem_rdma_session_of(head), channel_number, &channel);

	if (rc != 0)
		return rc;
	if (!find_route(channel, write, &route))
		return TANDEM_E_USAGE;
	last = take(channel, &route, write->length, now_ns);
	if (last == NULL)
		return TANDEM_E_AGAIN;
	channel->ends_with_notify = true;
	last->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	last->imm_data = htonl(immediate);
	tandem_rdma_channel_flush(channel, now_ns);
	tandem_patience_renew(&channel->session->patience);
	return outcome(channel);
}
