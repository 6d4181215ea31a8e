#ifndef TANDEM_KV_SERVER_H
#define TANDEM_KV_SERVER_H

#include "gate.h"
#include "options.h"
#include "store.h"

/* The loop. A turn reads what all clients have sent, runs it, ends the epoch and holds every reply
 * until the gate releases it; the next turn begins when the gate can take it. */
struct tandem_kv_server;

enum tandem_kv_server_exit {
	TANDEM_KV_EXIT_OK = 0,     /* a signal ended it */
	TANDEM_KV_EXIT_FAILED = 1, /* the store, the gate or the loop failed; logged */
	TANDEM_KV_EXIT_WRONG = 2,  /* the command line */
	TANDEM_KV_EXIT_HALTED = 3, /* another node leads */
};

/* Borrows store and gate, listens. Errors: TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_kv_server_open(const struct tandem_kv_options *options,
                                            struct tandem_kv_store *store, size_t map_bytes,
                                            struct tandem_kv_gate *gate,
                                            struct tandem_kv_server **ret_server,
                                            struct tandem_error *reterr_error);
/* Closes every connection without another byte. NULL is allowed. */
struct tandem_kv_server *tandem_kv_server_close(struct tandem_kv_server *server);

/* ADDRESS:PORT that it really listens on; borrowed until close. */
const char *tandem_kv_server_address(const struct tandem_kv_server *server);

/* Returns when the server has to end. Logs the reason unless it is a signal. */
enum tandem_kv_server_exit tandem_kv_server_run(struct tandem_kv_server *server);

#endif
