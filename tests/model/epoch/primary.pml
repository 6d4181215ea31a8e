/* The engine of the protected program, the steps of colo/core/primary*.c without its clocks. */

#ifdef STAGE
#define CONTENT(page) copied[page]
#else
#define CONTENT(page) memory[page]
#endif

/* ---- where a page may be written ---- */

#ifdef WITHOUT_WAIT_APPLIED
/* DESIGN 4.4 [C16]: a page of the committed epoch is left alone until APPLIED, whatever its kind. */
#define IS_KEPT(page) ((last_map & BIT(page)) && sealed != NO_EPOCH)
#else
#ifdef WITHOUT_WAIT_SEALED
/* DESIGN 4.4: and of the sealed epoch, until it is decided. */
#define IS_KEPT(page) ((last_map & BIT(page)) && sealed == NO_EPOCH)
#else
#ifdef WITHOUT_WAIT_ZERO
#define IS_KEPT(page) (last_map & ~last_zeros & BIT(page))
#else
#define IS_KEPT(page) (last_map & BIT(page))
#endif
#endif
#endif

#ifdef WITHOUT_CHANNEL
/* DESIGN 4.3 [C10]: one page, one channel, until the next commit. */
#define MAY_CARRY(page, channel) 1
#else
#define MAY_CARRY(page, channel) (owner[page] == NONE || owner[page] == (channel))
#endif

#define LOWEST ((up & 1) -> 0 : 1)
#ifdef WITHOUT_SLOT_CHANNEL
/* DESIGN 4.5 [C11]: the blob lies on the lowest channel that is up. */
#define MAY_CARRY_BLOB(channel) 1
#else
#define MAY_CARRY_BLOB(channel) (LOWEST == (channel))
#endif

/* [C23]: until FENCED nothing is posted. */
#define IS_UP(channel) \
	((up & BIT(channel)) && lost == NONE && phase != DOWN && len(wire[channel]) < DEPTH)

/* ---- pushing ---- */

inline record(page, channel)
{
	open_map = open_map | BIT(page);
	owner[page] = channel;
	posted = posted | BIT(channel)
}

inline push_data(page, channel, source, content)
{
	wire[channel]!WRITE, page, source, (source == MEMORY -> 0 : content), 0;
	record(page, channel);
	open_zeros = open_zeros & ~BIT(page);
	if
	:: source == MEMORY -> reading[page]++
	:: else
	fi
}

/* What the image holds already has no part in a full copy, but where the copy has written before
 * [C29]. Zeros of a fresh image are the same. */
#ifdef WITHOUT_UNRECORDED
#define NEEDS_NO_RECORD(page, content) (has_digests && digest[page] == (content))
#else
#define NEEDS_NO_RECORD(page, content) \
	(has_digests && digest[page] == (content) && !(open_map & BIT(page)))
#endif

inline push_zero(page, channel)
{
	record(page, channel);
	open_zeros = open_zeros | BIT(page)
}

/* Beside the running program (DESIGN 4.1), also while an epoch is sealed. The page is clean from
 * before it is read (DESIGN 4.2) [C18]. */
#ifdef WITHOUT_REARM_FIRST
#define TAKE_DIRTY(page) skip
#else
#define TAKE_DIRTY(page) dirty = dirty & ~BIT(page)
#endif
#define MAY_PUSH_AHEAD(page, channel)                                                     \
	((phase == OPEN || phase == SEALED) && (dirty & BIT(page)) && !IS_KEPT(page) &&         \
	 IS_UP(channel) && MAY_CARRY(page, channel))

#define pass_ahead(page)                                                                  \
	:: d_step {                                                                       \
		(phase == OPEN || phase == SEALED) && (dirty & BIT(page)) &&              \
		NEEDS_NO_RECORD(page, memory[page]) ->                                    \
		dirty = dirty & ~BIT(page)                                                \
	}
