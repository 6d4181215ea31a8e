#ifndef TANDEM_KV_SERVER_INTERNAL_H
#define TANDEM_KV_SERVER_INTERNAL_H

#include "connection.h"
#include "server.h"
#include "turn.h"

/* Shared by server.c (life, events) and server_step.c (turns and releases). */

#define TANDEM_KV_CLIENTS_MAX 4000

TAILQ_HEAD(tandem_kv_connections, tandem_kv_connection);

struct tandem_kv_server {
	const struct tandem_kv_options *options;
	struct tandem_kv_store *store;
	struct tandem_kv_gate *gate;
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *signals[2];
	struct event *tick;
	struct event *stop_timer;
	struct event *gate_event;
	char address[96];

	struct tandem_kv_turn *turn;
	struct tandem_kv_facts facts;
	struct tandem_kv_connections all;
	struct tandem_kv_connections ready; /* a turn could do something for them */
	struct tandem_kv_connections run;   /* answered since the last checkpoint: no ticket yet */
	struct tandem_kv_connections held;  /* wait for a ticket; in the order of tickets */
	bool has_written;                   /* since the last checkpoint */
	bool is_accept_failing;             /* said so already */
	bool is_stopping;
	int exit; /* enum tandem_kv_server_exit; -1 while it runs */
};

/* Polls the gate, sends what it released, runs a turn when there is work, and makes a checkpoint of
 * what was run when it may. */
void tandem_kv_server_step(struct tandem_kv_server *server);
/* True when the next step has something to do without a new event. */
bool tandem_kv_server_is_busy(const struct tandem_kv_server *server);
/* Puts the connection where it belongs after a change; may free it. */
void tandem_kv_server_settle(struct tandem_kv_server *server,
                             struct tandem_kv_connection *connection);
void tandem_kv_server_drop_stalled(struct tandem_kv_server *server, uint64_t now_ns);

#endif
