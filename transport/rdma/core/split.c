#include "rdma/core/split.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

unsigned tandem_rdma_split(uint64_t local_offset, uint64_t local_piece_bytes, uint64_t peer_offset,
                           uint64_t peer_piece_bytes, uint32_t length,
                           uint32_t ret_lengths[TANDEM_RDMA_PARTS_MAX])
{
	unsigned part_count = 0;
	uint64_t done_bytes = 0;

	while (done_bytes < length) {
		const uint64_t local_left =
		        local_piece_bytes - (local_offset + done_bytes) % local_piece_bytes;
		const uint64_t peer_left =
		        peer_piece_bytes - (peer_offset + done_bytes) % peer_piece_bytes;
		const uint64_t part = smaller(length - done_bytes, smaller(local_left, peer_left));

		if (part_count == TANDEM_RDMA_PARTS_MAX)
			return 0;
		ret_lengths[part_count++] = (uint32_t)part;
		done_bytes += part;
	}
	return part_count;
}
