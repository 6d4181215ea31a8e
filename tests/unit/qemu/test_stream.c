#include <criterion/criterion.h>

#include <string.h>
#include <tandem/memory.h>

#include "stream_text.h"

#define PAGE TANDEM_QEMU_PAGE_BYTES

static void put_capabilities(struct made *made, const char *one, const char *other)
{
	put(made, 5, 1);
	put_name(made, "configuration/capabilities");
	put(made, 1, 4);
	put(made, 2, 4);
	put_name(made, one);
	put_name(made, other);
}

static void put_epoch(struct made *made)
{
	put(made, 1, 4);
	put(made, 3, 4);
	put_part(made, 3);
	put(made, PAGE | 8, 8);
	put_name(made, "ram");
	put_pages(made, 1, 0xab);
	put(made, 3 * PAGE | 0x20 | 2, 8);
	put(made, 0, 1);
	put_footer(made);
	put(made, 0, 1);
	put(made, 4, 4);
	put(made, 7, 8);
	put_text(made, "devices");
}

static void put_opening(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put_start(made, false);
}

static void put_whole(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put_capabilities(made, "x-colo", "return-path");
	put(made, 8, 1); /* a ping */
	put(made, 2, 2);
	put(made, 4, 2);
	put(made, 77, 4);
	put_start(made, false);
	put_part(made, 2);
	put(made, 8, 8);
	put_name(made, "vga");
	put_pages(made, 1, 0x11);
	put_footer(made);
	put(made, 8, 1); /* the guest is about to stop */
	put(made, 11, 2);
	put(made, 0, 2);
	put_first_devices(made);
	put_epoch(made);
	put_epoch(made);
}

static const char whole_text[] =
        "machine pc-8.2 capability x-colo capability return-path ping 77 "
        "block ram:4000 block vga:1000 set-up page 1:0=11..11 command devices-first 17+20 "
        "request send page 0:1000=ab..ab fill 0:3000=00 ram-end size 7 devices "
        "request send page 0:1000=ab..ab fill 0:3000=00 ram-end size 7 devices";

Test(qemu_stream, a_whole_protection_is_read)
{
	static struct made made;
	char text[TEXT_BYTES];

	put_whole(&made);
	/* The first device state is answered before more is sent. */
	decode(made.bytes, made.length, 1, text);
	cr_assert_str_eq(text, whole_text, "got: %s", text);
}

Test(qemu_stream, blocks_of_shared_memory_have_addresses)
{
	static struct made made;
	char text[TEXT_BYTES];

	put_header(&made);
	put_configuration(&made);
	put_capabilities(&made, "x-colo", "x-ignore-shared");
	put_start(&made, true);
	decode(made.bytes, made.length, made.length, text);
	cr_assert_str_eq(text,
	                 "machine pc-8.2 capability x-colo capability x-ignore-shared block "
	                 "ram:4000 block vga:1000 set-up",
	                 "got: %s", text);
}

Test(qemu_stream, no_item_is_longer_than_said)
{
	static struct made made;
	static struct tandem_qemu_stream stream;
	struct tandem_qemu_item item;
	char name[TANDEM_QEMU_NAME_BYTES];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	put_header(&made);
	put_configuration(&made);
	put(&made, 1, 1);
	put(&made, 2, 4);
	put_name(&made, "ram");
	put(&made, 0, 4);
	put(&made, 4, 4);
	put(&made, PAGE | 4, 8);
	put_name(&made, name);
	put(&made, PAGE, 8);
	put_footer(&made);
	put_part(&made, 2);
	const size_t page_begin = made.length;
	put(&made, 8, 8);
	put_name(&made, name);
	put_pages(&made, 1, 1);
	cr_assert_leq(made.length - page_begin, TANDEM_QEMU_ITEM_BYTES);
	tandem_qemu_stream_init(&stream);
	for (size_t used = 0; used < made.length; used += item.used_bytes) {
		tandem_qemu_stream_take(&stream, made.bytes + used, made.length - used, &item);
		cr_assert_neq(item.type, TANDEM_QEMU_MORE);
		cr_assert_neq(item.type, TANDEM_QEMU_FAULT);
		cr_assert_leq(item.used_bytes, TANDEM_QEMU_ITEM_BYTES);
	}
}

