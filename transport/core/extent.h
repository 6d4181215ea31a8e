#ifndef TANDEM_TRANSPORT_EXTENT_H
#define TANDEM_TRANSPORT_EXTENT_H

#include <stdint.h>

#include "core/frame.h"

/* Where a payload of a BATCH frame goes: one entry of the table behind its header, offset and
 * length, little-endian. Pure codec; any bytes are safe to decode. */
#define TANDEM_EXTENT_BYTES 12
#define TANDEM_EXTENTS_MAX  64

struct tandem_extent {
	uint64_t offset;
	uint32_t length;
};

void tandem_extent_encode(const struct tandem_extent *extent, uint8_t *ret_bytes);

/* [T6]: the whole table of a frame that decoded, judged against a memory of that size before
 * anything is stored. `ret_extents` has TANDEM_EXTENTS_MAX places; on RANGE and on LENGTH the one
 * that is at fault is the first of them. */
enum tandem_frame_fault tandem_extent_decode_table(const uint8_t *bytes,
                                                   const struct tandem_frame *frame,
                                                   uint64_t memory_bytes,
                                                   struct tandem_extent *ret_extents);

#endif
