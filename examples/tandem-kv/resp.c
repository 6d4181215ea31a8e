#include "resp.h"

#include <string.h>

#include "number.h"

static enum tandem_kv_resp_result resp_fail(struct tandem_kv_resp *resp, const char *text)
{
	size_t length = strlen(text);

	if (length > sizeof(resp->error) - 1)
		length = sizeof(resp->error) - 1;
	memcpy(resp->error, text, length);
	resp->error[length] = '\0';
	return TANDEM_KV_RESP_ERROR;
}

static enum tandem_kv_resp_result resp_fail_expected(struct tandem_kv_resp *resp, uint8_t seen)
{
	resp_fail(resp, "expected '$', got '?'");
	if (seen >= 0x20 && seen < 0x7f)
		resp->error[strlen(resp->error) - 2] = (char)seen;
	return TANDEM_KV_RESP_ERROR;
}

/* Finds the end of the line at resp->offset. Looks at no more than `line_max` bytes, whatever has
 * arrived, so that the answer does not depend on how the bytes were cut. */
static enum tandem_kv_resp_result resp_line(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                            size_t length, size_t line_max, const char *too_big,
                                            size_t *ret_end)
{
	size_t have = length - resp->offset;
	size_t look = have < line_max ? have : line_max;
	const uint8_t *end = look > 0 ? memchr(bytes + resp->offset, '\n', look) : NULL;

	if (end) {
		*ret_end = (size_t)(end - bytes);
		return TANDEM_KV_RESP_REQUEST;
	}
	return have >= line_max ? resp_fail(resp, too_big) : TANDEM_KV_RESP_MORE;
}

/* The number of a "*N\r\n" or "$N\r\n" line that ends (its '\n') at `end`. */
static bool resp_line_number(const uint8_t *bytes, size_t start, size_t end, int64_t *ret_number)
{
	if (end < start + 2 || bytes[end - 1] != '\r')
		return false;
	return tandem_kv_number_parse(bytes + start + 1, end - 1 - (start + 1), ret_number);
}

static enum tandem_kv_resp_result resp_array_line(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                                  size_t length)
{
	size_t end;
	int64_t count;
	enum tandem_kv_resp_result result = resp_line(resp, bytes, length, TANDEM_KV_LINE_MAX,
	                                              "too big mbulk count string", &end);

	if (result != TANDEM_KV_RESP_REQUEST)
		return result;
	if (!resp_line_number(bytes, resp->offset, end, &count) || count > TANDEM_KV_ARGS_MAX)
		return resp_fail(resp, "invalid multibulk length");
	resp->is_array = true;
	resp->args_left = count > 0 ? (size_t)count : 0;
	resp->offset = end + 1;
	return TANDEM_KV_RESP_REQUEST;
}

static enum tandem_kv_resp_result resp_bulk_line(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                                 size_t length)
{
	size_t end;
	int64_t bulk;
	enum tandem_kv_resp_result result = resp_line(resp, bytes, length, TANDEM_KV_LINE_MAX,
	                                              "too big bulk count string", &end);

	if (result != TANDEM_KV_RESP_REQUEST)
		return result;
	if (bytes[resp->offset] != '$')
		return resp_fail_expected(resp, bytes[resp->offset]);
	if (!resp_line_number(bytes, resp->offset, end, &bulk) || bulk < 0 ||
	    bulk > (int64_t)TANDEM_KV_BULK_MAX)
		return resp_fail(resp, "invalid bulk length");
	if (end + 1 + (size_t)bulk + 2 > TANDEM_KV_REQUEST_MAX)
		return resp_fail(resp, "too big request");
	resp->is_bulk = true;
	resp->bulk_length = (size_t)bulk;
	resp->offset = end + 1;
	return TANDEM_KV_RESP_REQUEST;
}

static enum tandem_kv_resp_result resp_payload(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                               size_t length)
{
	size_t end = resp->offset + resp->bulk_length;

	if (length < end + 2)
		return TANDEM_KV_RESP_MORE;
	if (bytes[end] != '\r' || bytes[end + 1] != '\n')
		return resp_fail(resp, "expected CRLF after bulk");
	resp->is_bulk = false;
	resp->args_left--;
	resp->offset = end + 2;
	return TANDEM_KV_RESP_REQUEST;
}

/* Walks on until the array is complete. */
static enum tandem_kv_resp_result resp_scan_array(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                                  size_t length)
{
	enum tandem_kv_resp_result result = TANDEM_KV_RESP_REQUEST;

	if (!resp->is_array)
		result = resp_array_line(resp, bytes, length);
	while (result == TANDEM_KV_RESP_REQUEST && resp->args_left > 0)
		result = resp->is_bulk ? resp_payload(resp, bytes, length)
		                       : resp_bulk_line(resp, bytes, length);
	return result;
}

static size_t resp_line_end(const uint8_t *bytes, size_t start)
{
	while (bytes[start] != '\n')
		start++;
	return start + 1;
}

