#ifndef TANDEM_ZERO_H
#define TANDEM_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether `length` bytes (a multiple of 64) are all zero; looks at three samples first, so a page
 * with data costs little, and at one only where that tells: each is in a cache line of its own. */
static inline bool tandem_is_zero(const void *memory, size_t length)
{
	const uint64_t *words = memory;
	size_t count = length / sizeof *words;

	if (words[0] != 0 || (words[count / 2] | words[count - 1]) != 0)
		return false;
	for (size_t index = 0; index < count; index += 8) {
		if ((words[index] | words[index + 1] | words[index + 2] | words[index + 3] |
		     words[index + 4] | words[index + 5] | words[index + 6] | words[index + 7]) !=
		    0)
			return false;
	}
	return true;
}

#endif
