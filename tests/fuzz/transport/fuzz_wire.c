#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/control.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#include "core/extent.h"
#include "core/frame.h"
#include "core/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define CHECKSUM_BYTES 4

_Static_assert(TANDEM_HELLO_BYTES == TANDEM_ANSWER_BYTES, "one size repairs both");
_Static_assert(TANDEM_FRAME_BYTES <= TANDEM_HELLO_BYTES &&
                       TANDEM_PROOF_FRAME_BYTES <= TANDEM_HELLO_BYTES,
               "the largest of what is repaired");

/* What decodes must encode to the same bytes: no field is ignored, none has two spellings. */

static void try_frame(const uint8_t *bytes)
{
	struct tandem_frame frame;
	uint8_t again[TANDEM_FRAME_BYTES];
	enum tandem_frame_fault fault = tandem_frame_decode(bytes, &frame);
	TANDEM_ASSERT(tandem_frame_fault_text(fault)[0]);
	if (fault != TANDEM_FRAME_FAULT_NONE)
		return;
	tandem_frame_encode(&frame, again);
	TANDEM_ASSERT(memcmp(bytes, again, sizeof(again)) == 0);
	TANDEM_ASSERT(frame.memory_id < TANDEM_MEMORY_IDS_MAX);
	const uint32_t write_count = frame.type == TANDEM_FRAME_BATCH ? frame.extent_count : 1;
	TANDEM_ASSERT(write_count <= TANDEM_EXTENTS_MAX);
	TANDEM_ASSERT(frame.length <= write_count * TANDEM_WRITE_BYTES_MAX);
	const uint64_t memory_bytes = 1u << 16;
	/* A batch's places are in its table: try_table. */
	if (frame.type != TANDEM_FRAME_BATCH &&
	    tandem_frame_check_target(&frame, memory_bytes, frame.memory_key) ==
	            TANDEM_FRAME_FAULT_NONE) {
		TANDEM_ASSERT(frame.offset <= memory_bytes);
		TANDEM_ASSERT(frame.length <= memory_bytes - frame.offset);
	}
}

/* A table that is accepted stays inside the memory and has the frame's length. */
static void try_table(const uint8_t *bytes, size_t length)
{
	const uint64_t memory_bytes = 1u << 16;
	struct tandem_extent extents[TANDEM_EXTENTS_MAX];
	struct tandem_frame frame = {.type = TANDEM_FRAME_BATCH};
	uint64_t total = 0;
	frame.extent_count = (uint32_t)(length / TANDEM_EXTENT_BYTES);
	if (frame.extent_count < 1 || frame.extent_count > TANDEM_EXTENTS_MAX)
		return;
	frame.table_checksum =
	        tandem_crc32c(0, bytes, (size_t)frame.extent_count * TANDEM_EXTENT_BYTES);
	for (uint32_t i = 0; i < frame.extent_count; i++)
		frame.length += bytes[i * TANDEM_EXTENT_BYTES + 8] +
		                256u * bytes[i * TANDEM_EXTENT_BYTES + 9];
	if (tandem_extent_decode_table(bytes, &frame, memory_bytes, extents) !=
	    TANDEM_FRAME_FAULT_NONE)
		return;
	for (uint32_t i = 0; i < frame.extent_count; i++) {
		TANDEM_ASSERT(extents[i].length > 0 && extents[i].offset <= memory_bytes);
		TANDEM_ASSERT(extents[i].length <= memory_bytes - extents[i].offset);
		total += extents[i].length;
	}
	TANDEM_ASSERT(total == frame.length);
}

static void try_hello(const uint8_t *bytes)
{
	struct tandem_hello hello;
	unsigned version = TANDEM_HELLO_VERSION;
	uint8_t again[TANDEM_HELLO_BYTES];
	enum tandem_hello_fault fault = tandem_hello_decode(bytes, &hello, &version);
	TANDEM_ASSERT(tandem_hello_fault_text(fault)[0]);
	TANDEM_ASSERT((fault == TANDEM_HELLO_FAULT_VERSION) == (version != TANDEM_HELLO_VERSION));
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return;
	tandem_hello_encode(&hello, again);
	TANDEM_ASSERT(memcmp(bytes, again, sizeof(again)) == 0);
	TANDEM_ASSERT(hello.channel < hello.channel_count);
	TANDEM_ASSERT((hello.session_id != 0) == (hello.kind == TANDEM_HELLO_DATA));
	TANDEM_ASSERT(hello.channel_count <= TANDEM_CHANNELS_MAX);
}