/* Second look at a complete array, whose lines are known to be right. */
static enum tandem_kv_resp_result resp_split_array(const struct tandem_kv_resp *resp,
                                                   const uint8_t *bytes,
                                                   struct tandem_kv_args *args)
{
	size_t at = resp_line_end(bytes, 0);
	size_t count = args->count;

	while (at < resp->offset) {
		size_t payload = resp_line_end(bytes, at);
		int64_t bulk = 0;

		if (count == args->capacity)
			return TANDEM_KV_RESP_FULL;
		(void)tandem_kv_number_parse(bytes + at + 1, payload - 2 - (at + 1), &bulk);
		args->list[count].bytes = bytes + payload;
		args->list[count++].length = (size_t)bulk;
		at = payload + (size_t)bulk + 2;
	}
	args->count = count;
	return TANDEM_KV_RESP_REQUEST;
}

static bool resp_is_blank(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == '\0';
}

static int resp_hex(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static uint8_t resp_escape(uint8_t byte)
{
	switch (byte) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	default:
		return byte;
	}
}

/* A line of an inline request that is being unquoted; `out` never overtakes `at`. */
struct resp_inline {
	const uint8_t *bytes;
	size_t at;
	size_t length;
	uint8_t *out;
	size_t out_length;
};

/* The rest of a quoted word after its opening quote, as redis-cli quotes. False when it does not
 * end, or when no blank follows the closing quote. */
static bool resp_unquote(struct resp_inline *line, uint8_t quote)
{
	while (line->at < line->length) {
		const uint8_t *in = line->bytes + line->at;
		size_t left = line->length - line->at;
		uint8_t byte = in[0];
		size_t used = 1;

		if (byte == quote) {
			line->at++;
			return left == 1 || resp_is_blank(in[1]);
		}
		if (byte == '\\' && quote == '"' && left > 3 && in[1] == 'x' &&
		    resp_hex(in[2]) >= 0 && resp_hex(in[3]) >= 0) {
			byte = (uint8_t)(resp_hex(in[2]) * 16 + resp_hex(in[3]));
			used = 4;
		} else if (byte == '\\' && left > 1 && (quote == '"' || in[1] == '\'')) {
			byte = quote == '"' ? resp_escape(in[1]) : in[1];
			used = 2;
		}
		line->out[line->out_length++] = byte;
		line->at += used;
	}
	return false;
}

static bool resp_inline_word(struct resp_inline *line)
{
	while (line->at < line->length && !resp_is_blank(line->bytes[line->at])) {
		uint8_t byte = line->bytes[line->at++];

		if (byte == '"' || byte == '\'')
			return resp_unquote(line, byte);
		line->out[line->out_length++] = byte;
	}
	return true;
}

static enum tandem_kv_resp_result resp_split_inline(struct tandem_kv_resp *resp,
                                                    const uint8_t *bytes, size_t length,
                                                    struct tandem_kv_args *args)
{
	struct resp_inline line = {.bytes = bytes, .length = length};
	size_t count = args->count;

	if (args->scratch_capacity - args->scratch_used < length)
		return TANDEM_KV_RESP_FULL;
	line.out = args->scratch + args->scratch_used;
	for (;;) {
		while (line.at < length && resp_is_blank(bytes[line.at]))
			line.at++;
		if (line.at == length)
			break;
		if (count == args->capacity)
			return TANDEM_KV_RESP_FULL;
		size_t start = line.out_length;
		if (!resp_inline_word(&line))
			return resp_fail(resp, "unbalanced quotes in request");
		args->list[count].bytes = line.out + start;
		args->list[count++].length = line.out_length - start;
	}
	args->count = count;
	args->scratch_used += line.out_length;
	return TANDEM_KV_RESP_REQUEST;
}

static enum tandem_kv_resp_result resp_next_inline(struct tandem_kv_resp *resp,
                                                   const uint8_t *bytes, size_t length,
                                                   struct tandem_kv_args *args)
{
	size_t end;
	enum tandem_kv_resp_result result = resp_line(resp, bytes, length, TANDEM_KV_INLINE_MAX,
	                                              "too big inline request", &end);

	if (result == TANDEM_KV_RESP_REQUEST)
		result = resp_split_inline(resp, bytes, end, args);
	if (result == TANDEM_KV_RESP_REQUEST)
		resp->offset = end + 1;
	return result;
}

enum tandem_kv_resp_result tandem_kv_resp_next(struct tandem_kv_resp *resp, const uint8_t *bytes,
                                               size_t length, struct tandem_kv_args *args,
                                               size_t *ret_request_bytes)
{
	enum tandem_kv_resp_result result;

	if (length == 0)
		return TANDEM_KV_RESP_MORE;
	if (bytes[0] == '*') {
		result = resp_scan_array(resp, bytes, length);
		if (result == TANDEM_KV_RESP_REQUEST)
			result = resp_split_array(resp, bytes, args);
	} else {
		result = resp_next_inline(resp, bytes, length, args);
	}
	if (result == TANDEM_KV_RESP_REQUEST) {
		*ret_request_bytes = resp->offset;
		memset(resp, 0, sizeof(*resp));
	}
	return result;
}
