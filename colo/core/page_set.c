#include "page_set.h"

static void widen(struct tandem_page_set *set, uint64_t first_page, uint64_t end_page)
{
	if (end_page > set->page_count)
		end_page = set->page_count;
	if (set->end_page == 0 || first_page < set->first_page)
		set->first_page = first_page;
	if (end_page > set->end_page)
		set->end_page = end_page;
}

void tandem_page_set_add(struct tandem_page_set *set, uint64_t page)
{
	widen(set, page, page + 1);
	tandem_bitmap_set(set->words, page);
}

void tandem_page_set_add_range(struct tandem_page_set *set, uint64_t first_page,
                               uint64_t page_count)
{
	if (page_count == 0)
		return;
	widen(set, first_page, first_page + page_count);
	tandem_bitmap_set_range(set->words, first_page, page_count);
}

void tandem_page_set_add_words(struct tandem_page_set *set, uint64_t first_page,
                               const uint64_t *words, uint64_t page_count)
{
	if (page_count == 0)
		return;
	widen(set, first_page, first_page + page_count);
	tandem_bitmap_or_at(set->words, first_page, words, page_count);
}

void tandem_page_set_empty(struct tandem_page_set *set)
{
	uint64_t word = set->first_page / 64;

	if (set->end_page == 0)
		return;
	tandem_bitmap_zero(set->words + word, set->end_page - word * 64);
	set->end_page = 0;
}

void tandem_page_set_tighten(struct tandem_page_set *set)
{
	uint64_t page = tandem_page_set_next(set, 0);

	if (page < set->page_count)
		set->first_page = page;
	else
		set->end_page = 0;
}

uint64_t tandem_page_set_count(const struct tandem_page_set *set)
{
	uint64_t word = set->first_page / 64;

	return set->end_page == 0
	               ? 0
	               : tandem_bitmap_population(set->words + word, set->end_page - word * 64);
}

uint64_t tandem_page_set_next(const struct tandem_page_set *set, uint64_t from)
{
	uint64_t page = from > set->first_page ? from : set->first_page;

	page = page < set->end_page ? tandem_bitmap_next(set->words, set->end_page, page)
	                            : set->end_page;
	return page < set->end_page ? page : set->page_count;
}
