#include <criterion/criterion.h>

#include <tandem/random.h>
#include <tandem/transport.h>
#include <string.h>

#include "core/extent.h"
#include "core/frame.h"

static const struct tandem_frame good = {.type = TANDEM_FRAME_NOTIFY,
                                         .memory_id = 3,
                                         .length = 4096,
                                         .offset = UINT64_C(0x1122334455667788),
                                         .memory_key = UINT64_C(0x99aabbccddeeff00),
                                         .sequence = 12,
                                         .immediate = 0xfeedf00d};
static const struct tandem_frame batch = {.type = TANDEM_FRAME_BATCH,
                                          .memory_id = 4,
                                          .length = 12288,
                                          .memory_key = UINT64_C(0x99aabbccddeeff00),
                                          .sequence = 13,
                                          .extent_count = 3,
                                          .table_checksum = 0xdeadbeef};

Test(frame, every_field_comes_back)
{
	uint8_t bytes[TANDEM_FRAME_BYTES];
	struct tandem_frame got;
	tandem_frame_encode(&good, bytes);
	cr_assert_eq(tandem_frame_decode(bytes, &got), TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(got.type, good.type);
	cr_assert_eq(got.memory_id, good.memory_id);
	cr_assert_eq(got.length, good.length);
	cr_assert_eq(got.offset, good.offset);
	cr_assert_eq(got.memory_key, good.memory_key);
	cr_assert_eq(got.sequence, good.sequence);
	cr_assert_eq(got.immediate, good.immediate);
}

Test(frame, the_layout_is_the_one_of_the_protocol)
{
	uint8_t bytes[TANDEM_FRAME_BYTES];
	tandem_frame_encode(&good, bytes);
	cr_assert_arr_eq(bytes, "Tfrm", 4);
	cr_assert_eq(bytes[4], TANDEM_FRAME_NOTIFY);
	cr_assert_eq(bytes[8], 3);
	cr_assert_eq(bytes[13], 0x10);
	cr_assert_eq(bytes[16], 0x88);
	cr_assert_eq(bytes[31], 0x99);
	cr_assert_eq(bytes[32], 12);
	cr_assert_eq(bytes[40], 0x0d);
}

Test(frame, every_field_of_a_batch_comes_back)
{
	uint8_t bytes[TANDEM_FRAME_BYTES];
	struct tandem_frame got;
	tandem_frame_encode(&batch, bytes);
	cr_assert_eq(tandem_frame_decode(bytes, &got), TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(got.length, batch.length);
	cr_assert_eq(got.extent_count, batch.extent_count);
	cr_assert_eq(got.table_checksum, batch.table_checksum);
	cr_assert_eq(bytes[44], 3);
	cr_assert_eq(bytes[48], 0xef);
}

Test(frame, each_flipped_bit_is_seen)
{
	for (unsigned bit = 0; bit < TANDEM_FRAME_BYTES * 8; bit++) {
		uint8_t bytes[TANDEM_FRAME_BYTES];
		struct tandem_frame got = {.sequence = 99};
		tandem_frame_encode(&good, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		enum tandem_frame_fault wanted =
		        bit < 32 ? TANDEM_FRAME_FAULT_MAGIC : TANDEM_FRAME_FAULT_CHECKSUM;
		cr_assert_eq(tandem_frame_decode(bytes, &got), wanted, "bit %u", bit);
		cr_assert_eq(got.sequence, 99, "bit %u: output touched", bit);
	}
}

/* Frames with a right checksum and wrong content. */
static const struct {
	struct tandem_frame frame;
	enum tandem_frame_fault wanted;
} judged[] = {
        {{.type = TANDEM_FRAME_MESSAGE, .length = 1}, TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_MESSAGE, .length = TANDEM_MESSAGE_BYTES_MAX},
         TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_MESSAGE, .length = TANDEM_MESSAGE_BYTES_MAX + 1},
         TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_MESSAGE, .length = 0}, TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_MESSAGE, .length = 1, .memory_id = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_MESSAGE, .length = 1, .offset = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_MESSAGE, .length = 1, .memory_key = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_MESSAGE, .length = 1, .immediate = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_EXPOSE, .memory_id = 255, .offset = 4096, .memory_key = 1},
         TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_EXPOSE, .memory_id = 256, .offset = 4096, .memory_key = 1},
         TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_EXPOSE, .offset = 0, .memory_key = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_EXPOSE, .offset = 4096}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_EXPOSE, .offset = 1, .memory_key = 1, .length = 1},
         TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_WRITE, .length = TANDEM_WRITE_BYTES_MAX}, TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_WRITE, .length = TANDEM_WRITE_BYTES_MAX + 1},
         TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_WRITE, .length = 0}, TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_WRITE, .length = 1, .immediate = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_WRITE, .length = 1, .memory_id = 256}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_NOTIFY, .length = 1, .immediate = 1}, TANDEM_FRAME_FAULT_NONE},
        {{.type = (enum tandem_frame_type)0, .length = 1}, TANDEM_FRAME_FAULT_TYPE},
        {{.type = TANDEM_FRAME_WRITE, .length = 1, .extent_count = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_NOTIFY, .length = 1, .table_checksum = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_BATCH, .length = 1, .extent_count = 1, .table_checksum = 1},
         TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_BATCH, .length = 64u << 20, .extent_count = TANDEM_EXTENTS_MAX},
         TANDEM_FRAME_FAULT_NONE},
        {{.type = TANDEM_FRAME_BATCH,
          .length = (64u << 20) + 1,
          .extent_count = TANDEM_EXTENTS_MAX},
         TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_BATCH, .length = 4, .extent_count = 5}, TANDEM_FRAME_FAULT_LENGTH},
        {{.type = TANDEM_FRAME_BATCH, .length = 1}, TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_BATCH, .length = 99, .extent_count = TANDEM_EXTENTS_MAX + 1},
         TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_BATCH, .length = 1, .extent_count = 1, .offset = 1},
         TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_BATCH, .length = 1, .extent_count = 1, .immediate = 1},
         TANDEM_FRAME_FAULT_FIELD},
        {{.type = TANDEM_FRAME_BATCH, .length = 1, .extent_count = 1, .memory_id = 256},
         TANDEM_FRAME_FAULT_FIELD},
        {{.type = (enum tandem_frame_type)6, .length = 1}, TANDEM_FRAME_FAULT_TYPE},
        {{.type = (enum tandem_frame_type)257, .length = 1}, TANDEM_FRAME_FAULT_TYPE},
};

