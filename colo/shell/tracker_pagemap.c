#include "tracker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tandem/pagemap_abi.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

#define SCAN_RANGES 512u

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* Asynchronous write protection (Linux 6.7): the kernel resolves the first store to a page by
 * itself and PAGEMAP_SCAN tells which pages were stored to and protects them again, atomically for
 * each page. */

static int unsupported(struct tandem_error *reterr_error, int os_errno, const char *call)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_UNSUPPORTED, os_errno, call,
	                              "the pagemap tracker needs Linux 6.7 or newer with "
	                              "userfaultfd; the compare tracker works "
	                              "everywhere");
}

/* ---- PAGEMAP_SCAN ---- */

typedef void take_range(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count,
                        uint64_t categories);

/* Errors: -errno. */
static int walk(struct tandem_region_tracker *tracker, struct tandem_pm_scan_arg *scan,
                take_range *take)
{
	struct tandem_page_region ranges[SCAN_RANGES];
	uint64_t base = tracker->watched;

	scan->size = sizeof *scan;
	scan->vec = take == NULL ? 0 : (uintptr_t)ranges;
	scan->vec_len = take == NULL ? 0 : SCAN_RANGES;
	while (scan->start < scan->end) {
		int count = ioctl(tracker->pagemap_fd, TANDEM_PAGEMAP_SCAN, scan);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		for (int range = 0; take != NULL && range < count; range++)
			take(tracker, (ranges[range].start - base) / TANDEM_PAGE_BYTES,
			     (ranges[range].end - ranges[range].start) / TANDEM_PAGE_BYTES,
			     ranges[range].categories);
		if (count == 0 && scan->walk_end <= scan->start)
			return -ELOOP;
		/* walk_end may lag behind what was reported: duplicates are harmless, a miss is
		 * not. */
		scan->start = scan->walk_end;
	}
	return 0;
}

static int rearm(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count,
                 take_range *take)
{
	uint64_t start = tracker->watched + page * TANDEM_PAGE_BYTES;
	struct tandem_pm_scan_arg scan = {
	        .flags = TANDEM_PM_SCAN_WP_MATCHING | TANDEM_PM_SCAN_CHECK_WPASYNC,
	        .start = start,
	        .end = start + count * TANDEM_PAGE_BYTES,
	        .category_mask = TANDEM_PAGE_IS_WRITTEN,
	        .return_mask = TANDEM_PAGE_IS_WRITTEN,
	};

	return walk(tracker, &scan, take);
}

static void take_written(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count,
                         uint64_t categories)
{
	(void)categories;
	tandem_bitmap_set_range(tracker->written, page, count);
}

/* ---- anonymous memory that nobody has touched ---- */

static void take_present(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count,
                         uint64_t categories)
{
	if ((categories & TANDEM_PAGE_IS_PFNZERO) != 0)
		return;
	tandem_bitmap_clear_range(tracker->free_pages, page, count);
}

static void clear_present(struct tandem_region_tracker *tracker, uint64_t categories)
{
	uint64_t start = tracker->watched;
	struct tandem_pm_scan_arg scan = {
	        .start = start,
	        .end = start + tracker->length,
	        .category_anyof_mask = categories,
	        .return_mask = categories | TANDEM_PAGE_IS_PFNZERO,
	};

	if (walk(tracker, &scan, take_present) < 0)
		tandem_bitmap_zero(tracker->free_pages, tracker->page_count);
}

static void take_mapped(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count,
                        uint64_t categories)
{
	(void)categories;
	tandem_bitmap_clear_range(tracker->unmapped_now, page, count);
}

/* What is neither in memory nor swapped out is zeros until a store is found. Armed pages that
 * nobody has touched look like swapped ones, so they are looked for before; and again afterwards,
 * in case that somebody stores meanwhile against the rules. */
static int arm(struct tandem_region_tracker *tracker)
{
	bool is_anonymous = tracker->backing.kind == TANDEM_BACKING_ANONYMOUS;
	int failure;

	if (is_anonymous) {
		tandem_bitmap_fill(tracker->free_pages, tracker->page_count);
		clear_present(tracker, TANDEM_PAGE_IS_PRESENT | TANDEM_PAGE_IS_SWAPPED);
	}
	failure = rearm(tracker, 0, tracker->page_count, NULL);
	if (is_anonymous)
		clear_present(tracker, TANDEM_PAGE_IS_PRESENT);
	return failure;
}

/* ---- opening ---- */

static int check_backing(const struct tandem_region_tracker *tracker,
                         struct tandem_error *reterr_error)
{
	const struct tandem_backing *backing = &tracker->backing;