static void try_answer(const uint8_t *bytes)
{
	struct tandem_answer answer;
	unsigned version = TANDEM_HELLO_VERSION;
	uint8_t again[TANDEM_ANSWER_BYTES];
	enum tandem_hello_fault fault = tandem_answer_decode(bytes, &answer, &version);
	TANDEM_ASSERT((fault == TANDEM_HELLO_FAULT_VERSION) == (version != TANDEM_HELLO_VERSION));
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return;
	TANDEM_ASSERT(strcmp(tandem_verdict_text(answer.verdict), "unknown verdict") != 0);
	TANDEM_ASSERT((answer.session_id != 0) == (answer.verdict == TANDEM_VERDICT_JOINED));
	tandem_answer_encode(&answer, again);
	TANDEM_ASSERT(memcmp(bytes, again, sizeof(again)) == 0);
}

static void try_proof(const uint8_t *bytes)
{
	uint8_t proof[TANDEM_PROOF_BYTES];
	uint8_t again[TANDEM_PROOF_FRAME_BYTES];
	if (tandem_proof_decode(bytes, proof) != TANDEM_HELLO_FAULT_NONE)
		return;
	tandem_proof_encode(proof, again);
	TANDEM_ASSERT(memcmp(bytes, again, sizeof(again)) == 0);
}

/* What is judged before all of it is there. */
static void try_begin(const uint8_t *bytes)
{
	unsigned version = TANDEM_HELLO_VERSION;
	enum tandem_hello_fault hello = tandem_hello_peek(bytes, &version);
	enum tandem_hello_fault answer = tandem_answer_peek(bytes, &version);
	TANDEM_ASSERT(hello == TANDEM_HELLO_FAULT_MAGIC || answer == TANDEM_HELLO_FAULT_MAGIC);
}

static void try_control(const uint8_t *bytes, size_t length)
{
	struct tandem_control_message message;
	if (tandem_control_decode(bytes, length, &message) != 0)
		return;
	TANDEM_ASSERT(strcmp(tandem_control_type_name(message.type), "unknown") != 0);
	TANDEM_ASSERT(memchr(message.pair, 0, sizeof(message.pair)));
	TANDEM_ASSERT(memchr(message.text, 0, sizeof(message.text)));
}

static void try_all(const uint8_t *bytes, size_t length)
{
	if (length >= TANDEM_FRAME_BYTES)
		try_frame(bytes);
	if (length >= TANDEM_HELLO_BYTES)
		try_hello(bytes);
	if (length >= TANDEM_ANSWER_BYTES)
		try_answer(bytes);
	if (length >= TANDEM_PROOF_FRAME_BYTES)
		try_proof(bytes);
	if (length >= TANDEM_HELLO_BEGIN_BYTES)
		try_begin(bytes);
	try_control(bytes, length);
	try_table(bytes, length);
}

/* A fuzzer does not guess checksums: the same bytes once more with a right one at `size`. */
static void try_repaired(const uint8_t *bytes, size_t length, size_t size)
{
	uint8_t repaired[TANDEM_HELLO_BYTES];
	if (length < size)
		return;
	memcpy(repaired, bytes, size);
	uint32_t crc = tandem_crc32c(0, repaired, size - CHECKSUM_BYTES);
	for (unsigned i = 0; i < CHECKSUM_BYTES; i++)
		repaired[size - CHECKSUM_BYTES + i] = (uint8_t)(crc >> (8 * i));
	try_all(repaired, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	try_all(bytes, length);
	try_repaired(bytes, length, TANDEM_FRAME_BYTES);
	try_repaired(bytes, length, TANDEM_HELLO_BYTES); /* answers have the same size */
	try_repaired(bytes, length, TANDEM_PROOF_FRAME_BYTES);
	return 0;
}
