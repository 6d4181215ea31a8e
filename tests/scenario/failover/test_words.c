#include "story.h"

/* The operator's words. */

static void begin_manual(void)
{
	cluster_init(&story, 1, TANDEM_ARBITER_MANUAL);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
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
	             "5700 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "5700 b TAKING_OVER: fencing the old primary\n"
	             "5700 b TAKING_OVER: fenced: starting the program\n"
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
	expect_trace("3500 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "5500 a GATED: the operator's word was given\n"
	             "5500 a GATED: the copy is lost: asking to go on alone\n"
	             "5500 a GATED -> PRIMARY_SOLO: the register says SOLO\n");
}

Test(words, with_the_arbiter_manual_a_copy_that_has_ended_needs_no_word)
{
	begin_manual();
	cluster_kill_standby(&story, 1);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	expect_trace("3500 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "3500 a PRIMARY_PAIR -> GATED: the peer says that its standby is gone\n"
	             "3500 a GATED: the copy is lost: asking to go on alone\n"
	             "3500 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "4061 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "4061 a GATED: asking to record the copy\n"
	             "4061 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "4062 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
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
	expect_trace("1000 a INIT -> JOINING: the register was read\n"
	             "3000 b INIT -> JOINING: the register was read\n"
	             "4000 a JOINING: the register is empty and this node is to lead first\n"
	             "4000 a JOINING -> PRIMARY_SOLO: the register says that this program leads "
	             "alone\n");
}

/* Node b was told to lead first while a was off, and has no program yet. */
Test(words, with_the_arbiter_manual_nobody_else_leads_first_once_the_word_was_given)
{
	cluster_init(&story, 1, TANDEM_ARBITER_MANUAL);
	cluster_start_controller(&story, 1);
	cluster_run(&story, 1500 * MS);
	say(1, TANDEM_EVENT_PROMOTE, 0);
	cluster_start_controller(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING, "%s", story.trace);
	cluster_start_program(&story, 1);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(words, with_the_arbiter_fence_the_first_leader_asks_the_peer_too)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FENCE);
	cluster_start_controller(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING, "nobody says that nobody leads");
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns), "promote");
	cluster_start_controller(&story, 1);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
}

