#include "number.h"

bool tandem_kv_number_parse_unsigned(const void *bytes, size_t length, uint64_t *ret_number)
{
	const uint8_t *text = bytes;
	uint64_t number = 0;

	if (length == 0 || length > 20 || (text[0] == '0' && length > 1))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(text[i] - '0');
		if (number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return true;
}

bool tandem_kv_number_parse(const void *bytes, size_t length, int64_t *ret_number)
{
	const uint8_t *text = bytes;
	bool is_negative = length > 0 && text[0] == '-';
	uint64_t magnitude;

	if (!tandem_kv_number_parse_unsigned(text + is_negative, length - is_negative, &magnitude))
		return false;
	if (is_negative) {
		if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1)
			return false;
		*ret_number = -(int64_t)(magnitude - 1) - 1;
		return true;
	}
	if (magnitude > (uint64_t)INT64_MAX)
		return false;
	*ret_number = (int64_t)magnitude;
	return true;
}

static size_t number_write(uint64_t number, char *ret_text)
{
	char digits[TANDEM_KV_NUMBER_BYTES];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	for (size_t i = 0; i < count; i++)
		ret_text[i] = digits[count - 1 - i];
	return count;
}

size_t tandem_kv_number_format_unsigned(uint64_t number, char ret_text[TANDEM_KV_NUMBER_BYTES])
{
	return number_write(number, ret_text);
}

size_t tandem_kv_number_format(int64_t number, char ret_text[TANDEM_KV_NUMBER_BYTES])
{
	if (number >= 0)
		return number_write((uint64_t)number, ret_text);
	ret_text[0] = '-';
	return 1 + number_write((uint64_t) - (number + 1) + 1, ret_text + 1);
}
