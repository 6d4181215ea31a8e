#include "rdma.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WC_BATCH 32

/* A seal goes on the channel that has written: a trailer with an immediate. */
static struct yardstick_request seal(const struct yardstick_side *side, unsigned channel,
                                     uint32_t number)
{
	const uint64_t offset =
	        side->options->region_bytes + (uint64_t)channel * YARDSTICK_TRAILER_BYTES;

	return (struct yardstick_request){offset, offset, YARDSTICK_TRAILER_BYTES, number};
}

static void wait_seals(struct yardstick_side *side, uint32_t count)
{
	while (side->seal_count < count)
		yardstick_reap(side, true);
	side->seal_count -= count;
}

static void post_one(struct yardstick_side *side, unsigned channel,
                     const struct yardstick_request *request)
{
	while (side->channels[channel].inflight_count == side->options->depth)
		yardstick_reap(side, true);
	yardstick_post(side, &side->channels[channel], request, 1);
}

static void push_batch(struct yardstick_side *side, struct yardstick_channel *channel,
                       uint64_t *next)
{
	const struct yardstick_options *options = side->options;
	const uint64_t left = side->plan.write_count - *next;
	struct yardstick_request requests[YARDSTICK_BATCH_MAX];
	unsigned count = options->depth - channel->inflight_count;

	if (count > options->batch)
		count = options->batch;
	if (count > left)
		count = (unsigned)left;
	if (count == 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const uint64_t offset = side->plan.offsets[*next + i];

		requests[i] = (struct yardstick_request){offset, offset, side->plan.write_bytes, 0};
	}
	yardstick_post(side, channel, requests, count);
	*next += count;
}

static void run_epoch(struct yardstick_side *side, uint32_t number)
{
	const unsigned channel_count = side->options->channel_count;
	uint64_t next = 0;

	while (next < side->plan.write_count) {
		const uint64_t before = next;

		for (unsigned i = 0; i < channel_count; i++)
			push_batch(side, &side->channels[i], &next);
		yardstick_reap(side, next == before);
	}
	for (unsigned i = 0; i < channel_count; i++) {
		const struct yardstick_request trailer = seal(side, i, number);

		post_one(side, i, &trailer);
	}
	wait_seals(side, 1);
}

/* Each page says which one it is: the receiver looks when all is over. */
static void stamp(struct yardstick_side *side)
{
	uint64_t *words = (uint64_t *)(void *)side->region;

	for (size_t i = 0; i < side->options->region_bytes / sizeof *words; i++)
		words[i] = i / (YARDSTICK_PAGE_BYTES / sizeof *words) + 1;
}

static void check_stamps(const struct yardstick_side *side)
{
	const uint64_t *words = (const uint64_t *)(const void *)side->region;
	const size_t page_words = YARDSTICK_PAGE_BYTES / sizeof *words;

	for (uint64_t i = 0; i < side->plan.write_count; i++) {
		const uint64_t first = side->plan.offsets[i] / sizeof *words;
		const uint64_t count = side->plan.write_bytes / sizeof *words;

		for (uint64_t word = first; word < first + count; word++) {
			if (words[word] != word / page_words + 1)
				yardstick_fail("a page did not arrive", EIO);
		}
	}
}

static void run_pingpong(struct yardstick_side *side, struct yardstick_latency *latency)
{
	for (unsigned i = 0; i < side->options->commits; i++) {
		const uint64_t offset = side->plan.offsets[i % side->plan.write_count];
		const struct yardstick_request page = {offset, offset, YARDSTICK_PAGE_BYTES, 1};
		const uint64_t begin_ns = yardstick_now_ns();

		post_one(side, 0, &page);
		wait_seals(side, 1);
		latency->ns[latency->count++] = yardstick_now_ns() - begin_ns;
	}
}

static void run_commits(struct yardstick_side *side, struct yardstick_latency *latency)
{
	for (unsigned i = 0; i < side->options->commits; i++) {
		const uint64_t offset = side->plan.offsets[i % side->plan.write_count];
		const struct yardstick_request pair[2] = {{offset, offset, YARDSTICK_PAGE_BYTES, 0},
		                                          seal(side, 0, 1)};
		const uint64_t begin_ns = yardstick_now_ns();

		while (side->channels[0].inflight_count + 2 > side->options->depth)
			yardstick_reap(side, true);
		yardstick_post(side, &side->channels[0], pair, 2);
		wait_seals(side, 1);
		latency->ns[latency->count++] = yardstick_now_ns() - begin_ns;
	}
}

