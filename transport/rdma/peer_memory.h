#ifndef TANDEM_RDMA_PEER_MEMORY_H
#define TANDEM_RDMA_PEER_MEMORY_H

#include <stdint.h>

#include <tandem/transport.h>

#include "rdma/core/message.h"

/* What the peer exposed to one data channel, as its EXPOSE messages named it. */
struct tandem_rdma_peer_memory {
	uint64_t total_bytes;
	uint64_t piece_bytes;
	uint32_t piece_count;
	uint32_t known_count; /* pieces named so far; usable when all are */
	struct tandem_rdma_piece *pieces;
};

struct tandem_rdma_peer_memories {
	uint32_t piece_count; /* of all, bounded [S5] */
	struct tandem_rdma_peer_memory entries[TANDEM_MEMORY_IDS_MAX];
};

/* Takes one EXPOSE whose payload decoded to `expose`. NULL, or what is wrong with it; *ret_code is
 * TANDEM_E_PROTOCOL or TANDEM_E_MEMORY then. */
const char *tandem_rdma_peer_memories_take(struct tandem_rdma_peer_memories *memories,
                                           const struct tandem_rdma_expose *expose,
                                           const uint8_t *payload, int *ret_code);
/* 0 while not all of it is known. */
uint64_t tandem_rdma_peer_memory_bytes(const struct tandem_rdma_peer_memory *memory);
/* NULL is allowed. */
struct tandem_rdma_peer_memories *tandem_rdma_peer_memories_free(
        struct tandem_rdma_peer_memories *memories);

#endif
