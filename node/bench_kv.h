#ifndef TANDEM_BENCH_KV_H
#define TANDEM_BENCH_KV_H

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_failover_options.h"

/* One connection to a server that speaks RESP, as tandem-kv does; nothing of it waits. A few small
 * requests may be under way. One thread. */
#define TANDEM_BENCH_KV_BYTES (2 * (TANDEM_BENCH_VALUE_BYTES_MAX + 256))

enum tandem_bench_kv_reply_kind {
	TANDEM_BENCH_KV_OK,
	TANDEM_BENCH_KV_VALUE,
	TANDEM_BENCH_KV_NONE,  /* no such key */
	TANDEM_BENCH_KV_ERROR, /* the server's own words in `value` */
};

struct tandem_bench_kv_reply {
	enum tandem_bench_kv_reply_kind kind;
	const char *value; /* borrowed until the next call */
	size_t value_bytes;
};

struct tandem_bench_kv {
	int fd; /* -1: not connected and not connecting */
	bool is_connected;
	unsigned waiting_count; /* replies that are due */
	size_t out_sent;
	size_t out_bytes;
	size_t in_taken;
	size_t in_bytes;
	char out[TANDEM_BENCH_KV_BYTES];
	char in[TANDEM_BENCH_KV_BYTES];
};

/* False where it is refused at once. */
bool tandem_bench_kv_connect(struct tandem_bench_kv *kv, const struct sockaddr_in *server);
void tandem_bench_kv_close(struct tandem_bench_kv *kv);

/* Requests are kept until they can leave. A key has at most 64 characters. */
void tandem_bench_kv_set(struct tandem_bench_kv *kv, const char *key, const char *value,
                         size_t value_bytes);
void tandem_bench_kv_get(struct tandem_bench_kv *kv, const char *key);

/* What poll(2) is to wait for. */
struct pollfd tandem_bench_kv_pollfd(const struct tandem_bench_kv *kv);
/* Sends and receives what can be; false where the connection is over. Replies that were received
 * before are still there. */
bool tandem_bench_kv_move(struct tandem_bench_kv *kv);
/* The next whole reply, in the order of the requests. */
bool tandem_bench_kv_next(struct tandem_bench_kv *kv, struct tandem_bench_kv_reply *ret_reply);

#endif
