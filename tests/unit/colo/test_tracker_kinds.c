#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tracker_bed.h"

/* Kinds of memory, and mappings that come and go. */

#define HUGE_PAGE  (2u << 20)
#define HUGE_BYTES (2 * HUGE_PAGE)

/* ---- another mapping ---- */

static int try_tracker(enum tandem_tracker kind, struct tandem_error *error)
{
	return tandem_tracker_new(kind, bed_base, BED_BYTES, &bed_tracker, error);
}

Test(tracker_kinds, a_second_mapping_is_refused_by_pagemap_only)
{
	struct tandem_error error = {.code = 0};

	bed_map(BED_MEMFD);
	uint8_t *other = mmap(NULL, 8 * BED_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file,
	                      7 * BED_PAGE);
	cr_assert_eq(try_tracker(TANDEM_TRACKER_PAGEMAP, &error), TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, "compare"), "%s", error.detail);
	cr_assert_eq(try_tracker(TANDEM_TRACKER_MARK, &error), 0);
	tandem_tracker_free(bed_tracker);
	cr_assert_eq(try_tracker(TANDEM_TRACKER_AUTO, &error), 0);
	cr_expect_eq(tandem_tracker_kind(bed_tracker), TANDEM_TRACKER_COMPARE);
	cr_expect_not_null(strstr(tandem_tracker_text(bed_tracker), "because"));
	bed_scan();
	other[BED_PAGE]++;
	bed_expect_only(8, false, "a store through the other mapping");
	munmap(other, 8 * BED_PAGE);
	bed_untrack();
}

Test(tracker_kinds, mappings_that_cannot_write_here_are_no_reason)
{
	bed_map(BED_MEMFD);
	cr_assert_eq(ftruncate(bed_file, 2 * BED_BYTES), 0);
	void *reader = mmap(NULL, BED_BYTES, PROT_READ, MAP_SHARED, bed_file, 0);
	void *private = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, bed_file, 0);
	void *behind =
	        mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file, BED_BYTES);

	if (try_tracker(TANDEM_TRACKER_PAGEMAP, NULL) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	bed_store(5);
	bed_expect_only(5, false, "a store");
	munmap(reader, BED_BYTES);
	munmap(private, BED_BYTES);
	munmap(behind, BED_BYTES);
	bed_untrack();
}

Test(tracker_kinds, a_region_may_be_a_part_of_its_mapping)
{
	uint64_t dirty[2] = {0};

	bed_map(BED_MEMFD);
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base + 16 * BED_PAGE, 32 * BED_PAGE,
	                       &bed_tracker, NULL) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(bed_scan_words(bed_tracker, dirty, NULL), 0);
	cr_expect_eq(tandem_bitmap_population(tandem_tracker_free_pages(bed_tracker), 32), 32);
	memset(dirty, 0, sizeof dirty);
	bed_store(15);
	bed_store(17);
	bed_store(48);
	cr_assert_eq(bed_scan_words(bed_tracker, dirty, NULL), 0);
	cr_expect_eq(dirty[0], 2, "page 1 of the region, %#lx", dirty[0]);
	bed_untrack();
}

/* ---- mapped anew ---- */

static void map_over(unsigned page, int fd)
{
	cr_assert_eq(mmap(bed_base + page * BED_PAGE, BED_PAGE, PROT_READ | PROT_WRITE,
	                  fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED : MAP_SHARED | MAP_FIXED,
	                  fd, fd < 0 ? 0 : page * BED_PAGE),
	             bed_base + page * BED_PAGE);
}

static void goes_on_when_mapped_anew(enum bed_memory memory)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	memset(bed_base, 1, BED_BYTES);
	bed_scan();
	map_over(8, bed_file);
	bed_scan();
	cr_expect_eq(bed_dirty_count(), BED_PAGES, "all of it travels again");
	cr_expect(tandem_tracker_take_moved(bed_tracker));
	bed_store(8);
	bed_expect_only(8, false, "a store to the new mapping");
	bed_store(9);
	bed_expect_only(9, false, "a store beside it");
	bed_untrack();
}

