#include <criterion/criterion.h>

#include <string.h>
#include <tandem/base64.h>
#include <tandem/error.h>

/* RFC 4648, section 10. */
static const struct {
	const char *bytes;
	const char *text;
} vectors[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
};

Test(base64, rfc_4648_examples)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		char text[TANDEM_BASE64_BYTES(6)];
		uint8_t bytes[6];
		size_t length = 99;
		tandem_base64_encode(vectors[i].bytes, strlen(vectors[i].bytes), text);
		cr_expect_str_eq(text, vectors[i].text);
		cr_expect(tandem_base64_decode(text, strlen(text), bytes, sizeof(bytes), &length) ==
		          0);
		cr_expect(length == strlen(vectors[i].bytes));
		cr_expect(memcmp(bytes, vectors[i].bytes, length) == 0);
	}
}

Test(base64, what_is_no_base64_or_too_long_is_refused)
{
	static const char *const texts[] = {"Zg=",   "Zg",   "Z",           "Zm9v!",
	                                    "Zm 9v", "Zh==", "Zm9vYmFyeA=="};
	uint8_t bytes[6];
	size_t length;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect(tandem_base64_decode(texts[i], strlen(texts[i]), bytes, sizeof(bytes),
		                               &length) == TANDEM_E_PROTOCOL,
		          "%s", texts[i]);
	cr_expect(tandem_base64_decode("Zm9v\0Zm9v", 9, bytes, sizeof(bytes), &length) ==
	          TANDEM_E_PROTOCOL);
}
