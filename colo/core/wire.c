#include "wire.h"

#include <string.h>

#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/error.h>

_Static_assert(40 + TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES <= TANDEM_WIRE_BYTES_MAX,
               "DIGESTS has to fit into a message");

#define WIRE_MAGIC    0x314c4f43u /* "COL1" */
#define TRAILER_MAGIC 0x314c4553u /* "SEL1" */

/* [C12]: page in 40 bits, count in 16, kind in 8. */
#define RUN_COUNT_SHIFT 40
#define RUN_KIND_SHIFT  56
_Static_assert(TANDEM_REGIONS_MAX *(TANDEM_REGION_PAGES_MAX + TANDEM_STRIPE_PAGES_MAX) <=
                       UINT64_C(1) << RUN_COUNT_SHIFT,
               "a page has to fit into a run");

static void encode_hello(const struct tandem_wire_message *message, struct tandem_writer *writer)
{
	tandem_write_text(writer, message->pair, sizeof message->pair);
	tandem_write_u64(writer, message->primary_incarnation);
	tandem_write_u64(writer, message->secondary_incarnation);
	tandem_write_u64(writer, message->epoch);
	tandem_write_u32(writer, message->channel_count);
	tandem_write_u32(writer, message->stripe_pages);
	tandem_write_u32(writer, message->state_bytes_max);
	tandem_write_u32(writer, message->regions.count);
	for (unsigned region = 0; region < message->regions.count; region++) {
		tandem_write_text(writer, message->regions.entries[region].name, TANDEM_NAME_BYTES);
		tandem_write_u64(writer, message->regions.entries[region].page_count);
	}
	tandem_write_text(writer, message->needs, sizeof message->needs);
}

static void decode_hello(struct tandem_reader *reader, struct tandem_wire_message *message)
{
	tandem_read_text(reader, message->pair, sizeof message->pair);
	message->primary_incarnation = tandem_read_u64(reader);
	message->secondary_incarnation = tandem_read_u64(reader);
	message->epoch = tandem_read_u64(reader);
	message->channel_count = tandem_read_u32(reader);
	message->stripe_pages = tandem_read_u32(reader);
	message->state_bytes_max = tandem_read_u32(reader);
	message->regions.count = tandem_read_u32(reader);
	if (message->regions.count > TANDEM_REGIONS_MAX) {
		reader->failed = true;
		return;
	}
	for (unsigned region = 0; region < message->regions.count; region++) {
		tandem_read_text(reader, message->regions.entries[region].name, TANDEM_NAME_BYTES);
		message->regions.entries[region].page_count = tandem_read_u64(reader);
	}
	tandem_read_text(reader, message->needs, sizeof message->needs);
}

static void encode_welcome(const struct tandem_wire_message *message, struct tandem_writer *writer)
{
	tandem_write_u64(writer, message->secondary_incarnation);
	tandem_write_u64(writer, message->primary_incarnation);
	tandem_write_u64(writer, message->epoch);
	tandem_write_u8(writer, message->is_fresh);
}

static void decode_welcome(struct tandem_reader *reader, struct tandem_wire_message *message)
{
	message->secondary_incarnation = tandem_read_u64(reader);
	message->primary_incarnation = tandem_read_u64(reader);
	message->epoch = tandem_read_u64(reader);
	uint8_t is_fresh = tandem_read_u8(reader);
	if (is_fresh > 1)
		reader->failed = true;
	message->is_fresh = is_fresh == 1;
}

static void encode_pages(const struct tandem_wire_message *message, struct tandem_writer *writer)
{
	tandem_write_u64(writer, message->first_page);
	tandem_write_u32(writer, message->page_count);
	if (message->type == TANDEM_WIRE_DIGESTS)
		tandem_write_bytes(writer, message->digests,
		                   (size_t)message->page_count * TANDEM_DIGEST_BYTES);
}