#define push_ahead(page, channel, source)                                                 \
	:: d_step {                                                                       \
		MAY_PUSH_AHEAD(page, channel) && memory[page] != 0 &&                     \
		!NEEDS_NO_RECORD(page, memory[page]) ->                                   \
		TAKE_DIRTY(page);                                                         \
		push_data(page, channel, source, memory[page])                            \
	}
#define push_zero_ahead(page, channel)                                                    \
	:: d_step {                                                                       \
		MAY_PUSH_AHEAD(page, channel) && memory[page] == 0 &&                     \
		!NEEDS_NO_RECORD(page, 0) ->                                              \
		dirty = dirty & ~BIT(page);                                               \
		push_zero(page, channel)                                                  \
	}

#define MAY_PUSH(page, channel)                                                           \
	(phase == PUSHING && (to_push & BIT(page)) && !IS_KEPT(page) && IS_UP(channel) &&  \
	 MAY_CARRY(page, channel))
#ifdef STAGE
#define MAY_READ_LATE(source) ((source) == READ)
#else
#define MAY_READ_LATE(source) 1
#endif
#ifdef WITHOUT_STAGED_COPY
/* DESIGN 4.6: what is left is copied before the program goes on. */
#define PUSHED(page) memory[page]
#else
#define PUSHED(page) CONTENT(page)
#endif

#define pass(page)                                                                        \
	:: d_step {                                                                       \
		phase == PUSHING && (to_push & BIT(page)) &&                              \
		NEEDS_NO_RECORD(page, PUSHED(page)) ->                                    \
		to_push = to_push & ~BIT(page)                                            \
	}
#define push(page, channel, source)                                                       \
	:: d_step {                                                                       \
		MAY_PUSH(page, channel) && PUSHED(page) != 0 && MAY_READ_LATE(source) &&  \
		!NEEDS_NO_RECORD(page, PUSHED(page)) ->                                   \
		to_push = to_push & ~BIT(page);                                           \
		push_data(page, channel, source, PUSHED(page))                            \
	}
#define record_zero(page, channel)                                                        \
	:: d_step {                                                                       \
		MAY_PUSH(page, channel) && PUSHED(page) == 0 &&                           \
		!NEEDS_NO_RECORD(page, 0) ->                                              \
		to_push = to_push & ~BIT(page);                                           \
		push_zero(page, channel)                                                  \
	}
#define push_blob(channel)                                                                \
	:: d_step {                                                                       \
		phase == PUSHING && (to_push & BIT(SLOT)) && IS_UP(channel) &&            \
		MAY_CARRY_BLOB(channel) ->                                                \
		to_push = to_push & ~BIT(SLOT);                                           \
		wire[channel]!WRITE, SLOT, READ, captured, 0;                             \
		owner[SLOT] = channel;                                                    \
		posted = posted | BIT(channel)                                            \
	}

/* ---- an epoch ---- */

#ifdef WITHOUT_IN_FLIGHT
/* DESIGN 4.2 [C18]: a page that a posted write may still read counts as dirty. */
#define IS_IN_FLIGHT(page) 0
#else
#define IS_IN_FLIGHT(page) (reading[page] > 0)
#endif

/* ON_CHECKPOINT, ON_SCANNED: the program is quiescent. */
inline capture()
{
	captured = next_epoch;
	next_epoch++;
	place = 0;
	do
	:: place < PAGES ->
		TRUTH(captured, place) = memory[place];
		if
		:: IS_IN_FLIGHT(place) -> dirty = dirty | BIT(place)
		:: else
		fi;
#ifdef STAGE
		copied[place] = ((dirty & BIT(place)) -> memory[place] : 0);
#endif
		place++
	:: else -> break
	od;
	TRUTH(captured, SLOT) = captured;
	to_push = dirty | BIT(SLOT);
	dirty = 0;
#ifndef STAGE
	is_held = 1;
#endif
	phase = PUSHING
}

inline forget_digests()
{
	has_digests = 0;
	digest[0] = 0;
	digest[1] = 0
}

