#ifndef TANDEM_LAYOUT_H
#define TANDEM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>

/* What both sides compute from the region table: global page numbers, stripes, and where blob, run
 * lists and trailers lie in the slot memory. docs/protocol.md [C10], [C11]. */
#define TANDEM_PAGE_BYTES        4096u
#define TANDEM_REGIONS_MAX       64u
#define TANDEM_REGION_PAGES_MAX  (UINT64_C(1) << 32) /* 16 TiB */
#define TANDEM_STRIPE_PAGES_MAX  256u /* neighbouring pages that share a channel: one write */
#define TANDEM_SLOTS_MEMORY_ID   255u
#define TANDEM_RUN_BYTES         8u
#define TANDEM_STATE_BYTES_LIMIT (1u << 26)

struct tandem_region_entry {
	char name[TANDEM_NAME_BYTES];
	uint64_t page_count;
};

struct tandem_region_table {
	unsigned count;
	struct tandem_region_entry entries[TANDEM_REGIONS_MAX];
};

struct tandem_layout {
	struct tandem_region_table regions;
	uint64_t first_page[TANDEM_REGIONS_MAX +
	                    1]; /* global number of a region's first page; then the total */
	unsigned channel_count;
	unsigned stripe_pages;
	uint32_t state_bytes_max;
	uint64_t page_count;   /* a multiple of stripe_pages */
	uint64_t runs_max;     /* a channel may carry every stripe, and a run be a page */
	uint64_t parity_bytes; /* slots of one epoch parity */
};

/* Regions are aligned to stripes, so that a stripe never spans two. False when a number is out of
 * its limits. */
bool tandem_layout_init(struct tandem_layout *layout, const struct tandem_region_table *regions,
                        unsigned channel_count, unsigned stripe_pages, uint32_t state_bytes_max);
bool tandem_region_table_equal(const struct tandem_region_table *one,
                               const struct tandem_region_table *other);

/* Global page numbers include the padding that aligns regions to stripes; a padding page belongs to
 * no region. */
unsigned tandem_layout_region(const struct tandem_layout *layout, uint64_t page);

uint64_t tandem_layout_slots_bytes(const struct tandem_layout *layout);
uint64_t tandem_layout_state_offset(const struct tandem_layout *layout, uint64_t epoch);
uint64_t tandem_layout_trailer_offset(const struct tandem_layout *layout, uint64_t epoch,
                                      unsigned channel);
uint64_t tandem_layout_runs_offset(const struct tandem_layout *layout, uint64_t epoch,
                                   unsigned channel);

#endif
