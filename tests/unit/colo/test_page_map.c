#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/crc32c.h>
#include <tandem/random.h>

#include "core/bitmap.h"
#include "core/page_map.h"

static const struct tandem_region_table regions = {
        .count = 3, .entries = {{"heap", 133}, {"notes", 1}, {"index", 220}}};

static uint8_t carriers[64];
static struct tandem_stripes stripes;

/* Each stripe on some channel. */
static void carry_all(const struct tandem_layout *layout, uint64_t *seed)
{
	stripes = (struct tandem_stripes){.stripe_count = layout->page_count / layout->stripe_pages,
	                                  .stripe_pages = layout->stripe_pages,
	                                  .channels = carriers};
	tandem_stripes_begin(&stripes, UINT16_MAX);
	for (uint64_t stripe = 0; stripe < stripes.stripe_count; stripe++)
		tandem_stripes_carry(&stripes, stripe * stripes.stripe_pages,
		                     (unsigned)(tandem_random_next(seed) % layout->channel_count));
}

struct decoded {
	uint8_t kinds[512]; /* of each page, 0: in no run */
	uint64_t data_pages;
};

static void decode_channel(const struct tandem_layout *layout, unsigned channel,
                           const struct tandem_run_list *list, struct decoded *decoded)
{
	const uint8_t *bytes = list->bytes;
	uint64_t next_page = 0, data_pages = 0;

	cr_assert_leq(list->run_count, layout->runs_max);
	cr_assert_eq(tandem_crc32c(0, bytes, (size_t)list->run_count * TANDEM_RUN_BYTES),
	             list->crc);
	for (uint32_t index = 0; index < list->run_count; index++) {
		struct tandem_run run;

		cr_assert(tandem_run_decode(layout, bytes + index * TANDEM_RUN_BYTES, &next_page,
		                            &run));
		cr_assert_eq(tandem_stripes_channel(&stripes, run.first_page), channel);
		for (uint32_t page = 0; page < run.page_count; page++) {
			cr_assert_eq(decoded->kinds[run.first_page + page], 0, "twice");
			decoded->kinds[run.first_page + page] = (uint8_t)run.kind;
		}
		data_pages += run.kind == TANDEM_RUN_DATA ? run.page_count : 0;
	}
	cr_assert_eq(data_pages, list->data_pages);
}

static void check_map(const struct tandem_layout *layout, const struct tandem_page_map *map)
{
	struct tandem_run_list lists[TANDEM_STRIPE_LANES] = {{0}};
	struct decoded decoded;

	memset(&decoded, 0, sizeof decoded);
	for (unsigned channel = 0; channel < layout->channel_count; channel++)
		lists[channel].bytes = malloc(layout->runs_max * TANDEM_RUN_BYTES);
	tandem_page_map_encode(map, &stripes, lists, layout->channel_count);
	for (unsigned channel = 0; channel < layout->channel_count; channel++) {
		decode_channel(layout, channel, &lists[channel], &decoded);
		free(lists[channel].bytes);
	}
	for (uint64_t page = 0; page < layout->page_count; page++) {
		unsigned kind = !tandem_bitmap_get(map->recorded, page) ? 0
		                : tandem_bitmap_get(map->zero, page)    ? TANDEM_RUN_ZERO
		                                                        : TANDEM_RUN_DATA;

		cr_assert_eq(decoded.kinds[page], kind, "page %llu", (unsigned long long)page);
	}
}

Test(page_map, what_is_encoded_is_what_was_recorded)
{
	uint64_t recorded[8] = {0}, zero[8] = {0}, seed = 3;
	struct tandem_page_map map = {.recorded = recorded, .zero = zero};
	struct tandem_layout layout;

	for (unsigned round = 0; round < 200; round++) {
		unsigned channels = 1 + round % 16;

		cr_assert(tandem_layout_init(&layout, &regions, channels, 16, 0));
		carry_all(&layout, &seed);
		map.page_count = layout.page_count;
		tandem_page_map_clear(&map);
		for (unsigned record = 0; record < (round % 8) * (round % 8) * 12; record++) {
			uint64_t random = tandem_random_next(&seed);
			unsigned region = (unsigned)(random % 3);
			uint64_t page = layout.first_page[region] +
			                (random >> 8) % layout.regions.entries[region].page_count;

			tandem_page_map_record(&map, page,
			                       (random >> 60) % 3 == 0 ? TANDEM_RUN_ZERO
			                                               : TANDEM_RUN_DATA);
		}
		check_map(&layout, &map);
	}
}

