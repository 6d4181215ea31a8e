#ifndef TANDEM_KV_CONNECTION_H
#define TANDEM_KV_CONNECTION_H

#include <event2/event.h>
#include <sys/queue.h>

#include "client.h"

/* A client's socket. Events only note what is possible; bytes are read when a turn begins and
 * replies are sent when their ticket is released, both by the server. */
struct tandem_kv_connection {
	struct tandem_kv_client client; /* first: a client is its connection */
	int file;
	struct event *readable;
	struct event *writable;
	bool can_read;   /* the socket may hold more */
	bool is_ended;   /* the peer sends no more */
	bool is_lost;    /* the socket failed */
	bool is_run;     /* output behind `released_bytes` waits for a checkpoint to be begun */
	uint64_t ticket; /* it waits for this one; 0: there is none */
	size_t released_bytes; /* of the output: may be sent */
	uint64_t progress_ns;  /* when the peer last took something, or had nothing to take */

	void *context;
	void (*on_change)(void *context, struct tandem_kv_connection *connection);

	TAILQ_ENTRY(tandem_kv_connection) all;
	TAILQ_ENTRY(tandem_kv_connection) queue; /* the server's: in one of its queues or none */
	bool is_queued;
};

/* Takes `file`, also when it fails (NULL: no memory). `on_change` is called from the loop when the
 * connection may have work: something to read, or room to go on. */
struct tandem_kv_connection *tandem_kv_connection_new(
        struct event_base *base, int file, uint64_t id,
        void (*on_change)(void *context, struct tandem_kv_connection *connection), void *context);
struct tandem_kv_connection *tandem_kv_connection_free(struct tandem_kv_connection *connection);

/* Reads what is there, at most `budget_bytes`. Returns how many. */
size_t tandem_kv_connection_read(struct tandem_kv_connection *connection, size_t budget_bytes);

/* Everything in the output may leave. */
void tandem_kv_connection_release(struct tandem_kv_connection *connection, uint64_t now_ns);
/* Sends what may leave, as far as the socket takes it. */
void tandem_kv_connection_send(struct tandem_kv_connection *connection, uint64_t now_ns);

/* True when a turn could do something for it. */
bool tandem_kv_connection_has_work(const struct tandem_kv_connection *connection);
/* True when it is to be freed: lost, or closing with everything sent. */
bool tandem_kv_connection_is_over(const struct tandem_kv_connection *connection);

#endif
