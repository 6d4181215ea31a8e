#include <criterion/criterion.h>

#include <string.h>
#include <tandem/crc32c.h>

#include "core/hello.h"

static const struct tandem_hello good = {.kind = TANDEM_HELLO_DATA,
                                         .channel = 3,
                                         .channel_count = 4,
                                         .key = UINT64_C(0x0102030405060708)};

Test(hello, every_field_comes_back)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_hello got;
	unsigned version;
	tandem_hello_encode(&good, bytes);
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_NONE);
	cr_assert(got.kind == good.kind && got.channel == 3 && got.channel_count == 4);
	cr_assert_eq(got.key, good.key);
}

Test(hello, another_version_is_named)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_hello got;
	unsigned version = 0;
	tandem_hello_encode(&good, bytes);
	bytes[5] = 2;
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_VERSION);
	cr_assert_eq(version, 0x201);
}

Test(hello, each_flipped_bit_is_seen)
{
	for (unsigned bit = 0; bit < TANDEM_HELLO_BYTES * 8; bit++) {
		uint8_t bytes[TANDEM_HELLO_BYTES];
		struct tandem_hello got = {.key = 5};
		unsigned version;
		tandem_hello_encode(&good, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		enum tandem_hello_fault wanted = bit < 32   ? TANDEM_HELLO_FAULT_MAGIC
		                                 : bit < 48 ? TANDEM_HELLO_FAULT_VERSION
		                                            : TANDEM_HELLO_FAULT_CHECKSUM;
		cr_assert_eq(tandem_hello_decode(bytes, &got, &version), wanted, "bit %u", bit);
		cr_assert_eq(got.key, 5);
	}
}

static const struct tandem_hello wrong[] = {
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 0},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 17},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 4, .channel = 1},
        {.kind = TANDEM_HELLO_CONTROL, .channel_count = 4, .key = 1},
        {.kind = TANDEM_HELLO_DATA, .channel_count = 4, .channel = 4, .key = 1},
        {.kind = TANDEM_HELLO_DATA, .channel_count = 0, .key = 1},
        {.kind = (enum tandem_hello_kind)0, .channel_count = 4},
        {.kind = (enum tandem_hello_kind)3, .channel_count = 4},
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

/* A right checksum over reserved bytes that are not zero. */
Test(hello, reserved_bytes_must_be_zero)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_hello got;
	unsigned version;
	tandem_hello_encode(&good, bytes);
	bytes[20] = 1;
	uint32_t crc = tandem_crc32c(0, bytes, TANDEM_HELLO_BYTES - 4);
	for (unsigned i = 0; i < 4; i++)
		bytes[TANDEM_HELLO_BYTES - 4 + i] = (uint8_t)(crc >> (8 * i));
	cr_assert_eq(tandem_hello_decode(bytes, &got, &version), TANDEM_HELLO_FAULT_FIELD);
}

Test(answer, every_field_comes_back)
{
	const struct tandem_answer sent = {
	        .verdict = TANDEM_VERDICT_VERSION, .version = 9, .key = 77};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer got;
	tandem_answer_encode(&sent, bytes);
	cr_assert_eq(tandem_answer_decode(bytes, &got), TANDEM_HELLO_FAULT_NONE);
	cr_assert(got.verdict == sent.verdict && got.version == 9 && got.key == 77);
}

Test(answer, damage_is_seen)
{
	const struct tandem_answer sent = {.verdict = TANDEM_VERDICT_JOINED, .version = 1};
	const struct tandem_answer unknown = {.verdict = (enum tandem_verdict)6, .version = 1};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer got;
	for (unsigned bit = 0; bit < TANDEM_ANSWER_BYTES * 8; bit++) {
		tandem_answer_encode(&sent, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_neq(tandem_answer_decode(bytes, &got), TANDEM_HELLO_FAULT_NONE);
	}
	tandem_answer_encode(&unknown, bytes);
	cr_assert_eq(tandem_answer_decode(bytes, &got), TANDEM_HELLO_FAULT_FIELD);
}

Test(hello, texts)
{
	for (int fault = TANDEM_HELLO_FAULT_NONE; fault <= TANDEM_HELLO_FAULT_FIELD; fault++)
		cr_assert(strlen(tandem_hello_fault_text((enum tandem_hello_fault)fault)) > 0);
	for (int verdict = TANDEM_VERDICT_JOINED; verdict <= TANDEM_VERDICT_BUSY; verdict++)
		cr_assert(strlen(tandem_verdict_text((enum tandem_verdict)verdict)) > 0);
	cr_assert_str_eq(tandem_verdict_text((enum tandem_verdict)99), "unknown verdict");
}
