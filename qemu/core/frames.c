#include "core/frames.h"

#include <string.h>

#include "core/stream_internal.h"

static size_t read_head(const uint8_t head[TANDEM_QEMU_FRAME_HEAD_BYTES])
{
	struct tandem_reader reader = tandem_reader_over(head, TANDEM_QEMU_FRAME_HEAD_BYTES);

	return (size_t)tandem_qemu_read(&reader, TANDEM_QEMU_FRAME_HEAD_BYTES);
}

enum tandem_qemu_frame_word tandem_qemu_frame_take(const uint8_t *bytes, size_t length,
                                                   size_t *ret_length)
{
	if (length < TANDEM_QEMU_FRAME_HEAD_BYTES)
		return TANDEM_QEMU_FRAME_MORE;
	const size_t frame_bytes = read_head(bytes);
	if (frame_bytes <= TANDEM_QEMU_FRAME_BYTES_MAX &&
	    frame_bytes > length - TANDEM_QEMU_FRAME_HEAD_BYTES)
		return TANDEM_QEMU_FRAME_MORE;
	*ret_length = frame_bytes;
	return frame_bytes > TANDEM_QEMU_FRAME_BYTES_MAX ? TANDEM_QEMU_FRAME_FAULT
	                                                 : TANDEM_QEMU_FRAME_WHOLE;
}

void tandem_qemu_frame_head(size_t length, uint8_t ret_head[TANDEM_QEMU_FRAME_HEAD_BYTES])
{
	for (unsigned i = 0; i < TANDEM_QEMU_FRAME_HEAD_BYTES; i++)
		ret_head[i] = (uint8_t)(length >> 8 * (TANDEM_QEMU_FRAME_HEAD_BYTES - 1 - i));
}

/* How many of `length` bytes at a position come before the end of the room. */
static size_t before_end(const struct tandem_qemu_frames *frames, size_t at, size_t length)
{
	const size_t left = frames->room_bytes - at;

	return length < left ? length : left;
}

static void put(struct tandem_qemu_frames *frames, const uint8_t *bytes, size_t length)
{
	const size_t at = (size_t)(frames->end_at % frames->room_bytes);
	const size_t first = before_end(frames, at, length);

	memcpy(frames->room + at, bytes, first);
	memcpy(frames->room, bytes + first, length - first);
	frames->end_at += length;
}

static void get(const struct tandem_qemu_frames *frames, uint64_t position, uint8_t *ret_bytes,
                size_t length)
{
	const size_t at = (size_t)(position % frames->room_bytes);
	const size_t first = before_end(frames, at, length);

	memcpy(ret_bytes, frames->room + at, first);
	memcpy(ret_bytes + first, frames->room, length - first);
}

void tandem_qemu_frames_init(struct tandem_qemu_frames *frames, uint8_t *room, size_t room_bytes)
{
	*frames = (struct tandem_qemu_frames){.room = room, .room_bytes = room_bytes};
}

void tandem_qemu_frames_open(struct tandem_qemu_frames *frames)
{
	if (frames->has_mark)
		return;
	frames->is_open = true;
	frames->marked_at = frames->end_at;
	frames->free_at = frames->end_at;
}

void tandem_qemu_frames_leave(struct tandem_qemu_frames *frames)
{
	frames->has_mark = false;
	frames->ticket = 0;
	tandem_qemu_frames_open(frames);
}

/* One that lets everything go is nearly always empty, and has no use for most of its room. */
static void rewind_empty(struct tandem_qemu_frames *frames)
{
	if (frames->is_open && frames->sent_at == frames->end_at)
		frames->sent_at = frames->free_at = frames->marked_at = frames->end_at = 0;
}

void tandem_qemu_frames_add(struct tandem_qemu_frames *frames, const uint8_t *bytes, size_t length)
{
	rewind_empty(frames);
	const size_t room_bytes = frames->room_bytes - tandem_qemu_frames_held_bytes(frames);
	uint8_t head[TANDEM_QEMU_FRAME_HEAD_BYTES];

	if (length == 0 || length > TANDEM_QEMU_FRAME_BYTES_MAX ||
	    length + sizeof(head) > room_bytes) {
		frames->dropped_count++;
		return;
	}
	tandem_qemu_frame_head(length, head);
	put(frames, head, sizeof(head));
	put(frames, bytes, length);
	frames->taken_count++;
	if (frames->is_open)
		tandem_qemu_frames_open(frames);
}

void tandem_qemu_frames_mark(struct tandem_qemu_frames *frames)
{
	frames->is_open = false;
	frames->has_mark = true;
	frames->marked_at = frames->end_at;
	frames->ticket = 0;
}

void tandem_qemu_frames_promise(struct tandem_qemu_frames *frames, uint64_t ticket)
{
	if (frames->has_mark)
		frames->ticket = ticket;
}

void tandem_qemu_frames_release(struct tandem_qemu_frames *frames, uint64_t released_ticket)
{
	if (frames->ticket == 0 || released_ticket < frames->ticket)
		return;
	frames->free_at = frames->marked_at;
	frames->ticket = 0;
}

static size_t length_of_first(const struct tandem_qemu_frames *frames)
{
	uint8_t head[TANDEM_QEMU_FRAME_HEAD_BYTES];

	get(frames, frames->sent_at, head, sizeof(head));
	return read_head(head);
}

size_t tandem_qemu_frames_peek(const struct tandem_qemu_frames *frames, uint8_t *ret_bytes)
{
	if (frames->sent_at == frames->free_at)
		return 0;
	const size_t length = length_of_first(frames);
	get(frames, frames->sent_at + TANDEM_QEMU_FRAME_HEAD_BYTES, ret_bytes, length);
	return length;
}

void tandem_qemu_frames_pop(struct tandem_qemu_frames *frames)
{
	if (frames->sent_at != frames->free_at)
		frames->sent_at += TANDEM_QEMU_FRAME_HEAD_BYTES + length_of_first(frames);
}

size_t tandem_qemu_frames_held_bytes(const struct tandem_qemu_frames *frames)
{
	return (size_t)(frames->end_at - frames->sent_at);
}