	if (tracker->is_foreign && backing->kind != TANDEM_BACKING_SHARED)
		return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
		                        "memory that another process writes to must be a shared "
		                        "mapping here");
	if (backing->twin != 0 && !tracker->is_foreign)
		return tandem_error_set(
		        reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
		        "this process can write to the same memory at %#llx too, which the pagemap "
		        "tracker does not see; unmap it there, or use the compare tracker, or the "
		        "mark tracker",
		        (unsigned long long)backing->twin);
	if ((uintptr_t)tracker->base % backing->page_bytes != 0 ||
	    tracker->length % backing->page_bytes != 0)
		return tandem_error_set(
		        reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
		        "base and length of a region of huge pages must be multiples of %llu; the "
		        "compare tracker takes any",
		        (unsigned long long)backing->page_bytes);
	return 0;
}

/* A scan that meets a hole in hugetlb memory never ends on kernels before 2026. */
static int populate(const struct tandem_region_tracker *tracker, int advice)
{
	if (tracker->backing.page_bytes == TANDEM_PAGE_BYTES)
		return 0;
	return madvise(tracker->base, tracker->length, advice) == 0 ? 0 : -errno;
}

static int register_region(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	struct uffdio_register range = {
	        .range = {.start = tracker->watched, .len = tracker->length},
	        .mode = UFFDIO_REGISTER_MODE_WP,
	};
	int failure = populate(tracker, MADV_POPULATE_WRITE);

	if (failure != 0)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_UNSUPPORTED, -failure, "MADV_POPULATE_WRITE",
		        "the pagemap tracker needs all huge pages of the region; reserve them "
		        "(vm.nr_hugepages), or use the compare tracker");
	if (ioctl(tracker->userfault_fd, UFFDIO_REGISTER, &range) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_UNSUPPORTED, errno,
		                              "UFFDIO_REGISTER",
		                              "the region cannot be write-protected by userfaultfd "
		                              "(it must be anonymous, "
		                              "shared-memory or hugetlb memory, and no other "
		                              "userfaultfd may hold it); the "
		                              "compare tracker can");
	failure = arm(tracker);
	return failure == 0 ? 0 : unsupported(reterr_error, -failure, "PAGEMAP_SCAN");
}

/* Of this process; those of another one are given. */
static int open_own(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	tracker->userfault_fd =
	        (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | TANDEM_UFFD_USER_MODE_ONLY);
	if (tracker->userfault_fd < 0)
		return unsupported(reterr_error, errno, "userfaultfd");
	tracker->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (tracker->pagemap_fd < 0)
		return unsupported(reterr_error, errno, "open /proc/self/pagemap");
	return 0;
}

static int open_userfault(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	struct uffdio_api api = {
	        .api = UFFD_API,
	        .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
	                    TANDEM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM | TANDEM_UFFD_FEATURE_WP_ASYNC,
	};
	int code = tracker->is_foreign ? 0 : open_own(tracker, reterr_error);

	if (code == 0 && ioctl(tracker->userfault_fd, UFFDIO_API, &api) != 0)
		code = unsupported(reterr_error, errno, "UFFDIO_API");
	return code;
}

static int open_pagemap(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	int code = check_backing(tracker, reterr_error);

	if (code == 0)
		code = open_userfault(tracker, reterr_error);
	if (code == 0)
		code = register_region(tracker, reterr_error);
	return code;
}

static void close_pagemap(struct tandem_region_tracker *tracker)
{
	if (tracker->userfault_fd >= 0)
		close(tracker->userfault_fd);
	if (tracker->pagemap_fd >= 0)
		close(tracker->pagemap_fd);
	tracker->userfault_fd = -1;
	tracker->pagemap_fd = -1;
}

/* ---- an epoch ---- */

static uint64_t end_of_run(const struct tandem_region_tracker *tracker, uint64_t page)
{
	while (page < tracker->page_count && tandem_bitmap_get(tracker->holes_now, page) &&
	       !tandem_bitmap_get(tracker->holes, page))
		page++;
	return page;
}

/* Of the pages that are not mapped, those that were no holes before are looked up in the file. */
static void look_up(struct tandem_region_tracker *tracker)
{
	for (uint64_t page = 0; page < tracker->page_count; page++) {
		uint64_t news = tracker->holes_now[page / 64] & ~tracker->holes[page / 64];
		uint64_t end;

		if (news == 0) {
			page |= 63;
			continue;
		}
		end = end_of_run(tracker, page);
		if (end == page)
			continue;
		tandem_bitmap_clear_range(tracker->holes_now, page, end - page);
		tandem_holes_walk(&tracker->holes_of_file, page, end - page, tracker->holes_now);
		page = end - 1;
	}
}

/* A page that was mapped and is not any more was taken away by somebody: it is a hole, or one that
 * was filled again, or zeros that a huge page keeps; or it was only swapped out. */
static void take_vanished(struct tandem_region_tracker *tracker)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(tracker->page_count); word++)
		tracker->written[word] |= tracker->unmapped_now[word] & ~tracker->unmapped[word] &
		                          ~tracker->holes_now[word];
}

/* A hole is never mapped, because punching it unmaps it everywhere. So the file is walked through
 * once, and the page table tells afterwards where to look: that is many times cheaper. */
