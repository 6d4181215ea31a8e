/* A program that is protected, with the engine inside it. It serves clients: an operation reads all
 * of its memory and changes it, and its reply waits at the gate. */

#define PEER_STANDBY standby[PEER]
#define SESSION_LIVES(n)                                                        \
	(session_peer[n] != 0 && session_peer[n] == PEER_STANDBY &&              \
	 standby_session[PEER] == program[n])

inline lose_session(n)
{
	/* A copy that nobody was told of is given up; one that was told of holds the gate (R7). */
	if
	:: session[n] == CAPTURED && !is_copy_told[n] -> gate[n] = OPEN
	:: else
	fi;
	if
	:: SESSION_LIVES(n) && cache[PEER] == 0 -> standby_session[PEER] = 0
	:: else
	fi;
	session[n] = DOWN;
	session_peer[n] = 0;
	epoch[n] = NO_EPOCH;
	if
	:: reply[n] == IN_EPOCH -> reply[n] = EXECUTED
	:: else
	fi
}

inline forget_reply(n)
{
	reply[n] = NO_REPLY;
	reply_effect[n] = 0;
	reply_must_see[n] = 0
}

inline end_program(n)
{
	program[n] = 0;
	led[n] = 0;
	memory[n] = 0;
	gate[n] = HOLD;
	session[n] = DOWN;
	session_peer[n] = 0;
	epoch[n] = NO_EPOCH;
	is_copy_told[n] = 0;
	is_quiet[n] = 0;
#ifdef WITH_LEAVING
	is_leaving[n] = 0;
	has_left[n] = 0;
#endif
	forget_reply(n)
}

#define IS_LED_PAIR(n) (gate[n] == ACKNOWLEDGED || is_quiet[n])
#define IS_ORDERED(n) (program[n] != 0 && known_program[n] == program[n])

inline take_lead_solo(n)
{
	led[n] = led_generation[n];
	is_copy_told[n] = 0;
	is_quiet[n] = 0;
	if
	:: session[n] == COPIED || session[n] == STREAMING -> lose_session(n)
	:: else
	fi;
	/* R7: SOLO said again does not open the gate behind a copy that is under way. */
	gate[n] = (session[n] == CAPTURED -> HOLD : OPEN);
	judge_lead_alone(n)
}

inline take_lead_pair(n)
{
	led[n] = led_generation[n];
	is_copy_told[n] = 0;
	is_quiet[n] = 0;
	if
	:: session[n] == COPIED -> session[n] = STREAMING
	:: session[n] == COPYING || session[n] == CAPTURED -> lose_session(n)
	:: else
	fi;
	gate[n] = ACKNOWLEDGED;
	judge_pair(n)
}

#ifdef WITH_LEAVING
/* It goes on by itself: nothing holds what it answers. */
inline leave(n)
{
	if
	:: session[n] != DOWN -> lose_session(n)
	:: else
	fi;
	led[n] = 0;
	is_copy_told[n] = 0;
	is_quiet[n] = 0;
	is_leaving[n] = 0;
	has_left[n] = 1;
	gate[n] = OPEN;
	judge_lead_alone(n)
}
#endif

inline execute(n)
{
	reply_effect[n] = 1 << operations;
	reply_must_see[n] = released;
	memory[n] = memory[n] | reply_effect[n];
	operations++;
	reply[n] = EXECUTED
}

/* The device writes at once or later, whether or not the peer's processes run, until it is fenced:
 * later is as if the epoch were sealed later. */
#define CAN_SEAL(n)                                                             \
	(epoch[n] == NO_EPOCH && SESSION_LIVES(n) && !is_fenced[PEER] && cache[PEER] == 0)

inline seal(n)
{
	cache[PEER] = ARRIVAL + memory[n];
	epoch[n] = ARRIVED
}

inline let_out(n)
{
	judge_reply(n);
	forget_reply(n)
}

