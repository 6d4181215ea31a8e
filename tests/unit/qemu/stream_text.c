#include "stream_text.h"

#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

#define PAGE TANDEM_QEMU_PAGE_BYTES

static const char *const words[] = {
        [TANDEM_QEMU_MORE] = "more",
        [TANDEM_QEMU_FAULT] = "fault",
        [TANDEM_QEMU_NOTED] = "",
        [TANDEM_QEMU_MACHINE] = "machine",
        [TANDEM_QEMU_CAPABILITY] = "capability",
        [TANDEM_QEMU_BLOCK] = "block",
        [TANDEM_QEMU_SET_UP] = "set-up",
        [TANDEM_QEMU_COMMAND] = "command",
        [TANDEM_QEMU_PING] = "ping",
        [TANDEM_QEMU_PAGE] = "page",
        [TANDEM_QEMU_FILL] = "fill",
        [TANDEM_QEMU_DEVICES_FIRST] = "devices-first",
        [TANDEM_QEMU_REQUEST] = "request",
        [TANDEM_QEMU_SEND] = "send",
        [TANDEM_QEMU_RAM_END] = "ram-end",
        [TANDEM_QEMU_SIZE] = "size",
        [TANDEM_QEMU_DEVICES] = "",
        [TANDEM_QEMU_DEVICES_END] = "devices",
};

void put(struct made *made, uint64_t value, size_t size)
{
	TANDEM_ASSERT(made->length + size <= sizeof(made->bytes));
	for (size_t i = size; i > 0; i--)
		made->bytes[made->length++] = (uint8_t)(value >> (8 * (i - 1)));
}

void put_text(struct made *made, const char *text)
{
	for (; *text; text++)
		put(made, (uint8_t)*text, 1);
}

void put_name(struct made *made, const char *name)
{
	put(made, strlen(name), 1);
	put_text(made, name);
}

void put_header(struct made *made)
{
	put(made, 0x5145564d, 4);
	put(made, 3, 4);
}

void put_configuration(struct made *made)
{
	put(made, 7, 1);
	put(made, 6, 4);
	put_text(made, "pc-8.2");
}

void put_part(struct made *made, uint8_t mark)
{
	put(made, mark, 1);
	put(made, 2, 4);
}

/* A section of a device, the end, and the description. */
void put_first_devices(struct made *made)
{
	put(made, 4, 1);
	put_text(made, "clock and timer");
	put(made, 0, 1);
	put(made, 6, 1);
	put(made, 15, 4);
	put_text(made, "{\"devices\": []}");
}

void put_footer(struct made *made)
{
	put(made, 0x10, 8);
	put(made, 0x7e, 1);
	put(made, 2, 4);
}

void put_start(struct made *made, bool has_addresses)
{
	put(made, 1, 1);
	put(made, 2, 4);
	put_name(made, "ram");
	put(made, 0, 4);
	put(made, 4, 4);
	put(made, 5 * PAGE | 4, 8);
	put_name(made, "ram");
	put(made, 4 * PAGE, 8);
	if (has_addresses)
		put(made, 0, 8);
	put_name(made, "vga");
	put(made, PAGE, 8);
	if (has_addresses)
		put(made, 0xfd000000, 8);
	put_footer(made);
}

void put_pages(struct made *made, unsigned count, uint8_t value)
{
	for (size_t i = 0; i < (size_t)count * TANDEM_QEMU_PAGE_BYTES; i++)
		put(made, value, 1);
}

static void add(char *text, const char *more)
{
	const size_t length = strlen(text);

	snprintf(text + length, TEXT_BYTES - length, "%s%s", length && *more ? " " : "", more);
}

void add_item(const struct tandem_qemu_stream *stream, const struct tandem_qemu_item *item,
              char *text)
{
	char more[TANDEM_QEMU_NAME_BYTES + 64] = "";

	add(text, words[item->type]);
	if (item->type == TANDEM_QEMU_MACHINE || item->type == TANDEM_QEMU_CAPABILITY)
		snprintf(more, sizeof(more), "%s", item->name);
	else if (item->type == TANDEM_QEMU_BLOCK)
		snprintf(more, sizeof(more), "%s:%llx", stream->blocks[item->block].name,
		         (unsigned long long)stream->blocks[item->block].size_bytes);
	else if (item->type == TANDEM_QEMU_PAGE)
		snprintf(more, sizeof(more), "%u:%llx=%02x..%02x", item->block,
		         (unsigned long long)item->offset_bytes, item->bytes[0],
		         item->bytes[item->byte_count - 1]);
	else if (item->type == TANDEM_QEMU_FILL)
		snprintf(more, sizeof(more), "%u:%llx=%02x", item->block,
		         (unsigned long long)item->offset_bytes, (unsigned)item->value);
	else if (item->type == TANDEM_QEMU_PING || item->type == TANDEM_QEMU_SIZE)
		snprintf(more, sizeof(more), "%llu", (unsigned long long)item->value);
	else if (item->type == TANDEM_QEMU_FAULT)
		snprintf(more, sizeof(more), "%s", tandem_qemu_fault_text(item->fault));
	add(text, more);
}

/* True when the state was whole. */
static bool take_first_devices(struct tandem_qemu_stream *stream, const uint8_t *bytes,
                               size_t length, size_t *used_bytes, char *text)
{
	size_t description_bytes;
	const size_t state_bytes =
	        tandem_qemu_device_state_bytes(bytes, length, &description_bytes);
	char more[32];

	if (state_bytes == 0)
		return false;
	snprintf(more, sizeof(more), "%zu+%zu", state_bytes, description_bytes);
	add(text, more);
	*used_bytes += state_bytes + description_bytes;
	tandem_qemu_stream_device_done(stream);
	return true;
}

void decode(const uint8_t *bytes, size_t length, size_t piece_bytes, char *ret_text)
{
	static struct tandem_qemu_stream stream;
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_MORE};
	size_t used = 0, here = 0;

	*ret_text = 0;
	tandem_qemu_stream_init(&stream);
	while (item.type != TANDEM_QEMU_FAULT) {
		if (stream.at.place == TANDEM_QEMU_AT_FIRST_DEVICES &&
		    take_first_devices(&stream, bytes + used, here - used, &used, ret_text))
			continue;
		tandem_qemu_stream_take(&stream, bytes + used, here - used, &item);
		used += item.used_bytes;
		if (item.type == TANDEM_QEMU_MORE && here == length)
			break;
		if (item.type == TANDEM_QEMU_MORE)
			here += piece_bytes < length - here ? piece_bytes : length - here;
		else
			add_item(&stream, &item, ret_text);
	}
	if (item.type == TANDEM_QEMU_MORE && used < length)
		add(ret_text, "cut");
}
