#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <tandem/memory.h>
#include <tandem/random.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Orders from a fixed seed. Batches and inner places come more often than a plain byte gives them:
 * else few streams would reach their second frame. */
static void make(uint64_t *random, uint8_t *bytes, size_t length)
{
	const unsigned sparse = tandem_random_next(random) % 2;
	for (size_t i = 0; i < length; i++) {
		uint64_t value = tandem_random_next(random);
		bytes[i] = (uint8_t)(sparse && value % 3 ? 5 + 7 * (value / 3 % 8) : value >> 8);
	}
}

int main(int argument_count, char **arguments)
{
	unsigned long rounds = argument_count == 2 ? strtoul(arguments[1], NULL, 10) : 0;
	uint64_t random = 1;
	if (rounds == 0) {
		fprintf(stderr, "usage: %s ROUNDS\n", arguments[0]);
		return 2;
	}
	for (unsigned long round = 0; round < rounds; round++) {
		size_t length = 1 + tandem_random_next(&random) % 400;
		uint8_t *bytes = tandem_memory_alloc(length);
		if (!bytes)
			return 1;
		make(&random, bytes, length);
		LLVMFuzzerTestOneInput(bytes, length);
		tandem_memory_free(bytes);
	}
	printf("%lu rounds\n", rounds);
	return 0;
}
