#ifndef TANDEM_RDMA_MESSAGE_H
#define TANDEM_RDMA_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

#include "core/handshake.h"

/* [S3] Messages of the control channel: a header, then the payload. Pure. */
#define TANDEM_RDMA_HEADER_BYTES 40
#define TANDEM_RDMA_SLOT_BYTES   (TANDEM_RDMA_HEADER_BYTES + TANDEM_MESSAGE_BYTES_MAX)

/* Where the device puts what the peer writes: at most this many pieces a memory (4 TiB), and so
 * many in all [S5]. */
#define TANDEM_RDMA_PIECES_MAX     16384
#define TANDEM_RDMA_PIECES_ALL_MAX 65536
/* Pieces that one message names. */
#define TANDEM_RDMA_EXPOSE_PIECES_MAX 679

enum tandem_rdma_message_kind {
	TANDEM_RDMA_MESSAGE_USER = 1, /* for the caller */
	TANDEM_RDMA_MESSAGE_EXPOSE,   /* pieces of a memory that the receiver may write */
	TANDEM_RDMA_MESSAGE_CREDIT,   /* what the sender of this has taken so far */
	TANDEM_RDMA_MESSAGE_PROOF,    /* the connecting side's, its first message */
	TANDEM_RDMA_MESSAGE_CHANNEL,  /* what became of a data channel */
	TANDEM_RDMA_MESSAGE_BEAT,     /* [T18] where the sender's beat is; once */
	TANDEM_RDMA_MESSAGE_END,
};

struct tandem_rdma_header {
	enum tandem_rdma_message_kind kind;
	uint64_t sequence; /* 1, 2, 3 of this direction */
	uint32_t payload_bytes;
};

/* Who sends it: the tag is under its key. */
struct tandem_rdma_sealer {
	const struct tandem_secrets *secrets;
	bool is_from_listening_side;
};

/* Writes the header before a payload that already stands at slot + TANDEM_RDMA_HEADER_BYTES and
 * gives the length of both. */
size_t tandem_rdma_message_seal(uint8_t *slot, const struct tandem_rdma_header *header,
                                const struct tandem_rdma_sealer *sealer);

/* NULL and *ret_header filled, or what is wrong with the `length` bytes that arrived. */
const char *tandem_rdma_message_open(const uint8_t *slot, size_t length, uint64_t expected_sequence,
                                     const struct tandem_rdma_sealer *sealer,
                                     struct tandem_rdma_header *ret_header);

/* A memory is pieces of `piece_bytes`, the last may be shorter; they are named in order, for each
 * data channel its own. */
struct tandem_rdma_expose {
	unsigned memory_id;
	unsigned channel;
	uint32_t attempt; /* of that channel */
	uint32_t first_piece;
	uint32_t piece_count;
	uint64_t total_bytes;
	uint64_t piece_bytes;
};

struct tandem_rdma_piece {
	uint64_t address;
	uint32_t key;
};

/* Payload bytes written. `pieces` has expose->piece_count entries. */
size_t tandem_rdma_expose_encode(const struct tandem_rdma_expose *expose,
                                 const struct tandem_rdma_piece *pieces, uint8_t *ret_payload);
/* NULL, or what is wrong. */
const char *tandem_rdma_expose_decode(const uint8_t *payload, size_t length,
                                      struct tandem_rdma_expose *ret_expose);
/* Piece number `index` of this message; the payload has passed tandem_rdma_expose_decode. */
struct tandem_rdma_piece tandem_rdma_expose_piece(const uint8_t *payload, uint32_t index);
/* How many pieces `total_bytes` make; 0 where that is not allowed. */
uint32_t tandem_rdma_expose_piece_count(uint64_t total_bytes, uint64_t piece_bytes);

/* Totals since the session began, and of a data channel since its attempt began, so that a credit
 * says all and none depends on another. */
struct tandem_rdma_credit {
	uint64_t message_count; /* all but CREDIT, taken */
	unsigned channel_count;
	uint32_t attempts[TANDEM_CHANNELS_MAX];
	uint64_t notify_counts[TANDEM_CHANNELS_MAX];
};

size_t tandem_rdma_credit_encode(const struct tandem_rdma_credit *credit, uint8_t *ret_payload);
const char *tandem_rdma_credit_decode(const uint8_t *payload, size_t length, unsigned channel_count,
                                      struct tandem_rdma_credit *ret_credit);

enum tandem_rdma_channel_news_kind {
	TANDEM_RDMA_CHANNEL_READY = 1, /* from the listening side: all keys were told */
	TANDEM_RDMA_CHANNEL_ENDED,     /* [T15] the sender's end is no more */
};

struct tandem_rdma_channel_news {
	enum tandem_rdma_channel_news_kind kind;
	unsigned channel;
	uint32_t attempt;
};

size_t tandem_rdma_channel_news_encode(const struct tandem_rdma_channel_news *news,
                                       uint8_t *ret_payload);
const char *tandem_rdma_channel_news_decode(const uint8_t *payload, size_t length,
                                            unsigned channel_count,
                                            struct tandem_rdma_channel_news *ret_news);

/* A word of 8 bytes at a multiple of 8. */
size_t tandem_rdma_beat_encode(const struct tandem_rdma_piece *word, uint8_t *ret_payload);
const char *tandem_rdma_beat_decode(const uint8_t *payload, size_t length,
                                    struct tandem_rdma_piece *ret_word);

#endif
