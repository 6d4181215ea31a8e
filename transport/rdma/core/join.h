#ifndef TANDEM_RDMA_JOIN_H
#define TANDEM_RDMA_JOIN_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

/* [T2] The hello: what travels in the private data of rdma_cm's connect request, accept and reject.
 * Pure. The smallest room rdma_cm gives is the 56 bytes of a request; the receiver may see more
 * than was sent, padded with zeros. */
#define TANDEM_RDMA_JOIN_BYTES   24
#define TANDEM_RDMA_JOIN_VERSION 1

enum tandem_rdma_join_kind {
	TANDEM_RDMA_JOIN_CONTROL = 1, /* request: a new session; the key is 0 */
	TANDEM_RDMA_JOIN_DATA,        /* request: data channel `channel` of session `key` */
	TANDEM_RDMA_JOIN_ACCEPT,      /* answer: `key` is what the listener chose */
	TANDEM_RDMA_JOIN_REJECT,      /* answer: `reason` */
};

#define TANDEM_RDMA_REJECT_TABLE(X)                                                                \
	X(MALFORMED, "the request was not understood")                                             \
	X(VERSION, "the protocol version differs")                                                 \
	X(UNKNOWN_KEY, "no such session is joining (late, or never was)")                          \
	X(DUPLICATE, "the channel has joined before")                                              \
	X(CHANNEL, "the session has no such channel")                                              \
	X(FULL, "too many sessions are half joined")                                               \
	X(DEVICE, "the listener's device failed")

enum tandem_rdma_reject_reason {
	TANDEM_RDMA_REJECT_NONE,
#define X(name, text) TANDEM_RDMA_REJECT_##name,
	TANDEM_RDMA_REJECT_TABLE(X)
#undef X
	        TANDEM_RDMA_REJECT_END,
};

struct tandem_rdma_join {
	enum tandem_rdma_join_kind kind;
	enum tandem_rdma_reject_reason reason; /* REJECT */
	unsigned channel;                      /* DATA */
	unsigned channel_count;                /* CONTROL and DATA */
	uint64_t key;                          /* DATA and ACCEPT, never 0 */
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
