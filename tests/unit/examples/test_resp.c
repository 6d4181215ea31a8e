#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tandem/random.h>

#include "resp.h"

/* What a stream was understood as: "[word|word]" a request, "!text" the error that ends it. */
struct reading {
	char text[4096];
	size_t length;
};

#define LIST_MAX (2 * TANDEM_KV_ARGS_MAX)
static struct tandem_kv_arg list[LIST_MAX];
static uint8_t scratch[256 << 10];

static void reading_add(struct reading *reading, const void *bytes, size_t length)
{
	cr_assert_lt(reading->length + length, sizeof(reading->text));
	memcpy(reading->text + reading->length, bytes, length);
	reading->length += length;
	reading->text[reading->length] = '\0';
}

static void reading_add_request(struct reading *reading, const struct tandem_kv_args *args)
{
	reading_add(reading, "[", 1);
	for (size_t i = 0; i < args->count; i++) {
		if (i > 0)
			reading_add(reading, "|", 1);
		reading_add(reading, args->list[i].bytes, args->list[i].length);
	}
	reading_add(reading, "]", 1);
}

/* Feeds the stream in pieces of `piece` bytes, as a connection does: the front stays until a
 * request is complete. */
static void read_stream(const char *stream, size_t length, size_t piece, struct reading *reading)
{
	struct tandem_kv_resp resp = {0};
	size_t start = 0;

	memset(reading, 0, sizeof(*reading));
	for (size_t have = 0; have < length;) {
		have = have + piece < length ? have + piece : length;
		for (;;) {
			struct tandem_kv_args args = {.list = list,
			                              .capacity = LIST_MAX,
			                              .scratch = scratch,
			                              .scratch_capacity = sizeof(scratch)};
			size_t used = 0;
			enum tandem_kv_resp_result result = tandem_kv_resp_next(
			        &resp, (const uint8_t *)stream + start, have - start, &args, &used);

			cr_assert_neq(result, TANDEM_KV_RESP_FULL);
			if (result == TANDEM_KV_RESP_ERROR) {
				reading_add(reading, "!", 1);
				reading_add(reading, resp.error, strlen(resp.error));
				return;
			}
			if (result == TANDEM_KV_RESP_MORE)
				break;
			reading_add_request(reading, &args);
			start += used;
		}
	}
}

struct sample {
	char stream[96];
	char wanted[64];
};

static const struct sample samples[] = {
        {"*1\r\n$4\r\nPING\r\n", "[PING]"},
        {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[GET|]"},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n",
         "[SET|k|a\r\nb][PING]"},
        {"*0\r\n*-1\r\nPING\r\n", "[][][PING]"},
        {"PING\r\nPING\n", "[PING][PING]"},
        {"\r\n\n  \r\n", "[][][]"},
        {"  set  k \t v \r\n", "[set|k|v]"},
        {"set k \"a\\x41\\n\\\"\\\\\" \r\n", "[set|k|aA\n\"\\]"},
        {"set k 'a\\'b\\n'\r\n", "[set|k|a'b\\n]"},
        {"set k \"\"\r\n", "[set|k|]"},
        {"set k \"\\r\\t\\b\\a\\x4g\\z\"\r\n", "[set|k|\r\t\b\ax4gz]"},
        {"set k \"a\"b\r\n", "!unbalanced quotes in request"},
        {"set k \"a\r\n", "!unbalanced quotes in request"},
        {"set k 'a\r\n", "!unbalanced quotes in request"},
        {"*1\r\n$4\r\nPINGxx", "!expected CRLF after bulk"},
        {"*1\r\n$4\r\nPING\n\n", "!expected CRLF after bulk"},
        {"*1\n$4\r\nPING\r\n", "!invalid multibulk length"},
        {"*\r\n", "!invalid multibulk length"},
        {"*x\r\n", "!invalid multibulk length"},
        {"*1 \r\n", "!invalid multibulk length"},
        {"*+1\r\n", "!invalid multibulk length"},
        {"*01\r\n", "!invalid multibulk length"},
        {"*32769\r\n", "!invalid multibulk length"},
        {"*99999999999999999999\r\n", "!invalid multibulk length"},
        {"*1\r\n4\r\nPING\r\n", "!expected '$', got '4'"},
        {"*1\r\n\x01\r\n", "!expected '$', got '?'"},
        {"*1\r\n\r\n", "!expected '$', got '?'"},
        {"*1\r\n$\r\n", "!invalid bulk length"},
        {"*1\r\n$-1\r\n", "!invalid bulk length"},
        {"*1\r\n$1048577\r\n", "!invalid bulk length"},
        {"*1\r\n$9223372036854775807\r\n", "!invalid bulk length"},
        {"*1\r\n$4x\r\nPING\r\n", "!invalid bulk length"},
        {"*11111111111111111111111111111111111111111111111111111111111111111\r\n",
         "!too big mbulk count string"},
        {"*1\r\n$11111111111111111111111111111111111111111111111111111111111111111\r\n",
         "!too big bulk count string"},
        {"*2\r\n$4\r\nPING\r\n$", ""},
};

