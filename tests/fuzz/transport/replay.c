#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/control.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "core/frame.h"
#include "core/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The formats are binary and have few fields, so the seeds are made here instead of kept as files:
 * sound ones of each kind, then with single bytes replaced, cut and lengthened. */
static uint8_t seed_bytes[TANDEM_CONTROL_BYTES + 8];

static size_t make_frame(uint64_t *random)
{
	const struct tandem_frame frame = {
	        .type = (enum tandem_frame_type)(1 + tandem_random_next(random) % 4),
	        .memory_id = (uint32_t)(tandem_random_next(random) % 300),
	        .length = (uint32_t)(tandem_random_next(random) % 10000),
	        .offset = tandem_random_next(random) >> (tandem_random_next(random) % 64),
	        .memory_key = tandem_random_next(random),
	        .sequence = tandem_random_next(random),
	        .immediate = (uint32_t)tandem_random_next(random)};
	tandem_frame_encode(&frame, seed_bytes);
	return TANDEM_FRAME_BYTES;
}

static void fill(uint64_t *random, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)tandem_random_next(random);
}

static size_t make_hello(uint64_t *random)
{
	struct tandem_hello hello = {
	        .kind = (enum tandem_hello_kind)(1 + tandem_random_next(random) % 2),
	        .channel_count = (unsigned)(tandem_random_next(random) % 18)};
	fill(random, hello.nonce, sizeof(hello.nonce));
	fill(random, hello.token, sizeof(hello.token));
	if (hello.kind == TANDEM_HELLO_CONTROL) {
		fill(random, hello.key_id, sizeof(hello.key_id));
	} else {
		hello.channel = (unsigned)(tandem_random_next(random) % 18);
		hello.attempt = (uint32_t)(tandem_random_next(random) % 3);
		hello.session_id = tandem_random_next(random) % 3 * 77;
	}
	tandem_hello_encode(&hello, seed_bytes);
	return TANDEM_HELLO_BYTES;
}

static size_t make_answer(uint64_t *random)
{
	struct tandem_answer answer = {
	        .verdict = (enum tandem_verdict)(tandem_random_next(random) % 10),
	        .version = TANDEM_HELLO_VERSION};
	if (answer.verdict == TANDEM_VERDICT_JOINED) {
		answer.session_id = tandem_random_next(random) % 3;
		fill(random, answer.nonce, sizeof(answer.nonce));
		fill(random, answer.proof, sizeof(answer.proof));
	}
	tandem_answer_encode(&answer, seed_bytes);
	return TANDEM_ANSWER_BYTES;
}

static size_t make_proof(uint64_t *random)
{
	uint8_t proof[TANDEM_PROOF_BYTES];
	fill(random, proof, sizeof(proof));
	tandem_proof_encode(proof, seed_bytes);
	return TANDEM_PROOF_FRAME_BYTES;
}

static size_t make_control(uint64_t *random)
{
	const struct tandem_control_message message = {
	        .type = (enum tandem_control_type)(tandem_random_next(random) % 40),
	        .kind = TANDEM_CONTROL_KIND_PROGRAM,
	        .answers = TANDEM_CONTROL_FENCE,
	        .pair = "orders",
	        .settings = {.node = "left", .provider = "tcp"}};
	tandem_control_encode(&message, seed_bytes);
	return TANDEM_CONTROL_BYTES;
}

static size_t damage(uint64_t *random, size_t length)
{
	for (uint64_t count = tandem_random_next(random) % 4; count > 0; count--)
		seed_bytes[tandem_random_next(random) % length] =
		        (uint8_t)tandem_random_next(random);
	uint64_t choice = tandem_random_next(random) % 8;
	if (choice == 0)
		return tandem_random_next(random) % length;
	return choice == 1 ? length + 8 : length;
}

int main(int argument_count, char **arguments)
{
	static size_t (*const makers[])(uint64_t *) = {make_frame, make_hello, make_answer,
	                                               make_proof, make_control};
	unsigned long rounds = argument_count == 2 ? strtoul(arguments[1], NULL, 10) : 0;
	uint64_t random = 1;
	if (rounds == 0) {
		fprintf(stderr, "usage: %s ROUNDS\n", arguments[0]);
		return 2;
	}
	for (unsigned long round = 0; round < rounds; round++) {
		memset(seed_bytes, 0, sizeof(seed_bytes));
		size_t length = damage(&random, makers[round % 5](&random));
		/* A copy of its own size, so that a byte too far is seen. */
		uint8_t *bytes = tandem_memory_alloc(length);
		if (!bytes)
			return 1;
		memcpy(bytes, seed_bytes, length);
		LLVMFuzzerTestOneInput(bytes, length);
		tandem_memory_free(bytes);
	}
	printf("%lu rounds\n", rounds);
	return 0;
}
