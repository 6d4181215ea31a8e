#ifndef TANDEM_TESTS_FRAME_STREAM_H
#define TANDEM_TESTS_FRAME_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/frame_reader.h"

/* The bytes of a connection made by hand, and a receiver that reads them in parts. */
#define STREAM_MEMORY_BYTES ((size_t)16 << 10)
#define STREAM_GUARD_BYTES  ((size_t)64)
#define STREAM_KEY          UINT64_C(77)

struct frame_stream {
	uint8_t bytes[(size_t)64 << 10];
	size_t length;
	uint64_t sequence; /* of the next frame */
	uint8_t fill;      /* of the next payload */
};

struct stream_end {
	unsigned whole_count;
	unsigned notify_count;
	enum tandem_frame_fault fault; /* NONE: the bytes ended first */
	bool is_between;
};

/* Sound frames; what a payload says is one more for each extent. */
void frame_stream_write(struct frame_stream *stream, enum tandem_frame_type type, uint64_t offset,
                        uint32_t length);
void frame_stream_batch(struct frame_stream *stream, const struct tandem_extent *extents,
                        unsigned count);
void frame_stream_message(struct frame_stream *stream, uint32_t length);

/* Reads `length` bytes of a stream, `parts[i % part_count]` at a time (0: as many as there is room
 * for), into `memory` of STREAM_MEMORY_BYTES with a guard at both ends of it. */
struct stream_end frame_stream_read(struct tandem_frame_reader *reader, const uint8_t *bytes,
                                    size_t length, const size_t *parts, unsigned part_count,
                                    uint8_t *memory);

#endif
