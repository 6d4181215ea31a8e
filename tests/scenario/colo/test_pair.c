#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "lab.h"

static bool wants_checkpoint(const struct tandem_news *news, uint64_t value)
{
	(void)value;
	return news->wants_checkpoint;
}

static bool is_released(const struct tandem_news *news, uint64_t ticket)
{
	return news->released_ticket >= ticket;
}

static void copies_and_commits(const char *tracker, uint64_t staging_bytes)
{
	struct lab *lab = lab_new(tracker, 300, 37);
	char state[32];

	lab->settings.staging_bytes = staging_bytes;
	controller_configure(lab->primary_control, &lab->settings);
	lab->regions[0][5 * LAB_PAGE] = 1;
	lab->regions[1][36 * LAB_PAGE + 7] = 2;
	cr_assert(lab_protect(lab));
	cr_assert(lab_images_equal(lab), "the first copy is the program's memory");
	for (unsigned epoch = 0; epoch < 30; epoch++) {
		snprintf(state, sizeof state, "state %u", epoch);
		lab_scribble(lab, epoch + 1, 1 + epoch * 4);
		cr_assert(lab_commit(lab, state), "epoch %u", epoch);
		cr_assert(lab_images_equal(lab), "epoch %u", epoch);
	}
	lab_free(lab);
}

Test(pair, copies_and_commits_with_the_default_tracker)
{
	copies_and_commits("auto", 0);
}

/* The room is too small for the larger ones. */
Test(pair, copies_and_commits_by_way_of_staging_memory)
{
	copies_and_commits("auto", 40 * LAB_PAGE);
	copies_and_commits("compare", 1000 * LAB_PAGE);
}

static bool can_checkpoint(const struct tandem_news *news, uint64_t value)
{
	(void)value;
	return news->can_checkpoint;
}

/* What is written between two checkpoints is pushed meanwhile, however often it is written, and the
 * image is what each of them captured. */
Test(pair, copies_and_commits_with_a_push_beside_the_program)
{
	struct lab *lab = lab_new("auto", 3000, 37);

	lab->settings.staging_bytes = 1000 * LAB_PAGE;
	lab->settings.is_capture_auto = true;
	lab->settings.push_interval_ns = 200 * TANDEM_NS_PER_US;
	lab->settings.pause_budget_ns = 20 * TANDEM_NS_PER_MS;
	lab->settings.overload_wait_ns = 300 * TANDEM_NS_PER_MS;
	controller_configure(lab->primary_control, &lab->settings);
	cr_assert(lab_protect(lab));
	for (unsigned epoch = 0; epoch < 20; epoch++) {
		for (unsigned turn = 0; turn < 10; turn++) {
			lab_scribble(lab, 10 * epoch + turn, 60);
			cr_assert_eq(tandem_wait_released(lab->program, UINT64_MAX,
			                                  300 * TANDEM_NS_PER_US),
			             TANDEM_E_TIMEOUT);
		}
		cr_assert(lab_wait_news(lab, can_checkpoint, 0));
		cr_assert(lab_commit(lab, "x"), "epoch %u", epoch);
		cr_assert(lab_images_equal(lab), "epoch %u", epoch);
	}
	cr_expect_gt(lab->stats->pages_beside, 0);
	lab_free(lab);
}

Test(pair, copies_and_commits_with_compare)
{
	copies_and_commits("compare", 0);
}

Test(pair, copies_and_commits_with_marks_only)
{
	copies_and_commits("mark", 0);
}

Test(pair, solo_output_leaves_at_once)
{
	struct lab *lab = lab_new("auto", 16, 16);
	uint64_t ticket;

	cr_assert(lab_start_program(lab));
	cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 0), 0);
	cr_assert_eq(tandem_confirm(lab->program, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 0), 0);
	lab_free(lab);
}

Test(pair, output_is_held_between_the_copy_and_the_register)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t write_ticket, read_ticket;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	lab_scribble(lab, 9, 20);
	cr_assert_eq(tandem_checkpoint(lab->program, "later", 5, &write_ticket, NULL), 0);
	cr_assert_eq(tandem_confirm(lab->program, &read_ticket, NULL), 0);
	cr_assert(lab_images_equal(lab), "the epoch is committed and applied meanwhile");
	cr_expect_eq(tandem_wait_released(lab->program, write_ticket, TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT);
	cr_assert(lab_pair(lab));
	cr_expect(lab_wait_news(lab, is_released, read_ticket));
	lab_free(lab);
}

