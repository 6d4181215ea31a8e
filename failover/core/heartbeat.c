#include "core/heartbeat.h"

#include <string.h>
#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/error.h>

#include "core/siphash.h"

#define HEARTBEAT_MAGIC   UINT32_C(0x62687474) /* "tthb" */
#define HEARTBEAT_VERSION 3
#define TAGGED_BYTES      (TANDEM_HEARTBEAT_BYTES - 8)
#define PAIR_OFFSET       6
#define FLAG_SETTLED      1u
#define FLAG_MAINTENANCE  2u
#define FLAG_RECORD       4u

_Static_assert(TANDEM_CONTROLLER_KEY_BYTES == TANDEM_SIPHASH_KEY_BYTES, "one key size");

static void write_plane(struct tandem_writer *writer, const struct tandem_plane_statement *plane)
{
	tandem_write_u8(writer, (uint8_t)plane->status);
	tandem_write_u64(writer, plane->incarnation);
	tandem_write_u64(writer, plane->dead_incarnation);
}

static void write_record(struct tandem_writer *writer, const struct tandem_record *record)
{
	uint8_t bytes[TANDEM_RECORD_BYTES] = {0};
	if (record->generation > 0)
		tandem_record_encode(record, bytes);
	tandem_write_bytes(writer, bytes, sizeof(bytes));
}

void tandem_heartbeat_encode(const struct tandem_heartbeat *heartbeat,
                             const uint8_t key[static TANDEM_CONTROLLER_KEY_BYTES],
                             uint8_t ret_bytes[static TANDEM_HEARTBEAT_BYTES])
{
	const struct tandem_statement *statement = &heartbeat->statement;
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_HEARTBEAT_BYTES);
	unsigned flags = (statement->is_settled ? FLAG_SETTLED : 0) |
	                 (statement->in_maintenance ? FLAG_MAINTENANCE : 0) |
	                 (statement->record.generation > 0 ? FLAG_RECORD : 0);
	tandem_write_u32(&writer, HEARTBEAT_MAGIC);
	tandem_write_u16(&writer, HEARTBEAT_VERSION);
	tandem_write_text(&writer, heartbeat->pair, sizeof(heartbeat->pair));
	tandem_write_text(&writer, heartbeat->node, sizeof(heartbeat->node));
	tandem_write_u64(&writer, heartbeat->instance);
	tandem_write_u64(&writer, heartbeat->echo_instance);
	tandem_write_u64(&writer, heartbeat->echo_sequence);
	tandem_write_u64(&writer, heartbeat->sequence);
	tandem_write_u8(&writer, heartbeat->link);
	tandem_write_u8(&writer, (uint8_t)flags);
	tandem_write_u8(&writer, statement->state);
	write_plane(&writer, &statement->program);
	write_plane(&writer, &statement->standby);
	write_record(&writer, &statement->record);
	for (size_t i = 0; i < TANDEM_AGREEMENT_COUNT; i++)
		tandem_write_u32(&writer, statement->agreement.values[i]);
	tandem_write_u64(&writer, statement->offered_generation);
	while (writer.length < TAGGED_BYTES)
		tandem_write_u8(&writer, 0);
	TANDEM_ASSERT(writer.length == TAGGED_BYTES);
	tandem_write_u64(&writer, tandem_siphash(key, ret_bytes, TAGGED_BYTES));
	TANDEM_ASSERT(!writer.failed);
}

static void read_plane(struct tandem_reader *reader, struct tandem_plane_statement *plane)
{
	unsigned status = tandem_read_u8(reader);
	if (status > TANDEM_PLANE_SILENT)
		reader->failed = true;
	plane->status = (enum tandem_plane_status)status;
	plane->incarnation = tandem_read_u64(reader);
	plane->dead_incarnation = tandem_read_u64(reader);
}

static void read_record(struct tandem_reader *reader, bool is_present, struct tandem_record *record)
{
	uint8_t bytes[TANDEM_RECORD_BYTES];
	tandem_read_bytes(reader, bytes, sizeof(bytes));
	if (is_present && tandem_record_decode(bytes, sizeof(bytes), record) != 0)
		reader->failed = true;
}

