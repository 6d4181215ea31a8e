#include "story.h"

Test(stories, start_and_first_copy)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	expect_trace(
	        "1003 a INIT -> JOINING: the register was read\n"
	        "1003 b INIT -> JOINING: the register was read\n"
	        "1013 a JOINING: the register is empty and this node is to lead first\n"
	        "1015 a JOINING -> PRIMARY_SOLO: the register says that this program leads alone\n"
	        "1054 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	        "1054 a GATED: asking to record the copy\n"
	        "1056 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	        "1059 b JOINING -> SECONDARY: the register says that this standby holds a full "
	        "copy\n");
}

Test(stories, primary_dies_and_comes_back_as_secondary)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_start_controller(&story, 0);
	cluster_start_standby(&story, 0);
	cluster_run(&story, 1000 * MS);
	expect_trace("2197 b SECONDARY: the primary is lost: asking to take over\n"
	             "2199 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2199 b TAKING_OVER: fencing the old primary\n"
	             "2201 b TAKING_OVER: fenced: starting the program\n"
	             "2211 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3003 a INIT -> JOINING: the register was read\n"
	             "3006 b alarm: heartbeats are silent on every link alth\n"
	             "3012 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3012 b GATED: asking to record the copy\n"
	             "3014 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3017 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n"
	             "3018 b alarm over: heartbeats are silent on every link alth\n");
}

