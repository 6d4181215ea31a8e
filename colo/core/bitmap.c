#include "bitmap.h"

#include <string.h>

void tandem_bitmap_set_range(uint64_t *words, uint64_t first, uint64_t length)
{
	for (uint64_t index = first; index < first + length; index++) {
		if (index % 64 == 0 && first + length - index >= 64) {
			words[index / 64] = UINT64_MAX;
			index += 63;
			continue;
		}
		tandem_bitmap_set(words, index);
	}
}

void tandem_bitmap_clear_range(uint64_t *words, uint64_t first, uint64_t length)
{
	for (uint64_t index = first; index < first + length; index++) {
		if (index % 64 == 0 && first + length - index >= 64) {
			words[index / 64] = 0;
			index += 63;
			continue;
		}
		tandem_bitmap_clear(words, index);
	}
}

void tandem_bitmap_fill(uint64_t *words, uint64_t count)
{
	tandem_bitmap_set_range(words, 0, count);
}

void tandem_bitmap_zero(uint64_t *words, uint64_t count)
{
	memset(words, 0, TANDEM_BITMAP_WORDS(count) * sizeof *words);
}

void tandem_bitmap_or(uint64_t *words, const uint64_t *other, uint64_t count)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(count); word++)
		words[word] |= other[word];
}

void tandem_bitmap_or_at(uint64_t *words, uint64_t first, const uint64_t *other, uint64_t count)
{
	unsigned shift = first % 64;
	uint64_t *to = words + first / 64;

	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(count); word++) {
		uint64_t bits = other[word];

		if (bits == 0)
			continue;
		to[word] |= bits << shift;
		if (shift != 0 && bits >> (64 - shift) != 0)
			to[word + 1] |= bits >> (64 - shift);
	}
}

uint64_t tandem_bitmap_population(const uint64_t *words, uint64_t count)
{
	uint64_t population = 0;

	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(count); word++) {
		if (words[word] != 0) /* counting is a call where the processor may be any */
			population += (uint64_t)__builtin_popcountll(words[word]);
	}
	return population;
}

bool tandem_bitmap_is_empty(const uint64_t *words, uint64_t count)
{
	return tandem_bitmap_next(words, count, 0) == count;
}

uint64_t tandem_bitmap_next(const uint64_t *words, uint64_t count, uint64_t from)
{
	if (from >= count)
		return count;

	uint64_t word = from / 64;
	uint64_t bits = words[word] & (UINT64_MAX << (from % 64));

	while (bits == 0) {
		if (++word >= TANDEM_BITMAP_WORDS(count))
			return count;
		bits = words[word];
	}
	return word * 64 + (uint64_t)__builtin_ctzll(bits);
}