/* The worst case for the list's size: neighbours of different kinds. */
Test(page_map, a_list_of_one_run_a_page_fits)
{
	uint64_t recorded[8] = {0}, zero[8] = {0}, seed = 1;
	struct tandem_page_map map = {.recorded = recorded, .zero = zero};
	struct tandem_layout layout;

	cr_assert(tandem_layout_init(&layout, &regions, 1, 16, 0));
	carry_all(&layout, &seed);
	map.page_count = layout.page_count;
	for (unsigned region = 0; region < regions.count; region++) {
		for (uint64_t page = 0; page < regions.entries[region].page_count; page++)
			tandem_page_map_record(&map, layout.first_page[region] + page,
			                       page % 2 == 0 ? TANDEM_RUN_ZERO : TANDEM_RUN_DATA);
	}
	check_map(&layout, &map);
}

Test(page_map, the_newest_record_wins)
{
	uint64_t recorded[8] = {0}, zero[8] = {0};
	struct tandem_page_map map = {.recorded = recorded, .zero = zero, .page_count = 16};

	tandem_page_map_record(&map, 4, TANDEM_RUN_ZERO);
	cr_expect(tandem_bitmap_get(zero, 4));
	tandem_page_map_record(&map, 4, TANDEM_RUN_DATA);
	cr_expect(tandem_bitmap_get(recorded, 4) && !tandem_bitmap_get(zero, 4));
}

Test(page_map, what_is_cleared_is_empty_wherever_it_was_recorded)
{
	uint64_t recorded[8], zero[8], seed = 5;
	struct tandem_page_map map = {.recorded = recorded, .zero = zero, .page_count = 500};

	memset(recorded, 0, sizeof recorded);
	memset(zero, 0, sizeof zero);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned record = 0; record < round % 5; record++)
			tandem_page_map_record(&map, tandem_random_next(&seed) % 500,
			                       TANDEM_RUN_ZERO);
		tandem_page_map_clear(&map);
		cr_assert(tandem_bitmap_is_empty(recorded, 500) &&
		                  tandem_bitmap_is_empty(zero, 500),
		          "round %u", round);
	}
}

/* 4.7: an aborted epoch's map lies under the open one. */
Test(page_map, what_was_aborted_is_merged_under)
{
	uint64_t recorded[1] = {0}, zero[1] = {0}, old_recorded[1] = {0}, old_zero[1] = {0};
	struct tandem_page_map map = {.recorded = recorded, .zero = zero, .page_count = 16};
	struct tandem_page_map old = {.recorded = old_recorded, .zero = old_zero, .page_count = 16};

	tandem_page_map_record(&old, 1, TANDEM_RUN_ZERO);
	tandem_page_map_record(&old, 2, TANDEM_RUN_ZERO);
	tandem_page_map_record(&old, 3, TANDEM_RUN_DATA);
	tandem_page_map_record(&map, 2, TANDEM_RUN_DATA);
	tandem_page_map_record(&map, 3, TANDEM_RUN_ZERO);
	tandem_page_map_merge_under(&map, &old);
	cr_expect_eq(recorded[0], 0xe);
	cr_expect_eq(zero[0], 0xa, "the newest record of a page wins");
}

Test(page_map, only_what_lost_channels_carried_is_taken_back)
{
	uint64_t recorded[1] = {0}, zero[1] = {0}, words[1] = {0};
	struct tandem_page_set to_push = {.words = words, .page_count = 48};
	struct tandem_page_map map = {.recorded = recorded, .zero = zero, .page_count = 48};
	struct tandem_stripes three = {.stripe_count = 3, .stripe_pages = 16, .channels = carriers};

	tandem_stripes_begin(&three, 7);
	tandem_stripes_carry(&three, 0, 2);
	tandem_stripes_carry(&three, 16, 1);
	tandem_page_map_record(&map, 5, TANDEM_RUN_DATA);
	tandem_page_map_record(&map, 6, TANDEM_RUN_ZERO);
	tandem_page_map_record(&map, 17, TANDEM_RUN_ZERO);
	tandem_page_map_take_back(&map, &three, 1u << 2, &to_push);
	cr_expect_eq(words[0], UINT64_C(3) << 5);
	cr_expect_eq(recorded[0], UINT64_C(1) << 17);
	cr_expect_eq(zero[0], UINT64_C(1) << 17);
}