Test(stories, primary_program_dies_alone)
{
	begin_paired();
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 1000 * MS);
	expect_trace("2001 a PRIMARY_PAIR -> JOINING: the leading program is gone\n"
	             "2002 b SECONDARY: the primary is lost: asking to take over\n"
	             "2004 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2004 b TAKING_OVER: fencing the old primary\n"
	             "2006 b TAKING_OVER: fenced: starting the program\n"
	             "2016 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "2073 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2073 b GATED: asking to record the copy\n"
	             "2075 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2078 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, secondary_dies_and_comes_back)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_start_controller(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	expect_trace("2002 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2202 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3003 b INIT -> JOINING: the register was read\n"
	             "3060 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3060 a GATED: asking to record the copy\n"
	             "3062 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3065 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, standby_restarts_and_is_copied_anew)
{
	begin_paired();
	cluster_kill_standby(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	expect_trace("2001 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "2002 a PRIMARY_PAIR -> GATED: the peer says that its standby is gone\n"
	             "2002 a GATED: the copy is lost: asking to go on alone\n"
	             "2004 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2057 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2057 a GATED: asking to record the copy\n"
	             "2059 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2062 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, heartbeats_are_cut_and_the_session_lives)
{
	begin_paired();
	cluster_cut_beats(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(story.record.generation == 2, "still the same pair");
	cluster_cut_beats(&story, false);
	cluster_run(&story, 500 * MS);
	expect_trace("2197 b alarm: heartbeats are silent on every link alth\n"
	             "2200 a alarm: heartbeats are silent on every link alth\n"
	             "3017 b alarm over: heartbeats are silent on every link alth\n"
	             "3020 a alarm over: heartbeats are silent on every link alth\n");
}

Test(stories, one_heartbeat_link_is_cut)
{
	begin_paired();
	story.beats_are_cut[0][1] = true;
	cluster_run(&story, 500 * MS);
	story.beats_are_cut[0][1] = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2197 b alarm: a heartbeat link is silent\n"
	             "2517 b alarm over: a heartbeat link is silent\n");
}

Test(stories, only_the_session_is_cut)
{
	begin_paired();
	cluster_cut_data(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_cut_data(&story, false);
	cluster_run(&story, 500 * MS);
	expect_trace("2301 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2601 a GATED: the copy is lost: asking to go on alone\n"
	             "2603 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2606 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "3007 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3007 a GATED: asking to record the copy\n"
	             "3009 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3012 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, all_is_cut_and_the_primary_reaches_the_arbiter)
{
	begin_paired();
	cluster_cut_data(&story, true);
	cluster_cut_beats(&story, true);
	story.nodes[1].arbiter_is_cut = true;
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "it waits for the arbiter");
	story.nodes[1].arbiter_is_cut = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2059 b alarm: the arbiter does not answer: no failover\n"
	             "2197 b alarm: heartbeats are silent on every link alth\n"
	             "2200 a alarm: heartbeats are silent on every link alth\n"
	             "2201 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2201 a GATED: the copy is lost: asking to go on alone\n"
	             "2201 a alarm over: heartbeats are silent on every link alth\n"
	             "2201 b SECONDARY: the primary is lost: asking to take over\n"
	             "2201 b alarm over: heartbeats are silent on every link alth\n"
	             "2203 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3035 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "3035 b alarm over: the arbiter does not answer: no failover\n");
}

Test(stories, all_is_cut_and_the_secondary_reaches_the_arbiter)
{
	begin_paired();
	cluster_cut_data(&story, true);
	cluster_cut_beats(&story, true);
	story.nodes[0].arbiter_is_cut = true;
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_GATED, "it waits, and answers nobody");
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	story.nodes[0].arbiter_is_cut = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2050 a alarm: the arbiter does not answer: no failover\n"
	             "2197 b alarm: heartbeats are silent on every link alth\n"
	             "2200 a alarm: heartbeats are silent on every link alth\n"
	             "2201 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2201 a GATED: the copy is lost: asking to go on alone\n"
	             "2201 a alarm over: heartbeats are silent on every link alth\n"
	             "2201 b SECONDARY: the primary is lost: asking to take over\n"
	             "2201 b alarm over: heartbeats are silent on every link alth\n"
	             "2203 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2203 b TAKING_OVER: fencing the old primary\n"
	             "2205 b TAKING_OVER: fenced: starting the program\n"
	             "2237 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3035 a GATED -> HALTED: the register says that another leads\n"
	             "3035 a alarm over: the arbiter does not answer: no failover\n"
	             "3314 a HALTED -> INIT: what was halted is gone\n"
	             "3316 a INIT -> JOINING: the register was read\n");
}

Test(stories, primary_is_stopped_and_goes_on_after_the_take_over)
{
	begin_paired();
	cluster_stop_node(&story, 0, true);
	cluster_run(&story, 1500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_stop_node(&story, 0, false);
	cluster_run(&story, 1000 * MS);
	expect_trace("2197 b alarm: heartbeats are silent on every link alth\n"
	             "2201 b SECONDARY: the primary is lost: asking to take over\n"
	             "2201 b alarm over: heartbeats are silent on every link alth\n"
	             "2203 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2203 b TAKING_OVER: fencing the old primary\n"
	             "2205 b TAKING_OVER: fenced: starting the program\n"
	             "2215 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3501 a alarm: this node was not scheduled for half a h\n"
	             "3501 a PRIMARY_PAIR -> GATED: the peer says that its standby is gone\n"
	             "3502 a GATED: the copy is lost: asking to go on alone\n"
	             "3503 a GATED -> HALTED: the register says that another leads\n"
	             "3596 a HALTED -> INIT: what was halted is gone\n"
	             "3598 a INIT -> JOINING: the register was read\n"
	             "3617 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3617 b GATED: asking to record the copy\n"
	             "3619 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3622 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, the_arbiter_is_lost_and_nothing_else)
{
	begin_paired();
	story.nodes[0].arbiter_is_cut = story.nodes[1].arbiter_is_cut = true;
	cluster_run(&story, 2000 * MS);
	cr_expect(story.publish_ns > story.now_ns - 100 * MS, "the pair goes on");
	story.nodes[0].arbiter_is_cut = story.nodes[1].arbiter_is_cut = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2050 a alarm: the arbiter does not answer: no failover\n"
	             "2059 b alarm: the arbiter does not answer: no failover\n"
	             "4026 a alarm over: the arbiter does not answer: no failover\n"
	             "4035 b alarm over: the arbiter does not answer: no failover\n");
}

Test(stories, controllers_restart_and_go_on)
{
	begin_paired();
	for (unsigned node = 0; node < 2; node++) {
		cluster_kill_controller(&story, node);
		cluster_start_controller(&story, node);
	}
	cluster_run(&story, 500 * MS);
	cr_expect(story.record.generation == 2, "still the same pair");
	expect_trace("2003 a INIT -> JOINING: the register was read\n"
	             "2003 b INIT -> JOINING: the register was read\n"
	             "2031 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n"
	             "2033 a JOINING -> PRIMARY_PAIR: the register says that this program leads, "
	             "with a copy\n");
}

Test(stories, who_led_alone_and_died_must_not_lead_again)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cluster_kill_programs(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns),
	                 "force-primary");
	expect_trace("2002 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2202 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3001 a PRIMARY_SOLO -> JOINING: the leading program is gone\n");
}

Test(stories, the_damper_holds_after_too_many_take_overs)
{
	begin_paired();
	story.nodes[1].machine.config.pair.damper_take_over_count = 1;
	story.nodes[1].machine.config.pair.damper_window_ns = 60000 * MS;
	story.nodes[1].machine.damper_ns[0] = story.now_ns;
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[1].machine, story.now_ns), "promote");
	struct tandem_event word = {.type = TANDEM_EVENT_PROMOTE, .generation = 2};
	cluster_feed(&story, 1, &word);
	cluster_run(&story, 500 * MS);
	expect_trace("2002 b alarm: too many automatic take-overs in the win\n"
	             "3000 b SECONDARY: the operator's word was given\n"
	             "3000 b SECONDARY: the primary is lost: asking to take over\n"
	             "3002 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "3002 b TAKING_OVER: fencing the old primary\n"
	             "3002 b alarm over: too many automatic take-overs in the win\n"
	             "3004 b TAKING_OVER: fenced: starting the program\n"
	             "3014 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Deadlines that contradict each other are a reason to ask the operator, not to guess. */
Test(stories, timers_that_differ_leave_the_take_over_to_the_operator)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	story.nodes[1].config.pair.fence_timeout_ns += MS;
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	cr_assert(story.record.is_pair, "the pair is made all the same");
	cr_expect(strstr(story.trace, "b alarm: the two nodes are configured differently"));
	story.trace_length = 0;
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[1].machine, story.now_ns), "promote");
	struct tandem_event word = {.type = TANDEM_EVENT_PROMOTE, .generation = 2};
	cluster_feed(&story, 1, &word);
	cluster_run(&story, 500 * MS);
	expect_trace("3000 b SECONDARY: the operator's word was given\n"
	             "3000 b SECONDARY: the primary is lost: asking to take over\n"
	             "3002 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "3002 b TAKING_OVER: fencing the old primary\n"
	             "3004 b TAKING_OVER: fenced: starting the program\n"
	             "3014 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(stories, timers_that_agree_again_are_no_obstacle)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	story.nodes[0].config.pair.heartbeat_miss_count++;
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	cluster_kill_controller(&story, 0);
	story.nodes[0].config.pair.heartbeat_miss_count--;
	cluster_start_controller(&story, 0);
	cluster_run(&story, 500 * MS);
	cr_expect(strstr(story.trace, "b alarm over: the two nodes are configured differently"));
	story.trace_length = 0;
	cluster_kill_node(&story, 0);
	cluster_run(&story, 500 * MS);
	expect_trace("2692 b SECONDARY: the primary is lost: asking to take over\n"
	             "2694 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2694 b TAKING_OVER: fencing the old primary\n"
	             "2696 b TAKING_OVER: fenced: starting the program\n"
	             "2704 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}
