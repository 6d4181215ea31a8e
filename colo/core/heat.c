#include "heat.h"

void tandem_heat_note_scan(struct tandem_heat *heat, const uint64_t *to_push)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(heat->page_count); word++) {
		uint64_t bits = heat->pushed[word] & to_push[word];

		heat->pushed[word] &= ~bits;
		heat->hot[word] |= bits;
		for (; bits != 0; bits &= bits - 1) {
			heat->epochs_left[word * 64 + (unsigned)__builtin_ctzll(bits)] =
			        TANDEM_HEAT_EPOCHS;
			heat->vain_pages++;
		}
	}
}

void tandem_heat_note_epoch(struct tandem_heat *heat)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(heat->page_count); word++) {
		uint64_t bits = heat->hot[word];

		heat->pushed[word] = 0;
		for (; bits != 0; bits &= bits - 1) {
			uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);

			if (--heat->epochs_left[page] == 0)
				tandem_bitmap_clear(heat->hot, page);
		}
	}
}

uint64_t tandem_heat_hot_pages(const struct tandem_heat *heat)
{
	return tandem_bitmap_population(heat->hot, heat->page_count);
}
