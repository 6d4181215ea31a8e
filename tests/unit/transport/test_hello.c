#include <criterion/criterion.h>

#include <string.h>
#include <tandem/crc32c.h>

#include "core/hello.h"

static const struct tandem_hello data = {.kind = TANDEM_HELLO_DATA,
                                         .channel = 3,
                                         .channel_count = 4,
                                         .attempt = 0x01020304,
                                         .session_id = UINT64_C(0x0102030405060708),
                                         .token = {1, 2, 3, [15] = 16}};
static const struct tandem_hello control = {.kind = TANDEM_HELLO_CONTROL,
                                            .channel_count = 16,
                                            .key_id = {9, [7] = 8},
                                            .nonce = {5, [15] = 6}};

Test(hello, every_field_comes_back)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_hello got;
	unsigned version;
	tandem_hello_encode(&data, bytes);
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_NONE);
	cr_assert(got.kind == data.kind && got.channel == 3 && got.channel_count == 4);
	cr_assert(got.session_id == data.session_id && got.attempt == data.attempt);
	cr_assert_arr_eq(got.token, data.token, sizeof(got.token));
	tandem_hello_encode(&control, bytes);
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_NONE);
	cr_assert(got.kind == control.kind && got.channel_count == 16 && got.session_id == 0);
	cr_assert_arr_eq(got.key_id, control.key_id, sizeof(got.key_id));
	cr_assert_arr_eq(got.nonce, control.nonce, sizeof(got.nonce));
}

/* Whoever speaks another version may have another size, so six bytes must do. */
Test(hello, another_version_is_named_by_its_beginning)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_hello got;
	unsigned version = 0;
	tandem_hello_encode(&data, bytes);
	bytes[5] = 2;
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_VERSION);
	cr_assert_eq(version, 0x200 + TANDEM_HELLO_VERSION);
	version = 0;
	memset(bytes + TANDEM_HELLO_BEGIN_BYTES, 0xff, sizeof(bytes) - TANDEM_HELLO_BEGIN_BYTES);
	cr_assert_eq(tandem_hello_peek(bytes, &version), TANDEM_HELLO_FAULT_VERSION);
	cr_assert_eq(version, 0x200 + TANDEM_HELLO_VERSION);
	cr_assert_eq(tandem_answer_peek(bytes, &version), TANDEM_HELLO_FAULT_MAGIC);
}

Test(hello, each_flipped_bit_is_seen)
{
	for (unsigned bit = 0; bit < TANDEM_HELLO_BYTES * 8; bit++) {
		uint8_t bytes[TANDEM_HELLO_BYTES];
		struct tandem_hello got = {.session_id = 5};
		unsigned version;
		tandem_hello_encode(&data, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		enum tandem_hello_fault wanted = bit < 32   ? TANDEM_HELLO_FAULT_MAGIC
		                                 : bit < 48 ? TANDEM_HELLO_FAULT_VERSION
		                                            : TANDEM_HELLO_FAULT_CHECKSUM;
		cr_assert_eq(tandem_hello_decode(bytes, &got, &version), wanted, "bit %u", bit);
		cr_assert_eq(got.session_id, 5);
	}
}

static const struct tandem_hello wrong[] = {
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 0},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 17},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 4, .channel = 1},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 4, .session_id = 1},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 4, .attempt = 1},
        {.kind = TANDEM_HELLO_DATA,
         .channel_count = 4,
         .channel = 4,
         .session_id = 1,
         .attempt = 1},
        {.kind = TANDEM_HELLO_DATA, .channel_count = 0, .session_id = 1, .attempt = 1},
        {.kind = TANDEM_HELLO_DATA, .channel_count = 4, .session_id = 0, .attempt = 1},
        {.kind = TANDEM_HELLO_DATA, .channel_count = 4, .session_id = 1, .attempt = 0},
        {.kind = TANDEM_HELLO_DATA,
         .channel_count = 4,
         .session_id = 1,
         .attempt = 1,
         .key_id = {[7] = 1}},
        {.kind = (enum tandem_hello_kind)0, .channel_count = 4},
        {.kind = (enum tandem_hello_kind)3, .channel_count = 4, .session_id = 1, .attempt = 1},
};

Test(hello, fields_out_of_range_are_refused)
{
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bytes[TANDEM_HELLO_BYTES];
		struct tandem_hello got;
		unsigned version;
		tandem_hello_encode(&wrong[i], bytes);
		cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_FIELD,
		             "row %u", i);
	}
}

static void repair(uint8_t *bytes, size_t size)
{
	uint32_t crc = tandem_crc32c(0, bytes, size - 4);
	for (unsigned i = 0; i < 4; i++)
		bytes[size - 4 + i] = (uint8_t)(crc >> (8 * i));
}