static void decode_pages(struct tandem_reader *reader, struct tandem_wire_message *message)
{
	size_t digest_bytes;

	message->first_page = tandem_read_u64(reader);
	message->page_count = tandem_read_u32(reader);
	if (message->page_count == 0 || message->page_count > TANDEM_DIGESTS_MAX)
		reader->failed = true;
	if (reader->failed || message->type != TANDEM_WIRE_DIGESTS)
		return;
	digest_bytes = (size_t)message->page_count * TANDEM_DIGEST_BYTES;
	if (tandem_reader_left(reader) < digest_bytes) {
		reader->failed = true;
		return;
	}
	message->digests = reader->bytes + reader->offset;
	reader->offset += digest_bytes;
}

size_t tandem_wire_encode(const struct tandem_wire_message *message, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_WIRE_BYTES_MAX);

	tandem_write_u32(&writer, WIRE_MAGIC);
	tandem_write_u16(&writer, TANDEM_WIRE_VERSION);
	tandem_write_u16(&writer, (uint16_t)message->type);
	tandem_write_u64(&writer, message->generation);
	switch (message->type) {
	case TANDEM_WIRE_HELLO:
		encode_hello(message, &writer);
		break;
	case TANDEM_WIRE_WELCOME:
		encode_welcome(message, &writer);
		break;
	case TANDEM_WIRE_REFUSED:
		tandem_write_u32(&writer, (uint32_t)message->code);
		tandem_write_text(&writer, message->reason, sizeof message->reason);
		break;
	case TANDEM_WIRE_PONG:
	case TANDEM_WIRE_APPLIED:
		tandem_write_u64(&writer, message->epoch);
		tandem_write_u64(&writer, message->number);
		break;
	case TANDEM_WIRE_PING:
		tandem_write_u64(&writer, message->number);
		break;
	case TANDEM_WIRE_COMMITTED:
		tandem_write_u64(&writer, message->epoch);
		break;
	case TANDEM_WIRE_FENCE:
	case TANDEM_WIRE_FENCED:
		tandem_write_u64(&writer, message->epoch);
		tandem_write_u32(&writer, message->channel_mask);
		break;
	case TANDEM_WIRE_COMPARE:
	case TANDEM_WIRE_DIGESTS:
		encode_pages(message, &writer);
		break;
	}
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, writer.length));
	return writer.length;
}

static void decode_body(struct tandem_reader *reader, struct tandem_wire_message *message)
{
	switch (message->type) {
	case TANDEM_WIRE_HELLO:
		decode_hello(reader, message);
		return;
	case TANDEM_WIRE_WELCOME:
		decode_welcome(reader, message);
		return;
	case TANDEM_WIRE_REFUSED:
		message->code = (int32_t)tandem_read_u32(reader);
		tandem_read_text(reader, message->reason, sizeof message->reason);
		return;
	case TANDEM_WIRE_PONG:
	case TANDEM_WIRE_APPLIED:
		message->epoch = tandem_read_u64(reader);
		message->number = tandem_read_u64(reader);
		return;
	case TANDEM_WIRE_PING:
		message->number = tandem_read_u64(reader);
		return;
	case TANDEM_WIRE_COMMITTED:
		message->epoch = tandem_read_u64(reader);
		return;
	case TANDEM_WIRE_FENCE:
	case TANDEM_WIRE_FENCED:
		message->epoch = tandem_read_u64(reader);
		message->channel_mask = tandem_read_u32(reader);
		return;
	case TANDEM_WIRE_COMPARE:
	case TANDEM_WIRE_DIGESTS:
		decode_pages(reader, message);
		return;
	}
	reader->failed = true;
}

int tandem_wire_decode(const uint8_t *bytes, size_t length, struct tandem_wire_message *ret_message)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_wire_message message;

	memset(&message, 0, sizeof message);
	if (tandem_read_u32(&reader) != WIRE_MAGIC)
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u16(&reader) != TANDEM_WIRE_VERSION)
		return reader.failed ? TANDEM_E_PROTOCOL : TANDEM_E_VERSION;
	message.type = (enum tandem_wire_type)tandem_read_u16(&reader);
	message.generation = tandem_read_u64(&reader);
	decode_body(&reader, &message);
	uint32_t crc = reader.failed ? 0 : tandem_crc32c(0, bytes, reader.offset);
	if (tandem_read_u32(&reader) != crc || !tandem_reader_done(&reader))
		return TANDEM_E_PROTOCOL;
	*ret_message = message;
	return 0;
}