proctype Program(byte n)
{
	do
	/* Orders. */
	:: d_step { IS_ORDERED(n) && is_halted[n] -> end_program(n) }
	:: d_step {
		IS_ORDERED(n) && led_generation[n] != 0 && !is_led_pair[n] &&
		(led[n] != led_generation[n] || gate[n] == ACKNOWLEDGED) ->
		take_lead_solo(n)
	}
	:: d_step {
		IS_ORDERED(n) && is_led_pair[n] &&
		(led[n] != led_generation[n] || (is_quiet[n] && state[n] == PRIMARY_PAIR)) ->
		take_lead_pair(n)
	}
#ifdef WITH_SWITCHOVER
	/* R9: QUIESCE begins no epoch any more, and when none is under way the gate is closed. What
	 * the program executes meanwhile is nobody's to know. */
	:: d_step {
		IS_ORDERED(n) && offer[n] == QUIESCING && !is_quiet[n] && gate[n] == ACKNOWLEDGED ->
		is_quiet[n] = 1
	}
	:: d_step {
		is_quiet[n] && session[n] == STREAMING && epoch[n] == NO_EPOCH &&
		gate[n] == ACKNOWLEDGED ->
		gate[n] = HOLD
	}
#endif

#ifdef WITH_LEAVING
	/* It, or the operator, asks to end its protection; it goes on as before until RELEASE. */
	:: d_step { led[n] != 0 && !is_leaving[n] && leaves < LEAVES -> leaves++; is_leaving[n] = 1 }
	:: d_step { IS_ORDERED(n) && IS_RELEASED(n) && !has_left[n] -> leave(n) }
	/* Protected anew it is another program, with the same memory, and waits to be led. */
	:: d_step {
		has_left[n] && known_program[n] == 0 && program_lives[n] < LIVES ->
		program_lives[n]++;
		program[n] = program_lives[n];
		has_left[n] = 0;
		gate[n] = HOLD
	}
#endif
#ifdef OWN_RECORDS
	/* What was switched off, or has ended, is started again. */
	:: d_step {
		program[n] == 0 && known_program[n] == 0 && program_lives[n] < LIVES &&
		owner[n] == n && copy_incarnation[n] == LEFT ->
		program_lives[n]++;
		program[n] = program_lives[n]
	}
#endif

	/* Clients. */
	:: d_step {
		(led[n] != 0 || HAS_LEFT(n)) && reply[n] == NO_REPLY && operations < OPERATIONS ->
		execute(n)
	}
	:: d_step { gate[n] == OPEN && reply[n] != NO_REPLY -> let_out(n) }
#ifdef WITHOUT_R1
	:: d_step { gate[n] == ACKNOWLEDGED && reply[n] == EXECUTED -> let_out(n) }
#endif

	/* A session. HELLO is refused by a standby that was told of another generation or owner. What
	 * it holds of this program is the base of the next copy, other memory is thrown away. */
	:: d_step {
		led[n] != 0 && session[n] == DOWN && PEER_STANDBY != 0 && !is_fenced[PEER] &&
		standby_generation[PEER] == led[n] && standby_owner[PEER] == program[n] &&
		cache[PEER] == 0 && (!IS_LED_PAIR(n) || copy_of[PEER] == program[n]) ->
		session_peer[n] = PEER_STANDBY;
		standby_session[PEER] = program[n];
		if
		:: IS_LED_PAIR(n) -> session[n] = STREAMING
		:: else ->
			session[n] = COPYING;
			if
			:: copy_of[PEER] == program[n]
			:: else -> renew_image(PEER)
			fi
		fi
	}
	:: d_step { session[n] != DOWN -> lose_session(n) }

	/* Epochs. R7: from the capture of a copy's last epoch nothing leaves before the next word. */
	:: d_step {
		session[n] == COPYING && CAN_SEAL(n) ->
		seal(n);
		session[n] = CAPTURED;
#ifndef WITHOUT_R7
		gate[n] = HOLD
#endif
	}
	:: d_step {
		session[n] == STREAMING && CAN_SEAL(n) && gate[n] == ACKNOWLEDGED && !is_quiet[n] &&
		reply[n] == EXECUTED ->
		seal(n);
		reply[n] = IN_EPOCH
	}
	:: d_step {
		session[n] == CAPTURED && epoch[n] == COMMITTED ->
		epoch[n] = NO_EPOCH;
		session[n] = COPIED;
		is_copy_told[n] = 1
	}
	/* R1: in a pair an acknowledgement in the generation that it leads in lets a reply out. */
	:: d_step { session[n] == STREAMING && epoch[n] == COMMITTED -> epoch[n] = NO_EPOCH; let_out(n) }

	/* Faults: it ends, or it ends and is started again with other memory. */
	:: d_step {
		program[n] != 0 && plane_crashes < PLANE_CRASHES ->
		plane_crashes++;
		end_program(n)
	}
	:: d_step {
		program[n] != 0 && plane_crashes < PLANE_CRASHES && program_lives[n] < LIVES ->
		plane_crashes++;
		end_program(n);
		program_lives[n]++;
		program[n] = program_lives[n]
	}
	od
}
