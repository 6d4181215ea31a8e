/* A controller, the table of failover/core/table.c without its clocks. As there, an event is followed
 * by all that the state does by itself, in the order of its list (`settle`); what a timer or a missing
 * heartbeat starts may start at any time. A controller that is stopped is one whose steps are not
 * taken for a while. */

#ifdef WITHOUT_R5
#define IS_OWNER(n) (seen_generation[n] > 0 && seen_owner[n] == n && known_program[n] != 0)
#define HOLDS_COPY(n) (known_standby[n] != 0 && seen_owner[n] == PEER)
#else
/* R5: the owner is this program's incarnation, and the copy this standby's. */
#define IS_OWNER(n)                                          \
	(seen_owner[n] == n && known_program[n] != 0 &&       \
	 seen_owner_incarnation[n] == known_program[n])
#define HOLDS_COPY(n)                                        \
	(known_standby[n] != 0 && seen_owner[n] == PEER &&    \
	 IS_PAIRED(seen_copy[n]) && seen_copy[n] == known_standby[n])
#endif
#define IS_PAIR(n) (IS_OWNER(n) && IS_PAIRED(seen_copy[n]))
#define IS_SOLO(n) (IS_OWNER(n) && MAY_LEAD_ALONE(seen_copy[n]))
#define CAN_LEAD(n) (known_program[n] != 0 && !is_halted[n])
#define IS_IDLE(n) (question[n] == IDLE)
#define IS_SETTLED(n) (IS_IDLE(n) && !is_contested[n])
/* R4: a node leads alone by a record that this life of its controller wrote, that nothing asked
 * earlier can replace, and once. */
#define SOLO_IS_USABLE(n) (is_mine[n] && IS_SETTLED(n) && !is_led_solo[n])
#define LEADS(n) (known_program[n] != 0 && led_generation[n] != 0)

#define SOLO_RECORD(n) RECORD(known_program[n], 0)
#ifdef OWN_RECORDS
/* The peer's controller, which knows no newer record, says that the owner has ended; else its node is
 * switched off first. */
#define CERTIFIES_END(n)                                                                \
	(seen_generation[PEER] != 0 && seen_generation[PEER] <= seen_generation[n] &&    \
	 known_program[PEER] != seen_owner_incarnation[n] &&                              \
	 program[PEER] != seen_owner_incarnation[n])
#define HEIR_RECORD(n) \
	(RECORD(HEIR(known_standby[n]), 0) + (CERTIFIES_END(n) -> 0 : BLIND))
#define PEER_KNOWS_RECORD(n)                                                            \
	(seen_generation[PEER] == seen_generation[n] && seen_owner[PEER] == seen_owner[n] && \
	 seen_copy[PEER] == seen_copy[n])
#else
#define HEIR_RECORD(n)       RECORD(HEIR(known_standby[n]), 0)
#define PEER_KNOWS_RECORD(n) 1
#endif
#ifdef WITHOUT_R6
/* A copy that is under way is recorded. */
#define COPY_HOLDER(n) ((session[n] == COPYING) * session_peer[n])
#else
#ifdef WITHOUT_R8
/* Who was there when the copy was made and who is there now may be two. */
#define COPY_HOLDER(n) ((copied[n] != 0) * standby[PEER])
#else
/* R6, R8: the incarnation that said that its copy is full. */
#define COPY_HOLDER(n) copied[n]
#endif
#endif
#define PAIR_RECORD(n) RECORD(known_program[n], COPY_HOLDER(n))

inline enter(n, state_)
{
	state[n] = state_;
	offer[n] = NO_OFFER
}

inline lead(n, state_)
{
	enter(n, state_);
	led_generation[n] = seen_generation[n];
	is_led_pair[n] = IS_PAIRED(seen_copy[n]);
	is_led_solo[n] = is_mine[n];
	copied[n] = 0
}