void yardstick_send(struct yardstick_side *side, struct yardstick_result *result)
{
	uint64_t begin_ns;
	double cpu_seconds;

	stamp(side);
	run_epoch(side, 1);
	run_pingpong(side, &result->pingpong);
	run_commits(side, &result->commit);
	cpu_seconds = yardstick_cpu_seconds();
	begin_ns = yardstick_now_ns();
	for (unsigned i = 0; i < side->options->epochs; i++) {
		const uint64_t epoch_ns = yardstick_now_ns();

		run_epoch(side, i + 2);
		result->epoch.ns[result->epoch.count++] = yardstick_now_ns() - epoch_ns;
	}
	result->seconds = (double)(yardstick_now_ns() - begin_ns) / 1e9;
	result->sender_cpu_seconds = yardstick_cpu_seconds() - cpu_seconds;
}

/* ---- the receiver: the same steps ---- */

static void answer(struct yardstick_side *side, uint32_t seals)
{
	const struct yardstick_request word = seal(side, 0, 1);

	wait_seals(side, seals);
	post_one(side, 0, &word);
}

void yardstick_receive(struct yardstick_side *side, int result_fd)
{
	const unsigned channel_count = side->options->channel_count;
	double cpu_seconds;

	answer(side, channel_count);
	for (unsigned i = 0; i < 2 * side->options->commits; i++)
		answer(side, 1);
	cpu_seconds = yardstick_cpu_seconds();
	for (unsigned i = 0; i < side->options->epochs; i++)
		answer(side, channel_count);
	cpu_seconds = yardstick_cpu_seconds() - cpu_seconds;
	check_stamps(side);
	if (write(result_fd, &cpu_seconds, sizeof cpu_seconds) != (ssize_t)sizeof cpu_seconds)
		yardstick_fail("write", errno);
}

/* ---- the bare ERR and drain ---- */

static void fill_queues(struct yardstick_side *side)
{
	for (unsigned i = 0; i < side->options->channel_count; i++) {
		uint64_t next = 0;

		while (side->channels[i].inflight_count < side->options->depth) {
			push_batch(side, &side->channels[i], &next);
			if (next == side->plan.write_count)
				next = 0;
		}
	}
}

/* A queue pair completes in order, and the depth is a multiple of the signalling: the last request
 * comes back, done or flushed, and after all others. */
static void drain(struct yardstick_side *side)
{
	unsigned quiet_count = 0;

	while (quiet_count < side->options->channel_count) {
		struct ibv_wc completions[WC_BATCH];
		const int count = ibv_poll_cq(side->cq, WC_BATCH, completions);

		for (int i = 0; i < count; i++) {
			const uint64_t tag = completions[i].wr_id;

			if (tag != UINT64_MAX)
				quiet_count += tag == side->channels[tag >> 48].last_tag;
		}
	}
}

static void stop_peer(int peer)
{
	int status;

	if (kill(peer, SIGSTOP) != 0 || waitpid(peer, &status, WUNTRACED) != peer ||
	    !WIFSTOPPED(status))
		yardstick_fail("stop the receiver", errno);
}

void yardstick_yank(struct yardstick_side *side, uint16_t port, int peer,
                    struct yardstick_result *result)
{
	struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

	for (unsigned round = 0; round < side->options->yanks; round++) {
		uint64_t begin_ns;

		yardstick_connect(side, port);
		stop_peer(peer);
		fill_queues(side);
		begin_ns = yardstick_now_ns();
		for (unsigned i = 0; i < side->options->channel_count; i++) {
			if (ibv_modify_qp(side->channels[i].id->qp, &attributes, IBV_QP_STATE) != 0)
				yardstick_fail("ibv_modify_qp", errno);
		}
		result->yank_issue.ns[result->yank_issue.count++] = yardstick_now_ns() - begin_ns;
		drain(side);
		result->yank_done.ns[result->yank_done.count++] = yardstick_now_ns() - begin_ns;
		kill(peer, SIGCONT);
		yardstick_disconnect(side);
	}
}

void yardstick_be_yanked(struct yardstick_side *side)
{
	for (unsigned round = 0; round < side->options->yanks; round++) {
		yardstick_accept(side);
		yardstick_await_disconnect(&side->channels[0]);
		yardstick_disconnect(side);
	}
}
