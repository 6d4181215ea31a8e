#include "story.h"

/* Where each node keeps records of its own, two of one generation may be written: the one with the
 * higher decision number counts, on both nodes. */

static void begin_seeded(uint64_t seed)
{
	cluster_init(&story, seed, TANDEM_ARBITER_MANUAL);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

static void cut(bool is_cut)
{
	cluster_cut_data(&story, is_cut);
	cluster_cut_beats(&story, is_cut);
}

static bool a_counts(void)
{
	return tandem_record_is_newer(cluster_record(&story, 0), cluster_record(&story, 1));
}

/* The next program of node a leads by a record that b's register has and its controller has not
 * read yet. Then b is forced, a is switched off and its records are removed, as that asks for. But
 * a is on again before b's register has answered, so its next program leads by the record of
 * before, in the generation of the one that was switched off. */
static bool write_the_generation_twice(uint64_t seed)
{
	uint64_t first;
	begin_seeded(seed);
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 500 * MS);
	cr_assert(cluster_record(&story, 1)->is_left, "%s", story.trace);
	story.nodes[1].arbiter_ns = story.now_ns + 3000 * MS;
	cluster_start_program(&story, 0);
	cluster_run(&story, 500 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	first = cluster_record(&story, 0)->decision;
	say(1, TANDEM_EVENT_FORCE, 0);
	cluster_power_off(&story, 0);
	story.nodes[0].record = (struct tandem_record){.generation = 0};
	judge_force(&story, 4);
	cluster_start_controller(&story, 0);
	cluster_start_standby(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 500 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_assert_eq(cluster_record(&story, 0)->generation, 4);
	return cluster_record(&story, 0)->decision > first;
}

Test(same_generation, a_standby_is_told_of_the_owner_that_took_the_place_of_another)
{
	uint64_t seed = 1;
	while (!write_the_generation_twice(seed))
		seed++;
	cluster_run(&story, 5000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* The operator's word is given to both nodes, against the promise that the other one is off. */
static void speak_to_both(uint64_t seed, bool is_misfit)
{
	begin_seeded(seed);
	judge_force(&story, 5); /* what was promised is not so, and two lead */
	cut(true);
	cluster_run(&story, 1000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_GATED && state_of(1) == TANDEM_STATE_SECONDARY);
	say(1, TANDEM_EVENT_PROMOTE, 2);
	story.nodes[1].is_misfit = is_misfit;
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_PROMOTE, 2);
	cluster_run(&story, 500 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_assert_eq(cluster_record(&story, 0)->generation, cluster_record(&story, 1)->generation);
}

/* [L11] */
Test(same_generation, a_standby_that_was_fenced_for_the_record_that_lost_stands_by_again)
{
	uint64_t seed = 1;
	do
		speak_to_both(seed++, true);
	while (!a_counts());
	cr_assert(state_of(1) == TANDEM_STATE_HALTED, "%s", story.trace);
	cut(false);
	cluster_run(&story, 1000 * MS);
	cr_assert(state_of(1) == TANDEM_STATE_JOINING, "%s", story.trace);
	story.nodes[1].is_misfit = false;
	cluster_run(&story, 5000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_PAIR, "%s", story.trace);
	cr_expect(state_of(1) == TANDEM_STATE_SECONDARY, "%s", story.trace);
}

/* What the other node had answered by then may be worth more than a copy. */
Test(same_generation, what_was_led_by_the_record_that_lost_is_not_thrown_away_without_a_word)
{
	speak_to_both(1, false);
	cr_assert(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	const unsigned loser = a_counts() ? 1 : 0;
	story.nodes[loser].machine.config.pair.rejoin = TANDEM_REJOIN_MANUAL;
	cut(false);
	cluster_run(&story, 1000 * MS);
	cluster_kill_programs(&story, loser);
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(loser) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[loser].machine, story.now_ns),
	                 "resync");
	say(loser, TANDEM_EVENT_RESYNC, 0);
	cluster_run(&story, 2000 * MS);
	cr_expect(state_of(loser) == TANDEM_STATE_SECONDARY, "%s", story.trace);
}
