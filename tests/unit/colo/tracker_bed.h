#ifndef TANDEM_TEST_TRACKER_BED_H
#define TANDEM_TEST_TRACKER_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bitmap.h"
#include "shell/tracker.h"

/* One region of real memory and its tracker. */
#define BED_PAGES 300u
#define BED_PAGE  4096u
#define BED_BYTES (BED_PAGES * BED_PAGE)
#define BED_FIRST 13u /* where the region begins in the map of dirty pages */

enum bed_memory { BED_ANONYMOUS, BED_MEMFD, BED_SHM_FILE, BED_MEMORIES };

extern uint8_t *bed_base;
extern int bed_file; /* -1: none */
extern struct tandem_region_tracker *bed_tracker;

void bed_map(enum bed_memory memory);
/* bed_map, and a tracker. False where the kernel has no PAGEMAP_SCAN: then the test is skipped,
 * which the summary shows. */
bool bed_track(enum tandem_tracker kind, enum bed_memory memory);
void bed_untrack(void);

void bed_scan(void);
/* Of any tracker, its first page is bit 0 of `words`. */
int bed_scan_words(struct tandem_region_tracker *tracker, uint64_t *words,
                   struct tandem_error *reterr_error);
bool bed_is_dirty(unsigned page); /* at the last scan */
bool bed_is_free(unsigned page);
uint64_t bed_dirty_count(void);
uint64_t bed_free_count(void);
/* Scans; this page only is dirty, and is free or not. */
void bed_expect_only(unsigned page, bool is_free, const char *why);
void bed_expect_nothing(const char *why);

void bed_store(unsigned page);
void bed_punch(unsigned page, unsigned count);

#endif
