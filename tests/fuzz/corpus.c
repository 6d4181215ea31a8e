#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/random.h>

/* Runs a fuzz target over its corpus: TARGET_corpus DIRECTORY, each file as it is and then damaged
 * from a fixed seed. TARGET_corpus --unpack DIRECTORY TO writes the inputs for libFuzzer to start
 * from.
 *
 * A file is one input as text: bytes in hexadecimal, "00*12" for twelve of a kind, '#' to the end
 * of the line for people. */

#define INPUT_BYTES_MAX  65536
#define DAMAGED_PER_FILE 2000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static uint8_t input[INPUT_BYTES_MAX];

static int parse_token(const char *token, size_t *length)
{
	char *end;
	unsigned long value = strtoul(token, &end, 16);
	unsigned long count = 1;
	if (end == token || value > 255)
		return -1;
	if (*end == '*') {
		token = end + 1;
		count = strtoul(token, &end, 10);
	}
	if (*end || end == token || count > INPUT_BYTES_MAX - *length)
		return -1;
	memset(input + *length, (int)value, count);
	*length += count;
	return 0;
}

static int parse(FILE *file, size_t *ret_length)
{
	char line[4096], *rest = NULL;
	*ret_length = 0;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "#\n")] = 0;
		for (char *token = strtok_r(line, " \t", &rest); token;
		     token = strtok_r(NULL, " \t", &rest)) {
			if (parse_token(token, ret_length) != 0) {
				fprintf(stderr, "not a byte: '%s'\n", token);
				return -1;
			}
		}
	}
	return 0;
}

static size_t damage(uint64_t *seed, uint8_t *bytes, size_t length)
{
	static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
	for (uint64_t count = 1 + tandem_random_next(seed) % 4; count > 0 && length > 0; count--) {
		size_t at = tandem_random_next(seed) % length;
		uint64_t choice = tandem_random_next(seed) % 16;
		if (choice == 0)
			length = at;
		else if (choice < 6)
			bytes[at] = edges[tandem_random_next(seed) % sizeof(edges)];
		else if (choice < 11)
			bytes[at] ^= (uint8_t)(1u << tandem_random_next(seed) % 8);
		else
			bytes[at] = (uint8_t)tandem_random_next(seed);
	}
	return length;
}

/* Each in an allocation of its own size, so that a byte too far is seen. */
static int try(size_t length, uint64_t *seed)
{
	uint8_t *bytes = malloc(length > 0 ? length : 1);
	if (!bytes)
		return -1;
	memcpy(bytes, input, length);
	if (seed) {
		size_t left = damage(seed, bytes, length);
		uint8_t *shorter = realloc(bytes, left > 0 ? left : 1);
		bytes = shorter ? shorter : bytes;
		length = left;
	}
	LLVMFuzzerTestOneInput(bytes, length);
	free(bytes);
	return 0;
}

static int replay(size_t length, uint64_t seed)
{
	int status = try(length, NULL);
	for (unsigned i = 0; status == 0 && i < DAMAGED_PER_FILE; i++)
		status = try(length, &seed);
	return status;
}

static int unpack(const char *directory, const char *name, size_t length)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "wb");
	if (!file || fwrite(input, 1, length, file) != length) {
		perror(path);
		return -1;
	}
	return fclose(file);
}

static int take_file(const char *directory, const char *name, const char *to, uint64_t seed)
{
	char path[1024];
	size_t length = 0;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "r");
	if (!file) {
		perror(path);
		return -1;
	}
	int status = parse(file, &length);
	fclose(file);
	if (status != 0)
		fprintf(stderr, "%s: cannot be read\n", path);
	else
		status = to ? unpack(to, name, length) : replay(length, seed);
	return status;
}

static int take_all(const char *path, const char *to)
{
	const struct dirent *entry;
	unsigned file_count = 0;
	int status = 0;
	DIR *directory = opendir(path);
	if (!directory) {
		perror(path);
		return 1;
	}
	while (status == 0 && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			status = take_file(path, entry->d_name, to, ++file_count);
	}
	closedir(directory);
	printf("%u inputs%s\n", file_count, to ? " written" : ", no harm");
	return status == 0 && file_count > 0 ? 0 : 1;
}

int main(int argument_count, char **arguments)
{
	if (argument_count == 2)
		return take_all(arguments[1], NULL);
	if (argument_count == 4 && strcmp(arguments[1], "--unpack") == 0)
		return take_all(arguments[2], arguments[3]);
	fprintf(stderr, "usage: %s [--unpack] CORPUS_DIRECTORY [TO]\n", arguments[0]);
	return 2;
}
