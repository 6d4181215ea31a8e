#include <criterion/criterion.h>
#include <string.h>

#include <tandem/error.h>

#include "core/wire.h"

static const uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES] = {1, 2, 3};

static struct tandem_wire_message message_of(enum tandem_wire_type type)
{
	struct tandem_wire_message message;

	memset(&message, 0, sizeof message);
	message.type = type;
	message.generation = 0x0102030405060708;
	if (type != TANDEM_WIRE_PING && type != TANDEM_WIRE_REFUSED && type < TANDEM_WIRE_COMPARE)
		message.epoch = 77;
	if (type == TANDEM_WIRE_PING || type == TANDEM_WIRE_PONG || type == TANDEM_WIRE_APPLIED)
		message.number = 99;
	if (type == TANDEM_WIRE_HELLO || type == TANDEM_WIRE_WELCOME) {
		message.primary_incarnation = 0xaaaa;
		message.secondary_incarnation = 0xbbbb;
	}
	if (type == TANDEM_WIRE_FENCE || type == TANDEM_WIRE_FENCED)
		message.channel_mask = 0xa5;
	if (type == TANDEM_WIRE_HELLO) {
		message.stripe_pages = 16;
		memcpy(message.pair, "pair", 5);
		message.channel_count = 4;
		message.state_bytes_max = 4096;
		message.regions.count = 2;
		memcpy(message.regions.entries[0].name, "heap", 5);
		message.regions.entries[0].page_count = 1000;
		memcpy(message.regions.entries[1].name, "notes", 6);
		memcpy(message.needs, "a QEMU", 7);
		message.regions.entries[1].page_count = 1;
	}
	if (type >= TANDEM_WIRE_COMPARE) {
		message.first_page = 0x123456789a;
		message.page_count = 3;
	}
	if (type == TANDEM_WIRE_DIGESTS)
		message.digests = digests;
	message.is_fresh = type == TANDEM_WIRE_WELCOME;
	if (type == TANDEM_WIRE_REFUSED) {
		message.code = TANDEM_E_REFUSED;
		memcpy(message.reason, "because", 8);
	}
	return message;
}

Test(wire, every_type_comes_back_as_it_was)
{
	for (unsigned type = TANDEM_WIRE_HELLO; type <= TANDEM_WIRE_DIGESTS; type++) {
		struct tandem_wire_message message = message_of((enum tandem_wire_type)type), back;
		uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
		size_t length = tandem_wire_encode(&message, bytes);

		cr_assert_eq(tandem_wire_decode(bytes, length, &back), 0, "type %u", type);
		if (back.digests != NULL) {
			cr_expect_eq(memcmp(back.digests, digests, 3 * TANDEM_DIGEST_BYTES), 0);
			back.digests = digests;
		}
		cr_expect_eq(memcmp(&message, &back, sizeof back), 0, "type %u", type);
	}
}

Test(wire, every_truncation_and_every_more_is_refused)
{
	for (unsigned type = TANDEM_WIRE_HELLO; type <= TANDEM_WIRE_DIGESTS; type++) {
		struct tandem_wire_message message = message_of((enum tandem_wire_type)type), back;
		uint8_t bytes[TANDEM_WIRE_BYTES_MAX + 1] = {0};
		size_t length = tandem_wire_encode(&message, bytes);

		for (size_t cut = 0; cut < length; cut++)
			cr_assert_lt(tandem_wire_decode(bytes, cut, &back), 0, "type %u at %zu",
			             type, cut);
		cr_expect_eq(tandem_wire_decode(bytes, length + 1, &back), TANDEM_E_PROTOCOL);
	}
}

