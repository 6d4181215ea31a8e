#include <criterion/criterion.h>
#include <string.h>

#include "buffer.h"
#include "glob.h"
#include "number.h"
#include "record.h"
#include "reply.h"

Test(kv_number, parses_strictly)
{
	static const struct {
		char text[24];
		bool is_number;
		int64_t number;
	} rows[] = {
	        {"0", true, 0},
	        {"-1", true, -1},
	        {"9223372036854775807", true, INT64_MAX},
	        {"-9223372036854775808", true, INT64_MIN},
	        {"9223372036854775808", false, 0},
	        {"-9223372036854775809", false, 0},
	        {"99999999999999999999", false, 0},
	        {"", false, 0},
	        {"-", false, 0},
	        {"-0", false, 0},
	        {"+1", false, 0},
	        {"01", false, 0},
	        {" 1", false, 0},
	        {"1 ", false, 0},
	        {"1x", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t number = 0;

		cr_expect_eq(tandem_kv_number_parse(rows[i].text, strlen(rows[i].text), &number),
		             rows[i].is_number, "%s", rows[i].text);
		cr_expect_eq(number, rows[i].number, "%s", rows[i].text);
	}
}

Test(kv_number, parses_a_cursor_of_64_bits)
{
	uint64_t number;

	cr_assert(tandem_kv_number_parse_unsigned("18446744073709551615", 20, &number));
	cr_assert_eq(number, UINT64_MAX);
	cr_assert_not(tandem_kv_number_parse_unsigned("18446744073709551616", 20, &number));
	cr_assert_not(tandem_kv_number_parse_unsigned("-1", 2, &number));
}

Test(kv_number, formats_what_it_parses)
{
	static const int64_t numbers[] = {0, 7, -7, 1000000, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char text[TANDEM_KV_NUMBER_BYTES];
		size_t length = tandem_kv_number_format(numbers[i], text);
		int64_t number = 1;

		cr_expect(tandem_kv_number_parse(text, length, &number));
		cr_expect_eq(number, numbers[i]);
	}
}

Test(kv_glob, matches)
{
	static const struct {
		char pattern[16];
		char text[16];
		bool is_match;
	} rows[] = {
	        {"*", "", true},           {"*", "anything", true},   {"", "", true},
	        {"", "a", false},          {"a?c", "abc", true},      {"a?c", "ac", false},
	        {"key:*", "key:1", true},  {"key:*", "kex:1", false}, {"*:1", "a:1:1", true},
	        {"*a*b*", "xaxxbx", true}, {"*a*b", "aab", true},     {"*a*b", "aaba", false},
	        {"[abc]x", "bx", true},    {"[abc]x", "dx", false},   {"[a-c]x", "bx", true},
	        {"[c-a]x", "bx", true},    {"[^a-c]x", "bx", false},  {"[^a-c]x", "dx", true},
	        {"\\*", "*", true},        {"\\*", "x", false},       {"[\\]]", "]", true},
	        {"[a", "a", true},         {"[", "[", false},         {"a\\", "a\\", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(tandem_kv_glob_match(rows[i].pattern, strlen(rows[i].pattern),
		                                  rows[i].text, strlen(rows[i].text)),
		             rows[i].is_match, "%s %s", rows[i].pattern, rows[i].text);
}

/* A pattern of stars takes no exponential time. */
Test(kv_glob, stays_quick, .timeout = 10)
{
	char pattern[401];
	char text[512];

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < 400; i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[400] = 'b';
	cr_assert_not(tandem_kv_glob_match(pattern, sizeof(pattern), text, sizeof(text)));
}

Test(kv_buffer, keeps_order_while_it_grows_and_is_taken_from)
{
	struct tandem_kv_buffer buffer = {.limit = 1 << 20};
	uint32_t written = 0;
	uint32_t read = 0;

	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 37; i++, written++)
			tandem_kv_buffer_append(&buffer, &written, sizeof(written));
		for (int i = 0; i < 31; i++, read++) {
			uint32_t number;

			memcpy(&number, tandem_kv_buffer_front(&buffer), sizeof(number));
			cr_assert_eq(number, read);
			tandem_kv_buffer_take(&buffer, sizeof(number));
		}
	}
	cr_assert_eq(tandem_kv_buffer_length(&buffer), (written - read) * sizeof(written));
	cr_assert_not(buffer.is_failed);
	tandem_kv_buffer_free(&buffer);
}

Test(kv_buffer, is_bounded)
{
	struct tandem_kv_buffer buffer = {.limit = 10};

	tandem_kv_buffer_append(&buffer, "123456789", 9);
	tandem_kv_buffer_append(&buffer, "ab", 2);
	cr_assert(buffer.is_failed);
	cr_assert_eq(tandem_kv_buffer_length(&buffer), 9);
	tandem_kv_buffer_append(&buffer, "c", 1);
	cr_assert_eq(tandem_kv_buffer_length(&buffer), 9, "failed stays failed");
	tandem_kv_buffer_cut(&buffer, 4);
	tandem_kv_buffer_append(&buffer, "c", 1);
	cr_assert_eq(memcmp(tandem_kv_buffer_front(&buffer), "1234c", 5), 0);
	tandem_kv_buffer_free(&buffer);
}

Test(kv_reply, writes_the_protocol)
{
	struct tandem_kv_buffer buffer = {.limit = 1000};
	static const char wanted[] =
	        "+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n$0\r\n\r\n";

	tandem_kv_reply_status(&buffer, "OK");
	tandem_kv_reply_error(&buffer, "ERR no");
	tandem_kv_reply_integer(&buffer, -5);
	tandem_kv_reply_bulk(&buffer, "a\r\n", 3);
	tandem_kv_reply_nil(&buffer);
	tandem_kv_reply_array(&buffer, 2);
	tandem_kv_reply_text(&buffer, "");
	cr_assert_eq(tandem_kv_buffer_length(&buffer), sizeof(wanted) - 1);
	cr_assert_eq(memcmp(tandem_kv_buffer_front(&buffer), wanted, sizeof(wanted) - 1), 0);
	tandem_kv_buffer_free(&buffer);
}

Test(kv_reply, an_error_stays_on_one_line)
{
	struct tandem_kv_buffer buffer = {.limit = 1000};

	tandem_kv_reply_error(&buffer, "ERR a\r\n+OK\r\n");
	cr_assert_eq(memcmp(tandem_kv_buffer_front(&buffer), "-ERR a  +OK  \r\n", 15), 0);
	tandem_kv_buffer_free(&buffer);
}

Test(kv_record, header_is_little_endian_milliseconds)
{
	uint8_t bytes[10] = {0};
	struct tandem_kv_record record;

	tandem_kv_record_write_expiry(bytes, UINT64_C(0x0102030405060708));
	cr_assert_eq(bytes[0], 8);
	cr_assert_eq(bytes[7], 1);
	cr_assert(tandem_kv_record_read(bytes, sizeof(bytes), &record));
	cr_assert_eq(record.expiry_ms, UINT64_C(0x0102030405060708));
	cr_assert_eq(record.value_length, 2);
	cr_assert_not(tandem_kv_record_read(bytes, 7, &record));
}

Test(kv_record, expires_at_its_time_and_zero_is_never)
{
	struct tandem_kv_record record = {.expiry_ms = 100};

	cr_assert_not(tandem_kv_record_is_expired(&record, 99));
	cr_assert(tandem_kv_record_is_expired(&record, 100));
	record.expiry_ms = TANDEM_KV_EXPIRY_NEVER;
	cr_assert_not(tandem_kv_record_is_expired(&record, UINT64_MAX));
}

/* The order of the map is part of what both nodes must agree on: it may never change. */
Test(kv_record, position_is_xxh3)
{
	cr_assert_eq(tandem_kv_record_position("", 0), UINT64_C(0x2d06800538d394c2));
}
