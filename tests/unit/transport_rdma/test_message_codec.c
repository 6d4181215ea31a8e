#include <criterion/criterion.h>
#include <string.h>

#include <tandem/random.h>

#include "rdma/core/message.h"

static uint8_t slot[TANDEM_RDMA_SLOT_BYTES];
static uint8_t *const payload = slot + TANDEM_RDMA_HEADER_BYTES;

static const struct tandem_secrets secrets = {.connecting_key = {{1, 2}},
                                              .listening_key = {{3, 4}}};
static const struct tandem_rdma_sealer sealer = {&secrets, false};

static size_t seal(enum tandem_rdma_message_kind kind, uint64_t sequence, uint32_t payload_bytes)
{
	const struct tandem_rdma_header header = {kind, sequence, payload_bytes};

	return tandem_rdma_message_seal(slot, &header, &sealer);
}

Test(rdma_message, comes_back_as_it_was)
{
	static const uint32_t sizes[] = {0, 1, 100, TANDEM_MESSAGE_BYTES_MAX};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tandem_rdma_header header;
		size_t length;

		memset(payload, 0x40 + (int)i, sizes[i]);
		length = seal(TANDEM_RDMA_MESSAGE_USER, 5 + i, sizes[i]);
		cr_assert_eq(length, TANDEM_RDMA_HEADER_BYTES + sizes[i]);
		cr_assert_null(tandem_rdma_message_open(slot, length, 5 + i, &sealer, &header));
		cr_expect_eq(header.kind, TANDEM_RDMA_MESSAGE_USER);
		cr_expect_eq(header.payload_bytes, sizes[i]);
	}
}

Test(rdma_message, refuses_every_flipped_bit_and_every_other_length)
{
	struct tandem_rdma_header header;
	const size_t length = seal(TANDEM_RDMA_MESSAGE_CREDIT, 1, 40);

	for (unsigned bit = 0; bit < 8 * length; bit++) {
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_not_null(tandem_rdma_message_open(slot, length, 1, &sealer, &header),
		                   "bit %u", bit);
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t other = 0; other <= TANDEM_RDMA_SLOT_BYTES; other++) {
		if (other != length)
			cr_expect_not_null(
			        tandem_rdma_message_open(slot, other, 1, &sealer, &header));
	}
}

Test(rdma_message, refuses_a_repeat_a_gap_and_an_unknown_kind)
{
	struct tandem_rdma_header header;
	size_t length = seal(TANDEM_RDMA_MESSAGE_USER, 7, 3);

	cr_expect_null(tandem_rdma_message_open(slot, length, 7, &sealer, &header));
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 6, &sealer, &header));
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 8, &sealer, &header));
	length = seal((enum tandem_rdma_message_kind)0, 7, 3);
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 7, &sealer, &header));
	length = seal(TANDEM_RDMA_MESSAGE_END, 7, 3);
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 7, &sealer, &header));
}

Test(rdma_message, refuses_what_another_key_or_the_other_side_sealed)
{
	const struct tandem_secrets others = {.connecting_key = {{1, 3}},
	                                      .listening_key = {{3, 4}}};
	const struct tandem_rdma_sealer other_key = {&others, false};
	const struct tandem_rdma_sealer other_side = {&secrets, true};
	struct tandem_rdma_header header;
	const size_t length = seal(TANDEM_RDMA_MESSAGE_PROOF, 1, 16);

	cr_expect_null(tandem_rdma_message_open(slot, length, 1, &sealer, &header));
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 1, &other_key, &header));
	cr_expect_not_null(tandem_rdma_message_open(slot, length, 1, &other_side, &header));
}

/* ---- what became of a channel ---- */

Test(rdma_channel_news, comes_back_as_it_was_and_nothing_else_does)
{
	const struct tandem_rdma_channel_news news = {TANDEM_RDMA_CHANNEL_ENDED, 3, 7};
	struct tandem_rdma_channel_news wrong = news;
	struct tandem_rdma_channel_news back;
	size_t length = tandem_rdma_channel_news_encode(&news, payload);

	cr_assert_null(tandem_rdma_channel_news_decode(payload, length, 4, &back));
	cr_expect_eq(back.kind, TANDEM_RDMA_CHANNEL_ENDED);
	cr_expect_eq(back.channel, 3);
	cr_expect_eq(back.attempt, 7);
	cr_expect_not_null(tandem_rdma_channel_news_decode(payload, length, 3, &back));
	for (size_t other = 0; other <= length + 4; other++) {
		if (other != length)
			cr_expect_not_null(
			        tandem_rdma_channel_news_decode(payload, other, 4, &back));
	}
	wrong.kind = (enum tandem_rdma_channel_news_kind)3;
	length = tandem_rdma_channel_news_encode(&wrong, payload);
	cr_expect_not_null(tandem_rdma_channel_news_decode(payload, length, 4, &back));
	wrong.kind = (enum tandem_rdma_channel_news_kind)0;
	length = tandem_rdma_channel_news_encode(&wrong, payload);
	cr_expect_not_null(tandem_rdma_channel_news_decode(payload, length, 4, &back));
}

/* ---- expose ---- */

#define MIB (UINT64_C(1) << 20)

static size_t encode(const struct tandem_rdma_expose *expose)
{
	static struct tandem_rdma_piece pieces[TANDEM_RDMA_EXPOSE_PIECES_MAX];

	for (uint32_t i = 0; i < expose->piece_count; i++)
		pieces[i] = (struct tandem_rdma_piece){0x1000 * (i + 1), 77 + i};
	return tandem_rdma_expose_encode(expose, pieces, payload);
}

