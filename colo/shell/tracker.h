#ifndef TANDEM_TRACKER_H
#define TANDEM_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/tandem.h>

/* Finds the pages of one region that were written since the last scan. Every region also has marks,
 * which are unioned with what its tracker finds. docs/dirty-tracking.md says what each kind misses.
 */
struct tandem_region_tracker;

/* AUTO takes pagemap where the kernel has it, else compare. Errors: TANDEM_E_UNSUPPORTED (why, and
 * which tracker can). */
TANDEM_MUST_CHECK int tandem_tracker_new(enum tandem_tracker kind, void *base, size_t length,
                                         struct tandem_region_tracker **ret_tracker,
                                         struct tandem_error *reterr_error);
struct tandem_region_tracker *tandem_tracker_free(struct tandem_region_tracker *tracker);

enum tandem_tracker tandem_tracker_kind(const struct tandem_region_tracker *tracker);
/* Scans are exact only while nobody writes to the region (compare). */
const char *tandem_tracker_text(const struct tandem_region_tracker *tracker);
bool tandem_tracker_needs_quiescence(const struct tandem_region_tracker *tracker);

/* Re-arms, then sets bit first_page + i of `dirty` for each page i written since the scan before.
 */
TANDEM_MUST_CHECK int tandem_tracker_scan(struct tandem_region_tracker *tracker, uint64_t *dirty,
                                          uint64_t first_page, struct tandem_error *reterr_error);
/* Any thread, lock-free. The range lies inside the region. */
void tandem_tracker_mark(struct tandem_region_tracker *tracker, size_t offset, size_t length);

const char *tandem_tracker_name(enum tandem_tracker kind);
/* 0 and *ret_kind, or TANDEM_E_CONFIG. */
int tandem_tracker_parse(const char *name, enum tandem_tracker *ret_kind);

/* One way of tracking; private to the tracker files. */
struct tandem_tracker_ops {
	int (*open)(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error);
	int (*scan)(struct tandem_region_tracker *tracker, uint64_t *dirty, uint64_t first_page,
	            struct tandem_error *reterr_error);
	void (*close)(struct tandem_region_tracker *tracker);
	bool needs_quiescence;
};

extern const struct tandem_tracker_ops tandem_tracker_pagemap_ops;
extern const struct tandem_tracker_ops tandem_tracker_compare_ops;

struct tandem_region_tracker {
	const struct tandem_tracker_ops *ops; /* NULL: marks only */
	enum tandem_tracker kind;
	uint8_t *base;
	size_t length;
	uint64_t page_count;
	_Atomic uint64_t *marks;
	char text[192]; /* the kind, and why where AUTO had to take it */
	/* pagemap */
	int userfault_fd;
	int pagemap_fd;
	/* compare */
	void *hashes;
};

#endif
