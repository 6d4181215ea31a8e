#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>

#include <tandem/qemu_stream.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_page(const struct tandem_qemu_stream *stream, const struct tandem_qemu_item *item)
{
	TANDEM_ASSERT(item->block < stream->at.block_count);
	TANDEM_ASSERT(item->offset_bytes % TANDEM_QEMU_PAGE_BYTES == 0);
	TANDEM_ASSERT(item->offset_bytes < stream->blocks[item->block].size_bytes);
	TANDEM_ASSERT(stream->blocks[item->block].size_bytes - item->offset_bytes >=
	              TANDEM_QEMU_PAGE_BYTES);
}

static void check(const struct tandem_qemu_stream *stream, const struct tandem_qemu_item *item,
                  const uint8_t *bytes, size_t length)
{
	TANDEM_ASSERT(item->used_bytes <= length);
	TANDEM_ASSERT(memchr(item->name, 0, sizeof(item->name)));
	if (item->type == TANDEM_QEMU_PAGE || item->type == TANDEM_QEMU_FILL)
		check_page(stream, item);
	if (item->bytes) {
		TANDEM_ASSERT(item->bytes >= bytes);
		TANDEM_ASSERT(item->byte_count <= (size_t)(bytes + item->used_bytes - item->bytes));
	}
	if (item->type == TANDEM_QEMU_MORE) {
		TANDEM_ASSERT(item->used_bytes == 0);
		TANDEM_ASSERT(length < TANDEM_QEMU_ITEM_BYTES ||
		              stream->at.place == TANDEM_QEMU_AT_FIRST_DEVICES);
	}
}

/* How many bytes are decoded when `piece_bytes` come at a time. */
static size_t decode(struct tandem_qemu_stream *stream, const uint8_t *bytes, size_t length,
                     size_t piece_bytes)
{
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_MORE};
	size_t used = 0, here = 0, description_bytes;

	tandem_qemu_stream_init(stream);
	while (item.type != TANDEM_QEMU_FAULT) {
		tandem_qemu_stream_take(stream, bytes + used, here - used, &item);
		check(stream, &item, bytes + used, here - used);
		used += item.used_bytes;
		if (item.type != TANDEM_QEMU_MORE)
			continue;
		if (here == length && stream->at.place != TANDEM_QEMU_AT_FIRST_DEVICES)
			break;
		if (stream->at.place == TANDEM_QEMU_AT_FIRST_DEVICES) {
			/* The device state of a fuzzer's input is what has come so far. */
			(void)tandem_qemu_device_state_bytes(bytes + used, here - used,
			                                     &description_bytes);
			tandem_qemu_stream_device_done(stream);
			continue;
		}
		here += piece_bytes < length - here ? piece_bytes : length - here;
	}
	return used;
}

/* Any bytes are safe, and how they come changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct tandem_qemu_stream whole, pieces;
	const size_t whole_bytes = decode(&whole, bytes, length, length);
	const size_t piece_bytes = decode(&pieces, bytes, length, 7);

	TANDEM_ASSERT(whole_bytes == piece_bytes);
	TANDEM_ASSERT(whole.at.place == pieces.at.place);
	TANDEM_ASSERT(whole.at.message_last == pieces.at.message_last);
	TANDEM_ASSERT(whole.at.block_count == pieces.at.block_count);
	return 0;
}
