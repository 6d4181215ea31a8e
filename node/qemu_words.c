#include "qemu_words.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <tandem/memory.h>

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

bool tandem_qemu_word_give_image(const char *word, const char *path, char *ret_word,
                                 size_t word_bytes)
{
	static const char last[] = ",prealloc=off,discard-data=off";

	if (word_bytes < sizeof(last) ||
	    !tandem_qemu_word_replace(word, "mem-path=", path, ret_word,
	                              word_bytes - sizeof(last) + 1))
		return false;
	memcpy(ret_word + strlen(ret_word), last, sizeof(last));
	return true;
}

static bool is_directory(const char *word)
{
	char name[PATH_MAX];
	struct stat about;
	size_t length = 0;
	const char *path = find_value(word, "mem-path=", &length);

	snprintf(name, sizeof(name), "%.*s", path ? (int)length : 0, path ? path : "");
	return stat(name, &about) == 0 && S_ISDIR(about.st_mode);
}

/* For what a word becomes in two steps. */
static size_t text_bytes(const char *word, const char *directory)
{
	return 2 * (strlen(word) + strlen(directory) + 2);
}

/* In text, or the word itself where there is nothing to change. */
static const char *on_trial(const char *word, const char *directory, char *text)
{
	const size_t word_bytes = text_bytes(word, directory) / 2;
	char *changed = text + word_bytes;
	const char *path = word;

	if (strncmp(word, BACKEND, strlen(BACKEND)) == 0 && !is_directory(word) &&
	    tandem_qemu_word_replace(word, "mem-path=", directory, text, word_bytes))
		path = text;
	return strncmp(word, "memory-backend-", 15) == 0 &&
	                       tandem_qemu_word_replace(path, "prealloc=", "off", changed,
	                                                word_bytes)
	               ? changed
	               : path;
}

char **tandem_qemu_words_on_trial(char *const *words, const char *directory)
{
	size_t count = 0, used = 0, bytes = sizeof(*words);

	for (; words[count]; count++)
		bytes += sizeof(*words) + text_bytes(words[count], directory);
	const char **ret_words = tandem_memory_alloc(bytes);
	if (!ret_words)
		return NULL;
	char *text = (char *)(ret_words + count + 1);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], "-mem-prealloc") == 0 ||
		    strcmp(words[i], "--mem-prealloc") == 0)
			continue;
		ret_words[used++] = on_trial(words[i], directory, text);
		text += text_bytes(words[i], directory);
	}
	return (char **)ret_words;
}
