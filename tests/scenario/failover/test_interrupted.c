#include "story.h"

static void run_until(unsigned node, enum tandem_state state)
{
	for (unsigned i = 0; i < 60000 && state_of(node) != state; i++)
		cluster_run(&story, MS / 20);
	cr_assert(state_of(node) == state, "%s", story.trace);
}

Test(interrupted, a_controller_that_died_after_its_take_over_was_won_goes_on_with_it)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	cluster_kill_controller(&story, 1);
	cluster_run(&story, 500 * MS);
	cluster_start_controller(&story, 1);
	cluster_run(&story, 500 * MS);
	expect_trace("2183 b SECONDARY: the primary is lost: asking to take over\n"
	             "2183 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2183 b TAKING_OVER: fencing the old primary\n"
	             "2684 b INIT -> JOINING: the register was read\n"
	             "2684 b JOINING -> TAKING_OVER: going on with the take-over that this node "
	             "had won\n"
	             "2684 b TAKING_OVER: fencing the old primary\n"
	             "2684 b TAKING_OVER: fenced: starting the program\n"
	             "2718 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

/* Only its connection was lost, and FENCE or its answer with it. */
Test(interrupted, a_standby_that_attaches_anew_goes_on_with_the_take_over)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	planes_hang_up(&story, &story.nodes[1].standby.process);
	cluster_run(&story, 500 * MS);
	expect_trace("2183 b SECONDARY: the primary is lost: asking to take over\n"
	             "2183 b SECONDARY -> TAKING_OVER: the take-over was won\n"
	             "2183 b TAKING_OVER: fencing the old primary\n"
	             "2184 b TAKING_OVER -> HALTED: the standby is gone, and its copy with it\n"
	             "2184 b HALTED -> INIT: what was halted is gone\n"
	             "2184 b alarm: the register was won but no program lead\n"
	             "2184 b INIT -> JOINING: the register was read\n"
	             "2214 b JOINING -> TAKING_OVER: going on with the take-over that this node "
	             "had won\n"
	             "2214 b TAKING_OVER: fencing the old primary\n"
	             "2214 b alarm over: the register was won but no program lead\n"
	             "2214 b TAKING_OVER: fenced: starting the program\n"
	             "2224 b TAKING_OVER -> PRIMARY_SOLO: the promoted program is ready\n");
}

Test(interrupted, a_standby_that_has_started_its_program_starts_no_second_one)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_PRIMARY_SOLO);
	cluster_kill_controller(&story, 1);
	cluster_kill_programs(&story, 1);
	cluster_start_controller(&story, 1);
	cluster_run(&story, 3000 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(1) == TANDEM_STATE_JOINING, "what it held is gone");
}

static void win_before_the_answer(enum tandem_state state, enum tandem_event_type answer)
{
	struct tandem_machine *machine = &story.nodes[1].machine;
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, state);
	machine->view.cas_request = 1000;
	struct tandem_event event = {
	        .type = answer, .request = 1000, .record = *cluster_record(&story, 1)};
	cluster_feed(&story, 1, &event);
	cluster_run(&story, 500 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect_eq(story.take_over_count, 1);
	cr_expect_eq(cluster_record(&story, 1)->generation, 3);
}

/* The first try was applied late and a reading has shown it; the second one is still out. */
Test(interrupted, what_becomes_of_a_question_asked_again_changes_nothing)
{
	static const enum tandem_event_type answers[] = {
	        TANDEM_EVENT_CAS_WON, TANDEM_EVENT_CAS_LOST, TANDEM_EVENT_CAS_FAILED,
	        TANDEM_EVENT_CAS_DOUBT};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		win_before_the_answer(TANDEM_STATE_TAKING_OVER, answers[i]);
		win_before_the_answer(TANDEM_STATE_PRIMARY_SOLO, answers[i]);
	}
}

/* A machine that is paused between FENCE and FENCED. */
Test(interrupted, a_late_fence_is_as_good_as_one_in_time)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	story.nodes[1].standby.process.is_stopped = true;
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_HALTED);
	story.nodes[1].standby.process.is_stopped = false;
	cluster_run(&story, 100 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO);
}

/* Node b stands still after it has won, and the operator has node a lead with loss of data. When b
 * goes on, the register does not answer it; what it hears of a says enough. */
