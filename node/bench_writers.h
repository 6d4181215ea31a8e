#ifndef TANDEM_BENCH_WRITERS_H
#define TANDEM_BENCH_WRITERS_H

#include <tandem/error.h>

#include "bench_kv.h"

/* The clients of `tandem-bench failover`, all on one thread: each writes numbered values, one after
 * the other, and remembers the last one that was acknowledged. Writer 0 also measures. Errors of
 * all calls: TANDEM_E_PROTOCOL (a write was lost, or the server answers otherwise than it should),
 * TANDEM_E_TIMEOUT, TANDEM_E_AGAIN (a signal asked the bench to end), TANDEM_E_PEER_LOST (a
 * connection ended that should not have). */
#define TANDEM_BENCH_SERVERS     2
#define TANDEM_BENCH_WRITERS_MAX (TANDEM_BENCH_CONNECTIONS_MAX + 1)
#define TANDEM_BENCH_RETRY_NS    UINT64_C(1000000)
#define TANDEM_BENCH_REPLY_NS    UINT64_C(30000000000)

struct tandem_bench_writer {
	unsigned index;
	uint64_t sent;         /* number of the last write; 0: none */
	uint64_t acknowledged; /* of the last one with a reply */
	uint64_t asked;        /* of the one that is read back */
	struct tandem_bench_kv kv;
};

struct tandem_bench_writers {
	size_t value_bytes;
	uint64_t slots; /* keys of each writer: what it writes has room in the map */
	unsigned count;
	struct tandem_bench_writer list[TANDEM_BENCH_WRITERS_MAX];
	/* of writer 0, after the fault: a connection to each server */
	struct tandem_bench_kv tries[TANDEM_BENCH_SERVERS];
};

void tandem_bench_writers_init(struct tandem_bench_writers *writers,
                               const struct tandem_bench_failover_options *options);
void tandem_bench_writers_close(struct tandem_bench_writers *writers);

/* Connects all of them, and reads back the last acknowledged write of each. */
TANDEM_MUST_CHECK int tandem_bench_writers_join(struct tandem_bench_writers *writers,
                                                const struct sockaddr_in *server,
                                                struct tandem_error *reterr_error);
/* Data that stays where it is: long values that take at least so many bytes of the map. */
TANDEM_MUST_CHECK int tandem_bench_writers_fill(struct tandem_bench_writers *writers,
                                                uint64_t bytes, struct tandem_error *reterr_error);
/* All write until then; writes are under way when it returns. */
TANDEM_MUST_CHECK int tandem_bench_writers_write(struct tandem_bench_writers *writers,
                                                 uint64_t until_ns,
                                                 struct tandem_error *reterr_error);
/* After a fault: writer 0 tries both servers every TANDEM_BENCH_RETRY_NS until one
 * of them has given back its last acknowledged write and taken another one. The others are
 * disconnected. */
TANDEM_MUST_CHECK int tandem_bench_writers_try(struct tandem_bench_writers *writers,
                                               const struct sockaddr_in *servers,
                                               uint64_t *ret_reply_ns,
                                               struct tandem_error *reterr_error);
/* Writes with a reply, of all. */
uint64_t tandem_bench_writers_acknowledged(const struct tandem_bench_writers *writers);

#endif
