#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/crc32c.h>

#include "rdma/core/join.h"
#include "rdma/core/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define CHECKSUM_BYTES 4

/* What decodes must encode to the same bytes: no field is ignored, none has two spellings. */

static uint8_t again[TANDEM_RDMA_SLOT_BYTES];

static void try_join(const uint8_t *bytes, size_t length)
{
	struct tandem_rdma_join join;
	const int rc = tandem_rdma_join_decode(bytes, length, &join);
	const unsigned version = tandem_rdma_join_version(bytes, length);

	if (rc == TANDEM_E_VERSION)
		TANDEM_ASSERT(version != 0 && version != TANDEM_RDMA_JOIN_VERSION);
	if (rc != 0)
		return;
	tandem_rdma_join_encode(&join, again);
	TANDEM_ASSERT(memcmp(bytes, again, TANDEM_RDMA_JOIN_BYTES) == 0);
	TANDEM_ASSERT(tandem_rdma_reject_text(join.reason)[0]);
	TANDEM_ASSERT(join.channel_count <= TANDEM_CHANNELS_MAX);
	if (join.kind == TANDEM_RDMA_JOIN_DATA)
		TANDEM_ASSERT(join.channel < join.channel_count && join.session_id != 0);
}

static void try_expose(const uint8_t *payload, size_t length)
{
	static struct tandem_rdma_piece pieces[TANDEM_RDMA_EXPOSE_PIECES_MAX];
	struct tandem_rdma_expose expose;
	uint32_t total;

	if (tandem_rdma_expose_decode(payload, length, &expose) != NULL)
		return;
	total = tandem_rdma_expose_piece_count(expose.total_bytes, expose.piece_bytes);
	TANDEM_ASSERT(expose.memory_id < TANDEM_MEMORY_IDS_MAX);
	TANDEM_ASSERT(expose.piece_count <= TANDEM_RDMA_EXPOSE_PIECES_MAX);
	TANDEM_ASSERT((uint64_t)expose.first_piece + expose.piece_count <= total);
	for (uint32_t i = 0; i < expose.piece_count; i++) {
		pieces[i] = tandem_rdma_expose_piece(payload, i);
		TANDEM_ASSERT(pieces[i].address <= UINT64_MAX - expose.piece_bytes);
	}
	TANDEM_ASSERT(tandem_rdma_expose_encode(&expose, pieces, again) == length);
	TANDEM_ASSERT(memcmp(payload, again, length) == 0);
}

static void try_credit(const uint8_t *payload, size_t length)
{
	struct tandem_rdma_credit credit;

	for (unsigned count = 0; count <= TANDEM_CHANNELS_MAX + 1; count++) {
		if (tandem_rdma_credit_decode(payload, length, count, &credit) != NULL)
			continue;
		TANDEM_ASSERT(credit.channel_count == count && count <= TANDEM_CHANNELS_MAX);
		TANDEM_ASSERT(tandem_rdma_credit_encode(&credit, again) == length);
		TANDEM_ASSERT(memcmp(payload, again, length) == 0);
	}
}

static void try_channel_news(const uint8_t *payload, size_t length)
{
	struct tandem_rdma_channel_news news;

	if (tandem_rdma_channel_news_decode(payload, length, TANDEM_CHANNELS_MAX, &news) != NULL)
		return;
	TANDEM_ASSERT(news.channel < TANDEM_CHANNELS_MAX);
	TANDEM_ASSERT(tandem_rdma_channel_news_encode(&news, again) == length);
	TANDEM_ASSERT(memcmp(payload, again, length) == 0);
}

static void try_beat(const uint8_t *payload, size_t length)
{
	struct tandem_rdma_piece word;

	if (tandem_rdma_beat_decode(payload, length, &word) != NULL)
		return;
	TANDEM_ASSERT(word.address % sizeof(uint64_t) == 0);
	TANDEM_ASSERT(tandem_rdma_beat_encode(&word, again) == length);
	TANDEM_ASSERT(memcmp(payload, again, length) == 0);
}

static const struct tandem_secrets secrets;
static const struct tandem_rdma_sealer sealer = {&secrets, true};

static void try_message(const uint8_t *bytes, size_t length)
{
	struct tandem_rdma_header header;
	uint64_t sequence = 0;

	for (unsigned i = 0; i < 8 && length >= 16; i++)
		sequence |= (uint64_t)bytes[8 + i] << (8 * i);
	if (tandem_rdma_message_open(bytes, length, sequence, &sealer, &header) != NULL)
		return;
	TANDEM_ASSERT(header.sequence == sequence);
	memcpy(again, bytes, length);
	TANDEM_ASSERT(tandem_rdma_message_seal(again, &header, &sealer) == length);
	TANDEM_ASSERT(memcmp(bytes, again, length) == 0);
}

static void put_checksum(uint8_t *place, uint32_t crc)
{
	for (unsigned i = 0; i < CHECKSUM_BYTES; i++)
		place[i] = (uint8_t)(crc >> (8 * i));
}

/* A fuzzer guesses neither checksums nor tags: the same bytes with a right one. */
static void try_repaired_join(const uint8_t *bytes, size_t length)
{
	uint8_t repaired[TANDEM_RDMA_JOIN_BYTES];
	const size_t checked = sizeof(repaired) - CHECKSUM_BYTES;

	if (length < sizeof(repaired))
		return;
	memcpy(repaired, bytes, sizeof(repaired));
	put_checksum(repaired + checked, tandem_crc32c(0, repaired, checked));
	try_join(repaired, sizeof(repaired));
}

static void try_repaired_message(const uint8_t *bytes, size_t length)
{
	static uint8_t repaired[TANDEM_RDMA_SLOT_BYTES];
	const size_t tagged = TANDEM_RDMA_HEADER_BYTES - TANDEM_TAG_BYTES;
	struct tandem_reader reader = tandem_reader_over(bytes, length);

	if (length < TANDEM_RDMA_HEADER_BYTES || length > sizeof(repaired))
		return;
	memcpy(repaired, bytes, length);
	tandem_read_u64(&reader);
	tandem_message_tag(&secrets, true, tandem_read_u64(&reader), repaired, tagged,
	                   repaired + TANDEM_RDMA_HEADER_BYTES, length - TANDEM_RDMA_HEADER_BYTES,
	                   repaired + tagged);
	try_message(repaired, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length > TANDEM_RDMA_SLOT_BYTES)
		return 0;
	try_join(bytes, length);
	try_message(bytes, length);
	try_repaired_join(bytes, length);
	try_repaired_message(bytes, length);
	if (length <= TANDEM_MESSAGE_BYTES_MAX) {
		try_expose(bytes, length);
		try_credit(bytes, length);
		try_channel_news(bytes, length);
		try_beat(bytes, length);
	}
	return 0;
}