Test(kv_resp, reads_what_it_should)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct reading reading;

		read_stream(samples[i].stream, strlen(samples[i].stream), SIZE_MAX / 4, &reading);
		cr_expect_str_eq(reading.text, samples[i].wanted, "sample %zu", i);
	}
}

Test(kv_resp, does_not_depend_on_how_the_bytes_are_cut)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		for (size_t piece = 1; piece < 12; piece++) {
			struct reading reading;

			read_stream(samples[i].stream, strlen(samples[i].stream), piece, &reading);
			cr_expect_str_eq(reading.text, samples[i].wanted, "sample %zu by %zu", i,
			                 piece);
		}
}

/* Damaged requests: whatever they are understood as, it is the same in every cut. */
Test(kv_resp, does_not_depend_on_the_cut_for_random_bytes_either)
{
	static const char alphabet[] = "*$1230-\r\n\r\n\"'\\ xPING";
	uint64_t seed = 4711;

	for (int round = 0; round < 3000; round++) {
		char stream[40];
		struct reading whole;
		struct reading cut;
		size_t length = 1 + tandem_random_next(&seed) % sizeof(stream);

		for (size_t i = 0; i < length; i++)
			stream[i] = alphabet[tandem_random_next(&seed) % (sizeof(alphabet) - 1)];
		read_stream(stream, length, SIZE_MAX / 4, &whole);
		read_stream(stream, length, 1 + tandem_random_next(&seed) % 5, &cut);
		cr_assert_eq(whole.length, cut.length, "round %d", round);
		cr_assert_eq(memcmp(whole.text, cut.text, whole.length), 0, "round %d", round);
	}
}

static uint8_t large[TANDEM_KV_REQUEST_MAX + 4096];
static size_t large_length;

static void large_add_line(char kind, size_t number)
{
	large_length += (size_t)snprintf((char *)large + large_length, sizeof(large) - large_length,
	                                 "%c%zu\r\n", kind, number);
}

Test(kv_resp, takes_the_largest_argument_and_no_larger_request)
{
	struct tandem_kv_args args = {.list = list, .capacity = LIST_MAX};
	struct tandem_kv_resp resp = {0};
	size_t used = 0;

	large_add_line('*', 20);
	for (int i = 0; i < 7; i++) {
		large_add_line('$', TANDEM_KV_BULK_MAX);
		memset(large + large_length, 'v', TANDEM_KV_BULK_MAX);
		large_length += TANDEM_KV_BULK_MAX;
		memcpy(large + large_length, "\r\n", 2);
		large_length += 2;
	}
	cr_assert_eq(tandem_kv_resp_next(&resp, large, large_length, &args, &used),
	             TANDEM_KV_RESP_MORE);
	large_add_line('$', TANDEM_KV_BULK_MAX);
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(tandem_kv_resp_next(&resp, large, large_length, &args, &used),
		             TANDEM_KV_RESP_ERROR);
		cr_assert_str_eq(resp.error, "too big request");
	}
}

Test(kv_resp, refuses_an_inline_request_without_end)
{
	static uint8_t stream[TANDEM_KV_INLINE_MAX];
	struct tandem_kv_args args = {.list = list, .capacity = LIST_MAX};
	struct tandem_kv_resp resp = {0};
	size_t used = 0;

	memset(stream, 'x', sizeof(stream));
	cr_assert_eq(tandem_kv_resp_next(&resp, stream, sizeof(stream) - 1, &args, &used),
	             TANDEM_KV_RESP_MORE);
	cr_assert_eq(tandem_kv_resp_next(&resp, stream, sizeof(stream), &args, &used),
	             TANDEM_KV_RESP_ERROR);
	cr_assert_str_eq(resp.error, "too big inline request");
}

Test(kv_resp, waits_for_room_without_losing_the_request)
{
	static const char streams[][32] = {"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n", "ECHO x\r\n"};

	for (size_t i = 0; i < 2; i++) {
		struct tandem_kv_args args = {.list = list,
		                              .count = 3,
		                              .capacity = 4,
		                              .scratch = scratch,
		                              .scratch_capacity = sizeof(scratch)};
		struct tandem_kv_resp resp = {0};
		size_t used = 0;
		const uint8_t *bytes = (const uint8_t *)streams[i];
		size_t length = strlen(streams[i]);

		cr_assert_eq(tandem_kv_resp_next(&resp, bytes, length, &args, &used),
		             TANDEM_KV_RESP_FULL);
		cr_assert_eq(args.count, 3);
		args.count = 0;
		cr_assert_eq(tandem_kv_resp_next(&resp, bytes, length, &args, &used),
		             TANDEM_KV_RESP_REQUEST);
		cr_assert_eq(args.count, 2);
		cr_assert_eq(used, length);
	}
}
