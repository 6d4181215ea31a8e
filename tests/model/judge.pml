/* What must never be. The judge sees everything and is seen by nobody. */

byte released;       /* effects that clients have been told of */
byte offered_memory; /* what the program's epochs held when its hand-over was offered */
#ifdef WITH_LEAVING
bit leader_node; /* whose program was told to lead last */
#endif
#ifdef WITHOUT_R3
byte early_image[2];
#endif

#define IS_IN(part, whole) (((part) & (255 - (whole))) == 0)

/* A copy becomes a program: it is whole, it is not stale, and a planned hand-over loses nothing. */
inline judge_activation(n, image_)
{
	assert(copy_of[n] != 0);
	assert(IS_IN(released, image_));
	assert(!is_by_offer[n] || IS_IN(offered_memory, image_))
}

/* A program may answer by itself: nobody else does, and it knows all that was answered. */
inline judge_lead_alone(n)
{
	assert(IS_IN(released, memory[n]));
	assert(!(program[PEER] != 0 && gate[PEER] == OPEN));
	note_leader(n)
}

inline note_leader(n)
{
#ifdef WITH_LEAVING
	leader_node = n
#else
	skip
#endif
}

/* The next program after one that has left begins with what it holds: what only the last one of its
 * node answered, and took along, is over. What another one answered since is not. */
inline judge_record(n, record)
{
#ifdef WITH_LEAVING
	if
	:: copy_incarnation[OF(n)] == LEFT && COPY_OF(record) == 0 && leader_node == n &&
	   OWNER_OF(record) == program[n] ->
		released = released & memory[n]
	:: else
	fi
#else
	skip
#endif
}

/* WITNESS claims what is false: that no pair comes back after a take-over; WITNESS_LEAVING: nor with a
 * program that is protected anew. Their errors show that the model is not sound for want of anything
 * that happens. */
inline judge_pair(n)
{
#ifdef WITNESS
	assert(n == 0 || released == 0);
#endif
#ifdef WITNESS_LEAVING
	assert(program[n] == 1 || program[n] > LIVES);
#endif
	skip
}

/* A reply leaves: nobody else lets any out in this generation, no hand-over is on offer, it saw what
 * clients knew when its request was sent, and whoever leads by now has its effect. */
inline judge_reply(n)
{
	assert(!(program[PEER] != 0 && led[PEER] == led[n] && gate[PEER] != HOLD));
	assert(offer[n] != OFFERED);
	assert(IS_IN(reply_must_see[n], memory[n]));
	assert(!(owner[OF(PEER)] == PEER && program[PEER] != 0 &&
	         owner_incarnation[OF(PEER)] == program[PEER]) ||
	       IS_IN(reply_effect[n], memory[PEER]));
	released = released | reply_effect[n]
}
