#include "tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What a channel is receiving: the rest of a batch and, behind it in the same call, the block of
 * the next one. */
struct inlet {
	struct yardstick_block blocks[2];
	unsigned current;
	unsigned extent;   /* of the current block; its count when the batch is whole */
	size_t extent_got; /* bytes of that extent */
	size_t block_got;  /* bytes of the other block */
};

static struct inlet inlets[YARDSTICK_CHANNELS_MAX];
static unsigned seal_count;
static unsigned seals_needed;

static struct yardstick_block *current_of(struct inlet *inlet)
{
	return &inlet->blocks[inlet->current];
}

static void check_block(const struct yardstick_side *side, const struct yardstick_block *block)
{
	if (block->count > YARDSTICK_BATCH_MAX)
		yardstick_fail("a block of too many extents");
	for (unsigned i = 0; i < block->count; i++) {
		const struct yardstick_extent *extent = &block->extents[i];
		if (extent->length > side->options->region_bytes ||
		    extent->offset > side->options->region_bytes - extent->length)
			yardstick_fail("an extent outside the region");
	}
}

static unsigned gather(struct yardstick_side *side, struct inlet *inlet, struct iovec *parts)
{
	const struct yardstick_block *block = current_of(inlet);
	unsigned count = 0;
	size_t skip = inlet->extent_got;
	for (unsigned i = inlet->extent; i < block->count; i++, skip = 0)
		parts[count++] =
		        (struct iovec){.iov_base = side->region + block->extents[i].offset + skip,
		                       .iov_len = block->extents[i].length - skip};
	struct yardstick_block *next = &inlet->blocks[!inlet->current];
	parts[count++] = (struct iovec){.iov_base = (uint8_t *)next + inlet->block_got,
	                                .iov_len = sizeof(*next) - inlet->block_got};
	return count;
}

static void end_batch(struct inlet *inlet)
{
	const struct yardstick_block *block = current_of(inlet);
	seal_count += block->seals != 0;
	if (block->seals != 0)
		seals_needed = block->seals;
}

static void take(struct yardstick_side *side, struct inlet *inlet, size_t got)
{
	const struct yardstick_block *block = current_of(inlet);
	while (got > 0 && inlet->extent < block->count) {
		size_t left = block->extents[inlet->extent].length - inlet->extent_got;
		size_t cut = got < left ? got : left;
		got -= cut;
		inlet->extent_got += cut;
		if (cut < left)
			return;
		inlet->extent_got = 0;
		if (++inlet->extent == block->count)
			end_batch(inlet);
	}
	inlet->block_got += got;
	if (inlet->block_got < sizeof(*block))
		return;
	inlet->current = !inlet->current;
	inlet->extent = 0;
	inlet->block_got = 0;
	check_block(side, current_of(inlet));
}

/* One call of the kernel; false when there is nothing more. */
static bool pull(struct yardstick_side *side, unsigned channel)
{
	struct iovec parts[1 + YARDSTICK_BATCH_MAX];
	struct inlet *inlet = &inlets[channel];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = gather(side, inlet, parts)};
	ssize_t got = recvmsg(side->channels[channel], &message, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0)
		yardstick_fail("recvmsg");
	take(side, inlet, (size_t)got);
	return true;
}

static void check_pages(const struct yardstick_side *side)
{
	const size_t words = YARDSTICK_PAGE_BYTES / sizeof(uint64_t);
	size_t right_count = 0, needed_count = 0;
	for (size_t page = 0; page < side->options->region_bytes / YARDSTICK_PAGE_BYTES; page++) {
		const uint64_t *stored = (uint64_t *)(void *)side->region + page * words;
		right_count += stored[0] == page + 1 && stored[words - 1] == page + 1;
	}
	for (unsigned channel = 0; channel < side->options->channel_count; channel++) {
		size_t sent = 0;
		for (unsigned epoch = 0; epoch < side->options->epoch_count; epoch++)
			sent += yardstick_plan_share(&side->plan, epoch, channel);
		needed_count += sent < side->plan.channel_pieces ? sent : side->plan.channel_pieces;
	}
	if (right_count != needed_count * (side->plan.piece_bytes / YARDSTICK_PAGE_BYTES))
		yardstick_fail("pages that are not where they belong");
}

void yardstick_receive(struct yardstick_side *side)
{
	memset(side->region, 0xff, side->options->region_bytes);
	if (send(side->control, "", 1, MSG_NOSIGNAL) != 1)
		yardstick_fail("send");
	yardstick_watch(side, EPOLLIN);
	const double cpu_begin = yardstick_cpu_seconds();
	uint32_t ready = UINT32_MAX;
	for (unsigned epoch = 0; epoch < side->options->epoch_count;) {
		for (unsigned i = 0; i < side->options->channel_count; i++) {
			if ((ready & 1u << i) && !pull(side, i))
				ready &= ~(1u << i);
		}
		if (seals_needed > 0 && seal_count == seals_needed) {
			if (send(side->control, &epoch, sizeof(epoch), MSG_NOSIGNAL) < 0)
				yardstick_fail("send");
			seal_count = seals_needed = 0;
			epoch++;
		} else if ((ready & ((1u << side->options->channel_count) - 1)) == 0) {
			ready = yardstick_wait(side);
		}
	}
	double cpu_seconds = yardstick_cpu_seconds() - cpu_begin;
	check_pages(side);
	if (send(side->control, &cpu_seconds, sizeof(cpu_seconds), MSG_NOSIGNAL) < 0)
		yardstick_fail("send");
}
