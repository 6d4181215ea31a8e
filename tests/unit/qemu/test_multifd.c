#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/multifd.h"
#include "stream_text.h"

#define PAGE TANDEM_QEMU_PAGE_BYTES

/* A packet as QEMU would send it; each test changes what it is about. */
struct packet {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t room_count;
	uint32_t page_count;
	uint32_t data_bytes;
	uint64_t number;
	uint32_t fill_count;
	const char *block;
	uint64_t offsets_bytes[4];
};

static const struct packet two_pages_and_a_fill = {
        .magic = TANDEM_QEMU_MULTIFD_MAGIC,
        .version = 1,
        .room_count = 128,
        .page_count = 2,
        .data_bytes = 2 * PAGE,
        .number = 5,
        .fill_count = 1,
        .block = "ram",
        .offsets_bytes = {PAGE, 3 * PAGE, 2 * PAGE},
};

static const struct tandem_qemu_stream *blocks(void)
{
	static const struct tandem_qemu_stream stream = {
	        .at = {.block_count = 2, .is_set_up = true},
	        .blocks = {{.name = "vga", .size_bytes = PAGE},
	                   {.name = "ram", .size_bytes = 4 * PAGE}},
	};
	return &stream;
}

static void put_zeros(struct made *made, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put(made, 0, 1);
}

static void put_hello(struct made *made, uint8_t channel)
{
	put(made, TANDEM_QEMU_MULTIFD_MAGIC, 4);
	put(made, 1, 4);
	for (uint8_t i = 0; i < TANDEM_QEMU_UUID_BYTES; i++)
		put(made, i, 1);
	put(made, channel, 1);
	put_zeros(made, 39);
}

static void put_packet(struct made *made, const struct packet *packet)
{
	const size_t name_bytes = strlen(packet->block);

	put(made, packet->magic, 4);
	put(made, packet->version, 4);
	put(made, packet->flags, 4);
	put(made, packet->room_count, 4);
	put(made, packet->page_count, 4);
	put(made, packet->data_bytes, 4);
	put(made, packet->number, 8);
	put(made, packet->fill_count, 4);
	put_zeros(made, 28);
	put_text(made, packet->block);
	put_zeros(made, 256 - name_bytes);
	for (unsigned i = 0; i < 128; i++)
		put(made, i < 4 ? packet->offsets_bytes[i] : 0, 8);
}

/* Data pages: the first one of bytes 1, the next of bytes 2. */
static void put_whole(struct made *made, const struct packet *packet)
{
	put_packet(made, packet);
	for (unsigned i = 0; i < packet->page_count; i++)
		put_pages(made, 1, (uint8_t)(i + 1));
}

static void decode_channel(const struct made *made, size_t piece_bytes, char *ret_text)
{
	static struct tandem_qemu_multifd multifd;
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};
	size_t used = 0, here = 0;

	*ret_text = 0;
	tandem_qemu_multifd_init(&multifd);
	while (item.type != TANDEM_QEMU_FAULT) {
		tandem_qemu_multifd_take(&multifd, blocks(), made->bytes + used, here - used,
		                         &item);
		used += item.used_bytes;
		if (item.type != TANDEM_QEMU_MORE) {
			add_item(blocks(), &item, ret_text);
			continue;
		}
		if (here == made->length)
			break;
		here += piece_bytes < made->length - here ? piece_bytes : made->length - here;
	}
	if (item.type == TANDEM_QEMU_MORE)
		cr_assert_eq(used, made->length, "%zu of %zu bytes used", used, made->length);
}

static void expect(const struct made *made, const char *expected)
{
	static const size_t pieces_bytes[] = {1, 1000, sizeof(made->bytes)};
	char text[TEXT_BYTES];

	for (size_t i = 0; i < sizeof(pieces_bytes) / sizeof(pieces_bytes[0]); i++) {
		decode_channel(made, pieces_bytes[i], text);
		cr_assert_str_eq(text, expected, "got: %s", text);
	}
}

/* QEMU 9.0 and later name pages of zeros in the packet. */
Test(qemu_multifd, pages_and_fills_are_told_with_their_places)
{
	static struct made made;

	put_hello(&made, 3);
	put_whole(&made, &two_pages_and_a_fill);
	expect(&made, "channel 3 fill 1:2000=00 page 1:1000=01..01 page 1:3000=02..02");
}

Test(qemu_multifd, a_packet_has_the_length_that_is_said)
{
	static struct made made;

	put_packet(&made, &two_pages_and_a_fill);
	cr_assert_eq(made.length, TANDEM_QEMU_PACKET_BYTES);
}

/* QEMU 11.1 clears what a packet without pages does not need. */
Test(qemu_multifd, a_sync_of_its_own_is_told)
{
	static struct made made;
	const struct packet sync = {.magic = TANDEM_QEMU_MULTIFD_MAGIC,
	                            .version = 1,
	                            .flags = 1,
	                            .number = 9,
	                            .block = ""};

	put_hello(&made, 0);
	put_packet(&made, &sync);
	put_packet(&made, &sync);
	expect(&made, "channel 0 sync 9 sync 9");
}

