#include "page_map.h"

#include <tandem/crc32c.h>

#include "bitmap.h"

void tandem_page_map_record(struct tandem_page_map *map, uint64_t page, enum tandem_run_kind kind)
{
	tandem_bitmap_set(map->recorded, page);
	if (kind == TANDEM_RUN_ZERO)
		tandem_bitmap_set(map->zero, page);
	else
		tandem_bitmap_clear(map->zero, page);
}

void tandem_page_map_clear(struct tandem_page_map *map)
{
	tandem_bitmap_zero(map->recorded, map->page_count);
	tandem_bitmap_zero(map->zero, map->page_count);
}

void tandem_page_map_merge_under(struct tandem_page_map *map, const struct tandem_page_map *older)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(map->page_count); word++) {
		uint64_t added = older->recorded[word] & ~map->recorded[word];

		map->recorded[word] |= added;
		map->zero[word] |= older->zero[word] & added;
	}
}

void tandem_page_map_take_back(struct tandem_page_map *map, const struct tandem_stripes *stripes,
                               uint32_t channel_mask, uint64_t *to_push)
{
	uint64_t page = tandem_bitmap_next(map->recorded, map->page_count, 0);

	for (; page < map->page_count;
	     page = tandem_bitmap_next(map->recorded, map->page_count, page + 1)) {
		unsigned channel = tandem_stripes_channel(stripes, page);

		if (channel == TANDEM_STRIPE_FREE || (channel_mask & 1u << channel) == 0)
			continue;
		tandem_bitmap_set(to_push, page);
		tandem_bitmap_clear(map->recorded, page);
		tandem_bitmap_clear(map->zero, page);
	}
}

static void append(struct tandem_run_list *list, const struct tandem_run *run, uint8_t *bytes)
{
	uint8_t *at = bytes + (size_t)list->run_count * TANDEM_RUN_BYTES;

	tandem_run_encode(run, at);
	list->crc = tandem_crc32c(list->crc, at, TANDEM_RUN_BYTES);
	list->run_count++;
	if (run->kind == TANDEM_RUN_DATA)
		list->data_pages += run->page_count;
}

static void encode_stripe(const struct tandem_page_map *map, uint64_t first, unsigned page_count,
                          uint8_t *bytes, struct tandem_run_list *list)
{
	struct tandem_run run = {.page_count = 0};

	for (uint64_t page = first; page < first + page_count; page++) {
		bool is_recorded = tandem_bitmap_get(map->recorded, page);
		enum tandem_run_kind kind =
		        tandem_bitmap_get(map->zero, page) ? TANDEM_RUN_ZERO : TANDEM_RUN_DATA;

		if (run.page_count > 0 && (!is_recorded || kind != run.kind)) {
			append(list, &run, bytes);
			run.page_count = 0;
		}
		if (!is_recorded)
			continue;
		if (run.page_count++ == 0) {
			run.first_page = page;
			run.kind = kind;
		}
	}
	if (run.page_count > 0)
		append(list, &run, bytes);
}

struct tandem_run_list tandem_page_map_encode(const struct tandem_page_map *map,
                                              const struct tandem_stripes *stripes,
                                              unsigned channel, uint8_t *ret_bytes)
{
	struct tandem_run_list list = {.run_count = 0};
	unsigned stripe_pages = stripes->stripe_pages;
	uint64_t page = tandem_bitmap_next(map->recorded, map->page_count, 0);

	while (page < map->page_count) {
		uint64_t first = page - page % stripe_pages;

		if (tandem_stripes_channel(stripes, first) == channel)
			encode_stripe(map, first, stripe_pages, ret_bytes, &list);
		page = tandem_bitmap_next(map->recorded, map->page_count, first + stripe_pages);
	}
	return list;
}
