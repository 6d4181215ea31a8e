#include <criterion/criterion.h>

#include <string.h>

#include "core/frames.h"

#define ROOM_BYTES 64u

/* A queue, and what has left it: the first byte of each frame. */
struct bed {
	uint8_t room[ROOM_BYTES];
	struct tandem_qemu_frames frames;
	char left[64];
};

static struct bed *make(void)
{
	static struct bed bed;

	memset(&bed, 0, sizeof(bed));
	tandem_qemu_frames_init(&bed.frames, bed.room, sizeof(bed.room));
	return &bed;
}

static void add(struct bed *bed, char name, size_t length)
{
	uint8_t bytes[ROOM_BYTES];

	memset(bytes, name, sizeof(bytes));
	tandem_qemu_frames_add(&bed->frames, bytes, length);
}

static void mark(struct bed *bed, uint64_t ticket)
{
	tandem_qemu_frames_mark(&bed->frames);
	tandem_qemu_frames_promise(&bed->frames, ticket);
}

static const char *drain(struct bed *bed)
{
	uint8_t frame[TANDEM_QEMU_FRAME_BYTES_MAX];
	size_t count = 0, length;

	while ((length = tandem_qemu_frames_peek(&bed->frames, frame)) > 0) {
		for (size_t i = 0; i < length; i++)
			cr_assert_eq(frame[i], frame[0], "byte %zu", i);
		bed->left[count++] = (char)frame[0];
		tandem_qemu_frames_pop(&bed->frames);
	}
	bed->left[count] = 0;
	return bed->left;
}

Test(frames, a_frame_is_whole_when_its_last_byte_is_there)
{
	const uint8_t bytes[] = {0, 0, 0, 2, 'a', 'b', 9};
	size_t length = 0;

	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(tandem_qemu_frame_take(bytes, i, &length), TANDEM_QEMU_FRAME_MORE,
		             "%zu bytes", i);
	cr_assert_eq(tandem_qemu_frame_take(bytes, 6, &length), TANDEM_QEMU_FRAME_WHOLE);
	cr_assert_eq(length, 2);
	cr_assert_eq(tandem_qemu_frame_take(bytes, 7, &length), TANDEM_QEMU_FRAME_WHOLE);
	cr_assert_eq(length, 2);
}

Test(frames, a_length_that_no_frame_has_is_a_fault_at_once)
{
	uint8_t head[TANDEM_QEMU_FRAME_HEAD_BYTES];
	size_t length = 0;

	tandem_qemu_frame_head(TANDEM_QEMU_FRAME_BYTES_MAX, head);
	cr_assert_eq(tandem_qemu_frame_take(head, sizeof(head), &length), TANDEM_QEMU_FRAME_MORE);
	tandem_qemu_frame_head(TANDEM_QEMU_FRAME_BYTES_MAX + 1, head);
	cr_assert_eq(tandem_qemu_frame_take(head, sizeof(head), &length), TANDEM_QEMU_FRAME_FAULT);
	cr_assert_eq(length, TANDEM_QEMU_FRAME_BYTES_MAX + 1);
}

Test(frames, nothing_leaves_before_its_ticket_is_released)
{
	struct bed *bed = make();

	add(bed, 'a', 3);
	tandem_qemu_frames_release(&bed->frames, UINT64_MAX);
	cr_assert_str_eq(drain(bed), "", "no epoch was marked");
	mark(bed, 7);
	add(bed, 'b', 3);
	tandem_qemu_frames_release(&bed->frames, 6);
	cr_assert_str_eq(drain(bed), "", "another ticket");
	tandem_qemu_frames_release(&bed->frames, 7);
	cr_assert_str_eq(drain(bed), "a", "the epoch after it is held");
	tandem_qemu_frames_release(&bed->frames, 100);
	cr_assert_str_eq(drain(bed), "", "a release is of what was marked before");
	mark(bed, 101);
	tandem_qemu_frames_release(&bed->frames, 105);
	cr_assert_str_eq(drain(bed), "b", "a later ticket releases the earlier");
}

