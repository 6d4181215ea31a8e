#include "core/frame.h"

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#include "core/extent.h"

#define FRAME_MAGIC    UINT32_C(0x6d726654) /* "Tfrm" */
#define CHECKSUM_BYTES 4

void tandem_frame_encode(const struct tandem_frame *frame, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_FRAME_BYTES);
	tandem_write_u32(&writer, FRAME_MAGIC);
	tandem_write_u32(&writer, (uint32_t)frame->type);
	tandem_write_u32(&writer, frame->memory_id);
	tandem_write_u32(&writer, frame->length);
	tandem_write_u64(&writer, frame->offset);
	tandem_write_u64(&writer, frame->memory_key);
	tandem_write_u64(&writer, frame->sequence);
	tandem_write_u32(&writer, frame->immediate);
	tandem_write_u32(&writer, frame->extent_count);
	tandem_write_u32(&writer, frame->table_checksum);
	TANDEM_ASSERT(writer.length == TANDEM_FRAME_BYTES - CHECKSUM_BYTES);
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, writer.length));
	TANDEM_ASSERT(!writer.failed);
}

static enum tandem_frame_fault check_message(const struct tandem_frame *frame)
{
	if (frame->memory_id || frame->offset || frame->memory_key || frame->immediate)
		return TANDEM_FRAME_FAULT_FIELD;
	if (frame->length < 1 || frame->length > TANDEM_MESSAGE_BYTES_MAX)
		return TANDEM_FRAME_FAULT_LENGTH;
	return TANDEM_FRAME_FAULT_NONE;
}

static enum tandem_frame_fault check_expose(const struct tandem_frame *frame)
{
	if (frame->memory_id >= TANDEM_MEMORY_IDS_MAX || frame->offset == 0 ||
	    frame->memory_key == 0 || frame->immediate)
		return TANDEM_FRAME_FAULT_FIELD;
	return frame->length == 0 ? TANDEM_FRAME_FAULT_NONE : TANDEM_FRAME_FAULT_LENGTH;
}

static enum tandem_frame_fault check_write(const struct tandem_frame *frame)
{
	if (frame->memory_id >= TANDEM_MEMORY_IDS_MAX ||
	    (frame->type == TANDEM_FRAME_WRITE && frame->immediate))
		return TANDEM_FRAME_FAULT_FIELD;
	if (frame->length < 1 || frame->length > TANDEM_WRITE_BYTES_MAX)
		return TANDEM_FRAME_FAULT_LENGTH;
	return TANDEM_FRAME_FAULT_NONE;
}

static enum tandem_frame_fault check_batch(const struct tandem_frame *frame)
{
	if (frame->memory_id >= TANDEM_MEMORY_IDS_MAX || frame->offset || frame->immediate ||
	    frame->extent_count < 1 || frame->extent_count > TANDEM_EXTENTS_MAX)
		return TANDEM_FRAME_FAULT_FIELD;
	if (frame->length < frame->extent_count ||
	    frame->length > frame->extent_count * TANDEM_WRITE_BYTES_MAX)
		return TANDEM_FRAME_FAULT_LENGTH;
	return TANDEM_FRAME_FAULT_NONE;
}

static enum tandem_frame_fault check_fields(const struct tandem_frame *frame)
{
	if (frame->type != TANDEM_FRAME_BATCH && (frame->extent_count || frame->table_checksum))
		return TANDEM_FRAME_FAULT_FIELD;
	switch (frame->type) {
	case TANDEM_FRAME_MESSAGE:
		return check_message(frame);
	case TANDEM_FRAME_EXPOSE:
		return check_expose(frame);
	case TANDEM_FRAME_WRITE:
	case TANDEM_FRAME_NOTIFY:
		return check_write(frame);
	case TANDEM_FRAME_BATCH:
		return check_batch(frame);
	}
	return TANDEM_FRAME_FAULT_TYPE;
}

enum tandem_frame_fault tandem_frame_decode(const uint8_t *bytes, struct tandem_frame *ret_frame)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_FRAME_BYTES);
	struct tandem_frame frame;
	if (tandem_read_u32(&reader) != FRAME_MAGIC)
		return TANDEM_FRAME_FAULT_MAGIC;
	frame.type = (enum tandem_frame_type)tandem_read_u32(&reader);
	frame.memory_id = tandem_read_u32(&reader);
	frame.length = tandem_read_u32(&reader);
	frame.offset = tandem_read_u64(&reader);
	frame.memory_key = tandem_read_u64(&reader);
	frame.sequence = tandem_read_u64(&reader);
	frame.immediate = tandem_read_u32(&reader);
	frame.extent_count = tandem_read_u32(&reader);
	frame.table_checksum = tandem_read_u32(&reader);
	if (tandem_read_u32(&reader) !=
	    tandem_crc32c(0, bytes, TANDEM_FRAME_BYTES - CHECKSUM_BYTES))
		return TANDEM_FRAME_FAULT_CHECKSUM;
	enum tandem_frame_fault fault = check_fields(&frame);
	if (fault == TANDEM_FRAME_FAULT_NONE)
		*ret_frame = frame;
	return fault;
}

static bool belongs(enum tandem_frame_type type, const struct tandem_frame_context *context)
{
	switch (type) {
	case TANDEM_FRAME_MESSAGE:
		return !context->is_data_channel;
	case TANDEM_FRAME_EXPOSE:
		return !context->is_data_channel && !context->is_listening_side;
	case TANDEM_FRAME_WRITE:
	case TANDEM_FRAME_NOTIFY:
	case TANDEM_FRAME_BATCH:
		return context->is_data_channel && context->is_listening_side;
	}
	return false;
}

enum tandem_frame_fault tandem_frame_check(const struct tandem_frame *frame,
                                           const struct tandem_frame_context *context)
{
	if (!belongs(frame->type, context))
		return TANDEM_FRAME_FAULT_CHANNEL;
	if (frame->sequence != context->sequence)
		return TANDEM_FRAME_FAULT_SEQUENCE;
	return TANDEM_FRAME_FAULT_NONE;
}

enum tandem_frame_fault tandem_frame_check_target(const struct tandem_frame *frame,
                                                  uint64_t memory_bytes, uint64_t memory_key)
{
	if (memory_bytes == 0)
		return TANDEM_FRAME_FAULT_EXPOSED;
	if (frame->memory_key != memory_key)
		return TANDEM_FRAME_FAULT_KEY;
	if (frame->type == TANDEM_FRAME_BATCH)
		return TANDEM_FRAME_FAULT_NONE;
	if (frame->length > memory_bytes || frame->offset > memory_bytes - frame->length)
		return TANDEM_FRAME_FAULT_RANGE;
	return TANDEM_FRAME_FAULT_NONE;
}

const char *tandem_frame_fault_text(enum tandem_frame_fault fault)
{
	static const char *const texts[TANDEM_FRAME_FAULT_COUNT] = {
#define X(name, text) [TANDEM_FRAME_FAULT_##name] = text,
	        TANDEM_FRAME_FAULT_TABLE(X)
#undef X
	};
	return (unsigned)fault < TANDEM_FRAME_FAULT_COUNT ? texts[fault] : "unknown fault";
}
