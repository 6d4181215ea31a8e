#ifndef TANDEM_RDMA_SPLIT_H
#define TANDEM_RDMA_SPLIT_H

#include <stdint.h>

/* A write may cross one border between pieces on either side. Pure. */
#define TANDEM_RDMA_PARTS_MAX 3

/* The lengths that a write falls into where each part stays in one piece on both sides, and how
 * many; 0 when it takes more than TANDEM_RDMA_PARTS_MAX. Offsets count from where piece 0 begins;
 * all piece sizes are positive. */
unsigned tandem_rdma_split(uint64_t local_offset, uint64_t local_piece_bytes, uint64_t peer_offset,
                           uint64_t peer_piece_bytes, uint32_t length,
                           uint32_t ret_lengths[TANDEM_RDMA_PARTS_MAX]);

#endif