Test(qemu_stream, a_description_inside_the_state_is_not_its_end)
{
	static struct made made;
	size_t description_bytes;

	put(&made, 4, 1);
	put(&made, 0, 1);
	put(&made, 6, 1);
	put(&made, 2, 4);
	put_text(&made, "{}");
	put_text(&made, "more state");
	cr_assert_eq(tandem_qemu_device_state_bytes(made.bytes, made.length, &description_bytes),
	             0);
	put(&made, 0, 1);
	put(&made, 6, 1);
	put(&made, 2, 4);
	put_text(&made, "{}");
	cr_assert_eq(tandem_qemu_device_state_bytes(made.bytes, made.length, &description_bytes),
	             made.length - 7);
	cr_assert_eq(description_bytes, 7);
}

/* ---- what is refused ---- */

static void put_wrong_magic(struct made *made)
{
	put(made, 0x51455649, 4);
	put(made, 3, 4);
}

static void put_old_version(struct made *made)
{
	put(made, 0x5145564d, 4);
	put(made, 2, 4);
}

static void put_no_configuration(struct made *made)
{
	put_header(made);
	put_start(made, false);
}

static void put_strange_subsection(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 5, 1);
	put_name(made, "configuration/colour");
	put(made, 1, 4);
}

static void put_large_pages(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 5, 1);
	put_name(made, "configuration/target-page-bits");
	put(made, 1, 4);
	put(made, 16, 4);
}

static void put_other_iterated_state(struct made *made)
{
	put_opening(made);
	put(made, 1, 1);
	put(made, 3, 4);
	put_name(made, "vfio");
	put(made, 0, 4);
	put(made, 1, 4);
}

static void put_early_devices(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 4, 1);
}

static void put_end_without_devices(struct made *made)
{
	put_opening(made);
	put(made, 0, 1);
}

static void put_foreign_part(struct made *made)
{
	put_opening(made);
	put(made, 2, 1);
	put(made, 9, 4);
}

static void put_long_section(struct made *made)
{
	put_opening(made);
	put_part(made, 2);
	put(made, 0x10, 8);
	put(made, 0, 1);
	put(made, 2, 4);
}

static void put_packaged_command(struct made *made)
{
	put_opening(made);
	put(made, 8, 1);
	put(made, 6, 2);
	put(made, 4, 2);
}

static void put_compressed_page(struct made *made)
{
	put_opening(made);
	put_part(made, 2);
	put(made, 0x40, 8);
}

static void put_block_twice(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 1, 1);
	put(made, 2, 4);
	put_name(made, "ram");
	put(made, 0, 4);
	put(made, 4, 4);
	put(made, 8 * PAGE | 4, 8);
	for (unsigned i = 0; i < 2; i++) {
		put_name(made, "ram");
		put(made, 4 * PAGE, 8);
	}
}

static void put_block_beyond_the_sum(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 1, 1);
	put(made, 2, 4);
	put_name(made, "ram");
	put(made, 0, 4);
	put(made, 4, 4);
	put(made, PAGE | 4, 8);
	put_name(made, "ram");
	put(made, UINT64_MAX - PAGE + 1, 8);
}

/* In the section that begins RAM, behind the first of its blocks. */
static void put_early_page(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put(made, 1, 1);
	put(made, 2, 4);
	put_name(made, "ram");
	put(made, 0, 4);
	put(made, 4, 4);
	put(made, PAGE | 4, 8);
	put_name(made, "ram");
	put(made, PAGE, 8);
	put(made, 8, 8);
	put_name(made, "ram");
	put_pages(made, 1, 0xab);
}

static void put_unknown_block(struct made *made)
{
	put_opening(made);
	put_part(made, 2);
	put(made, 8, 8);
	put_name(made, "rom");
}

