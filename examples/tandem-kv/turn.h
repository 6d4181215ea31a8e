#ifndef TANDEM_KV_TURN_H
#define TANDEM_KV_TURN_H

#include "client.h"
#include "command.h"

/* One turn of the loop: the requests of all clients that had some, run in one transaction. When
 * the map has not enough room for one transaction it is cut into several, at worst one a command;
 * a command that finds the map full is refused and the others go on. Either way all of it belongs
 * to one epoch. */
struct tandem_kv_turn;

#define TANDEM_KV_TURN_COMMANDS_MAX 10000
#define TANDEM_KV_TURN_OUTPUT_MAX   ((size_t)64 << 20)

struct tandem_kv_turn *tandem_kv_turn_new(void); /* NULL: no memory */
struct tandem_kv_turn *tandem_kv_turn_free(struct tandem_kv_turn *turn);

/* Takes the client's complete requests, as many as have room. Returns how many. The client and its
 * input are borrowed until tandem_kv_turn_end(). */
size_t tandem_kv_turn_take(struct tandem_kv_turn *turn, struct tandem_kv_client *client);
size_t tandem_kv_turn_count(const struct tandem_kv_turn *turn);
bool tandem_kv_turn_is_full(const struct tandem_kv_turn *turn);

/* Runs what was taken; the replies are in the clients' output. *ret_has_written is true when the
 * map may have changed. Errors: TANDEM_E_SYSTEM: the store failed; nothing of this turn may be
 * sent and nobody should go on. */
TANDEM_MUST_CHECK int tandem_kv_turn_run(struct tandem_kv_turn *turn, struct tandem_kv_store *store,
                                         const struct tandem_kv_facts *facts, uint64_t now_ms,
                                         bool *ret_has_written);

/* Calls `visit` for each client once, after taking what was run from its input, and forgets all. */
typedef void (*tandem_kv_turn_visit)(void *context, struct tandem_kv_client *client);
void tandem_kv_turn_end(struct tandem_kv_turn *turn, tandem_kv_turn_visit visit, void *context);

#endif
