/* The arbiter: it replaces its record by compare-and-set. */

/* Any question that names the record may be answered at any time, long after its asker gave up
 * waiting, has asked another one, or has died. The others name a record that is gone: they lose. */
inline apply(node, slot)
{
	d_step {
		asked[SLOT(node, slot)] != 0 ->
#ifdef OWN_RECORDS
		if
		:: asked[SLOT(node, slot)] >= BLIND -> switch_off((1 - node))
		:: else
		fi;
#endif
		judge_record(node, asked[SLOT(node, slot)]);
		generation[OF(node)] = generation[OF(node)] + RAISE(asked[SLOT(node, slot)]);
		owner[OF(node)] = node;
		owner_incarnation[OF(node)] = OWNER_OF(asked[SLOT(node, slot)]);
		copy_incarnation[OF(node)] = COPY_OF(asked[SLOT(node, slot)]);
		if
		:: question[node] == OUT && question_slot[node] == slot ->
			question[node] = WON;
			won_record[node] = asked[SLOT(node, slot)]
		:: else
		fi;
		forget_questions(node)
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
