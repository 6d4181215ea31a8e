/* What a controller asks the register, and what it sees of it. Where each node keeps records of its
 * own there are two, and heartbeats carry the newer one to the other node. */

#ifdef WITHOUT_LEFT_BY_ONE
#define RAISE(record) (((record) >= BLIND || COPY_OF(record) == LEFT) -> 2 : 1)
#else
/* What is put over a record unseen must win, whatever the other node has written. */
#define RAISE(record) ((record) >= BLIND -> 2 : 1)
#endif

inline forget_questions(node)
{
#ifdef OWN_RECORDS
	asked[SLOT(node, 0)] = 0;
	asked[SLOT(node, 1)] = 0
#else
	asked[0] = 0;
	asked[1] = 0;
	asked[2] = 0;
	asked[3] = 0
#endif
}

#ifdef OWN_RECORDS
/* Two nodes' records may be of one generation. */
#define SEES_NEWEST(n)                                                                  \
	(seen_generation[n] == generation[n] && seen_owner[n] == owner[n] &&             \
	 seen_copy[n] == copy_incarnation[n])
#else
#define SEES_NEWEST(n) (seen_generation[n] == generation[0])
#endif

/* Asked again after a doubt a question keeps its name, here its slot. */
#define ASKS_AGAIN(n, record) \
	(question_slot[n] < SLOTS && asked[SLOT(n, question_slot[n])] == (record))
#define MAY_ASK(n, record)                                                              \
	(question[n] == IDLE && SEES_NEWEST(n) &&                                        \
	 generation[OF(n)] + RAISE(record) <= GENERATIONS &&                              \
	 (ASKS_AGAIN(n, record) || asked[SLOT(n, 0)] == 0 || asked[SLOT(n, 1)] == 0))

inline ask(n, record)
{
	if
	:: ASKS_AGAIN(n, record)
	:: else ->
		question_slot[n] = (asked[SLOT(n, 0)] == 0 -> 0 : 1);
		asked[SLOT(n, question_slot[n])] = record
	fi;
	question[n] = OUT
}

inline end_take_over(n)
{
	take_over_standby[n] = 0;
	take_over_order[n] = NOTHING;
	is_by_offer[n] = 0
}

/* The controller of n looks at another record than before. */
inline forget_record(n)
{
	is_contested[n] = 0;
	is_led_solo[n] = 0;
	is_told[n] = 0;
	question_slot[n] = SLOTS
}

/* A record that was left is nobody's to lead by. */
#ifdef WITHOUT_LEFT_LEADS_NOBODY
#define MAY_LEAD_ALONE(copy) ((copy) == 0 || (copy) == LEFT)
#else
#define MAY_LEAD_ALONE(copy) ((copy) == 0)
#endif
#define IS_PAIRED(copy) ((copy) != 0 && (copy) != LEFT)

inline see(n, is_mine_)
{
	is_mine[n] = (is_mine_ && MAY_LEAD_ALONE(copy_incarnation[OF(n)]));
	if
	:: is_mine[n]
	:: else -> end_take_over(n)
	fi;
	seen_generation[n] = generation[OF(n)];
	seen_owner[n] = owner[OF(n)];
	seen_owner_incarnation[n] = owner_incarnation[OF(n)];
	seen_copy[n] = copy_incarnation[OF(n)];
	forget_record(n)
}

/* A reading, after the answer "lost" or without an answer: then it tells whether the question was
 * applied, but an unchanged record does not prove that it never will be. */
inline read_register(n)
{
	if
	:: SEES_NEWEST(n) ->
		is_contested[n] = (is_contested[n] || question[n] == OUT)
	:: else ->
		see(n, question[n] == WON && owner[OF(n)] == n &&
		       generation[OF(n)] == seen_generation[n] + RAISE(won_record[n]))
	fi;
	won_record[n] = 0;
	question[n] = IDLE
}

/* The answer of a question that won, as it was then: the register may have moved on. */
inline hear_win(n)
{
	is_mine[n] = MAY_LEAD_ALONE(COPY_OF(won_record[n]));
	seen_generation[n] = seen_generation[n] + RAISE(won_record[n]);
	seen_owner[n] = n;
	seen_owner_incarnation[n] = OWNER_OF(won_record[n]);
	seen_copy[n] = COPY_OF(won_record[n]);
	forget_record(n);
	won_record[n] = 0;
	question[n] = IDLE
}
