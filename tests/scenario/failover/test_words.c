#include "story.h"

/* The operator's words. */

static void say(unsigned node, enum tandem_event_type type, uint64_t generation)
{
	struct tandem_event event = {.type = type, .generation = generation};
	cluster_feed(&story, node, &event);
}

static void begin_manual(void)
{
	cluster_init(&story, 1, TANDEM_ARBITER_MANUAL);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(story.record.is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

Test(words, with_the_arbiter_manual_a_take_over_waits_for_the_word)
{
	begin_manual();
	cluster_kill_node(&story, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[1].machine, story.now_ns), "promote");
	say(1, TANDEM_EVENT_PROMOTE, 1);
	cluster_run(&story, 200 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "that was another generation");
	say(1, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 200 * MS);
	expect_trace("5700 b SECONDARY: the operator's word was given\n"
	             "5700 b SECONDARY: the primary is lost: asking to take over\n"
	             "5702 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "5702 b TAKING_OVER: fencing the old primary\n"
	             "5704 b TAKING_OVER: fenced: starting the program\n"
	             "5713 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(words, with_the_arbiter_manual_going_on_alone_waits_for_the_word)
{
	begin_manual();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_GATED);
	say(0, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 200 * MS);
	expect_trace("3502 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "5500 a GATED: the operator's word was given\n"
	             "5500 a GATED: the copy is lost: asking to go on alone\n"
	             "5502 a GATED -> PRIMARY_SOLO: the register says SOLO\n");
}

Test(words, with_the_arbiter_manual_the_first_leader_asks_the_peer)
{
	cluster_init(&story, 1, TANDEM_ARBITER_MANUAL);
	cluster_start_controller(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING, "nobody says that nobody leads");
	cluster_start_controller(&story, 1);
	cluster_run(&story, 2000 * MS);
	expect_trace("1003 a INIT -> JOINING: the register was read\n"
	             "3003 b INIT -> JOINING: the register was read\n"
	             "4002 a JOINING: the register is empty and this node is to lead first\n"
	             "4004 a JOINING -> PRIMARY_SOLO: the register says that this program leads "
	             "alone\n");
}

Test(words, promote_of_a_healthy_secondary_is_a_take_over_that_the_primary_obeys)
{
	begin_paired();
	say(1, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 1000 * MS);
	expect_trace("2000 b SECONDARY: the operator's word was given\n"
	             "2000 b SECONDARY: the primary is lost: asking to take over\n"
	             "2002 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2002 b TAKING_OVER: fencing the old primary\n"
	             "2004 b TAKING_OVER: fenced: starting the program\n"
	             "2004 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2005 a GATED -> HALTED: the register says that another leads\n"
	             "2032 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "2112 a HALTED -> INIT: what was halted is gone\n"
	             "2114 a INIT -> JOINING: the register was read\n"
	             "2143 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2143 b GATED: asking to record the copy\n"
	             "2145 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2148 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(words, force_primary_leads_with_what_is_there)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cluster_kill_programs(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 500 * MS);
	/* What only the dead program knew is lost, and the operator has said so. */
	memset(story.published, 0, sizeof(story.published));
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_run(&story, 500 * MS);
	expect_trace("2002 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2202 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3001 a PRIMARY_SOLO -> JOINING: the leading program is gone\n"
	             "3500 a JOINING: the operator accepts loss of data: asking to lead\n"
	             "3502 a JOINING -> TAKING_OVER: the register names this node\n"
	             "3502 a TAKING_OVER: fencing the old primary\n"
	             "3504 a TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(words, maintenance_decides_nothing_until_it_is_over)
{
	begin_paired();
	say(0, TANDEM_EVENT_MAINTENANCE_ON, 0);
	say(1, TANDEM_EVENT_MAINTENANCE_ON, 0);
	cluster_cut_beats(&story, true);
	cluster_cut_data(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(story.record.generation == 2);
	cluster_cut_beats(&story, false);
	cluster_cut_data(&story, false);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_MAINTENANCE_OFF, 0);
	say(1, TANDEM_EVENT_MAINTENANCE_OFF, 0);
	cluster_run(&story, 500 * MS);
	expect_trace(
	        "2000 a PRIMARY_PAIR -> MAINTENANCE: the operator's word: no automatic decisions\n"
	        "2000 b SECONDARY -> MAINTENANCE: the operator's word: no automatic decisions\n"
	        "3004 a alarm: heartbeats are silent on every link alth\n"
	        "3004 b alarm: heartbeats are silent on every link alth\n"
	        "3021 b alarm over: heartbeats are silent on every link alth\n"
	        "3021 a alarm over: heartbeats are silent on every link alth\n"
	        "3500 a MAINTENANCE -> INIT: maintenance is over\n"
	        "3500 b MAINTENANCE -> INIT: maintenance is over\n"
	        "3502 a INIT -> JOINING: the register was read\n"
	        "3502 a JOINING -> PRIMARY_PAIR: the register says that this program leads, with a "
	        "copy\n"
	        "3502 b INIT -> JOINING: the register was read\n"
	        "3502 b JOINING -> SECONDARY: the register says that this standby holds a full "
	        "copy\n");
}

Test(words, yank_ends_the_session_and_nothing_else)
{
	begin_paired();
	say(0, TANDEM_EVENT_YANK, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(story.record.generation == 2, "the session was back in time");
	expect_trace("2000 a PRIMARY_PAIR: the operator yanked the session\n"
	             "2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2002 a GATED -> PRIMARY_PAIR: the session with the copy is back\n");
}