inline forget_copies()
{
	copied[0] = 0;
	copied[1] = 0
}

#define OWNED(channel) ((owner[0] == (channel)) | ((owner[1] == (channel)) << 1))
#define LISTS(channel)                                                                    \
	((open_map & ~open_zeros & OWNED(channel)) |                                      \
	 ((open_map & open_zeros & OWNED(channel)) << PAGES))

#ifdef WITHOUT_APPLY_BEFORE_COMMIT
#define MAY_SEAL 1
#else
#define MAY_SEAL is_applied
#endif

/* ON_PUSHED. The mask names every channel posted to since the last commit [C13], and a page is in the
 * list of its channel alone [C12]. */
inline seal()
{
	if
	:: posted & 1 -> wire[0]!SEAL, captured, posted, LISTS(0), base
	:: else
	fi;
	if
	:: posted & 2 -> wire[1]!SEAL, captured, posted, LISTS(1), base
	:: else
	fi;
	last_map = open_map;
	last_zeros = open_zeros;
	last_posted = posted;
	open_map = 0;
	open_zeros = 0;
	posted = 0;
#ifndef WITHOUT_DIGESTS_END
	/* [C29]: from the seal on the image is another one. */
	forget_digests();
#endif
	sealed = captured;
	forget_copies();
	phase = SEALED
}

inline disown(places)
{
	place = 0;
	do
	:: place < PLACES ->
		if
		:: (places) & BIT(place) -> owner[place] = NONE
		:: else
		fi;
		place++
	:: else -> break
	od
}

/* [C25]: written to when nothing was written since the last commit. */
inline use_returned()
{
	if
	:: open_map == 0 && posted == 0 ->
		up = up | waiting;
		waiting = 0
	:: else
	fi
}

#ifdef WITHOUT_OPEN_CHANNELS
/* [C10]: what was pushed for the next epoch while this one was sealed keeps its channel, too. */
#define DECIDED_PLACES (BIT(PLACES) - 1)
#else
#define DECIDED_PLACES ((last_map & ~open_map) | BIT(SLOT))
#endif

/* COMMITTED, or the committed number in FENCED. */
inline commit_sealed()
{
	committed = sealed;
	base = sealed;
	sealed = NO_EPOCH;
	is_applied = 0;
	last_posted = 0;
	disown(DECIDED_PLACES);
	use_returned()
}

/* DESIGN 4.7, 4.8: its pages and channels stay in the map, the newest record wins. */
inline abort_sealed()
{
#ifdef WITHOUT_MERGE
	disown(last_map);
#else
#ifndef WITHOUT_MERGED_KIND
	open_zeros = open_zeros | (last_zeros & ~open_map);
#endif
	open_map = open_map | last_map;
	posted = posted | last_posted;
#endif
	last_map = 0;
	last_zeros = 0;
	last_posted = 0;
#ifdef WITHOUT_NEW_NUMBER
	next_epoch = sealed;
#endif
	sealed = NO_EPOCH
}

/* An attempt that is not sealed: what was pushed stays recorded, the rest is to push. */
inline give_up()
{
	if
	:: phase == PUSHING ->
		dirty = dirty | (to_push & EVERY);
		to_push = 0;
		is_held = 0;
		forget_copies();
		phase = OPEN
	:: else
	fi
}

/* What a channel carried since the last commit is to push, on others. */
inline repush(channel)
{
	place = 0;
	do
	:: place < PLACES ->
		if
		:: owner[place] == channel ->
			if
			:: place < PAGES && (open_map & BIT(place)) ->
				dirty = dirty | BIT(place);
				open_map = open_map & ~BIT(place);
				open_zeros = open_zeros & ~BIT(place)
			:: else
			fi;
			owner[place] = NONE
		:: else
		fi;
		place++
	:: else -> break
	od;
	posted = posted & ~BIT(channel);
	use_returned()
}

/* ---- what breaks ---- */

