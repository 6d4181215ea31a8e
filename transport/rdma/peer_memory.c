#include "rdma/peer_memory.h"

#include <tandem/memory.h>

static const char *begin(struct tandem_rdma_peer_memories *memories,
                         struct tandem_rdma_peer_memory *memory,
                         const struct tandem_rdma_expose *expose, int *ret_code)
{
	const uint32_t count =
	        tandem_rdma_expose_piece_count(expose->total_bytes, expose->piece_bytes);

	if (count > TANDEM_RDMA_PIECES_ALL_MAX - memories->piece_count)
		return "EXPOSE of more pieces than a session may have";
	memory->pieces = tandem_memory_alloc_array(count, sizeof(*memory->pieces));
	if (memory->pieces == NULL) {
		*ret_code = TANDEM_E_MEMORY;
		return "no memory for what the peer exposed";
	}
	memories->piece_count += count;
	memory->total_bytes = expose->total_bytes;
	memory->piece_bytes = expose->piece_bytes;
	memory->piece_count = count;
	return NULL;
}

static bool continues(const struct tandem_rdma_peer_memory *memory,
                      const struct tandem_rdma_expose *expose)
{
	return expose->first_piece == memory->known_count &&
	       expose->total_bytes == memory->total_bytes &&
	       expose->piece_bytes == memory->piece_bytes;
}

const char *tandem_rdma_peer_memories_take(struct tandem_rdma_peer_memories *memories,
                                           const struct tandem_rdma_expose *expose,
                                           const uint8_t *payload, int *ret_code)
{
	struct tandem_rdma_peer_memory *memory = &memories->entries[expose->memory_id];
	const char *fault = NULL;

	*ret_code = TANDEM_E_PROTOCOL;
	if (memory->pieces == NULL && expose->first_piece == 0)
		fault = begin(memories, memory, expose, ret_code);
	if (fault != NULL)
		return fault;
	/* Also where all pieces are known already: a memory is exposed once an attempt. */
	if (!continues(memory, expose))
		return "EXPOSE that does not continue the one before";
	for (uint32_t i = 0; i < expose->piece_count; i++)
		memory->pieces[memory->known_count++] = tandem_rdma_expose_piece(payload, i);
	return NULL;
}

uint64_t tandem_rdma_peer_memory_bytes(const struct tandem_rdma_peer_memory *memory)
{
	const bool is_known = memory->piece_count > 0 && memory->known_count == memory->piece_count;

	return is_known ? memory->total_bytes : 0;
}

struct tandem_rdma_peer_memories *tandem_rdma_peer_memories_free(
        struct tandem_rdma_peer_memories *memories)
{
	if (memories == NULL)
		return NULL;
	for (unsigned i = 0; i < TANDEM_MEMORY_IDS_MAX; i++)
		tandem_memory_free(memories->entries[i].pieces);
	tandem_memory_free(memories);
	return NULL;
}
