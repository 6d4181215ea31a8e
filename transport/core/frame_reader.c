#include "core/frame_reader.h"

#include <string.h>

#include <tandem/assert.h>

_Static_assert(TANDEM_FRAME_AHEAD_BYTES >= TANDEM_EXTENTS_MAX * TANDEM_EXTENT_BYTES &&
                       TANDEM_FRAME_AHEAD_BYTES >= TANDEM_FRAME_BYTES,
               "a header and a table must fit");

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t ahead_bytes(const struct tandem_frame_reader *reader)
{
	return reader->ahead_end - reader->ahead_first;
}

static enum tandem_frame_step fail(struct tandem_frame_reader *reader,
                                   enum tandem_frame_fault fault)
{
	reader->fault = fault;
	reader->state = TANDEM_FRAME_READER_FAULTY;
	return TANDEM_FRAME_STEP_FAULT;
}

static enum tandem_frame_step take_header(struct tandem_frame_reader *reader)
{
	if (ahead_bytes(reader) < TANDEM_FRAME_BYTES)
		return TANDEM_FRAME_STEP_MORE;
	enum tandem_frame_fault fault =
	        tandem_frame_decode(reader->ahead + reader->ahead_first, &reader->frame);
	if (fault != TANDEM_FRAME_FAULT_NONE)
		return fail(reader, fault);
	reader->ahead_first += TANDEM_FRAME_BYTES;
	reader->has_frame = true;
	reader->state = TANDEM_FRAME_READER_JUDGED;
	return TANDEM_FRAME_STEP_JUDGE;
}

/* Goes on with the next extent as long as bytes last; how many were not used. */
static size_t advance(struct tandem_frame_reader *reader, size_t bytes)
{
	while (bytes > 0 && reader->extent < reader->extent_count) {
		size_t cut = smaller(bytes,
		                     reader->extents[reader->extent].length - reader->extent_bytes);
		reader->extent_bytes += (uint32_t)cut;
		bytes -= cut;
		if (reader->extent_bytes == reader->extents[reader->extent].length) {
			reader->extent++;
			reader->extent_bytes = 0;
		}
	}
	return bytes;
}

static void place_ahead(struct tandem_frame_reader *reader)
{
	while (ahead_bytes(reader) > 0 && reader->extent < reader->extent_count) {
		const struct tandem_extent *extent = &reader->extents[reader->extent];
		size_t length = smaller(ahead_bytes(reader), extent->length - reader->extent_bytes);
		memcpy(reader->base + extent->offset + reader->extent_bytes,
		       reader->ahead + reader->ahead_first, length);
		reader->ahead_first += length;
		advance(reader, length);
	}
}

static enum tandem_frame_step take_payload(struct tandem_frame_reader *reader)
{
	place_ahead(reader);
	if (reader->extent < reader->extent_count)
		return TANDEM_FRAME_STEP_MORE;
	reader->state = TANDEM_FRAME_READER_WHOLE;
	return TANDEM_FRAME_STEP_WHOLE;
}

static enum tandem_frame_step take_table(struct tandem_frame_reader *reader)
{
	size_t table_bytes = (size_t)reader->frame.extent_count * TANDEM_EXTENT_BYTES;
	if (ahead_bytes(reader) < table_bytes)
		return TANDEM_FRAME_STEP_MORE;
	enum tandem_frame_fault fault =
	        tandem_extent_decode_table(reader->ahead + reader->ahead_first, &reader->frame,
	                                   reader->base_bytes, reader->extents);
	if (fault != TANDEM_FRAME_FAULT_NONE)
		return fail(reader, fault);
	reader->ahead_first += table_bytes;
	reader->extent_count = reader->frame.extent_count;
	reader->state = TANDEM_FRAME_READER_PAYLOAD;
	return take_payload(reader);
}

