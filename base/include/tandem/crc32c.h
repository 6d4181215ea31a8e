#ifndef TANDEM_CRC32C_H
#define TANDEM_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4). Start with 0 and feed pieces in order; pure. */
uint32_t tandem_crc32c(uint32_t crc, const void *bytes, size_t length);

#endif
