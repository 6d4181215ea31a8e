#include "core/multifd.h"

#include <string.h>

#include "core/stream_internal.h"

#define MULTIFD_VERSION   1
#define HEADER_REST_BYTES 39 /* reserved */
#define FLAG_SYNC         UINT32_C(1)

struct packet {
	uint64_t flags;
	uint64_t room_count; /* how many pages it could have */
	uint64_t page_count;
	uint64_t data_bytes;
	uint64_t number;
	uint64_t fill_count;
	char block[TANDEM_QEMU_NAME_BYTES];
};

/* False: there are too few bytes, or something else is here. */
static bool take_magic(struct tandem_reader *reader, struct tandem_qemu_item *item)
{
	const uint64_t magic = tandem_qemu_read(reader, 4);
	const uint64_t version = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return false;
	if (magic != TANDEM_QEMU_MULTIFD_MAGIC)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_MAGIC, magic);
	else if (version != MULTIFD_VERSION)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_VERSION, version);
	return item->type != TANDEM_QEMU_FAULT;
}

static void take_header(struct tandem_qemu_multifd *multifd, struct tandem_reader *reader,
                        struct tandem_qemu_item *item)
{
	uint8_t reserved[HEADER_REST_BYTES];
	uint8_t uuid[TANDEM_QEMU_UUID_BYTES];

	if (!take_magic(reader, item))
		return;
	tandem_read_bytes(reader, uuid, sizeof(uuid));
	item->value = tandem_read_u8(reader);
	tandem_read_bytes(reader, reserved, sizeof(reserved));
	if (reader->failed)
		return;
	if (item->value >= TANDEM_QEMU_CHANNELS_MAX) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_CHANNEL, item->value);
		return;
	}
	item->type = TANDEM_QEMU_CHANNEL;
	memcpy(multifd->uuid, uuid, sizeof(uuid));
	multifd->channel = (uint8_t)item->value;
	multifd->has_header = true;
}

static void read_packet(struct tandem_reader *reader, struct packet *ret_packet)
{
	ret_packet->flags = tandem_qemu_read(reader, 4);
	ret_packet->room_count = tandem_qemu_read(reader, 4);
	ret_packet->page_count = tandem_qemu_read(reader, 4);
	ret_packet->data_bytes = tandem_qemu_read(reader, 4);
	ret_packet->number = tandem_qemu_read(reader, 8);
	ret_packet->fill_count = tandem_qemu_read(reader, 4);
	(void)tandem_qemu_read(reader, 4); /* reserved, and the next three */
	for (unsigned i = 0; i < 3; i++)
		(void)tandem_qemu_read(reader, 8);
	tandem_read_bytes(reader, ret_packet->block, sizeof(ret_packet->block));
}

/* A packet without pages names none of its fields reliably: QEMU 7.2 leaves what was there. */
static bool is_sound(const struct tandem_qemu_multifd *multifd, const struct packet *packet,
                     struct tandem_qemu_item *item)
{
	if (packet->flags & ~(uint64_t)FLAG_SYNC)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_RAM_FLAGS, packet->flags);
	else if (packet->number < multifd->packet_number)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_PACKET_NUMBER, packet->number);
	else if (packet->page_count > TANDEM_QEMU_PACKET_PAGES_MAX ||
	         packet->fill_count > TANDEM_QEMU_PACKET_PAGES_MAX - packet->page_count)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_PACKET,
		                 packet->page_count + packet->fill_count);
	else if (packet->page_count + packet->fill_count > 0 &&
	         (packet->room_count > TANDEM_QEMU_PACKET_PAGES_MAX ||
	          packet->page_count + packet->fill_count > packet->room_count))
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_PACKET, packet->room_count);
	else if (packet->page_count > 0 &&
	         packet->data_bytes != packet->page_count * TANDEM_QEMU_PAGE_BYTES)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_PACKET, packet->data_bytes);
	return item->type != TANDEM_QEMU_FAULT;
}