Test(frame, fields_are_judged_by_type)
{
	for (unsigned i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
		uint8_t bytes[TANDEM_FRAME_BYTES];
		struct tandem_frame got;
		tandem_frame_encode(&judged[i].frame, bytes);
		cr_assert_eq(tandem_frame_decode(bytes, &got), judged[i].wanted, "row %u", i);
	}
}

Test(frame, a_type_belongs_to_one_kind_of_channel_and_one_direction)
{
	/* Bit 0: data channel, bit 1: at the listening side. */
	static const bool wanted[6][4] = {
	        [TANDEM_FRAME_MESSAGE] = {true, false, true, false},
	        [TANDEM_FRAME_EXPOSE] = {true, false, false, false},
	        [TANDEM_FRAME_WRITE] = {false, false, false, true},
	        [TANDEM_FRAME_NOTIFY] = {false, false, false, true},
	        [TANDEM_FRAME_BATCH] = {false, false, false, true},
	};
	for (unsigned type = TANDEM_FRAME_MESSAGE; type <= TANDEM_FRAME_BATCH; type++) {
		for (unsigned where = 0; where < 4; where++) {
			const struct tandem_frame frame = {.type = (enum tandem_frame_type)type};
			const struct tandem_frame_context context = {
			        .is_data_channel = where & 1, .is_listening_side = where & 2};
			enum tandem_frame_fault fault = tandem_frame_check(&frame, &context);
			cr_assert_eq(fault == TANDEM_FRAME_FAULT_NONE, wanted[type][where],
			             "type %u at %u", type, where);
		}
	}
}

Test(frame, a_sequence_has_no_gap_and_no_repeat)
{
	struct tandem_frame_context context = {
	        .sequence = 12, .is_data_channel = true, .is_listening_side = true};
	cr_assert_eq(tandem_frame_check(&good, &context), TANDEM_FRAME_FAULT_NONE);
	context.sequence = 13;
	cr_assert_eq(tandem_frame_check(&good, &context), TANDEM_FRAME_FAULT_SEQUENCE);
	context.sequence = 11;
	cr_assert_eq(tandem_frame_check(&good, &context), TANDEM_FRAME_FAULT_SEQUENCE);
}

Test(frame, a_target_needs_exposure_key_and_range)
{
	struct tandem_frame frame = {.length = 100, .offset = 900, .memory_key = 7};
	cr_assert_eq(tandem_frame_check_target(&frame, 1000, 7), TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(tandem_frame_check_target(&frame, 0, 7), TANDEM_FRAME_FAULT_EXPOSED);
	cr_assert_eq(tandem_frame_check_target(&frame, 1000, 8), TANDEM_FRAME_FAULT_KEY);
	cr_assert_eq(tandem_frame_check_target(&frame, 999, 7), TANDEM_FRAME_FAULT_RANGE);
	cr_assert_eq(tandem_frame_check_target(&frame, 99, 7), TANDEM_FRAME_FAULT_RANGE);
	frame.offset = UINT64_MAX - 50; /* the sum would wrap */
	cr_assert_eq(tandem_frame_check_target(&frame, 1000, 7), TANDEM_FRAME_FAULT_RANGE);
	/* Its extents may overlap, so only its table says whether it fits. */
	frame = batch;
	cr_assert_eq(tandem_frame_check_target(&frame, 1000, frame.memory_key),
	             TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(tandem_frame_check_target(&frame, 1000, 7), TANDEM_FRAME_FAULT_KEY);
	cr_assert_eq(tandem_frame_check_target(&frame, 0, frame.memory_key),
	             TANDEM_FRAME_FAULT_EXPOSED);
}

Test(frame, faults_have_texts)
{
	for (unsigned fault = 0; fault < TANDEM_FRAME_FAULT_COUNT; fault++)
		cr_assert(strlen(tandem_frame_fault_text((enum tandem_frame_fault)fault)) > 0);
	cr_assert_str_eq(tandem_frame_fault_text(TANDEM_FRAME_FAULT_COUNT), "unknown fault");
}
