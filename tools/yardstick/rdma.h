#ifndef TANDEM_YARDSTICK_RDMA_H
#define TANDEM_YARDSTICK_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include "measure.h"

/* What bare verbs give to one thread a side that writes pages between two regions: the measure of
 * the rdma provider. It posts the list of pages that `tandem-bench transport` posts, in batches as
 * large and signalled as often. Nothing here is Tandem's; everything fails by ending the process.
 */

#define YARDSTICK_CHANNELS_MAX  16
#define YARDSTICK_BATCH_MAX     32
#define YARDSTICK_PAGE_BYTES    4096
#define YARDSTICK_TRAILER_BYTES 64 /* what an immediate carries beside its number */
#define YARDSTICK_RECEIVES      64 /* posted on each queue pair */

enum yardstick_pattern {
	YARDSTICK_RANDOM,     /* pages in random order */
	YARDSTICK_RUNS,       /* 64 KiB in random order */
	YARDSTICK_SEQUENTIAL, /* 256 KiB in ascending order */
};

struct yardstick_options {
	enum yardstick_pattern pattern;
	const char *address;
	unsigned channel_count;
	unsigned depth;  /* requests in flight per queue pair */
	unsigned batch;  /* requests per call */
	unsigned signal; /* one in so many is signalled */
	size_t bytes;    /* of an epoch */
	size_t region_bytes;
	unsigned epochs;
	unsigned commits;
	unsigned yanks;
	uint64_t poll_ns;
	bool has_lists; /* ibv_post_send instead of ibv_wr_* */
	bool is_json;
};

struct yardstick_plan {
	uint32_t write_bytes;
	uint64_t write_count;
	uint64_t *offsets;
};

/* Where the other side's memory is: private data of connection management. */
struct yardstick_target {
	uint64_t address;
	uint32_t key;
};

struct yardstick_channel {
	struct rdma_cm_id *id;
	struct ibv_qp_ex *extended; /* NULL: lists */
	struct yardstick_target target;
	unsigned inflight_count;
	uint16_t unsignalled_count;
	uint32_t posted_count;
	uint64_t last_tag;
};

struct yardstick_side {
	const struct yardstick_options *options;
	struct yardstick_plan plan;
	struct rdma_cm_id *listener; /* receiver */
	struct yardstick_channel channels[YARDSTICK_CHANNELS_MAX];
	struct ibv_pd *pd;
	struct ibv_comp_channel *events;
	struct ibv_cq *cq;
	bool is_armed;
	unsigned unacknowledged_count;
	uint8_t *region; /* and a page of trailers behind it */
	struct ibv_mr *mr;
	uint32_t seal_count; /* immediates that came and were not asked for yet */
};

struct yardstick_latency {
	uint64_t *ns;
	unsigned count;
};

struct yardstick_result {
	double seconds;
	double sender_cpu_seconds;
	double receiver_cpu_seconds;
	struct yardstick_latency epoch;
	struct yardstick_latency pingpong; /* a page with an immediate, and an immediate back */
	struct yardstick_latency
	        commit; /* a page, a trailer with an immediate, and the same back */
	struct yardstick_latency yank_issue;
	struct yardstick_latency yank_done;
};

_Noreturn void yardstick_fail(const char *what, int number);
void *yardstick_map(size_t bytes);

void yardstick_plan_make(struct yardstick_plan *plan, const struct yardstick_options *options);

/* rdma_link.c */
uint16_t yardstick_listen(struct yardstick_side *side);
void yardstick_accept(struct yardstick_side *side);
void yardstick_connect(struct yardstick_side *side, uint16_t port);
void yardstick_disconnect(struct yardstick_side *side);
void yardstick_await_disconnect(struct yardstick_channel *channel);
void yardstick_post_receive(struct yardstick_channel *channel);
/* Takes completions; waits for some where `waits`: poll, arm, poll, sleep. How many there were. */
unsigned yardstick_reap(struct yardstick_side *side, bool waits);

/* rdma_post.c */
struct yardstick_request {
	uint64_t local_offset;
	uint64_t peer_offset;
	uint32_t length;
	uint32_t immediate; /* 0: none */
};
void yardstick_post(struct yardstick_side *side, struct yardstick_channel *channel,
                    const struct yardstick_request *requests, unsigned count);

/* rdma_run.c */
void yardstick_send(struct yardstick_side *side, struct yardstick_result *result);
void yardstick_receive(struct yardstick_side *side, int result_fd);
void yardstick_be_yanked(struct yardstick_side *side);
void yardstick_yank(struct yardstick_side *side, uint16_t port, int peer,
                    struct yardstick_result *result);

#endif
