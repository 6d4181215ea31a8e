#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

#include "rdma/core/join.h"
#include "rdma/core/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Sound bytes of each kind from a fixed seed, then with single bytes replaced, cut and
 * lengthened. */
#define PIECES 5

static uint8_t seed_bytes[TANDEM_RDMA_SLOT_BYTES + 8];

static void fill(uint64_t *random, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)tandem_random_next(random);
}

static size_t make_join(uint64_t *random)
{
	struct tandem_rdma_join join = {
	        .kind = (enum tandem_rdma_join_kind)(tandem_random_next(random) % 7),
	        .reason = (enum tandem_rdma_reject_reason)(tandem_random_next(random) % 11),
	        .channel = (unsigned)(tandem_random_next(random) % 18),
	        .channel_count = (unsigned)(tandem_random_next(random) % 18),
	        .session_id = tandem_random_next(random) % 2 * 77,
	        .attempt = (uint32_t)(tandem_random_next(random) % 3)};

	/* What is of another kind than the one drawn is left out, so that many are sound. */
	if (join.kind != TANDEM_RDMA_JOIN_REJECT && tandem_random_next(random) % 4 != 0)
		join.reason = TANDEM_RDMA_REJECT_NONE;
	if (join.kind > TANDEM_RDMA_JOIN_DATA && tandem_random_next(random) % 4 != 0)
		join.channel = join.channel_count = 0;
	fill(random, join.key_id, sizeof(join.key_id));
	fill(random, join.nonce, sizeof(join.nonce));
	fill(random, join.proof, sizeof(join.proof));
	fill(random, join.token, sizeof(join.token));
	tandem_rdma_join_encode(&join, seed_bytes);
	return TANDEM_RDMA_JOIN_BYTES;
}

static size_t make_message(uint64_t *random)
{
	static const struct tandem_secrets secrets;
	const struct tandem_rdma_sealer sealer = {&secrets, true};
	const struct tandem_rdma_header header = {
	        .kind = (enum tandem_rdma_message_kind)(tandem_random_next(random) % 7),
	        .sequence = tandem_random_next(random),
	        .payload_bytes = (uint32_t)(tandem_random_next(random) % 200)};

	return tandem_rdma_message_seal(seed_bytes, &header, &sealer);
}

static size_t make_channel_news(uint64_t *random)
{
	const struct tandem_rdma_channel_news news = {
	        .kind = (enum tandem_rdma_channel_news_kind)(tandem_random_next(random) % 4),
	        .channel = (unsigned)(tandem_random_next(random) % 18),
	        .attempt = (uint32_t)tandem_random_next(random)};

	return tandem_rdma_channel_news_encode(&news, seed_bytes);
}

static size_t make_expose(uint64_t *random)
{
	struct tandem_rdma_expose expose = {
	        .memory_id = (unsigned)(tandem_random_next(random) % 300),
	        .channel = (unsigned)(tandem_random_next(random) % 18),
	        .attempt = (uint32_t)tandem_random_next(random),
	        .first_piece = (uint32_t)(tandem_random_next(random) % 3),
	        .piece_count = (uint32_t)(tandem_random_next(random) % PIECES),
	        .total_bytes = tandem_random_next(random) % (1 << 24),
	        .piece_bytes = (uint64_t)1 << (18 + tandem_random_next(random) % 12)};
	struct tandem_rdma_piece pieces[PIECES];

	for (unsigned i = 0; i < PIECES; i++)
		pieces[i] = (struct tandem_rdma_piece){tandem_random_next(random) >> 8, i};
	return tandem_rdma_expose_encode(&expose, pieces, seed_bytes);
}

static size_t make_credit(uint64_t *random)
{
	struct tandem_rdma_credit credit = {.message_count = tandem_random_next(random),
	                                    .channel_count =
	                                            (unsigned)(tandem_random_next(random) % 17)};

	for (unsigned i = 0; i < credit.channel_count; i++) {
		credit.attempts[i] = (uint32_t)tandem_random_next(random);
		credit.notify_counts[i] = tandem_random_next(random);
	}
	return tandem_rdma_credit_encode(&credit, seed_bytes);
}

static size_t damage(uint64_t *random, size_t length)
{
	uint64_t choice;

	for (uint64_t count = tandem_random_next(random) % 4; count > 0; count--)
		seed_bytes[tandem_random_next(random) % length] =
		        (uint8_t)tandem_random_next(random);
	choice = tandem_random_next(random) % 8;
	if (choice == 0)
		return tandem_random_next(random) % length;
	return choice == 1 ? length + 8 : length;
}

static int try_one(uint64_t *random, size_t (*make)(uint64_t *))
{
	size_t length;
	uint8_t *bytes;

	memset(seed_bytes, 0, sizeof(seed_bytes));
	length = damage(random, make(random));
	/* A copy of its own size, so that a byte too far is seen. */
	bytes = tandem_memory_alloc(length + (length == 0));
	if (bytes == NULL)
		return -1;
	memcpy(bytes, seed_bytes, length);
	LLVMFuzzerTestOneInput(bytes, length);
	tandem_memory_free(bytes);
	return 0;
}

int main(int argument_count, char **arguments)
{
	static size_t (*const makers[])(uint64_t *) = {make_join, make_message, make_expose,
	                                               make_credit, make_channel_news};
	const unsigned long rounds = argument_count == 2 ? strtoul(arguments[1], NULL, 10) : 0;
	uint64_t random = 1;

	if (rounds == 0) {
		fprintf(stderr, "usage: %s ROUNDS\n", arguments[0]);
		return 2;
	}
	for (unsigned long round = 0; round < rounds; round++) {
		if (try_one(&random, makers[round % 5]) != 0)
			return 1;
	}
	printf("%lu rounds\n", rounds);
	return 0;
}
