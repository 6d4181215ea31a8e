#ifndef TANDEM_TRANSPORT_FRAME_READER_H
#define TANDEM_TRANSPORT_FRAME_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/extent.h"
#include "core/frame.h"

/* The byte stream of one connection, cut anywhere, as frames. Payload whose place is known is read
 * straight to it; what follows is read ahead in the same call, so that headers, tables and small
 * frames cost no call of their own. Pure; every byte is a peer's. */
#define TANDEM_FRAME_AHEAD_BYTES 1024 /* more than a table has */
#define TANDEM_FRAME_PIECES_MAX  (TANDEM_EXTENTS_MAX + 1)

enum tandem_frame_step {
	TANDEM_FRAME_STEP_MORE,  /* bytes are needed to go on */
	TANDEM_FRAME_STEP_JUDGE, /* `frame` has come: refuse it, or open it */
	TANDEM_FRAME_STEP_WHOLE, /* its payload too: deliver it, then close it */
	TANDEM_FRAME_STEP_FAULT, /* `fault` says which; nothing more can be read */
};

enum tandem_frame_reader_state {
	TANDEM_FRAME_READER_HEADER,
	TANDEM_FRAME_READER_JUDGED, /* waits to be opened */
	TANDEM_FRAME_READER_TABLE,
	TANDEM_FRAME_READER_PAYLOAD,
	TANDEM_FRAME_READER_WHOLE, /* waits to be closed */
	TANDEM_FRAME_READER_FAULTY,
};

struct tandem_frame_piece {
	uint8_t *bytes;
	size_t length;
};

/* Zeros are one that has read nothing. */
struct tandem_frame_reader {
	enum tandem_frame_reader_state state;
	enum tandem_frame_fault fault;
	bool has_frame; /* `frame` decoded */
	struct tandem_frame frame;
	uint64_t sequence;   /* [T7]: of the frame under way, or of the next one */
	uint32_t tail_bytes; /* behind each frame's payload; constant. They go behind the base */
	uint8_t *base;
	uint64_t base_bytes;
	unsigned extent_count;
	unsigned extent;       /* the first that is not whole */
	uint32_t extent_bytes; /* that have come of it */
	size_t ahead_first;    /* of the bytes in `ahead` that were not consumed */
	size_t ahead_end;
	struct tandem_extent extents[TANDEM_EXTENTS_MAX];
	uint8_t ahead[TANDEM_FRAME_AHEAD_BYTES];
};

/* Consumes what was read ahead, up to the next thing to do. */
enum tandem_frame_step tandem_frame_reader_step(struct tandem_frame_reader *reader);
/* After JUDGE: offsets of the payload count from `base`, which has `base_bytes` bytes, and the
 * tail's behind them. The frame must have been checked against them, but for the ranges of a BATCH,
 * which has no tail. */
void tandem_frame_reader_open(struct tandem_frame_reader *reader, uint8_t *base,
                              uint64_t base_bytes);
/* After WHOLE. */
void tandem_frame_reader_close(struct tandem_frame_reader *reader);

/* After MORE: where the next bytes belong, at most `budget_bytes` (not 0) of them; how many pieces
 * there are. */
unsigned tandem_frame_reader_room(struct tandem_frame_reader *reader, size_t budget_bytes,
                                  struct tandem_frame_piece *ret_pieces);
/* So many bytes were stored there. */
void tandem_frame_reader_took(struct tandem_frame_reader *reader, size_t bytes);

/* Whether the stream may end here. */
bool tandem_frame_reader_is_between(const struct tandem_frame_reader *reader);

#endif
