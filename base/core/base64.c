#include <tandem/base64.h>

#include <sodium/utils.h>

#include <tandem/error.h>

void tandem_base64_encode(const void *bytes, size_t length, char *ret_text)
{
	sodium_bin2base64(ret_text, TANDEM_BASE64_BYTES(length), bytes, length,
	                  sodium_base64_VARIANT_ORIGINAL);
}

int tandem_base64_decode(const char *text, size_t text_length, uint8_t *ret_bytes, size_t capacity,
                         size_t *ret_length)
{
	size_t length = 0;
	if (sodium_base642bin(ret_bytes, capacity, text, text_length, NULL, &length, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) != 0)
		return TANDEM_E_PROTOCOL;
	*ret_length = length;
	return 0;
}
