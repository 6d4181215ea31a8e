/* What must never be. The judge sees everything and is seen by nobody. */

byte released;       /* effects that clients have been told of */
byte offered_memory; /* what the program's epochs held when its hand-over was offered */
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
	assert(!(program[PEER] != 0 && gate[PEER] == OPEN))
}

/* WITNESS claims what is false: that no pair comes back after a take-over. Its error shows that the
 * model is not sound for want of anything that happens. */
inline judge_pair(n)
{
#ifdef WITNESS
	assert(n == 0 || released == 0)
#else
	skip
#endif
}

/* A reply leaves: nobody else lets any out in this generation, no hand-over is on offer, it saw what
 * clients knew when its request was sent, and whoever leads by now has its effect. */
inline judge_reply(n)
{
	assert(!(program[PEER] != 0 && led[PEER] == led[n] && gate[PEER] != HOLD));
	assert(offer[n] != OFFERED);
	assert(IS_IN(reply_must_see[n], memory[n]));
	assert(!(owner == PEER && program[PEER] != 0 && owner_incarnation == program[PEER]) ||
	       IS_IN(reply_effect[n], memory[PEER]));
	released = released | reply_effect[n]
}
