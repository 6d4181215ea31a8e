#include "core/hello.h"

#include <stdbool.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#define HELLO_MAGIC    UINT32_C(0x6f6c6854) /* "Thlo" */
#define ANSWER_MAGIC   UINT32_C(0x736e6154) /* "Tans" */
#define PROOF_MAGIC    UINT32_C(0x66727054) /* "Tprf" */
#define CHECKSUM_BYTES 4

/* What a hello of the other kind leaves empty. */
static const uint8_t zeros[TANDEM_PROOF_BYTES + TANDEM_NONCE_BYTES];

_Static_assert(TANDEM_TOKEN_BYTES == TANDEM_NONCE_BYTES && TANDEM_TOKEN_BYTES == TANDEM_PROOF_BYTES,
               "token, nonce and proof share a place on the wire");

static void write_zeros(struct tandem_writer *writer, size_t count)
{
	TANDEM_ASSERT(count <= sizeof(zeros));
	tandem_write_bytes(writer, zeros, count);
}

static bool is_zero(const void *bytes, size_t length)
{
	return memcmp(bytes, zeros, length) == 0;
}

static bool read_zeros(struct tandem_reader *reader, size_t count)
{
	uint8_t bytes[sizeof(zeros)];
	TANDEM_ASSERT(count <= sizeof(bytes));
	tandem_read_bytes(reader, bytes, count);
	return is_zero(bytes, count);
}

static void write_checksum(struct tandem_writer *writer, unsigned size)
{
	TANDEM_ASSERT(writer->length == size - CHECKSUM_BYTES);
	tandem_write_u32(writer, tandem_crc32c(0, writer->bytes, writer->length));
	TANDEM_ASSERT(!writer->failed);
}

static bool is_checksum_right(const uint8_t *bytes, unsigned size)
{
	struct tandem_reader reader = tandem_reader_over(bytes, size);
	reader.offset = size - CHECKSUM_BYTES;
	return tandem_read_u32(&reader) == tandem_crc32c(0, bytes, size - CHECKSUM_BYTES);
}

static enum tandem_hello_fault peek(const uint8_t *bytes, uint32_t magic, unsigned *ret_version)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_HELLO_BEGIN_BYTES);
	if (tandem_read_u32(&reader) != magic)
		return TANDEM_HELLO_FAULT_MAGIC;
	unsigned version = tandem_read_u16(&reader);
	if (version == TANDEM_HELLO_VERSION)
		return TANDEM_HELLO_FAULT_NONE;
	*ret_version = version;
	return TANDEM_HELLO_FAULT_VERSION;
}

/* ---- hello ---- */

void tandem_hello_encode(const struct tandem_hello *hello, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_HELLO_BYTES);
	bool is_control = hello->kind == TANDEM_HELLO_CONTROL;
	tandem_write_u32(&writer, HELLO_MAGIC);
	tandem_write_u16(&writer, TANDEM_HELLO_VERSION);
	tandem_write_u8(&writer, (uint8_t)hello->kind);
	tandem_write_u8(&writer, (uint8_t)hello->channel);
	tandem_write_u8(&writer, (uint8_t)hello->channel_count);
	write_zeros(&writer, 3);
	tandem_write_u32(&writer, hello->attempt);
	tandem_write_u64(&writer, hello->session_id);
	tandem_write_bytes(&writer, hello->key_id, sizeof(hello->key_id));
	tandem_write_bytes(&writer, is_control ? hello->nonce : hello->token, TANDEM_TOKEN_BYTES);
	write_zeros(&writer, 12);
	write_checksum(&writer, TANDEM_HELLO_BYTES);
}

static bool is_hello_sound(const struct tandem_hello *hello)
{
	if (hello->channel_count < 1 || hello->channel_count > TANDEM_CHANNELS_MAX)
		return false;
	if (hello->kind == TANDEM_HELLO_CONTROL)
		return hello->session_id == 0 && hello->channel == 0 && hello->attempt == 0;
	return hello->kind == TANDEM_HELLO_DATA && hello->channel < hello->channel_count &&
	       hello->session_id != 0 && hello->attempt != 0 &&
	       is_zero(hello->key_id, sizeof(hello->key_id));
}

enum tandem_hello_fault tandem_hello_peek(const uint8_t *bytes, unsigned *ret_version)
{
	return peek(bytes, HELLO_MAGIC, ret_version);
}

enum tandem_hello_fault tandem_hello_decode(const uint8_t *bytes, struct tandem_hello *ret_hello,
                                            unsigned *ret_version)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_HELLO_BYTES);
	struct tandem_hello hello = {0};
	enum tandem_hello_fault fault = tandem_hello_peek(bytes, ret_version);
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return fault;
	if (!is_checksum_right(bytes, TANDEM_HELLO_BYTES))
		return TANDEM_HELLO_FAULT_CHECKSUM;
	reader.offset = TANDEM_HELLO_BEGIN_BYTES;
	hello.kind = (enum tandem_hello_kind)tandem_read_u8(&reader);
	hello.channel = tandem_read_u8(&reader);
	hello.channel_count = tandem_read_u8(&reader);
	bool is_rest_zero = read_zeros(&reader, 3);
	hello.attempt = tandem_read_u32(&reader);
	hello.session_id = tandem_read_u64(&reader);
	tandem_read_bytes(&reader, hello.key_id, sizeof(hello.key_id));
	tandem_read_bytes(&reader, hello.kind == TANDEM_HELLO_CONTROL ? hello.nonce : hello.token,
	                  TANDEM_TOKEN_BYTES);
	is_rest_zero = read_zeros(&reader, 12) && is_rest_zero;
	if (!is_rest_zero || !is_hello_sound(&hello))
		return TANDEM_HELLO_FAULT_FIELD;
	*ret_hello = hello;
	return TANDEM_HELLO_FAULT_NONE;
}