void tandem_trailer_encode(const struct tandem_trailer *trailer, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_TRAILER_BYTES);

	memset(ret_bytes, 0, TANDEM_TRAILER_BYTES);
	tandem_write_u32(&writer, TRAILER_MAGIC);
	tandem_write_u32(&writer, TANDEM_WIRE_VERSION);
	tandem_write_u64(&writer, trailer->generation);
	tandem_write_u64(&writer, trailer->epoch);
	tandem_write_u64(&writer, trailer->base);
	tandem_write_u32(&writer, trailer->channel);
	tandem_write_u32(&writer, trailer->mask);
	tandem_write_u32(&writer, trailer->run_count);
	tandem_write_u32(&writer, trailer->run_crc);
	tandem_write_u64(&writer, trailer->data_pages);
	tandem_write_u32(&writer, trailer->state_bytes);
	tandem_write_u32(&writer, trailer->state_crc);
	writer.length = TANDEM_TRAILER_BYTES - 4;
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, TANDEM_TRAILER_BYTES - 4));
}

int tandem_trailer_decode(const uint8_t *bytes, struct tandem_trailer *ret_trailer)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_TRAILER_BYTES);
	struct tandem_trailer trailer;

	if (tandem_read_u32(&reader) != TRAILER_MAGIC)
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u32(&reader) != TANDEM_WIRE_VERSION)
		return TANDEM_E_VERSION;
	trailer.generation = tandem_read_u64(&reader);
	trailer.epoch = tandem_read_u64(&reader);
	trailer.base = tandem_read_u64(&reader);
	trailer.channel = tandem_read_u32(&reader);
	trailer.mask = tandem_read_u32(&reader);
	trailer.run_count = tandem_read_u32(&reader);
	trailer.run_crc = tandem_read_u32(&reader);
	trailer.data_pages = tandem_read_u64(&reader);
	trailer.state_bytes = tandem_read_u32(&reader);
	trailer.state_crc = tandem_read_u32(&reader);
	reader.offset = TANDEM_TRAILER_BYTES - 4;
	if (tandem_read_u32(&reader) != tandem_crc32c(0, bytes, TANDEM_TRAILER_BYTES - 4))
		return TANDEM_E_PROTOCOL;
	*ret_trailer = trailer;
	return 0;
}

void tandem_run_encode(const struct tandem_run *run, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_RUN_BYTES);

	tandem_write_u64(&writer, run->first_page | (uint64_t)run->page_count << RUN_COUNT_SHIFT |
	                                  (uint64_t)run->kind << RUN_KIND_SHIFT);
}

bool tandem_run_decode(const struct tandem_layout *layout, const uint8_t *bytes,
                       uint64_t *next_page, struct tandem_run *ret_run)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_RUN_BYTES);
	uint64_t word = tandem_read_u64(&reader);
	uint64_t first = word & (UINT64_MAX >> (64 - RUN_COUNT_SHIFT));
	uint32_t count = (uint32_t)(word >> RUN_COUNT_SHIFT) & UINT16_MAX;
	uint32_t kind = (uint32_t)(word >> RUN_KIND_SHIFT);

	if (kind != TANDEM_RUN_DATA && kind != TANDEM_RUN_ZERO)
		return false;
	if (first < *next_page || first >= layout->page_count || count == 0)
		return false;
	if (first % layout->stripe_pages + count > layout->stripe_pages)
		return false;
	unsigned region = tandem_layout_region(layout, first);
	if (first - layout->first_page[region] + count > layout->regions.entries[region].page_count)
		return false;
	*next_page = first + count;
	*ret_run = (struct tandem_run){
	        .first_page = first, .page_count = count, .kind = (enum tandem_run_kind)kind};
	return true;
}
