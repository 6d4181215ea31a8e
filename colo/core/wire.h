#ifndef TANDEM_WIRE_H
#define TANDEM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

/* What primary and secondary say to each other: control messages, and what lies in the slots.
 * docs/protocol.md, section C. Pure; any bytes are safe to decode. */
#define TANDEM_WIRE_VERSION  5u
#define TANDEM_TRAILER_BYTES 96u
#define TANDEM_REASON_BYTES  160u
#define TANDEM_NEEDS_BYTES   96u
#define TANDEM_DIGEST_BYTES  16u
#define TANDEM_DIGESTS_MAX   240u /* of one message */

enum tandem_wire_type {
	TANDEM_WIRE_HELLO = 1, /* primary: first message */
	TANDEM_WIRE_WELCOME,   /* secondary: the answer, after the exposures */
	TANDEM_WIRE_REFUSED,   /* secondary: the answer, then it ends the session */
	TANDEM_WIRE_PING,      /* primary: number */
	TANDEM_WIRE_PONG,      /* secondary: number, its generation, its last committed epoch */
	TANDEM_WIRE_COMMITTED, /* secondary: epoch */
	TANDEM_WIRE_APPLIED,   /* secondary: epoch; COMMITTED too, if that was not said before */
	TANDEM_WIRE_FENCE,     /* primary: channel mask, last sealed epoch */
	TANDEM_WIRE_FENCED,    /* secondary: the mask, its last committed epoch */
	TANDEM_WIRE_COMPARE,   /* primary: pages, by number and count */
	TANDEM_WIRE_DIGESTS,   /* secondary: the same pages, and a digest of each in the image */
};

struct tandem_wire_message {
	enum tandem_wire_type type;
	uint64_t generation; /* the sender's */
	uint64_t epoch;      /* HELLO: last known committed; WELCOME, PONG, FENCED: last committed;
	                        FENCE: last sealed; else the epoch */
	uint64_t number;     /* PING, PONG; APPLIED: nanoseconds of the newest apply that was
	                                not told of before, 0: none */
	uint64_t primary_incarnation;     /* HELLO: own; WELCOME: whose copy this is, 0 for none */
	uint64_t secondary_incarnation;   /* HELLO: who held the copy, 0 unknown; WELCOME: own */
	uint32_t channel_count;           /* HELLO */
	uint32_t stripe_pages;            /* HELLO */
	uint32_t channel_mask;            /* FENCE, FENCED */
	uint32_t state_bytes_max;         /* HELLO */
	int32_t code;                     /* REFUSED: TANDEM_E_* */
	bool is_fresh;                    /* WELCOME: cache and image are all zeros */
	char pair[TANDEM_NAME_BYTES];     /* HELLO */
	char reason[TANDEM_REASON_BYTES]; /* REFUSED */
	uint64_t first_page;              /* COMPARE, DIGESTS: global number */
	uint32_t page_count;              /* COMPARE, DIGESTS: 1 to TANDEM_DIGESTS_MAX */
	const uint8_t *digests; /* DIGESTS: page_count * TANDEM_DIGEST_BYTES; borrowed, when decoded
	                           from the message's bytes */
	struct tandem_region_table regions; /* HELLO */
	/* HELLO: what has to be at the secondary to go on with the copy, "" for nothing [C35] */
	char needs[TANDEM_NEEDS_BYTES];
};

/* All but the table and the needs of a HELLO, which are most of the struct: what is made for every
 * epoch need not touch them. */
#define TANDEM_WIRE_HEAD_BYTES offsetof(struct tandem_wire_message, regions.entries)

#define TANDEM_WIRE_BYTES_MAX 4096u

/* Bytes used of `ret_bytes` (TANDEM_WIRE_BYTES_MAX). */
size_t tandem_wire_encode(const struct tandem_wire_message *message, uint8_t *ret_bytes);
/* 0, TANDEM_E_PROTOCOL or TANDEM_E_VERSION. */
int tandem_wire_decode(const uint8_t *bytes, size_t length,
                       struct tandem_wire_message *ret_message);

/* The last word of a channel on an epoch [C13]. */
struct tandem_trailer {
	uint64_t generation;
	uint64_t epoch;
	uint64_t base; /* the last epoch the primary knows committed */
	uint32_t channel;
	uint32_t mask;        /* channels that were posted to since base; each seals */
	uint32_t run_count;   /* of this channel */
	uint32_t run_crc;     /* CRC32C over this channel's list of runs */
	uint64_t data_pages;  /* of this channel */
	uint32_t state_bytes; /* of the epoch's state blob */
	uint32_t state_crc;
};

void tandem_trailer_encode(const struct tandem_trailer *trailer, uint8_t *ret_bytes);
int tandem_trailer_decode(const uint8_t *bytes, struct tandem_trailer *ret_trailer);

enum tandem_run_kind {
	TANDEM_RUN_DATA = 1,
	TANDEM_RUN_ZERO = 2,
};

struct tandem_run {
	uint64_t first_page; /* global number */
	uint32_t page_count;
	enum tandem_run_kind kind;
};

void tandem_run_encode(const struct tandem_run *run, uint8_t *ret_bytes);
/* False unless the run lies inside one region and one stripe and begins at or after `*next_page`,
 * which becomes its end: so no page is twice in one list. */
bool tandem_run_decode(const struct tandem_layout *layout, const uint8_t *bytes,
                       uint64_t *next_page, struct tandem_run *ret_run);

#endif