static void look(struct tandem_region_tracker *tracker, bool is_first)
{
	uint64_t words = TANDEM_BITMAP_WORDS(tracker->page_count);
	uint64_t start = tracker->watched;
	struct tandem_pm_scan_arg scan = {
	        .start = start,
	        .end = start + tracker->length,
	        .category_mask = TANDEM_PAGE_IS_PRESENT,
	        .return_mask = TANDEM_PAGE_IS_PRESENT,
	};

	tandem_bitmap_fill(tracker->unmapped_now, tracker->page_count);
	if (walk(tracker, &scan, take_mapped) < 0)
		tandem_bitmap_fill(tracker->unmapped_now, tracker->page_count);
	/* What was marked may have been filled without being mapped here. */
	for (uint64_t word = 0; word < words; word++) {
		tracker->holes[word] &= ~tracker->written[word];
		tracker->holes_now[word] = tracker->unmapped_now[word];
	}
	if (is_first) {
		tandem_tracker_look(tracker);
	} else {
		look_up(tracker);
		take_vanished(tracker);
	}
	memcpy(tracker->unmapped, tracker->unmapped_now, words * sizeof *tracker->unmapped);
	tracker->has_looked = true;
}

/* The page table of a process that ends is empty, and tells of no store. One that is there after a
 * scan was there during it. */
static int check_alive(const struct tandem_region_tracker *tracker,
                       struct tandem_error *reterr_error)
{
	const off_t entry = (off_t)(tracker->watched / TANDEM_PAGE_BYTES * sizeof(uint64_t));
	uint64_t value;

	if (!tracker->is_foreign ||
	    pread(tracker->pagemap_fd, &value, sizeof value, entry) == sizeof value)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
	                        "the process that writes to the region has ended");
}

/* Something was mapped over the region. The same memory is tracked anew, and all of it dirty;
 * anything else is the end. */
static int track_anew(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	struct tandem_backing now;
	int code;

	if (tracker->is_foreign)
		return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
		                        "the process that writes to the region has mapped "
		                        "something else there");
	code = tandem_backing_read(tracker->base, tracker->length, &now, reterr_error);

	if (code < 0)
		return code;
	if (!tandem_backing_is_same(&tracker->backing, &now))
		return tandem_error_set(
		        reterr_error, TANDEM_E_UNSUPPORTED, "pagemap tracker",
		        "the region is not what it was when it was added: it was %s and is %s%s; a "
		        "region must stay mapped as it is until tandem_close()",
		        tandem_backing_name(tracker->backing.kind), tandem_backing_name(now.kind),
		        now.kind == TANDEM_BACKING_SHARED ? " of something else" : "");
	tracker->backing = now;
	code = check_backing(tracker, reterr_error);
	if (code == 0)
		code = register_region(tracker, reterr_error);
	tandem_bitmap_fill(tracker->written, tracker->page_count);
	tracker->has_moved = true;
	return code;
}

/* Whole pages of the memory only: half a huge one cannot be protected. */
static uint64_t used_pages(const struct tandem_region_tracker *tracker)
{
	uint64_t unit = tracker->backing.page_bytes / TANDEM_PAGE_BYTES;

	return (atomic_load(&tracker->used_count) + unit - 1) / unit * unit;
}

static int scan_pagemap(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	int failure = populate(tracker, MADV_POPULATE_READ);
	bool is_first = !tracker->holes_of_file.has_looked;
	int code = 0;

	if (failure == 0)
		failure = rearm(tracker, 0, used_pages(tracker), take_written);
	if (failure == 0 || failure == -ESRCH)
		code = check_alive(tracker, reterr_error);
	else if (failure == -EPERM)
		code = track_anew(tracker, reterr_error);
	else
		code = tandem_error_set_errno(reterr_error, TANDEM_E_UNSUPPORTED, -failure,
		                              "PAGEMAP_SCAN",
		                              "the region cannot be scanned any more");
	/* Without a file there is no look. */
	for (uint64_t word = 0;
	     tracker->holes_of_file.fd >= 0 && word < TANDEM_BITMAP_WORDS(tracker->page_count);
	     word++)
		tracker->unmapped[word] &= ~tracker->written[word];
	/* After the re-arming: what is a hole now and is written to later is found then. */
	if (code == 0 && tandem_holes_may_be_new(&tracker->holes_of_file, false)) {
		/* A hole that was filled again since is found as a store, and moved all the same. A
		 * program may change its own file otherwise. */
		tracker->has_moved |=
		        tracker->is_foreign && !is_first && tracker->holes_of_file.watch_fd >= 0;
		look(tracker, is_first);
	}
	return code;
}

/* Where this fails the pages count as written still. */
static void forget_pagemap(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count)
{
	(void)rearm(tracker, page, count, NULL);
}

const struct tandem_tracker_ops tandem_tracker_pagemap_ops = {
        .open = open_pagemap,
        .scan = scan_pagemap,
        .forget = forget_pagemap,
        .close = close_pagemap,
};