Test(rdma_expose, comes_back_as_it_was)
{
	const struct tandem_rdma_expose expose = {
	        255, 15, 9, 5, TANDEM_RDMA_EXPOSE_PIECES_MAX, 2000 * MIB, MIB};
	struct tandem_rdma_expose back;
	const size_t length = encode(&expose);

	cr_assert_leq(length, TANDEM_MESSAGE_BYTES_MAX);
	cr_assert_null(tandem_rdma_expose_decode(payload, length, &back));
	cr_expect_eq(back.memory_id, 255);
	cr_expect_eq(back.channel, 15);
	cr_expect_eq(back.attempt, 9);
	cr_expect_eq(back.first_piece, 5);
	cr_expect_eq(back.piece_count, TANDEM_RDMA_EXPOSE_PIECES_MAX);
	cr_expect_eq(back.total_bytes, 2000 * MIB);
	cr_expect_eq(back.piece_bytes, MIB);
	cr_expect_eq(tandem_rdma_expose_piece(payload, 678).address, 0x1000 * 679);
	cr_expect_eq(tandem_rdma_expose_piece(payload, 678).key, 77 + 678);
	for (size_t other = 0; other < length; other++)
		cr_expect_not_null(tandem_rdma_expose_decode(payload, other, &back));
	cr_expect_not_null(tandem_rdma_expose_decode(payload, length + 1, &back));
}

Test(rdma_expose, refuses_what_no_memory_can_be)
{
	static const struct tandem_rdma_expose wrong[] = {
	        {256, 0, 1, 0, 1, MIB, MIB},
	        {0, 16, 1, 0, 1, MIB, MIB},
	        {0, 0, 1, 0, 1, 0, MIB},
	        {0, 0, 1, 0, 1, MIB, 0},
	        {0, 0, 1, 0, 1, MIB, MIB - 1},
	        {0, 0, 1, 0, 1, MIB, 257 * MIB},
	        {0, 0, 1, 0, 0, MIB, MIB},
	        {0, 0, 1, 1, 1, MIB, MIB},
	        {0, 0, 1, 0, 2, MIB, MIB},
	        {0, 0, 1, UINT32_MAX, 2, 8 * MIB, MIB},
	        {0, 0, 1, 0, 1, UINT64_MAX, MIB},
	        {0, 0, 1, 0, 1, (TANDEM_RDMA_PIECES_MAX + 1) * MIB, MIB},
	};
	struct tandem_rdma_expose back;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const size_t length = encode(&wrong[i]);

		cr_expect_not_null(tandem_rdma_expose_decode(payload, length, &back), "%u", i);
	}
}

Test(rdma_expose, refuses_a_piece_that_wraps_around)
{
	const struct tandem_rdma_expose expose = {0, 0, 1, 0, 1, MIB, MIB};
	const struct tandem_rdma_piece piece = {UINT64_MAX - 4096, 1};
	struct tandem_rdma_expose back;
	const size_t length = tandem_rdma_expose_encode(&expose, &piece, payload);

	cr_expect_not_null(tandem_rdma_expose_decode(payload, length, &back));
}

Test(rdma_expose, counts_pieces)
{
	cr_expect_eq(tandem_rdma_expose_piece_count(1, MIB), 1);
	cr_expect_eq(tandem_rdma_expose_piece_count(MIB, MIB), 1);
	cr_expect_eq(tandem_rdma_expose_piece_count(MIB + 1, MIB), 2);
	cr_expect_eq(tandem_rdma_expose_piece_count(TANDEM_RDMA_PIECES_MAX * MIB, MIB),
	             TANDEM_RDMA_PIECES_MAX);
}

/* ---- credit ---- */

Test(rdma_credit, comes_back_as_it_was_and_only_for_its_channels)
{
	const struct tandem_rdma_credit credit = {.message_count = 9,
	                                          .channel_count = 3,
	                                          .attempts = {4, 5, 6},
	                                          .notify_counts = {1, UINT64_MAX, 3}};
	struct tandem_rdma_credit back;
	const size_t length = tandem_rdma_credit_encode(&credit, payload);

	cr_assert_null(tandem_rdma_credit_decode(payload, length, 3, &back));
	cr_expect_eq(back.message_count, 9);
	cr_expect_eq(back.attempts[2], 6);
	cr_expect_eq(back.notify_counts[1], UINT64_MAX);
	cr_expect_eq(back.notify_counts[2], 3);
	cr_expect_not_null(tandem_rdma_credit_decode(payload, length, 2, &back));
	cr_expect_not_null(tandem_rdma_credit_decode(payload, length, 4, &back));
	cr_expect_not_null(tandem_rdma_credit_decode(payload, length - 1, 3, &back));
	cr_expect_not_null(tandem_rdma_credit_decode(payload, length + 1, 3, &back));
	cr_expect_not_null(tandem_rdma_credit_decode(payload, 0, 3, &back));
}

/* ---- beat ---- */

Test(rdma_beat, comes_back_as_it_was_and_is_one_word)
{
	const struct tandem_rdma_piece word = {0x1000, 7}, across = {0x1004, 7};
	struct tandem_rdma_piece back;
	size_t length = tandem_rdma_beat_encode(&word, payload);

	cr_assert_null(tandem_rdma_beat_decode(payload, length, &back));
	cr_expect_eq(back.address, 0x1000);
	cr_expect_eq(back.key, 7);
	cr_expect_not_null(tandem_rdma_beat_decode(payload, length - 1, &back));
	cr_expect_not_null(tandem_rdma_beat_decode(payload, length + 1, &back));
	cr_expect_not_null(tandem_rdma_beat_decode(payload, 0, &back));
	length = tandem_rdma_beat_encode(&across, payload);
	cr_expect_not_null(tandem_rdma_beat_decode(payload, length, &back));
}
