#include <string.h>

#include "core/stream_format.h"
#include "core/stream_internal.h"

static bool find_block(const struct tandem_qemu_stream *stream, const char *name,
                       unsigned *ret_block)
{
	for (unsigned i = 0; i < stream->at.block_count; i++) {
		if (strcmp(stream->blocks[i].name, name) == 0) {
			*ret_block = i;
			return true;
		}
	}
	return false;
}

/* One of the blocks that make up what was announced. */
void tandem_qemu_take_block(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                            struct tandem_qemu_item *item)
{
	struct tandem_qemu_block block;
	unsigned same;

	tandem_qemu_read_name(reader, block.name);
	block.size_bytes = tandem_qemu_read(reader, 8);
	if (stream->at.ignores_shared)
		(void)tandem_qemu_read(reader, 8); /* where it is in the guest */
	if (reader->failed)
		return;
	if (stream->at.block_count == TANDEM_QEMU_BLOCKS_MAX ||
	    find_block(stream, block.name, &same) || block.size_bytes == 0 ||
	    block.size_bytes % TANDEM_QEMU_PAGE_BYTES != 0 ||
	    block.size_bytes > stream->at.announced_left_bytes) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_BLOCKS, block.size_bytes);
		return;
	}
	stream->blocks[stream->at.block_count] = block;
	item->type = TANDEM_QEMU_BLOCK;
	item->block = stream->at.block_count++;
	stream->at.announced_left_bytes -= block.size_bytes;
	if (stream->at.announced_left_bytes == 0)
		stream->at.place = TANDEM_QEMU_AT_RAM;
}

/* Which block a page is of, and that it has the page. */
static bool take_place(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                       uint64_t word, struct tandem_qemu_item *item)
{
	const uint64_t offset_bytes = word & ~(uint64_t)(TANDEM_QEMU_PAGE_BYTES - 1);

	if ((word & TANDEM_QEMU_RAM_SAME_BLOCK) == 0) {
		tandem_qemu_read_name(reader, item->name);
		if (reader->failed)
			return false;
		stream->at.has_block = find_block(stream, item->name, &stream->at.block);
	}
	if (!stream->at.has_block) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_BLOCK, offset_bytes);
		return false;
	}
	item->block = stream->at.block;
	item->offset_bytes = offset_bytes;
	if (offset_bytes >= stream->blocks[item->block].size_bytes) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_RANGE, offset_bytes);
		return false;
	}
	return true;
}

static void take_page(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                      uint64_t word, struct tandem_qemu_item *item)
{
	if (!stream->at.is_set_up) { /* whoever keeps pages has no room for them yet */
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_EARLY, word);
		return;
	}
	if (!take_place(stream, reader, word, item))
		return;
	if (word & TANDEM_QEMU_RAM_FILL) {
		item->type = TANDEM_QEMU_FILL;
		item->value = tandem_read_u8(reader);
		return;
	}
	item->type = TANDEM_QEMU_PAGE;
	item->bytes = reader->bytes + reader->offset;
	item->byte_count = TANDEM_QEMU_PAGE_BYTES;
	if (tandem_reader_left(reader) < TANDEM_QEMU_PAGE_BYTES)
		reader->failed = true;
	else
		reader->offset += TANDEM_QEMU_PAGE_BYTES;
}

static void take_announcement(struct tandem_qemu_stream *stream, uint64_t word,
                              struct tandem_qemu_item *item)
{
	if (stream->at.block_count > 0 || word < TANDEM_QEMU_PAGE_BYTES) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_BLOCKS, word);
		return;
	}
	stream->at.announced_left_bytes = word & ~(uint64_t)(TANDEM_QEMU_PAGE_BYTES - 1);
	stream->at.place = TANDEM_QEMU_AT_BLOCKS;
}

void tandem_qemu_take_ram(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                          struct tandem_qemu_item *item)
{
	const uint64_t word = tandem_qemu_read(reader, 8);
	const unsigned kind =
	        word & (TANDEM_QEMU_PAGE_BYTES - 1) & ~(unsigned)TANDEM_QEMU_RAM_SAME_BLOCK;

	if (reader->failed)
		return;
	switch (kind) {
	case TANDEM_QEMU_RAM_ANNOUNCE:
		take_announcement(stream, word, item);
		return;
	case TANDEM_QEMU_RAM_PAGE:
	case TANDEM_QEMU_RAM_FILL:
		take_page(stream, reader, word, item);
		return;
	case TANDEM_QEMU_RAM_END_OF_SECTION:
		stream->at.place = TANDEM_QEMU_AT_FOOTER;
		return;
	default:
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_RAM_FLAGS, kind);
		return;
	}
}
