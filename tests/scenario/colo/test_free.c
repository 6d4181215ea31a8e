#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "lab.h"

/* Pages that nobody needs, and regions that are not what they were, in a whole pair. */

#define PAGES       300u
#define PATIENCE_NS (20 * TANDEM_NS_PER_S)

static const char *const names[] = {"heap", "notes"};

static bool read_image(const struct lab *lab, unsigned region, unsigned page, uint8_t *ret_bytes)
{
	char path[256];
	int fd;
	bool is_good;

	snprintf(path, sizeof path, "%s/%s/%s", lab->images, LAB_PAIR, names[region]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	is_good = fd >= 0 && pread(fd, ret_bytes, LAB_PAGE, page * LAB_PAGE) == LAB_PAGE;
	close(fd);
	return is_good;
}

/* Once the apply under way is done. */
static bool image_page_becomes(const struct lab *lab, unsigned region, unsigned page, int value)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	uint8_t seen[LAB_PAGE], wanted[LAB_PAGE];

	memset(wanted, value, sizeof wanted);
	while (!read_image(lab, region, page, seen) || memcmp(seen, wanted, sizeof seen) != 0) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static void store(struct lab *lab, unsigned region, unsigned page, int value)
{
	uint8_t *memory = lab->regions[region] + page * LAB_PAGE;

	memset(memory, value, LAB_PAGE);
	tandem_mark_dirty(lab->program, memory, LAB_PAGE);
}

static void frees(const char *tracker)
{
	struct lab *lab = lab_new(tracker, PAGES, PAGES);
	uint64_t pushed_before;

	for (unsigned region = 0; region < 2; region++)
		memset(lab->regions[region], 7, PAGES * LAB_PAGE);
	cr_assert(lab_protect(lab) && lab_images_equal(lab) && lab_commit(lab, NULL));
	pushed_before = atomic_load(&lab->stats->pages_pushed);
	for (unsigned region = 0; region < 2; region++)
		tandem_mark_free(lab->program, lab->regions[region] + 10 * LAB_PAGE, 50 * LAB_PAGE);
	cr_assert(lab_commit(lab, NULL));
	for (unsigned region = 0; region < 2; region++) {
		cr_expect(image_page_becomes(lab, region, 10, 0), "%s %u", tracker, region);
		cr_expect(image_page_becomes(lab, region, 59, 0), "%s %u", tracker, region);
		cr_expect(image_page_becomes(lab, region, 60, 7), "%s %u", tracker, region);
		store(lab, region, 20, 9);
	}
	cr_expect_eq(atomic_load(&lab->stats->pages_pushed), pushed_before, "records only");
	cr_assert(lab_commit(lab, NULL));
	for (unsigned region = 0; region < 2; region++) {
		cr_expect(image_page_becomes(lab, region, 20, 9), "written again: it arrives");
		cr_expect(image_page_becomes(lab, region, 21, 0));
		tandem_mark_free(lab->program, lab->regions[region] + 20 * LAB_PAGE, LAB_PAGE);
		store(lab, region, 20, 11);
	}
	cr_assert(lab_commit(lab, NULL));
	for (unsigned region = 0; region < 2; region++)
		cr_expect(image_page_becomes(lab, region, 20, 11), "in the same epoch too");
	lab_free(lab);
}

Test(free_pages, cost_a_record_with_the_default_tracker)
{
	frees("auto");
}

Test(free_pages, cost_a_record_with_marks)
{
	frees("mark");
}

Test(free_pages, cost_a_record_with_compare)
{
	frees("compare");
}

static unsigned resident_pages(const struct lab *lab, unsigned region)
{
	unsigned char pages[PAGES];
	unsigned count = 0;

	cr_assert_eq(mincore(lab->regions[region], PAGES * LAB_PAGE, pages), 0);
	for (unsigned page = 0; page < PAGES; page++)
		count += pages[page] & 1;
	return count;
}

Test(free_pages, of_untouched_memory_are_not_touched_by_a_copy)
{
	struct lab *lab = lab_new("auto", PAGES, PAGES);

	for (unsigned region = 0; region < 2; region++) {
		madvise(lab->regions[region], PAGES * LAB_PAGE, MADV_NOHUGEPAGE);
		for (unsigned page = 0; page < 5; page++)
			memset(lab->regions[region] + page * 50 * LAB_PAGE, 7, LAB_PAGE);
	}
	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	if (strcmp(tandem_region_tracker(lab->program, "notes"), "pagemap") == 0)
		cr_expect_eq(resident_pages(lab, 1), 5, "anonymous");
	cr_expect_eq(resident_pages(lab, 0), 5, "shared");
	cr_expect_eq(atomic_load(&lab->stats->pages_pushed), 10);
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}

Test(free_pages, holes_that_are_punched_become_zeros)
{
	struct lab *lab = lab_new("auto", PAGES, PAGES);

	memset(lab->regions[0], 7, PAGES * LAB_PAGE);
	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	cr_assert_eq(madvise(lab->regions[0] + 30 * LAB_PAGE, 20 * LAB_PAGE, MADV_REMOVE), 0);
	cr_assert(lab_commit(lab, NULL));
	cr_expect(image_page_becomes(lab, 0, 30, 0));
	cr_expect(image_page_becomes(lab, 0, 49, 0));
	store(lab, 0, 31, 9);
	cr_assert(lab_commit(lab, NULL));
	cr_expect(image_page_becomes(lab, 0, 31, 9));
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}

/* [C22] */
Test(free_pages, a_region_that_is_not_what_it_was_ends_the_protection)
{
	struct lab *lab = lab_new("auto", PAGES, PAGES);
	struct tandem_control_message message;
	uint64_t ticket;
	void *place = lab->regions[1] + 8 * LAB_PAGE;
	int other = memfd_create("other", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(other, LAB_PAGE), 0);
	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	if (strcmp(tandem_region_tracker(lab->program, "notes"), "pagemap") != 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(
	        mmap(place, LAB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other, 0),
	        place);
	cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL), 0);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, &message));
	cr_expect_not_null(strstr(message.text, "protection has stopped: region notes"), "%s",
	                   message.text);
	cr_expect_str_eq(lab->stats->tracker, "failed");
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 100 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT, "the register still says PAIR");
	controller_lead(lab->primary_control, ++lab->generation, false);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, PATIENCE_NS), 0,
	             "alone it goes on");
	cr_expect_not(controller_has(lab->primary_control, TANDEM_CONTROL_SESSION_UP));
	lab_free(lab);
	close(other);
}

