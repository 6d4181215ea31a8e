#include "frame_stream.h"

#include <string.h>

#include <tandem/assert.h>
#include <tandem/crc32c.h>

static void add_payload(struct frame_stream *stream, size_t length)
{
	TANDEM_ASSERT(length <= sizeof(stream->bytes) - stream->length);
	memset(stream->bytes + stream->length, stream->fill++, length);
	stream->length += length;
}

static void add_header(struct frame_stream *stream, struct tandem_frame *frame)
{
	TANDEM_ASSERT(TANDEM_FRAME_BYTES <= sizeof(stream->bytes) - stream->length);
	frame->sequence = stream->sequence++;
	tandem_frame_encode(frame, stream->bytes + stream->length);
	stream->length += TANDEM_FRAME_BYTES;
}

void frame_stream_write(struct frame_stream *stream, enum tandem_frame_type type, uint64_t offset,
                        uint32_t length)
{
	struct tandem_frame frame = {.type = type,
	                             .length = length,
	                             .offset = offset,
	                             .memory_key = STREAM_KEY,
	                             .immediate = type == TANDEM_FRAME_NOTIFY ? 9 : 0};
	add_header(stream, &frame);
	add_payload(stream, length);
}

void frame_stream_message(struct frame_stream *stream, uint32_t length)
{
	struct tandem_frame frame = {.type = TANDEM_FRAME_MESSAGE, .length = length};
	add_header(stream, &frame);
	add_payload(stream, length);
}

void frame_stream_batch(struct frame_stream *stream, const struct tandem_extent *extents,
                        unsigned count)
{
	struct tandem_frame frame = {
	        .type = TANDEM_FRAME_BATCH, .extent_count = count, .memory_key = STREAM_KEY};
	uint8_t *table = stream->bytes + stream->length + TANDEM_FRAME_BYTES;
	const size_t table_bytes = (size_t)count * TANDEM_EXTENT_BYTES;
	TANDEM_ASSERT(TANDEM_FRAME_BYTES + table_bytes <= sizeof(stream->bytes) - stream->length);
	for (unsigned i = 0; i < count; i++) {
		tandem_extent_encode(&extents[i], table + (size_t)i * TANDEM_EXTENT_BYTES);
		frame.length += extents[i].length;
	}
	frame.table_checksum = tandem_crc32c(0, table, table_bytes);
	add_header(stream, &frame);
	stream->length += table_bytes;
	for (unsigned i = 0; i < count; i++)
		add_payload(stream, extents[i].length);
}

/* As a receiver judges. */
static enum tandem_frame_fault judge(const struct tandem_frame_reader *reader)
{
	const struct tandem_frame_context context = {.is_data_channel = reader->frame.type !=
	                                                                TANDEM_FRAME_MESSAGE,
	                                             .is_listening_side = true,
	                                             .sequence = reader->sequence};
	enum tandem_frame_fault fault = tandem_frame_check(&reader->frame, &context);
	if (fault != TANDEM_FRAME_FAULT_NONE || reader->frame.type == TANDEM_FRAME_MESSAGE)
		return fault;
	return tandem_frame_check_target(&reader->frame, STREAM_MEMORY_BYTES, STREAM_KEY);
}

/* false when the stream is refused. */
static bool take(struct tandem_frame_reader *reader, uint8_t *memory, struct stream_end *end)
{
	for (;;) {
		switch (tandem_frame_reader_step(reader)) {
		case TANDEM_FRAME_STEP_MORE:
			return true;
		case TANDEM_FRAME_STEP_JUDGE:
			end->fault = judge(reader);
			if (end->fault != TANDEM_FRAME_FAULT_NONE)
				return false;
			tandem_frame_reader_open(reader, memory, STREAM_MEMORY_BYTES);
			break;
		case TANDEM_FRAME_STEP_WHOLE:
			end->whole_count++;
			end->notify_count += reader->frame.type == TANDEM_FRAME_NOTIFY;
			tandem_frame_reader_close(reader);
			break;
		case TANDEM_FRAME_STEP_FAULT:
			end->fault = reader->fault;
			return false;
		}
	}
}

/* As recvmsg(2) does. */
static size_t scatter(struct tandem_frame_reader *reader, const uint8_t *bytes, size_t length)
{
	struct tandem_frame_piece pieces[TANDEM_FRAME_PIECES_MAX];
	const unsigned count = tandem_frame_reader_room(reader, length, pieces);
	size_t done = 0;
	for (unsigned i = 0; i < count && done < length; i++) {
		size_t part = pieces[i].length < length - done ? pieces[i].length : length - done;
		memcpy(pieces[i].bytes, bytes + done, part);
		done += part;
	}
	tandem_frame_reader_took(reader, done);
	return done;
}

struct stream_end frame_stream_read(struct tandem_frame_reader *reader, const uint8_t *bytes,
                                    size_t length, const size_t *parts, unsigned part_count,
                                    uint8_t *memory)
{
	struct stream_end end = {0};
	size_t done = 0;
	for (unsigned i = 0; take(reader, memory, &end) && done < length; i++) {
		size_t part = parts[i % part_count];
		if (part == 0 || part > length - done)
			part = length - done;
		done += scatter(reader, bytes + done, part);
	}
	end.is_between = tandem_frame_reader_is_between(reader);
	return end;
}
