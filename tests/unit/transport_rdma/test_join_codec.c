#include <criterion/criterion.h>
#include <string.h>

#include <tandem/bytes.h>
#include <tandem/crc32c.h>

#include "rdma/core/join.h"

#define BYTES(first)                                                                               \
	{                                                                                          \
		first, 2, 3, 4, 5, 6, 7, 8                                                         \
	}

static const struct tandem_rdma_join sound[] = {
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 1, .key_id = BYTES(1)},
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 16, .nonce = BYTES(9)},
        {.kind = TANDEM_RDMA_JOIN_DATA,
         .channel = 15,
         .channel_count = 16,
         .session_id = UINT64_MAX,
         .attempt = UINT32_MAX,
         .token = BYTES(7)},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_CONTROL,
         .session_id = 1,
         .nonce = BYTES(4),
         .proof = BYTES(8)},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_DATA, .token = BYTES(3)},
        {.kind = TANDEM_RDMA_JOIN_REJECT, .reason = TANDEM_RDMA_REJECT_DEVICE},
};

static const struct tandem_rdma_join unsound[] = {
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 0},
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 17},
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel = 1, .channel_count = 4},
        {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 4, .reason = 1},
        {.kind = TANDEM_RDMA_JOIN_DATA,
         .channel = 4,
         .channel_count = 4,
         .session_id = 5,
         .attempt = 1},
        {.kind = TANDEM_RDMA_JOIN_DATA, .channel_count = 4, .session_id = 0, .attempt = 1},
        {.kind = TANDEM_RDMA_JOIN_DATA, .channel_count = 4, .session_id = 5, .attempt = 0},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_CONTROL, .session_id = 0},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_CONTROL, .session_id = 3, .channel_count = 1},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_DATA, .channel = 1},
        {.kind = TANDEM_RDMA_JOIN_ACCEPT_DATA, .reason = TANDEM_RDMA_REJECT_FULL},
        {.kind = TANDEM_RDMA_JOIN_REJECT, .reason = TANDEM_RDMA_REJECT_NONE},
        {.kind = TANDEM_RDMA_JOIN_REJECT, .reason = TANDEM_RDMA_REJECT_END},
        {.kind = 0, .channel_count = 4},
        {.kind = 9, .channel_count = 4},
};

Test(rdma_join, comes_back_as_it_was_with_padding)
{
	for (unsigned i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		uint8_t padded[196] = {0};
		struct tandem_rdma_join join;

		tandem_rdma_join_encode(&sound[i], padded);
		cr_assert_eq(tandem_rdma_join_decode(padded, sizeof(padded), &join), 0, "%u", i);
		cr_expect_eq(join.kind, sound[i].kind);
		cr_expect_eq(join.reason, sound[i].reason);
		cr_expect_eq(join.channel, sound[i].channel);
		cr_expect_eq(join.channel_count, sound[i].channel_count);
		cr_expect_eq(join.session_id, sound[i].session_id);
		cr_expect_eq(join.attempt, sound[i].attempt);
		cr_expect_arr_eq(join.key_id, sound[i].key_id, sizeof(join.key_id));
		cr_expect_arr_eq(join.nonce, sound[i].nonce, sizeof(join.nonce));
		cr_expect_arr_eq(join.proof, sound[i].proof, sizeof(join.proof));
		cr_expect_arr_eq(join.token, sound[i].token, sizeof(join.token));
		cr_expect_eq(tandem_rdma_join_decode(padded, TANDEM_RDMA_JOIN_BYTES, &join), 0);
	}
}

Test(rdma_join, leaves_no_byte_of_a_kind_without_a_meaning)
{
	static uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	const size_t checked = sizeof(bytes) - 4;
	struct tandem_rdma_join join;

	tandem_rdma_join_encode(&sound[5], bytes);
	for (size_t i = 12; i < checked; i++) {
		uint32_t crc;

		bytes[i] = 1;
		crc = tandem_crc32c(0, bytes, checked);
		for (unsigned k = 0; k < 4; k++)
			bytes[checked + k] = (uint8_t)(crc >> (8 * k));
		cr_expect_eq(tandem_rdma_join_decode(bytes, sizeof(bytes), &join),
		             TANDEM_E_PROTOCOL);
		bytes[i] = 0;
	}
}

Test(rdma_join, refuses_what_makes_no_sense)
{
	for (unsigned i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++) {
		uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
		struct tandem_rdma_join join;

		tandem_rdma_join_encode(&unsound[i], bytes);
		cr_expect_eq(tandem_rdma_join_decode(bytes, sizeof(bytes), &join),
		             TANDEM_E_PROTOCOL, "%u", i);
	}
}

Test(rdma_join, refuses_every_truncation_and_every_flipped_bit)
{
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct tandem_rdma_join join;

	tandem_rdma_join_encode(&sound[2], bytes);
	for (size_t length = 0; length < sizeof(bytes); length++)
		cr_expect_eq(tandem_rdma_join_decode(bytes, length, &join), TANDEM_E_PROTOCOL);
	for (unsigned bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_neq(tandem_rdma_join_decode(bytes, sizeof(bytes), &join), 0, "bit %u",
		              bit);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(rdma_join, tells_another_version_from_noise)
{
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct tandem_rdma_join join;

	tandem_rdma_join_encode(&sound[0], bytes);
	bytes[4] = 9;
	cr_expect_eq(tandem_rdma_join_decode(bytes, sizeof(bytes), &join), TANDEM_E_VERSION);
	cr_expect_eq(tandem_rdma_join_version(bytes, sizeof(bytes)), 9);
	bytes[0] ^= 1;
	cr_expect_eq(tandem_rdma_join_decode(bytes, sizeof(bytes), &join), TANDEM_E_PROTOCOL);
	cr_expect_eq(tandem_rdma_join_version(bytes, sizeof(bytes)), 0);
}

Test(rdma_join, has_a_text_for_every_reason)
{
	for (int reason = -1; reason <= TANDEM_RDMA_REJECT_END + 1; reason++)
		cr_expect_gt(
		        strlen(tandem_rdma_reject_text((enum tandem_rdma_reject_reason)reason)), 0);
}