static void put_page_without_block(struct made *made)
{
	put_opening(made);
	put_part(made, 2);
	put(made, 8 | 0x20, 8);
}

static void put_page_outside(struct made *made)
{
	put_opening(made);
	put_part(made, 2);
	put(made, 4 * PAGE | 8, 8);
	put_name(made, "ram");
}

static void put_send_without_request(struct made *made)
{
	put_opening(made);
	put_first_devices(made);
	put(made, 3, 4);
}

static void put_request_twice(struct made *made)
{
	put_opening(made);
	put_first_devices(made);
	put(made, 1, 4);
	put(made, 1, 4);
}

static void put_endless_devices(struct made *made)
{
	put_opening(made);
	put_first_devices(made);
	put(made, 1, 4);
	put(made, 3, 4);
	put(made, 0, 1);
	put(made, 4, 4);
	put(made, UINT64_MAX, 8);
}

static const struct {
	const char *name;
	void (*put)(struct made *);
	enum tandem_qemu_fault fault;
} refused[] = {
        {"wrong magic", put_wrong_magic, TANDEM_QEMU_FAULT_MAGIC},
        {"old version", put_old_version, TANDEM_QEMU_FAULT_VERSION},
        {"no configuration", put_no_configuration, TANDEM_QEMU_FAULT_CONFIGURATION},
        {"strange subsection", put_strange_subsection, TANDEM_QEMU_FAULT_SUBSECTION},
        {"large pages", put_large_pages, TANDEM_QEMU_FAULT_PAGE_BITS},
        {"another iterated state", put_other_iterated_state, TANDEM_QEMU_FAULT_STATE},
        {"early devices", put_early_devices, TANDEM_QEMU_FAULT_SECTION},
        {"an end without devices", put_end_without_devices, TANDEM_QEMU_FAULT_SECTION},
        {"a foreign part", put_foreign_part, TANDEM_QEMU_FAULT_IDENTITY},
        {"a section that goes on", put_long_section, TANDEM_QEMU_FAULT_FOOTER},
        {"a packaged command", put_packaged_command, TANDEM_QEMU_FAULT_COMMAND},
        {"a compressed page", put_compressed_page, TANDEM_QEMU_FAULT_RAM_FLAGS},
        {"a block twice", put_block_twice, TANDEM_QEMU_FAULT_BLOCKS},
        {"a block beyond the sum", put_block_beyond_the_sum, TANDEM_QEMU_FAULT_BLOCKS},
        {"an early page", put_early_page, TANDEM_QEMU_FAULT_EARLY},
        {"an unknown block", put_unknown_block, TANDEM_QEMU_FAULT_BLOCK},
        {"a page without a block", put_page_without_block, TANDEM_QEMU_FAULT_BLOCK},
        {"a page outside", put_page_outside, TANDEM_QEMU_FAULT_RANGE},
        {"SEND without REQUEST", put_send_without_request, TANDEM_QEMU_FAULT_ORDER},
        {"REQUEST twice", put_request_twice, TANDEM_QEMU_FAULT_ORDER},
        {"endless devices", put_endless_devices, TANDEM_QEMU_FAULT_DEVICE_BYTES},
};

Test(qemu_stream, what_it_does_not_understand_is_named)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		static struct made made;
		char text[TEXT_BYTES];

		made.length = 0;
		refused[i].put(&made);
		decode(made.bytes, made.length, 1, text);
		cr_expect(strstr(text, "fault ") &&
		                  strcmp(strstr(text, "fault ") + strlen("fault "),
		                         tandem_qemu_fault_text(refused[i].fault)) == 0,
		          "%s: got %s", refused[i].name, text);
	}
}

Test(qemu_stream, what_is_cut_waits_for_more)
{
	static struct made made;
	char text[TEXT_BYTES];

	put_whole(&made);
	for (size_t length = 0; length < made.length; length += 1 + length % 37) {
		decode(made.bytes, length, length + 1, text);
		cr_expect_null(strstr(text, "fault"), "%zu bytes: %s", length, text);
	}
}
