#include "tracker_bed.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t *bed_base;
int bed_file = -1;
struct tandem_region_tracker *bed_tracker;

static uint64_t dirty[TANDEM_BITMAP_WORDS(BED_PAGES + BED_FIRST)];

void bed_map(enum bed_memory memory)
{
	if (memory == BED_MEMFD)
		bed_file = memfd_create("tracker", MFD_CLOEXEC);
	if (memory == BED_SHM_FILE) {
		char name[] = "/dev/shm/tandem-tracker-XXXXXX";

		bed_file = mkstemp(name);
		unlink(name);
	}
	if (bed_file >= 0)
		cr_assert_eq(ftruncate(bed_file, BED_BYTES), 0);
	bed_base = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE,
	                memory == BED_ANONYMOUS ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
	                bed_file, 0);
	cr_assert_neq(bed_base, MAP_FAILED);
}

bool bed_track(enum tandem_tracker kind, enum bed_memory memory)
{
	struct tandem_error error;

	bed_map(memory);
	if (tandem_tracker_new(kind, bed_base, BED_BYTES, &bed_tracker, &error) == 0)
		return true;
	cr_assert_eq(error.code, TANDEM_E_UNSUPPORTED);
	cr_assert_not_null(strstr(error.detail, "compare"), "it says which tracker can");
	return false;
}

void bed_untrack(void)
{
	bed_tracker = tandem_tracker_free(bed_tracker);
	munmap(bed_base, BED_BYTES);
	if (bed_file >= 0)
		close(bed_file);
	bed_file = -1;
}

int bed_scan_words(struct tandem_region_tracker *tracker, uint64_t *words,
                   struct tandem_error *reterr_error)
{
	struct tandem_page_set found = {.words = words, .page_count = UINT64_MAX};

	return tandem_tracker_scan(tracker, &found, 0, reterr_error);
}

void bed_scan(void)
{
	struct tandem_page_set found = {.words = dirty, .page_count = BED_FIRST + BED_PAGES};
	struct tandem_error error;

	memset(dirty, 0, sizeof dirty);
	cr_assert_eq(tandem_tracker_scan(bed_tracker, &found, BED_FIRST, &error), 0, "%s",
	             error.detail);
	cr_assert_eq(dirty[0] & ((1u << BED_FIRST) - 1), 0,
	             "bits before the region are left alone");
}

bool bed_is_dirty(unsigned page)
{
	return tandem_bitmap_get(dirty, page + BED_FIRST);
}

bool bed_is_free(unsigned page)
{
	return tandem_bitmap_get(tandem_tracker_free_pages(bed_tracker), page);
}

uint64_t bed_dirty_count(void)
{
	return tandem_bitmap_population(dirty, BED_PAGES + BED_FIRST);
}

uint64_t bed_free_count(void)
{
	return tandem_bitmap_population(tandem_tracker_free_pages(bed_tracker), BED_PAGES);
}

void bed_expect_only(unsigned page, bool is_free, const char *why)
{
	bed_scan();
	cr_expect(bed_is_dirty(page), "%s", why);
	cr_expect_eq(bed_dirty_count(), 1, "%s", why);
	cr_expect_eq(bed_is_free(page), is_free, "%s", why);
}

void bed_expect_nothing(const char *why)
{
	bed_scan();
	cr_expect_eq(bed_dirty_count(), 0, "%s", why);
}

void bed_store(unsigned page)
{
	bed_base[page * BED_PAGE + 33]++;
}

void bed_punch(unsigned page, unsigned count)
{
	cr_assert_eq(fallocate(bed_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                       page * BED_PAGE, count * BED_PAGE),
	             0);
}
