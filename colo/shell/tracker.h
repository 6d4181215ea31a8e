#ifndef TANDEM_TRACKER_H
#define TANDEM_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/foreign.h>
#include <tandem/tandem.h>

#include "../core/page_set.h"

/* Finds the pages of one region that were written since the last scan, and those that are free:
 * whatever is there stands for zeros. Every region also has the program's own words, which are
 * unioned with what its tracker finds. docs/dirty-tracking.md says what each kind misses. */
struct tandem_region_tracker;

/* AUTO takes pagemap where kernel and region allow it, else compare. Nobody writes to the region
 * meanwhile. Errors: TANDEM_E_UNSUPPORTED (why, and which tracker can). */
TANDEM_MUST_CHECK int tandem_tracker_new(enum tandem_tracker kind, void *base, size_t length,
                                         struct tandem_region_tracker **ret_tracker,
                                         struct tandem_error *reterr_error);
/* Of memory that another process writes to (pagemap). Takes the writer's descriptors in any case.
 * Errors: as tandem_tracker_new(). */
TANDEM_MUST_CHECK int tandem_tracker_new_foreign(void *base, size_t length,
                                                 const struct tandem_foreign *writer,
                                                 struct tandem_region_tracker **ret_tracker,
                                                 struct tandem_error *reterr_error);
struct tandem_region_tracker *tandem_tracker_free(struct tandem_region_tracker *tracker);

enum tandem_tracker tandem_tracker_kind(const struct tandem_region_tracker *tracker);
/* The kind, and why where AUTO had to take it; and whether holes are not seen. */
const char *tandem_tracker_text(const struct tandem_region_tracker *tracker);
/* Scans are exact only while nobody writes to the region (compare, and a foreign writer's devices).
 */
bool tandem_tracker_needs_quiescence(const struct tandem_region_tracker *tracker);

/* Re-arms, then adds page first_page + i to `dirty` for each page i that was written, or became
 * free, since the scan before. One thread. A region that was mapped anew from the same memory is
 * all dirty. Errors: TANDEM_E_UNSUPPORTED (the region cannot be tracked any more; why). */
TANDEM_MUST_CHECK int tandem_tracker_scan(struct tandem_region_tracker *tracker,
                                          struct tandem_page_set *dirty, uint64_t first_page,
                                          struct tandem_error *reterr_error);
/* Bit i: page i was free at the last scan. Its copy is zeros, and its memory need not be read. One
 * that was written since is dirty at the next scan, and not free. Borrowed; the scanning thread's.
 */
const uint64_t *tandem_tracker_free_pages(const struct tandem_region_tracker *tracker);

/* Whether, since the last call, memory of the region was replaced, by a hole or by a mapping: a
 * device that was told of it before would go on reading the old one. */
bool tandem_tracker_take_moved(struct tandem_region_tracker *tracker);

/* Any thread, lock-free. The range lies inside the region. */
void tandem_tracker_mark(struct tandem_region_tracker *tracker, size_t offset, size_t length);
/* Whole pages of the range are free from here on. Any thread, beside a scan too; what anybody
 * writes there afterwards is seen. */
void tandem_tracker_mark_free(struct tandem_region_tracker *tracker, size_t offset, size_t length);

/* Only the first `page_count` pages are in use, all of them before the first call: a scan does not
 * look for stores behind them. Who makes it larger marks what is used from now on, too. Any thread,
 * lock-free. */
void tandem_tracker_use(struct tandem_region_tracker *tracker, uint64_t page_count);

/* Checks from now on that no write is missed; before the first scan. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_tracker_keep_account(struct tandem_region_tracker *tracker,
                                                  struct tandem_error *reterr_error);
/* Reads the whole region, right after a scan, while nobody writes to it. Errors:
 * TANDEM_E_UNSUPPORTED (a page that was written was not told by a scan since the last look). */
TANDEM_MUST_CHECK int tandem_tracker_verify(struct tandem_region_tracker *tracker,
                                            struct tandem_error *reterr_error);

const char *tandem_tracker_name(enum tandem_tracker kind);
/* 0 and *ret_kind, or TANDEM_E_CONFIG. */
int tandem_tracker_parse(const char *name, enum tandem_tracker *ret_kind);

#endif
