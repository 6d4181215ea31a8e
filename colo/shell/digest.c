#include "digest.h"

#include <xxhash.h>

#include <tandem/bytes.h>

#include "../core/wire.h"

uint64_t tandem_digest_seed(uint64_t primary_incarnation, uint64_t secondary_incarnation)
{
	return primary_incarnation ^ secondary_incarnation;
}

void tandem_digest_page(const void *page, uint64_t seed, uint8_t *ret_digest)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(page, TANDEM_PAGE_BYTES, seed);
	struct tandem_writer writer = tandem_writer_over(ret_digest, TANDEM_DIGEST_BYTES);

	tandem_write_u64(&writer, hash.low64);
	tandem_write_u64(&writer, hash.high64);
}