inline halt(n)
{
	is_halted[n] = (known_program[n] != 0);
	led_generation[n] = 0;
	is_led_pair[n] = 0;
	copied[n] = 0;
	offer[n] = NO_OFFER
}

/* That the standby hears of it later is as if it were told later. */
inline stand_by(n)
{
	is_told[n] = 1;
	standby_generation[n] = seen_generation[n];
	standby_owner[n] = seen_owner_incarnation[n]
}

inline begin_take_over(n, standby_)
{
	take_over_standby[n] = standby_;
	enter(n, TAKING_OVER)
}

#define IS_TAKE_OVER_WON(n) \
	(is_mine[n] && take_over_standby[n] != 0 && take_over_order[n] == NOTHING)
#define IS_TAKE_OVER_INTERRUPTED(n)                                                         \
	(seen_owner[n] == n && seen_copy[n] == 0 && !IS_OWNER(n) && known_standby[n] != 0 && \
	 known_standby[n] == standby[n] && copy_of[n] != 0 &&                                \
	 seen_owner_incarnation[n] == HEIR(known_standby[n]))
#define MUST_HALT(n) (known_program[n] != 0 && !is_halted[n] && seen_owner[n] == PEER)
#define MUST_TELL_STANDBY(n)                                                        \
	(known_standby[n] != 0 && known_standby[n] == standby[n] && seen_owner[n] == PEER && \
	 !is_told[n])

#ifdef WITH_LEAVING
#define LEFT_RECORD(n) RECORD(known_program[n], LEFT)
#define IS_LEFT(n)     (seen_copy[n] == LEFT)
/* R4, R5: as going on alone. */
#define MAY_LEAVE(n)                                                                    \
	(IS_FACT_OF_PROGRAM(n) && is_leaving[n] && IS_OWNER(n) && !IS_LEFT(n) &&         \
	 offer[n] == NO_OFFER && MAY_ASK(n, LEFT_RECORD(n)) &&                            \
	 (!IS_PAIRED(seen_copy[n]) || PEER_KNOWS_RECORD(n)))
#ifdef WITHOUT_LEFT_RECORDED
#define IS_TO_BE_RELEASED(n) (IS_FACT_OF_PROGRAM(n) && is_leaving[n] && IS_OWNER(n))
#else
#define IS_TO_BE_RELEASED(n) (IS_FACT_OF_PROGRAM(n) && IS_OWNER(n) && IS_LEFT(n))
#endif
#define IS_LED_ALONE(n) (led_generation[n] != 0 && !is_led_pair[n])
#ifdef WITHOUT_LEFT_TOLD
#define MAY_RELEASE(n) (IS_TO_BE_RELEASED(n) && !is_released[n] && IS_SETTLED(n))
#else
/* What was not told is nothing: the other node could still take over. */
#define MAY_RELEASE(n)                                                                  \
	(IS_TO_BE_RELEASED(n) && !is_released[n] && IS_SETTLED(n) &&                     \
	 (IS_LED_ALONE(n) || PEER_KNOWS_RECORD(n)))
#endif
#ifdef WITHOUT_LEFT_FOLLOWED
#define MAY_FOLLOW(n) 1
#else
/* The other node may have taken over by the record before. */
#define MAY_FOLLOW(n) PEER_KNOWS_RECORD(n)
#endif
#define IS_NEXT(n)                                                                      \
	(seen_owner[n] == n && IS_LEFT(n) && CAN_LEAD(n) &&                              \
	 known_program[n] != seen_owner_incarnation[n] && MAY_FOLLOW(n))

inline release(n)
{
	is_released[n] = 1;
	led_generation[n] = 0;
	is_led_pair[n] = 0;
	copied[n] = 0
}
#endif

