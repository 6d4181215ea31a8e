#include <criterion/criterion.h>

#include "core/siphash.h"

/* Values of the reference implementation: key 00..0f, message 00, 01, ... of the given length. */
static const struct {
	size_t length;
	uint64_t tag;
} rows[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
        {7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
        {15, UINT64_C(0xa129ca6149be45e5)},
};

Test(siphash, agrees_with_the_reference)
{
	uint8_t key[TANDEM_SIPHASH_KEY_BYTES], bytes[16];
	for (uint8_t i = 0; i < 16; i++)
		key[i] = bytes[i] = i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect(tandem_siphash(key, bytes, rows[i].length) == rows[i].tag, "length %zu",
		          rows[i].length);
}
