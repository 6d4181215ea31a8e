#ifndef TANDEM_TCP_STRANGER_H
#define TANDEM_TCP_STRANGER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/handshake.h"
#include "core/hello.h"
#include "tcp/address.h"

/* T2, T4, S2. A connection that came to a listener and has not proven itself. It is told no secret
 * and nothing it says is believed but what its proof covers. */
enum tandem_tcp_stranger_state {
	TANDEM_TCP_STRANGER_NONE,    /* the place is free */
	TANDEM_TCP_STRANGER_HELLO,   /* its hello is not whole */
	TANDEM_TCP_STRANGER_PROOF,   /* control: answered; its proof is not whole */
	TANDEM_TCP_STRANGER_PROVEN,  /* control: a session may be made of it */
	TANDEM_TCP_STRANGER_WAITING, /* data: its hello is whole; the session decides */
};

struct tandem_tcp_stranger {
	enum tandem_tcp_stranger_state state;
	int fd; /* -1: the place is free */
	unsigned rail;
	uint64_t deadline_ns;
	struct tandem_tcp_address peer;
	uint8_t bytes[TANDEM_HELLO_BYTES]; /* hello or proof under way */
	size_t bytes_count;
	struct tandem_hello hello;
	struct tandem_transcript transcript; /* control, once answered, and what follows */
	struct tandem_secrets secrets;
	unsigned key_index;
};

/* Reads on. 0: it goes on or has come to another state; else why it must be dropped. */
TANDEM_MUST_CHECK int tandem_tcp_stranger_hear(struct tandem_tcp_stranger *stranger,
                                               const struct tandem_key *keys, unsigned key_count,
                                               struct tandem_error *reterr_error);
/* Tells it the verdict; gives the error to drop it with. */
int tandem_tcp_stranger_refuse(struct tandem_tcp_stranger *stranger, enum tandem_verdict verdict,
                               struct tandem_error *reterr_error);
/* Closes it and puts its address before the error; gives `code`. */
int tandem_tcp_stranger_drop(struct tandem_tcp_stranger *stranger, int code,
                             struct tandem_error *reterr_error);
/* What it owes when its time has passed; gives the error to drop it with. */
int tandem_tcp_stranger_expire(const struct tandem_tcp_stranger *stranger,
                               struct tandem_error *reterr_error);

#endif
