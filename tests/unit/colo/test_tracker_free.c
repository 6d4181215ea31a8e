#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/random.h>

#include "tracker_bed.h"

/* Free pages: by the program's word, holes of files, and memory that nobody has touched. */

static void store_marked(unsigned page)
{
	bed_store(page);
	tandem_tracker_mark(bed_tracker, page * BED_PAGE, BED_PAGE);
}

static void mark_free(unsigned page)
{
	tandem_tracker_mark_free(bed_tracker, page * BED_PAGE, BED_PAGE);
}

static void begin_full(enum tandem_tracker kind, enum bed_memory memory)
{
	if (!bed_track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	memset(bed_base, 1, BED_BYTES);
	tandem_tracker_mark(bed_tracker, 0, BED_BYTES);
	bed_scan();
	cr_assert_eq(bed_free_count(), 0);
}

static void frees(enum tandem_tracker kind, enum bed_memory memory)
{
	begin_full(kind, memory);
	mark_free(5);
	bed_expect_only(5, true, "a page that was freed");
	mark_free(5);
	bed_expect_nothing("and freed again");
	store_marked(5);
	bed_expect_only(5, false, "a store to it");
	mark_free(6);
	store_marked(6);
	bed_expect_only(6, false, "a store after the freeing, in one epoch");
	store_marked(7);
	mark_free(7);
	bed_expect_only(7, true, "a store before the freeing");
	tandem_tracker_mark_free(bed_tracker, 60 * BED_PAGE + 1, 10 * BED_PAGE);
	bed_scan();
	cr_expect_eq(bed_dirty_count(), 9, "whole pages only");
	cr_expect(!bed_is_free(60) && bed_is_free(61) && bed_is_free(69) && !bed_is_free(70));
	tandem_tracker_mark_free(bed_tracker, 8 * BED_PAGE + 1, BED_PAGE);
	bed_expect_nothing("no whole page");
	tandem_tracker_mark_free(bed_tracker, 0, BED_BYTES);
	store_marked(299);
	bed_scan();
	cr_expect_eq(bed_free_count(), BED_PAGES - 1);
	cr_expect(bed_is_dirty(299) && !bed_is_free(299));
	bed_untrack();
}

Test(tracker_free, pagemap_takes_the_programs_word)
{
	for (unsigned memory = 0; memory < BED_MEMORIES; memory++)
		frees(TANDEM_TRACKER_PAGEMAP, (enum bed_memory)memory);
}

Test(tracker_free, mark_takes_the_programs_word)
{
	for (unsigned memory = 0; memory < BED_MEMORIES; memory++)
		frees(TANDEM_TRACKER_MARK, (enum bed_memory)memory);
}

/* What brings back the old content would not be seen. */
Test(tracker_free, compare_fills_with_zeros)
{
	begin_full(TANDEM_TRACKER_COMPARE, BED_MEMFD);
	mark_free(5);
	cr_expect_eq(bed_base[5 * BED_PAGE + 100], 0);
	bed_expect_only(5, false, "freed");
	memset(bed_base + 5 * BED_PAGE, 1, BED_PAGE);
	bed_expect_only(5, false, "written as it was");
	bed_untrack();
}

/* ---- races ---- */

#define WRITERS 2u

/* What the copy of a page must hold when everybody is quiet; 0: whatever it likes. */
static uint64_t expected[BED_PAGES];
static uint8_t copy[BED_BYTES];
static _Atomic unsigned writers_left;
static bool is_marking;

static void write_or_free(uint64_t random, unsigned page)
{
	uint64_t *word = (uint64_t *)(void *)(bed_base + page * BED_PAGE + 64);

	if (random % 4 != 0)
		mark_free(page);
	expected[page] = 0;
	if (random % 4 == 1)
		return;
	expected[page] = random | 1;
	*word = expected[page];
	if (is_marking)
		tandem_tracker_mark(bed_tracker, page * BED_PAGE, BED_PAGE);
}

static void *write_and_free(void *argument)
{
	unsigned writer = (unsigned)(uintptr_t)argument;
	uint64_t seed = writer + 11;

	for (unsigned step = 0; step < 400; step++) {
		uint64_t random = tandem_random_next(&seed);
		unsigned page = (unsigned)(random >> 32) % (BED_PAGES / WRITERS) * WRITERS + writer;

		write_or_free(random, page);
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

/* As a push does, as late as it may. */
static void scan_and_copy(void)
{
	bed_scan();
	for (unsigned page = 0; page < BED_PAGES; page++) {
		if (!bed_is_dirty(page))
			continue;
		if (bed_is_free(page))
			memset(copy + page * BED_PAGE, 0, BED_PAGE);
		else
			memcpy(copy + page * BED_PAGE, bed_base + page * BED_PAGE, BED_PAGE);
	}
}

static void run_round(void)
{
	pthread_t threads[WRITERS];

	atomic_store(&writers_left, WRITERS);
	for (unsigned writer = 0; writer < WRITERS; writer++)
		pthread_create(&threads[writer], NULL, write_and_free, (void *)(uintptr_t)writer);
	while (atomic_load(&writers_left) > 0)
		scan_and_copy();
	for (unsigned writer = 0; writer < WRITERS; writer++)
		pthread_join(threads[writer], NULL);
	scan_and_copy();
}

static void loses_no_store(enum tandem_tracker kind, enum bed_memory memory)
{
	begin_full(kind, memory);
	is_marking = kind == TANDEM_TRACKER_MARK;
	memset(copy, 1, BED_BYTES);
	for (unsigned round = 0; round < 40; round++) {
		run_round();
		for (unsigned page = 0; page < BED_PAGES; page++) {
			uint64_t held;

			memcpy(&held, copy + page * BED_PAGE + 64, sizeof held);
			if (expected[page] != 0)
				cr_assert_eq(held, expected[page], "round %u page %u", round, page);
		}
	}
	bed_untrack();
}

Test(tracker_free, pagemap_loses_no_store_beside_scans)
{
	loses_no_store(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS);
}

Test(tracker_free, pagemap_loses_no_store_to_shared_memory_beside_scans)
{
	loses_no_store(TANDEM_TRACKER_PAGEMAP, BED_SHM_FILE);
}

Test(tracker_free, mark_loses_no_store_beside_scans)
{
	loses_no_store(TANDEM_TRACKER_MARK, BED_MEMFD);
}

/* ---- holes ---- */

static void shrink_and_grow(unsigned page)
{
	cr_assert_eq(ftruncate(bed_file, page * BED_PAGE), 0);
	cr_assert_eq(ftruncate(bed_file, BED_BYTES), 0);
}

static void sees_holes(enum tandem_tracker kind, enum bed_memory memory)
{
	begin_full(kind, memory);
	bed_punch(13, 1);
	bed_expect_only(13, true, "a hole");
	cr_expect(tandem_tracker_take_moved(bed_tracker), "its memory is gone");
	bed_store(13);
	bed_expect_only(13, false, "a store into it");
	cr_expect(!tandem_tracker_take_moved(bed_tracker));
	cr_assert_eq(madvise(bed_base + 14 * BED_PAGE, BED_PAGE, MADV_REMOVE), 0);
	bed_expect_only(14, true, "MADV_REMOVE");
	bed_store(15);
	bed_punch(15, 1);
	bed_expect_only(15, true, "a hole after a store");
	bed_punch(16, 1);
	bed_store(16);
	bed_expect_only(16, false, "a store into a hole, in one epoch");
	shrink_and_grow(298);
	bed_scan();
	cr_expect(bed_is_dirty(298) && bed_is_dirty(299), "the file was shorter");
	cr_expect_eq(bed_dirty_count(), 2);
	cr_expect(bed_is_free(298) && bed_is_free(299));
	bed_punch(20, 1);
	bed_store(14);
	bed_scan();
	cr_expect(bed_is_dirty(20) && bed_is_free(20), "one is filled and another one made");
	cr_expect(bed_is_dirty(14) && !bed_is_free(14));
	bed_expect_nothing("each is told once");
	bed_untrack();
}

Test(tracker_free, pagemap_sees_holes)
{
	sees_holes(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
	sees_holes(TANDEM_TRACKER_PAGEMAP, BED_SHM_FILE);
}

Test(tracker_free, compare_sees_holes)
{
	sees_holes(TANDEM_TRACKER_COMPARE, BED_MEMFD);
	sees_holes(TANDEM_TRACKER_COMPARE, BED_SHM_FILE);
}

/* As everything that is written past the mapping. */
Test(tracker_free, what_is_written_past_the_mapping_into_a_hole_is_missed_unless_marked)
{
	begin_full(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
	bed_punch(13, 1);
	bed_scan();
	cr_assert_eq(pwrite(bed_file, "x", 1, 13 * BED_PAGE), 1);
	bed_expect_nothing("pwrite");
	tandem_tracker_mark(bed_tracker, 13 * BED_PAGE, 1);
	bed_expect_only(13, false, "pwrite and a mark");
	bed_untrack();
}

/* By pread, which fills no hole. */
static void check_pages(uint8_t *shadow, unsigned round)
{
	static const uint8_t zeros[BED_PAGE];
	static uint8_t now[BED_BYTES];

	cr_assert_eq(pread(bed_file, now, BED_BYTES, 0), BED_BYTES);
	for (unsigned page = 0; page < BED_PAGES; page++) {
		const uint8_t *memory = now + page * BED_PAGE;

		if (memcmp(shadow + page * BED_PAGE, memory, BED_PAGE) != 0)
			cr_assert(bed_is_dirty(page), "round %u page %u", round, page);
		if (bed_is_free(page))
			cr_assert_eq(memcmp(memory, zeros, BED_PAGE), 0, "round %u page %u", round,
			             page);
	}
	memcpy(shadow, now, BED_BYTES);
}

static void change_at_random(uint64_t random)
{
	unsigned page = (unsigned)(random >> 32) % (BED_PAGES - 4);
	unsigned count = (unsigned)(random >> 16) % 4 + 1;

	if (random % 4 == 0)
		bed_punch(page, count);
	else if (random % 4 == 1)
		cr_assert_eq(fallocate(bed_file, 0, page * BED_PAGE, count * BED_PAGE), 0);
	else
		bed_base[page * BED_PAGE + random % 4096] = (uint8_t)(random >> 8);
}

static void misses_no_hole(enum tandem_tracker kind, enum bed_memory memory)
{
	static uint8_t shadow[BED_BYTES];
	uint64_t seed = 17;

	if (!bed_track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	check_pages(shadow, 0);
	for (unsigned round = 1; round < 300; round++) {
		for (unsigned count = 0; count < round % 40; count++)
			change_at_random(tandem_random_next(&seed));
		bed_scan();
		check_pages(shadow, round);
	}
	bed_untrack();
}

Test(tracker_free, pagemap_misses_no_hole)
{
	misses_no_hole(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
	misses_no_hole(TANDEM_TRACKER_PAGEMAP, BED_SHM_FILE);
}

Test(tracker_free, compare_misses_no_hole)
{
	misses_no_hole(TANDEM_TRACKER_COMPARE, BED_MEMFD);
}

/* A file without any hole cannot hide one, and is not looked through. */
Test(tracker_free, a_full_file_is_seen_to_get_a_hole)
{
	static const size_t bytes = 4u << 20;
	uint64_t found[16] = {0};

	bed_file = memfd_create("tracker", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(bed_file, (off_t)bytes), 0);
	bed_base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file, 0);
	memset(bed_base, 1, bytes);
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, bytes, &bed_tracker, NULL) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(bed_scan_words(bed_tracker, found, NULL), 0);
	memset(found, 0, sizeof found);
	bed_store(70);
	cr_assert_eq(bed_scan_words(bed_tracker, found, NULL), 0);
	cr_expect_eq(tandem_bitmap_population(found, 1024), 1);
	bed_punch(900, 2);
	cr_assert_eq(bed_scan_words(bed_tracker, found, NULL), 0);
	cr_expect_eq(tandem_bitmap_population(found, 1024), 3);
	cr_expect(bed_is_free(900) && bed_is_free(901));
	bed_tracker = tandem_tracker_free(bed_tracker);
	munmap(bed_base, bytes);
	close(bed_file);
}

Test(tracker_free, a_hole_that_was_filled_again_past_the_mapping_is_seen)
{
	begin_full(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
	bed_punch(13, 1);
	cr_assert_eq(pwrite(bed_file, "x", 1, 13 * BED_PAGE), 1);
	bed_expect_only(13, false, "pwrite");
	bed_punch(14, 1);
	cr_assert_eq(fallocate(bed_file, 0, 14 * BED_PAGE, BED_PAGE), 0);
	bed_expect_only(14, true, "fallocate");
	bed_untrack();
}

/* The documented miss: filled again by a load. The program's word covers it. */
Test(tracker_free, a_hole_that_a_read_has_filled_is_missed_unless_it_is_freed)
{
	begin_full(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
	bed_punch(13, 1);
	cr_assert_eq(*(volatile uint8_t *)(bed_base + 13 * BED_PAGE), 0);
	bed_expect_nothing("filled before anybody looked");
	bed_punch(13, 1);
	mark_free(13);
	cr_assert_eq(*(volatile uint8_t *)(bed_base + 13 * BED_PAGE), 0);
	bed_expect_only(13, true, "with the program's word");
	bed_untrack();
}

/* Marks tell everything, holes too; a watch costs nothing and is kept. */
Test(tracker_free, mark_looks_at_the_file_when_the_kernel_says_so)
{
	begin_full(TANDEM_TRACKER_MARK, BED_SHM_FILE);
	bed_punch(13, 1);
	bed_expect_only(13, true, "a hole");
	store_marked(13);
	bed_expect_only(13, false, "filled");
	bed_untrack();
	begin_full(TANDEM_TRACKER_MARK, BED_MEMFD);
	bed_punch(13, 1);
	mark_free(13);
	bed_expect_only(13, true, "a hole that the program tells");
	bed_untrack();
}

/* ---- memory that nobody has touched ---- */

static uint64_t resident_bytes(void)
{
	uint64_t size, resident = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	cr_assert_eq(fscanf(statm, "%lu %lu", &size, &resident), 2);
	fclose(statm);
	return resident * BED_PAGE;
}

Test(tracker_free, untouched_anonymous_memory_is_free_and_stays_untouched)
{
	bed_map(BED_ANONYMOUS);
	madvise(bed_base, BED_BYTES, MADV_NOHUGEPAGE);
	bed_store(3);
	bed_store(250);
	cr_assert_eq(*(volatile uint8_t *)(bed_base + 9 * BED_PAGE), 0, "the kernel's zeros");
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, BED_BYTES, &bed_tracker, NULL) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	uint64_t before = resident_bytes();

	bed_scan();
	cr_expect_eq(bed_free_count(), BED_PAGES - 2);
	cr_expect(!bed_is_free(3) && !bed_is_free(250) && bed_is_free(9));
	bed_store(20);
	bed_expect_only(20, false, "the first store to a page");
	cr_expect_lt(resident_bytes(), before + 64 * BED_PAGE, "nothing was filled with memory");
	bed_untrack();
}

static void holes_stay_holes(enum tandem_tracker kind)
{
	struct stat before, after;

	bed_map(BED_MEMFD);
	bed_store(3);
	cr_assert_eq(fstat(bed_file, &before), 0);
	if (tandem_tracker_new(kind, bed_base, BED_BYTES, &bed_tracker, NULL) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	cr_expect_eq(bed_free_count(), BED_PAGES - 1);
	bed_scan();
	cr_assert_eq(fstat(bed_file, &after), 0);
	cr_expect_eq(before.st_blocks, after.st_blocks, "%s", tandem_tracker_name(kind));
	bed_untrack();
}

Test(tracker_free, holes_are_free_and_stay_holes)
{
	holes_stay_holes(TANDEM_TRACKER_PAGEMAP);
	holes_stay_holes(TANDEM_TRACKER_COMPARE);
	holes_stay_holes(TANDEM_TRACKER_MARK);
}

/* On anonymous memory a page that is given back counts as written; the program's word costs no
 * look. */
Test(tracker_free, anonymous_memory_that_is_given_back_is_seen)
{
	begin_full(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS);
	cr_assert_eq(madvise(bed_base + 30 * BED_PAGE, BED_PAGE, MADV_DONTNEED), 0);
	bed_expect_only(30, false, "MADV_DONTNEED");
	cr_assert_eq(madvise(bed_base + 31 * BED_PAGE, BED_PAGE, MADV_DONTNEED), 0);
	mark_free(31);
	bed_expect_only(31, true, "with the program's word");
	cr_assert_eq(madvise(bed_base + 32 * BED_PAGE, BED_PAGE, MADV_FREE), 0);
	bed_expect_nothing("MADV_FREE, whenever it takes effect");
	mark_free(32);
	bed_expect_only(32, true, "with the program's word");
	bed_untrack();
}
