#ifndef TANDEM_TCP_OUTBOX_H
#define TANDEM_TCP_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

#include "core/extent.h"

/* What the kernel has not taken whole yet of one connection: T8. An entry is a frame, or one of the
 * writes of a BATCH. */
struct tandem_tcp_outbox_entry {
	const uint8_t *payload; /* borrowed until the entry has left */
	uint32_t payload_bytes;
	uint32_t extent_count; /* of the BATCH that begins here */
	uint32_t head_bytes;   /* header and table; 0 inside a BATCH */
	uint64_t posted_ns;
	uint8_t header[TANDEM_FRAME_BYTES];
	uint8_t tag[TANDEM_TAG_BYTES]; /* of a signed one, behind the payload */
};

struct tandem_tcp_outbox {
	struct tandem_tcp_outbox_entry *entries;
	uint8_t (*extents)[TANDEM_EXTENT_BYTES]; /* one place an entry; a BATCH's make its table */
	unsigned capacity;
	unsigned first;
	unsigned count;
	unsigned payload_count;  /* entries that have a payload */
	size_t first_sent_bytes; /* of the first entry, its head counted */
	uint64_t sequence;       /* of the next frame */
	uint64_t pending_bytes;
	bool may_linger;      /* the last frame is of no use before a later one */
	bool is_blocked;      /* the kernel took less than it was given; cleared when it has room */
	uint64_t moved_at_ns; /* when bytes last moved, or were first waited for */
	const struct tandem_secrets *secrets; /* [S3] of the control connection, else NULL */
	bool is_listening_side;
	uint32_t tag_bytes; /* behind each frame */
};

/* Errors: TANDEM_E_MEMORY. */
int tandem_tcp_outbox_init(struct tandem_tcp_outbox *outbox, unsigned capacity);
void tandem_tcp_outbox_done(struct tandem_tcp_outbox *outbox);

/* Every frame carries a tag from now on, which its payload must be there for; borrows the secrets.
 * Not for batches. */
void tandem_tcp_outbox_sign(struct tandem_tcp_outbox *outbox, const struct tandem_secrets *secrets,
                            bool is_listening_side);
/* Numbers and queues `frame` with `frame->length` bytes of `payload`; false when full. */
bool tandem_tcp_outbox_add(struct tandem_tcp_outbox *outbox, struct tandem_frame *frame,
                           const void *payload, uint64_t now_ns);
/* The same with writes to one memory that begin a list, as one frame: `frame` names memory and key.
 * How many were taken; 0 when full. */
unsigned tandem_tcp_outbox_add_batch(struct tandem_tcp_outbox *outbox, struct tandem_frame *frame,
                                     const struct tandem_write *writes, unsigned count,
                                     uint64_t now_ns);
/* Gives the kernel what it takes, about `budget_bytes` at most. 0, or the errno that ended the
 * connection. */
int tandem_tcp_outbox_flush(struct tandem_tcp_outbox *outbox, int fd, size_t budget_bytes,
                            uint64_t now_ns);
/* Whether a flush now is worth its call of the kernel. */
bool tandem_tcp_outbox_is_ripe(const struct tandem_tcp_outbox *outbox);
/* When the oldest entry was added; 0 when there is none. */
uint64_t tandem_tcp_outbox_oldest_ns(const struct tandem_tcp_outbox *outbox);
/* Forgets everything queued; the next frame is a connection's first. */
void tandem_tcp_outbox_clear(struct tandem_tcp_outbox *outbox);

#endif
