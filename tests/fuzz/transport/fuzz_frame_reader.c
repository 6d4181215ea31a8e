#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/crc32c.h>
#include <tandem/memory.h>
#include <tandem/transport.h>

#include "core/frame_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A fuzzer guesses neither checksums nor sequence numbers, so its bytes are orders: make frames of
 * these fields, damage this byte, cut the stream into parts of these sizes. Whatever comes out must
 * stay inside the memory, and the same stream in other parts must end the same way. */
#define MEMORY_BYTES 4096u
#define KEY          UINT64_C(77)
#define STREAM_BYTES ((size_t)32 << 10)

struct orders {
	const uint8_t *bytes;
	size_t length;
};

struct outcome {
	unsigned whole_count;
	enum tandem_frame_fault fault;
};

static uint8_t stream[STREAM_BYTES];
static size_t stream_length;

static unsigned next(struct orders *orders)
{
	if (orders->length == 0)
		return 0;
	orders->length--;
	return *orders->bytes++;
}

static void add_payload(struct orders *orders, size_t length)
{
	memset(stream + stream_length, (int)next(orders), length);
	stream_length += length;
}

/* Mostly inside, now and then at the edge or far out. */
static struct tandem_extent make_extent(struct orders *orders)
{
	struct tandem_extent extent = {.offset = next(orders) * 16u, .length = next(orders) + 1};
	unsigned trick = next(orders);
	if (trick == 1)
		extent.offset = MEMORY_BYTES - extent.length;
	if (trick == 2)
		extent.offset = MEMORY_BYTES - extent.length + 1;
	if (trick == 3)
		extent.offset = UINT64_MAX - next(orders);
	if (trick == 4)
		extent.length = 0;
	return extent;
}

static void add_batch(struct orders *orders, struct tandem_frame *frame)
{
	uint8_t *table = stream + stream_length + TANDEM_FRAME_BYTES;
	frame->extent_count = next(orders) % (TANDEM_EXTENTS_MAX + 1);
	const size_t table_bytes = (size_t)frame->extent_count * TANDEM_EXTENT_BYTES;
	for (uint32_t i = 0; i < frame->extent_count; i++) {
		const struct tandem_extent extent = make_extent(orders);
		tandem_extent_encode(&extent, table + (size_t)i * TANDEM_EXTENT_BYTES);
		frame->length += extent.length;
	}
	if (next(orders) == 1)
		frame->length++;
	frame->table_checksum = tandem_crc32c(0, table, table_bytes);
	tandem_frame_encode(frame, stream + stream_length);
	stream_length += TANDEM_FRAME_BYTES + table_bytes;
	add_payload(orders, frame->length);
}

static void add_frame(struct orders *orders, uint64_t sequence)
{
	struct tandem_frame frame = {.type = (enum tandem_frame_type)(next(orders) % 7),
	                             .memory_key = KEY,
	                             .sequence = sequence};
	if (frame.type == TANDEM_FRAME_BATCH) {
		add_batch(orders, &frame);
		return;
	}
	const struct tandem_extent extent = make_extent(orders);
	frame.offset = extent.offset;
	frame.length = extent.length;
	tandem_frame_encode(&frame, stream + stream_length);
	stream_length += TANDEM_FRAME_BYTES;
	add_payload(orders, frame.length);
}

/* The largest frame: a batch of the largest extents that make_extent makes. */
#define FRAME_ROOM                                                                                 \
	(TANDEM_FRAME_BYTES + (size_t)TANDEM_EXTENTS_MAX * (TANDEM_EXTENT_BYTES + 256) + 1)

static void make_stream(struct orders *orders)
{
	stream_length = 0;
	for (uint64_t i = 0; orders->length > 8 && STREAM_BYTES - stream_length >= FRAME_ROOM; i++)
		add_frame(orders, i);
	unsigned damage = next(orders);
	if (damage > 127 && stream_length > 0)
		stream[(damage * 256u + next(orders)) % stream_length] ^= (uint8_t)(1 + damage % 8);
}

/* false when the stream is refused. */
static bool take(struct tandem_frame_reader *reader, uint8_t *memory, struct outcome *outcome)
{
	for (;;) {
		struct tandem_frame_context context = {.is_data_channel = true,
		                                       .is_listening_side = true,
		                                       .sequence = reader->sequence};
		switch (tandem_frame_reader_step(reader)) {
		case TANDEM_FRAME_STEP_MORE:
			return true;
		case TANDEM_FRAME_STEP_JUDGE:
			outcome->fault = tandem_frame_check(&reader->frame, &context);
			if (outcome->fault == TANDEM_FRAME_FAULT_NONE)
				outcome->fault = tandem_frame_check_target(&reader->frame,
				                                           MEMORY_BYTES, KEY);
			if (outcome->fault != TANDEM_FRAME_FAULT_NONE)
				return false;
			tandem_frame_reader_open(reader, memory, MEMORY_BYTES);
			break;
		case TANDEM_FRAME_STEP_WHOLE:
			outcome->whole_count++;
			tandem_frame_reader_close(reader);
			break;
		case TANDEM_FRAME_STEP_FAULT:
			outcome->fault = reader->fault;
			return false;
		}
	}
}

static size_t scatter(struct tandem_frame_reader *reader, const uint8_t *bytes, size_t length)
{
	struct tandem_frame_piece pieces[TANDEM_FRAME_PIECES_MAX];
	const unsigned count = tandem_frame_reader_room(reader, length, pieces);
	size_t done = 0;
	TANDEM_ASSERT(count > 0 && count <= TANDEM_FRAME_PIECES_MAX);
	for (unsigned i = 0; i < count; i++) {
		TANDEM_ASSERT(pieces[i].length > 0 && pieces[i].length <= length - done);
		memcpy(pieces[i].bytes, bytes + done, pieces[i].length);
		done += pieces[i].length;
	}
	tandem_frame_reader_took(reader, done);
	return done;
}

/* `memory` has its own allocation, so that a byte too far is seen. */
static struct outcome read_stream(uint8_t *memory, struct orders orders)
{
	struct tandem_frame_reader reader = {0};
	struct outcome outcome = {0};
	size_t done = 0;
	memset(memory, 0, MEMORY_BYTES);
	while (take(&reader, memory, &outcome) && done < stream_length) {
		size_t part = next(&orders) * 7u;
		if (part == 0 || part > stream_length - done)
			part = stream_length - done;
		done += scatter(&reader, stream + done, part);
	}
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct orders orders = {bytes, length};
	uint8_t *memory = tandem_memory_alloc(MEMORY_BYTES);
	uint8_t *memory_again = tandem_memory_alloc(MEMORY_BYTES);
	if (memory && memory_again) {
		make_stream(&orders);
		struct outcome once = read_stream(memory, (struct orders){NULL, 0});
		struct outcome again = read_stream(memory_again, (struct orders){bytes, length});
		TANDEM_ASSERT(once.whole_count == again.whole_count);
		TANDEM_ASSERT(once.fault == again.fault);
		/* Of a frame that is refused in its payload's place nothing is stored; of one
		 * that ends early, what came. */
		TANDEM_ASSERT(memcmp(memory, memory_again, MEMORY_BYTES) == 0);
	}
	tandem_memory_free(memory);
	tandem_memory_free(memory_again);
	return 0;
}
