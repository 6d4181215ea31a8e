#include "bitmap.h"

#include <string.h>

#define STEP_WORDS 16

typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

/* The bits of the word of `first` that lie between two indexes. */
static uint64_t bits_of_word(uint64_t first, uint64_t end)
{
	uint64_t next = first / 64 * 64 + 64;
	uint64_t bits = UINT64_MAX << (first % 64);

	return next > end ? bits & UINT64_MAX >> (next - end) : bits;
}

void tandem_bitmap_set_range(uint64_t *words, uint64_t first, uint64_t length)
{
	const uint64_t end = first + length;

	for (; first < end; first = first / 64 * 64 + 64)
		words[first / 64] |= bits_of_word(first, end);
}

void tandem_bitmap_clear_range(uint64_t *words, uint64_t first, uint64_t length)
{
	const uint64_t end = first + length;

	for (; first < end; first = first / 64 * 64 + 64)
		words[first / 64] &= ~bits_of_word(first, end);
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

	if (shift == 0) {
		tandem_bitmap_or(to, other, count);
		return;
	}
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(count); word++) {
		uint64_t bits = other[word];

		if (bits == 0)
			continue;
		to[word] |= bits << shift;
		if (bits >> (64 - shift) != 0)
			to[word + 1] |= bits >> (64 - shift);
	}
}

/* The first word at or after `word` that is not 0, or a few words before it: most of a bitmap is
 * empty, and is passed by in long steps, two words at a time. */
static uint64_t skip_empty(const uint64_t *words, uint64_t word_count, uint64_t word)
{
	for (; word + STEP_WORDS <= word_count; word += STEP_WORDS) {
		const two_words *pairs = (const two_words *)(words + word);
		const two_words any = (pairs[0] | pairs[1]) | (pairs[2] | pairs[3]) |
		                      (pairs[4] | pairs[5]) | (pairs[6] | pairs[7]);

		if ((any[0] | any[1]) != 0)
			break;
	}
	return word;
}

uint64_t tandem_bitmap_population(const uint64_t *words, uint64_t count)
{
	const uint64_t word_count = TANDEM_BITMAP_WORDS(count);
	uint64_t population = 0;

	for (uint64_t word = 0; word < word_count; word++) {
		if (words[word] != 0) /* counting is a call where the processor may be any */
			population += (uint64_t)__builtin_popcountll(words[word]);
		else
			word = skip_empty(words, word_count, word + 1) - 1;
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
		word = skip_empty(words, TANDEM_BITMAP_WORDS(count), word + 1);
		if (word >= TANDEM_BITMAP_WORDS(count))
			return count;
		bits = words[word];
	}
	return word * 64 + (uint64_t)__builtin_ctzll(bits);
}
