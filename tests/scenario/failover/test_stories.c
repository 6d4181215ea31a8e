#include "story.h"

Test(stories, start_and_first_copy)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	expect_trace(
	        "1000 a INIT -> JOINING: the register was read\n"
	        "1000 b INIT -> JOINING: the register was read\n"
	        "1010 a JOINING: the register is empty and this node is to lead first\n"
	        "1010 a JOINING -> PRIMARY_SOLO: the register says that this program leads alone\n"
	        "1083 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	        "1083 a GATED: asking to record the copy\n"
	        "1083 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	        "1083 b JOINING -> SECONDARY: the register says that this standby holds a full "
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
	expect_trace("2183 b SECONDARY: the primary is lost: asking to take over\n"
	             "2183 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2183 b TAKING_OVER: fencing the old primary\n"
	             "2184 b TAKING_OVER: fenced: starting the program\n"
	             "2194 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3000 a INIT -> JOINING: the register was read\n"
	             "3041 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3041 b GATED: asking to record the copy\n"
	             "3041 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3042 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, primary_program_dies_alone)
{
	begin_paired();
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 1000 * MS);
	expect_trace("2000 a PRIMARY_PAIR -> JOINING: the leading program is gone\n"
	             "2000 b SECONDARY: the primary is lost: asking to take over\n"
	             "2000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2000 b TAKING_OVER: fencing the old primary\n"
	             "2000 b TAKING_OVER: fenced: starting the program\n"
	             "2011 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "2070 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2070 b GATED: asking to record the copy\n"
	             "2070 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2071 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

/* The end is noticed while its memory is taken back: its sockets are still open. */
Test(stories, a_program_that_ends_is_replaced_although_its_session_is_fresh)
{
	begin_paired();
	struct tandem_event ended = {
	        .type = TANDEM_EVENT_ENDED,
	        .message = {.kind = TANDEM_CONTROL_KIND_PROGRAM,
	                    .incarnation = story.nodes[0].machine.program.incarnation}};
	cluster_feed(&story, 0, &ended);
	cr_expect(story.nodes[1].machine.standby.has_session);
	cluster_run(&story, 15 * MS);
	expect_trace("2000 a PRIMARY_PAIR -> JOINING: the leading program is gone\n"
	             "2000 b SECONDARY: the primary is lost: asking to take over\n"
	             "2000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2000 b TAKING_OVER: fencing the old primary\n"
	             "2000 b TAKING_OVER: fenced: starting the program\n");
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
	expect_trace("2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2184 a GATED: the copy is lost: asking to go on alone\n"
	             "2184 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3000 b INIT -> JOINING: the register was read\n"
	             "3015 a alarm: heartbeats are silent on every link alth\n"
	             "3020 a alarm over: heartbeats are silent on every link alth\n"
	             "3059 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3059 a GATED: asking to record the copy\n"
	             "3059 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3059 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, standby_restarts_and_is_copied_anew)
{
	begin_paired();
	cluster_kill_standby(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	expect_trace("2000 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "2000 a PRIMARY_PAIR -> GATED: the peer says that its standby is gone\n"
	             "2000 a GATED: the copy is lost: asking to go on alone\n"
	             "2000 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2084 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2084 a GATED: asking to record the copy\n"
	             "2085 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2085 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

/* [H6]: what node a heard last, and not long ago, names a standby that ended before the copy was
 * taken, as after a stop in which it read nothing. */
Test(stories, the_peers_word_of_before_the_record_says_nothing_about_the_copy)
{
	begin_paired();
	cluster_kill_standby(&story, 1);
	cluster_run(&story, 100 * MS);
	cluster_start_standby(&story, 1);
	cluster_run(&story, MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cluster_cut_beats(&story, true);
	cluster_kill_standby(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 150 * MS);
	cr_assert(story.nodes[0].machine.peer.standby.incarnation != 0 &&
	          story.nodes[0].machine.peer.standby.incarnation !=
	                  story.nodes[1].standby.process.incarnation);
	cluster_cut_beats(&story, false);
	cluster_run(&story, 1000 * MS);
	expect_trace("2000 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "2000 a PRIMARY_PAIR -> GATED: the peer says that its standby is gone\n"
	             "2000 a GATED: the copy is lost: asking to go on alone\n"
	             "2000 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2168 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "2168 a GATED: asking to record the copy\n"
	             "2168 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "2268 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

Test(stories, heartbeats_are_cut_and_the_session_lives)
{
	begin_paired();
	cluster_cut_beats(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(cluster_record(&story, 0)->generation == 2, "still the same pair");
	cluster_cut_beats(&story, false);
	cluster_run(&story, 500 * MS);
	expect_trace("2183 b alarm: heartbeats are silent on every link alth\n"
	             "2184 a alarm: heartbeats are silent on every link alth\n"
	             "3003 b alarm over: heartbeats are silent on every link alth\n"
	             "3004 a alarm over: heartbeats are silent on every link alth\n");
}

Test(stories, one_heartbeat_link_is_cut)
{
	begin_paired();
	story.beats_are_cut[0][1] = true;
	cluster_run(&story, 500 * MS);
	story.beats_are_cut[0][1] = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2183 b alarm: a heartbeat link is silent\n"
	             "2503 b alarm over: a heartbeat link is silent\n");
}

Test(stories, only_the_session_is_cut)
{
	begin_paired();
	cluster_cut_data(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_cut_data(&story, false);
	cluster_run(&story, 500 * MS);
	expect_trace("2300 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2600 a GATED: the copy is lost: asking to go on alone\n"
	             "2600 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2600 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "3076 a PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3076 a GATED: asking to record the copy\n"
	             "3077 a GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3077 b JOINING -> SECONDARY: the register says that this standby holds a "
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
	expect_trace("2083 b alarm: the arbiter does not answer: no failover\n"
	             "2183 b alarm: heartbeats are silent on every link alth\n"
	             "2184 a alarm: heartbeats are silent on every link alth\n"
	             "2200 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2200 a alarm over: heartbeats are silent on every link alth\n"
	             "2200 b SECONDARY: the primary is lost: asking to take over\n"
	             "2200 b alarm over: heartbeats are silent on every link alth\n"
	             "2200 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3003 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n"
	             "3003 b alarm over: the arbiter does not answer: no failover\n");
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
	expect_trace("2041 a alarm: the arbiter does not answer: no failover\n"
	             "2183 b alarm: heartbeats are silent on every link alth\n"
	             "2184 a alarm: heartbeats are silent on every link alth\n"
	             "2200 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2200 a alarm over: heartbeats are silent on every link alth\n"
	             "2200 b SECONDARY: the primary is lost: asking to take over\n"
	             "2200 b alarm over: heartbeats are silent on every link alth\n"
	             "2200 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2200 b TAKING_OVER: fencing the old primary\n"
	             "2200 b TAKING_OVER: fenced: starting the program\n"
	             "2220 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3003 a GATED -> HALTED: the register says that another leads\n"
	             "3003 a alarm over: the arbiter does not answer: no failover\n"
	             "3154 a HALTED -> INIT: what was halted is gone\n"
	             "3154 a INIT -> JOINING: the register was read\n");
}

Test(stories, primary_is_stopped_and_goes_on_after_the_take_over)
{
	begin_paired();
	cluster_stop_node(&story, 0, true);
	cluster_run(&story, 1500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	cluster_stop_node(&story, 0, false);
	cluster_run(&story, 1000 * MS);
	expect_trace("2183 b alarm: heartbeats are silent on every link alth\n"
	             "2200 b SECONDARY: the primary is lost: asking to take over\n"
	             "2200 b alarm over: heartbeats are silent on every link alth\n"
	             "2200 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2200 b TAKING_OVER: fencing the old primary\n"
	             "2200 b TAKING_OVER: fenced: starting the program\n"
	             "2210 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n"
	             "3500 a alarm: this node was not scheduled for half a h\n"
	             "3500 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "3500 a GATED -> HALTED: the register says that another leads\n"
	             "3687 a HALTED -> INIT: what was halted is gone\n"
	             "3687 a INIT -> JOINING: the register was read\n"
	             "3741 b PRIMARY_SOLO -> GATED: the peer holds a full copy\n"
	             "3741 b GATED: asking to record the copy\n"
	             "3741 b GATED -> PRIMARY_PAIR: the register says PAIR\n"
	             "3742 a JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n");
}

/* What makes the difference is only what is known, not what is decided. */
Test(stories, a_stopped_primary_is_told_from_a_host_that_is_gone)
{
	uint64_t beat_ns;
	begin_paired();
	story.reads = READS_WITH_DATA;
	cluster_run(&story, 100 * MS);
	cr_expect_eq(tandem_machine_peer_beat(&story.nodes[1].machine, story.now_ns, &beat_ns),
	             TANDEM_PEER_BEAT_ADVANCING);
	cluster_stop_node(&story, 0, true);
	cluster_run(&story, 170 * MS);
	cr_expect_eq(tandem_machine_peer_beat(&story.nodes[1].machine, story.now_ns, &beat_ns),
	             TANDEM_PEER_BEAT_STILL);
	cluster_run(&story, 230 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	expect_trace("2200 b alarm: the peer's process hangs: its host answe\n"
	             "2283 b alarm: heartbeats are silent on every link alth\n"
	             "2300 b SECONDARY: the primary is lost: asking to take over\n"
	             "2300 b alarm over: heartbeats are silent on every link alth\n"
	             "2300 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2300 b TAKING_OVER: fencing the old primary\n"
	             "2300 b alarm over: the peer's process hangs: its host answe\n"
	             "2300 b TAKING_OVER: fenced: starting the program\n"
	             "2306 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(stories, a_primary_without_power_is_told_from_a_stopped_one)
{
	begin_paired();
	story.reads = READS_WITH_DATA;
	cluster_run(&story, 100 * MS);
	cluster_power_off(&story, 0);
	cluster_run(&story, 400 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	expect_trace("2283 b alarm: heartbeats are silent on every link alth\n"
	             "2300 b SECONDARY: the primary is lost: asking to take over\n"
	             "2300 b alarm over: heartbeats are silent on every link alth\n"
	             "2300 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2300 b TAKING_OVER: fencing the old primary\n"
	             "2300 b TAKING_OVER: fenced: starting the program\n"
	             "2306 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Heartbeats and messages of the primary are lost, its counter moves: its process lives, so the
 * pair stays, and the operator is told what is broken. */
static void lose_words_of_primary(enum reads reads)
{
	begin_paired();
	story.reads = reads;
	cluster_run(&story, 100 * MS);
	cluster_cut_beats(&story, true);
	story.data_is_cut[0] = true;
	/* As long as the session is not given up. */
	cluster_run(&story, SESSION_SILENCE_NS - 20 * MS);
}

Test(stories, a_counter_that_moves_holds_a_take_over_back)
{
	lose_words_of_primary(READS_ALWAYS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	expect_trace("2283 b alarm: heartbeats are silent on every link alth\n"
	             "2284 a alarm: heartbeats are silent on every link alth\n");
	lose_words_of_primary(READS_NOTHING);
	cr_expect(state_of(1) != TANDEM_STATE_SECONDARY, "nothing else holds it back");
}

Test(stories, the_arbiter_is_lost_and_nothing_else)
{
	begin_paired();
	story.nodes[0].arbiter_is_cut = story.nodes[1].arbiter_is_cut = true;
	cluster_run(&story, 2000 * MS);
	cr_expect(story.publish_ns > story.now_ns - 100 * MS, "the pair goes on");
	story.nodes[0].arbiter_is_cut = story.nodes[1].arbiter_is_cut = false;
	cluster_run(&story, 500 * MS);
	expect_trace("2041 a alarm: the arbiter does not answer: no failover\n"
	             "2083 b alarm: the arbiter does not answer: no failover\n"
	             "4041 b alarm over: the arbiter does not answer: no failover\n"
	             "4049 a alarm over: the arbiter does not answer: no failover\n");
}

Test(stories, controllers_restart_and_go_on)
{
	begin_paired();
	for (unsigned node = 0; node < 2; node++) {
		cluster_kill_controller(&story, node);
		cluster_start_controller(&story, node);
	}
	cluster_run(&story, 500 * MS);
	cr_expect(cluster_record(&story, 0)->generation == 2, "still the same pair");
	expect_trace("2000 a INIT -> JOINING: the register was read\n"
	             "2000 b INIT -> JOINING: the register was read\n"
	             "2030 b JOINING -> SECONDARY: the register says that this standby holds a "
	             "full copy\n"
	             "2030 a JOINING -> PRIMARY_PAIR: the register says that this program leads, "
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
	expect_trace("2000 a PRIMARY_PAIR -> GATED: the session with the copy is lost\n"
	             "2184 a GATED: the copy is lost: asking to go on alone\n"
	             "2184 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "3000 a PRIMARY_SOLO -> JOINING: the leading program is gone\n");
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
	expect_trace("2000 b alarm: too many automatic take-overs in the win\n"
	             "3000 b SECONDARY: the operator's word was given\n"
	             "3000 b SECONDARY: the primary is lost: asking to take over\n"
	             "3000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "3000 b TAKING_OVER: fencing the old primary\n"
	             "3000 b alarm over: too many automatic take-overs in the win\n"
	             "3000 b TAKING_OVER: fenced: starting the program\n"
	             "3010 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Whoever did not listen cannot know that nobody spoke. */
Test(stories, a_node_that_does_not_listen_accuses_nobody)
{
	begin_paired();
	cluster_cut_data(&story, true);
	cluster_deafen(&story, 1, true);
	cluster_run(&story, 500 * MS);
	cluster_deafen(&story, 1, false);
	cluster_cut_data(&story, false);
	cluster_run(&story, 20 * MS);
	expect_trace("2100 b alarm: this node was not scheduled for half a h\n"
	             "2184 a alarm: heartbeats are silent on every link alth\n"
	             "2200 a PRIMARY_PAIR -> GATED: the peer is silent on every link and on the "
	             "session\n"
	             "2200 a GATED: the copy is lost: asking to go on alone\n"
	             "2200 a alarm over: heartbeats are silent on every link alth\n"
	             "2200 a GATED -> PRIMARY_SOLO: the register says SOLO\n"
	             "2500 b SECONDARY -> JOINING: this standby no longer holds the copy of the "
	             "register\n");
}

Test(stories, a_node_that_listens_again_accuses_a_window_later)
{
	begin_paired();
	cluster_deafen(&story, 1, true);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	cluster_deafen(&story, 1, false);
	cluster_run(&story, 500 * MS);
	expect_trace("2100 b alarm: this node was not scheduled for half a h\n"
	             "3200 b SECONDARY: the primary is lost: asking to take over\n"
	             "3200 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "3200 b TAKING_OVER: fencing the old primary\n"
	             "3200 b TAKING_OVER: fenced: starting the program\n"
	             "3210 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Deadlines that contradict each other are a reason to ask the operator, not to guess. */
Test(stories, timers_that_differ_leave_the_take_over_to_the_operator)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	story.nodes[1].config.pair.fence_timeout_ns += MS;
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair, "the pair is made all the same");
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
	             "3000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "3000 b TAKING_OVER: fencing the old primary\n"
	             "3000 b TAKING_OVER: fenced: starting the program\n"
	             "3010 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
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
	expect_trace("2690 b SECONDARY: the primary is lost: asking to take over\n"
	             "2690 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2690 b TAKING_OVER: fencing the old primary\n"
	             "2690 b TAKING_OVER: fenced: starting the program\n"
	             "2713 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Not idleness: a program that answers nobody has nothing that waits. */
Test(stories, output_that_waits_too_long_is_an_alarm)
{
	begin_paired();
	struct tandem_machine *machine = &story.nodes[0].machine;
	struct tandem_event report = {
	        .type = TANDEM_EVENT_REPORT,
	        .connection = machine->program.connection,
	        .message = {.type = TANDEM_CONTROL_REPORT,
	                    .has_session = true,
	                    .peer_incarnation = machine->program.session_peer_incarnation,
	                    .generation = machine->led_generation}};
	uint64_t stale_ns = 2 * machine->config.pair.settings.commit_timeout_ns;
	cluster_run(&story, 5000 * MS);
	report.message.behind_age_ns = stale_ns - 1;
	cluster_feed(&story, 0, &report);
	report.message.behind_age_ns = stale_ns;
	cluster_feed(&story, 0, &report);
	report.message.behind_age_ns = 0;
	cluster_feed(&story, 0, &report);
	expect_trace("7000 a alarm: output has waited for its commit for twi\n"
	             "7000 a alarm over: output has waited for its commit for twi\n");
}

Test(stories, leading_alone_for_long_is_an_alarm)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 11000 * MS);
	cluster_start_controller(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	const char *raised =
	        strstr(story.trace, "12200 a alarm: the program leads alone: nobody could");
	cr_assert_not_null(raised, "%s", story.trace);
	cr_expect_not_null(strstr(raised, "a alarm over: the program leads alone: nobody could"),
	                   "%s", story.trace);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
}
