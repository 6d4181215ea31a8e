/* A standby: the cache that the peer writes to, and the image that only its software changes. */

#define PEER_AWAITS(n)                                                           \
	(epoch[PEER] == ARRIVED && session_peer[PEER] == standby[n] &&            \
	 standby_session[n] == program[PEER])

inline end_standby(n)
{
	standby[n] = 0;
	standby_generation[n] = 0;
	standby_owner[n] = 0;
	standby_session[n] = 0;
	copy_of[n] = 0;
	image[n] = 0;
	cache[n] = 0;
	is_fenced[n] = 0
}

inline begin_standby(n)
{
	standby_lives[n]++;
	standby[n] = standby_lives[n]
}

inline renew_image(node)
{
	copy_of[node] = 0;
	image[node] = 0
}

inline commit(n)
{
	image[n] = cache[n] - ARRIVAL;
	copy_of[n] = standby_session[n];
	cache[n] = 0
}

/* R1: its word carries the generation that it was told; a copy counts in any. */
inline acknowledge(n)
{
	if
	:: PEER_AWAITS(n) && (session[PEER] == CAPTURED || standby_generation[n] == led[PEER]) ->
		epoch[PEER] = COMMITTED
	:: PEER_AWAITS(n) && session[PEER] != CAPTURED && standby_generation[n] != led[PEER] ->
		epoch[PEER] = COMMITTED_BEFORE
	:: else
	fi
}

/* R6, R8: what is no full copy is never started, whatever the register says. */
#if defined(WITHOUT_R6) || defined(WITHOUT_R8)
#define IS_PROMOTABLE(n) 1
#else
#define IS_PROMOTABLE(n) (copy_of[n] != 0)
#endif

inline activate(n)
{
#ifdef WITHOUT_R3
	memory[n] = early_image[n];
#else
	memory[n] = image[n];
#endif
	judge_activation(n, memory[n]);
	program[n] = HEIR(standby[n]);
#ifndef WITHOUT_R2
	end_standby(n)
#endif
}

#define IS_ORDERED_TO(n, order_)                                                \
	(take_over_order[n] == order_ && standby[n] != 0 && take_over_standby[n] == standby[n])

proctype Standby(byte n)
{
	do
	:: d_step {
		cache[n] != 0 && !is_fenced[n] ->
		commit(n);
		acknowledge(n)
	}
	/* It has learned the generation since: the pong says so. */
	:: d_step {
		epoch[PEER] == COMMITTED_BEFORE && session_peer[PEER] == standby[n] &&
		standby_session[n] == program[PEER] && !is_fenced[n] &&
		standby_generation[n] == led[PEER] ->
		epoch[PEER] = COMMITTED
	}
	/* R2: revoked, and no word after that; R3: then drained. */
	:: d_step {
		IS_ORDERED_TO(n, FENCE) && !is_fenced[n] ->
		is_fenced[n] = 1;
		if
		:: cache[n] != 0 -> commit(n)
		:: else
		fi
	}
	/* A program that was halted and is stopped keeps its node from starting another one. */
	:: d_step { IS_ORDERED_TO(n, ACTIVATE) && IS_PROMOTABLE(n) && program[n] == 0 -> activate(n) }

	:: d_step {
		standby[n] == 0 && known_standby[n] == 0 && standby_lives[n] < LIVES &&
		(program[n] == 0 || owner[OF(n)] == PEER) ->
		begin_standby(n)
	}

	/* Fault: tandemd ends and is started again. */
	:: d_step {
		standby[n] != 0 && plane_crashes < PLANE_CRASHES && standby_lives[n] < LIVES ->
		plane_crashes++;
		end_standby(n);
		begin_standby(n)
	}
	od
}
