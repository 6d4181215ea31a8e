#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/random.h>

#include "fuzz.h"

/* Without libFuzzer: sound inputs, damaged from a fixed seed. With a directory as second argument:
 * writes sound inputs there, for libFuzzer to start from. */

#define INPUT_MAX 5000u

static size_t damage(uint8_t *bytes, size_t length, uint64_t *seed)
{
	unsigned count = (unsigned)(tandem_random_next(seed) % 6);

	for (unsigned index = 0; index < count && length > 0; index++) {
		uint64_t random = tandem_random_next(seed);

		if (random >> 60 == 0)
			length = (random >> 8) % (length + 1);
		else if (random >> 62 == 1)
			bytes[random % length] = (uint8_t)(random >> 32);
		else
			bytes[random % length] ^= (uint8_t)(1u << (random >> 40) % 8);
	}
	return length;
}

static int write_examples(const char *directory)
{
	for (unsigned number = 0; number < 64; number++) {
		static uint8_t bytes[INPUT_MAX];
		size_t length = fuzz_example(number, bytes, sizeof bytes);
		char path[256];

		snprintf(path, sizeof path, "%s/sound-%u", directory, number);
		FILE *file = fopen(path, "wb");
		if (file == NULL || fwrite(bytes, 1, length, file) != length) {
			perror(path);
			return 1;
		}
		fclose(file);
	}
	return 0;
}

int main(int argument_count, char **arguments)
{
	unsigned long rounds = argument_count > 1 ? strtoul(arguments[1], NULL, 10) : 10000;
	uint64_t seed = 20;

	if (argument_count > 2)
		return write_examples(arguments[2]);
	for (unsigned long round = 0; round < rounds; round++) {
		static uint8_t bytes[INPUT_MAX];
		size_t length = fuzz_example((unsigned)round, bytes, sizeof bytes);
		uint8_t *exact;

		length = damage(bytes, length, &seed);
		exact = malloc(length > 0 ? length : 1);
		memcpy(exact, bytes, length);
		LLVMFuzzerTestOneInput(exact, length);
		free(exact);
	}
	printf("%lu inputs, no harm\n", rounds);
	return 0;
}
