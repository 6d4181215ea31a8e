#include "core/record.h"

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/error.h>
#include <tandem/random.h>

#define RECORD_MAGIC   UINT32_C(0x63727474) /* "ttrc" */
#define RECORD_VERSION 1
#define CHECKED_BYTES  (TANDEM_RECORD_BYTES - 4)
enum { MODE_SOLO = 1, MODE_PAIR = 2, MODE_HANDED_OVER = 3, MODE_LEFT = 4 };

static uint16_t mode_of(const struct tandem_record *record)
{
	if (record->is_pair)
		return MODE_PAIR;
	if (record->is_left)
		return MODE_LEFT;
	return record->is_handed_over ? MODE_HANDED_OVER : MODE_SOLO;
}

void tandem_record_encode(const struct tandem_record *record,
                          uint8_t ret_bytes[static TANDEM_RECORD_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_RECORD_BYTES);
	TANDEM_ASSERT(record->generation > 0);
	tandem_write_u32(&writer, RECORD_MAGIC);
	tandem_write_u16(&writer, RECORD_VERSION);
	tandem_write_u16(&writer, mode_of(record));
	tandem_write_u64(&writer, record->generation);
	tandem_write_u64(&writer, record->owner_incarnation);
	tandem_write_u64(&writer, record->copy_incarnation);
	tandem_write_u64(&writer, record->decision);
	tandem_write_text(&writer, record->pair, sizeof(record->pair));
	tandem_write_text(&writer, record->owner, sizeof(record->owner));
	TANDEM_ASSERT(writer.length == CHECKED_BYTES);
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, CHECKED_BYTES));
	TANDEM_ASSERT(!writer.failed);
}

static bool makes_sense(const struct tandem_record *record)
{
	return record->generation != 0 && record->owner_incarnation != 0 && record->decision != 0 &&
	       record->pair[0] != 0 && record->owner[0] != 0 &&
	       record->is_pair == (record->copy_incarnation != 0) &&
	       record->is_pair + record->is_handed_over + record->is_left <= 1;
}

int tandem_record_decode(const uint8_t *bytes, size_t length, struct tandem_record *ret_record)
{
	struct tandem_record record = {0};
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	if (length != TANDEM_RECORD_BYTES || tandem_read_u32(&reader) != RECORD_MAGIC)
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u16(&reader) != RECORD_VERSION)
		return TANDEM_E_VERSION;
	unsigned mode = tandem_read_u16(&reader);
	record.is_pair = mode == MODE_PAIR;
	record.is_handed_over = mode == MODE_HANDED_OVER;
	record.is_left = mode == MODE_LEFT;
	record.generation = tandem_read_u64(&reader);
	record.owner_incarnation = tandem_read_u64(&reader);
	record.copy_incarnation = tandem_read_u64(&reader);
	record.decision = tandem_read_u64(&reader);
	tandem_read_text(&reader, record.pair, sizeof(record.pair));
	tandem_read_text(&reader, record.owner, sizeof(record.owner));
	uint32_t checksum = tandem_read_u32(&reader);
	if (!tandem_reader_done(&reader) || checksum != tandem_crc32c(0, bytes, CHECKED_BYTES) ||
	    mode < MODE_SOLO || mode > MODE_LEFT || !makes_sense(&record))
		return TANDEM_E_PROTOCOL;
	*ret_record = record;
	return 0;
}

uint64_t tandem_record_heir(uint64_t standby_incarnation, uint64_t decision)
{
	uint64_t state = standby_incarnation;
	uint64_t heir = tandem_random_next(&state) ^ decision;
	do
		heir = tandem_random_next(&heir);
	while (heir == 0);
	return heir;
}

bool tandem_record_is_kept_by_node(enum tandem_arbiter_type type)
{
	return type == TANDEM_ARBITER_MANUAL || type == TANDEM_ARBITER_FENCE ||
	       type == TANDEM_ARBITER_EXTERNAL;
}

const char *tandem_record_mode(const struct tandem_record *record)
{
	if (record->is_pair)
		return "PAIR";
	return record->is_left ? "LEFT" : "SOLO";
}

bool tandem_record_is_newer(const struct tandem_record *one, const struct tandem_record *other)
{
	if (one->generation != other->generation)
		return one->generation > other->generation;
	if (one->is_left != other->is_left)
		return other->is_left;
	return one->decision > other->decision;
}

bool tandem_record_is_same(const struct tandem_record *one, const struct tandem_record *other)
{
	return one->generation == other->generation && one->decision == other->decision;
}
