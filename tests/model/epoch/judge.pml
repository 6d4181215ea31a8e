/* What must hold. The judge has no part in what happens. */

#ifdef WITHOUT_MASK
/* [C15]: every channel of the mask has sealed. */
#define IS_COMPLETE (sealed_by != 0)
#else
#define IS_COMPLETE (sealing_mask != 0 && sealed_by == sealing_mask)
#endif
#define HAS_TO_APPLY (to_copy != 0 || to_clear != 0)

/* What a promotion finds: after the drain a complete epoch is committed, and every apply finished. */
#define FOUND (IS_COMPLETE -> sealing_epoch : found)
#define IS_COPIED(page) (to_copy & BIT(page))
#define IS_CLEARED(page) (to_clear & BIT(page))
#define CACHED(page) (IS_CLEARED(page) -> 0 : cache[page])
#ifdef WITHOUT_FINISHED_APPLY
/* DESIGN 4.10, 4.17 [L5]: a half-applied epoch is finished first. */
#define IMAGED(page) image[page]
#else
#define IMAGED(page) (IS_COPIED(page) -> cache[page] : (IS_CLEARED(page) -> 0 : image[page]))
#endif
#define DRAINED(page)                                                                     \
	((IS_COMPLETE && (sealing_data & BIT(page))) ->                                    \
		 CACHED(page) :                                                           \
		 ((IS_COMPLETE && (sealing_zeros & BIT(page))) -> 0 : IMAGED(page)))
#ifdef WITHOUT_PRIVATE_COPY
/* DESIGN 4.5 [C14]: blob and lists are copied to private memory before the commit. */
#define DRAINED_BLOB ((IS_COMPLETE || HAS_TO_APPLY) -> cache[SLOT] : blob)
#else
#define DRAINED_BLOB (IS_COMPLETE -> cache[SLOT] : blob)
#endif

#ifdef WITHOUT_FULL_COPY
/* R6 [L5]: what is no full copy is not promoted. */
#define IS_PROMOTABLE 1
#else
#define IS_PROMOTABLE (has_copy || IS_COMPLETE)
#endif

#define IS_TORN                                                                           \
	(DRAINED(0) != TRUTH(FOUND, 0) || DRAINED(1) != TRUTH(FOUND, 1) ||                 \
	 DRAINED_BLOB != TRUTH(FOUND, SLOT))

inline judge_applied()
{
	place = 0;
	do
	:: place < PAGES -> assert(image[place] == TRUTH(found, place)); place++
	:: else -> break
	od;
	assert(blob == TRUTH(found, SLOT))
}

/* Of what nobody will look at any more nothing is kept. */
inline forget_truth()
{
	place = 0;
	do
	:: place < found * PLACES -> truth[place] = 0; place++
	:: else -> break
	od
}

#define IS_OVER                                                                           \
	(phase == OPEN && next_epoch == EPOCHS + 1 && sealed == NO_EPOCH && is_applied &&  \
	 found == base && !HAS_TO_APPLY && !is_held)

proctype Judge()
{
	do
	:: d_step { IS_PROMOTABLE && IS_TORN -> assert(false) }
	/* An acknowledged epoch is in the copy. */
	:: d_step { IS_PROMOTABLE && FOUND < committed -> assert(false) }
#ifndef TOLERANT
	/* What a sound primary seals is never refused. */
	:: d_step { is_dropped -> assert(false) }
	/* Nothing can happen any more: then everything has happened. */
	:: timeout -> assert(IS_OVER)
#endif
#ifdef MUST_END
	:: timeout -> assert(IS_OVER)
#endif
	od
}
