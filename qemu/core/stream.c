#include <tandem/qemu_stream.h>

#include <string.h>
#include <tandem/assert.h>
#include <tandem/bytes.h>

#include "core/stream_format.h"
#include "core/stream_internal.h"

#define FILE_MAGIC   UINT32_C(0x5145564d) /* "QEVM" */
#define FILE_VERSION 3
#define RAM_VERSION  4
#define PAGE_BITS    12
#define UUID_BYTES   16
#define PING_BYTES   4
/* Commands other than PING have few arguments or none. */
#define COMMAND_BYTES_MAX 64
/* Two marks, a length and "{}". */
#define DESCRIPTION_BYTES_MIN 8

enum command {
	COMMAND_OPEN_RETURN_PATH = 1,
	COMMAND_PING = 2,
	COMMAND_ENABLE_COLO = 8,
	COMMAND_SWITCHOVER_START = 11,
};

enum message {
	MESSAGE_REQUEST = 1,
	MESSAGE_SEND = 3,
	MESSAGE_SIZE = 4,
};

uint64_t tandem_qemu_read(struct tandem_reader *reader, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | tandem_read_u8(reader);
	return value;
}

void tandem_qemu_read_name(struct tandem_reader *reader, char *ret_name)
{
	const size_t length = tandem_read_u8(reader);

	_Static_assert(UINT8_MAX < TANDEM_QEMU_NAME_BYTES, "every name fits");
	memset(ret_name, 0, TANDEM_QEMU_NAME_BYTES);
	tandem_read_bytes(reader, ret_name, length);
}

void tandem_qemu_fail(struct tandem_qemu_item *item, enum tandem_qemu_fault fault, uint64_t value)
{
	item->type = TANDEM_QEMU_FAULT;
	item->fault = fault;
	item->value = value;
}

static void take_header(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                        struct tandem_qemu_item *item)
{
	const uint64_t magic = tandem_qemu_read(reader, 4);
	const uint64_t version = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return;
	if (magic != FILE_MAGIC)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_MAGIC, magic);
	else if (version != FILE_VERSION)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_VERSION, version);
	stream->at.place = TANDEM_QEMU_AT_CONFIGURATION;
}

static void take_configuration(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                               struct tandem_qemu_item *item)
{
	const uint8_t mark = tandem_read_u8(reader);
	const uint64_t length = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return;
	if (mark != TANDEM_QEMU_MARK_CONFIGURATION || length >= sizeof(item->name)) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_CONFIGURATION, mark);
		return;
	}
	tandem_read_bytes(reader, item->name, (size_t)length);
	item->type = TANDEM_QEMU_MACHINE;
	stream->at.place = TANDEM_QEMU_AT_SUBSECTION;
}

static void take_subsection_body(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                                 struct tandem_qemu_item *item)
{
	uint8_t uuid[UUID_BYTES];

	if (strcmp(item->name, "configuration/capabilities") == 0) {
		stream->at.capabilities_left = (uint32_t)tandem_qemu_read(reader, 4);
		stream->at.place = TANDEM_QEMU_AT_CAPABILITIES;
	} else if (strcmp(item->name, "configuration/target-page-bits") == 0) {
		const uint64_t bits = tandem_qemu_read(reader, 4);

		if (!reader->failed && bits != PAGE_BITS)
			tandem_qemu_fail(item, TANDEM_QEMU_FAULT_PAGE_BITS, bits);
	} else if (strcmp(item->name, "configuration/uuid") == 0) {
		tandem_read_bytes(reader, uuid, sizeof(uuid));
	} else {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_SUBSECTION, 0);
	}
}

static void take_subsection(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                            struct tandem_qemu_item *item)
{
	if (tandem_reader_left(reader) > 0 &&
	    reader->bytes[reader->offset] != TANDEM_QEMU_MARK_SUBSECTION) {
		stream->at.place = TANDEM_QEMU_AT_SECTION;
		return;
	}
	(void)tandem_read_u8(reader);
	tandem_qemu_read_name(reader, item->name);
	(void)tandem_qemu_read(reader, 4); /* its version: the fields never changed */
	if (!reader->failed)
		take_subsection_body(stream, reader, item);
}

