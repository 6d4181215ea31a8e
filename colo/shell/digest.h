#ifndef TANDEM_DIGEST_H
#define TANDEM_DIGEST_H

#include <stdint.h>

/* [C28] What a page holds, in TANDEM_DIGEST_BYTES: XXH3-128, low half first, seeded with the two
 * incarnations, so that who writes the pages cannot choose two with the same digest. */
uint64_t tandem_digest_seed(uint64_t primary_incarnation, uint64_t secondary_incarnation);
void tandem_digest_page(const void *page, uint64_t seed, uint8_t *ret_digest);

#endif
