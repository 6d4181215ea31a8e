#ifndef TANDEM_TRANSPORT_HELLO_H
#define TANDEM_TRANSPORT_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "core/handshake.h"

/* The first bytes of each TCP connection, the answer to them, and the proof that follows on a
 * control connection: docs/protocol.md, T2, T3, S2, S4. Pure codec, little-endian, fixed sizes; any
 * bytes are safe to decode. */
#define TANDEM_HELLO_VERSION     2
#define TANDEM_HELLO_BYTES       64
#define TANDEM_ANSWER_BYTES      64
#define TANDEM_PROOF_FRAME_BYTES 32
/* Magic and version, which every version begins with. */
#define TANDEM_HELLO_BEGIN_BYTES 6

enum tandem_hello_kind {
	TANDEM_HELLO_CONTROL = 1, /* asks for a session of channel_count data channels */
	TANDEM_HELLO_DATA = 2,    /* joins the session that the control channel's answer named */
};

struct tandem_hello {
	enum tandem_hello_kind kind;
	unsigned channel_count;
	uint8_t key_id[TANDEM_KEY_ID_BYTES]; /* CONTROL */
	uint8_t nonce[TANDEM_NONCE_BYTES];   /* CONTROL */
	uint64_t session_id;                 /* DATA, not 0 */
	unsigned channel;                    /* DATA */
	uint32_t attempt;                    /* DATA, 1 and more */
	uint8_t token[TANDEM_TOKEN_BYTES];   /* DATA */
};

/* name, value, text */
#define TANDEM_VERDICT_TABLE(X)                                                                    \
	X(JOINED, 1, "joined")                                                                     \
	X(VERSION, 2, "the versions differ")                                                       \
	X(KEY, 3, "the peer holds another key for this pair (key_file differs)")                   \
	X(SESSION, 4, "there is no such session (any more)")                                       \
	X(TOKEN, 5, "the token is not of this session, channel and attempt")                       \
	X(CHANNEL, 6, "the channel is up, or lost and not fenced, or not of this session")         \
	X(ATTEMPT, 7, "the attempt is not above those before")                                     \
	X(BUSY, 8, "the listening side cannot serve it now")

enum tandem_verdict {
#define X(name, value, text) TANDEM_VERDICT_##name = value,
	TANDEM_VERDICT_TABLE(X)
#undef X
};

struct tandem_answer {
	enum tandem_verdict verdict;
	unsigned version; /* of the listening side; what is decoded has ours */
	/* All zeros unless JOINED. */
	uint64_t session_id;
	uint8_t nonce[TANDEM_NONCE_BYTES]; /* to a CONTROL hello, zeros to a DATA one */
	uint8_t proof[TANDEM_PROOF_BYTES]; /* to a DATA hello the answer's token */
};

enum tandem_hello_fault {
	TANDEM_HELLO_FAULT_NONE,
	TANDEM_HELLO_FAULT_MAGIC,
	TANDEM_HELLO_FAULT_VERSION,
	TANDEM_HELLO_FAULT_CHECKSUM,
	TANDEM_HELLO_FAULT_FIELD,
};

void tandem_hello_encode(const struct tandem_hello *hello, uint8_t *ret_bytes);
/* MAGIC, VERSION or NONE from the first TANDEM_HELLO_BEGIN_BYTES, so that who speaks another
 * version need not have the same size. *ret_version on VERSION only. */
enum tandem_hello_fault tandem_hello_peek(const uint8_t *bytes, unsigned *ret_version);
/* *ret_hello on NONE only; *ret_version on VERSION only. */
enum tandem_hello_fault tandem_hello_decode(const uint8_t *bytes, struct tandem_hello *ret_hello,
                                            unsigned *ret_version);

void tandem_answer_encode(const struct tandem_answer *answer, uint8_t *ret_bytes);
enum tandem_hello_fault tandem_answer_peek(const uint8_t *bytes, unsigned *ret_version);
/* As the hello. */
enum tandem_hello_fault tandem_answer_decode(const uint8_t *bytes, struct tandem_answer *ret_answer,
                                             unsigned *ret_version);

/* [S2] The connecting side's proof, the first that follows the answer on a control connection. */
void tandem_proof_encode(const uint8_t proof[TANDEM_PROOF_BYTES], uint8_t *ret_bytes);
enum tandem_hello_fault tandem_proof_decode(const uint8_t *bytes,
                                            uint8_t ret_proof[TANDEM_PROOF_BYTES]);

const char *tandem_hello_fault_text(enum tandem_hello_fault fault);
const char *tandem_verdict_text(enum tandem_verdict verdict);

#endif
