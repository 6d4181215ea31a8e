#ifndef TANDEM_STRIPES_H
#define TANDEM_STRIPES_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

/* Which channel carries which stripe [C10]: chosen at the first write after a committed epoch, kept
 * until the next commit, across aborts; only a fence of the channel ends it early (4.3). Pure; the
 * memory of `channels` belongs to the caller. */
#define TANDEM_STRIPE_FREE  0xffu /* no channel carries it since the last commit */
#define TANDEM_STRIPE_LANES 16u

struct tandem_stripes {
	uint64_t stripe_count;
	unsigned stripe_pages;
	uint8_t *channels;                           /* of each stripe, or TANDEM_STRIPE_FREE */
	uint64_t carried_count[TANDEM_STRIPE_LANES]; /* stripes of each channel */
	uint64_t first_carried; /* all that are carried lie from this stripe on ... */
	uint64_t end_carried;   /* ... and before this one */
	uint32_t up_mask;       /* may be written to */
	uint32_t waiting_mask;  /* restored: written to when nothing is since the last commit */
	uint32_t posted_mask;   /* written to since the last commit (3.2) */
};

/* A new session with these channels: no stripe is carried. */
void tandem_stripes_begin(struct tandem_stripes *stripes, uint32_t up_mask);
unsigned tandem_stripes_channel(const struct tandem_stripes *stripes, uint64_t page);
/* A free stripe's first write goes to `channel`, which is up. */
void tandem_stripes_carry(struct tandem_stripes *stripes, uint64_t page, unsigned channel);
void tandem_stripes_note_post(struct tandem_stripes *stripes, unsigned channel);
/* The sealed epoch is committed: every stripe is free, restored channels are used. */
void tandem_stripes_commit(struct tandem_stripes *stripes);
/* The channel ended: nothing is written to it; its stripes stay its own until it is fenced. */
void tandem_stripes_lose(struct tandem_stripes *stripes, unsigned channel);
/* What the fenced channels carried is free. */
void tandem_stripes_fence(struct tandem_stripes *stripes, uint32_t channel_mask);
/* A fenced channel has joined again; used from the next time that nothing was written since the
 * last commit. */
void tandem_stripes_restore(struct tandem_stripes *stripes, unsigned channel);
/* Something was written since the last commit, or is recorded for a channel. */
bool tandem_stripes_are_written(const struct tandem_stripes *stripes);
/* The blob's channel and that of an empty epoch: it is in every mask that needs it, so it changes
 * only by a fence (4.3, 4.5). */
unsigned tandem_stripes_lowest(const struct tandem_stripes *stripes);

/* Bytes that were posted on one channel and are not complete, from the number of writes that are
 * not: what was posted before them is. */
#define TANDEM_LOAD_WRITES 8192u /* above the deepest queue, a power of two */

struct tandem_load {
	uint64_t posted_count;
	uint64_t posted_bytes;
	uint64_t bytes_after[TANDEM_LOAD_WRITES]; /* posted_bytes after write n, at n modulo size */
};

void tandem_load_reset(struct tandem_load *load);
void tandem_load_post(struct tandem_load *load, uint64_t bytes);
uint64_t tandem_load_bytes(const struct tandem_load *load, unsigned inflight_count);

#endif
