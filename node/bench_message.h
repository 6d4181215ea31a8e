#ifndef TANDEM_BENCH_MESSAGE_H
#define TANDEM_BENCH_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "bench_load.h"

/* What the two sides of `tandem-bench transport` say to each other, as control messages. Pure. */
#define TANDEM_BENCH_MESSAGE_BYTES 320
#define TANDEM_BENCH_DETAIL_BYTES  256

enum tandem_bench_message_kind {
	TANDEM_BENCH_SETUP = 1, /* sender: make this memory */
	TANDEM_BENCH_READY,     /* receiver: answer to SETUP and START */
	TANDEM_BENCH_REFUSED,   /* receiver: answer to SETUP, with the reason */
	TANDEM_BENCH_START,     /* sender: count CPU from here */
	TANDEM_BENCH_COMMITTED, /* receiver: `number` has arrived on every channel of its mask */
	TANDEM_BENCH_FINISH,    /* sender: count CPU up to here */
	TANDEM_BENCH_RESULT,    /* receiver: answer to FINISH */
};

struct tandem_bench_message {
	enum tandem_bench_message_kind kind;
	uint64_t number;                        /* COMMITTED */
	struct tandem_bench_load load;          /* SETUP; without a list */
	unsigned channel_count;                 /* SETUP */
	uint64_t cpu_ns;                        /* RESULT */
	uint32_t crc32c;                        /* RESULT: of what the load names */
	char detail[TANDEM_BENCH_DETAIL_BYTES]; /* REFUSED */
};

size_t tandem_bench_message_encode(const struct tandem_bench_message *message,
                                   uint8_t ret_bytes[TANDEM_BENCH_MESSAGE_BYTES]);
/* Errors: TANDEM_E_PROTOCOL, TANDEM_E_VERSION. */
TANDEM_MUST_CHECK int tandem_bench_message_decode(const uint8_t *bytes, size_t length,
                                                  struct tandem_bench_message *ret_message,
                                                  struct tandem_error *reterr_error);

/* The last write of an epoch on a channel. */
#define TANDEM_BENCH_TRAILER_BYTES 64
#define TANDEM_BENCH_TRAILERS_SIZE 4096 /* a slot for each channel, twice, by parity */

struct tandem_bench_trailer {
	uint64_t number;
	uint32_t channel_mask; /* who else seals it */
};

/* Where the trailer of a channel stands in either side's trailers. */
size_t tandem_bench_trailer_offset(uint64_t number, unsigned channel);
void tandem_bench_trailer_encode(const struct tandem_bench_trailer *trailer,
                                 uint8_t ret_bytes[TANDEM_BENCH_TRAILER_BYTES]);
struct tandem_bench_trailer tandem_bench_trailer_decode(
        const uint8_t bytes[TANDEM_BENCH_TRAILER_BYTES]);

#endif