static void store_in_child(struct lab *lab, unsigned page)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		lab->regions[0][page * LAB_PAGE + 100]++;
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

/* [C22]: no tracker but compare sees a child's store; the judge does, and the epoch with it is not
 * sealed. */
Test(free_pages, a_write_that_was_missed_ends_the_protection_before_it_is_sealed)
{
	struct lab *lab = lab_new("mark", PAGES, PAGES);
	struct tandem_control_message message;
	struct tandem_news before, after;
	uint64_t ticket;

	controller_verify_every(lab->primary_control, 1);
	memset(lab->regions[0], 7, PAGES * LAB_PAGE);
	cr_assert(lab_protect(lab));
	for (unsigned epoch = 0; epoch < 3; epoch++) {
		store(lab, 0, epoch, 9);
		cr_assert(lab_commit(lab, NULL));
	}
	store_in_child(lab, 33);
	tandem_poll(lab->program, &before);
	cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &ticket, NULL), 0);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, &message));
	cr_expect_not_null(strstr(message.text, "protection has stopped: region heap: page 33 "),
	                   "%s", message.text);
	tandem_poll(lab->program, &after);
	cr_expect_eq(after.epoch_committed, before.epoch_committed);
	lab_free(lab);
}

Test(free_pages, a_region_that_was_mapped_anew_travels_again)
{
	struct lab *lab = lab_new("auto", PAGES, PAGES);
	void *place = lab->regions[1] + 8 * LAB_PAGE;

	memset(lab->regions[1], 7, PAGES * LAB_PAGE);
	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	cr_assert_eq(mmap(place, LAB_PAGE, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	             place);
	cr_assert(lab_commit(lab, NULL));
	cr_expect(image_page_becomes(lab, 1, 8, 0));
	store(lab, 1, 8, 9);
	store(lab, 1, 9, 10);
	cr_assert(lab_commit(lab, NULL));
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}