static void take_capability(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                            struct tandem_qemu_item *item)
{
	if (stream->at.capabilities_left == 0) {
		stream->at.place = TANDEM_QEMU_AT_SUBSECTION;
		return;
	}
	tandem_qemu_read_name(reader, item->name);
	item->type = TANDEM_QEMU_CAPABILITY;
	if (reader->failed)
		return;
	stream->at.capabilities_left--;
	if (strcmp(item->name, "x-ignore-shared") == 0)
		stream->at.ignores_shared = true;
}

static void take_start(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                       struct tandem_qemu_item *item)
{
	const uint32_t id = (uint32_t)tandem_qemu_read(reader, 4);

	tandem_qemu_read_name(reader, item->name);
	(void)tandem_qemu_read(reader, 4); /* the instance: there is one RAM */
	const uint64_t version = tandem_qemu_read(reader, 4);
	if (reader->failed)
		return;
	if (strcmp(item->name, "ram") != 0 || stream->at.has_section) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_STATE, id);
		return;
	}
	if (version != RAM_VERSION) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_VERSION, version);
		return;
	}
	stream->at.has_section = true;
	stream->at.section_id = id;
	stream->at.place = TANDEM_QEMU_AT_RAM;
}

static void take_part(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                      struct tandem_qemu_item *item)
{
	const uint64_t id = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return;
	if (!stream->at.has_section || id != stream->at.section_id)
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_IDENTITY, id);
	stream->at.place = TANDEM_QEMU_AT_RAM;
}

static void take_command(struct tandem_reader *reader, struct tandem_qemu_item *item)
{
	uint8_t arguments[COMMAND_BYTES_MAX];
	const uint64_t command = tandem_qemu_read(reader, 2);
	const size_t length = (size_t)tandem_qemu_read(reader, 2);

	if (reader->failed)
		return;
	switch (command) {
	case COMMAND_PING:
		item->type = TANDEM_QEMU_PING;
		item->value = tandem_qemu_read(reader, PING_BYTES);
		if (length != PING_BYTES)
			tandem_qemu_fail(item, TANDEM_QEMU_FAULT_COMMAND, command);
		return;
	case COMMAND_OPEN_RETURN_PATH:
	case COMMAND_ENABLE_COLO:
	case COMMAND_SWITCHOVER_START:
		if (length <= sizeof(arguments)) {
			item->type = TANDEM_QEMU_COMMAND;
			tandem_read_bytes(reader, arguments, length);
			return;
		}
		break;
	default:
		break;
	}
	tandem_qemu_fail(item, TANDEM_QEMU_FAULT_COMMAND, command);
}

/* The devices' own sections begin with the first one of this mark, which is theirs, too. */
static void take_full(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                      struct tandem_qemu_item *item)
{
	if (stream->at.is_colo || !stream->at.is_set_up) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_SECTION, TANDEM_QEMU_MARK_FULL);
		return;
	}
	reader->offset--;
	item->type = TANDEM_QEMU_DEVICES_FIRST;
	stream->at.place = TANDEM_QEMU_AT_FIRST_DEVICES;
}

static void take_section(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                         struct tandem_qemu_item *item)
{
	const uint8_t mark = tandem_read_u8(reader);

	if (reader->failed)
		return;
	switch (mark) {
	case TANDEM_QEMU_MARK_START:
		take_start(stream, reader, item);
		return;
	case TANDEM_QEMU_MARK_PART:
	case TANDEM_QEMU_MARK_LAST:
		take_part(stream, reader, item);
		return;
	case TANDEM_QEMU_MARK_FULL:
		take_full(stream, reader, item);
		return;
	case TANDEM_QEMU_MARK_COMMAND:
		take_command(reader, item);
		return;
	case TANDEM_QEMU_MARK_END:
		if (stream->at.is_colo) {
			item->type = TANDEM_QEMU_RAM_END;
			stream->at.place = TANDEM_QEMU_AT_MESSAGE;
			return;
		}
		break;
	default:
		break;
	}
	tandem_qemu_fail(item, TANDEM_QEMU_FAULT_SECTION, mark);
}