/* ---- answer ---- */

void tandem_answer_encode(const struct tandem_answer *answer, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_ANSWER_BYTES);
	tandem_write_u32(&writer, ANSWER_MAGIC);
	tandem_write_u16(&writer, (uint16_t)answer->version);
	tandem_write_u8(&writer, (uint8_t)answer->verdict);
	write_zeros(&writer, 1);
	tandem_write_u64(&writer, answer->session_id);
	tandem_write_bytes(&writer, answer->nonce, sizeof(answer->nonce));
	tandem_write_bytes(&writer, answer->proof, sizeof(answer->proof));
	write_zeros(&writer, 12);
	write_checksum(&writer, TANDEM_ANSWER_BYTES);
}

static bool is_verdict(enum tandem_verdict verdict)
{
	switch (verdict) {
#define X(name, value, text) case TANDEM_VERDICT_##name:
		TANDEM_VERDICT_TABLE(X)
#undef X
		return true;
	}
	return false;
}

static bool is_answer_sound(const struct tandem_answer *answer)
{
	if (answer->verdict == TANDEM_VERDICT_JOINED)
		return answer->session_id != 0;
	return is_verdict(answer->verdict) && answer->session_id == 0 &&
	       is_zero(answer->nonce, sizeof(answer->nonce)) &&
	       is_zero(answer->proof, sizeof(answer->proof));
}

enum tandem_hello_fault tandem_answer_peek(const uint8_t *bytes, unsigned *ret_version)
{
	return peek(bytes, ANSWER_MAGIC, ret_version);
}

enum tandem_hello_fault tandem_answer_decode(const uint8_t *bytes, struct tandem_answer *ret_answer,
                                             unsigned *ret_version)
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_ANSWER_BYTES);
	struct tandem_answer answer = {.version = TANDEM_HELLO_VERSION};
	enum tandem_hello_fault fault = tandem_answer_peek(bytes, ret_version);
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return fault;
	if (!is_checksum_right(bytes, TANDEM_ANSWER_BYTES))
		return TANDEM_HELLO_FAULT_CHECKSUM;
	reader.offset = TANDEM_HELLO_BEGIN_BYTES;
	answer.verdict = (enum tandem_verdict)tandem_read_u8(&reader);
	bool is_rest_zero = read_zeros(&reader, 1);
	answer.session_id = tandem_read_u64(&reader);
	tandem_read_bytes(&reader, answer.nonce, sizeof(answer.nonce));
	tandem_read_bytes(&reader, answer.proof, sizeof(answer.proof));
	is_rest_zero = read_zeros(&reader, 12) && is_rest_zero;
	if (!is_rest_zero || !is_answer_sound(&answer))
		return TANDEM_HELLO_FAULT_FIELD;
	*ret_answer = answer;
	return TANDEM_HELLO_FAULT_NONE;
}

/* ---- proof ---- */

void tandem_proof_encode(const uint8_t proof[TANDEM_PROOF_BYTES], uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_PROOF_FRAME_BYTES);
	tandem_write_u32(&writer, PROOF_MAGIC);
	tandem_write_bytes(&writer, proof, TANDEM_PROOF_BYTES);
	write_zeros(&writer, 8);
	write_checksum(&writer, TANDEM_PROOF_FRAME_BYTES);
}

enum tandem_hello_fault tandem_proof_decode(const uint8_t *bytes,
                                            uint8_t ret_proof[TANDEM_PROOF_BYTES])
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_PROOF_FRAME_BYTES);
	uint8_t proof[TANDEM_PROOF_BYTES];
	if (tandem_read_u32(&reader) != PROOF_MAGIC)
		return TANDEM_HELLO_FAULT_MAGIC;
	if (!is_checksum_right(bytes, TANDEM_PROOF_FRAME_BYTES))
		return TANDEM_HELLO_FAULT_CHECKSUM;
	tandem_read_bytes(&reader, proof, sizeof(proof));
	if (!read_zeros(&reader, 8))
		return TANDEM_HELLO_FAULT_FIELD;
	memcpy(ret_proof, proof, sizeof(proof));
	return TANDEM_HELLO_FAULT_NONE;
}

/* ---- texts ---- */

const char *tandem_hello_fault_text(enum tandem_hello_fault fault)
{
	switch (fault) {
	case TANDEM_HELLO_FAULT_NONE:
		return "no fault";
	case TANDEM_HELLO_FAULT_MAGIC:
		return "wrong magic number";
	case TANDEM_HELLO_FAULT_VERSION:
		return "wrong version";
	case TANDEM_HELLO_FAULT_CHECKSUM:
		return "wrong checksum";
	case TANDEM_HELLO_FAULT_FIELD:
		return "a field out of its range";
	}
	return "unknown fault";
}

const char *tandem_verdict_text(enum tandem_verdict verdict)
{
	switch (verdict) {
#define X(name, value, text)                                                                       \
	case TANDEM_VERDICT_##name:                                                                \
		return text;
		TANDEM_VERDICT_TABLE(X)
#undef X
	}
	return "unknown verdict";
}
