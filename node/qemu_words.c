#include "qemu_words.h"

#include <stdio.h>
#include <string.h>

#define BACKEND "memory-backend-file,"

static const char *find_value(const char *word, const char *key, size_t *ret_length)
{
	const size_t key_length = strlen(key);

	while (word) {
		const char *end = strchr(word, ',');

		while (end && end[1] == ',')
			end = strchr(end + 2, ',');
		if (strncmp(word, key, key_length) == 0) {
			*ret_length = (end ? (size_t)(end - word) : strlen(word)) - key_length;
			return word + key_length;
		}
		word = end ? end + 1 : NULL;
	}
	return NULL;
}

bool tandem_qemu_word_is_backend(const char *word, const char *id)
{
	size_t length;
	const char *value = find_value(word, "id=", &length);

	return strncmp(word, BACKEND, strlen(BACKEND)) == 0 && value && length == strlen(id) &&
	       strncmp(value, id, length) == 0;
}

bool tandem_qemu_word_replace(const char *word, const char *key, const char *value, char *ret_word,
                              size_t word_bytes)
{
	size_t length;
	const char *old = find_value(word, key, &length);

	return old && !strchr(value, ',') &&
	       snprintf(ret_word, word_bytes, "%.*s%s%s", (int)(old - word), word, value,
	                old + length) < (int)word_bytes;
}