static void take_footer(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                        struct tandem_qemu_item *item)
{
	const uint8_t mark = tandem_read_u8(reader);
	const uint64_t id = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return;
	if (mark != TANDEM_QEMU_FOOTER_MARK || id != stream->at.section_id) {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_FOOTER, id);
		return;
	}
	if (!stream->at.is_set_up)
		item->type = TANDEM_QEMU_SET_UP;
	stream->at.is_set_up = true;
	stream->at.place = TANDEM_QEMU_AT_SECTION;
}

/* An epoch is REQUEST, SEND, RAM, SIZE and the devices, and nothing else. */
static void take_message(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                         struct tandem_qemu_item *item)
{
	const uint64_t message = tandem_qemu_read(reader, 4);

	if (reader->failed)
		return;
	if (message == MESSAGE_REQUEST && stream->at.message_last == TANDEM_QEMU_MORE) {
		item->type = TANDEM_QEMU_REQUEST;
	} else if (message == MESSAGE_SEND && stream->at.message_last == TANDEM_QEMU_REQUEST) {
		item->type = TANDEM_QEMU_SEND;
		stream->at.place = TANDEM_QEMU_AT_SECTION;
	} else if (message == MESSAGE_SIZE && stream->at.message_last == TANDEM_QEMU_SEND) {
		item->type = TANDEM_QEMU_SIZE;
		item->value = tandem_qemu_read(reader, 8);
		if (!reader->failed && (item->value == 0 || item->value > TANDEM_QEMU_DEVICE_BYTES))
			tandem_qemu_fail(item, TANDEM_QEMU_FAULT_DEVICE_BYTES, item->value);
		stream->at.devices_left_bytes = item->value;
		stream->at.place = TANDEM_QEMU_AT_DEVICES;
	} else {
		tandem_qemu_fail(item, TANDEM_QEMU_FAULT_ORDER, message);
		return;
	}
	stream->at.message_last = item->type;
}

static void take_devices(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                         struct tandem_qemu_item *item)
{
	const size_t here = tandem_reader_left(reader);

	item->bytes = reader->bytes + reader->offset;
	item->byte_count =
	        here < stream->at.devices_left_bytes ? here : (size_t)stream->at.devices_left_bytes;
	item->type = TANDEM_QEMU_DEVICES;
	reader->offset += item->byte_count;
	reader->failed = item->byte_count == 0;
	stream->at.devices_left_bytes -= item->byte_count;
	if (stream->at.devices_left_bytes == 0) {
		item->type = TANDEM_QEMU_DEVICES_END;
		stream->at.message_last = TANDEM_QEMU_MORE;
		stream->at.place = TANDEM_QEMU_AT_MESSAGE;
	}
}

