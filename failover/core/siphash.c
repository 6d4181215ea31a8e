#include "core/siphash.h"

#include <tandem/bytes.h>

struct lanes {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

static void mix(struct lanes *lanes, unsigned rounds)
{
	while (rounds-- > 0) {
		lanes->a += lanes->b;
		lanes->b = rotate(lanes->b, 13) ^ lanes->a;
		lanes->a = rotate(lanes->a, 32);
		lanes->c += lanes->d;
		lanes->d = rotate(lanes->d, 16) ^ lanes->c;
		lanes->a += lanes->d;
		lanes->d = rotate(lanes->d, 21) ^ lanes->a;
		lanes->c += lanes->b;
		lanes->b = rotate(lanes->b, 17) ^ lanes->c;
		lanes->c = rotate(lanes->c, 32);
	}
}

static void absorb(struct lanes *lanes, uint64_t word)
{
	lanes->d ^= word;
	mix(lanes, 2);
	lanes->a ^= word;
}

uint64_t tandem_siphash(const uint8_t key[static TANDEM_SIPHASH_KEY_BYTES], const uint8_t *bytes,
                        size_t length)
{
	struct tandem_reader keys = tandem_reader_over(key, TANDEM_SIPHASH_KEY_BYTES);
	uint64_t low = tandem_read_u64(&keys);
	uint64_t high = tandem_read_u64(&keys);
	struct lanes lanes = {
	        low ^ UINT64_C(0x736f6d6570736575), high ^ UINT64_C(0x646f72616e646f6d),
	        low ^ UINT64_C(0x6c7967656e657261), high ^ UINT64_C(0x7465646279746573)};
	struct tandem_reader words = tandem_reader_over(bytes, length);
	while (tandem_reader_left(&words) >= 8)
		absorb(&lanes, tandem_read_u64(&words));
	uint64_t last = (uint64_t)length << 56;
	for (unsigned shift = 0; tandem_reader_left(&words) > 0; shift += 8)
		last |= (uint64_t)tandem_read_u8(&words) << shift;
	absorb(&lanes, last);
	lanes.c ^= 0xff;
	mix(&lanes, 4);
	return lanes.a ^ lanes.b ^ lanes.c ^ lanes.d;
}
