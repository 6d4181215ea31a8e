#ifndef TANDEM_KV_CLIENT_H
#define TANDEM_KV_CLIENT_H

#include "buffer.h"
#include "call.h"
#include "resp.h"

/* A client without its socket: what a turn reads from and writes to. */

#define TANDEM_KV_INPUT_MAX (TANDEM_KV_REQUEST_MAX + ((size_t)512 << 10))
/* Replies beyond this wait until some were sent: the client is not served before. */
#define TANDEM_KV_OUTPUT_PAUSE ((size_t)1 << 20)
/* A reply that would pass this ends the connection. */
#define TANDEM_KV_OUTPUT_MAX ((size_t)32 << 20)

struct tandem_kv_client {
	struct tandem_kv_buffer input;
	struct tandem_kv_buffer output;
	struct tandem_kv_session session;
	struct tandem_kv_resp resp;
	bool needs_more; /* what is in `input` holds no complete request */

	/* The turn's: valid from taking requests to its end. */
	size_t parsed_bytes; /* of the input, by whole requests */
	size_t run_bytes;    /* of those, run */
	bool is_deferred;    /* the rest of its requests waits for the next turn */
	size_t output_start; /* output when the turn began */
	/* To take a transaction back. */
	struct {
		struct tandem_kv_session session;
		size_t output_bytes;
		size_t run_bytes;
		bool is_deferred;
	} before;
};

void tandem_kv_client_init(struct tandem_kv_client *client, uint64_t id);
void tandem_kv_client_clear(struct tandem_kv_client *client);

/* Remembers and restores everything that running commands changes about the client. */
void tandem_kv_client_mark(struct tandem_kv_client *client);
void tandem_kv_client_restore(struct tandem_kv_client *client);

#endif