/* A right checksum over reserved bytes that are not zero. */
Test(hello, reserved_bytes_must_be_zero)
{
	static const unsigned reserved[] = {9, 11, 48, 59};
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		uint8_t bytes[TANDEM_HELLO_BYTES];
		struct tandem_hello got;
		unsigned version;
		tandem_hello_encode(&data, bytes);
		bytes[reserved[i]] = 1;
		repair(bytes, sizeof(bytes));
		cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_FIELD,
		             "byte %u", reserved[i]);
	}
}

static const struct tandem_answer joined = {.verdict = TANDEM_VERDICT_JOINED,
                                            .version = TANDEM_HELLO_VERSION,
                                            .session_id = 77,
                                            .nonce = {1, [15] = 2},
                                            .proof = {3, [15] = 4}};

Test(answer, every_field_comes_back)
{
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer got;
	unsigned version;
	tandem_answer_encode(&joined, bytes);
	cr_assert_eq(tandem_answer_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_NONE);
	cr_assert(got.verdict == joined.verdict && got.version == TANDEM_HELLO_VERSION);
	cr_assert_eq(got.session_id, 77);
	cr_assert_arr_eq(got.nonce, joined.nonce, sizeof(got.nonce));
	cr_assert_arr_eq(got.proof, joined.proof, sizeof(got.proof));
}

Test(answer, damage_is_seen)
{
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer got;
	unsigned version;
	for (unsigned bit = 0; bit < TANDEM_ANSWER_BYTES * 8; bit++) {
		tandem_answer_encode(&joined, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_neq(tandem_answer_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_NONE);
	}
}

/* A refusal tells nothing but itself. */
static const struct tandem_answer wrong_answers[] = {
        {.verdict = (enum tandem_verdict)0, .version = TANDEM_HELLO_VERSION},
        {.verdict = (enum tandem_verdict)9, .version = TANDEM_HELLO_VERSION},
        {.verdict = TANDEM_VERDICT_JOINED, .version = TANDEM_HELLO_VERSION},
        {.verdict = TANDEM_VERDICT_KEY, .version = TANDEM_HELLO_VERSION, .session_id = 1},
        {.verdict = TANDEM_VERDICT_KEY, .version = TANDEM_HELLO_VERSION, .nonce = {1}},
        {.verdict = TANDEM_VERDICT_KEY, .version = TANDEM_HELLO_VERSION, .proof = {1}},
};

Test(answer, fields_out_of_range_are_refused)
{
	for (unsigned i = 0; i < sizeof(wrong_answers) / sizeof(wrong_answers[0]); i++) {
		uint8_t bytes[TANDEM_ANSWER_BYTES];
		struct tandem_answer got;
		unsigned version;
		tandem_answer_encode(&wrong_answers[i], bytes);
		cr_assert_eq(tandem_answer_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_FIELD,
		             "row %u", i);
	}
}

Test(proof, comes_back_and_damage_is_seen)
{
	const uint8_t proof[TANDEM_PROOF_BYTES] = {1, [15] = 9};
	uint8_t bytes[TANDEM_PROOF_FRAME_BYTES];
	uint8_t got[TANDEM_PROOF_BYTES];
	tandem_proof_encode(proof, bytes);
	cr_assert_eq(tandem_proof_decode(bytes, got), TANDEM_HELLO_FAULT_NONE);
	cr_assert_arr_eq(got, proof, sizeof(got));
	for (unsigned bit = 0; bit < sizeof(bytes) * 8; bit++) {
		tandem_proof_encode(proof, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_neq(tandem_proof_decode(bytes, got), TANDEM_HELLO_FAULT_NONE);
	}
	tandem_proof_encode(proof, bytes);
	bytes[20] = 1;
	repair(bytes, sizeof(bytes));
	cr_assert_eq(tandem_proof_decode(bytes, got), TANDEM_HELLO_FAULT_FIELD);
}

Test(hello, texts)
{
	for (int fault = TANDEM_HELLO_FAULT_NONE; fault <= TANDEM_HELLO_FAULT_FIELD; fault++)
		cr_assert(strlen(tandem_hello_fault_text((enum tandem_hello_fault)fault)) > 0);
	for (int verdict = TANDEM_VERDICT_JOINED; verdict <= TANDEM_VERDICT_BUSY; verdict++)
		cr_assert_str_neq(tandem_verdict_text((enum tandem_verdict)verdict),
		                  "unknown verdict");
	cr_assert_str_eq(tandem_verdict_text((enum tandem_verdict)99), "unknown verdict");
}
