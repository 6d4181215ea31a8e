#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>

#include "core/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define ROOM_BYTES 97u
#define HELD_MAX   128u

/* What has to come out, and when: a plain list beside the queue under test. */
struct model {
	struct {
		const uint8_t *bytes;
		size_t length;
		uint64_t ticket; /* 0: not marked yet */
	} held[HELD_MAX];
	size_t count;
	size_t held_bytes;
	uint64_t last_ticket;
	uint64_t released_ticket;
};

struct bed {
	uint8_t room[ROOM_BYTES];
	struct tandem_qemu_frames frames;
	struct model model;
	bool is_open;
	bool has_mark;
};

static void add(struct bed *bed, const uint8_t *bytes, size_t length)
{
	struct model *model = &bed->model;
	const uint64_t dropped_count = bed->frames.dropped_count;
	const size_t needed_bytes = TANDEM_QEMU_FRAME_HEAD_BYTES + length;
	const bool fits = length > 0 && model->held_bytes + needed_bytes <= ROOM_BYTES;

	tandem_qemu_frames_add(&bed->frames, bytes, length);
	TANDEM_ASSERT((bed->frames.dropped_count == dropped_count) == fits);
	if (!fits)
		return;
	model->held[model->count].bytes = bytes;
	model->held[model->count].length = length;
	model->held[model->count].ticket = bed->is_open ? UINT64_MAX : 0; /* free */
	model->count++;
	model->held_bytes += needed_bytes;
}

/* An epoch that nobody promises. */
static void mark_in_vain(struct bed *bed)
{
	struct model *model = &bed->model;

	bed->is_open = false;
	bed->has_mark = true;
	for (size_t i = 0; i < model->count; i++) {
		if (model->held[i].ticket != UINT64_MAX &&
		    model->held[i].ticket > model->released_ticket)
			model->held[i].ticket = 0;
	}
	tandem_qemu_frames_mark(&bed->frames);
}

static void mark(struct bed *bed)
{
	struct model *model = &bed->model;

	bed->is_open = false;
	bed->has_mark = true;
	model->last_ticket++;
	for (size_t i = 0; i < model->count; i++) {
		if (model->held[i].ticket == 0 || (model->held[i].ticket != UINT64_MAX &&
		                                   model->held[i].ticket > model->released_ticket))
			model->held[i].ticket = model->last_ticket;
	}
	tandem_qemu_frames_mark(&bed->frames);
	tandem_qemu_frames_promise(&bed->frames, model->last_ticket);
}

static bool may_leave(const struct model *model)
{
	return model->count > 0 && model->held[0].ticket != 0 &&
	       (model->held[0].ticket == UINT64_MAX ||
	        model->held[0].ticket <= model->released_ticket);
}

/* Takes one out, if one may leave. */
static bool take(struct bed *bed)
{
	static uint8_t frame[TANDEM_QEMU_FRAME_BYTES_MAX];
	struct model *model = &bed->model;
	const size_t length = tandem_qemu_frames_peek(&bed->frames, frame);

	TANDEM_ASSERT((length > 0) == may_leave(model));
	if (length == 0)
		return false;
	TANDEM_ASSERT(length == model->held[0].length);
	TANDEM_ASSERT(memcmp(frame, model->held[0].bytes, length) == 0);
	tandem_qemu_frames_pop(&bed->frames);
	model->count--;
	model->held_bytes -= TANDEM_QEMU_FRAME_HEAD_BYTES + length;
	memmove(model->held, model->held + 1, model->count * sizeof(model->held[0]));
	return true;
}

static void open_all(struct bed *bed)
{
	struct model *model = &bed->model;

	tandem_qemu_frames_open(&bed->frames);
	if (bed->has_mark)
		return;
	bed->is_open = true;
	for (size_t i = 0; i < model->count; i++)
		model->held[i].ticket = UINT64_MAX;
}

/* What else happens, by a byte of the frame that came. */
static void happen(struct bed *bed, uint8_t what)
{
	switch (what % 8) {
	case 0:
		mark(bed);
		break;
	case 1:
		bed->model.released_ticket = bed->model.last_ticket;
		tandem_qemu_frames_release(&bed->frames, bed->model.released_ticket);
		break;
	case 2: /* of an earlier one */
		tandem_qemu_frames_release(&bed->frames, bed->model.released_ticket);
		break;
	case 3:
		(void)take(bed);
		break;
	case 4:
		while (take(bed))
			;
		break;
	case 5:
		open_all(bed);
		break;
	case 6:
		mark_in_vain(bed);
		break;
	default:
		break;
	}
	TANDEM_ASSERT(tandem_qemu_frames_held_bytes(&bed->frames) == bed->model.held_bytes);
	TANDEM_ASSERT(bed->model.held_bytes <= ROOM_BYTES);
}

/* Any bytes are safe; no frame leaves early, changed or out of order, and none that had room is
 * lost. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct bed bed;
	size_t used = 0, frame_bytes = 0;

	memset(&bed, 0, sizeof(bed));
	tandem_qemu_frames_init(&bed.frames, bed.room, sizeof(bed.room));
	for (;;) {
		const enum tandem_qemu_frame_word word =
		        tandem_qemu_frame_take(bytes + used, length - used, &frame_bytes);

		if (word == TANDEM_QEMU_FRAME_FAULT)
			TANDEM_ASSERT(frame_bytes > TANDEM_QEMU_FRAME_BYTES_MAX);
		if (word != TANDEM_QEMU_FRAME_WHOLE)
			break;
		used += TANDEM_QEMU_FRAME_HEAD_BYTES;
		TANDEM_ASSERT(frame_bytes <= length - used);
		add(&bed, bytes + used, frame_bytes);
		if (frame_bytes > 0)
			happen(&bed, bytes[used]);
		used += frame_bytes;
	}
	return 0;
}
