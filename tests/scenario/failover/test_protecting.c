#include "story.h"

/* What is to be protected has lost the one that did: the operator says so again. */

static void begin_alone(void)
{
	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 2000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
}

static void start_host(unsigned node)
{
	cluster_start_controller(&story, node);
	cluster_start_standby(&story, node);
}

static void expect_lead(enum tandem_state state)
{
	cr_expect(state_of(0) == state, "%s: %s", tandem_state_name(state_of(0)), story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}

Test(protecting, goes_on_after_one_that_failed)
{
	begin_alone();
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 500 * MS);
	for (unsigned i = 0; i < 2; i++) {
		say(0, TANDEM_EVENT_PROTECT, 0);
		cluster_run(&story, 5 * MS);
		cr_assert(story.nodes[0].machine.program.connection != 0, "%s", story.trace);
		cluster_kill_programs(&story, 0); /* before it is ready */
		cluster_run(&story, 100 * MS);
	}
	expect_lead(TANDEM_STATE_JOINING);
	say(0, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 1000 * MS);
	expect_lead(TANDEM_STATE_PRIMARY_SOLO);
}

/* A program that leads has time to attach again before its absence means something. */
Test(protecting, goes_on_after_the_controller_was_restarted)
{
	begin_alone();
	cluster_kill_controller(&story, 0);
	cluster_kill_programs(&story, 0);
	cluster_run(&story, 100 * MS);
	cluster_start_controller(&story, 0);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 400 * MS);
	expect_lead(TANDEM_STATE_JOINING);
	cluster_run(&story, 500 * MS);
	say(0, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 1000 * MS);
	expect_lead(TANDEM_STATE_PRIMARY_SOLO);
}

Test(protecting, waits_for_the_end_of_a_program_that_was_led)
{
	begin_alone();
	uint64_t generation = cluster_record(&story, 0)->generation;
	cluster_stop_node(&story, 0, true);
	story.nodes[0].controller_is_stopped = false;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (story.nodes[0].programs[i].process.is_alive)
			planes_hang_up(&story, &story.nodes[0].programs[i].process);
	}
	cluster_run(&story, 500 * MS);
	cr_assert(story.nodes[0].machine.program.connection == 0, "%s", story.trace);
	say(0, TANDEM_EVENT_PROTECT, 0);
	story.nodes[0].standby.process.is_stopped = false;
	cluster_run(&story, 500 * MS);
	expect_lead(TANDEM_STATE_JOINING);
	cr_expect(cluster_record(&story, 0)->generation == generation);
}

Test(protecting, goes_on_after_a_reboot)
{
	begin_alone();
	cluster_power_off(&story, 0);
	start_host(0);
	start_host(1);
	cluster_run(&story, 2000 * MS);
	say(0, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 1000 * MS);
	expect_lead(TANDEM_STATE_PRIMARY_PAIR);
}

static void reboot_both(enum tandem_arbiter_type type)
{
	cluster_init(&story, 1, type);
	cluster_start(&story);
	cluster_run(&story, 2500 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	cluster_power_off(&story, 0);
	cluster_power_off(&story, 1);
	start_host(0);
	start_host(1);
	cluster_run(&story, 3000 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	cr_assert(state_of(0) == TANDEM_STATE_JOINING, "%s", story.trace);
}

Test(protecting, goes_on_when_both_hosts_were_rebooted)
{
	static const enum tandem_arbiter_type types[] = {TANDEM_ARBITER_FILE, TANDEM_ARBITER_FENCE,
	                                                 TANDEM_ARBITER_MANUAL};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		reboot_both(types[i]);
		say(0, TANDEM_EVENT_PROTECT, 0);
		cluster_run(&story, 2000 * MS);
		expect_lead(TANDEM_STATE_PRIMARY_PAIR);
		cr_expect(state_of(1) == TANDEM_STATE_SECONDARY);
	}
}

/* A program that protects itself is started by hand. */
Test(protecting, is_forced_when_both_hosts_were_rebooted)
{
	reboot_both(TANDEM_ARBITER_FENCE);
	cr_expect_str_eq(tandem_machine_unblock(&story.nodes[0].machine, story.now_ns),
	                 "force-primary");
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_run(&story, 500 * MS);
	cluster_start_program(&story, 0);
	cluster_run(&story, 2000 * MS);
	expect_lead(TANDEM_STATE_PRIMARY_PAIR);
}

/* The program has left, its node is gone, and the other one has no copy of before. */
Test(protecting, begins_on_the_other_node_by_force)
{
	begin_paired();
	say(0, TANDEM_EVENT_UNPROTECT, 0);
	cluster_run(&story, 500 * MS);
	cluster_power_off(&story, 0);
	cluster_kill_standby(&story, 1);
	cluster_start_standby(&story, 1);
	cluster_run(&story, 2000 * MS);
	say(1, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 100 * MS);
	cr_assert(state_of(1) == TANDEM_STATE_JOINING, "%s", story.trace);
	say(1, TANDEM_EVENT_FORCE, 0);
	say(1, TANDEM_EVENT_PROTECT, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_assert(story.violation[0] == 0, "%s", story.violation);
}
