#ifndef TANDEM_PAGE_MAP_H
#define TANDEM_PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "page_set.h"
#include "stripes.h"
#include "wire.h"

/* What was recorded of an epoch: which pages, and whether as data or as zeros. The newest record of
 * a page wins. The words belong to the caller. Pure. */
struct tandem_page_map {
	uint64_t page_count;
	uint64_t *recorded;
	uint64_t *zero; /* subset of recorded */
	/* Only these pages may be recorded, so that an epoch of few pages costs little, however
	 * large the regions are. */
	uint64_t first_page;
	uint64_t end_page; /* 0: none is */
};

void tandem_page_map_record(struct tandem_page_map *map, uint64_t page, enum tandem_run_kind kind);
void tandem_page_map_clear(struct tandem_page_map *map);
/* What only `older` has recorded is recorded here too (4.7). */
void tandem_page_map_merge_under(struct tandem_page_map *map, const struct tandem_page_map *older);
/* What these channels carried is not recorded any more, and is to push. */
void tandem_page_map_take_back(struct tandem_page_map *map, const struct tandem_stripes *stripes,
                               uint32_t channel_mask, struct tandem_page_set *to_push);

/* [C12]. Runs of one channel, ascending, at most one a page. */
struct tandem_run_list {
	uint8_t *bytes; /* layout->runs_max runs; the caller's */
	uint32_t run_count;
	uint32_t crc;
	uint64_t data_pages;
};
/* Encodes the runs of each channel into its list, which is empty. Who carries a recorded stripe has
 * a list. */
void tandem_page_map_encode(const struct tandem_page_map *map, const struct tandem_stripes *stripes,
                            struct tandem_run_list *lists, unsigned list_count);

#endif
