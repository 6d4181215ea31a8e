#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tandem/random.h>

#define FILE_BYTES_MAX  65536
#define MUTATION_ROUNDS 300

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static uint8_t original[FILE_BYTES_MAX], mutated[2 * FILE_BYTES_MAX];

/* Words that get a parser into other states than single bytes do. */
static const char *const words[] = {
        "{",
        "}",
        "(",
        ")",
        "[",
        "\"",
        ";",
        "=",
        "\\",
        "/*",
        "#",
        "@include ",
        "4294967297",
        "-1",
        "1e999",
        "true",
        "\0\0",
        "nodes",
        "heartbeat = ",
        "\xff\xfe",
        "pairs = (",
        "key_file = ",
        "rails = [",
};

static size_t mutate(uint64_t *seed, size_t length)
{
	size_t at = length > 0 ? tandem_random_next(seed) % length : 0;
	const char *word = words[tandem_random_next(seed) % (sizeof(words) / sizeof(words[0]))];
	size_t word_length = word[0] ? strlen(word) : 2;
	switch (tandem_random_next(seed) % 4) {
	case 0: /* one byte */
		if (length > 0)
			mutated[at] = (uint8_t)tandem_random_next(seed);
		return length;
	case 1: /* the rest goes */
		return at;
	case 2: /* a word over what was there */
		if (at + word_length <= length)
			memcpy(mutated + at, word, word_length);
		return length;
	default: /* a word in between */
		if (length + word_length > sizeof(mutated))
			return length;
		memmove(mutated + at + word_length, mutated + at, length - at);
		memcpy(mutated + at, word, word_length);
		return length + word_length;
	}
}

static void replay(size_t length, uint64_t seed)
{
	LLVMFuzzerTestOneInput(original, length);
	for (int round = 0; round < MUTATION_ROUNDS; round++) {
		size_t mutated_length = length;
		memcpy(mutated, original, length);
		for (uint64_t steps = 1 + tandem_random_next(&seed) % 4; steps > 0; steps--)
			mutated_length = mutate(&seed, mutated_length);
		LLVMFuzzerTestOneInput(mutated, mutated_length);
	}
}

static int replay_file(const char *directory, const char *name, uint64_t seed)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	size_t length = fread(original, 1, sizeof(original), file);
	fclose(file);
	replay(length, seed);
	return 0;
}

int main(int argument_count, char **arguments)
{
	const struct dirent *entry;
	uint64_t file_count = 0;
	DIR *directory = argument_count == 2 ? opendir(arguments[1]) : NULL;
	if (!directory) {
		fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", arguments[0]);
		return 2;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(arguments[1], entry->d_name, ++file_count) < 0)
			return 1;
	}
	closedir(directory);
	printf("%llu files, %d mutations each\n", (unsigned long long)file_count, MUTATION_ROUNDS);
	return file_count > 0 ? 0 : 1;
}
