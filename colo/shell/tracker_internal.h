#ifndef TANDEM_TRACKER_INTERNAL_H
#define TANDEM_TRACKER_INTERNAL_H

#include "backing.h"
#include "holes.h"
#include "tracker.h"

/* One way of tracking. */
struct tandem_tracker_ops {
	int (*open)(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error);
	/* Adds to `written`. */
	int (*scan)(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error);
	/* What was written to these pages is not told any more; any thread. */
	void (*forget)(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count);
	void (*close)(struct tandem_region_tracker *tracker);
	bool needs_quiescence;
};

extern const struct tandem_tracker_ops tandem_tracker_pagemap_ops;
extern const struct tandem_tracker_ops tandem_tracker_compare_ops;
extern const struct tandem_tracker_ops tandem_tracker_mark_ops;

struct tandem_region_tracker {
	/* fixed */
	const struct tandem_tracker_ops *ops;
	enum tandem_tracker kind;
	uint8_t *base;
	size_t length;
	uint64_t page_count;
	char text[256];

	/* any thread */
	_Atomic uint64_t *marks;
	_Atomic uint64_t *free_marks;
	/* One bit a chunk of words of the two: something was marked there since the last scan. Set
	 * after the mark and taken before it is looked for. */
	_Atomic uint64_t *touched;
	_Atomic uint64_t used_count; /* pages behind these are not looked at */

	/* the scanning thread's */
	uint64_t *chunks; /* that the scan under way looks at; elsewhere `written` is empty */
	/* one bit a page */
	uint64_t *written; /* found by the scan under way */
	uint64_t *free_pages;
	uint64_t *holes;     /* at the last look, less those that were written to since */
	uint64_t *holes_now; /* of the scan under way, when it has looked */
	uint64_t *unmapped_now;
	uint64_t *unmapped; /* pagemap: at the last look, less those that were written to since */
	bool has_looked;
	bool has_moved;
	struct tandem_backing backing;
	struct tandem_holes holes_of_file;

	/* pagemap */
	int userfault_fd;
	int pagemap_fd;
	uint64_t watched; /* where the region is in the process whose stores are looked for */
	bool is_foreign;  /* that is another process */
	bool is_exact_at_rest_only;
	/* compare */
	void *hashes;
	/* verify; NULL: off */
	uint64_t *told; /* since the last look */
	void *seen;     /* hashes of the last look */
};

/* Walks through the whole file for the holes of now, where it can be asked. */
void tandem_tracker_look(struct tandem_region_tracker *tracker);

#endif
