#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* What the guest's memory holds, as a function of the settings and of how many pages were written:
 * the guest, and whoever has its memory, can make each page again. Each write changes one hot page;
 * in a round each of them is written once. Pages that are not hot stay as they were at boot. */

#define WORKLOAD_PAGE_BYTES 4096u
#define WORKLOAD_WORDS      (WORKLOAD_PAGE_BYTES / sizeof(uint64_t))

enum workload_order {
	WORKLOAD_SWEEP,  /* one page after the other */
	WORKLOAD_RANDOM, /* another order in each round */
};

struct workload {
	uint64_t seed;
	uint64_t page_count;
	uint64_t hot_count; /* a power of two, at most page_count */
	uint64_t order;     /* enum workload_order */
};

bool workload_is_valid(const struct workload *workload);

/* The page that is written when `write_count` pages were. */
uint64_t workload_next(const struct workload *workload, uint64_t write_count);

/* How often the page was written among the first `write_count` writes. */
uint64_t workload_version(const struct workload *workload, uint64_t page, uint64_t write_count);

/* Writes that version of the page, from its first word to its last. One version in 16 is zeros. */
void workload_fill(const struct workload *workload, uint64_t page, uint64_t version,
                   volatile uint64_t words[WORKLOAD_WORDS]);

/* The first word that is not that version's, WORKLOAD_WORDS when all are; and what it should be. */
unsigned workload_differs(const struct workload *workload, uint64_t page, uint64_t version,
                          const volatile uint64_t words[WORKLOAD_WORDS], uint64_t *ret_expected);

/* -- where an observer finds it in the guest's memory ------------------------------------------ */

#define WORKLOAD_HEADER_MAGIC UINT64_C(0x7a6b1d5ef00d7a9d)
#define WORKLOAD_PLACES_MAGIC UINT64_C(0x2b8c4df1ace57a9d)
#define WORKLOAD_PLACES       510u

/* At the begin of a page of its own. While `begun_count` is one more than `done_count`, the page of
 * the write between them holds the new version up to some word and the old one behind it. */
struct workload_header {
	uint64_t magic;
	uint64_t life; /* random number of this boot */
	uint64_t begun_count;
	uint64_t done_count;
	struct workload workload;
};

/* A page each: the physical addresses of the workload's pages from `first` on. */
struct workload_places {
	uint64_t magic;
	uint64_t life_and_first; /* life ^ first */
	uint64_t addresses[WORKLOAD_PLACES];
};

_Static_assert(sizeof(struct workload_places) == WORKLOAD_PAGE_BYTES, "a page each");

#endif
