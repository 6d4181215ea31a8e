#include "core/hello.h"

#include <stdbool.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#define HELLO_MAGIC    UINT32_C(0x6f6c6854) /* "Thlo" */
#define ANSWER_MAGIC   UINT32_C(0x736e6154) /* "Tans" */
#define CHECKSUM_BYTES 4

static void write_zeros(struct tandem_writer *writer, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		tandem_write_u8(writer, 0);
}

static bool read_zeros(struct tandem_reader *reader, unsigned count)
{
	bool is_zero = true;
	for (unsigned i = 0; i < count; i++)
		is_zero = tandem_read_u8(reader) == 0 && is_zero;
	return is_zero;
}

static void write_checksum(struct tandem_writer *writer, unsigned size)
{
	TANDEM_ASSERT(writer->length == size - CHECKSUM_BYTES);
	tandem_write_u32(writer, tandem_crc32c(0, writer->bytes, writer->length));
	TANDEM_ASSERT(!writer->failed);
}

static bool is_checksum_right(const uint8_t *bytes, unsigned size)
{
	struct tandem_reader reader = tandem_reader_over(bytes, size);
	reader.offset = size - CHECKSUM_BYTES;
	return tandem_read_u32(&reader) == tandem_crc32c(0, bytes, size - CHECKSUM_BYTES);
}

void tandem_hello_encode(const struct tandem_hello *hello, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_HELLO_BYTES);
	tandem_write_u32(&writer, HELLO_MAGIC);
	tandem_write_u16(&writer, TANDEM_HELLO_VERSION);
	tandem_write_u8(&writer, (uint8_t)hello->kind);
	tandem_write_u8(&writer, (uint8_t)hello->channel);
	tandem_write_u8(&writer, (uint8_t)hello->channel_count);
	write_zeros(&writer, 3);
	tandem_write_u64(&writer, hello->key);
	write_zeros(&writer, 8);
	write_checksum(&writer, TANDEM_HELLO_BYTES);
}

static bool is_hello_sound(const struct tandem_hello *hello)
{
	if (hello->channel_count < 1 || hello->channel_count > TANDEM_CHANNELS_MAX)
		return false;
	if (hello->kind == TANDEM_HELLO_CONTROL)
		return hello->key == 0 && hello->channel == 0;
	return hello->kind == TANDEM_HELLO_DATA && hello->channel < hello->channel_count;
}

enum tandem_hello_fault tandem_hello_decode(const uint8_t *bytes, struct tandem_hello *ret_hello,
                                            unsigned *ret_version)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_HELLO_BYTES);
	if (tandem_read_u32(&reader) != HELLO_MAGIC)
		return TANDEM_HELLO_FAULT_MAGIC;
	unsigned version = tandem_read_u16(&reader);
	if (version != TANDEM_HELLO_VERSION) {
		*ret_version = version;
		return TANDEM_HELLO_FAULT_VERSION;
	}
	if (!is_checksum_right(bytes, TANDEM_HELLO_BYTES))
		return TANDEM_HELLO_FAULT_CHECKSUM;
	struct tandem_hello hello = {.kind = (enum tandem_hello_kind)tandem_read_u8(&reader)};
	hello.channel = tandem_read_u8(&reader);
	hello.channel_count = tandem_read_u8(&reader);
	bool is_zero = read_zeros(&reader, 3);
	hello.key = tandem_read_u64(&reader);
	is_zero = read_zeros(&reader, 8) && is_zero;
	if (!is_zero || !is_hello_sound(&hello))
		return TANDEM_HELLO_FAULT_FIELD;
	*ret_hello = hello;
	return TANDEM_HELLO_FAULT_NONE;
}

void tandem_answer_encode(const struct tandem_answer *answer, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_ANSWER_BYTES);
	tandem_write_u32(&writer, ANSWER_MAGIC);
	tandem_write_u16(&writer, (uint16_t)answer->version);
	tandem_write_u8(&writer, (uint8_t)answer->verdict);
	write_zeros(&writer, 1);
	tandem_write_u64(&writer, answer->key);
	write_zeros(&writer, 12);
	write_checksum(&writer, TANDEM_ANSWER_BYTES);
}

enum tandem_hello_fault tandem_answer_decode(const uint8_t *bytes, struct tandem_answer *ret_answer)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_ANSWER_BYTES);
	struct tandem_answer answer;
	if (tandem_read_u32(&reader) != ANSWER_MAGIC)
		return TANDEM_HELLO_FAULT_MAGIC;
	if (!is_checksum_right(bytes, TANDEM_ANSWER_BYTES))
		return TANDEM_HELLO_FAULT_CHECKSUM;
	answer.version = tandem_read_u16(&reader);
	answer.verdict = (enum tandem_verdict)tandem_read_u8(&reader);
	bool is_zero = read_zeros(&reader, 1);
	answer.key = tandem_read_u64(&reader);
	is_zero = read_zeros(&reader, 12) && is_zero;
	if (!is_zero || answer.verdict < TANDEM_VERDICT_JOINED ||
	    answer.verdict > TANDEM_VERDICT_BUSY)
		return TANDEM_HELLO_FAULT_FIELD;
	*ret_answer = answer;
	return TANDEM_HELLO_FAULT_NONE;
}

const char *tandem_hello_fault_text(enum tandem_hello_fault fault)
{
	switch (fault) {
	case TANDEM_HELLO_FAULT_NONE:
		return "no fault";
	case TANDEM_HELLO_FAULT_MAGIC:
		return "wrong magic number";
	case TANDEM_HELLO_FAULT_VERSION:
		return "wrong version";
	case TANDEM_HELLO_FAULT_CHECKSUM:
		return "wrong checksum";
	case TANDEM_HELLO_FAULT_FIELD:
		return "a field out of its range";
	}
	return "unknown fault";
}

const char *tandem_verdict_text(enum tandem_verdict verdict)
{
	switch (verdict) {
	case TANDEM_VERDICT_JOINED:
		return "joined";
	case TANDEM_VERDICT_VERSION:
		return "the versions differ";
	case TANDEM_VERDICT_KEY:
		return "no session is being joined under this key";
	case TANDEM_VERDICT_CHANNEL:
		return "the channel has joined already or the channel counts differ";
	case TANDEM_VERDICT_BUSY:
		return "the listening side cannot serve it now";
	}
	return "unknown verdict";
}