static void read_body(struct tandem_reader *reader, struct tandem_heartbeat *heartbeat)
{
	struct tandem_statement *statement = &heartbeat->statement;
	tandem_read_text(reader, heartbeat->pair, sizeof(heartbeat->pair));
	tandem_read_text(reader, heartbeat->node, sizeof(heartbeat->node));
	heartbeat->instance = tandem_read_u64(reader);
	heartbeat->echo_instance = tandem_read_u64(reader);
	heartbeat->echo_sequence = tandem_read_u64(reader);
	heartbeat->sequence = tandem_read_u64(reader);
	heartbeat->link = tandem_read_u8(reader);
	unsigned flags = tandem_read_u8(reader);
	statement->is_settled = (flags & FLAG_SETTLED) != 0;
	statement->in_maintenance = (flags & FLAG_MAINTENANCE) != 0;
	statement->state = tandem_read_u8(reader);
	read_plane(reader, &statement->program);
	read_plane(reader, &statement->standby);
	read_record(reader, (flags & FLAG_RECORD) != 0, &statement->record);
	for (size_t i = 0; i < TANDEM_AGREEMENT_COUNT; i++)
		statement->agreement.values[i] = tandem_read_u32(reader);
	statement->offered_generation = tandem_read_u64(reader);
	if (heartbeat->instance == 0 || heartbeat->sequence == 0 ||
	    heartbeat->link >= TANDEM_CONTROLLER_LINKS_MAX)
		reader->failed = true;
}

int tandem_heartbeat_decode(const uint8_t *bytes, size_t length,
                            const uint8_t key[static TANDEM_CONTROLLER_KEY_BYTES],
                            struct tandem_heartbeat *ret_heartbeat)
{
	struct tandem_heartbeat heartbeat = {0};
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	if (length != TANDEM_HEARTBEAT_BYTES || tandem_read_u32(&reader) != HEARTBEAT_MAGIC)
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u16(&reader) != HEARTBEAT_VERSION)
		return TANDEM_E_VERSION;
	struct tandem_reader tag = tandem_reader_over(bytes + TAGGED_BYTES, 8);
	if (tandem_read_u64(&tag) != tandem_siphash(key, bytes, TAGGED_BYTES))
		return TANDEM_E_PROTOCOL;
	read_body(&reader, &heartbeat);
	if (reader.failed)
		return TANDEM_E_PROTOCOL;
	*ret_heartbeat = heartbeat;
	return 0;
}

bool tandem_heartbeat_peek(const uint8_t *bytes, size_t length, char ret_pair[TANDEM_NAME_BYTES])
{
	char pair[TANDEM_NAME_BYTES];
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	if (length != TANDEM_HEARTBEAT_BYTES || tandem_read_u32(&reader) != HEARTBEAT_MAGIC)
		return false;
	reader.offset = PAIR_OFFSET;
	tandem_read_text(&reader, pair, sizeof(pair));
	if (reader.failed)
		return false;
	memcpy(ret_pair, pair, sizeof(pair));
	return true;
}

static void follow(struct tandem_heartbeat_filter *filter, uint64_t instance)
{
	filter->instance = instance;
	filter->is_answered = false;
	filter->echo_sequence = 0;
	filter->statement_sequence = 0;
	memset(filter->sequence, 0, sizeof(filter->sequence));
}

enum tandem_heartbeat_verdict tandem_heartbeat_filter_judge(
        struct tandem_heartbeat_filter *filter, const struct tandem_heartbeat *heartbeat)
{
	bool answers = heartbeat->echo_instance == filter->local_instance;
	uint64_t echo_sequence = answers ? heartbeat->echo_sequence : 0;
	if (heartbeat->instance != filter->instance) {
		if (filter->is_answered && echo_sequence <= filter->echo_sequence)
			return TANDEM_HEARTBEAT_OLD;
		follow(filter, heartbeat->instance);
	}
	filter->is_answered = filter->is_answered || answers;
	if (filter->echo_sequence < echo_sequence)
		filter->echo_sequence = echo_sequence;
	if (heartbeat->sequence <= filter->sequence[heartbeat->link])
		return TANDEM_HEARTBEAT_OLD;
	filter->sequence[heartbeat->link] = heartbeat->sequence;
	if (heartbeat->sequence <= filter->statement_sequence)
		return TANDEM_HEARTBEAT_LIFE;
	filter->statement_sequence = heartbeat->sequence;
	return TANDEM_HEARTBEAT_NEWS;
}

struct tandem_statement tandem_heartbeat_filter_hear(const struct tandem_heartbeat_filter *filter,
                                                     const struct tandem_heartbeat *heartbeat)
{
	struct tandem_statement statement = heartbeat->statement;
	if (heartbeat->echo_instance != filter->local_instance)
		statement.is_settled = false;
	return statement;
}
