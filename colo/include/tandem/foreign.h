#ifndef TANDEM_FOREIGN_H
#define TANDEM_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/tandem.h>

/* Memory of this process that another one writes to through its own mapping of the same file, as a
 * QEMU does to its guest's RAM. Our page table shows nothing of that, so the other one's is asked.
 */
struct tandem_foreign {
	int userfault_fd; /* made by userfaultfd(2) in that process, and nothing done with it */
	int pagemap_fd;   /* its /proc/PID/pagemap */
	uint64_t address; /* where it has the region */
	/* It has reads with O_DIRECT under way, whose bytes no page table shows when they arrive:
	 * stores are looked for while it stands still and has none only. The first copy is made in
	 * one piece then, and no pause has a budget. */
	bool is_exact_at_rest_only;
};

/* tandem_region_add() of such memory, tracked as by TANDEM_TRACKER_PAGEMAP. Takes the descriptors
 * in any case. Holes that are punched into the file are seen, too. Errors: as tandem_region_add().
 */
TANDEM_MUST_CHECK int tandem_region_add_foreign(struct tandem *tandem, const char *name, void *base,
                                                size_t length, const struct tandem_foreign *writer,
                                                struct tandem_error *reterr_error);

#endif
