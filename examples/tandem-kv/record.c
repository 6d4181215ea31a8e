#include "record.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void tandem_kv_record_write_expiry(uint8_t *header, uint64_t expiry_ms)
{
	for (int i = 0; i < TANDEM_KV_RECORD_HEADER_BYTES; i++)
		header[i] = (uint8_t)(expiry_ms >> (8 * i));
}

bool tandem_kv_record_read(const void *bytes, size_t length, struct tandem_kv_record *ret_record)
{
	const uint8_t *header = bytes;
	uint64_t expiry_ms = 0;

	if (length < TANDEM_KV_RECORD_HEADER_BYTES)
		return false;
	for (int i = 0; i < TANDEM_KV_RECORD_HEADER_BYTES; i++)
		expiry_ms |= (uint64_t)header[i] << (8 * i);
	ret_record->value = header + TANDEM_KV_RECORD_HEADER_BYTES;
	ret_record->value_length = length - TANDEM_KV_RECORD_HEADER_BYTES;
	ret_record->expiry_ms = expiry_ms;
	return true;
}

bool tandem_kv_record_is_expired(const struct tandem_kv_record *record, uint64_t now_ms)
{
	return record->expiry_ms != TANDEM_KV_EXPIRY_NEVER && record->expiry_ms <= now_ms;
}

uint64_t tandem_kv_record_position(const void *key, size_t key_length)
{
	uint64_t position = XXH3_64bits(key, key_length);

	return position > 0 ? position : 1;
}
