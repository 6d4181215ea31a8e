#ifndef TANDEM_PAGE_SET_H
#define TANDEM_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "bitmap.h"

/* A set of pages, and where they are: who looks at a few of them does not walk through the words of
 * all. The words belong to the caller, and are 0 when the set is made. Pure. */
struct tandem_page_set {
	uint64_t *words;
	uint64_t page_count;
	/* No page outside of these is in it. */
	uint64_t first_page;
	uint64_t end_page; /* 0: none is */
};

static inline bool tandem_page_set_has(const struct tandem_page_set *set, uint64_t page)
{
	return tandem_bitmap_get(set->words, page);
}

void tandem_page_set_add(struct tandem_page_set *set, uint64_t page);
void tandem_page_set_add_range(struct tandem_page_set *set, uint64_t first_page,
                               uint64_t page_count);
/* Page first_page + i for each bit i of `words` that is set. */
void tandem_page_set_add_words(struct tandem_page_set *set, uint64_t first_page,
                               const uint64_t *words, uint64_t page_count);

static inline void tandem_page_set_remove(struct tandem_page_set *set, uint64_t page)
{
	tandem_bitmap_clear(set->words, page);
}

void tandem_page_set_empty(struct tandem_page_set *set);
/* Forgets where pages were that have been removed from its beginning on. */
void tandem_page_set_tighten(struct tandem_page_set *set);
uint64_t tandem_page_set_count(const struct tandem_page_set *set);
/* The first page at or after `from`, or `page_count`. */
uint64_t tandem_page_set_next(const struct tandem_page_set *set, uint64_t from);

#endif
