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

/* Who goes on with this memory needs something that the library knows nothing of, such as a QEMU of
 * one version: in a word that the standby is asked to compare, at most 95 characters, copied. A
 * standby that has something else takes no copy. Before tandem_start(). Errors: TANDEM_E_USAGE (too
 * long, or too late). */
TANDEM_MUST_CHECK int tandem_require(struct tandem *tandem, const char *needs,
                                     struct tandem_error *reterr_error);
/* Whether the standby that was asked last has not what is needed; its answer is in `ret_reason`
 * then. tandem_event_fd() becomes readable when it has said so. Any thread. */
bool tandem_is_misfit(struct tandem *tandem, char *ret_reason, size_t reason_bytes);

#endif
