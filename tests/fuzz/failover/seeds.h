#ifndef TEST_FUZZ_FAILOVER_SEEDS_H
#define TEST_FUZZ_FAILOVER_SEEDS_H

#include <stddef.h>
#include <stdint.h>

#define SEED_BYTES_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
/* Right input number `index` into `bytes` (SEED_BYTES_MAX); its length, 0 after the last one. */
size_t fuzz_seed(unsigned index, uint8_t *ret_bytes);

#endif
