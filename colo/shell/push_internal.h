#ifndef TANDEM_PUSH_INTERNAL_H
#define TANDEM_PUSH_INTERNAL_H

#include "push.h"

#define TANDEM_LANE_BATCH  32u /* writes gathered for one channel before they are posted */
#define TANDEM_LANE_BYTES  (UINT64_C(512) << 10) /* nor more than this: channels finish together */
#define TANDEM_LANE_WRITES (TANDEM_LANE_BATCH + TANDEM_STRIPE_PAGES_MAX / 2)

/* How far a pass has come with what one channel carries already, and writes that its queue has not
 * taken yet. */
struct tandem_lane {
	uint64_t next_page;      /* where its next stripe is looked for; page_count: at the end */
	uint64_t inflight_bytes; /* posted and not complete, when the round began */
	uint64_t waiting_bytes;  /* gathered since */
	unsigned filled;
	unsigned taken;
	struct tandem_write writes[TANDEM_LANE_WRITES];
};

void tandem_push_forget_digests(struct tandem_push *push);
/* The peer's image holds this content of the page, NULL for zeros, and the open epoch records
 * nothing else. */
bool tandem_push_is_in_image(struct tandem_push *push, uint64_t page, const uint8_t *memory);

/* Free, as the program says: it counts as zeros, and its memory is not read. */
bool tandem_push_is_unused(const struct tandem_push *push, unsigned region, uint64_t page);
/* [C16]: a page of an epoch that is not applied stays in the cache as it is (4.4). */
bool tandem_push_must_wait(const struct tandem_push *push, uint64_t page);
bool tandem_push_is_zero(const struct tandem_push *push, unsigned region, uint64_t page);
uint8_t *tandem_push_page(const struct tandem_push *push, unsigned region, uint64_t page);

/* push_stage.c; done takes what is half built. */
int tandem_stage_init(struct tandem_push *push);
void tandem_stage_done(struct tandem_push *push);
/* What was captured of a page that is left; NULL: zeros. */
const uint8_t *tandem_stage_page(const struct tandem_stage *stage, uint64_t page);

unsigned tandem_push_inflight(const struct tandem_push *push);
/* Polls for poll_ns, then sleeps until the session has work, a moment at most. */
void tandem_push_wait(struct tandem_push *push);

#endif