Test(tracker_kinds, the_same_memory_mapped_anew_is_tracked_anew)
{
	goes_on_when_mapped_anew(BED_ANONYMOUS);
	goes_on_when_mapped_anew(BED_MEMFD);
}

static void ends_with(const char *what)
{
	static uint64_t dirty[TANDEM_BITMAP_WORDS(BED_PAGES) + 1];
	struct tandem_error error = {.code = 0};

	cr_expect_eq(bed_scan_words(bed_tracker, dirty, &error), TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, what), "%s", error.detail);
	cr_expect_eq(bed_scan_words(bed_tracker, dirty, &error), TANDEM_E_UNSUPPORTED,
	             "and it stays so");
}

Test(tracker_kinds, other_memory_in_the_place_of_a_region_is_an_error)
{
	int other;

	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	other = memfd_create("other", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(other, BED_BYTES), 0);
	map_over(8, other);
	ends_with("several things");
	bed_untrack();
	cr_assert(bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD));
	cr_assert_eq(
	        mmap(bed_base, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other, 0),
	        bed_base);
	ends_with("something else");
	bed_untrack();
	close(other);
}

/* mremap takes memory away, and what is mapped in its place is not tracked. */
Test(tracker_kinds, a_region_that_was_moved_away_is_an_error)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	void *elsewhere = mmap(NULL, BED_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_eq(mremap(bed_base + 4 * BED_PAGE, BED_PAGE, BED_PAGE,
	                    MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere),
	             elsewhere);
	map_over(4, -1);
	ends_with("several things");
	munmap(elsewhere, BED_BYTES);
	bed_untrack();
}

/* ---- huge pages ---- */

static uint64_t words[HUGE_BYTES / BED_PAGE / 64];

static uint64_t scan_huge(void)
{
	struct tandem_error error;

	memset(words, 0, sizeof words);
	cr_assert_eq(bed_scan_words(bed_tracker, words, &error), 0, "%s", error.detail);
	return tandem_bitmap_population(words, HUGE_BYTES / BED_PAGE);
}

/* Tracking splits transparent huge pages: 4 KiB pages are told. */
static void tells_small_pages(void)
{
	cr_expect_eq(scan_huge(), 0);
	bed_store(600);
	cr_expect_eq(scan_huge(), 1);
	cr_expect(tandem_bitmap_get(words, 600));
	tandem_tracker_mark_free(bed_tracker, 5 * BED_PAGE, 2 * BED_PAGE);
	bed_store(6);
	cr_expect_eq(scan_huge(), 2);
	cr_expect(bed_is_free(5) && !bed_is_free(6));
	memset(bed_base, 3, HUGE_BYTES);
	cr_expect_eq(scan_huge(), HUGE_BYTES / BED_PAGE);
	cr_expect_eq(tandem_bitmap_population(tandem_tracker_free_pages(bed_tracker),
	                                      HUGE_BYTES / BED_PAGE),
	             0);
}

Test(tracker_kinds, transparent_huge_pages_are_told_in_small_ones)
{
	uint8_t *space = mmap(NULL, HUGE_BYTES + HUGE_PAGE, PROT_READ | PROT_WRITE,
	                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bed_base = space + (HUGE_PAGE - (uintptr_t)space % HUGE_PAGE) % HUGE_PAGE;
	cr_assert_eq(madvise(bed_base, HUGE_BYTES, MADV_HUGEPAGE), 0);
	bed_base[0] = 1; /* one huge page; the other one is untouched */
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, HUGE_BYTES, &bed_tracker, NULL) <
	    0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	scan_huge();
	cr_expect_not(bed_is_free(0));
	cr_expect(bed_is_free(1023), "untouched");
	tells_small_pages();
	bed_tracker = tandem_tracker_free(bed_tracker);
	munmap(space, HUGE_BYTES + HUGE_PAGE);
}

/* In a mount namespace of this test's own process. */
static bool make_huge_file(void)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", 0, "huge=always,size=64m") != 0)
		return false;
	bed_file = open("/dev/shm/huge", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return bed_file >= 0 && ftruncate(bed_file, HUGE_BYTES) == 0;
}

