#ifndef TANDEM_KV_COMMAND_H
#define TANDEM_KV_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "call.h"

/* The table of commands. Arity as Redis counts it: with the name; negative is "at least". */
struct tandem_kv_command {
	const char *name;
	int arity;
	unsigned flags;
	/* Which arguments are keys: first, last (negative counts from the end), step; 0: none. */
	int key_first;
	int key_last;
	int key_step;
	tandem_kv_call_run run;
};

enum tandem_kv_command_flag {
	TANDEM_KV_COMMAND_WRITES = 1 << 0,
	TANDEM_KV_COMMAND_GROWS = 1 << 1,  /* refused when the map is full but for its reserve */
	TANDEM_KV_COMMAND_CLEARS = 1 << 2, /* touches every page */
};

/* The command that this request asks for, or one whose run() answers what is wrong with it: unknown
 * name, number of arguments, a key that is empty or too long. Never NULL; `count` is 1 or more. */
const struct tandem_kv_command *tandem_kv_command_find(const struct tandem_kv_arg *args,
                                                       size_t count);
size_t tandem_kv_command_count(void);

/* For a stream that cannot be read any further: args[0] is the parser's text. Replies and closes.
 */
extern const struct tandem_kv_command tandem_kv_command_protocol_error;

/* command_string.c */
int tandem_kv_run_get(struct tandem_kv_call *call);
int tandem_kv_run_set(struct tandem_kv_call *call);
int tandem_kv_run_setex(struct tandem_kv_call *call);
int tandem_kv_run_psetex(struct tandem_kv_call *call);
int tandem_kv_run_setnx(struct tandem_kv_call *call);
int tandem_kv_run_getset(struct tandem_kv_call *call);
int tandem_kv_run_strlen(struct tandem_kv_call *call);
int tandem_kv_run_incr(struct tandem_kv_call *call);
int tandem_kv_run_decr(struct tandem_kv_call *call);
int tandem_kv_run_incrby(struct tandem_kv_call *call);
int tandem_kv_run_decrby(struct tandem_kv_call *call);
int tandem_kv_run_mget(struct tandem_kv_call *call);
int tandem_kv_run_mset(struct tandem_kv_call *call);

/* command_key.c */
int tandem_kv_run_del(struct tandem_kv_call *call);
int tandem_kv_run_exists(struct tandem_kv_call *call);
int tandem_kv_run_type(struct tandem_kv_call *call);
int tandem_kv_run_ttl(struct tandem_kv_call *call);
int tandem_kv_run_pttl(struct tandem_kv_call *call);
int tandem_kv_run_expire(struct tandem_kv_call *call);
int tandem_kv_run_pexpire(struct tandem_kv_call *call);
int tandem_kv_run_persist(struct tandem_kv_call *call);
int tandem_kv_run_dbsize(struct tandem_kv_call *call);
int tandem_kv_run_scan(struct tandem_kv_call *call);
int tandem_kv_run_flushall(struct tandem_kv_call *call);

/* command_server.c */
int tandem_kv_run_ping(struct tandem_kv_call *call);
int tandem_kv_run_echo(struct tandem_kv_call *call);
int tandem_kv_run_quit(struct tandem_kv_call *call);
int tandem_kv_run_select(struct tandem_kv_call *call);
int tandem_kv_run_auth(struct tandem_kv_call *call);
int tandem_kv_run_hello(struct tandem_kv_call *call);
int tandem_kv_run_client(struct tandem_kv_call *call);
int tandem_kv_run_command(struct tandem_kv_call *call);
int tandem_kv_run_config(struct tandem_kv_call *call);

/* command_info.c */
int tandem_kv_run_info(struct tandem_kv_call *call);

#endif
