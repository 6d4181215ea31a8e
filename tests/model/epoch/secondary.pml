/* The secondary: a cache that the device writes to, and an image that only its software changes. */

#ifdef WITHOUT_SESSION_FENCE
/* DESIGN 4.14 [C3]: nothing of a session lands after its fence. */
#define NONE_LATE 255
byte late_page = NONE_LATE;
byte late_content;
#endif

inline forget_seals()
{
	sealing_epoch = 0;
	sealing_mask = 0;
	sealing_base = 0;
	sealing_data = 0;
	sealing_zeros = 0;
	sealed_by = 0
}

inline drop_session()
{
	is_dropped = 1;
	forget_seals()
}

#ifdef WITHOUT_BAR
/* DESIGN 4.13 [C24]: the answer to FENCE is final. */
#define IS_STALE(epoch) 0
#else
#define IS_STALE(epoch) ((epoch) <= bar)
#endif

/* ON_SEAL. What disagrees is a fault [C14]. */
inline take_seal(channel, epoch, mask, lists, base_)
{
	if
	:: IS_STALE(epoch)
	:: !IS_STALE(epoch) && (base_ != found || epoch <= found) -> drop_session()
	:: !IS_STALE(epoch) && base_ == found && epoch > found && sealed_by == 0 ->
		sealing_epoch = epoch;
		sealing_mask = mask;
		sealing_base = base_;
		sealing_data = lists & EVERY;
		sealing_zeros = lists >> PAGES;
		sealed_by = BIT(channel)
	:: !IS_STALE(epoch) && base_ == found && epoch > found && sealed_by != 0 ->
		if
		:: epoch == sealing_epoch && mask == sealing_mask && base_ == sealing_base &&
		   !(sealed_by & BIT(channel)) ->
			sealing_data = sealing_data | (lists & EVERY);
			sealing_zeros = sealing_zeros | (lists >> PAGES);
			sealed_by = sealed_by | BIT(channel)
		:: else -> drop_session()
		fi
	fi
}

inline say(answer, epoch)
{
	if
	:: phase != DOWN -> answers!answer, epoch
	:: else
	fi
}

/* ON_APPLIED, of the last piece. */
inline end_apply()
{
#ifdef WITHOUT_PRIVATE_COPY
	blob = cache[SLOT];
#endif
	judge_applied();
	forget_truth();
	if
	:: is_said_first -> is_said_first = 0
	:: else -> say(APPLIED, found)
	fi
}

/* [C15]. Without a page there is nothing to apply. What says nothing of an epoch of few pages says
 * APPLIED of it, or has said so first. */
#define SAYS_FIRST 2
inline commit(says)
{
	found = sealing_epoch;
	has_copy = 1;
	to_copy = sealing_data;
	to_clear = sealing_zeros;
#ifndef WITHOUT_PRIVATE_COPY
	blob = cache[SLOT];
#endif
	forget_seals();
	if
	:: says == 1 -> say(COMMITTED, found)
	:: says == SAYS_FIRST -> is_said_first = 1; say(APPLIED, found)
	:: else
	fi;
	if
	:: HAS_TO_APPLY
	:: else -> end_apply()
	fi
}

inline apply_page(page)
{
	if
	:: IS_COPIED(page) -> image[page] = cache[page]
	:: else -> /* [C16]: in the cache, too */
		image[page] = 0;
		cache[page] = 0
	fi;
	to_copy = to_copy & ~BIT(page);
	to_clear = to_clear & ~BIT(page)
}

inline finish_apply()
{
	if
	:: HAS_TO_APPLY ->
		if
		:: IS_COPIED(0) || IS_CLEARED(0) -> apply_page(0)
		:: else
		fi;
		if
		:: IS_COPIED(1) || IS_CLEARED(1) -> apply_page(1)
		:: else
		fi;
		end_apply()
	:: else
	fi
}

/* After a fence what had arrived counts: a complete epoch is committed. */
inline drain(says)
{
	if
	:: IS_COMPLETE && !is_dropped ->
		finish_apply();
		commit(says)
	:: else
	fi
}

#define apply(page)                                                                       \
	:: d_step {                                                                       \
		IS_COPIED(page) || IS_CLEARED(page) ->                                    \
		apply_page(page);                                                         \
		if                                                                        \
		:: HAS_TO_APPLY                                                           \
		:: else -> end_apply()                                                    \
		fi                                                                        \
	}

#ifdef WITHOUT_APPLY_BEFORE_COMMIT
/* DESIGN 4.9 [C15]: the epoch before is applied, and the primary seals no earlier. */
#define MAY_COMMIT 1
#else
#define MAY_COMMIT (!HAS_TO_APPLY)
#endif

/* ON_MESSAGE FENCE, ON_CHANNELS_FENCED [C23, C24]. */
inline fence_channel(channel, says)
{
	lose_writes(channel);
	drain(says);
	forget_seals();
	bar = captured;
	answers!FENCED, found
}

#ifdef WITHOUT_LANDING_IN_CALLS
/* [C15]: only where nothing lands while it applies. */
#define apply_at_once()
#else
#define apply_at_once() finish_apply()
#endif

#define IS_ANSWERED (answers??[FENCED, 0] || answers??[FENCED, 1] || answers??[FENCED, 2] || \
		     answers??[FENCED, 3] || answers??[FENCED, 4])

/* ON_HELLO, with ON_SESSION_LOST of the session before [C3]. */
inline greet()
{
#ifdef WITHOUT_SESSION_FENCE
	if
	:: len(wire[0]) > 0 ->
		take(0);
		if
		:: got_kind == WRITE ->
			late_page = got_a;
			late_content = (got_b == MEMORY -> memory[got_a] : got_c);
			if
			:: got_b == MEMORY -> reading[got_a]--
			:: else
			fi
		:: else
		fi
	:: else
	fi;
#endif
	lose_writes(0);
	lose_writes(1);
	drain(1);
#ifndef WITHOUT_APPLY_BEFORE_WELCOME
	/* DESIGN 4.14 [C3] */
	finish_apply();
#endif
	forget_seals();
	bar = 0;
	is_dropped = 0
}

/* A new life: its cache is new memory. What a file has kept of the image is no epoch [C4, C30]. */
inline begin_life()
{
	life++;
	found = 0;
	has_copy = 0;
	is_said_first = 0;
	to_copy = 0;
	to_clear = 0;
	bar = 0;
	is_dropped = 0;
	blob = 0;
	forget_seals();
	place = 0;
	do
	:: place < PAGES ->
#ifndef WITH_FILES
		image[place] = 0;
#endif
		cache[place] = 0;
		place++
	:: else -> break
	od;
	cache[SLOT] = 0
}

#define fence(channel, says)                                                              \
	:: d_step {                                                                       \
		lost == (channel) && phase != DOWN && !is_dropped && !IS_ANSWERED ->      \
		fence_channel(channel, says)                                              \
	}

proctype Secondary()
{
	do
	:: d_step { IS_COMPLETE && MAY_COMMIT && !is_dropped -> commit(1) }
	:: d_step { IS_COMPLETE && MAY_COMMIT && !is_dropped -> commit(0) }
	:: d_step {
		IS_COMPLETE && MAY_COMMIT && !is_dropped ->
		commit(SAYS_FIRST);
		apply_at_once()
	}
	apply(0)
	apply(1)
	fence(0, 1)
	fence(0, 0)
	fence(1, 1)
	fence(1, 0)
	od
}
