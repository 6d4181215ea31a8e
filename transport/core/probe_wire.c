#include "core/probe_wire.h"

#include <string.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/error.h>

#define PROBE_MAGIC   UINT32_C(0x62707474) /* "ttpb" */
#define PROBE_VERSION 1u

void tandem_probe_encode(const struct tandem_probe_message *message, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_PROBE_BYTES);

	tandem_write_u32(&writer, PROBE_MAGIC);
	tandem_write_u16(&writer, PROBE_VERSION);
	tandem_write_u8(&writer, (uint8_t)message->type);
	tandem_write_u8(&writer, 0);
	tandem_write_u64(&writer, message->number);
	tandem_write_text(&writer, message->pair, sizeof(message->pair));
	tandem_write_text(&writer, message->text, sizeof(message->text));
	TANDEM_ASSERT(!writer.failed);
	memset(ret_bytes + writer.length, 0, TANDEM_PROBE_BYTES - writer.length);
}

int tandem_probe_decode(const void *bytes, size_t length, struct tandem_probe_message *ret_message)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_probe_message message = {.number = 0};
	unsigned version, type;

	if (length != TANDEM_PROBE_BYTES || tandem_read_u32(&reader) != PROBE_MAGIC)
		return TANDEM_E_PROTOCOL;
	version = tandem_read_u16(&reader);
	type = tandem_read_u8(&reader);
	if (version != PROBE_VERSION)
		return TANDEM_E_VERSION;
	if (tandem_read_u8(&reader) != 0 || type < TANDEM_PROBE_ASK || type > TANDEM_PROBE_ARRIVED)
		return TANDEM_E_PROTOCOL;
	message.type = (enum tandem_probe_type)type;
	message.number = tandem_read_u64(&reader);
	tandem_read_text(&reader, message.pair, sizeof(message.pair));
	tandem_read_text(&reader, message.text, sizeof(message.text));
	while (tandem_reader_left(&reader) > 0) {
		if (tandem_read_u8(&reader) != 0)
			return TANDEM_E_PROTOCOL;
	}
	if (reader.failed)
		return TANDEM_E_PROTOCOL;
	*ret_message = message;
	return 0;
}
