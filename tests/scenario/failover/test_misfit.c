#include "story.h"

#include <tandem/error.h>

/* A standby whose node has not what the program needs to go on [C35] lets the other node go on. */

static void expect_wait(const char *text)
{
	const char *waiting_for = tandem_machine_waiting_for(&story.nodes[1].machine, story.now_ns);
	cr_expect_not_null(strstr(waiting_for, text), "%s", waiting_for);
}

/* The lost primary is not taken over for as long as that is so, and then within `patience_ns`. */
static void expect_take_over_behind(bool *hindrance, const char *wait, uint64_t patience_ns)
{
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	expect_wait(wait);
	*hindrance = false;
	cluster_run(&story, patience_ns);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

static void begin_misfit(void)
{
	begin_paired();
	story.nodes[1].is_misfit = true;
}

static const struct tandem_action *reply(void)
{
	for (size_t i = 0; i < story.actions.count; i++) {
		if (story.actions.list[i].type == TANDEM_ACTION_REPLY)
			return &story.actions.list[i];
	}
	cr_assert_fail("no answer");
	return NULL;
}

Test(misfit, the_primary_goes_on_when_everything_between_the_nodes_is_cut)
{
	begin_misfit();
	cluster_cut_data(&story, true);
	cluster_cut_beats(&story, true);
	cluster_run(&story, 500 * MS);
	expect_trace("2020 b alarm: this node has not what the program needs\n"
	             "2184 a alarm: heartbeats are silent on every link alth\n"
	             "2200 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2200 a alarm over: heartbeats are silent on every link alth\n"
	             "2200 a GATED -> PRIMARY_SOLO: the register says SOLO\n");
	expect_wait("until then it does not take over");
}

static void begin_unjudged(void)
{
	begin_paired();
	story.nodes[1].is_unjudged = true;
	cluster_run(&story, 30 * MS);
}

/* What the node has was exchanged just before the operator's word. */
Test(misfit, a_hand_over_waits_until_it_is_known)
{
	begin_unjudged();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 300 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	expect_wait("to say whether it has what the program needs");
	story.nodes[1].is_unjudged = false;
	cluster_run(&story, 200 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

Test(misfit, a_hand_over_to_what_has_it_not_is_withdrawn_and_the_primary_goes_on)
{
	begin_unjudged();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 100 * MS);
	story.nodes[1].is_misfit = true;
	cluster_run(&story, 10000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect_not_null(strstr(story.trace, "did not take over: going on here"), "%s",
	                   story.trace);
	cr_expect_eq(story.take_over_count, 0);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

Test(misfit, a_hand_over_that_nobody_knows_an_answer_to_is_withdrawn)
{
	begin_unjudged();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 10000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect_eq(story.take_over_count, 0);
}

Test(misfit, a_take_over_of_a_lost_primary_waits_until_it_is_known)
{
	begin_unjudged();
	expect_take_over_behind(&story.nodes[1].is_unjudged,
	                        "to say whether it has what the program needs", 200 * MS);
}

/* As soon as it is there, the take-over comes by itself. */
Test(misfit, a_lost_primary_is_taken_over_for_when_what_is_needed_is_there)
{
	begin_misfit();
	cluster_run(&story, 30 * MS);
	expect_take_over_behind(&story.nodes[1].is_misfit, "until then it does not take over",
	                        100 * MS);
}

Test(misfit, no_word_lets_it_ask)
{
	begin_misfit();
	cluster_run(&story, 30 * MS);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	say(1, TANDEM_EVENT_PROMOTE, cluster_record(&story, 1)->generation);
	cr_expect_eq(reply()->status, TANDEM_E_REFUSED);
	cr_expect_not_null(strstr(reply()->text, "what to install"), "%s", reply()->text);
	cluster_run(&story, 1000 * MS);
	cr_expect_eq(story.take_over_count, 0);
}

Test(misfit, what_forcing_it_risks_is_said)
{
	begin_misfit();
	cluster_run(&story, 30 * MS);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	say(1, TANDEM_EVENT_FORCE, 0);
	cr_expect_eq(reply()->status, 0);
	cr_expect_not_null(strstr(reply()->text, "nothing starts here before"), "%s",
	                   reply()->text);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_HALTED, "%s", story.trace);
	story.nodes[1].is_misfit = false;
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
}
