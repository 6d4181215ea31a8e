#include <tandem/qemu_restore.h>

#include <string.h>
#include <tandem/assert.h>
#include <tandem/bytes.h>

#include "core/stream_format.h"

bool tandem_qemu_opening_add(struct tandem_qemu_opening *opening,
                             const struct tandem_qemu_item *item, const uint8_t *bytes)
{
	if (item->type == TANDEM_QEMU_COMMAND || item->type == TANDEM_QEMU_PING)
		return true;
	if (item->used_bytes > sizeof(opening->bytes) - opening->length)
		return false;
	memcpy(opening->bytes + opening->length, bytes, item->used_bytes);
	opening->length += item->used_bytes;
	return true;
}

bool tandem_qemu_opening_machine(const uint8_t *opening, size_t opening_bytes,
                                 char ret_name[TANDEM_QEMU_NAME_BYTES])
{
	struct tandem_qemu_stream stream;
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};

	tandem_qemu_stream_init(&stream);
	for (size_t used = 0; item.type == TANDEM_QEMU_NOTED; used += item.used_bytes)
		tandem_qemu_stream_take(&stream, opening + used, opening_bytes - used, &item);
	if (item.type == TANDEM_QEMU_MACHINE)
		memcpy(ret_name, item.name, sizeof(item.name));
	return item.type == TANDEM_QEMU_MACHINE;
}

static void write_number(struct tandem_writer *writer, uint64_t value, size_t size)
{
	for (size_t i = size; i > 0; i--)
		tandem_write_u8(writer, (uint8_t)(value >> (8 * (i - 1))));
}

static size_t written(const struct tandem_writer *writer)
{
	TANDEM_ASSERT(!writer->failed);
	return writer->length;
}

size_t tandem_qemu_restore_begin(struct tandem_qemu_restore *restore,
                                 const struct tandem_qemu_stream *stream, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_QEMU_RECORD_BYTES);

	*restore = (struct tandem_qemu_restore){.stream = stream};
	write_number(&writer, TANDEM_QEMU_MARK_LAST, 1);
	write_number(&writer, stream->at.section_id, 4);
	return written(&writer);
}

static void write_place(struct tandem_qemu_restore *restore, unsigned block, uint64_t offset_bytes,
                        uint64_t flags, struct tandem_writer *writer)
{
	const char *name = restore->stream->blocks[block].name;
	const bool is_same = restore->has_block && restore->block == block;

	TANDEM_ASSERT(block < restore->stream->at.block_count);
	TANDEM_ASSERT(offset_bytes % TANDEM_QEMU_PAGE_BYTES == 0);
	TANDEM_ASSERT(offset_bytes < restore->stream->blocks[block].size_bytes);
	write_number(writer, offset_bytes | flags | (is_same ? TANDEM_QEMU_RAM_SAME_BLOCK : 0u), 8);
	if (!is_same) {
		write_number(writer, strlen(name), 1);
		tandem_write_bytes(writer, name, strlen(name));
	}
	restore->has_block = true;
	restore->block = block;
}

size_t tandem_qemu_restore_page(struct tandem_qemu_restore *restore, unsigned block,
                                uint64_t offset_bytes, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_QEMU_RECORD_BYTES);

	write_place(restore, block, offset_bytes, TANDEM_QEMU_RAM_PAGE, &writer);
	return written(&writer);
}

size_t tandem_qemu_restore_fill(struct tandem_qemu_restore *restore, unsigned block,
                                uint64_t offset_bytes, uint8_t value, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_QEMU_RECORD_BYTES);

	write_place(restore, block, offset_bytes, TANDEM_QEMU_RAM_FILL, &writer);
	tandem_write_u8(&writer, value);
	return written(&writer);
}

size_t tandem_qemu_restore_end(const struct tandem_qemu_restore *restore, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_QEMU_RECORD_BYTES);

	write_number(&writer, TANDEM_QEMU_RAM_END_OF_SECTION, 8);
	write_number(&writer, TANDEM_QEMU_FOOTER_MARK, 1);
	write_number(&writer, restore->stream->at.section_id, 4);
	return written(&writer);
}

size_t tandem_qemu_restore_tail(uint8_t *ret_bytes)
{
	static const char description[] = "{}";
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_QEMU_RECORD_BYTES);

	write_number(&writer, TANDEM_QEMU_MARK_DESCRIPTION, 1);
	write_number(&writer, strlen(description), 4);
	tandem_write_bytes(&writer, description, strlen(description));
	return written(&writer);
}
