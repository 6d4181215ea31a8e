#ifndef KV_WORLD_H
#define KV_WORLD_H

#include "turn.h"

/* A store on /dev/shm, a turn and clients without sockets. */
struct kv_world {
	struct tandem_kv_store *store;
	struct tandem_kv_turn *turn;
	struct tandem_kv_facts facts;
	uint64_t now_ms;
	bool has_written; /* by the last turn */
	char path[64];    /* of the map, while it is open */
};

void kv_world_open(struct kv_world *world, size_t map_bytes);
void kv_world_close(struct kv_world *world);

void kv_world_feed(struct tandem_kv_client *client, const void *bytes, size_t length);
/* One turn with these clients. */
void kv_world_turn(struct kv_world *world, struct tandem_kv_client **clients, size_t count);

/* What the client was answered since the last call, as text that ends with a zero. Borrowed until
 * the next call. */
const char *kv_world_output(struct tandem_kv_client *client);
/* Feeds an inline request (CRLF is added) in a turn of its own and returns the answer. */
const char *kv_world_ask(struct kv_world *world, struct tandem_kv_client *client,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
