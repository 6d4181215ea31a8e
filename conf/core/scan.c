#include "core/scan.h"

#include <stdint.h>
#include <string.h>

#define DIGITS     "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define WORD       HEX_DIGITS "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ_-*."

static const char *skip_string(const char *text)
{
	for (text++; *text && *text != '"'; text++)
		text += text[0] == '\\' && text[1] != '\0';
	return text + (*text == '"');
}

static const char *skip_block_comment(const char *text)
{
	const char *end = strstr(text + 2, "*/");
	return end ? end + 2 : text + strlen(text);
}

/* Behind the string or comment that starts here, or NULL when none does. */
static const char *skip_opaque(const char *text)
{
	if (*text == '"')
		return skip_string(text);
	if (*text == '#' || strncmp(text, "//", 2) == 0)
		return text + strcspn(text, "\n");
	if (strncmp(text, "/*", 2) == 0)
		return skip_block_comment(text);
	return NULL;
}

static unsigned digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return (unsigned)(digit - '0');
	return (unsigned)((digit | 0x20) - 'a') + 10;
}

static int is_large(const char *word)
{
	unsigned base = 10;
	if (word[0] == '0' && (word[1] | 0x20) == 'x') {
		base = 16;
		word += 2;
	}
	uint64_t value = 0;
	for (size_t left = strspn(word, base == 16 ? HEX_DIGITS : DIGITS); left > 0; left--) {
		value = value * base + digit_value(*word++);
		if (value > INT32_MAX)
			return 1;
	}
	return 0;
}

size_t tandem_config_scan_large(const char *text, size_t from, size_t *ret_offset)
{
	const char *at = text + from;
	while (*at) {
		const char *behind = skip_opaque(at);
		if (behind) {
			at = behind;
			continue;
		}
		/* A sign or a star may start a word, too; digits behind it are looked at alone. */
		size_t length = strspn(at, WORD);
		const char *number = at + (*at == '-');
		if (length > 0 && strspn(number, DIGITS) > 0 && is_large(number)) {
			*ret_offset = (size_t)(at - text);
			return length;
		}
		at += length > 0 ? length : 1;
	}
	return 0;
}

const char *tandem_config_scan_include(const char *text)
{
	const char *line = text;
	while (strncmp(line + strspn(line, " \t"), "@include", strlen("@include")) != 0) {
		line = strchr(line, '\n');
		if (!line)
			return NULL;
		line++;
	}
	return line;
}
