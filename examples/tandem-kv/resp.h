#ifndef TANDEM_KV_RESP_H
#define TANDEM_KV_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests of the Redis serialization protocol, version 2 (https://redis.io/docs/reference/
 * protocol-spec), arrays of bulk strings and inline commands. Pure: no I/O, no allocation. The
 * scanner only remembers where it is, so a request that trickles in costs no second look at what
 * came before. */

#define TANDEM_KV_ARGS_MAX    32768              /* arguments of one request */
#define TANDEM_KV_BULK_MAX    ((size_t)1 << 20)  /* bytes of one argument */
#define TANDEM_KV_REQUEST_MAX ((size_t)8 << 20)  /* bytes of one request */
#define TANDEM_KV_INLINE_MAX  ((size_t)64 << 10) /* bytes of an inline request */
#define TANDEM_KV_LINE_MAX    ((size_t)64)       /* bytes of a "*3" or "$5" line with its end */

struct tandem_kv_arg {
	const uint8_t *bytes; /* borrowed from the input or from the scratch area */
	size_t length;
};

/* Where split arguments go; the caller owns all of it and may share it between requests. */
struct tandem_kv_args {
	struct tandem_kv_arg *list;
	size_t count;
	size_t capacity;
	uint8_t *scratch; /* inline requests are unquoted into it */
	size_t scratch_used;
	size_t scratch_capacity;
};

/* All zero is the state before a request. */
struct tandem_kv_resp {
	size_t offset; /* bytes of the request that are understood */
	size_t args_left;
	size_t bulk_length;
	bool is_array; /* the "*N" line was read */
	bool is_bulk;  /* a "$N" line was read, its payload was not */
	char error[48];
};

enum tandem_kv_resp_result {
	TANDEM_KV_RESP_MORE,    /* the request is not complete yet */
	TANDEM_KV_RESP_REQUEST, /* complete; 0 arguments is an empty line, which gets no answer */
	TANDEM_KV_RESP_FULL,    /* complete, but `args` has no room: call again with an empty one */
	TANDEM_KV_RESP_ERROR,   /* resp->error says what; the stream cannot be read any further */
};

/* Looks for one request at `bytes`, which must begin where the request begins and hold what earlier
 * calls for the same request saw. On REQUEST appends to `args`, stores the request's length and is
 * ready for the next request; after any other answer the same call gives it again. Any bytes are
 * safe. */
enum tandem_kv_resp_result tandem_kv_resp_next(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                               size_t length, struct tandem_kv_args *args,
                                               size_t *ret_request_bytes);

#endif
