#include "bench_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB          (UINT64_C(1) << 20)
#define SIZE_LARGEST (UINT64_C(1) << 40)

static bool refuse(const char *text, uint64_t least, uint64_t most)
{
	fprintf(stderr, "tandem-bench: '%s' must be a number from %llu to %llu\n", text,
	        (unsigned long long)least, (unsigned long long)most);
	return false;
}

/* strtoull takes signs and leading space; a size has neither. */
static bool read_number(const char *text, uint64_t *ret_number, const char **ret_rest)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(text, &rest, 10);
	*ret_rest = rest;
	return errno == 0;
}

bool tandem_bench_parse_number(const char *text, uint64_t least, uint64_t most,
                               uint64_t *ret_number)
{
	uint64_t number;
	const char *rest;

	if (!read_number(text, &number, &rest) || *rest != '\0' || number < least || number > most)
		return refuse(text, least, most);
	*ret_number = number;
	return true;
}

bool tandem_bench_parse_unsigned(const char *text, uint64_t least, unsigned most,
                                 unsigned *ret_number)
{
	uint64_t number;

	if (!tandem_bench_parse_number(text, least, most, &number))
		return false;
	*ret_number = (unsigned)number;
	return true;
}

bool tandem_bench_parse_bytes(const char *text, uint64_t least, uint64_t most, uint64_t *ret_bytes)
{
	static const char units[] = "KMG";
	uint64_t number;
	const char *rest;
	unsigned shift = 0;

	if (!read_number(text, &number, &rest))
		return refuse(text, least, most);
	if (*rest != '\0' && strchr(units, *rest) != NULL)
		shift = 10 * (unsigned)(strchr(units, *rest++) - units + 1);
	if (*rest != '\0' || number > most >> shift || number << shift < least)
		return refuse(text, least, most);
	*ret_bytes = number << shift;
	return true;
}

bool tandem_bench_parse_size(const char *text, uint64_t least, uint64_t *ret_bytes)
{
	return tandem_bench_parse_bytes(text, least, SIZE_LARGEST, ret_bytes) &&
	       (*ret_bytes % MIB == 0 || tandem_bench_refuse("size", text, "whole MiB"));
}

bool tandem_bench_parse_word(const char *option, const char *value, const char *const *words,
                             unsigned *ret_index)
{
	for (unsigned i = 0; words[i] != NULL; i++) {
		if (strcmp(value, words[i]) == 0) {
			*ret_index = i;
			return true;
		}
	}
	fprintf(stderr, "tandem-bench: --%s '%s' must be one of:", option, value);
	for (unsigned i = 0; words[i] != NULL; i++)
		fprintf(stderr, " %s", words[i]);
	fputc('\n', stderr);
	return false;
}

bool tandem_bench_refuse(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "tandem-bench: --%s '%s' must be %s\n", option, value, wanted);
	return false;
}