/* ON_CHANNEL_LOST. FENCE names the last number that was sealed; here every captured one is. */
inline lose_channel(channel)
{
	channel_losses++;
	up = up & ~BIT(channel);
	give_up();
#ifdef WITHOUT_CHANNEL_FENCE
	/* DESIGN 4.13 [C23]: the other channels carry its pages only after FENCED. */
	if
	:: sealed != NO_EPOCH -> abort_sealed()
	:: else
	fi;
	repush(channel);
	phase = OPEN
#else
	lost = channel;
	if
	:: sealed == NO_EPOCH -> phase = REPAIRING
	:: else
	fi
#endif
}

/* ON_SESSION_LOST: every page of both maps is to push [C6]. */
inline lose_session()
{
	do
	:: len(answers) > 0 -> answers?got_kind, got_a
	:: else -> break
	od;
	give_up();
	phase = DOWN;
	lost = NONE;
	waiting = 0;
#ifndef WITHOUT_REPUSH_ALL
	dirty = dirty | open_map | last_map;
#endif
	open_map = 0;
	open_zeros = 0;
	last_map = 0;
	last_zeros = 0;
	posted = 0;
	last_posted = 0;
	forget_digests()
}

#ifdef WITHOUT_SAME_LIFE
/* DESIGN 4.15 [C6]: only the incarnation that holds the copy can go on with the map. */
#define IS_RESUMED 1
#else
#define IS_RESUMED (life == known_life && (found == committed || found == sealed))
#endif

#ifdef WITHOUT_DIGESTS_OF_IMAGE
#define DIGEST(page) cache[page]
#else
/* [C28]: what an unfinished attempt left in the cache is no part of the copy. */
#define DIGEST(page) image[page]
#endif

inline learn_digests()
{
	has_digests = 1;
	digest[0] = DIGEST(0);
	digest[1] = DIGEST(1)
}

/* WELCOME. */
inline begin_session()
{
#ifdef WITHOUT_ASKING
	/* [C5]: the answer to HELLO decides the epoch in doubt. */
	if
	:: sealed != NO_EPOCH && life == known_life -> committed = sealed
	:: else
	fi;
#endif
	if
	:: IS_RESUMED && sealed != NO_EPOCH && found == sealed -> committed = sealed
	:: IS_RESUMED && !(sealed != NO_EPOCH && found == sealed)
	:: !IS_RESUMED ->
		dirty = EVERY;
		learn_digests();
		known_life = 0
	fi;
	sealed = NO_EPOCH;
	is_applied = 1;
	base = found;
	disown(BIT(PLACES) - 1);
	up = BOTH;
	phase = OPEN
}

inline on_answer()
{
	answers?got_kind, got_a;
	if
	:: got_kind == COMMITTED ->
		if
		:: sealed == got_a ->
			commit_sealed();
			phase = (lost == NONE -> OPEN : REPAIRING)
		:: else
		fi
	:: got_kind == APPLIED ->
		/* [C15]: it may be the first word of the epoch. */
		if
		:: sealed != NO_EPOCH && got_a == sealed ->
			commit_sealed();
			phase = (lost == NONE -> OPEN : REPAIRING)
		:: else
		fi;
		if
		:: got_a == committed && sealed == NO_EPOCH ->
			is_applied = 1;
			known_life = life;
			last_map = 0;
			last_zeros = 0
		:: else
		fi
	:: got_kind == FENCED ->
		if
		:: sealed != NO_EPOCH && got_a == sealed -> commit_sealed()
		:: sealed != NO_EPOCH && got_a != sealed -> abort_sealed()
		:: else
		fi;
		repush(lost);
		lost = NONE;
		phase = OPEN
	fi
}

#define NOTHING_READS (reading[0] == 0 && reading[1] == 0)
#ifdef WITHOUT_SETTLE
/* DESIGN 4.6 [C17]: the program is held until no write reads its memory any more. */
#define MAY_RESUME 1
#else
#define MAY_RESUME NOTHING_READS
#endif