Test(interrupted, a_take_over_that_a_later_record_has_ended_starts_no_program)
{
	struct node *node = &story.nodes[1];
	begin_paired();
	cluster_kill_programs(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	cluster_stop_node(&story, 1, true);
	cluster_run(&story, 300 * MS);
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_start_program(&story, 0);
	run_until(0, TANDEM_STATE_PRIMARY_SOLO);
	node->arbiter_is_cut = true;
	cluster_stop_node(&story, 1, false);
	node->standby.process.is_stopped = true;
	cluster_run(&story, 50 * MS);
	node->standby.process.is_stopped = false;
	cluster_run(&story, 100 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_TAKING_OVER, "%s", story.trace);
	cr_expect_null(strstr(story.trace, "b TAKING_OVER: fenced: starting"), "%s", story.trace);
	node->arbiter_is_cut = false;
	cluster_run(&story, 3000 * MS);
	cr_expect_not_null(strstr(story.trace, "b TAKING_OVER -> HALTED: the register was won by"),
	                   "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* [L17] What node b had won it for is not there any more, and the operator has node a lead again.
 * Of that node b reads in the register alone. */
Test(interrupted, a_take_over_that_failed_for_good_is_over_when_another_leads)
{
	struct node *node = &story.nodes[1];
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	node->is_misfit = true;
	cluster_cut_beats(&story, true);
	run_until(1, TANDEM_STATE_HALTED);
	cluster_start_controller(&story, 0);
	cluster_start_standby(&story, 0);
	cluster_run(&story, 1000 * MS);
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_start_program(&story, 0);
	run_until(0, TANDEM_STATE_PRIMARY_SOLO);
	run_until(1, TANDEM_STATE_JOINING);
	cr_expect_not_null(strstr(story.trace, "b HALTED -> INIT: what was halted is gone"), "%s",
	                   story.trace);
	cluster_cut_beats(&story, false);
	node->is_misfit = false;
	run_until(1, TANDEM_STATE_SECONDARY);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* Node b has won the register, and cannot start the program. */
static void fail_a_take_over(void)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	story.nodes[1].is_misfit = true;
	run_until(1, TANDEM_STATE_HALTED);
}

/* ... or node b does not even read that, and can start the program again by then. */
Test(interrupted, a_take_over_that_failed_does_not_go_on_before_the_register_was_asked)
{
	struct node *node = &story.nodes[1];
	fail_a_take_over();
	node->arbiter_is_cut = true;
	cluster_cut_beats(&story, true);
	cluster_start_controller(&story, 0);
	cluster_run(&story, 1000 * MS);
	say(0, TANDEM_EVENT_FORCE, 0);
	cluster_start_program(&story, 0);
	run_until(0, TANDEM_STATE_PRIMARY_SOLO);
	node->is_misfit = false;
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_HALTED, "%s", story.trace);
	node->arbiter_is_cut = false;
	run_until(1, TANDEM_STATE_JOINING);
	cr_expect_null(strstr(story.trace, "b TAKING_OVER: fenced: starting"), "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* ... and the alarm stays while nothing has come of the operator's word. */
Test(interrupted, a_take_over_that_failed_is_told_until_another_record_is_there)
{
	static const char over[] = "alarm over: the register was won but no program lead";
	struct node *node = &story.nodes[1];
	fail_a_take_over();
	node->arbiter_is_cut = true;
	say(1, TANDEM_EVENT_FORCE, 0);
	cluster_run(&story, 1000 * MS);
	cr_expect_null(strstr(story.trace, over), "%s", story.trace);
	node->is_misfit = node->arbiter_is_cut = false;
	run_until(1, TANDEM_STATE_PRIMARY_SOLO);
	cr_expect_not_null(strstr(story.trace, over), "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* ... and where the operator does nothing but to install it, it goes on. */
Test(interrupted, a_take_over_that_failed_for_want_of_a_program_goes_on_when_it_is_there)
{
	fail_a_take_over();
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_HALTED, "%s", story.trace);
	cr_expect_not_null(strstr(tandem_machine_waiting_for(&story.nodes[1].machine, story.now_ns),
	                          "what the program needs to go on"));
	story.nodes[1].is_misfit = false;
	cluster_run(&story, 100 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
}

/* Its fence does not come, and a program that was halted before is stopped and does not end: the
 * word to lead with loss of data is given while that is waited for. */
Test(interrupted, a_word_that_is_given_while_halted_begins_the_take_over_anew)
{
	struct program *program = &story.nodes[1].programs[CLUSTER_PROGRAMS - 1];
	begin_paired();
	cluster_start_program(&story, 1);
	cluster_run(&story, 20 * MS);
	cr_assert(program->process.is_alive && program->is_halted, "%s", story.trace);
	program->process.is_stopped = true;
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	story.nodes[1].standby.process.is_stopped = true;
	cluster_run(&story, 3000 * MS);
	cr_assert(state_of(1) == TANDEM_STATE_HALTED, "%s", story.trace);
	say(1, TANDEM_EVENT_FORCE, 0);
	cluster_run(&story, 20 * MS);
	cr_expect_not_null(strstr(story.trace, "b HALTED -> TAKING_OVER: the register names this"),
	                   "%s", story.trace);
	story.nodes[1].standby.process.is_stopped = false;
	cluster_run(&story, 100 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
}

Test(interrupted, maintenance_between_does_not_make_it_forget)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	story.nodes[1].standby.process.is_stopped = true;
	cluster_run(&story, 3000 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_HALTED);
	cluster_say(&story, 1, TANDEM_EVENT_MAINTENANCE_ON, 0);
	story.nodes[1].standby.process.is_stopped = false;
	cluster_run(&story, 100 * MS);
	cr_expect(state_of(1) == TANDEM_STATE_MAINTENANCE);
	cluster_say(&story, 1, TANDEM_EVENT_MAINTENANCE_OFF, 0);
	cluster_run(&story, 200 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(1) == TANDEM_STATE_PRIMARY_SOLO, "%s", story.trace);
}

Test(interrupted, that_the_register_contradicts_meanwhile_halts)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	run_until(1, TANDEM_STATE_TAKING_OVER);
	story.nodes[1].standby.process.is_stopped = true;
	struct tandem_record record = *cluster_record(&story, 0);
	record.generation++;
	record.decision++;
	memcpy(record.owner, "a", 2);
	story.nodes[0].record = story.nodes[1].record = record;
	cluster_run(&story, 1000 * MS);
	cr_expect_eq(story.take_over_count, 1);
	cr_expect(strstr(story.trace, "TAKING_OVER -> HALTED: the register was won by another"));
}

/* A copy ends in maintenance, and before the register says that it is not to count, the other node
 * was made to lead. */
Test(interrupted, a_copy_in_maintenance_that_lost_the_register_halts)
{
	struct tandem_machine *machine = &story.nodes[0].machine;
	begin_paired();
	cluster_kill_standby(&story, 1);
	run_until(0, TANDEM_STATE_PRIMARY_SOLO);
	cluster_start_standby(&story, 1);
	cluster_say(&story, 0, TANDEM_EVENT_MAINTENANCE_ON, 0);
	for (unsigned i = 0; i < 60000 && machine->view.cas_request == 0; i++)
		cluster_run(&story, MS / 20);
	cr_assert(state_of(0) == TANDEM_STATE_MAINTENANCE && machine->view.cas_request != 0);
	struct tandem_record record = *cluster_record(&story, 0);
	record.generation++;
	record.decision++;
	memcpy(record.owner, "b", 2);
	story.nodes[0].record = story.nodes[1].record = record;
	cluster_run(&story, 10 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(0) == TANDEM_STATE_HALTED, "%s", story.trace);
}

/* [L8]: COPIED went astray, and the session with it. */
Test(interrupted, a_program_that_waits_for_nothing_is_told_again)
{
	struct program *program = &story.nodes[0].programs[CLUSTER_PROGRAMS - 1];

	begin_paired();
	cluster_kill_node(&story, 1);
	cluster_run(&story, 1000 * MS);
	cr_assert(state_of(0) == TANDEM_STATE_PRIMARY_SOLO && program_leads_openly(program));
	program->is_gated = true;
	cluster_run(&story, 100 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(program_leads_openly(program));
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO);
}

/* The storage of the register is not mounted when node a comes back. */
Test(interrupted, an_empty_register_is_not_believed_while_the_peer_knows_better)
{
	begin_paired();
	cluster_kill_node(&story, 0);
	cluster_kill_standby(&story, 1);
	cluster_run(&story, 1000 * MS);
	story.nodes[0].record = story.nodes[1].record = (struct tandem_record){.generation = 0};
	cluster_start_controller(&story, 0);
	cluster_start_program(&story, 0);
	cluster_run(&story, 3000 * MS);
	cr_expect(story.violation[0] == 0, "%s", story.violation);
	cr_expect(state_of(0) == TANDEM_STATE_JOINING, "%s", story.trace);
	cr_expect(cluster_record(&story, 0)->generation == 0);
	cluster_kill_controller(&story, 1);
	cluster_run(&story, 1000 * MS);
	cr_expect(state_of(0) == TANDEM_STATE_PRIMARY_SOLO, "nobody knows better any more");
}
