#include "rdma.h"

#include <arpa/inet.h>
#include <string.h>

/* One in options->signal is signalled; wr_id says whose it is, and how many complete with it. */
static uint64_t tag_of(struct yardstick_side *side, struct yardstick_channel *channel,
                       bool *ret_is_signalled)
{
	channel->unsignalled_count++;
	channel->posted_count++;
	channel->last_tag = (uint64_t)(channel - side->channels) << 48 |
	                    (uint64_t)channel->posted_count << 16 | channel->unsignalled_count;
	*ret_is_signalled = channel->unsignalled_count >= side->options->signal;
	if (*ret_is_signalled)
		channel->unsignalled_count = 0;
	return channel->last_tag;
}

static void post_extended(struct yardstick_side *side, struct yardstick_channel *channel,
                          const struct yardstick_request *requests, unsigned count)
{
	struct ibv_qp_ex *qp = channel->extended;
	int failure;

	ibv_wr_start(qp);
	for (unsigned i = 0; i < count; i++) {
		const struct yardstick_request *request = &requests[i];
		bool is_signalled;

		qp->wr_id = tag_of(side, channel, &is_signalled);
		qp->wr_flags = is_signalled ? IBV_SEND_SIGNALED : 0;
		if (request->immediate != 0)
			ibv_wr_rdma_write_imm(qp, channel->target.key,
			                      channel->target.address + request->peer_offset,
			                      htonl(request->immediate));
		else
			ibv_wr_rdma_write(qp, channel->target.key,
			                  channel->target.address + request->peer_offset);
		ibv_wr_set_sge(qp, side->mr->lkey, (uintptr_t)side->region + request->local_offset,
		               request->length);
	}
	failure = ibv_wr_complete(qp);
	if (failure != 0)
		yardstick_fail("ibv_wr_complete", failure);
}

static void post_list(struct yardstick_side *side, struct yardstick_channel *channel,
                      const struct yardstick_request *requests, unsigned count)
{
	struct ibv_send_wr list[YARDSTICK_BATCH_MAX];
	struct ibv_sge sources[YARDSTICK_BATCH_MAX];
	struct ibv_send_wr *bad;
	int failure;

	memset(list, 0, count * sizeof *list);
	for (unsigned i = 0; i < count; i++) {
		const struct yardstick_request *request = &requests[i];
		bool is_signalled;

		sources[i] = (struct ibv_sge){(uintptr_t)side->region + request->local_offset,
		                              request->length, side->mr->lkey};
		list[i].wr_id = tag_of(side, channel, &is_signalled);
		list[i].send_flags = is_signalled ? IBV_SEND_SIGNALED : 0;
		list[i].sg_list = &sources[i];
		list[i].num_sge = 1;
		list[i].opcode =
		        request->immediate != 0 ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
		list[i].imm_data = htonl(request->immediate);
		list[i].wr.rdma.remote_addr = channel->target.address + request->peer_offset;
		list[i].wr.rdma.rkey = channel->target.key;
		list[i].next = i + 1 < count ? &list[i + 1] : NULL;
	}
	failure = ibv_post_send(channel->id->qp, list, &bad);
	if (failure != 0)
		yardstick_fail("ibv_post_send", failure);
}

void yardstick_post(struct yardstick_side *side, struct yardstick_channel *channel,
                    const struct yardstick_request *requests, unsigned count)
{
	if (channel->extended != NULL)
		post_extended(side, channel, requests, count);
	else
		post_list(side, channel, requests, count);
	channel->inflight_count += count;
}