Test(words, promote_of_a_healthy_secondary_is_a_take_over_that_the_primary_obeys)
{
	begin_paired();
	say(1, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 1000 * MS);
	expect_trace("2000 b SECONDARY: the operator's word was given\n"
	             "2000 b SECONDARY: the primary is lost: asking to take over\n"
	             "2000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2000 b TAKING_OVER: fencing the old primary\n"
	             "2000 b TAKING_OVER: fenced: starting the program\n"
	             "2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2000 a GATED -> HALTED: the register says that another leads\n"
	             "2020 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "2109 a HALTED -> INIT: what was halted is gone\n"
	             "2109 a INIT -> JOINING: the register was read\n"
	             "2161 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2161 b GATED: asking to record the copy\n"
	             "2162 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2162 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

/* The heartbeats go on, so no silence tells when a head start would be over. */
Test(words, with_the_arbiter_fence_a_program_that_hangs_is_taken_over)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FENCE);
	cluster_start(&story);
	cluster_run(&story, 4000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		story.nodes[0].programs[i].process.is_stopped = true;
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* Its host lives and lets it wait: it counts as hung only after a while. */
Test(words, a_program_that_does_not_report_is_not_lost_at_once)
{
	begin_paired();
	for (unsigned i = 0; i < 2; i++)
		story.nodes[i].machine.config.pair.hung_after_ns = 2000 * MS;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		story.nodes[0].programs[i].process.is_stopped = true;
	cluster_run(&story, 1900 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	cr_expect(cluster_record(&story, 0)->generation == 2);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* Both controllers live, so only the peer's word tells that its program is gone. */
Test(words, with_the_arbiter_manual_status_asks_for_the_word_when_only_the_program_died)
{
	begin_manual();
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[1].machine, story.now_ns), "promote");
	say(1, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 200 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
}

/* The standby of the forced node fences, which ends its use: told later that the other one leads,
 * it begins a new life [L11] and is copied to. */
Test(words, a_standby_that_a_forced_node_fenced_stands_by_again)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cluster_kill_programs(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 100 * MS);
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_start_controller(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 500 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_assert(story.nodes[0].standby.is_fenced);
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect(state_of(0) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

Test(words, force_primary_leads_with_what_is_there)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cluster_kill_programs(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_run(&story, 500 * MS);
	expect_trace("2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2184 a GATED: the copy is lost: asking to go on alone\n"
	             "2184 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3000 a PRIMARY_SOLO -> JOINING: the leading program is gone\n"
	             "3500 a JOINING: the operator accepts loss of data: asking to lead\n"
	             "3500 a JOINING -> TAKING_OVER: the register names this node\n"
	             "3500 a TAKING_OVER: fencing the old primary\n"
	             "3500 a TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Node a led alone and is gone with its memory; b holds nothing. */
static void lose_the_memory(void)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cluster_kill_node(&story, 0);
	cluster_start_controller(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	cr_assert(state_of(1) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[1].machine, story.now_ns),
	                 "force-primary");
	say(1, TANDEM_EVENT_FORCE, 0);
	story.trace_length = 0;
	story.trace[0] = 0;
}

Test(words, force_primary_without_a_program_is_for_the_one_that_starts_next)
{
	lose_the_memory();
	cluster_run(&story, 500 * MS);
	cr_expect(cluster_record(&story, 1)->generation == 3, "nothing was asked yet");
	cluster_start_program(&story, 1);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

Test(words, the_word_for_the_next_program_ends_when_the_other_node_is_heard)
{
	lose_the_memory();
	cluster_start_controller(&story, 0);
	cluster_run(&story, 500 * MS);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cluster_start_program(&story, 1);
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect(cluster_record(&story, 1)->generation == 3);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

Test(words, maintenance_decides_nothing_until_it_is_over)
{
	begin_paired();
	say(0, TANDEM_EVENT_MAINTENANCE_ON, 0);
	say(1, TANDEM_EVENT_MAINTENANCE_ON, 0);
	cluster_cut_beats(&story, true);
	cluster_cut_data(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(cluster_record(&story, 0)->generation == 2);
	cluster_cut_beats(&story, false);
	cluster_cut_data(&story, false);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_MAINTENANCE_OFF, 0);
	say(1, TANDEM_EVENT_MAINTENANCE_OFF, 0);
	cluster_run(&story, 500 * MS);
	expect_trace(
	        "2000 a PRIMARY_PAIR -> MAINTENANCE: the operator's word: no automatic decisions\n"
	        "2000 b SECONDARY -> MAINTENANCE: the operator's word: no automatic decisions\n"
	        "3014 b alarm: heartbeats are silent on every link alth\n"
	        "3014 a alarm: heartbeats are silent on every link alth\n"
	        "3020 b alarm over: heartbeats are silent on every link alth\n"
	        "3020 a alarm over: heartbeats are silent on every link alth\n"
	        "3500 a MAINTENANCE -> INIT: maintenance is over\n"
	        "3500 b MAINTENANCE -> INIT: maintenance is over\n"
	        "3500 a INIT -> JOINING: the register was read\n"
	        "3500 a JOINING -> PRIMARY_PAIR: the register says that this program leads, with a "
	        "copy\n"
	        "3500 b INIT -> JOINING: the register was read\n"
	        "3500 b JOINING -> SECONDARY: the register says that this standby holds a full "
	        "copy\n");
}

Test(words, yank_ends_the_session_and_nothing_else)
{
	begin_paired();
	say(0, TANDEM_EVENT_YANK, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(cluster_record(&story, 0)->generation == 2, "the session was back in time");
	expect_trace("2000 a PRIMARY_PAIR: the operator yanked the session\n"
	             "2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2000 a GATED -> PRIMARY_PAIR: the session with the copy is back\n");
}
