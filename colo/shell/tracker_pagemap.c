#include "tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../core/bitmap.h"
#include "../core/layout.h"
#include "pagemap_abi.h"

#define SCAN_RANGES 512u

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

static int open_userfault(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	struct uffdio_api api = {
	        .api = UFFD_API,
	        .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
	                    TANDEM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM | TANDEM_UFFD_FEATURE_WP_ASYNC,
	};
	struct uffdio_register range = {
	        .range = {.start = (uintptr_t)tracker->base, .len = tracker->length},
	        .mode = UFFDIO_REGISTER_MODE_WP,
	};

	tracker->userfault_fd =
	        (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | TANDEM_UFFD_USER_MODE_ONLY);
	if (tracker->userfault_fd < 0)
		return unsupported(reterr_error, errno, "userfaultfd");
	if (ioctl(tracker->userfault_fd, UFFDIO_API, &api) != 0)
		return unsupported(reterr_error, errno, "UFFDIO_API");
	if (ioctl(tracker->userfault_fd, UFFDIO_REGISTER, &range) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_UNSUPPORTED, errno,
		                              "UFFDIO_REGISTER",
		                              "the region cannot be write-protected by userfaultfd "
		                              "(it must be anonymous, "
		                              "shared-memory or hugetlb memory, and no other "
		                              "userfaultfd may hold it); the "
		                              "compare tracker can");
	return 0;
}

static int scan_pagemap(struct tandem_region_tracker *tracker, uint64_t *dirty, uint64_t first_page,
                        struct tandem_error *reterr_error)
{
	struct tandem_page_region ranges[SCAN_RANGES];
	uint64_t start = (uintptr_t)tracker->base, end = start + tracker->length;
	struct tandem_pm_scan_arg scan = {
	        .size = sizeof scan,
	        .flags = TANDEM_PM_SCAN_WP_MATCHING | TANDEM_PM_SCAN_CHECK_WPASYNC,
	        .start = start,
	        .end = end,
	        .vec = (uintptr_t)ranges,
	        .vec_len = SCAN_RANGES,
	        .category_mask = TANDEM_PAGE_IS_WRITTEN,
	        .return_mask = TANDEM_PAGE_IS_WRITTEN,
	};

	while (scan.start < end) {
		int count = ioctl(tracker->pagemap_fd, TANDEM_PAGEMAP_SCAN, &scan);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return tandem_error_set_errno(
			        reterr_error, TANDEM_E_UNSUPPORTED, errno, "PAGEMAP_SCAN",
			        "the region is no longer tracked (remapped or unmapped?)");
		for (int range = 0; dirty != NULL && range < count; range++)
			tandem_bitmap_set_range(
			        dirty,
			        first_page + (ranges[range].start - start) / TANDEM_PAGE_BYTES,
			        (ranges[range].end - ranges[range].start) / TANDEM_PAGE_BYTES);
		if (count == 0 && scan.walk_end <= scan.start)
			return tandem_error_set(
			        reterr_error, TANDEM_E_UNSUPPORTED, "PAGEMAP_SCAN",
			        "the kernel's scan stands still at %#llx of %#llx to %#llx",
			        (unsigned long long)scan.walk_end, (unsigned long long)start,
			        (unsigned long long)end);
		/* walk_end may lag behind what was reported: duplicates are harmless, a miss is
		 * not. */
		scan.start = scan.walk_end;
	}
	return 0;
}

static int open_pagemap(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	int code = open_userfault(tracker, reterr_error);

	if (code < 0)
		return code;
	tracker->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (tracker->pagemap_fd < 0)
		return unsupported(reterr_error, errno, "open /proc/self/pagemap");
	return scan_pagemap(tracker, NULL, 0, reterr_error);
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

const struct tandem_tracker_ops tandem_tracker_pagemap_ops = {
        .open = open_pagemap,
        .scan = scan_pagemap,
        .close = close_pagemap,
};
