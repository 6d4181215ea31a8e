#ifndef TANDEM_TRANSPORT_HELLO_H
#define TANDEM_TRANSPORT_HELLO_H

#include <stdint.h>

/* The first bytes of each TCP connection, and the answer to them: docs/protocol.md, T2 and T3.
 * Pure codec, little-endian, fixed sizes; any bytes are safe to decode. */
#define TANDEM_HELLO_VERSION 1
#define TANDEM_HELLO_BYTES   32
#define TANDEM_ANSWER_BYTES  32

enum tandem_hello_kind {
	TANDEM_HELLO_CONTROL = 1, /* asks for a session of channel_count data channels; key is 0 */
	TANDEM_HELLO_DATA = 2,    /* joins the session that the control channel's answer named */
};

struct tandem_hello {
	enum tandem_hello_kind kind;
	unsigned channel; /* DATA */
	unsigned channel_count;
	uint64_t key;
};

enum tandem_verdict {
	TANDEM_VERDICT_JOINED = 1,
	TANDEM_VERDICT_VERSION = 2, /* the versions differ */
	TANDEM_VERDICT_KEY = 3,     /* no session is being joined under this key (any more) */
	TANDEM_VERDICT_CHANNEL = 4, /* the channel has joined already, or the counts differ */
	TANDEM_VERDICT_BUSY = 5,    /* the listening side cannot serve it now */
};

struct tandem_answer {
	enum tandem_verdict verdict;
	unsigned version; /* of the listening side */
	uint64_t key;     /* of the session */
};

enum tandem_hello_fault {
	TANDEM_HELLO_FAULT_NONE,
	TANDEM_HELLO_FAULT_MAGIC,
	TANDEM_HELLO_FAULT_VERSION,
	TANDEM_HELLO_FAULT_CHECKSUM,
	TANDEM_HELLO_FAULT_FIELD,
};

void tandem_hello_encode(const struct tandem_hello *hello, uint8_t *ret_bytes);
/* *ret_hello on NONE only; *ret_version on VERSION only. */
enum tandem_hello_fault tandem_hello_decode(const uint8_t *bytes, struct tandem_hello *ret_hello,
                                            unsigned *ret_version);

void tandem_answer_encode(const struct tandem_answer *answer, uint8_t *ret_bytes);
/* A version that differs is for the caller to judge, so that the verdict VERSION can be read. */
enum tandem_hello_fault tandem_answer_decode(const uint8_t *bytes,
                                             struct tandem_answer *ret_answer);

const char *tandem_hello_fault_text(enum tandem_hello_fault fault);
const char *tandem_verdict_text(enum tandem_verdict verdict);

#endif