/* QEMU 7.2 leaves size and name of an earlier packet, and joins a sync with waiting pages. */
Test(qemu_multifd, a_sync_comes_behind_the_pages_of_its_packet)
{
	static struct made made;
	struct packet packet = two_pages_and_a_fill;

	packet.fill_count = 0;
	packet.flags = 1;
	put_hello(&made, 0);
	put_whole(&made, &packet);
	packet.flags = 0;
	packet.page_count = 0;
	packet.block = "left over";
	put_whole(&made, &packet);
	expect(&made, "channel 0 page 1:1000=01..01 page 1:3000=02..02 sync 5");
}

static void wrong_magic(struct packet *packet)
{
	packet->magic = 0x5145564d;
}

static void wrong_version(struct packet *packet)
{
	packet->version = 2;
}

static void compressed(struct packet *packet)
{
	packet->flags = 1u << 1;
}

static void device_state(struct packet *packet)
{
	packet->flags = 32u << 1;
}

static void too_many_pages(struct packet *packet)
{
	packet->page_count = 129;
}

static void too_many_fills(struct packet *packet)
{
	packet->fill_count = 127;
}

static void count_that_overflows(struct packet *packet)
{
	packet->page_count = 1;
	packet->fill_count = UINT32_MAX;
}

static void more_than_room(struct packet *packet)
{
	packet->room_count = 2;
}

static void too_much_room(struct packet *packet)
{
	packet->room_count = 129;
}

static void other_size(struct packet *packet)
{
	packet->data_bytes = 2 * PAGE - 1;
}

static void strange_block(struct packet *packet)
{
	packet->block = "rom";
}

static void long_block(struct packet *packet)
{
	static char name[257];

	memset(name, 'r', 256);
	packet->block = name;
}

static void outside(struct packet *packet)
{
	packet->offsets_bytes[2] = 4 * PAGE;
}

static void far_outside(struct packet *packet)
{
	packet->offsets_bytes[0] = UINT64_MAX - PAGE + 1;
}

static void inside_a_page(struct packet *packet)
{
	packet->offsets_bytes[1] = PAGE + 8;
}

static void older(struct packet *packet)
{
	packet->number = 4;
}

static const struct {
	const char *name;
	void (*change)(struct packet *);
	enum tandem_qemu_fault fault;
} refused[] = {
        {"wrong magic", wrong_magic, TANDEM_QEMU_FAULT_MAGIC},
        {"wrong version", wrong_version, TANDEM_QEMU_FAULT_VERSION},
        {"compressed", compressed, TANDEM_QEMU_FAULT_RAM_FLAGS},
        {"device state", device_state, TANDEM_QEMU_FAULT_RAM_FLAGS},
        {"too many pages", too_many_pages, TANDEM_QEMU_FAULT_PACKET},
        {"too many fills", too_many_fills, TANDEM_QEMU_FAULT_PACKET},
        {"a count that overflows", count_that_overflows, TANDEM_QEMU_FAULT_PACKET},
        {"more than room", more_than_room, TANDEM_QEMU_FAULT_PACKET},
        {"too much room", too_much_room, TANDEM_QEMU_FAULT_PACKET},
        {"other size", other_size, TANDEM_QEMU_FAULT_PACKET},
        {"a strange block", strange_block, TANDEM_QEMU_FAULT_BLOCK},
        {"a name without an end", long_block, TANDEM_QEMU_FAULT_BLOCK},
        {"outside", outside, TANDEM_QEMU_FAULT_RANGE},
        {"far outside", far_outside, TANDEM_QEMU_FAULT_RANGE},
        {"inside a page", inside_a_page, TANDEM_QEMU_FAULT_RANGE},
        {"older than the one before", older, TANDEM_QEMU_FAULT_PACKET_NUMBER},
};

Test(qemu_multifd, what_cannot_be_is_refused_with_its_cause)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		static struct made made;
		struct packet packet = two_pages_and_a_fill;
		char text[TEXT_BYTES], end[128];

		made.length = 0;
		put_hello(&made, 1);
		put_whole(&made, &packet);
		refused[i].change(&packet);
		put_packet(&made, &packet);
		decode_channel(&made, made.length, text);
		snprintf(end, sizeof(end), "fault %s", tandem_qemu_fault_text(refused[i].fault));
		cr_expect(strlen(text) > strlen(end) &&
		                  strcmp(text + strlen(text) - strlen(end), end) == 0,
		          "%s: %s", refused[i].name, text);
	}
}

Test(qemu_multifd, a_channel_has_a_number_and_begins_as_one)
{
	static struct made made;
	char text[TEXT_BYTES];

	put_hello(&made, 16);
	decode_channel(&made, made.length, text);
	cr_assert_str_eq(text, "fault a channel of a number that cannot be");
	made.length = 0;
	put_hello(&made, 15);
	expect(&made, "channel 15");
	made.length = 0;
	put(&made, 0x5145564d, 4);
	put(&made, 3, 4);
	decode_channel(&made, made.length, text);
	cr_assert_str_eq(text, "fault not a migration stream: wrong magic number");
}