#define settle_joining(n)                                                                \
	:: state[n] == JOINING && IS_TAKE_OVER_WON(n) ->                                  \
		enter(n, TAKING_OVER)                                                     \
	:: state[n] == JOINING && IS_TAKE_OVER_INTERRUPTED(n) ->                          \
		halt(n);                                                                  \
		begin_take_over(n, known_standby[n])                                      \
	:: state[n] == JOINING && MUST_HALT(n) -> halt(n)                                 \
	:: state[n] == JOINING && MUST_TELL_STANDBY(n) -> stand_by(n)                     \
	:: state[n] == JOINING && HOLDS_COPY(n) -> enter(n, SECONDARY)                    \
	:: state[n] == JOINING && IS_PAIR(n) && CAN_LEAD(n) && IS_IDLE(n) ->              \
		lead(n, PRIMARY_PAIR)                                                     \
	:: state[n] == JOINING && IS_SOLO(n) && CAN_LEAD(n) && SOLO_IS_USABLE(n) ->       \
		lead(n, PRIMARY_SOLO)                                                     \
	:: state[n] == JOINING && IS_SOLO(n) && CAN_LEAD(n) && !SOLO_IS_USABLE(n) &&      \
		MAY_ASK(n, SOLO_RECORD(n)) ->                                             \
		ask(n, SOLO_RECORD(n))

#define settle_secondary(n)                                                              \
	:: state[n] == SECONDARY && IS_TAKE_OVER_WON(n) -> enter(n, TAKING_OVER)          \
	:: state[n] == SECONDARY && !HOLDS_COPY(n) -> enter(n, JOINING)                   \
	:: state[n] == SECONDARY && MUST_HALT(n) -> halt(n)                               \
	:: state[n] == SECONDARY && MUST_TELL_STANDBY(n) -> stand_by(n)

#define IS_PRIMARY(n) \
	(state[n] == PRIMARY_PAIR || state[n] == PRIMARY_SOLO || state[n] == GATED)

#define settle_primary(n)                                                                \
	:: IS_PRIMARY(n) && !LEADS(n) -> enter(n, JOINING)                                \
	:: IS_PRIMARY(n) && !IS_OWNER(n) ->                                               \
		halt(n);                                                                  \
		enter(n, HALTED)                                                          \
	:: state[n] == PRIMARY_PAIR && IS_SOLO(n) -> enter(n, GATED)                      \
	:: state[n] == PRIMARY_SOLO && IS_PAIR(n) -> lead(n, PRIMARY_PAIR)                \
	:: state[n] == PRIMARY_SOLO && COPY_HOLDER(n) != 0 -> enter(n, GATED)

#define settle_gated(n)                                                                  \
	:: state[n] == GATED && IS_PAIR(n) && IS_IDLE(n) && offer[n] == NO_OFFER &&       \
		led_generation[n] != seen_generation[n] ->                                \
		lead(n, PRIMARY_PAIR)                                                     \
	:: state[n] == GATED && IS_SOLO(n) && COPY_HOLDER(n) != 0 &&                      \
		MAY_ASK(n, PAIR_RECORD(n)) ->                                             \
		ask(n, PAIR_RECORD(n))                                                    \
	:: state[n] == GATED && IS_SOLO(n) && SOLO_IS_USABLE(n) && COPY_HOLDER(n) == 0 -> \
		lead(n, PRIMARY_SOLO)                                                     \
	:: state[n] == GATED && IS_SOLO(n) && !SOLO_IS_USABLE(n) && COPY_HOLDER(n) == 0 && \
		MAY_ASK(n, SOLO_RECORD(n)) ->                                             \
		ask(n, SOLO_RECORD(n))

/* R2, R3: fence, and only when that is done is it looked what is there. */
#ifdef WITHOUT_R2
#define FIRST_ORDER ACTIVATE
#else
#define FIRST_ORDER FENCE
#endif
#define IS_FENCED(n) \
	(take_over_order[n] == FENCE && known_standby[n] == standby[n] && is_fenced[n] && \
	 known_standby[n] == take_over_standby[n])

