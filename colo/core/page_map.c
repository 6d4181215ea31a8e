#include "page_map.h"

#include <tandem/assert.h>
#include <tandem/crc32c.h>

#include "bitmap.h"

static void widen(struct tandem_page_map *map, uint64_t first_page, uint64_t end_page)
{
	if (map->end_page == 0 || first_page < map->first_page)
		map->first_page = first_page;
	if (end_page > map->end_page)
		map->end_page = end_page;
}

static uint64_t next(const struct tandem_page_map *map, uint64_t from)
{
	return tandem_bitmap_next(map->recorded, map->end_page, from);
}

void tandem_page_map_record(struct tandem_page_map *map, uint64_t page, enum tandem_run_kind kind)
{
	widen(map, page, page + 1);
	tandem_bitmap_set(map->recorded, page);
	if (kind == TANDEM_RUN_ZERO)
		tandem_bitmap_set(map->zero, page);
	else
		tandem_bitmap_clear(map->zero, page);
}

void tandem_page_map_clear(struct tandem_page_map *map)
{
	uint64_t word = map->first_page / 64;
	uint64_t count = map->end_page - word * 64;

	if (map->end_page == 0)
		return;
	tandem_bitmap_zero(map->recorded + word, count);
	tandem_bitmap_zero(map->zero + word, count);
	map->end_page = 0;
}

void tandem_page_map_merge_under(struct tandem_page_map *map, const struct tandem_page_map *older)
{
	if (older->end_page == 0)
		return;
	widen(map, older->first_page, older->end_page);
	for (uint64_t word = older->first_page / 64; word < TANDEM_BITMAP_WORDS(older->end_page);
	     word++) {
		uint64_t added = older->recorded[word] & ~map->recorded[word];

		map->recorded[word] |= added;
		map->zero[word] |= older->zero[word] & added;
	}
}

void tandem_page_map_take_back(struct tandem_page_map *map, const struct tandem_stripes *stripes,
                               uint32_t channel_mask, struct tandem_page_set *to_push)
{
	for (uint64_t page = next(map, map->first_page); page < map->end_page;
	     page = next(map, page + 1)) {
		unsigned channel = tandem_stripes_channel(stripes, page);

		if (channel == TANDEM_STRIPE_FREE || (channel_mask & 1u << channel) == 0)
			continue;
		tandem_page_set_add(to_push, page);
		tandem_bitmap_clear(map->recorded, page);
		tandem_bitmap_clear(map->zero, page);
	}
}

static void append(struct tandem_run_list *list, const struct tandem_run *run)
{
	if (run->page_count == 0)
		return;
	tandem_run_encode(run, list->bytes + (size_t)list->run_count * TANDEM_RUN_BYTES);
	list->run_count++;
	if (run->kind == TANDEM_RUN_DATA)
		list->data_pages += run->page_count;
}

static bool continues(const struct tandem_run *run, const struct tandem_stripes *stripes,
                      uint64_t page, enum tandem_run_kind kind)
{
	return run->page_count > 0 && page == run->first_page + run->page_count &&
	       kind == run->kind && page % stripes->stripe_pages != 0;
}

void tandem_page_map_encode(const struct tandem_page_map *map, const struct tandem_stripes *stripes,
                            struct tandem_run_list *lists, unsigned list_count)
{
	struct tandem_run run = {.page_count = 0};
	struct tandem_run_list *list = lists;

	for (uint64_t page = next(map, map->first_page); page < map->end_page;
	     page = next(map, page + 1)) {
		enum tandem_run_kind kind =
		        tandem_bitmap_get(map->zero, page) ? TANDEM_RUN_ZERO : TANDEM_RUN_DATA;

		if (continues(&run, stripes, page, kind)) {
			run.page_count++;
			continue;
		}
		append(list, &run);
		TANDEM_ASSERT(tandem_stripes_channel(stripes, page) < list_count);
		list = &lists[tandem_stripes_channel(stripes, page)];
		run = (struct tandem_run){.first_page = page, .page_count = 1, .kind = kind};
	}
	append(list, &run);
	for (unsigned channel = 0; channel < list_count; channel++)
		lists[channel].crc =
		        tandem_crc32c(0, lists[channel].bytes,
		                      (size_t)lists[channel].run_count * TANDEM_RUN_BYTES);
}
