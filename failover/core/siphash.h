#ifndef TANDEM_FAILOVER_SIPHASH_H
#define TANDEM_FAILOVER_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define TANDEM_SIPHASH_KEY_BYTES 16

/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit tag for short messages. Pure. */
uint64_t tandem_siphash(const uint8_t key[static TANDEM_SIPHASH_KEY_BYTES], const uint8_t *bytes,
                        size_t length);

#endif