Test(pair, solo_again_opens_the_gate_of_a_copy_that_was_not_recorded)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t ticket;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	cr_assert_eq(tandem_confirm(lab->program, &ticket, NULL), 0);
	controller_lead(lab->primary_control, ++lab->generation, false);
	cr_expect(lab_wait_news(lab, is_released, ticket));
	cr_assert(lab_copy(lab), "and the pair is made again");
	cr_assert(lab_pair(lab));
	cr_expect(lab_commit(lab, "x"));
	lab_free(lab);
}

/* The engine publishes its figures at its next turn. */
static bool becomes_behind(struct lab *lab, bool is_behind)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + 20 * TANDEM_NS_PER_S;
	struct tandem_statistics statistics = {0};

	while (tandem_clock_now_ns() < deadline_ns) {
		tandem_statistics_read(lab->program, &statistics, sizeof(statistics));
		if ((statistics.behind_age_ns > 0) == is_behind)
			return true;
		if (tandem_wait_released(lab->program, UINT64_MAX, TANDEM_NS_PER_MS) !=
		    TANDEM_E_TIMEOUT)
			return false;
	}
	return false;
}

Test(pair, output_without_a_checkpoint_is_behind_until_one_is_committed)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t ticket;

	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	cr_assert_eq(tandem_ticket(lab->program, &ticket, NULL), 0);
	cr_assert(lab_wait_news(lab, wants_checkpoint, 0));
	cr_expect_eq(tandem_wait_released(lab->program, ticket, TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT);
	cr_expect(becomes_behind(lab, true));
	cr_assert(lab_commit(lab, "now"));
	cr_assert(lab_wait_news(lab, is_released, ticket));
	cr_expect(becomes_behind(lab, false));
	lab_free(lab);
}

Test(pair, reads_are_confirmed_without_an_epoch)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_news before, after;
	uint64_t ticket;

	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	tandem_poll(lab->program, &before);
	for (unsigned read = 0; read < 50; read++) {
		cr_assert_eq(tandem_confirm(lab->program, &ticket, NULL), 0);
		cr_assert(lab_wait_news(lab, is_released, ticket));
	}
	tandem_poll(lab->program, &after);
	cr_expect_eq(before.epoch_committed, after.epoch_committed);
	lab_free(lab);
}

/* With a standby that does not know the new generation no acknowledgement counts. */
Test(pair, acknowledgements_of_the_old_generation_release_nothing)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t ticket;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	controller_lead(lab->primary_control, ++lab->generation, true);
	cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL), 0);
	cr_assert(lab_images_equal(lab));
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 100 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT);
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_expect(lab_wait_news(lab, is_released, ticket));
	lab_free(lab);
}

Test(pair, a_restarted_controller_is_told_again)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_control_message message;
	uint64_t ticket;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	/* The engine's thread has done all that COPIED means when it answers this. */
	cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL), 0);
	controller_hang_up(lab->primary_control);
	controller_hang_up(lab->standby_control);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_ATTACH, &message));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_READY, &message));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, &message));
	cr_expect_eq(message.peer_incarnation, controller_incarnation(lab->standby_control));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_COPIED, &message));
	cr_expect_eq(message.peer_incarnation, controller_incarnation(lab->standby_control));
	cr_expect_eq(message.generation, lab->generation);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_SESSION_UP, &message));
	cr_expect_eq(message.peer_incarnation, controller_incarnation(lab->primary_control));
	cr_assert(lab_pair(lab));
	cr_expect(lab_commit(lab, "after"));
	lab_free(lab);
}

Test(pair, a_halted_program_gets_nothing_out)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_control_message halt = {.type = TANDEM_CONTROL_HALT,
	                                      .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                      .text = "the other node leads"};
	struct tandem_error error;
	uint64_t ticket, held;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	cr_assert_eq(tandem_confirm(lab->program, &held, NULL), 0);
	controller_send(lab->primary_control, &halt);
	cr_expect_eq(tandem_wait_released(lab->program, held, 20 * TANDEM_NS_PER_S),
	             TANDEM_E_NOT_LEADER);
	cr_expect_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, &error),
	             TANDEM_E_NOT_LEADER);
	cr_expect_str_eq(error.detail, "the other node leads");
	cr_expect_eq(tandem_confirm(lab->program, &ticket, &error), TANDEM_E_NOT_LEADER);
	controller_lead(lab->primary_control, 9, false);
	cr_expect_eq(tandem_wait_released(lab->program, held, 50 * TANDEM_NS_PER_MS),
	             TANDEM_E_NOT_LEADER, "nothing wakes it any more");
	lab_free(lab);
}

Test(pair, a_forked_child_is_refused)
{
	struct lab *lab = lab_new("auto", 16, 16);
	int status;

	cr_assert(lab_start_program(lab));
	pid_t child = fork();
	if (child == 0) {
		uint64_t ticket;
		int code = tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL);

		_exit(code == TANDEM_E_USAGE ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	lab_free(lab);
}
