#ifndef TANDEM_KV_RECORD_H
#define TANDEM_KV_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the map holds for a key: 8 bytes little-endian, milliseconds of the Unix epoch when the
 * record expires (0: never), then the value. Absolute time, so that it means the same on the node
 * that takes over. Pure. */

#define TANDEM_KV_RECORD_HEADER_BYTES 8
#define TANDEM_KV_EXPIRY_NEVER        UINT64_C(0)

struct tandem_kv_record {
	const uint8_t *value; /* borrowed from the map until the next write or the turn's end */
	size_t value_length;
	uint64_t expiry_ms;
};

void tandem_kv_record_write_expiry(uint8_t *header, uint64_t expiry_ms);
/* False when `length` is too short for a record, which only a foreign file has. */
bool tandem_kv_record_read(const void *bytes, size_t length, struct tandem_kv_record *ret_record);
bool tandem_kv_record_is_expired(const struct tandem_kv_record *record, uint64_t now_ms);

/* The map is ordered by this number, then by the key's bytes: XXH3, 64 bits, seed 0, and 1 instead
 * of 0. It is what a SCAN cursor says, so a cursor needs no state in the server and means the same
 * after a take-over. */
uint64_t tandem_kv_record_position(const void *key, size_t key_length);

#endif