#define settle_taking_over(n)                                                            \
	:: state[n] == TAKING_OVER && take_over_standby[n] == 0 ->                        \
		halt(n);                                                                  \
		enter(n, HALTED)                                                          \
	:: state[n] == TAKING_OVER && take_over_order[n] == ACTIVATE && IS_OWNER(n) &&    \
		CAN_LEAD(n) ->                                                            \
		end_take_over(n);                                                         \
		lead(n, PRIMARY_SOLO)                                                     \
	:: state[n] == TAKING_OVER && take_over_order[n] != ACTIVATE &&                   \
		known_standby[n] != take_over_standby[n] ->                               \
		end_take_over(n);                                                         \
		enter(n, HALTED)                                                          \
	:: state[n] == TAKING_OVER && take_over_order[n] == NOTHING ->                    \
		take_over_order[n] = FIRST_ORDER

/* A standby that failed is waited for while the record is the one that it failed for. */
#define IS_OF_TAKE_OVER(n)                                       \
	(take_over_standby[n] != 0 && seen_owner[n] == n &&       \
	 seen_owner_incarnation[n] == HEIR(take_over_standby[n]))

#define settle_halted(n)                                                                 \
	:: state[n] == HALTED && !is_halted[n] &&                                         \
		!(IS_OF_TAKE_OVER(n) && take_over_standby[n] == known_standby[n]) ->      \
		end_take_over(n);                                                         \
		enter(n, INIT)

#ifdef WITH_MAINTENANCE
#define settle_maintenance(n)                                                            \
	:: state[n] == MAINTENANCE && LEADS(n) && !IS_OWNER(n) ->                         \
		halt(n);                                                                  \
		enter(n, HALTED)                                                          \
	:: state[n] == MAINTENANCE && LEADS(n) && IS_SOLO(n) && SOLO_IS_USABLE(n) ->      \
		lead(n, MAINTENANCE)                                                      \
	:: state[n] == MAINTENANCE && LEADS(n) && !is_led_pair[n] && copied[n] != 0 &&    \
		IS_SOLO(n) && !SOLO_IS_USABLE(n) && MAY_ASK(n, SOLO_RECORD(n)) ->         \
		ask(n, SOLO_RECORD(n))
#else
#define settle_maintenance(n)
#endif

inline settle(n)
{
	do
	settle_joining(n)
	settle_secondary(n)
	settle_primary(n)
	settle_gated(n)
	settle_taking_over(n)
	settle_halted(n)
	settle_maintenance(n)
	:: else -> break
	od;
	skip /* a d_step cannot end with a loop */
}

/* The same, for events that only some states know. */
inline settle_copy(n)
{
	do
	settle_primary(n)
	settle_gated(n)
	settle_maintenance(n)
	:: else -> break
	od;
	skip
}

inline settle_failure(n)
{
	do
	settle_joining(n)
	settle_halted(n)
	:: else -> break
	od;
	skip
}

/* One that has left is attached no more. */
#define ATTACHED(n) (HAS_LEFT(n) -> 0 : program[n])

inline know_program(n)
{
	known_program[n] = ATTACHED(n);
#ifdef WITH_LEAVING
	is_released[n] = 0;
#endif
	is_halted[n] = 0;
	led_generation[n] = 0;
	is_led_pair[n] = 0;
	copied[n] = 0;
	offer[n] = NO_OFFER
}

inline know_standby(n)
{
	known_standby[n] = standby[n];
	is_told[n] = 0
}

/* The process ends and another one begins, which knows nothing. */
inline restart_controller(n)
{
	state[n] = INIT;
	seen_generation[n] = 0;
	seen_owner[n] = 0;
	seen_owner_incarnation[n] = 0;
	seen_copy[n] = 0;
	is_mine[n] = 0;
	forget_record(n);
	question[n] = IDLE;
	won_record[n] = 0;
	known_program[n] = 0;
	known_standby[n] = 0;
	is_halted[n] = 0;
	led_generation[n] = 0;
	is_led_pair[n] = 0;
	copied[n] = 0;
	offer[n] = NO_OFFER;
#ifdef WITH_LEAVING
	is_released[n] = 0;
#endif
	end_take_over(n)
}

