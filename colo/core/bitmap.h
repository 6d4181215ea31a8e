#ifndef TANDEM_BITMAP_H
#define TANDEM_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One bit a page, in words that the caller owns. `count` is in bits; bits past it are always 0. */
#define TANDEM_BITMAP_WORDS(count) (((count) + 63) / 64)

static inline bool tandem_bitmap_get(const uint64_t *words, uint64_t index)
{
	return words[index / 64] >> (index % 64) & 1;
}

static inline void tandem_bitmap_set(uint64_t *words, uint64_t index)
{
	words[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline void tandem_bitmap_clear(uint64_t *words, uint64_t index)
{
	words[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

void tandem_bitmap_set_range(uint64_t *words, uint64_t first, uint64_t length);
void tandem_bitmap_clear_range(uint64_t *words, uint64_t first, uint64_t length);
void tandem_bitmap_fill(uint64_t *words, uint64_t count); /* every bit up to count */
void tandem_bitmap_zero(uint64_t *words, uint64_t count);
void tandem_bitmap_or(uint64_t *words, const uint64_t *other, uint64_t count);
/* Sets bit first + i for each set bit i of `other`. */
void tandem_bitmap_or_at(uint64_t *words, uint64_t first, const uint64_t *other, uint64_t count);
uint64_t tandem_bitmap_population(const uint64_t *words, uint64_t count);
bool tandem_bitmap_is_empty(const uint64_t *words, uint64_t count);
/* The first set bit at or after `from`, or `count`. */
uint64_t tandem_bitmap_next(const uint64_t *words, uint64_t count, uint64_t from);

#endif