Test(wire, every_flipped_bit_is_refused)
{
	for (unsigned type = TANDEM_WIRE_HELLO; type <= TANDEM_WIRE_DIGESTS; type++) {
		struct tandem_wire_message message = message_of((enum tandem_wire_type)type), back;
		uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
		size_t length = tandem_wire_encode(&message, bytes);

		for (size_t bit = 0; bit < length * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			cr_assert_lt(tandem_wire_decode(bytes, length, &back), 0, "type %u bit %zu",
			             type, bit);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

Test(wire, another_version_has_its_own_error)
{
	struct tandem_wire_message message = message_of(TANDEM_WIRE_PING);
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(&message, bytes);

	bytes[4]++;
	cr_expect_eq(tandem_wire_decode(bytes, length, &message), TANDEM_E_VERSION);
}

Test(wire, a_full_region_table_fits)
{
	struct tandem_wire_message message = message_of(TANDEM_WIRE_HELLO), back;
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];

	message.regions.count = TANDEM_REGIONS_MAX;
	cr_expect_eq(tandem_wire_decode(bytes, tandem_wire_encode(&message, bytes), &back), 0);
	cr_expect_eq(back.regions.count, TANDEM_REGIONS_MAX);
}

Test(wire, digests_have_a_count_that_fits)
{
	static const uint32_t counts[] = {0, TANDEM_DIGESTS_MAX + 1, UINT32_MAX};
	struct tandem_wire_message message = message_of(TANDEM_WIRE_COMPARE), back;
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];

	for (unsigned index = 0; index < sizeof counts / sizeof *counts; index++) {
		message.page_count = counts[index];
		cr_expect_lt(tandem_wire_decode(bytes, tandem_wire_encode(&message, bytes), &back),
		             0);
	}
	message = message_of(TANDEM_WIRE_DIGESTS);
	message.page_count = TANDEM_DIGESTS_MAX;
	cr_expect_eq(tandem_wire_decode(bytes, tandem_wire_encode(&message, bytes), &back), 0);
	cr_expect_eq(back.page_count, TANDEM_DIGESTS_MAX);
}

static const struct tandem_trailer trailer = {.generation = 3,
                                              .epoch = 9,
                                              .base = 8,
                                              .channel = 2,
                                              .mask = 7,
                                              .run_count = 5,
                                              .run_crc = 0xdeadbeef,
                                              .data_pages = 1234567890123,
                                              .state_bytes = 44,
                                              .state_crc = 0xfeedface};

Test(wire, a_trailer_comes_back_as_it_was)
{
	struct tandem_trailer back;
	uint8_t bytes[TANDEM_TRAILER_BYTES];

	memset(&back, 0, sizeof back);
	tandem_trailer_encode(&trailer, bytes);
	cr_assert_eq(tandem_trailer_decode(bytes, &back), 0);
	cr_expect_eq(memcmp(&trailer, &back, sizeof back), 0);
}

Test(wire, every_flipped_bit_of_a_trailer_is_refused)
{
	struct tandem_trailer back;
	uint8_t bytes[TANDEM_TRAILER_BYTES];

	tandem_trailer_encode(&trailer, bytes);
	for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_lt(tandem_trailer_decode(bytes, &back), 0, "bit %zu", bit);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memset(bytes, 0, sizeof bytes);
	cr_expect_eq(tandem_trailer_decode(bytes, &back), TANDEM_E_PROTOCOL);
}

struct run_case {
	uint64_t first_page;
	uint32_t page_count, kind;
	uint64_t next_page;
	bool is_good;
	const char *why;
};

/* Regions of 33 (stripes 0 to 2), 1 (stripe 3) and 20 pages (stripes 4, 5). */
static const struct run_case run_cases[] = {
        {0, 1, TANDEM_RUN_DATA, 0, true, "the first page"},
        {0, 16, TANDEM_RUN_ZERO, 0, true, "a whole stripe"},
        {32, 1, TANDEM_RUN_DATA, 16, true, "the last page of a region"},
        {64, 16, TANDEM_RUN_DATA, 64, true, "a stripe of the last region"},
        {0, 0, TANDEM_RUN_DATA, 0, false, "empty"},
        {0, 17, TANDEM_RUN_DATA, 0, false, "longer than a stripe"},
        {15, 2, TANDEM_RUN_DATA, 0, false, "over a stripe's end"},
        {15, UINT32_MAX, TANDEM_RUN_DATA, 0, false, "a count that wraps"},
        {16, 1, TANDEM_RUN_DATA, 0, true, "any stripe"},
        {32, 2, TANDEM_RUN_DATA, 0, false, "over a region's end, into padding"},
        {33, 1, TANDEM_RUN_DATA, 0, false, "padding"},
        {5, 1, TANDEM_RUN_DATA, 6, false, "before the end of the last run"},
        {5, 1, 0, 0, false, "no kind"},
        {5, 1, 3, 0, false, "an unknown kind"},
        {96, 1, TANDEM_RUN_DATA, 0, false, "behind the last page"},
        {UINT64_MAX, 1, TANDEM_RUN_DATA, 0, false, "far outside"},
        {UINT64_MAX - 15, 16, TANDEM_RUN_DATA, 0, false, "a page that wraps"},
};

Test(wire, a_run_lies_in_one_stripe)
{
	static const struct tandem_region_table regions = {
	        .count = 3, .entries = {{"heap", 33}, {"notes", 1}, {"index", 20}}};
	struct tandem_layout layout;

	cr_assert(tandem_layout_init(&layout, &regions, 2, 16, 0));
	for (size_t index = 0; index < sizeof run_cases / sizeof *run_cases; index++) {
		const struct run_case *one = &run_cases[index];
		struct tandem_run run = {.first_page = one->first_page,
		                         .page_count = one->page_count,
		                         .kind = (enum tandem_run_kind)one->kind},
		                  back;
		uint8_t bytes[TANDEM_RUN_BYTES];
		uint64_t next_page = one->next_page;

		tandem_run_encode(&run, bytes);
		cr_expect_eq(tandem_run_decode(&layout, bytes, &next_page, &back), one->is_good,
		             "%s", one->why);
		if (one->is_good) {
			cr_expect_eq(next_page, one->first_page + one->page_count, "%s", one->why);
			cr_expect_eq(back.first_page, one->first_page);
			cr_expect_eq(back.page_count, one->page_count);
			cr_expect_eq(back.kind, (enum tandem_run_kind)one->kind);
		} else {
			cr_expect_eq(next_page, one->next_page, "%s", one->why);
		}
	}
}
