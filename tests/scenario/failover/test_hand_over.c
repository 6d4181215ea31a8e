#include "story.h"

/* Planned hand-over, mode strict, fencing: what the words of the operator do. */

static void begin_with(enum tandem_arbiter_type type, bool is_strict)
{
	cluster_init(&story, 1, type);
	for (unsigned node = 0; node < 2; node++)
		story.nodes[node].config.pair.is_strict = is_strict;
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

Test(hand_over, the_other_node_takes_over_at_once_and_nothing_is_lost)
{
	begin_paired();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 100 * MS);
	cr_expect(cluster_record(&story, 0)->is_handed_over);
	cr_expect_str_eq(cluster_record(&story, 0)->owner, "b");
	cluster_run(&story, 3000 * MS);
	cr_expect(cluster_record(&story, 0)->is_pair, "the old primary takes a copy");
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_PAIR);
	cr_expect(state_of(0) == TANDEM_STATE_SECONDARY);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(hand_over, reads_as_a_story)
{
	begin_paired();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 60 * MS);
	expect_trace("2000 a PRIMARY_PAIR -> GATED: the operator's word: handing over to the other "
	             "node\n"
	             "2000 b SECONDARY: the primary hands over: asking to take over\n"
	             "2000 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2000 b TAKING_OVER: fencing the old primary\n"
	             "2000 b TAKING_OVER: fenced: starting the program\n"
	             "2000 a GATED -> HALTED: the register says that another leads\n"
	             "2020 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(hand_over, is_refused_where_nobody_could_take_over)
{
	begin_paired();
	say(1, TANDEM_EVENT_SWITCHOVER, 0);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	cluster_cut_beats(&story, true);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
	cr_expect(!story.nodes[0].machine.hand_over.is_asked);
}

Test(hand_over, that_nobody_takes_is_withdrawn)
{
	begin_paired();
	/* The secondary's controller is silent; its data plane goes on. */
	story.nodes[1].controller_is_stopped = true;
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cr_expect(state_of(0) == TANDEM_STATE_GATED);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_GATED);
	cr_expect_str_eq(tandem_machine_waiting_for(&story.nodes[0].machine, story.now_ns),
	                 "the other node to take over");
	cluster_run(&story, 2500 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
	cr_expect(cluster_record(&story, 0)->generation == 2, "the same generation as before");
	story.nodes[1].controller_is_stopped = false;
	cluster_run(&story, 2000 * MS);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(hand_over, whose_taker_dies_goes_back)
{
	begin_paired();
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1500 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(hand_over, with_registers_of_their_own_waits_for_the_old_primarys_knowledge)
{
	begin_with(TANDEM_ARBITER_FENCE, false);
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 2 * MS);
	/* The offer was heard; the answer is not. */
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[1][link] = true;
	cluster_run(&story, 500 * MS);
	cr_expect(state_of(1) != TANDEM_STATE_PRIMARY_SOLO, "the old primary may not know");
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[1][link] = false;
	cluster_run(&story, 4000 * MS);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
	cr_expect(cluster_record(&story, 0)->is_pair);
}

/* The primary's controller died with its program: its next life cannot certify that end, but it is
 * heard, so no silence ever lasts as long as the head start. */
Test(fencing, has_no_head_start_where_the_peer_says_that_its_program_is_gone)
{
	begin_with(TANDEM_ARBITER_FENCE, false);
	cluster_kill_controller(&story, 0);
	cluster_kill_programs(&story, 0);
	cluster_start_controller(&story, 0);
	cluster_run(&story, 4000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO ||
	                  state_of(1) == TANDEM_STATE_PRIMARY_PAIR,
	          "%s", story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

/* Node b took the offer, and its standby died: a goes on alone because b's controller says so,
 * before it hears of the record that b wrote. */
Test(fencing, an_owner_wins_over_a_hand_over_that_was_not_confirmed)
{
	begin_with(TANDEM_ARBITER_FENCE, false);
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 3 * MS / 10 + 1);
	cr_assert(story.nodes[1].machine.view.cas_request != 0, "%s", story.trace);
	cluster_kill_standby(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 3000 * MS);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
}

/* Node b took the offer, a did not hear of it and had b switched off: what b wrote must not halt a
 * when b comes back. */
Test(fencing, wins_over_a_hand_over_that_was_not_confirmed)
{
	begin_with(TANDEM_ARBITER_FENCE, false);
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[1][link] = true;
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 20 * MS);
	cr_assert_str_eq(cluster_record(&story, 1)->owner, "b");
	cr_assert_str_eq(cluster_record(&story, 0)->owner, "a");
	story.nodes[1].controller_is_stopped = true;
	cluster_run(&story, 9000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_assert_gt(cluster_record(&story, 0)->generation, cluster_record(&story, 1)->generation);
	cluster_cut_beats(&story, false);
	cluster_start_controller(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(strict, nothing_leaves_while_alone_but_by_the_operators_word)
{
	begin_with(TANDEM_ARBITER_FILE, true);
	cluster_kill_node(&story, 1);
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_GATED);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns), "promote");
	unsigned before = story.publish_count;
	say(0, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 300 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cr_expect_gt(story.publish_count, before);
}

Test(strict, a_promoted_program_holds_its_output_until_it_has_a_copy)
{
	begin_with(TANDEM_ARBITER_FILE, true);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	unsigned before = story.publish_count;
	cluster_run(&story, 1000 * MS);
	cr_expect_eq(story.publish_count, before);
	say(1, TANDEM_EVENT_PROMOTE, cluster_record(&story, 1)->generation);
	cluster_run(&story, 300 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	cr_expect_gt(story.publish_count, before, "the operator's word");
}

/* Its old copy is worthless, so that the record may go; nothing is answered meanwhile. */
Test(strict, a_restarted_secondary_is_copied_to_without_a_word)
{
	begin_with(TANDEM_ARBITER_FILE, true);
	cluster_kill_standby(&story, 1);
	cluster_run(&story, 100 * MS);
	unsigned before = story.publish_count;
	cluster_run(&story, 1500 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
	cr_expect_eq(story.publish_count, before);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 2500 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR);
	cr_expect_gt(story.publish_count, before);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(strict, a_new_copy_opens_the_gate)
{
	begin_with(TANDEM_ARBITER_FILE, true);
	cluster_kill_node(&story, 0);
	cluster_run(&story, 1000 * MS);
	unsigned before = story.publish_count;
	cluster_start_controller(&story, 0);
	cluster_start_standby(&story, 0);
	cluster_run(&story, 2500 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_PAIR);
	cr_expect_gt(story.publish_count, before);
}

Test(rejoin, manual_waits_for_the_word)
{
	begin_paired();
	story.nodes[0].machine.config.pair.rejoin = TANDEM_REJOIN_MANUAL;
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns), "resync");
	say(0, TANDEM_EVENT_RESYNC, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_SECONDARY);
	cr_expect(!tandem_machine_is_diverged(&story.nodes[0].machine));
}

Test(rejoin, after_a_planned_hand_over_nothing_is_diverged)
{
	begin_paired();
	story.nodes[0].machine.config.pair.rejoin = TANDEM_REJOIN_MANUAL;
	say(0, TANDEM_EVENT_SWITCHOVER, 0);
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_SECONDARY);
}