#ifdef OWN_RECORDS
/* Power off: all of the node ends, what it had asked too, but not its register. */
inline switch_off(node)
{
	end_program(node);
	end_standby(node);
	restart_controller(node);
	forget_questions(node)
}

/* Heartbeats carry what a controller sees. That a program left loses to every other record of its
 * generation: somebody may lead by that one. */
#ifdef WITHOUT_LEFT_LOSES
#define LOSES(one, other) ((one) != LEFT && (other) == LEFT)
#else
#define LOSES(one, other) ((one) == LEFT && (other) != LEFT)
#endif
#define IS_NEWS(n)                                                                      \
	(seen_generation[PEER] > generation[n] ||                                        \
	 (seen_generation[PEER] == generation[n] &&                                      \
	  LOSES(copy_incarnation[n], seen_copy[PEER])))

inline adopt(n)
{
	generation[n] = seen_generation[PEER];
	owner[n] = seen_owner[PEER];
	owner_incarnation[n] = seen_owner_incarnation[PEER];
	copy_incarnation[n] = seen_copy[PEER];
	forget_questions(n)
}
#endif

#ifdef WITHOUT_R9
#define HAS_QUIESCED(n) 1
#else
#define HAS_QUIESCED(n) (is_quiet[n] && gate[n] == HOLD)
#endif
#define IS_FACT_OF_PROGRAM(n) (known_program[n] != 0 && known_program[n] == program[n])

