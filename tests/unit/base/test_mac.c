#include <criterion/criterion.h>

#include <tandem/mac.h>
#include <string.h>

/* RFC 4231, test cases 1 and 2. */
Test(mac, rfc_4231_examples)
{
	static const uint8_t first[TANDEM_MAC_BYTES] = {
	        0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf,
	        0xce, 0xaf, 0x0b, 0xf1, 0x2b, 0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83,
	        0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7};
	static const uint8_t second[TANDEM_MAC_BYTES] = {
	        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
	        0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
	        0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
	const struct tandem_mac_part whole[] = {{"Hi There", 8}};
	const struct tandem_mac_part pieces[] = {
	        {"what do ya ", 11}, {"", 0}, {"want for nothing?", 17}};
	uint8_t key[20], mac[TANDEM_MAC_BYTES];

	memset(key, 0x0b, sizeof(key));
	tandem_mac(key, sizeof(key), whole, 1, mac);
	cr_assert_arr_eq(mac, first, sizeof(mac));
	tandem_mac("Jefe", 4, pieces, 3, mac);
	cr_assert_arr_eq(mac, second, sizeof(mac));
}

Test(mac, a_key_that_was_made_once_serves_again_and_again)
{
	const struct tandem_mac_part parts[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
	uint8_t expected[TANDEM_MAC_BYTES], mac[TANDEM_MAC_BYTES];
	struct tandem_mac_key key;

	tandem_mac("Jefe", 4, parts, 2, expected);
	tandem_mac_key_init(&key, "Jefe", 4);
	for (unsigned round = 0; round < 3; round++) {
		memset(mac, 0, sizeof(mac));
		tandem_mac_keyed(&key, parts, 2, mac);
		cr_assert_arr_eq(mac, expected, TANDEM_MAC_BYTES);
	}
}

Test(mac, equal_is_equal_in_every_byte)
{
	uint8_t one[16] = {0}, other[16] = {0};

	cr_assert(tandem_mac_equal(one, other, sizeof(one)));
	for (unsigned i = 0; i < sizeof(one); i++) {
		other[i] = 0x80;
		cr_assert_not(tandem_mac_equal(one, other, sizeof(one)), "byte %u", i);
		other[i] = 0;
	}
}

Test(mac, derived_keys_differ_by_key_and_purpose)
{
	const struct tandem_key one = {{1}}, other = {{2}};
	struct tandem_key a, b, c, again;

	tandem_key_derive(&one, "heartbeat", &a);
	tandem_key_derive(&one, "session", &b);
	tandem_key_derive(&other, "heartbeat", &c);
	tandem_key_derive(&one, "heartbeat", &again);
	cr_assert_arr_eq(a.bytes, again.bytes, TANDEM_KEY_BYTES);
	cr_assert_arr_neq(a.bytes, b.bytes, TANDEM_KEY_BYTES);
	cr_assert_arr_neq(a.bytes, c.bytes, TANDEM_KEY_BYTES);
	cr_assert_arr_neq(a.bytes, one.bytes, TANDEM_KEY_BYTES);
}
