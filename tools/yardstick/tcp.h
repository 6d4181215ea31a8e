#ifndef TANDEM_YARDSTICK_TCP_H
#define TANDEM_YARDSTICK_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"

/* What the kernel's TCP gives to one thread a side that scatters pages between two regions: the
 * measure of the tcp provider. Nothing here is Tandem's; everything fails by ending the process. */

#define YARDSTICK_PAGE_BYTES   ((size_t)4096)
#define YARDSTICK_STRIPE_PAGES 16 /* a page's channel is its stripe's number modulo channels */
#define YARDSTICK_CHANNELS_MAX 16
#define YARDSTICK_BATCH_MAX    64

enum yardstick_pattern {
	YARDSTICK_RANDOM,     /* pages in random order */
	YARDSTICK_RUNS,       /* stripes in random order */
	YARDSTICK_SEQUENTIAL, /* stripes in ascending order */
};

struct yardstick_options {
	enum yardstick_pattern pattern;
	unsigned channel_count;
	size_t bytes; /* of an epoch */
	size_t region_bytes;
	unsigned epoch_count;
	uint64_t poll_ns;      /* descriptors are asked this long before they are waited for */
	int send_buffer_bytes; /* 0: as the kernel tunes it */
	int recv_buffer_bytes;
	bool is_json;
};

/* What each epoch sends: the same order at both sides, from a fixed seed. */
struct yardstick_plan {
	const struct yardstick_options *options;
	size_t piece_bytes;
	size_t epoch_pieces;
	size_t channel_pieces;                    /* pieces that a channel has, in all */
	uint32_t *pieces[YARDSTICK_CHANNELS_MAX]; /* each channel's, in the order they are sent */
	size_t next[YARDSTICK_CHANNELS_MAX];
};

/* A batch on the wire: this, and then the bytes of its extents. */
struct yardstick_extent {
	uint64_t offset;
	uint64_t length;
};

struct yardstick_block {
	uint32_t count;
	uint32_t seals; /* 0, or the channels that take part in the epoch that ends here */
	struct yardstick_extent extents[YARDSTICK_BATCH_MAX];
};

struct yardstick_side {
	const struct yardstick_options *options;
	struct yardstick_plan plan;
	uint8_t *region;
	int control;
	int channels[YARDSTICK_CHANNELS_MAX];
	int epoll;
};

struct yardstick_result {
	double seconds;
	double sender_cpu_seconds;
	double receiver_cpu_seconds;
	uint64_t *epoch_ns;
};

_Noreturn void yardstick_fail(const char *what);
void *yardstick_map(size_t bytes);

void yardstick_plan_make(struct yardstick_plan *plan, const struct yardstick_options *options);
/* How many pieces `channel` sends in `epoch`, and how many channels take part. */
size_t yardstick_plan_share(const struct yardstick_plan *plan, unsigned epoch, unsigned channel);
unsigned yardstick_plan_seals(const struct yardstick_plan *plan);
struct yardstick_extent yardstick_plan_next(struct yardstick_plan *plan, unsigned channel);

/* Watches every channel for `events`, edge by edge. */
void yardstick_watch(struct yardstick_side *side, uint32_t events);
/* Bit mask of the channels that something happened on. */
uint32_t yardstick_wait(struct yardstick_side *side);

void yardstick_send(struct yardstick_side *side, struct yardstick_result *result);
void yardstick_receive(struct yardstick_side *side);

#endif
