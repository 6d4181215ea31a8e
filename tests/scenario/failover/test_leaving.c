#include "story.h"

/* A program that ends its protection in order: it goes on, and its copy never does. */

static void begin_seeded(uint64_t seed, enum tandem_arbiter_type type)
{
	cluster_init(&story, seed, type);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

static void begin_with(enum tandem_arbiter_type type)
{
	begin_seeded(1, type);
}

static void cut_beats_of_a(bool is_cut)
{
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		story.beats_are_cut[0][link] = is_cut;
}

/* It hears the other node, and is not heard. */
static void leave_unheard(void)
{
	cut_beats_of_a(true);
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 100 * MS);
	cr_assert(cluster_record(&story, 0)->is_left, "%s", story.trace);
	cr_assert(cluster_record(&story, 1)->is_pair);
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
	leave_unheard();
	cr_expect(state_of(0) != TANDEM_STATE_JOINING, "%s", story.trace);
	cut_beats_of_a(false);
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

/* What was not told is nothing: the copy goes on, and what is answered then stays, whichever of the
 * two records was drawn the higher number. */
Test(leaving, unheard_loses_to_a_fenced_take_over)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		begin_seeded(seed, TANDEM_ARBITER_FENCE);
		leave_unheard();
		cluster_cut_data(&story, true);
		cluster_run(&story, 8000 * MS);
		cr_assert(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
		cut_beats_of_a(false);
		cluster_cut_data(&story, false);
		cluster_start_controller(&story, 0);
		cluster_start_standby(&story, 0);
		cluster_run(&story, 3000 * MS);
		cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_PAIR, "seed %u: %s", (unsigned)seed,
		          story.trace);
		cr_expect(state_of(0) == TANDEM_STATE_SECONDARY);
		cr_assert(story.violation[0] == 0, "%s", story.violation);
	}
}

static bool is_fencing_with_news(void)
{
	const struct tandem_machine *machine = &story.nodes[1].machine;
	return machine->view.cas_request != 0 && machine->peer.record.is_left;
}

/* The node that is being switched off can only now say that its program leaves. */
Test(leaving, heard_while_it_is_fenced_is_too_late)
{
	bool was_met = false;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		begin_seeded(seed, TANDEM_ARBITER_FENCE);
		leave_unheard();
		cluster_cut_data(&story, true);
		for (unsigned i = 0; i < 1000 && story.nodes[1].machine.view.cas_request == 0; i++)
			cluster_run(&story, 10 * MS);
		cut_beats_of_a(false);
		for (unsigned i = 0; i < 15; i++) {
			cluster_run(&story, 10 * MS);
			was_met = was_met || is_fencing_with_news();
		}
		cluster_run(&story, 5000 * MS);
		cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "seed %u: %s", (unsigned)seed,
		          story.trace);
		cr_assert(story.violation[0] == 0, "%s", story.violation);
	}
	cr_expect(was_met);
}

static void expect_the_word_to_end_the_wait(void)
{
	uint64_t generation = cluster_record(&story, 0)->generation;
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns), "promote");
	say(0, TANDEM_EVENT_PROMOTE, generation - 1);
	cluster_run(&story, 200 * MS);
	cr_expect(!story.has_left, "that was another generation");
	say(0, TANDEM_EVENT_PROMOTE, generation);
	cluster_run(&story, 200 * MS);
	cr_expect(story.has_left, "%s", story.trace);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(leaving, is_told_by_the_word_where_the_other_node_is_gone)
{
	begin_with(TANDEM_ARBITER_FENCE);
	leave_unheard();
	cluster_power_off(&story, 1);
	cluster_run(&story, 2000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_GATED, "%s", story.trace);
	expect_the_word_to_end_the_wait();
}

Test(leaving, is_told_by_the_word_to_a_controller_that_was_restarted)
{
	begin_with(TANDEM_ARBITER_FENCE);
	leave_unheard();
	cluster_power_off(&story, 1);
	cluster_kill_controller(&story, 0);
	cluster_start_controller(&story, 0);
	cluster_run(&story, 2000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_JOINING, "%s", story.trace);
	expect_the_word_to_end_the_wait();
}
