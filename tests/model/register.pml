/* The arbiter's register: one record, replaced by compare-and-set. */

/* Any question that names the record may be answered at any time, long after its asker gave up
 * waiting, has asked another one, or has died. The others name a record that is gone: they lose. */
inline apply(node, slot)
{
	d_step {
		asked[SLOT(node, slot)] != 0 ->
		generation++;
		owner = node;
		owner_incarnation = OWNER_OF(asked[SLOT(node, slot)]);
		copy_incarnation = COPY_OF(asked[SLOT(node, slot)]);
		if
		:: question[node] == OUT && question_slot[node] == slot ->
			question[node] = WON;
			won_record[node] = asked[SLOT(node, slot)]
		:: else
		fi;
		asked[0] = 0;
		asked[1] = 0;
		asked[2] = 0;
		asked[3] = 0
	}
}

proctype Register()
{
	do
	:: apply(0, 0)
	:: apply(0, 1)
	:: apply(1, 0)
	:: apply(1, 1)
	od
}

/* Asked again after a doubt a question keeps its name, here its slot. */
#define ASKS_AGAIN(n, record) \
	(question_slot[n] < SLOTS && asked[SLOT(n, question_slot[n])] == (record))
#define MAY_ASK(n, record)                                                              \
	(question[n] == IDLE && seen_generation[n] == generation &&                      \
	 generation < GENERATIONS &&                                                      \
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

inline see(n, is_mine_)
{
	is_mine[n] = (is_mine_ && copy_incarnation == 0);
	if
	:: is_mine[n]
	:: else -> end_take_over(n)
	fi;
	seen_generation[n] = generation;
	seen_owner[n] = owner;
	seen_owner_incarnation[n] = owner_incarnation;
	seen_copy[n] = copy_incarnation;
	forget_record(n)
}

/* A reading, after the answer "lost" or without an answer: then it tells whether the question was
 * applied, but an unchanged record does not prove that it never will be. */
inline read_register(n)
{
	if
	:: generation == seen_generation[n] ->
		is_contested[n] = (is_contested[n] || question[n] == OUT)
	:: else ->
		see(n, question[n] == WON && generation == seen_generation[n] + 1)
	fi;
	won_record[n] = 0;
	question[n] = IDLE
}

/* The answer of a question that won, as it was then: the register may have moved on. */
inline hear_win(n)
{
	is_mine[n] = (COPY_OF(won_record[n]) == 0);
	seen_generation[n]++;
	seen_owner[n] = n;
	seen_owner_incarnation[n] = OWNER_OF(won_record[n]);
	seen_copy[n] = COPY_OF(won_record[n]);
	forget_record(n);
	won_record[n] = 0;
	question[n] = IDLE
}
