#ifndef TANDEM_PUSH_H
#define TANDEM_PUSH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/transport.h>

#include "../core/heat.h"
#include "../core/layout.h"
#include "../core/page_map.h"
#include "../core/page_set.h"
#include "../core/stripes.h"

/* The primary's memory work: what is to push, what was recorded, and the writes that carry it. One
 * thread. In five files: push.c (maps), push_pages.c (pages onto channels), push_stage.c (staging
 * memory), push_seal.c (blob, lists, trailers) and push_digests.c (what the image holds already).
 */
struct tandem_lane;

/* What a capture has copied to be pushed beside the running program. Pages have slots in the order
 * of their numbers. */
struct tandem_stage {
	uint8_t *memory; /* NULL: none */
	size_t bytes;
	struct tandem_page_set left; /* staged, not pushed */
	uint64_t *held;              /* has a slot; what else is left was zeros */
	uint32_t *slots_before;      /* slots of all pages before each word of `held` */
};

struct tandem_push {
	struct tandem_layout layout;
	uint8_t *bases[TANDEM_REGIONS_MAX]; /* of the regions; borrowed */
	/* Of each region, borrowed: the pages that stand for zeros and are not read; NULL: none. */
	const uint64_t *free_pages[TANDEM_REGIONS_MAX];
	/* Pages at a region's end that are free: whatever they hold, they travel as zeros. Any
	 * thread; who changes it marks the pages between the two after that. */
	_Atomic uint64_t unused_pages[TANDEM_REGIONS_MAX];
	struct tandem_page_set to_push; /* pages that the cache does not have */
	size_t staging_bytes;           /* of a capture at most; 0: it has no staging memory */
	struct tandem_stage stage;
	bool pushes_beside;          /* an open epoch: what is pushed in vain is learned */
	struct tandem_heat heat;     /* then */
	struct tandem_page_map open; /* recorded for the open epoch */
	struct tandem_page_map
	        last;      /* of the sealed or committed epoch, until it is applied (4.4, 4.7) */
	bool is_last_kept; /* `last` is in force */
	bool skips_zeros;  /* a fresh peer: zero pages of the copy need no record */
	uint8_t *digests;  /* of the peer's image, while it is as they say [C28] */
	size_t digests_bytes;
	uint64_t digest_count; /* of the pages below this one */
	uint64_t digest_seed;
	struct tandem_stripes stripes; /* which channel carries what */
	struct tandem_load *loads;     /* of each channel */
	struct tandem_lane *lanes;     /* of each channel: writes that it has not taken yet */
	/* A pass that was cut short goes on where it stopped: from its beginning it would look at
	 * all that is left again, for each channel. */
	const struct tandem_page_set *cut_short; /* what it takes pages of; NULL: none was */
	uint64_t cut_page; /* where it stopped looking for stripes of no channel */
	uint8_t *slots;    /* mirror of the peer's slot memory */
	size_t slots_bytes;
	uint32_t state_bytes; /* blob of the captured epoch, in its slot of the mirror */
	uint64_t data_pages;  /* counters of this incarnation */
	uint64_t zero_pages;
	uint64_t equal_pages;           /* that the image held already */
	uint64_t handled_pages;         /* these and all others that were taken off to_push */
	struct tandem_session *session; /* borrowed */
	uint64_t poll_ns; /* completions are polled this long before the descriptor is waited for */
	uint64_t stall_timeout_ns;          /* a push that makes no progress this long gives up */
	void (*keep_alive)(void *argument); /* called now and then while a push waits */
	/* Asked now and then: a push beside the running program ends early. NULL: never. */
	bool (*is_hurried)(void *argument);
	void *argument;
};

/* Needs layout, bases, pushes_beside and staging_bytes, which is cut to what the regions can fill.
 * Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_push_init(struct tandem_push *push, struct tandem_error *reterr_error);
void tandem_push_done(struct tandem_push *push); /* half-built is allowed */

/* A new session with these channels: registers regions and slots as sources, and nothing has been
 * posted on it. */
TANDEM_MUST_CHECK int tandem_push_begin(struct tandem_push *push, struct tandem_session *session,
                                        uint32_t channel_mask, struct tandem_error *reterr_error);
/* Everything must travel again; `is_fresh`: zero pages need not. */
void tandem_push_mark_all(struct tandem_push *push, bool is_fresh);
/* Until the next seal, or until the session or this copy ends, a page that equals its digest need
 * not travel. */
void tandem_push_take_digests(struct tandem_push *push, uint64_t seed, uint64_t first_page,
                              uint32_t page_count, const uint8_t *digests);
/* A lost session: every page of both maps is to push again. */
void tandem_push_merge(struct tandem_push *push);
/* The sealed epoch is committed: every stripe is free. */
void tandem_push_commit(struct tandem_push *push);
/* It was aborted: what it recorded and who carries it stay, under what the open one records. */
void tandem_push_abort(struct tandem_push *push);
/* The last epoch is applied. */
void tandem_push_forget(struct tandem_push *push);

/* A channel ended: nothing is written to it. False when nothing was since the last commit. */
bool tandem_push_lose(struct tandem_push *push, unsigned channel);
/* Lost channels are fenced: what they carried is to push again, on others. */
void tandem_push_repush(struct tandem_push *push, uint32_t channel_mask);
/* A fenced channel has joined again. */
void tandem_push_restore(struct tandem_push *push, unsigned channel);

/* Posts what is to push, at most `pages_max` pages. *ret_is_done: nothing that may be pushed now is
 * left; *ret_is_blocked: pages of the last epoch had to be left (4.4). Errors: the session's;
 * after TANDEM_E_CHANNEL_LOST what no channel has taken is still to push. */
TANDEM_MUST_CHECK int tandem_push_pages(struct tandem_push *push, uint64_t pages_max,
                                        bool *ret_is_done, bool *ret_is_blocked);
/* The same beside an open epoch; hot pages are left when no more than `hot_max` are to push. */
TANDEM_MUST_CHECK int tandem_push_beside(struct tandem_push *push, uint64_t pages_max,
                                         uint64_t hot_max, bool *ret_is_done);
/* After each scan. */
void tandem_push_learn(struct tandem_push *push);
/* The same of what is staged. */
TANDEM_MUST_CHECK int tandem_push_staged(struct tandem_push *push, uint64_t pages_max,
                                         bool *ret_is_done, bool *ret_is_blocked);
/* Copies what is to push to staging memory, first what has to wait for the last epoch (4.4), while
 * nobody writes to a region. No posted write may read staging memory any more. False: some found no
 * room and is still to push. */
bool tandem_push_stage(struct tandem_push *push);
/* What is staged and not pushed is to push. */
void tandem_push_unstage(struct tandem_push *push);
/* Waits until every posted write is locally complete. */
TANDEM_MUST_CHECK int tandem_push_settle(struct tandem_push *push);
/* The blob of the epoch that is captured, copied: the program may go on before the seal, and may
 * hand over the next blob while it waits. */
void tandem_push_state(struct tandem_push *push, uint64_t epoch, const void *state,
                       uint32_t state_bytes);
/* Posts blob, run lists and trailers of the open map, which becomes the last one, even when a
 * channel was lost in between. */
TANDEM_MUST_CHECK int tandem_push_seal(struct tandem_push *push, uint64_t epoch, uint64_t base,
                                       uint64_t generation);
uint64_t tandem_push_left(const struct tandem_push *push); /* pages to push, not staged */

#endif
