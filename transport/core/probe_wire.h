#ifndef TANDEM_PROBE_WIRE_H
#define TANDEM_PROBE_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* [P1], [P2], [P3]: the messages of a probe. Pure; any bytes are safe to decode. */
#define TANDEM_PROBE_BYTES      160u
#define TANDEM_PROBE_PAIR_BYTES 32u

enum tandem_probe_type {
	TANDEM_PROBE_ASK = 1, /* pair: instead of HELLO */
	TANDEM_PROBE_READY,   /* the scratch memory is exposed */
	TANDEM_PROBE_REFUSED, /* text says why, number is 1 for "not now"; the session ends */
	TANDEM_PROBE_ECHO,    /* number: comes back as it is */
	TANDEM_PROBE_ARRIVED, /* number: a notify with this immediate has arrived */
};

struct tandem_probe_message {
	enum tandem_probe_type type;
	uint64_t number;
	char pair[TANDEM_PROBE_PAIR_BYTES];
	char text[96];
};

/* Exactly TANDEM_PROBE_BYTES. Texts without an end are our own mistake. */
void tandem_probe_encode(const struct tandem_probe_message *message, uint8_t *ret_bytes);
/* 0, TANDEM_E_VERSION, or TANDEM_E_PROTOCOL: these bytes are no message of a probe. */
int tandem_probe_decode(const void *bytes, size_t length, struct tandem_probe_message *ret_message);

#endif
