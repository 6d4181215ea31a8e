#ifndef TANDEM_PAGEMAP_ABI_H
#define TANDEM_PAGEMAP_ABI_H

/* The kernel interface of asynchronous write protection and PAGEMAP_SCAN (Linux 6.7,
 * fs/proc/task_mmu.c and Documentation/admin-guide/mm/{pagemap,userfaultfd}.rst), declared here
 * because Debian 12's headers are of 6.1. */

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>

#define TANDEM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM (UINT64_C(1) << 12)
#define TANDEM_UFFD_FEATURE_WP_ASYNC           (UINT64_C(1) << 15)
#define TANDEM_UFFD_USER_MODE_ONLY             1

#define TANDEM_PAGE_IS_WRITTEN       (UINT64_C(1) << 1)
#define TANDEM_PAGE_IS_PRESENT       (UINT64_C(1) << 3)
#define TANDEM_PAGE_IS_SWAPPED       (UINT64_C(1) << 4)
#define TANDEM_PAGE_IS_PFNZERO       (UINT64_C(1) << 5)
#define TANDEM_PM_SCAN_WP_MATCHING   (UINT64_C(1) << 0)
#define TANDEM_PM_SCAN_CHECK_WPASYNC (UINT64_C(1) << 1)

struct tandem_page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct tandem_pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};

#define TANDEM_PAGEMAP_SCAN _IOWR('f', 16, struct tandem_pm_scan_arg)

#endif
