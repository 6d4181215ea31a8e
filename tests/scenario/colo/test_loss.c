#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "lab.h"

static void yank(struct controller *controller)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_YANK};

	controller_send(controller, &message);
}

static bool wants_checkpoint(const struct tandem_news *news, uint64_t value)
{
	(void)value;
	return news->wants_checkpoint;
}

/* Only what is not at the peer travels after a resume. */
Test(loss, a_yanked_session_resumes_with_what_is_missing)
{
	struct lab *lab = lab_new("auto", 2000, 16);
	uint64_t before;

	cr_assert(lab_protect(lab));
	for (size_t page = 0; page < 2000; page++)
		lab->regions[0][page * LAB_PAGE] = (uint8_t)(page + 1);
	cr_assert(lab_commit(lab, "all"));
	/* Its pages travel again if the session is lost before APPLIED of it was read, which the
	 * seal of the next epoch waits for. */
	lab->regions[0][0]++;
	cr_assert(lab_commit(lab, "applied") && lab_images_equal(lab));
	before = atomic_load(&lab->stats->pages_pushed);
	yank(lab->primary_control);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, NULL));
	lab->regions[0][77 * LAB_PAGE]++;
	cr_assert(lab_commit(lab, "one") && lab_images_equal(lab));
	cr_expect_leq(atomic_load(&lab->stats->pages_pushed) - before, 64,
	              "one page was stored to; %llu travelled",
	              (unsigned long long)(atomic_load(&lab->stats->pages_pushed) - before));
	lab_free(lab);
}

Test(loss, output_of_a_lost_session_leaves_after_the_next_commit)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_control_message lost;
	uint64_t ticket;

	cr_assert(lab_protect(lab) && lab_commit(lab, "first"));
	lab_kill_standby(lab);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, &lost));
	cr_expect(lost.text[0] != '\0', "the cause is told");
	lab_scribble(lab, 3, 10);
	cr_assert_eq(tandem_checkpoint(lab->program, "gated", 5, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 50 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT, "PAIR without a session: gated");
	controller_lead(lab->primary_control, ++lab->generation, false);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 20 * TANDEM_NS_PER_S), 0);
	lab_free(lab);
}

Test(loss, another_standby_is_held_until_solo_and_copied)
{
	struct lab *lab = lab_new("auto", 200, 16);
	struct tandem_control_message up;
	uint64_t first;

	cr_assert(lab_protect(lab));
	lab_scribble(lab, 5, 300);
	cr_assert(lab_commit(lab, "before"));
	first = controller_incarnation(lab->standby_control);
	lab_kill_standby(lab);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	cr_assert(lab_start_standby(lab));
	cr_assert_neq(controller_incarnation(lab->standby_control), first);
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, &up));
	cr_expect_eq(up.peer_incarnation, controller_incarnation(lab->standby_control));

	struct tandem_news news;
	uint64_t ticket;
	cr_assert_eq(tandem_checkpoint(lab->program, "held", 4, &ticket, NULL), 0);
	tandem_poll(lab->program, &news);
	cr_expect(!news.wants_checkpoint);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 100 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT, "R8: gated until SOLO");
	cr_expect(!controller_has(lab->primary_control, TANDEM_CONTROL_COPIED));

	controller_lead(lab->primary_control, ++lab->generation, false);
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 20 * TANDEM_NS_PER_S), 0);
	cr_assert(lab_wait_news(lab, wants_checkpoint, 0));
	cr_assert_eq(tandem_checkpoint(lab->program, "copy", 4, &ticket, NULL), 0);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_COPIED, &up));
	cr_expect_eq(up.peer_incarnation, controller_incarnation(lab->standby_control));
	cr_assert(lab_pair(lab) && lab_images_equal(lab));
	cr_expect(lab_commit(lab, "after"));
	lab_free(lab);
}

static void damage_image(const struct lab *lab, size_t page)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s/heap", lab->images, LAB_PAIR);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "an image stays when its standby ends");
	cr_assert_eq(pwrite(fd, "another life's", 14, (off_t)(page * LAB_PAGE)), 14);
	close(fd);
}

