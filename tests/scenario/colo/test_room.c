#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "lab.h"

/* A file system that fills up at any moment of a copy's life [C32] [C33] [C34]. */

#define HEAP_PAGES  16u
#define NOTES_PAGES 65536u
/* In pieces of so many pages the standby takes room ahead; what a seal lists here is shorter. */
#define PIECE_BYTES (64 * LAB_PAGE)
#define PIECE_MS    40 /* so that some of the notes have no room yet for 40 s */

static atomic_bool is_full, is_slow;

static bool is_of_image(int fd)
{
	char link[64], path[256] = "";

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/images/") != NULL;
}

/* In place of the C library's. A piece of the slow file system is not really taken: nothing of it
 * is written to. */
int posix_fallocate(int fd, off_t offset, off_t length)
{
	int kept = errno, failure = 0;

	if (atomic_load(&is_full) && is_of_image(fd))
		return ENOSPC;
	if (atomic_load(&is_slow) && length == PIECE_BYTES)
		poll(NULL, 0, PIECE_MS);
	else if (length < PIECE_BYTES && syscall(SYS_fallocate, fd, 0, offset, length) != 0)
		failure = errno;
	errno = kept;
	return failure;
}

static void store(struct lab *lab, unsigned page, int value)
{
	uint8_t *memory = lab->regions[1] + (size_t)page * LAB_PAGE;

	memset(memory, value, LAB_PAGE);
	tandem_mark_dirty(lab->program, memory, LAB_PAGE);
}

static bool image_page_is(const struct lab *lab, unsigned page, int value)
{
	uint8_t seen[LAB_PAGE], wanted[LAB_PAGE];
	char path[256];
	bool is_read;
	int fd;

	memset(wanted, value, sizeof wanted);
	snprintf(path, sizeof path, "%s/%s/notes", lab->images, LAB_PAIR);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	is_read = fd >= 0 && pread(fd, seen, sizeof seen, (off_t)page * LAB_PAGE) == LAB_PAGE;
	close(fd);
	return is_read && memcmp(seen, wanted, sizeof seen) == 0;
}

static bool image_page_becomes(const struct lab *lab, unsigned page, int value)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + 20 * TANDEM_NS_PER_S;

	while (!image_page_is(lab, page, value)) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/* A pair whose image has not all of its room, and an acknowledged epoch. */
static struct lab *protect(void)
{
	struct lab *lab = lab_new("auto", HEAP_PAGES, NOTES_PAGES);

	atomic_store(&is_slow, true);
	cr_assert(lab_protect(lab));
	store(lab, 7, 1);
	store(lab, 40000, 1);
	cr_assert(lab_commit(lab, "acknowledged"));
	return lab;
}

static void make_room(void)
{
	atomic_store(&is_slow, false);
	atomic_store(&is_full, false);
}

/* [C33] */
Test(room, without_it_there_is_no_first_copy)
{
	struct lab *lab = lab_new("auto", HEAP_PAGES, NOTES_PAGES);

	atomic_store(&is_full, true);
	cr_assert(lab_start_program(lab) && lab_start_standby(lab));
	store(lab, 7, 1);
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	cr_expect(lab_wait_line(lab, "larger"), "%s", lab->last_error_line);
	cr_expect(!controller_has(lab->primary_control, TANDEM_CONTROL_COPIED));
	make_room();
	cr_assert(lab_copy(lab) && lab_pair(lab));
	cr_expect(image_page_becomes(lab, 7, 1));
	store(lab, 9, 2);
	cr_assert(lab_commit(lab, "later"));
	cr_expect(image_page_becomes(lab, 9, 2));
	lab_free(lab);
}

/* [C32] */
Test(room, an_epoch_that_finds_none_is_not_acknowledged_and_comes_again)
{
	struct lab *lab = protect();
	uint64_t ticket;

	atomic_store(&is_full, true);
	for (unsigned page = 50000; page < 50100; page += 2)
		store(lab, page, 2);
	cr_assert_eq(tandem_checkpoint(lab->program, "no room", 7, &ticket, NULL), 0);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 200 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT);
	cr_expect(lab_wait_line(lab, "larger"), "%s", lab->last_error_line);
	cr_expect(image_page_becomes(lab, 7, 1) && image_page_becomes(lab, 40000, 1));
	cr_expect(image_page_is(lab, 50000, 0));
	make_room();
	cr_assert(lab_commit(lab, "room"));
	cr_expect(image_page_becomes(lab, 50000, 2) && image_page_becomes(lab, 50098, 2));
	cr_expect(image_page_is(lab, 7, 1) && image_page_is(lab, 40000, 1));
	lab_free(lab);
}

/* [C34] */
Test(room, a_take_over_waits_for_it)
{
	struct lab *lab = protect();
	struct tandem_control_message message;

	atomic_store(&is_full, true);
	cr_expect(lab_wait_line(lab, "larger"), "%s", lab->last_error_line);
	lab_order(lab, TANDEM_CONTROL_FENCE, 0);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_FENCE);
	cr_expect_eq(message.status, TANDEM_E_MEMORY);
	cr_expect(strstr(message.text, "larger") != NULL, "%s", message.text);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FAILED, &message));
	cr_expect_eq(message.answers, TANDEM_CONTROL_ACTIVATE);
	cr_expect(!controller_has(lab->standby_control, TANDEM_CONTROL_FENCED));

	make_room();
	cr_assert(controller_wait(lab->standby_control, TANDEM_CONTROL_FENCED, &message));
	cr_expect_eq(message.generation, 3);
	lab_order(lab, TANDEM_CONTROL_ACTIVATE, message.epoch);
	cr_assert(lab_wait_activated(lab));
	cr_expect(lab_state_is(lab, "acknowledged"));
	cr_expect(image_page_is(lab, 7, 1) && image_page_is(lab, 40000, 1));
	lab_free(lab);
}
