#include <criterion/criterion.h>
#include <string.h>

#include <tandem/random.h>

#include "shell/copy.h"

#define BYTES 8192u

Test(copy, copies_what_it_is_told_and_nothing_else)
{
	static _Alignas(64) uint8_t from[BYTES], to[BYTES], expected[BYTES];
	uint64_t seed = 3;

	for (size_t length = 0; length <= 4096; length += 128) {
		size_t place = 32 * (size_t)(tandem_random_next(&seed) % 64);

		for (size_t index = 0; index < BYTES; index++)
			from[index] = (uint8_t)tandem_random_next(&seed);
		memset(to, 7, sizeof to);
		memset(expected, 7, sizeof expected);
		memcpy(expected + place, from + 64, length);
		tandem_copy_around(to + place, from + 64, length);
		tandem_copy_publish();
		cr_assert_arr_eq(to, expected, BYTES, "%zu bytes", length);
	}
}