Test(frames, an_epoch_that_was_given_up_waits_for_the_next)
{
	struct bed *bed = make();

	add(bed, 'a', 3);
	mark(bed, 1);
	add(bed, 'b', 3);
	mark(bed, 2);
	add(bed, 'c', 3);
	tandem_qemu_frames_release(&bed->frames, 1);
	cr_assert_str_eq(drain(bed), "");
	tandem_qemu_frames_release(&bed->frames, 2);
	cr_assert_str_eq(drain(bed), "ab");
}

Test(frames, an_epoch_that_nobody_promises_waits_for_the_next)
{
	struct bed *bed = make();

	tandem_qemu_frames_promise(&bed->frames, 1);
	add(bed, 'a', 3);
	tandem_qemu_frames_release(&bed->frames, 1);
	cr_assert_str_eq(drain(bed), "", "there was no epoch to promise");
	mark(bed, 2);
	add(bed, 'b', 3);
	tandem_qemu_frames_mark(&bed->frames);
	add(bed, 'c', 3);
	tandem_qemu_frames_release(&bed->frames, UINT64_MAX);
	cr_assert_str_eq(drain(bed), "");
	mark(bed, 3);
	tandem_qemu_frames_release(&bed->frames, 3);
	cr_assert_str_eq(drain(bed), "abc");
}

Test(frames, open_until_the_first_mark_and_never_again)
{
	struct bed *bed = make();

	add(bed, 'a', 3);
	tandem_qemu_frames_open(&bed->frames);
	add(bed, 'b', 3);
	cr_assert_str_eq(drain(bed), "ab");
	add(bed, 'c', 3);
	mark(bed, 1);
	add(bed, 'd', 3);
	cr_assert_str_eq(drain(bed), "c", "what was free stays free");
	tandem_qemu_frames_open(&bed->frames);
	add(bed, 'e', 3);
	cr_assert_str_eq(drain(bed), "");
}

Test(frames, who_leaves_holds_nothing_back_until_the_next_mark)
{
	struct bed *bed = make();

	add(bed, 'a', 3);
	mark(bed, 1);
	add(bed, 'b', 3);
	tandem_qemu_frames_leave(&bed->frames);
	cr_assert_str_eq(drain(bed), "ab", "what was marked, and what was not");
	add(bed, 'c', 3);
	tandem_qemu_frames_release(&bed->frames, 1);
	cr_assert_str_eq(drain(bed), "c");
	mark(bed, 2);
	add(bed, 'd', 3);
	cr_assert_str_eq(drain(bed), "", "protected again");
	tandem_qemu_frames_release(&bed->frames, 2);
	cr_assert_str_eq(drain(bed), "", "the epoch after it is held");
	mark(bed, 3);
	tandem_qemu_frames_release(&bed->frames, 3);
	cr_assert_str_eq(drain(bed), "d");
}

Test(frames, an_open_one_needs_little_of_its_room)
{
	struct bed *bed = make();

	tandem_qemu_frames_open(&bed->frames);
	memset(bed->room, 0xee, sizeof(bed->room));
	for (char name = 'a'; name <= 'z'; name++) {
		add(bed, name, 3);
		cr_assert_eq(drain(bed)[0], name);
	}
	cr_assert_eq(bed->room[16], 0xee, "the rest is not written");
	mark(bed, 1);
	add(bed, 'h', 3);
	cr_assert_str_eq(drain(bed), "", "what comes behind a mark is held");
}

Test(frames, the_newest_are_dropped_when_there_is_no_room)
{
	struct bed *bed = make();

	add(bed, 'a', 26);
	add(bed, 'b', 26);
	add(bed, 'c', 1);
	cr_assert_eq(bed->frames.dropped_count, 1);
	cr_assert_eq(tandem_qemu_frames_held_bytes(&bed->frames), 60);
	add(bed, 0, 0);
	cr_assert_eq(bed->frames.dropped_count, 2, "one without bytes is none");
	mark(bed, 1);
	tandem_qemu_frames_release(&bed->frames, 1);
	cr_assert_str_eq(drain(bed), "ab");
	cr_assert_eq(bed->frames.taken_count, 2);
	add(bed, 'd', 60);
	mark(bed, 2);
	tandem_qemu_frames_release(&bed->frames, 2);
	cr_assert_str_eq(drain(bed), "d", "all of the room, and around its end");
}
