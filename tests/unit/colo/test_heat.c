#include <criterion/criterion.h>

#include "core/heat.h"

#define PAGES 200u

static uint64_t pushed[4], hot[4], to_push[4];
static uint8_t epochs_left[PAGES];
static struct tandem_heat heat = {
        .page_count = PAGES, .pushed = pushed, .hot = hot, .epochs_left = epochs_left};

Test(heat, a_page_that_was_pushed_in_vain_is_left_alone_for_some_epochs)
{
	tandem_bitmap_set(pushed, 5);
	tandem_bitmap_set(pushed, 199);
	tandem_bitmap_set(to_push, 199);
	tandem_bitmap_set(to_push, 7);
	tandem_heat_note_scan(&heat, to_push);
	cr_expect_eq(tandem_heat_hot_pages(&heat), 1);
	cr_expect(tandem_bitmap_get(hot, 199));
	cr_expect_eq(heat.vain_pages, 1);
	tandem_heat_note_scan(&heat, to_push);
	cr_expect_eq(heat.vain_pages, 1, "once for each push");
	for (unsigned epoch = 1; epoch < TANDEM_HEAT_EPOCHS; epoch++) {
		tandem_heat_note_epoch(&heat);
		cr_assert(tandem_bitmap_get(hot, 199), "epoch %u", epoch);
	}
	tandem_heat_note_epoch(&heat);
	cr_expect_eq(tandem_heat_hot_pages(&heat), 0);
	cr_expect(tandem_bitmap_is_empty(pushed, PAGES));
}