static bool read_offsets(struct tandem_qemu_multifd *multifd, const struct tandem_qemu_block *block,
                         unsigned count, struct tandem_reader *reader,
                         struct tandem_qemu_item *item)
{
	for (unsigned i = 0; i < TANDEM_QEMU_PACKET_PAGES_MAX; i++) {
		const uint64_t offset_bytes = tandem_qemu_read(reader, 8);

		if (i >= count || reader->failed)
			continue;
		if (offset_bytes % TANDEM_QEMU_PAGE_BYTES != 0 ||
		    offset_bytes >= block->size_bytes) {
			tandem_qemu_fail(item, TANDEM_QEMU_FAULT_RANGE, offset_bytes);
			return false;
		}
		multifd->offsets_bytes[i] = offset_bytes;
	}
	return !reader->failed;
}

static bool find_block(const struct tandem_qemu_stream *stream, const struct packet *packet,
                       struct tandem_qemu_multifd *multifd, struct tandem_qemu_item *item)
{
	if (packet->page_count + packet->fill_count == 0)
		return true;
	if (memchr(packet->block, 0, sizeof(packet->block)) &&
	    tandem_qemu_find_block(stream, packet->block, &multifd->block))
		return true;
	tandem_qemu_fail(item, TANDEM_QEMU_FAULT_BLOCK, packet->number);
	return false;
}

static void take_packet(struct tandem_qemu_multifd *multifd,
                        const struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                        struct tandem_qemu_item *item)
{
	struct packet packet;

	if (!take_magic(reader, item))
		return;
	read_packet(reader, &packet);
	if (reader->failed || !is_sound(multifd, &packet, item) ||
	    !find_block(stream, &packet, multifd, item) ||
	    !read_offsets(multifd, &stream->blocks[multifd->block],
	                  (unsigned)(packet.page_count + packet.fill_count), reader, item))
		return;
	multifd->has_packet = true;
	multifd->is_sync = (packet.flags & FLAG_SYNC) != 0;
	multifd->packet_number = packet.number;
	multifd->page_count = (unsigned)packet.page_count;
	multifd->fill_count = (unsigned)packet.fill_count;
	multifd->told_fill_count = 0;
	multifd->told_page_count = 0;
}

static void take_fill(struct tandem_qemu_multifd *multifd, struct tandem_qemu_item *item)
{
	item->type = TANDEM_QEMU_FILL;
	item->block = multifd->block;
	item->offset_bytes = multifd->offsets_bytes[multifd->page_count + multifd->told_fill_count];
	multifd->told_fill_count++;
}

static void take_page(struct tandem_qemu_multifd *multifd, struct tandem_reader *reader,
                      struct tandem_qemu_item *item)
{
	if (tandem_reader_left(reader) < TANDEM_QEMU_PAGE_BYTES) {
		reader->failed = true;
		return;
	}
	item->type = TANDEM_QEMU_PAGE;
	item->block = multifd->block;
	item->offset_bytes = multifd->offsets_bytes[multifd->told_page_count];
	item->bytes = reader->bytes + reader->offset;
	item->byte_count = TANDEM_QEMU_PAGE_BYTES;
	reader->offset += TANDEM_QEMU_PAGE_BYTES;
	multifd->told_page_count++;
}

static void take_rest(struct tandem_qemu_multifd *multifd, struct tandem_reader *reader,
                      struct tandem_qemu_item *item)
{
	if (multifd->told_fill_count < multifd->fill_count) {
		take_fill(multifd, item);
		return;
	}
	if (multifd->told_page_count < multifd->page_count) {
		take_page(multifd, reader, item);
		return;
	}
	multifd->has_packet = false;
	item->value = multifd->packet_number;
	if (multifd->is_sync)
		item->type = TANDEM_QEMU_SYNC;
}

void tandem_qemu_multifd_init(struct tandem_qemu_multifd *multifd)
{
	memset(multifd, 0, sizeof(*multifd));
}

void tandem_qemu_multifd_take(struct tandem_qemu_multifd *multifd,
                              const struct tandem_qemu_stream *stream, const uint8_t *bytes,
                              size_t length, struct tandem_qemu_item *ret_item)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);

	*ret_item = (struct tandem_qemu_item){.type = TANDEM_QEMU_NOTED};
	if (multifd->has_packet)
		take_rest(multifd, &reader, ret_item);
	else if (multifd->has_header)
		take_packet(multifd, stream, &reader, ret_item);
	else
		take_header(multifd, &reader, ret_item);
	if (reader.failed)
		*ret_item = (struct tandem_qemu_item){.type = TANDEM_QEMU_MORE};
	else if (ret_item->type != TANDEM_QEMU_FAULT)
		ret_item->used_bytes = reader.offset;
}
