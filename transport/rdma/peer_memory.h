#ifndef TANDEM_RDMA_PEER_MEMORY_H
#define TANDEM_RDMA_PEER_MEMORY_H

#include <stdint.h>

#include <tandem/transport.h>

#include "rdma/core/message.h"

/* What the peer exposed, as its EXPOSE messages named it. */
struct tandem_rdma_peer_memory {
	uint64_t total_bytes;
	uint64_t piece_bytes;
	uint32_t piece_count;
	uint32_t known_count; /* pieces named so far; usable when all are */
	struct tandem_rdma_piece *pieces;
};

/* Takes one EXPOSE. NULL, or what is wrong with it; *ret_code is TANDEM_E_PROTOCOL or
 * TANDEM_E_MEMORY then. */
const char *tandem_rdma_peer_memory_take(struct tandem_rdma_peer_memory *memories,
                                         const uint8_t *payload, size_t payload_bytes,
                                         int *ret_code);
/* 0 while not all of it is known. */
uint64_t tandem_rdma_peer_memory_bytes(const struct tandem_rdma_peer_memory *memory);
void tandem_rdma_peer_memory_clear(struct tandem_rdma_peer_memory *memory);

#endif
