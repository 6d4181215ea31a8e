#include "tcp.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The batch that a channel is sending. */
struct batch {
	struct yardstick_block block;
	struct iovec parts[1 + YARDSTICK_BATCH_MAX];
	unsigned first; /* part that is not sent whole */
	unsigned count;
	size_t left; /* pieces of this epoch that are in no batch yet */
	bool is_done;
};

static struct batch batches[YARDSTICK_CHANNELS_MAX];

static void fill(struct yardstick_side *side, unsigned channel)
{
	struct batch *batch = &batches[channel];
	size_t count = batch->left < YARDSTICK_BATCH_MAX ? batch->left : YARDSTICK_BATCH_MAX;
	batch->left -= count;
	batch->block.count = (uint32_t)count;
	batch->block.seals = batch->left == 0 ? yardstick_plan_seals(&side->plan) : 0;
	batch->parts[0] =
	        (struct iovec){.iov_base = &batch->block, .iov_len = sizeof(batch->block)};
	for (size_t i = 0; i < count; i++) {
		struct yardstick_extent extent = yardstick_plan_next(&side->plan, channel);
		batch->block.extents[i] = extent;
		batch->parts[1 + i] = (struct iovec){.iov_base = side->region + extent.offset,
		                                     .iov_len = extent.length};
	}
	batch->first = 0;
	batch->count = 1 + (unsigned)count;
}

static void drop_sent(struct batch *batch, size_t sent)
{
	while (sent > 0) {
		struct iovec *part = &batch->parts[batch->first];
		size_t cut = sent < part->iov_len ? sent : part->iov_len;
		part->iov_base = (uint8_t *)part->iov_base + cut;
		part->iov_len -= cut;
		sent -= cut;
		batch->first += part->iov_len == 0;
	}
}

/* One call of the kernel; false when it takes nothing more. */
static bool push(struct yardstick_side *side, unsigned channel)
{
	struct batch *batch = &batches[channel];
	if (batch->first == batch->count && batch->left > 0)
		fill(side, channel);
	struct msghdr message = {.msg_iov = &batch->parts[batch->first],
	                         .msg_iovlen = batch->count - batch->first};
	ssize_t sent = sendmsg(side->channels[channel], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0)
		yardstick_fail("sendmsg");
	drop_sent(batch, (size_t)sent);
	batch->is_done = batch->first == batch->count && batch->left == 0;
	return true;
}

static void send_epoch(struct yardstick_side *side, unsigned epoch)
{
	unsigned open_count = 0;
	for (unsigned i = 0; i < side->options->channel_count; i++) {
		batches[i].left = yardstick_plan_share(&side->plan, epoch, i);
		batches[i].first = batches[i].count = 0;
		batches[i].is_done = batches[i].left == 0;
		open_count += !batches[i].is_done;
	}
	while (open_count > 0) {
		bool has_moved = false;
		for (unsigned i = 0; i < side->options->channel_count; i++) {
			if (batches[i].is_done || !push(side, i))
				continue;
			has_moved = true;
			open_count -= batches[i].is_done;
		}
		if (!has_moved)
			yardstick_wait(side);
	}
}

static void await_commit(struct yardstick_side *side, unsigned epoch)
{
	unsigned committed = 0;
	ssize_t got;
	while ((got = recv(side->control, &committed, sizeof(committed), MSG_DONTWAIT)) < 0) {
		if (errno != EAGAIN)
			yardstick_fail("recv");
		yardstick_wait(side);
	}
	if (got != sizeof(committed) || committed != epoch)
		yardstick_fail("a wrong commit");
}

void yardstick_send(struct yardstick_side *side, struct yardstick_result *result)
{
	yardstick_watch(side, EPOLLIN | EPOLLOUT);
	const double cpu_begin = yardstick_cpu_seconds();
	const uint64_t begin_ns = yardstick_now_ns();
	uint64_t epoch_begin_ns = begin_ns;
	for (unsigned epoch = 0; epoch < side->options->epoch_count; epoch++) {
		send_epoch(side, epoch);
		await_commit(side, epoch);
		uint64_t now_ns = yardstick_now_ns();
		result->epoch_ns[epoch] = now_ns - epoch_begin_ns;
		epoch_begin_ns = now_ns;
	}
	result->seconds = (double)(epoch_begin_ns - begin_ns) / 1e9;
	result->sender_cpu_seconds = yardstick_cpu_seconds() - cpu_begin;
}
