#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the checker writes: a function of seed, step and page alone, so that the
 * whole memory after any step can be made again. A step writes a few pages of
 * each writer, some of them zeros; every PATTERN_STORM_STEPS-th step writes
 * most pages. Page 0 of each region is written in every step. */

#define PATTERN_PAGE_BYTES   4096u
#define PATTERN_REGIONS      2u
#define PATTERN_PAGES        1024u /* of a region */
#define PATTERN_WRITERS      4u
#define PATTERN_STORM_STEPS  64u
#define PATTERN_REGION_BYTES ((size_t)PATTERN_PAGES * PATTERN_PAGE_BYTES)

enum pattern_kind {
	PATTERN_DATA,
	PATTERN_ZERO,
	PATTERN_FREED, /* may read as zeros or as before */
};

struct pattern_write {
	unsigned region;
	uint32_t page;
	enum pattern_kind kind;
};

/* What one writer writes in a step: calls `write` for each page, in an order of
 * its own. No page is written by two writers of a step. */
void pattern_step(uint64_t seed, uint64_t step, unsigned writer,
                  void (*write)(void *argument, const struct pattern_write *write), void *argument);

void pattern_fill(uint8_t *page, uint64_t seed, uint64_t step, unsigned region, uint32_t number);

struct pattern_difference {
	uint64_t pages;  /* that differ */
	unsigned region; /* of the first one */
	uint32_t page;
	uint64_t expected_step; /* that wrote it last, 0: none */
};

/* Compares the regions with the memory after `step` steps; false when there is
 * no memory for it. */
bool pattern_compare(const uint8_t *const regions[PATTERN_REGIONS], uint64_t seed, uint64_t step,
                     struct pattern_difference *ret_difference);

#endif
