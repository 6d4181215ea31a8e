#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>
#include <tandem/clock.h>

#include "lab.h"

/* A node that has not what the program needs to go on [C35]. */

#define NEEDS "QEMU 11.1.3, machine pc"

static struct lab *begin(void)
{
	struct lab *lab = lab_new("auto", 16, 16);

	lab->needs = NEEDS;
	return lab;
}

static void change(struct lab *lab, int misfit)
{
	atomic_store(&lab->misfit, misfit);
	tandem_standby_review(lab->standby);
}

static bool fence(struct lab *lab, struct tandem_control_message *ret_message)
{
	lab_order(lab, TANDEM_CONTROL_FENCE, 0);
	return controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, ret_message);
}

static bool has_status(const struct tandem_control_message *report, uint64_t status)
{
	bool is_told = report->status != TANDEM_E_UNSUPPORTED ||
	               strstr(report->text, NEEDS " needed") != NULL;

	return report->status == -(int32_t)status && report->has_copy && is_told;
}

/* [L16] With a session and without one. */
Test(needs, a_report_says_that_they_are_missing)
{
	struct lab *lab = begin();

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	cr_expect(controller_wait_report(lab->standby_control, has_status, 0));
	change(lab, TANDEM_E_UNSUPPORTED);
	cr_expect(controller_wait_report(lab->standby_control, has_status, -TANDEM_E_UNSUPPORTED));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	change(lab, TANDEM_E_AGAIN);
	cr_expect(controller_wait_report(lab->standby_control, has_status, -TANDEM_E_UNSUPPORTED));
	change(lab, 0);
	cr_expect(controller_wait_report(lab->standby_control, has_status, 0));
	lab_free(lab);
}

Test(needs, a_report_does_not_wait_for_its_time_to_say_so)
{
	struct lab *lab = begin();

	lab->settings.report_interval_ns = 3600 * TANDEM_NS_PER_S;
	controller_configure(lab->standby_control, &lab->settings);
	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	change(lab, TANDEM_E_UNSUPPORTED);
	cr_expect(controller_wait_report(lab->standby_control, has_status, -TANDEM_E_UNSUPPORTED));
	lab_free(lab);
}

/* Nobody has told the standby that its node was changed. */
Test(needs, a_report_says_that_they_are_not_known)
{
	struct lab *lab = begin();

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	cr_expect(controller_wait_report(lab->standby_control, has_status, 0));
	atomic_store(&lab->misfit, TANDEM_E_AGAIN);
	cr_expect(controller_wait_report(lab->standby_control, has_status, -TANDEM_E_AGAIN));
	atomic_store(&lab->misfit, TANDEM_E_UNSUPPORTED);
	cr_expect(lab_commit(lab, "goes on until it is reviewed"));
	cr_expect(controller_wait_report(lab->standby_control, has_status, -TANDEM_E_AGAIN));
	atomic_store(&lab->misfit, 0);
	cr_expect(controller_wait_report(lab->standby_control, has_status, 0));
	lab_free(lab);
}

/* The host of the leading program ends before its controller has recorded that the session did. */
Test(needs, a_take_over_waits_until_the_node_has_them)
{
	struct lab *lab = begin();
	struct tandem_control_message message;

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	change(lab, TANDEM_E_UNSUPPORTED);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	lab_order(lab, TANDEM_CONTROL_FENCE, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_FENCE);
	cr_expect_eq(message.status, TANDEM_E_UNSUPPORTED);
	cr_expect(strstr(message.text, NEEDS " needed") != NULL, "%s", message.text);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_ACTIVATE);
	cr_expect(!controller_has(lab->standby_control, TANDEM_CONTROL_FENCED));

	change(lab, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &message));
	cr_expect_eq(message.generation, 3);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(lab_wait_activated(lab));
	cr_expect(lab_state_is(lab, "acknowledged"));
	lab_free(lab);
}

Test(needs, a_take_over_waits_until_it_is_known_what_the_node_has)
{
	struct lab *lab = begin();
	struct tandem_control_message message;

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	atomic_store(&lab->misfit, TANDEM_E_AGAIN);
	lab_order(lab, TANDEM_CONTROL_FENCE, 0);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_ACTIVATE);
	cr_expect(!controller_has(lab->standby_control, TANDEM_CONTROL_FENCED));
	change(lab, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &message));
	cr_expect_eq(message.generation, 3);
	lab_free(lab);
}

/* What the node has is exchanged while the lease of the old primary runs out. */
Test(needs, a_fenced_copy_is_given_to_no_program_that_was_exchanged_since)
{
	struct lab *lab = begin();
	struct tandem_control_message message;

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	cr_assert(fence(lab, &message));
	atomic_store(&lab->misfit, TANDEM_E_AGAIN);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	change(lab, TANDEM_E_UNSUPPORTED);
	cr_assert(lab_wait_line(lab, NEEDS " needed"), "%s", lab->last_error_line);
	cr_expect(!lab->is_activated);
	change(lab, 0);
	cr_assert(lab_wait_activated(lab));
	cr_expect(lab_state_is(lab, "acknowledged"));
	cr_expect_eq(lab->activation_count, 1);
	cr_expect(!controller_has(lab->standby_control, TANDEM_CONTROL_FAILED));
	lab_free(lab);
}

/* The controller has waited too long and begins anew: the order of before counts no more. */
Test(needs, another_fence_ends_an_order_that_waits)
{
	struct lab *lab = begin();
	struct tandem_control_message message;

	cr_assert(lab_protect(lab) && lab_commit(lab, "acknowledged"));
	cr_assert(fence(lab, &message));
	atomic_store(&lab->misfit, TANDEM_E_UNSUPPORTED);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(lab_wait_line(lab, "ACTIVATE is not carried out yet"));
	atomic_store(&lab->misfit, 0);
	cr_assert(fence(lab, &message));
	change(lab, 0);
	/* One may be read with the review, before it. */
	cr_assert(fence(lab, &message) && fence(lab, &message));
	cr_expect(!lab->is_activated);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(lab_wait_activated(lab));
	lab_free(lab);
}

Test(needs, without_them_there_is_no_copy)
{
	struct lab *lab = begin();

	atomic_store(&lab->misfit, TANDEM_E_UNSUPPORTED);
	cr_assert(lab_start_program(lab) && lab_start_standby(lab));
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_expect(lab_wait_line(lab, NEEDS " needed"), "%s", lab->last_error_line);
	cr_expect(!controller_has(lab->primary_control, TANDEM_CONTROL_COPIED));
	change(lab, 0);
	cr_expect(lab_copy(lab) && lab_pair(lab));
	lab_free(lab);
}
