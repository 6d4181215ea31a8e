#ifndef TANDEM_RDMA_JOIN_H
#define TANDEM_RDMA_JOIN_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

#include "core/handshake.h"

/* [T2] The hello: what travels in the private data of rdma_cm's connect request, accept and reject.
 * Pure. The smallest room rdma_cm gives is the 56 bytes of a request; the receiver may see more
 * than was sent, padded with zeros. */
#define TANDEM_RDMA_JOIN_BYTES   56
#define TANDEM_RDMA_JOIN_VERSION 3

enum tandem_rdma_join_kind {
	TANDEM_RDMA_JOIN_CONTROL = 1,    /* request: a new session */
	TANDEM_RDMA_JOIN_DATA,           /* request: a data channel of a session */
	TANDEM_RDMA_JOIN_ACCEPT_CONTROL, /* answer */
	TANDEM_RDMA_JOIN_ACCEPT_DATA,    /* answer */
	TANDEM_RDMA_JOIN_REJECT,         /* answer: `reason` */
};

#define TANDEM_RDMA_REJECT_TABLE(X)                                                                \
	X(MALFORMED, "the request was not understood")                                             \
	X(VERSION, "the protocol version differs")                                                 \
	X(KEY, "it does not hold this key")                                                        \
	X(SESSION, "it has no such session (any more)")                                            \
	X(CHANNEL, "the session has no such channel")                                              \
	X(TOKEN, "the token is not the session's, or was used before")                             \
	X(NOT_DOWN, "the channel is up, or was lost and is not fenced yet")                        \
	X(FULL, "too many are joining, or too little was taken of what arrived")                   \
	X(DEVICE, "its device failed")

enum tandem_rdma_reject_reason {
	TANDEM_RDMA_REJECT_NONE,
#define X(name, text) TANDEM_RDMA_REJECT_##name,
	TANDEM_RDMA_REJECT_TABLE(X)
#undef X
	        TANDEM_RDMA_REJECT_END,
};

/* What is not of its kind is 0. */
struct tandem_rdma_join {
	enum tandem_rdma_join_kind kind;
	enum tandem_rdma_reject_reason reason; /* REJECT */
	unsigned channel;                      /* DATA */
	unsigned channel_count;                /* CONTROL and DATA */
	uint8_t key_id[TANDEM_KEY_ID_BYTES];   /* CONTROL */
	uint8_t nonce[TANDEM_NONCE_BYTES];     /* CONTROL and ACCEPT_CONTROL: of who sends it */
	uint64_t session_id;                   /* DATA and ACCEPT_CONTROL, never 0 */
	uint8_t proof[TANDEM_PROOF_BYTES];     /* ACCEPT_CONTROL */
	uint32_t attempt;                      /* DATA, never 0 */
	uint8_t token[TANDEM_TOKEN_BYTES];     /* DATA and ACCEPT_DATA */
};

void tandem_rdma_join_encode(const struct tandem_rdma_join *join,
                             uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES]);

/* 0, TANDEM_E_VERSION (the magic is ours, the version is not), or TANDEM_E_PROTOCOL. */
TANDEM_MUST_CHECK int tandem_rdma_join_decode(const void *bytes, size_t length,
                                              struct tandem_rdma_join *ret_join);

/* The version that the bytes name; 0 where they are not ours. */
unsigned tandem_rdma_join_version(const void *bytes, size_t length);

/* Never NULL. */
const char *tandem_rdma_reject_text(enum tandem_rdma_reject_reason reason);

#endif
