#include "core/form.h"

#include <string.h>

bool tandem_config_is_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return length > 0 && length < TANDEM_NAME_BYTES && text[length] == '\0';
}

bool tandem_config_is_path(const char *text)
{
	if (text[0] != '/')
		return false;
	/* A control character in a path comes from a wrong escape, and would break log lines. */
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

bool tandem_config_is_agent(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                             "0123456789_.-");
	return tandem_config_is_path(text) ||
	       (length > 0 && text[length] == '\0' && text[0] != '.');
}

bool tandem_config_is_words(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static bool is_gate(const char *text, size_t length)
{
	static const char *const kinds[] = {"user:", "plug:"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (length > strlen(kinds[i]) && memcmp(text, kinds[i], strlen(kinds[i])) == 0)
			return true;
	}
	return false;
}

bool tandem_config_is_network(const char *text)
{
	size_t count = 0;

	if (strcmp(text, "ungated") == 0)
		return true;
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		const size_t length = strcspn(text, " ");

		if (!is_gate(text, length) || ++count > TANDEM_CONFIG_GATES_MAX)
			return false;
		text += length;
	}
	return count > 0;
}

static bool is_port(const char *text)
{
	size_t length = strspn(text, "0123456789");
	unsigned number = 0;
	if (length == 0 || length > 5 || text[length] != '\0')
		return false;
	for (; *text; text++)
		number = number * 10 + (unsigned)(*text - '0');
	return number >= 1 && number <= 65535;
}

bool tandem_config_is_url(const char *text)
{
	size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : 8;
	if (scheme == 8 && strncmp(text, "https://", 8) != 0)
		return false;
	const char *host = text + scheme;
	bool is_bracketed = host[0] == '[';
	size_t length = is_bracketed ? 1 + strspn(host + 1, "0123456789abcdefABCDEF:.")
	                             : strspn(host, "abcdefghijklmnopqrstuvwxyz"
	                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
	if (length <= is_bracketed || (is_bracketed && host[length] != ']'))
		return false;
	length += is_bracketed;
	return host[length] == ':' && is_port(host + length + 1);
}

bool tandem_config_is_choice(const char *text, const char *choices)
{
	size_t length = strlen(text);
	while (*choices) {
		size_t word_length = strcspn(choices, "|");
		if (word_length == length && memcmp(choices, text, length) == 0)
			return true;
		choices += word_length;
		choices += *choices == '|';
	}
	return false;
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *found = digit ? strchr(digits, digit) : NULL;
	return found ? (int)(found - digits) % 16 : -1;
}

bool tandem_config_hex_read(const char *text, struct tandem_key *ret_key)
{
	struct tandem_key key;
	if (strlen(text) != 2 * sizeof(key.bytes))
		return false;
	for (size_t i = 0; i < sizeof(key.bytes); i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key.bytes[i] = (uint8_t)(high * 16 + low);
	}
	*ret_key = key;
	return true;
}

void tandem_config_hex_write(const struct tandem_key *key, char *text)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof(key->bytes); i++) {
		text[2 * i] = digits[key->bytes[i] / 16];
		text[2 * i + 1] = digits[key->bytes[i] % 16];
	}
	text[2 * sizeof(key->bytes)] = '\0';
}

bool tandem_config_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
	       strncmp(address, "::ffff:127.", 11) == 0;
}