/* The kernel maps the whole huge page at the next store to it. */
Test(tracker_kinds, shared_huge_pages_are_told_as_such)
{
	uint8_t *space =
	        mmap(NULL, HUGE_BYTES + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!make_huge_file())
		cr_skip("no file system with huge pages can be mounted here");
	bed_base = space + (HUGE_PAGE - (uintptr_t)space % HUGE_PAGE) % HUGE_PAGE;
	cr_assert_eq(mmap(bed_base, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
	                  bed_file, 0),
	             bed_base);
	memset(bed_base, 1, HUGE_PAGE);
	bed_store(600);
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, HUGE_BYTES, &bed_tracker, NULL) <
	    0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	scan_huge();
	cr_expect_eq(scan_huge(), 0);
	bed_store(600);
	cr_expect_leq(scan_huge(), HUGE_PAGE / BED_PAGE);
	cr_expect(tandem_bitmap_get(words, 600) && !tandem_bitmap_get(words, 5));
	tandem_tracker_mark_free(bed_tracker, 5 * BED_PAGE, BED_PAGE);
	scan_huge();
	cr_expect(tandem_bitmap_get(words, 5) && bed_is_free(5));
	bed_store(5);
	scan_huge();
	cr_expect(tandem_bitmap_get(words, 5) && !bed_is_free(5));
	bed_punch(70, 1);
	cr_expect_geq(scan_huge(), 1, "a part of a huge page");
	cr_expect(tandem_bitmap_get(words, 70));
	cr_assert_eq(madvise(bed_base + HUGE_PAGE, HUGE_PAGE, MADV_REMOVE), 0);
	scan_huge();
	for (unsigned page = 512; page < 1024; page++)
		cr_expect(tandem_bitmap_get(words, page) && bed_is_free(page), "page %u", page);
	bed_tracker = tandem_tracker_free(bed_tracker);
	munmap(space, HUGE_BYTES + HUGE_PAGE);
	close(bed_file);
}

static long huge_page_count(long change)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", change == 0 ? "re" : "r+e");
	long count = -1;

	if (file == NULL || fscanf(file, "%ld", &count) != 1)
		count = -1;
	if (count >= 0 && change != 0) {
		rewind(file);
		fprintf(file, "%ld", count + change);
	}
	if (file != NULL)
		fclose(file);
	return count;
}

static void tells_huge_pages(int flags)
{
	struct tandem_error error;

	bed_base = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
	                MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
	cr_assert_neq(bed_base, MAP_FAILED);
	if (tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, HUGE_BYTES, &bed_tracker, &error) <
	    0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	scan_huge();
	cr_expect_eq(scan_huge(), 0);
	bed_store(600);
	cr_expect_eq(scan_huge(), HUGE_PAGE / BED_PAGE, "a huge page at a time");
	cr_expect(tandem_bitmap_get(words, 600) && !tandem_bitmap_get(words, 511));
	tandem_tracker_mark_free(bed_tracker, 100 * BED_PAGE, BED_PAGE);
	cr_expect_eq(scan_huge(), 1);
	cr_expect(bed_is_free(100));
	bed_store(101);
	scan_huge();
	cr_expect_not(bed_is_free(100), "its huge page was written to");
	bed_tracker = tandem_tracker_free(bed_tracker);
	cr_expect_eq(tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base + BED_PAGE, HUGE_PAGE,
	                                &bed_tracker, &error),
	             TANDEM_E_UNSUPPORTED, "a part of a huge page");
	munmap(bed_base, HUGE_BYTES);
}

static long reserved_count;

static void reserve(void)
{
	long before = huge_page_count(2);

	reserved_count = before < 0 ? 0 : huge_page_count(0) - before;
}

static void give_back(void)
{
	if (reserved_count > 0)
		huge_page_count(-reserved_count);
}

Test(tracker_kinds, huge_pages_are_told_as_such, .init = reserve, .fini = give_back)
{
	if (reserved_count < 2)
		cr_skip("no huge pages can be reserved here");
	tells_huge_pages(MAP_PRIVATE);
	tells_huge_pages(MAP_SHARED);
}