static void take(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                 struct tandem_qemu_item *item)
{
	switch (stream->at.place) {
	case TANDEM_QEMU_AT_HEADER:
		take_header(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_CONFIGURATION:
		take_configuration(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_SUBSECTION:
		take_subsection(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_CAPABILITIES:
		take_capability(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_SECTION:
		take_section(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_RAM:
		tandem_qemu_take_ram(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_BLOCKS:
		tandem_qemu_take_block(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_FOOTER:
		take_footer(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_FIRST_DEVICES:
		reader->failed = true;
		return;
	case TANDEM_QEMU_AT_MESSAGE:
		take_message(stream, reader, item);
		return;
	case TANDEM_QEMU_AT_DEVICES:
		take_devices(stream, reader, item);
		return;
	}
}

void tandem_qemu_stream_init(struct tandem_qemu_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
}

void tandem_qemu_stream_take(struct tandem_qemu_stream *stream, const uint8_t *bytes, size_t length,
                             struct tandem_qemu_item *ret_item)
{
	const struct tandem_qemu_position before = stream->at;
	struct tandem_reader reader = tandem_reader_over(bytes, length);

	*ret_item = (struct tandem_qemu_item){.type = TANDEM_QEMU_NOTED};
	take(stream, &reader, ret_item);
	if (reader.failed)
		*ret_item = (struct tandem_qemu_item){.type = TANDEM_QEMU_MORE};
	if (reader.failed || ret_item->type == TANDEM_QEMU_FAULT)
		stream->at = before;
	else
		ret_item->used_bytes = reader.offset;
}

/* Where a whole description would begin: the marks of the end and of it, its length, its text. */
static bool is_description(const uint8_t *bytes, size_t length)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	const uint64_t marks = tandem_qemu_read(&reader, 2);
	const uint64_t text_bytes = tandem_qemu_read(&reader, 4);

	return !reader.failed &&
	       marks == (TANDEM_QEMU_MARK_END << 8 | TANDEM_QEMU_MARK_DESCRIPTION) &&
	       text_bytes >= 2 && text_bytes == tandem_reader_left(&reader) &&
	       bytes[reader.offset] == '{' && bytes[length - 1] == '}';
}

size_t tandem_qemu_device_state_bytes(const uint8_t *bytes, size_t length,
                                      size_t *ret_description_bytes)
{
	for (size_t at = 0; at + DESCRIPTION_BYTES_MIN <= length; at++) {
		if (bytes[at] == TANDEM_QEMU_MARK_END && is_description(bytes + at, length - at)) {
			*ret_description_bytes = length - at - 1;
			return at + 1;
		}
	}
	return 0;
}

void tandem_qemu_stream_device_done(struct tandem_qemu_stream *stream)
{
	TANDEM_ASSERT(stream->at.place == TANDEM_QEMU_AT_FIRST_DEVICES);
	stream->at.is_colo = true;
	stream->at.place = TANDEM_QEMU_AT_MESSAGE;
}

const char *tandem_qemu_fault_text(enum tandem_qemu_fault fault)
{
	static const char *const texts[TANDEM_QEMU_FAULT_COUNT] = {
#define X(name, text) [TANDEM_QEMU_FAULT_##name] = (text),
	        TANDEM_QEMU_FAULT_TABLE(X)
#undef X
	};
	return (unsigned)fault < TANDEM_QEMU_FAULT_COUNT ? texts[fault] : "unknown fault";
}

const char *tandem_qemu_item_text(enum tandem_qemu_item_type type)
{
	static const char *const texts[TANDEM_QEMU_ITEM_TYPE_COUNT] = {
	        [TANDEM_QEMU_MORE] = "a part of something",
	        [TANDEM_QEMU_FAULT] = "a fault",
	        [TANDEM_QEMU_NOTED] = "something of no account",
	        [TANDEM_QEMU_MACHINE] = "the type of the machine",
	        [TANDEM_QEMU_CAPABILITY] = "a capability",
	        [TANDEM_QEMU_BLOCK] = "a RAM block",
	        [TANDEM_QEMU_SET_UP] = "the end of the RAM blocks",
	        [TANDEM_QEMU_COMMAND] = "a command",
	        [TANDEM_QEMU_PING] = "a ping",
	        [TANDEM_QEMU_PAGE] = "a page",
	        [TANDEM_QEMU_FILL] = "a page of one byte",
	        [TANDEM_QEMU_DEVICES_FIRST] = "the first device state",
	        [TANDEM_QEMU_REQUEST] = "REQUEST",
	        [TANDEM_QEMU_SEND] = "SEND",
	        [TANDEM_QEMU_RAM_END] = "the end of RAM",
	        [TANDEM_QEMU_SIZE] = "SIZE",
	        [TANDEM_QEMU_DEVICES] = "device state",
	        [TANDEM_QEMU_DEVICES_END] = "the end of the device state",
	};
	return (unsigned)type < TANDEM_QEMU_ITEM_TYPE_COUNT ? texts[type] : "unknown";
}
