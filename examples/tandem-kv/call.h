#ifndef TANDEM_KV_CALL_H
#define TANDEM_KV_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/tandem.h>

#include "buffer.h"
#include "reply.h"
#include "resp.h"
#include "store.h"

/* What commands change about a connection. Plain memory: copied to take commands back. */
struct tandem_kv_session {
	uint64_t id;
	char name[64];
	char library_name[32];
	char library_version[32];
	char peer[64];   /* address and port, for CLIENT LIST */
	bool is_closing; /* nothing more is read; it closes when its replies have left */
};

/* What INFO and CONFIG tell. Owned by the server; commands only read it. */
struct tandem_kv_facts {
	const char *pair;
	bool is_standalone;
	bool is_takeover;
	uint16_t port;
	uint64_t started_ms;
	size_t map_bytes;
	uint64_t clients;
	uint64_t clients_max;
	uint64_t connections_total;
	uint64_t commands_total;
	uint64_t turns_total;
	struct tandem_news news;
};

/* One command that is being run. */
struct tandem_kv_call {
	struct tandem_kv_store *store; /* in a transaction, for writing if the command writes */
	struct tandem_kv_session *session;
	const struct tandem_kv_facts *facts;
	struct tandem_kv_buffer *reply;
	const struct tandem_kv_arg *args; /* args[0] is the command's name */
	size_t arg_count;
	uint64_t now_ms; /* of the turn, wall clock */
};

/* 0 when a reply was appended, a RESP error included; else an error of store.h. What was appended
 * then is not sent. */
typedef int (*tandem_kv_call_run)(struct tandem_kv_call *call);

/* True when argument `index` is `text`, without regard to case. */
bool tandem_kv_call_arg_is(const struct tandem_kv_call *call, size_t index, const char *text);
/* False, and the reply is the usual error, when the argument is no integer. */
bool tandem_kv_call_arg_integer(const struct tandem_kv_call *call, size_t index,
                                int64_t *ret_number);
int tandem_kv_call_syntax_error(struct tandem_kv_call *call);
/* Copies an argument for use in a message: cut to `size`, unprintable bytes as '?'. */
void tandem_kv_call_arg_text(const struct tandem_kv_arg *arg, char *ret_text, size_t size);

/* A live record: expired ones are not found. */
TANDEM_MUST_CHECK int tandem_kv_call_get(struct tandem_kv_call *call, size_t key_index,
                                         bool *ret_is_found, struct tandem_kv_record *ret_record);

#endif
