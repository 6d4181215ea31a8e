#include "glob.h"

/* One element of a pattern against one byte. *ret_next is where the next element begins. */
static bool glob_set_match(const uint8_t *pattern, size_t length, size_t at, uint8_t byte,
                           size_t *ret_next)
{
	bool is_negated = at < length && pattern[at] == '^';
	bool is_member = false;

	at += is_negated;
	while (at < length && pattern[at] != ']') {
		if (pattern[at] == '\\' && at + 1 < length)
			at++;
		uint8_t low = pattern[at];
		uint8_t high = low;
		if (at + 2 < length && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
			high = pattern[at + 2];
			at += 2;
		}
		if (low > high) {
			uint8_t swap = low;
			low = high;
			high = swap;
		}
		is_member = is_member || (byte >= low && byte <= high);
		at++;
	}
	*ret_next = at < length ? at + 1 : at;
	return is_member != is_negated;
}

static bool glob_element_match(const uint8_t *pattern, size_t length, size_t at, uint8_t byte,
                               size_t *ret_next)
{
	*ret_next = at + 1;
	if (pattern[at] == '?')
		return true;
	if (pattern[at] == '[')
		return glob_set_match(pattern, length, at + 1, byte, ret_next);
	if (pattern[at] == '\\' && at + 1 < length) {
		*ret_next = at + 2;
		return pattern[at + 1] == byte;
	}
	return pattern[at] == byte;
}

bool tandem_kv_glob_match(const void *pattern, size_t pattern_length, const void *text,
                          size_t text_length)
{
	const uint8_t *elements = pattern;
	const uint8_t *bytes = text;
	size_t at = 0;
	size_t i = 0;
	size_t star = SIZE_MAX; /* behind the last star, and how much text it swallows */
	size_t star_text = 0;

	while (i < text_length) {
		size_t next;

		if (at < pattern_length && elements[at] == '*') {
			star = ++at;
			star_text = i;
		} else if (at < pattern_length &&
		           glob_element_match(elements, pattern_length, at, bytes[i], &next)) {
			at = next;
			i++;
		} else if (star != SIZE_MAX) {
			at = star;
			i = ++star_text;
		} else {
			return false;
		}
	}
	while (at < pattern_length && elements[at] == '*')
		at++;
	return at == pattern_length;
}
