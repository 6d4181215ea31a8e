#include "seeds.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>

#include "core/record.h"

static void decode(const uint8_t *bytes, size_t length)
{
	struct tandem_record record, back;
	uint8_t again[TANDEM_RECORD_BYTES];
	if (tandem_record_decode(bytes, length, &record) != 0)
		return;
	tandem_record_encode(&record, again);
	if (tandem_record_decode(again, sizeof(again), &back) != 0 ||
	    !tandem_record_is_same(&record, &back) || record.is_pair != back.is_pair)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t copy[TANDEM_RECORD_BYTES] = {0};
	decode(bytes, length);
	memcpy(copy, bytes, length < sizeof(copy) ? length : sizeof(copy));
	struct tandem_writer crc = tandem_writer_over(copy + sizeof(copy) - 4, 4);
	tandem_write_u32(&crc, tandem_crc32c(0, copy, sizeof(copy) - 4));
	decode(copy, sizeof(copy));
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *ret_bytes)
{
	struct tandem_record record = {.generation = 1,
	                               .owner_incarnation = 1,
	                               .copy_incarnation = index,
	                               .decision = 1,
	                               .is_pair = index == 1,
	                               .pair = "kv",
	                               .owner = "a"};
	if (index > 1)
		return 0;
	tandem_record_encode(&record, ret_bytes);
	return TANDEM_RECORD_BYTES;
}
