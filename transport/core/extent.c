#include "core/extent.h"

#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

void tandem_extent_encode(const struct tandem_extent *extent, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_EXTENT_BYTES);
	tandem_write_u64(&writer, extent->offset);
	tandem_write_u32(&writer, extent->length);
}

static enum tandem_frame_fault check(const struct tandem_extent *extent, uint64_t memory_bytes)
{
	if (extent->length < 1 || extent->length > TANDEM_WRITE_BYTES_MAX)
		return TANDEM_FRAME_FAULT_LENGTH;
	if (extent->length > memory_bytes || extent->offset > memory_bytes - extent->length)
		return TANDEM_FRAME_FAULT_RANGE;
	return TANDEM_FRAME_FAULT_NONE;
}

enum tandem_frame_fault tandem_extent_decode_table(const uint8_t *bytes,
                                                   const struct tandem_frame *frame,
                                                   uint64_t memory_bytes,
                                                   struct tandem_extent *ret_extents)
{
	const size_t table_bytes = (size_t)frame->extent_count * TANDEM_EXTENT_BYTES;
	struct tandem_reader reader = tandem_reader_over(bytes, table_bytes);
	uint64_t total = 0;
	if (tandem_crc32c(0, bytes, table_bytes) != frame->table_checksum)
		return TANDEM_FRAME_FAULT_TABLE;
	for (uint32_t i = 0; i < frame->extent_count; i++) {
		ret_extents[i].offset = tandem_read_u64(&reader);
		ret_extents[i].length = tandem_read_u32(&reader);
		enum tandem_frame_fault fault = check(&ret_extents[i], memory_bytes);
		if (fault != TANDEM_FRAME_FAULT_NONE) {
			ret_extents[0] = ret_extents[i];
			return fault;
		}
		total += ret_extents[i].length;
	}
	return total == frame->length ? TANDEM_FRAME_FAULT_NONE : TANDEM_FRAME_FAULT_LENGTH;
}