/* 4.15: a new life holds no epoch, but its image is worth its digests. */
Test(loss, a_standby_that_was_started_again_is_sent_what_differs)
{
	struct lab *lab = lab_new("auto", 3000, 16);
	uint64_t before, pushed;

	for (size_t page = 0; page < 3000; page++)
		memset(lab->regions[0] + page * LAB_PAGE, (int)(page % 255 + 1), 100);
	cr_assert(lab_protect(lab) && lab_commit(lab, "all") && lab_images_equal(lab));
	lab_kill_standby(lab);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	controller_lead(lab->primary_control, ++lab->generation, false);
	lab->regions[0][77 * LAB_PAGE]++;
	lab->regions[1][3 * LAB_PAGE]++;
	damage_image(lab, 2222);
	before = atomic_load(&lab->stats->pages_pushed);
	cr_assert(lab_start_standby(lab) && lab_copy(lab) && lab_pair(lab));
	cr_assert(lab_images_equal(lab));
	pushed = atomic_load(&lab->stats->pages_pushed) - before;
	cr_expect(pushed >= 3 && pushed <= 64, "3 pages differ; %llu travelled",
	          (unsigned long long)pushed);
	cr_expect_eq(atomic_load(&lab->stats->copy_since_ns), 0, "the copy is over");
	cr_expect_geq(atomic_load(&lab->stats->copy_bytes_equal), (3000 - 64) * LAB_PAGE);
	cr_expect_geq(atomic_load(&lab->stats->copy_bytes_done), 3000 * LAB_PAGE);
	lab_scribble(lab, 8, 100);
	cr_assert(lab_commit(lab, "after") && lab_images_equal(lab));
	lab_free(lab);
}

/* The same standby, whose memory nobody's copy is any more. */
Test(loss, a_program_that_was_started_again_sends_what_differs)
{
	struct lab *lab = lab_new("auto", 3000, 16);
	uint64_t pushed;

	for (size_t page = 0; page < 3000; page++)
		memset(lab->regions[0] + page * LAB_PAGE, (int)(page % 255 + 1), 100);
	cr_assert(lab_protect(lab) && lab_commit(lab, "all") && lab_images_equal(lab));
	lab_close_program(lab);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	lab->regions[0][77 * LAB_PAGE]++;
	memset(lab->regions[0] + 78 * LAB_PAGE, 0, LAB_PAGE);
	cr_assert(lab_start_program(lab) && lab_copy(lab) && lab_pair(lab));
	cr_assert(lab_images_equal(lab));
	pushed = atomic_load(&lab->stats->pages_pushed);
	cr_expect(pushed >= 1 && pushed <= 64, "2 pages differ; %llu travelled",
	          (unsigned long long)pushed);
	lab_scribble(lab, 8, 100);
	cr_assert(lab_commit(lab, "after") && lab_images_equal(lab));
	lab_free(lab);
}

Test(loss, many_yanks_under_work_leave_the_image_right)
{
	struct lab *lab = lab_new("auto", 400, 40);

	cr_assert(lab_protect(lab));
	for (unsigned round = 0; round < 25; round++) {
		uint64_t ticket;

		lab_scribble(lab, round + 100, 200);
		cr_assert_eq(tandem_checkpoint(lab->program, "r", 1, &ticket, NULL), 0);
		yank(round % 2 == 0 ? lab->primary_control : lab->standby_control);
		cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL),
		          "round %u", round);
		cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, NULL),
		          "round %u", round);
		cr_assert(lab_commit(lab, "done"), "round %u", round);
		cr_assert_eq(tandem_wait_released(lab->program, ticket, 0), 0);
		cr_assert(lab_images_equal(lab), "round %u", round);
	}
	lab_free(lab);
}

/* A copy that is lost before it was complete: the program goes on alone. */
Test(loss, a_copy_that_fails_leaves_the_gate_open)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t ticket;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab));
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, NULL));
	cr_assert(lab_wait_news(lab, wants_checkpoint, 0));
	lab_kill_standby(lab);
	cr_assert_eq(tandem_checkpoint(lab->program, "copy", 4, &ticket, NULL), 0);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	cr_assert_eq(tandem_confirm(lab->program, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 20 * TANDEM_NS_PER_S), 0);
	lab_free(lab);
}
