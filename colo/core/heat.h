#ifndef TANDEM_HEAT_H
#define TANDEM_HEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "bitmap.h"

/* Which pages are written again and again: pushed between two checkpoints and dirty once more
 * before the second. They are left for the end for some epochs, then tried again. Pure; the memory
 * belongs to the caller. */
#define TANDEM_HEAT_EPOCHS 8u /* that a page is left alone after it was pushed in vain */

struct tandem_heat {
	uint64_t page_count;
	uint64_t *pushed;     /* since the last capture, beside the running program */
	uint64_t *hot;        /* left for the end ... */
	uint8_t *epochs_left; /* ... for so many captures more */
	uint64_t vain_pages;  /* pushed in vain, in all */
};

/* After a scan: pages that were pushed and are to push again were pushed in vain. */
void tandem_heat_note_scan(struct tandem_heat *heat, const uint64_t *to_push);
/* The epoch is captured; after its note_scan. */
void tandem_heat_note_epoch(struct tandem_heat *heat);
uint64_t tandem_heat_hot_pages(const struct tandem_heat *heat);

#endif
