#include "layout.h"

#include <string.h>

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* One slot is a page of trailer and the run list behind it. */
static uint64_t channel_slot_bytes(const struct tandem_layout *layout)
{
	return TANDEM_PAGE_BYTES + round_up(layout->runs_max * TANDEM_RUN_BYTES, TANDEM_PAGE_BYTES);
}

/* Names become file names on the secondary: nothing but these letters. */
static bool is_name_good(const char *name)
{
	size_t length = 0;

	for (; length < TANDEM_NAME_BYTES && name[length] != '\0'; length++) {
		char letter = name[length];

		if (!(letter >= 'a' && letter <= 'z') && !(letter >= '0' && letter <= '9') &&
		    letter != '_' && letter != '-')
			return false;
	}
	return length > 0 && length < TANDEM_NAME_BYTES;
}

static bool is_name_unique(const struct tandem_region_table *regions, unsigned region)
{
	for (unsigned other = 0; other < region; other++) {
		if (strcmp(regions->entries[other].name, regions->entries[region].name) == 0)
			return false;
	}
	return true;
}

static bool limits_hold(const struct tandem_region_table *regions, unsigned channel_count,
                        unsigned stripe_pages, uint32_t state_bytes_max)
{
	if (regions->count == 0 || regions->count > TANDEM_REGIONS_MAX)
		return false;
	for (unsigned region = 0; region < regions->count; region++) {
		uint64_t pages = regions->entries[region].page_count;

		if (pages == 0 || pages > TANDEM_REGION_PAGES_MAX)
			return false;
		if (!is_name_good(regions->entries[region].name) ||
		    !is_name_unique(regions, region))
			return false;
	}
	return channel_count > 0 && channel_count <= 16 && stripe_pages > 0 &&
	       stripe_pages <= TANDEM_STRIPE_PAGES_MAX &&
	       state_bytes_max <= TANDEM_STATE_BYTES_LIMIT;
}

bool tandem_layout_init(struct tandem_layout *layout, const struct tandem_region_table *regions,
                        unsigned channel_count, unsigned stripe_pages, uint32_t state_bytes_max)
{
	uint64_t page = 0;

	if (!limits_hold(regions, channel_count, stripe_pages, state_bytes_max))
		return false;
	memset(layout, 0, sizeof *layout);
	layout->regions = *regions;
	layout->channel_count = channel_count;
	layout->stripe_pages = stripe_pages;
	layout->state_bytes_max = state_bytes_max;
	for (unsigned region = 0; region < regions->count; region++) {
		layout->first_page[region] = page;
		page += round_up(regions->entries[region].page_count, stripe_pages);
	}
	for (unsigned region = regions->count; region <= TANDEM_REGIONS_MAX; region++)
		layout->first_page[region] = page;
	layout->page_count = page;
	layout->runs_max = page;
	layout->parity_bytes = round_up(state_bytes_max, TANDEM_PAGE_BYTES) +
	                       channel_count * channel_slot_bytes(layout);
	return true;
}

bool tandem_region_table_equal(const struct tandem_region_table *one,
                               const struct tandem_region_table *other)
{
	if (one->count != other->count)
		return false;
	for (unsigned region = 0; region < one->count; region++) {
		if (one->entries[region].page_count != other->entries[region].page_count ||
		    strcmp(one->entries[region].name, other->entries[region].name) != 0)
			return false;
	}
	return true;
}

unsigned tandem_layout_region(const struct tandem_layout *layout, uint64_t page)
{
	unsigned low = 0, high = layout->regions.count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (layout->first_page[middle] <= page)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t tandem_layout_slots_bytes(const struct tandem_layout *layout)
{
	return 2 * layout->parity_bytes;
}

uint64_t tandem_layout_state_offset(const struct tandem_layout *layout, uint64_t epoch)
{
	return epoch % 2 * layout->parity_bytes;
}

uint64_t tandem_layout_trailer_offset(const struct tandem_layout *layout, uint64_t epoch,
                                      unsigned channel)
{
	return tandem_layout_state_offset(layout, epoch) +
	       round_up(layout->state_bytes_max, TANDEM_PAGE_BYTES) +
	       channel * channel_slot_bytes(layout);
}

uint64_t tandem_layout_runs_offset(const struct tandem_layout *layout, uint64_t epoch,
                                   unsigned channel)
{
	return tandem_layout_trailer_offset(layout, epoch, channel) + TANDEM_PAGE_BYTES;
}