proctype Primary()
{
	do
#ifdef WITHOUT_ARMED_DIGESTS
	/* [C29]: the trackers are armed before a page is compared. */
	:: d_step { (dirty & 1) && has_digests && memory[0] == digest[0] -> compared = 1 }
	:: d_step { compared && (dirty & 1) && has_digests -> dirty = dirty & ~1 }
#endif
#ifndef NO_PUSH_AHEAD
	pass_ahead(0)
	pass_ahead(1)
	push_ahead(0, 0, MEMORY)
	push_ahead(0, 1, MEMORY)
	push_ahead(1, 0, MEMORY)
	push_ahead(1, 1, MEMORY)
	push_ahead(0, 0, READ)
	push_ahead(0, 1, READ)
	push_ahead(1, 0, READ)
	push_ahead(1, 1, READ)
	push_zero_ahead(0, 0)
	push_zero_ahead(0, 1)
	push_zero_ahead(1, 0)
	push_zero_ahead(1, 1)
#endif
	:: d_step {
		phase == OPEN && !is_held && lost == NONE && next_epoch <= EPOCHS ->
		capture()
	}
	pass(0)
	pass(1)
	push(0, 0, MEMORY)
	push(0, 1, MEMORY)
	push(1, 0, MEMORY)
	push(1, 1, MEMORY)
	push(0, 0, READ)
	push(0, 1, READ)
	push(1, 0, READ)
	push(1, 1, READ)
	record_zero(0, 0)
	record_zero(0, 1)
	record_zero(1, 0)
	record_zero(1, 1)
	push_blob(0)
	push_blob(1)
	:: d_step {
		phase == PUSHING && to_push == 0 && MAY_SEAL && len(wire[0]) < DEPTH &&
		len(wire[1]) < DEPTH ->
		seal()
	}
	/* ON_SETTLED */
	:: d_step {
		is_held && (phase != PUSHING || to_push == 0) && MAY_RESUME ->
		is_held = 0
	}
	/* ON_MESSAGE */
	:: d_step { len(answers) > 0 -> on_answer() }
#ifdef WITHOUT_COMMITTED
	/* DESIGN 3.3 [C15]: only the secondary's word counts as commit. */
	:: d_step {
		phase == SEALED ->
		commit_sealed();
		phase = OPEN
	}
#endif

	/* Faults. */
	/* ON_WITHDRAW, too. */
	:: d_step {
		phase == PUSHING && give_ups < GIVE_UPS ->
		give_ups++;
		give_up();
#ifdef WITHOUT_CHANNEL_KEPT
		/* DESIGN 4.3 [C10]: across aborts. */
		disown(BIT(PLACES) - 1);
#endif
#ifdef WITHOUT_MASK_KEPT
		/* [C13]: since the last committed epoch, across aborts. */
		posted = 0;
#endif
		skip
	}
	:: d_step {
		channel_losses < CHANNEL_LOSSES && up == BOTH && lost == NONE && phase != DOWN ->
		lose_channel(0)
	}
	:: d_step {
		channel_losses < CHANNEL_LOSSES && up == BOTH && lost == NONE && phase != DOWN ->
		lose_channel(1)
	}
	/* ON_CHANNEL_UP, on either side. */
	:: d_step {
		up != BOTH && waiting == 0 && lost == NONE && phase != DOWN ->
#ifdef WITHOUT_RETURN_WAIT
		up = BOTH
#else
		waiting = BOTH & ~up;
		use_returned()
#endif
	}
	:: d_step {
		session_losses < SESSION_LOSSES && phase != DOWN ->
		session_losses++;
		lose_session()
	}
	:: d_step {
		restarts < RESTARTS && phase != DOWN ->
		restarts++;
		lose_session();
		lose_writes(0);
		lose_writes(1);
		begin_life()
	}
	/* ON_SESSION_UP */
	:: d_step {
		phase == DOWN ->
		greet();
		begin_session()
	}
	od
}
