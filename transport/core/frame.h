#ifndef TANDEM_TRANSPORT_FRAME_H
#define TANDEM_TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "core/handshake.h"

/* What follows the join on a TCP connection: a header of fixed size, in a BATCH a table of
 * extents (core/extent.h), then `length` bytes (docs/protocol.md, T5 to T7), and on the control
 * connection a tag of TANDEM_TAG_BYTES over header and payload [S3]. Pure codec, little-endian; any
 * bytes are safe to decode. */
#define TANDEM_FRAME_BYTES 56

enum tandem_frame_type {
	TANDEM_FRAME_MESSAGE = 1, /* control channel, both ways */
	TANDEM_FRAME_EXPOSE = 2,  /* control channel, listening to connecting side */
	TANDEM_FRAME_WRITE = 3,   /* data channels, connecting to listening side */
	TANDEM_FRAME_NOTIFY = 4,  /* a WRITE that also notifies */
	TANDEM_FRAME_BATCH = 5, /* several WRITEs to one memory; their payloads follow the table */
};

struct tandem_frame {
	enum tandem_frame_type type;
	uint32_t memory_id;
	uint32_t length;     /* of all that follows the header, but table and tag */
	uint64_t offset;     /* WRITE, NOTIFY; the memory's whole size in EXPOSE */
	uint64_t memory_key; /* given by EXPOSE; a write without it is a stranger's or a late one */
	uint64_t sequence;   /* [T7]: 0 for a connection's first frame, then one more each */
	uint32_t immediate;  /* NOTIFY */
	uint32_t extent_count;   /* BATCH, 1 to TANDEM_EXTENTS_MAX */
	uint32_t table_checksum; /* BATCH: CRC32C of the table */
};

#define TANDEM_FRAME_FAULT_TABLE(X)                                                                \
	X(NONE, "no fault")                                                                        \
	X(MAGIC, "wrong magic number")                                                             \
	X(CHECKSUM, "wrong header checksum")                                                       \
	X(TYPE, "unknown frame type")                                                              \
	X(FIELD, "a field out of its range")                                                       \
	X(LENGTH, "wrong length")                                                                  \
	X(CHANNEL, "a frame type that does not belong on this channel or from this side")          \
	X(SEQUENCE, "wrong sequence number")                                                       \
	X(EXPOSED, "a memory that is not exposed, or exposed twice")                               \
	X(KEY, "wrong memory key")                                                                 \
	X(RANGE, "a range outside the exposed memory")                                             \
	X(TABLE, "wrong checksum of its table")                                                    \
	X(TAG, "a wrong tag: it was altered, or made under another key")

enum tandem_frame_fault {
#define X(name, text) TANDEM_FRAME_FAULT_##name,
	TANDEM_FRAME_FAULT_TABLE(X)
#undef X
	        TANDEM_FRAME_FAULT_COUNT,
};

/* What a receiver knows about the connection a frame came by. */
struct tandem_frame_context {
	bool is_data_channel;
	bool is_listening_side;
	uint64_t sequence; /* of the next frame */
};

void tandem_frame_encode(const struct tandem_frame *frame, uint8_t *ret_bytes);
/* *ret_frame on NONE only. */
enum tandem_frame_fault tandem_frame_decode(const uint8_t *bytes, struct tandem_frame *ret_frame);
/* Whether a sound frame may come here and now. */
enum tandem_frame_fault tandem_frame_check(const struct tandem_frame *frame,
                                           const struct tandem_frame_context *context);
/* Whether a WRITE or NOTIFY may store into a memory of that size and key; size 0: not exposed. Of
 * a BATCH the ranges are judged with its table. */
enum tandem_frame_fault tandem_frame_check_target(const struct tandem_frame *frame,
                                                  uint64_t memory_bytes, uint64_t memory_key);

const char *tandem_frame_fault_text(enum tandem_frame_fault fault);

#endif
