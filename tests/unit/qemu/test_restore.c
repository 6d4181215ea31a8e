#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <tandem/qemu_restore.h>
#include "stream_text.h"

#define PAGE TANDEM_QEMU_PAGE_BYTES

/* An opening with what only the other side of a migration needs in between. */
static void put_opening(struct made *made, bool ignores_shared)
{
	put_header(made);
	put(made, 7, 1);
	put(made, 6, 4);
	put_text(made, "pc-7.2");
	if (ignores_shared) {
		put(made, 5, 1);
		put_name(made, "configuration/capabilities");
		put(made, 1, 4);
		put(made, 1, 4);
		put_name(made, "x-ignore-shared");
	}
	put(made, 8, 1); /* ENABLE_COLO */
	put(made, 8, 2);
	put(made, 0, 2);
	put(made, 8, 1); /* a ping */
	put(made, 2, 2);
	put(made, 4, 2);
	put(made, 1, 4);
	put_start(made, ignores_shared);
}

static void read_opening(const struct made *made, struct tandem_qemu_stream *stream,
                         struct tandem_qemu_opening *opening)
{
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};

	opening->length = 0;
	tandem_qemu_stream_init(stream);
	for (size_t used = 0; item.type != TANDEM_QEMU_SET_UP; used += item.used_bytes) {
		tandem_qemu_stream_take(stream, made->bytes + used, made->length - used, &item);
		cr_assert_gt(item.used_bytes + (item.type == TANDEM_QEMU_NOTED), 0);
		cr_assert(tandem_qemu_opening_add(opening, &item, made->bytes + used));
	}
}

static void put_bytes(struct made *made, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put(made, bytes[i], 1);
}

static void put_state(struct made *made)
{
	put(made, 4, 1);
	put_text(made, "clock and timer");
	put(made, 0, 1);
}

Test(qemu_restore, what_is_written_is_read_as_the_same_guest)
{
	static struct made made, restored;
	static struct tandem_qemu_stream stream;
	static struct tandem_qemu_opening opening;
	struct tandem_qemu_restore restore;
	uint8_t bytes[TANDEM_QEMU_RECORD_BYTES];
	char text[TEXT_BYTES];

	put_opening(&made, false);
	read_opening(&made, &stream, &opening);
	put_bytes(&restored, opening.bytes, opening.length);
	put_bytes(&restored, bytes, tandem_qemu_restore_begin(&restore, &stream, bytes));
	put_bytes(&restored, bytes, tandem_qemu_restore_page(&restore, 0, PAGE, bytes));
	put_pages(&restored, 1, 0xab);
	put_bytes(&restored, bytes, tandem_qemu_restore_fill(&restore, 0, 3 * PAGE, 7, bytes));
	put_bytes(&restored, bytes, tandem_qemu_restore_page(&restore, 1, 0, bytes));
	put_pages(&restored, 1, 0xcd);
	put_bytes(&restored, bytes, tandem_qemu_restore_fill(&restore, 0, 0, 0, bytes));
	put_bytes(&restored, bytes, tandem_qemu_restore_end(&restore, bytes));
	put_state(&restored);
	put_bytes(&restored, bytes, tandem_qemu_restore_tail(bytes));
	decode(restored.bytes, restored.length, 1000, text);
	cr_assert_str_eq(text,
	                 "machine pc-7.2 block ram:4000 block vga:1000 set-up page 0:1000=ab..ab "
	                 "fill 0:3000=07 page 1:0=cd..cd fill 0:0=00 devices-first 17+7",
	                 "got: %s", text);
}

Test(qemu_restore, memory_that_is_there_already_has_no_pages)
{
	static struct made made, restored;
	static struct tandem_qemu_stream stream;
	static struct tandem_qemu_opening opening;
	struct tandem_qemu_restore restore;
	uint8_t bytes[TANDEM_QEMU_RECORD_BYTES];
	char text[TEXT_BYTES];

	put_opening(&made, true);
	read_opening(&made, &stream, &opening);
	put_bytes(&restored, opening.bytes, opening.length);
	put_bytes(&restored, bytes, tandem_qemu_restore_begin(&restore, &stream, bytes));
	put_bytes(&restored, bytes, tandem_qemu_restore_end(&restore, bytes));
	put_state(&restored);
	put_bytes(&restored, bytes, tandem_qemu_restore_tail(bytes));
	decode(restored.bytes, restored.length, 1, text);
	cr_assert_str_eq(text,
	                 "machine pc-7.2 capability x-ignore-shared block ram:4000 "
	                 "block vga:1000 set-up devices-first 17+7",
	                 "got: %s", text);
}

Test(qemu_restore, the_longest_name_fits_into_a_record)
{
	static struct tandem_qemu_stream stream = {.at = {.block_count = 1}};
	struct tandem_qemu_restore restore;
	uint8_t bytes[TANDEM_QEMU_RECORD_BYTES];

	memset(stream.blocks[0].name, 'n', TANDEM_QEMU_NAME_BYTES - 1);
	stream.blocks[0].size_bytes = PAGE;
	tandem_qemu_restore_begin(&restore, &stream, bytes);
	cr_assert_eq(tandem_qemu_restore_fill(&restore, 0, 0, 0, bytes),
	             8 + 1 + TANDEM_QEMU_NAME_BYTES - 1 + 1);
}

Test(qemu_restore, an_opening_has_an_end)
{
	static struct tandem_qemu_opening opening;
	static uint8_t bytes[TANDEM_QEMU_OPENING_BYTES];
	const struct tandem_qemu_item item = {.type = TANDEM_QEMU_CAPABILITY,
	                                      .used_bytes = TANDEM_QEMU_OPENING_BYTES - 1};
	const struct tandem_qemu_item more = {.type = TANDEM_QEMU_CAPABILITY, .used_bytes = 2};

	cr_assert(tandem_qemu_opening_add(&opening, &item, bytes));
	cr_assert_not(tandem_qemu_opening_add(&opening, &more, bytes));
	cr_assert_eq(opening.length, TANDEM_QEMU_OPENING_BYTES - 1);
}

Test(qemu_restore, the_opening_names_the_machine)
{
	static struct made made;
	char name[TANDEM_QEMU_NAME_BYTES];

	cr_expect(!tandem_qemu_opening_machine(made.bytes, made.length, name));
	put_opening(&made, false);
	cr_assert(tandem_qemu_opening_machine(made.bytes, made.length, name));
	cr_expect_str_eq(name, "pc-7.2");
	cr_expect(!tandem_qemu_opening_machine(made.bytes, 10, name));
}
