#include "seeds.h"

#include <stdio.h>
#include <string.h>
#include <tandem/random.h>

/* Every seed as it is, then cut, changed and spliced from a fixed state: what every build runs. */
#define MUTATIONS 20000

static uint8_t original[SEED_BYTES_MAX], mutated[SEED_BYTES_MAX];

static size_t mutate(uint64_t *state, size_t length)
{
	static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, '"', '{'};
	size_t at = length > 0 ? tandem_random_next(state) % length : 0;
	size_t from = length > 0 ? tandem_random_next(state) % length : 0;
	size_t span = tandem_random_next(state) % 16;
	switch (tandem_random_next(state) % 4) {
	case 0:
		if (length > 0)
			mutated[at] ^= (uint8_t)(1u << tandem_random_next(state) % 8);
		return length;
	case 1:
		if (length > 0)
			mutated[at] = edges[tandem_random_next(state) % sizeof(edges)];
		return length;
	case 2:
		return tandem_random_next(state) % 8 == 0 ? at : length;
	default:
		if (at + span <= length && from + span <= length)
			memmove(mutated + at, mutated + from, span);
		return length;
	}
}

int main(void)
{
	uint64_t state = 1;
	unsigned count = 0;
	for (size_t length = fuzz_seed(0, original); length > 0;
	     length = fuzz_seed(++count, original)) {
		LLVMFuzzerTestOneInput(original, length);
		for (unsigned i = 0; i < MUTATIONS; i++) {
			size_t left = length;
			memcpy(mutated, original, length);
			for (uint64_t j = 1 + tandem_random_next(&state) % 6; j > 0; j--)
				left = mutate(&state, left);
			LLVMFuzzerTestOneInput(mutated, left);
		}
	}
	printf("%u seeds, %d mutations each\n", count, MUTATIONS);
	return count > 0 ? 0 : 1;
}
