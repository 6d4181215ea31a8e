#include <criterion/criterion.h>

#include <tandem/crc32c.h>
#include <tandem/transport.h>

#include "core/extent.h"

#define MEMORY_BYTES ((uint64_t)64 << 20)

static uint8_t table[TANDEM_EXTENTS_MAX * TANDEM_EXTENT_BYTES];
static struct tandem_extent got[TANDEM_EXTENTS_MAX];

static struct tandem_frame frame_of(const struct tandem_extent *extents, unsigned count)
{
	struct tandem_frame frame = {.type = TANDEM_FRAME_BATCH, .extent_count = count};
	for (unsigned i = 0; i < count; i++) {
		tandem_extent_encode(&extents[i], table + (size_t)i * TANDEM_EXTENT_BYTES);
		frame.length += extents[i].length;
	}
	frame.table_checksum = tandem_crc32c(0, table, (size_t)count * TANDEM_EXTENT_BYTES);
	return frame;
}

Test(extent, a_full_table_comes_back)
{
	struct tandem_extent extents[TANDEM_EXTENTS_MAX];
	for (unsigned i = 0; i < TANDEM_EXTENTS_MAX; i++)
		extents[i] = (struct tandem_extent){.offset = MEMORY_BYTES -
		                                              (i + 1) * TANDEM_WRITE_BYTES_MAX,
		                                    .length = TANDEM_WRITE_BYTES_MAX - i};
	const struct tandem_frame frame = frame_of(extents, TANDEM_EXTENTS_MAX);
	cr_assert_eq(tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got),
	             TANDEM_FRAME_FAULT_NONE);
	for (unsigned i = 0; i < TANDEM_EXTENTS_MAX; i++) {
		cr_assert_eq(got[i].offset, extents[i].offset);
		cr_assert_eq(got[i].length, extents[i].length);
	}
}

Test(extent, the_layout_is_the_one_of_the_protocol)
{
	uint8_t bytes[TANDEM_EXTENT_BYTES];
	const struct tandem_extent extent = {.offset = UINT64_C(0x1122334455667788),
	                                     .length = 0xaabbccdd};
	tandem_extent_encode(&extent, bytes);
	cr_assert_eq(bytes[0], 0x88);
	cr_assert_eq(bytes[7], 0x11);
	cr_assert_eq(bytes[8], 0xdd);
	cr_assert_eq(bytes[11], 0xaa);
}

Test(extent, each_flipped_bit_is_seen)
{
	const struct tandem_extent extents[2] = {{.offset = 4096, .length = 4096},
	                                         {.offset = 0, .length = 100}};
	const struct tandem_frame frame = frame_of(extents, 2);
	for (unsigned bit = 0; bit < 2 * TANDEM_EXTENT_BYTES * 8; bit++) {
		table[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_eq(tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got),
		             TANDEM_FRAME_FAULT_TABLE, "bit %u", bit);
		table[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	cr_assert_eq(tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got),
	             TANDEM_FRAME_FAULT_NONE);
}

/* The second of two extents, in a memory of MEMORY_BYTES. */
static const struct {
	struct tandem_extent extent;
	enum tandem_frame_fault wanted;
} judged[] = {
        {{.offset = MEMORY_BYTES - 4096, .length = 4096}, TANDEM_FRAME_FAULT_NONE},
        {{.offset = MEMORY_BYTES - 4095, .length = 4096}, TANDEM_FRAME_FAULT_RANGE},
        {{.offset = MEMORY_BYTES, .length = 1}, TANDEM_FRAME_FAULT_RANGE},
        {{.offset = UINT64_MAX, .length = 4096}, TANDEM_FRAME_FAULT_RANGE},
        {{.offset = UINT64_C(1) << 63, .length = 1}, TANDEM_FRAME_FAULT_RANGE},
        {{.offset = 0, .length = 0}, TANDEM_FRAME_FAULT_LENGTH},
        {{.offset = 0, .length = TANDEM_WRITE_BYTES_MAX + 1}, TANDEM_FRAME_FAULT_LENGTH},
        {{.offset = 0, .length = UINT32_MAX}, TANDEM_FRAME_FAULT_LENGTH},
        /* The same place as the first one's is a peer's own loss. */
        {{.offset = 4096, .length = 4096}, TANDEM_FRAME_FAULT_NONE},
};

Test(extent, each_extent_is_judged)
{
	for (unsigned i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
		const struct tandem_extent extents[2] = {{.offset = 4096, .length = 4096},
		                                         judged[i].extent};
		const struct tandem_frame frame = frame_of(extents, 2);
		enum tandem_frame_fault fault =
		        tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got);
		cr_assert_eq(fault, judged[i].wanted, "row %u", i);
		if (fault != TANDEM_FRAME_FAULT_NONE)
			cr_assert_eq(got[0].offset, judged[i].extent.offset, "row %u", i);
	}
}

Test(extent, lengths_that_are_not_the_frames_are_refused)
{
	const struct tandem_extent extents[2] = {{.offset = 0, .length = 10},
	                                         {.offset = 50, .length = 20}};
	struct tandem_frame frame = frame_of(extents, 2);
	frame.length++;
	cr_assert_eq(tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got),
	             TANDEM_FRAME_FAULT_LENGTH);
	frame.length -= 2;
	cr_assert_eq(tandem_extent_decode_table(table, &frame, MEMORY_BYTES, got),
	             TANDEM_FRAME_FAULT_LENGTH);
}
