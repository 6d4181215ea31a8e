#include <criterion/criterion.h>
#include <poll.h>

#include <tandem/clock.h>

#include "lab.h"

/* A program that leaves its pair in order and goes on. */

#define PATIENCE_MS 20000
#define LEASE_NS    (2 * TANDEM_NS_PER_S)

static void order(struct lab *lab, enum tandem_control_type type)
{
	const struct tandem_control_message message = {.type = type,
	                                               .kind = TANDEM_CONTROL_KIND_PROGRAM};

	controller_send(lab->primary_control, &message);
}

static bool is_readable(struct lab *lab, int timeout_ms)
{
	struct pollfd descriptor = {.fd = tandem_event_fd(lab->program), .events = POLLIN};

	return poll(&descriptor, 1, timeout_ms) == 1;
}

/* As an event loop: woken, it looks, and is not woken again for what it has seen. */
static void expect_one_ring(struct lab *lab, enum tandem_leaving leaving)
{
	struct tandem_news news;

	cr_assert(is_readable(lab, PATIENCE_MS), "%d is told", leaving);
	cr_expect_eq(tandem_leaving(lab->program), leaving);
	tandem_poll(lab->program, &news);
	cr_expect(!is_readable(lab, 0), "%d is told again and again", leaving);
}

Test(leave, each_step_rings_once)
{
	struct lab *lab = lab_new("mark", 16, 16);
	struct tandem_news news;

	cr_assert(lab_start_program(lab));
	tandem_poll(lab->program, &news);
	order(lab, TANDEM_CONTROL_LEAVE);
	expect_one_ring(lab, TANDEM_ASKED_TO_LEAVE);
	cr_assert_eq(tandem_leave(lab->program, NULL), 0);
	expect_one_ring(lab, TANDEM_LEAVES);
	order(lab, TANDEM_CONTROL_RELEASE);
	expect_one_ring(lab, TANDEM_LEFT);
	lab_free(lab);
}

static bool has_lease(const struct tandem_control_message *report, uint64_t is_wanted)
{
	return report->has_lease == (is_wanted != 0);
}

/* The timer is real: where it is not ended, it ends this process. */
Test(leave, a_program_that_left_outlives_its_lease)
{
	struct lab *lab = lab_new("mark", 16, 16);
	uint64_t end_ns;

	lab->settings.lease_ns = LEASE_NS;
	controller_configure(lab->primary_control, &lab->settings);
	controller_configure(lab->standby_control, &lab->settings);
	cr_assert(lab_protect(lab));
	cr_assert(controller_wait_report(lab->primary_control, has_lease, true));
	cr_assert_eq(tandem_leave(lab->program, NULL), 0);
	order(lab, TANDEM_CONTROL_RELEASE);
	cr_assert(controller_wait_report(lab->primary_control, has_lease, false),
	          "the answers of a secondary that is still there renew nothing");
	lab_kill_standby(lab);
	end_ns = tandem_clock_now_ns() + LEASE_NS + LEASE_NS / 10;
	while (tandem_clock_now_ns() < end_ns)
		poll(NULL, 0, 10);
	cr_expect_eq(tandem_leaving(lab->program), TANDEM_LEFT);
	lab_free(lab);
}
