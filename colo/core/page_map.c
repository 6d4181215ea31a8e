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

static void append(struct tandem_run_list *list, const struct tandem_run *run, uint8_t *bytes)
{
	uint8_t *at = bytes + (size_t)list->run_count * TANDEM_RUN_BYTES;

	tandem_run_encode(run, at);
	list->crc = tandem_crc32c(list->crc, at, TANDEM_RUN_BYTES);
	list->run_count++;
	if (run->kind == TANDEM_RUN_DATA)
		list->data_pages += run->page_count;
}

static void encode_stripe(const struct tandem_page_map *map, uint64_t first, uint8_t *bytes,
                          struct tandem_run_list *list)
{
	struct tandem_run run = {.page_count = 0};

	for (uint64_t page = first; page < first + TANDEM_STRIPE_PAGES; page++) {
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
                                              const struct tandem_layout *layout, unsigned channel,
                                              uint8_t *ret_bytes)
{
	struct tandem_run_list list = {.run_count = 0};
	uint64_t step = (uint64_t)layout->channel_count * TANDEM_STRIPE_PAGES;
	uint64_t page = tandem_bitmap_next(map->recorded, map->page_count, 0);

	while (page < map->page_count) {
		uint64_t first = page - page % TANDEM_STRIPE_PAGES;

		if (tandem_layout_channel(layout, first) == channel) {
			encode_stripe(map, first, ret_bytes, &list);
			first += step - TANDEM_STRIPE_PAGES;
		}
		page = tandem_bitmap_next(map->recorded, map->page_count,
		                          first + TANDEM_STRIPE_PAGES);
	}
	return list;
}
