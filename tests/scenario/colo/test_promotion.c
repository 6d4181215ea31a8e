#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

#include <tandem/clock.h>

#include "lab.h"

static void order(struct lab *lab, enum tandem_control_type type, uint64_t generation,
                  uint64_t epoch, uint64_t incarnation)
{
	struct tandem_control_message message = {.type = type,
	                                         .kind = TANDEM_CONTROL_KIND_STANDBY,
	                                         .generation = generation,
	                                         .epoch = epoch,
	                                         .incarnation = incarnation};

	controller_send(lab->standby_control, &message);
}

static bool is_activated(struct lab *lab)
{
	bool is;

	pthread_mutex_lock(&lab->lock);
	is = lab->is_activated;
	pthread_mutex_unlock(&lab->lock);
	return is;
}

static bool wait_activated(struct lab *lab)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + 20 * TANDEM_NS_PER_S;

	while (!is_activated(lab)) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

Test(promotion, the_last_committed_epoch_is_activated_with_its_state)
{
	struct lab *lab = lab_new("auto", 300, 16);
	struct tandem_control_message fenced;
	struct tandem_news news;
	uint64_t ticket;

	cr_assert(lab_protect(lab));
	lab_scribble(lab, 1, 400);
	cr_assert(lab_commit(lab, "the last one"));
	tandem_poll(lab->program, &news);
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &fenced));
	cr_expect_eq(fenced.generation, 3);
	cr_expect_eq(fenced.epoch, news.epoch_committed);
	cr_expect(!is_activated(lab));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));

	cr_assert(lab_images_equal(lab));
	lab_scribble(lab, 2, 100);
	cr_assert_eq(tandem_checkpoint(lab->program, "too late", 8, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 100 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT, "a fenced standby acknowledges nothing");

	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch, 0xabcd);
	cr_assert(wait_activated(lab));
	cr_expect_eq(lab->activation.generation, 3);
	cr_expect_eq(lab->activation.epoch, fenced.epoch);
	cr_expect_eq(lab->activation.incarnation, 0xabcd);
	cr_expect(lab_state_is(lab, "the last one"));
	lab_free(lab);
}

/* Two checkpoints in a row: the second goes on before the first is applied, so its blob is sealed
 * after the program was resumed. */
Test(promotion, the_state_of_an_epoch_that_waited_for_apply_is_its_own)
{
	struct lab *lab = lab_new("mark", 30000, 16);
	struct tandem_control_message fenced;
	uint64_t ticket;

	cr_assert(lab_protect(lab));
	memset(lab->regions[0], 0x5a, lab->region_bytes[0]);
	tandem_mark_dirty(lab->program, lab->regions[0], lab->region_bytes[0]);
	cr_assert_eq(tandem_checkpoint(lab->program, "large", 5, &ticket, NULL), 0);
	lab->regions[1][0]++;
	tandem_mark_dirty(lab->program, lab->regions[1], 1);
	cr_assert_eq(tandem_checkpoint(lab->program, "small", 5, &ticket, NULL), 0);
	cr_assert_eq(tandem_wait_released(lab->program, ticket, 20 * TANDEM_NS_PER_S), 0);
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &fenced));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch, 1);
	cr_assert(wait_activated(lab));
	cr_expect(lab_state_is(lab, "small"));
	lab_free(lab);
}

Test(promotion, a_standby_without_a_copy_is_not_promotable)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message failed;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab));
	order(lab, TANDEM_CONTROL_FENCE, 2, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &failed));
	cr_expect_eq(failed.answers, TANDEM_CONTROL_FENCE);
	cr_expect_eq(failed.status, TANDEM_E_FENCE);
	order(lab, TANDEM_CONTROL_ACTIVATE, 2, 0, 1);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &failed));
	cr_expect_eq(failed.answers, TANDEM_CONTROL_ACTIVATE);
	cr_expect(!is_activated(lab));
	lab_free(lab);
}

/* [L11] A take-over was won and came to nothing; then another node leads, by a record of that
 * generation. */
Test(promotion, a_fenced_standby_that_is_told_to_stand_by_again_begins_a_new_life)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message fenced, report;
	uint64_t first;

	cr_assert(lab_protect(lab));
	first = controller_incarnation(lab->standby_control);
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &fenced));
	controller_stand_by(lab->standby_control, 2, 7);
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &fenced));
	cr_expect_eq(controller_incarnation(lab->standby_control), first, "an earlier generation");

	controller_stand_by(lab->standby_control, 3, 7);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_ATTACH, &report));
	cr_expect_neq(report.incarnation, first);
	lab_free(lab);
}

Test(promotion, activation_of_another_epoch_or_of_another_life_is_refused)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message fenced, failed;

	cr_assert(lab_protect(lab) && lab_commit(lab, "x"));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, 2, 1);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &failed),
	          "not fenced");
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &fenced));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch + 1, 1);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &failed));
	cr_expect(!is_activated(lab));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch, 1);
	cr_assert(wait_activated(lab));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch, 1); /* the same order again */
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, fenced.epoch, 2);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &failed),
	          "another incarnation of what runs already");
	cr_expect_eq(lab->activation_count, 1);
	lab_free(lab);
}

/* The program that ran on the image has ended: a new life that holds nothing. */
Test(promotion, a_renewed_standby_is_a_new_incarnation)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message message;
	uint64_t first;

	cr_assert(lab_protect(lab) && lab_commit(lab, "x"));
	first = controller_incarnation(lab->standby_control);
	order(lab, TANDEM_CONTROL_FENCE, 3, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &message));
	order(lab, TANDEM_CONTROL_ACTIVATE, 3, message.epoch, 1);
	cr_assert(wait_activated(lab));
	tandem_standby_renew(lab->standby);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_ATTACH, &message));
	cr_expect_neq(message.incarnation, first);
	order(lab, TANDEM_CONTROL_FENCE, 4, 0, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_FENCE);
	lab_free(lab);
}

/* What is started ahead of a take-over has the files of the copy, and nobody has those of one that
 * is gone. */
Test(promotion, who_would_take_over_knows_of_a_copy_from_its_first_epoch_to_its_end)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message message;

	cr_assert(lab_start_standby(lab));
	cr_expect_eq(lab->taken_count, 0);
	lab_free(lab);

	lab = lab_new("auto", 16, 16);
	cr_assert(lab_protect(lab) && lab_commit(lab, "one") && lab_commit(lab, "two"));
	cr_expect_eq(lab->taken_count, 1);
	cr_expect_eq(lab->dropped_count, 0);
	lab_kill_standby(lab);
	cr_expect_eq(lab->dropped_count, 1);
	lab_free(lab);

	lab = lab_new("auto", 16, 16);
	cr_assert(lab_protect(lab) && lab_commit(lab, "one"));
	lab_order(lab, TANDEM_CONTROL_FENCE, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &message));
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(lab_wait_activated(lab));
	lab_kill_standby(lab);
	cr_expect_eq(lab->dropped_count, 0, "it has them");
	lab_free(lab);
}
