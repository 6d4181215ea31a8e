#include <criterion/criterion.h>

#include <tandem/crc32c.h>
#include <string.h>

/* RFC 3720, appendix B.4. */
Test(crc32c, rfc_3720_examples)
{
	uint8_t bytes[32];
	memset(bytes, 0, sizeof(bytes));
	cr_assert_eq(tandem_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	cr_assert_eq(tandem_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	cr_assert_eq(tandem_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

Test(crc32c, check_value_of_the_digits)
{
	cr_assert_eq(tandem_crc32c(0, "123456789", 9), 0xe3069283);
	cr_assert_eq(tandem_crc32c(0, "", 0), 0);
}

Test(crc32c, pieces_in_order_give_the_whole)
{
	uint8_t bytes[101];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37);
	uint32_t whole = tandem_crc32c(0, bytes, sizeof(bytes));
	for (unsigned cut = 0; cut <= sizeof(bytes); cut++) {
		uint32_t crc = tandem_crc32c(0, bytes, cut);
		crc = tandem_crc32c(crc, bytes + cut, sizeof(bytes) - cut);
		cr_assert_eq(crc, whole, "cut at %u", cut);
	}
}
