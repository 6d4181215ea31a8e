#ifndef TANDEM_QEMU_FRAMES_H
#define TANDEM_QEMU_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the card of a guest sends, as `-netdev stream` hands it over, and how it is held until its
 * epoch is committed (DESIGN R1). Pure. Source: QEMU 7.2 to 11.1, net/stream.c and
 * include/net/net.h (NET_BUFSIZE). */
#define TANDEM_QEMU_FRAME_HEAD_BYTES 4u /* its length, big-endian */
#define TANDEM_QEMU_FRAME_BYTES_MAX  (65536u + 4096u)

enum tandem_qemu_frame_word {
	TANDEM_QEMU_FRAME_MORE,  /* more bytes are needed */
	TANDEM_QEMU_FRAME_WHOLE, /* one frame is there */
	TANDEM_QEMU_FRAME_FAULT, /* no frame is that long: the stream is of no use any more */
};

/* Looks for the frame that begins at `bytes`; any bytes are safe. WHOLE: the frame has *ret_length
 * bytes behind its head. FAULT: *ret_length is what it would have. */
enum tandem_qemu_frame_word tandem_qemu_frame_take(const uint8_t *bytes, size_t length,
                                                   size_t *ret_length);
void tandem_qemu_frame_head(size_t length, uint8_t ret_head[TANDEM_QEMU_FRAME_HEAD_BYTES]);

/* Frames in the order in which they came, in a ring of the caller's. Positions count bytes from the
 * last time when it was open and empty: sent_at <= free_at <= marked_at <= end_at. */
struct tandem_qemu_frames {
	uint8_t *room;
	size_t room_bytes;
	bool is_open;       /* what comes may leave */
	bool has_mark;      /* there was one */
	uint64_t ticket;    /* that lets go what is marked; 0: none does */
	uint64_t sent_at;   /* what is before has left */
	uint64_t free_at;   /* what is before may leave */
	uint64_t marked_at; /* what is before may leave when the ticket is released */
	uint64_t end_at;
	uint64_t taken_count;
	uint64_t dropped_count; /* there was no room, or nothing in them */
};

/* Borrows `room`. Everything is held. */
void tandem_qemu_frames_init(struct tandem_qemu_frames *frames, uint8_t *room, size_t room_bytes);
/* All that is there may leave, and what comes may until the first mark; no effect after that. */
void tandem_qemu_frames_open(struct tandem_qemu_frames *frames);
/* Nobody else goes on with the guest any more: as above, whatever was marked. */
void tandem_qemu_frames_leave(struct tandem_qemu_frames *frames);
/* Adds a frame behind all others; the newest are dropped when there is no room. */
void tandem_qemu_frames_add(struct tandem_qemu_frames *frames, const uint8_t *bytes, size_t length);
/* An epoch ends here: all that is there may leave when the ticket is released that is promised
 * next. What an earlier ticket was to let go waits for that one, too. */
void tandem_qemu_frames_mark(struct tandem_qemu_frames *frames);
/* The last mark's epoch has `ticket`. */
void tandem_qemu_frames_promise(struct tandem_qemu_frames *frames, uint64_t ticket);
/* Tickets up to this one are released. */
void tandem_qemu_frames_release(struct tandem_qemu_frames *frames, uint64_t released_ticket);
/* The oldest frame, copied to ret_bytes (TANDEM_QEMU_FRAME_BYTES_MAX), if it may leave: its length.
 * 0: none may. It stays until it is popped. */
size_t tandem_qemu_frames_peek(const struct tandem_qemu_frames *frames, uint8_t *ret_bytes);
void tandem_qemu_frames_pop(struct tandem_qemu_frames *frames);
/* How many bytes of the room are in use. */
size_t tandem_qemu_frames_held_bytes(const struct tandem_qemu_frames *frames);

#endif
