#include <tandem/bytes.h>

#include <string.h>

struct tandem_writer tandem_writer_over(void *bytes, size_t capacity)
{
	return (struct tandem_writer){.bytes = bytes, .capacity = capacity};
}

/* Room for `length` bytes, or NULL and a writer that has failed for good. */
static uint8_t *take_room(struct tandem_writer *writer, size_t length)
{
	if (writer->failed || length > writer->capacity - writer->length) {
		writer->failed = true;
		return NULL;
	}
	uint8_t *room = writer->bytes + writer->length;
	writer->length += length;
	return room;
}

static void write_little_endian(struct tandem_writer *writer, uint64_t value, size_t size)
{
	uint8_t *room = take_room(writer, size);
	if (!room)
		return;
	for (size_t i = 0; i < size; i++)
		room[i] = (uint8_t)(value >> (8 * i));
}

void tandem_write_u8(struct tandem_writer *writer, uint8_t value)
{
	write_little_endian(writer, value, sizeof(value));
}

void tandem_write_u16(struct tandem_writer *writer, uint16_t value)
{
	write_little_endian(writer, value, sizeof(value));
}

void tandem_write_u32(struct tandem_writer *writer, uint32_t value)
{
	write_little_endian(writer, value, sizeof(value));
}

void tandem_write_u64(struct tandem_writer *writer, uint64_t value)
{
	write_little_endian(writer, value, sizeof(value));
}

void tandem_write_bytes(struct tandem_writer *writer, const void *bytes, size_t length)
{
	uint8_t *room = take_room(writer, length);
	if (room && length > 0)
		memcpy(room, bytes, length);
}

void tandem_write_text(struct tandem_writer *writer, const char *text, size_t field_size)
{
	size_t length = strnlen(text, field_size);
	if (length == field_size) {
		writer->failed = true;
		return;
	}
	uint8_t *room = take_room(writer, field_size);
	if (!room)
		return;
	memcpy(room, text, length);
	memset(room + length, 0, field_size - length);
}

struct tandem_reader tandem_reader_over(const void *bytes, size_t length)
{
	return (struct tandem_reader){.bytes = bytes, .length = length};
}

static const uint8_t *take_bytes(struct tandem_reader *reader, size_t length)
{
	if (reader->failed || length > reader->length - reader->offset) {
		reader->failed = true;
		return NULL;
	}
	const uint8_t *bytes = reader->bytes + reader->offset;
	reader->offset += length;
	return bytes;
}

static uint64_t read_little_endian(struct tandem_reader *reader, size_t size)
{
	const uint8_t *bytes = take_bytes(reader, size);
	uint64_t value = 0;
	if (!bytes)
		return 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t tandem_read_u8(struct tandem_reader *reader)
{
	return (uint8_t)read_little_endian(reader, sizeof(uint8_t));
}

uint16_t tandem_read_u16(struct tandem_reader *reader)
{
	return (uint16_t)read_little_endian(reader, sizeof(uint16_t));
}

uint32_t tandem_read_u32(struct tandem_reader *reader)
{
	return (uint32_t)read_little_endian(reader, sizeof(uint32_t));
}

uint64_t tandem_read_u64(struct tandem_reader *reader)
{
	return read_little_endian(reader, sizeof(uint64_t));
}

void tandem_read_bytes(struct tandem_reader *reader, void *ret_bytes, size_t length)
{
	const uint8_t *bytes = take_bytes(reader, length);
	if (length == 0)
		return;
	if (bytes)
		memcpy(ret_bytes, bytes, length);
	else
		memset(ret_bytes, 0, length);
}

void tandem_read_text(struct tandem_reader *reader, char *ret_text, size_t field_size)
{
	const uint8_t *bytes = take_bytes(reader, field_size);
	if (field_size == 0)
		return;
	if (!bytes || !memchr(bytes, 0, field_size)) {
		reader->failed = true;
		memset(ret_text, 0, field_size);
		return;
	}
	memcpy(ret_text, bytes, field_size);
}

size_t tandem_reader_left(const struct tandem_reader *reader)
{
	return reader->failed ? 0 : reader->length - reader->offset;
}

bool tandem_reader_done(const struct tandem_reader *reader)
{
	return !reader->failed && reader->offset == reader->length;
}