enum tandem_frame_step tandem_frame_reader_step(struct tandem_frame_reader *reader)
{
	switch (reader->state) {
	case TANDEM_FRAME_READER_HEADER:
		return take_header(reader);
	case TANDEM_FRAME_READER_JUDGED:
		return TANDEM_FRAME_STEP_JUDGE;
	case TANDEM_FRAME_READER_TABLE:
		return take_table(reader);
	case TANDEM_FRAME_READER_PAYLOAD:
		return take_payload(reader);
	case TANDEM_FRAME_READER_WHOLE:
		return TANDEM_FRAME_STEP_WHOLE;
	case TANDEM_FRAME_READER_FAULTY:
		break;
	}
	return TANDEM_FRAME_STEP_FAULT;
}

void tandem_frame_reader_open(struct tandem_frame_reader *reader, uint8_t *base,
                              uint64_t base_bytes)
{
	const struct tandem_frame *frame = &reader->frame;
	TANDEM_ASSERT(reader->state == TANDEM_FRAME_READER_JUDGED);
	reader->base = base;
	reader->base_bytes = base_bytes;
	reader->extent = 0;
	reader->extent_bytes = 0;
	if (frame->type == TANDEM_FRAME_BATCH) {
		reader->extent_count = 0;
		reader->state = TANDEM_FRAME_READER_TABLE;
		return;
	}
	reader->extent_count = 0;
	/* An EXPOSE has no payload; its offset means something else. */
	if (frame->length > 0)
		reader->extents[reader->extent_count++] =
		        (struct tandem_extent){.offset = frame->offset, .length = frame->length};
	if (reader->tail_bytes > 0)
		reader->extents[reader->extent_count++] =
		        (struct tandem_extent){.offset = base_bytes, .length = reader->tail_bytes};
	reader->state = TANDEM_FRAME_READER_PAYLOAD;
}

void tandem_frame_reader_close(struct tandem_frame_reader *reader)
{
	TANDEM_ASSERT(reader->state == TANDEM_FRAME_READER_WHOLE);
	reader->sequence++;
	reader->has_frame = false;
	reader->state = TANDEM_FRAME_READER_HEADER;
}

static void make_room_ahead(struct tandem_frame_reader *reader)
{
	size_t length = ahead_bytes(reader);
	if (reader->ahead_first == 0)
		return;
	memmove(reader->ahead, reader->ahead + reader->ahead_first, length);
	reader->ahead_first = 0;
	reader->ahead_end = length;
}

unsigned tandem_frame_reader_room(struct tandem_frame_reader *reader, size_t budget_bytes,
                                  struct tandem_frame_piece *ret_pieces)
{
	unsigned count = 0;
	size_t skip = reader->extent_bytes;
	bool has_payload = reader->state == TANDEM_FRAME_READER_PAYLOAD;
	for (unsigned i = reader->extent; has_payload && i < reader->extent_count; i++) {
		const struct tandem_extent *extent = &reader->extents[i];
		if (budget_bytes == 0)
			return count;
		size_t length = smaller(extent->length - skip, budget_bytes);
		ret_pieces[count++] = (struct tandem_frame_piece){
		        .bytes = reader->base + extent->offset + skip, .length = length};
		budget_bytes -= length;
		skip = 0;
	}
	if (budget_bytes == 0)
		return count;
	make_room_ahead(reader);
	ret_pieces[count++] = (struct tandem_frame_piece){
	        .bytes = reader->ahead + reader->ahead_end,
	        .length = smaller(TANDEM_FRAME_AHEAD_BYTES - reader->ahead_end, budget_bytes)};
	return count;
}

void tandem_frame_reader_took(struct tandem_frame_reader *reader, size_t bytes)
{
	if (reader->state == TANDEM_FRAME_READER_PAYLOAD)
		bytes = advance(reader, bytes);
	reader->ahead_end += bytes;
	TANDEM_ASSERT(reader->ahead_end <= TANDEM_FRAME_AHEAD_BYTES);
}

bool tandem_frame_reader_is_between(const struct tandem_frame_reader *reader)
{
	return reader->state == TANDEM_FRAME_READER_HEADER && ahead_bytes(reader) == 0;
}