proctype Controller(byte n)
{
	do
	/* Data planes come and go. */
	:: d_step { known_program[n] != ATTACHED(n) -> know_program(n); settle(n) }
	:: d_step { known_standby[n] != standby[n] -> know_standby(n); settle(n) }
	/* R7, R8: a COPIED counts that was said after the LEAD of the generation that it names. */
	:: d_step {
		session[n] == COPIED && copied[n] == 0 && led_generation[n] != 0 && !is_led_pair[n] &&
		led[n] == led_generation[n] && IS_FACT_OF_PROGRAM(n) ->
		copied[n] = session_peer[n];
		settle_copy(n)
	}
#ifndef WITHOUT_R8
	/* R8: another session is another copy. */
	:: d_step {
		copied[n] != 0 && (session[n] != COPIED || session_peer[n] != copied[n]) ->
		copied[n] = 0;
		settle_copy(n)
	}
#endif

	/* Answers of the register, and readings. */
	:: d_step {
		question[n] != IDLE || !SEES_NEWEST(n) || state[n] == INIT ->
		read_register(n);
		state[n] = (state[n] == INIT -> JOINING : state[n]);
		settle(n)
	}
	:: d_step { question[n] == WON -> hear_win(n); settle(n) }

#ifdef OWN_RECORDS
	/* LEFT is not heard under a take-over that names the record before: that comes first. */
	:: d_step {
		IS_NEWS(n) && !(seen_copy[PEER] == LEFT && question[n] != IDLE) ->
		adopt(n)
	}
#endif

	/* Suspicion, right or wrong. R5: the question names the record that was seen. R9: an offer is
	 * of exactly that record, for exactly this copy. */
	:: d_step {
		state[n] == SECONDARY && known_standby[n] == standby[n] && MAY_ASK(n, HEIR_RECORD(n)) ->
		take_over_standby[n] = known_standby[n];
		is_by_offer[n] = (offered_generation == seen_generation[n] &&
		                  offered_copy == known_standby[n]);
#ifdef WITHOUT_R3
		early_image[n] = image[n];
#endif
		ask(n, HEIR_RECORD(n))
	}
	:: d_step { state[n] == PRIMARY_PAIR -> enter(n, GATED); settle_copy(n) }
	:: d_step {
		state[n] == GATED && IS_PAIR(n) && IS_SETTLED(n) && offer[n] == NO_OFFER &&
		IS_FACT_OF_PROGRAM(n) && session_peer[n] == seen_copy[n] ->
		lead(n, PRIMARY_PAIR)
	}
#ifdef WITHOUT_R4
	:: d_step {
		state[n] == GATED && IS_PAIR(n) ->
		lead(n, PRIMARY_SOLO);
		is_led_pair[n] = 0
	}
#endif
#ifndef STRICT
	/* R4 */
	:: d_step {
		state[n] == GATED && IS_PAIR(n) && offer[n] == NO_OFFER &&
		MAY_ASK(n, SOLO_RECORD(n)) ->
		ask(n, SOLO_RECORD(n))
	}
#endif
	/* It holds its output since a copy that is over. */
	:: d_step {
		state[n] == PRIMARY_SOLO && IS_FACT_OF_PROGRAM(n) && is_copy_told[n] &&
		session[n] != COPIED && led[n] == led_generation[n] ->
		enter(n, GATED);
		settle_copy(n)
	}

#ifdef WITH_SWITCHOVER
	/* R9: a planned switchover; the offer is made when the program has said QUIESCED. */
	:: d_step {
		IS_PRIMARY(n) && state[n] != PRIMARY_SOLO && IS_PAIR(n) && IS_IDLE(n) &&
		offer[n] == NO_OFFER && offered_generation != seen_generation[n] ->
		enter(n, GATED);
		offer[n] = QUIESCING
	}
	:: d_step {
		offer[n] == QUIESCING && IS_FACT_OF_PROGRAM(n) && led[n] == seen_generation[n] &&
		HAS_QUIESCED(n) ->
		offer[n] = OFFERED;
		offered_generation = seen_generation[n];
		offered_copy = seen_copy[n];
		offered_memory = memory[n] & (255 - (reply[n] == EXECUTED) * reply_effect[n])
	}
	/* It did not come: as after a suspicion that was false. */
	:: d_step { offer[n] != NO_OFFER -> offer[n] = NO_OFFER }
#endif

#ifdef WITH_LEAVING
	:: d_step { IS_PRIMARY(n) && MAY_LEAVE(n) -> ask(n, LEFT_RECORD(n)) }
	:: d_step {
		(state[n] == JOINING || IS_PRIMARY(n)) && MAY_RELEASE(n) ->
		release(n);
		enter(n, JOINING)
	}
	:: d_step {
		state[n] == JOINING && IS_NEXT(n) && MAY_ASK(n, SOLO_RECORD(n)) ->
		ask(n, SOLO_RECORD(n))
	}
#endif

	/* FENCED, soon or after the wait for it, and then the register was asked; or the program does not
	 * come in time. */
	:: d_step {
		(state[n] == TAKING_OVER ||
		 (state[n] == HALTED && IS_OF_TAKE_OVER(n) && SEES_NEWEST(n))) && IS_FENCED(n) ->
		state[n] = TAKING_OVER;
		take_over_order[n] = ACTIVATE
	}
	:: d_step { state[n] == TAKING_OVER && take_over_order[n] == FENCE -> enter(n, HALTED); settle_failure(n) }
	:: d_step {
		state[n] == TAKING_OVER && take_over_order[n] == ACTIVATE ->
		enter(n, JOINING);
		settle_failure(n)
	}

#ifdef WITH_MAINTENANCE
	:: d_step {
		(state[n] == JOINING || state[n] == SECONDARY || state[n] == PRIMARY_PAIR ||
		 state[n] == PRIMARY_SOLO || state[n] == HALTED) && IS_IDLE(n) ->
		enter(n, MAINTENANCE);
		settle_copy(n)
	}
	:: d_step { state[n] == MAINTENANCE -> enter(n, INIT) }
#endif

	/* Fault. */
	:: d_step {
		controller_crashes < CONTROLLER_CRASHES ->
		controller_crashes++;
		restart_controller(n)
	}
	od
}
