#include "story.h"

/* A program that ends its protection in order: it goes on, and its copy never does. */

static void begin_with(enum tandem_arbiter_type type)
{
	cluster_init(&story, 1, type);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

Test(leaving, reads_as_a_story)
{
	begin_paired();
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 100 * MS);
	expect_trace(
	        "2000 a PRIMARY_PAIR: the operator's word: the program is to go on unprotected\n"
	        "2020 a PRIMARY_PAIR: the program leaves: asking to record it\n"
	        "2020 a PRIMARY_PAIR -> JOINING: the program has left: it goes on unprotected "
	        "and nobody leads\n"
	        "2020 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	        "register\n");
	cr_expect(cluster_record(&story, 0)->is_left);
}

Test(leaving, leaves_a_copy_that_never_goes_on)
{
	begin_paired();
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 500 * MS);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 5000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect(cluster_record(&story, 1)->is_left);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(leaving, is_over_with_the_next_program)
{
	begin_paired();
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

/* The other node has a record of its own, by which it could take over. */
Test(leaving, waits_until_the_other_node_knows)
{
	begin_with(TANDEM_ARBITER_FENCE);
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[0][link] = true; /* it hears nothing, and is heard */
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 100 * MS);
	cr_expect(cluster_record(&story, 0)->is_left, "%s", story.trace);
	cr_expect(state_of(0) != TANDEM_STATE_JOINING, "%s", story.trace);
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[0][link] = false;
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect(cluster_record(&story, 1)->is_left);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(leaving, is_refused_where_the_other_node_cannot_know)
{
	begin_with(TANDEM_ARBITER_FENCE);
	cluster_cut_beats(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect(cluster_record(&story, 0)->is_pair);
}
