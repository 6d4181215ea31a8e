#include "rdma/core/message.h"

#include <tandem/bytes.h>

#define MESSAGE_MAGIC       UINT32_C(0x434d4454) /* "TDMC" */
#define TAG_OFFSET          24
#define EXPOSE_HEADER_BYTES 40
#define PIECE_BYTES         12

_Static_assert(4 + 4 + 8 + 4 + 4 == TAG_OFFSET, "the tag is the last field of the header");
_Static_assert(TAG_OFFSET + TANDEM_TAG_BYTES == TANDEM_RDMA_HEADER_BYTES,
               "the header ends with it");
_Static_assert(EXPOSE_HEADER_BYTES + TANDEM_RDMA_EXPOSE_PIECES_MAX * PIECE_BYTES <=
                       TANDEM_MESSAGE_BYTES_MAX,
               "the largest EXPOSE fits a message");

static void tag_of(const uint8_t *slot, uint64_t sequence, size_t payload_bytes,
                   const struct tandem_rdma_sealer *sealer, uint8_t ret_tag[TANDEM_TAG_BYTES])
{
	tandem_message_tag(sealer->secrets, sealer->is_from_listening_side, sequence, slot,
	                   TAG_OFFSET, slot + TANDEM_RDMA_HEADER_BYTES, payload_bytes, ret_tag);
}

size_t tandem_rdma_message_seal(uint8_t *slot, const struct tandem_rdma_header *header,
                                const struct tandem_rdma_sealer *sealer)
{
	struct tandem_writer writer = tandem_writer_over(slot, TANDEM_RDMA_HEADER_BYTES);
	uint8_t tag[TANDEM_TAG_BYTES];

	tandem_write_u32(&writer, MESSAGE_MAGIC);
	tandem_write_u32(&writer, (uint32_t)header->kind);
	tandem_write_u64(&writer, header->sequence);
	tandem_write_u32(&writer, header->payload_bytes);
	tandem_write_u32(&writer, 0);
	tag_of(slot, header->sequence, header->payload_bytes, sealer, tag);
	tandem_write_bytes(&writer, tag, sizeof(tag));
	return TANDEM_RDMA_HEADER_BYTES + header->payload_bytes;
}

const char *tandem_rdma_message_open(const uint8_t *slot, size_t length, uint64_t expected_sequence,
                                     const struct tandem_rdma_sealer *sealer,
                                     struct tandem_rdma_header *ret_header)
{
	struct tandem_reader reader = tandem_reader_over(slot, length);
	const uint32_t magic = tandem_read_u32(&reader);
	const uint32_t kind = tandem_read_u32(&reader);
	const uint64_t sequence = tandem_read_u64(&reader);
	const uint32_t payload_bytes = tandem_read_u32(&reader);
	const uint32_t reserved = tandem_read_u32(&reader);
	uint8_t tag[TANDEM_TAG_BYTES];
	uint8_t expected_tag[TANDEM_TAG_BYTES];

	tandem_read_bytes(&reader, tag, sizeof(tag));
	if (reader.failed || magic != MESSAGE_MAGIC || reserved != 0)
		return "not a control message";
	if (payload_bytes > TANDEM_MESSAGE_BYTES_MAX ||
	    payload_bytes != tandem_reader_left(&reader))
		return "control message with a wrong length";
	tag_of(slot, expected_sequence, payload_bytes, sealer, expected_tag);
	if (!tandem_mac_equal(tag, expected_tag, sizeof(tag)))
		return "control message with a wrong tag";
	if (kind < TANDEM_RDMA_MESSAGE_USER || kind >= TANDEM_RDMA_MESSAGE_END)
		return "control message of an unknown kind";
	if (sequence != expected_sequence)
		return "control message out of order";
	*ret_header = (struct tandem_rdma_header){(enum tandem_rdma_message_kind)kind, sequence,
	                                          payload_bytes};
	return NULL;
}

uint32_t tandem_rdma_expose_piece_count(uint64_t total_bytes, uint64_t piece_bytes)
{
	uint64_t count;

	/* A piece of at least a write's length bounds the parts that a write can fall into. */
	if (total_bytes == 0 || piece_bytes < TANDEM_WRITE_BYTES_MAX ||
	    piece_bytes > TANDEM_REGISTRATION_BYTES_MAX)
		return 0;
	count = total_bytes / piece_bytes + (total_bytes % piece_bytes != 0);
	return count <= TANDEM_RDMA_PIECES_MAX ? (uint32_t)count : 0;
}

size_t tandem_rdma_expose_encode(const struct tandem_rdma_expose *expose,
                                 const struct tandem_rdma_piece *pieces, uint8_t *ret_payload)
{
	struct tandem_writer writer = tandem_writer_over(ret_payload, TANDEM_MESSAGE_BYTES_MAX);

	tandem_write_u32(&writer, expose->memory_id);
	tandem_write_u32(&writer, expose->channel);
	tandem_write_u32(&writer, expose->attempt);
	tandem_write_u32(&writer, expose->first_piece);
	tandem_write_u32(&writer, expose->piece_count);
	tandem_write_u32(&writer, 0);
	tandem_write_u64(&writer, expose->total_bytes);
	tandem_write_u64(&writer, expose->piece_bytes);
	for (uint32_t i = 0; i < expose->piece_count; i++) {
		tandem_write_u64(&writer, pieces[i].address);
		tandem_write_u32(&writer, pieces[i].key);
	}
	return writer.length;
}

static const char *expose_fault(const struct tandem_rdma_expose *expose)
{
	const uint32_t total_pieces =
	        tandem_rdma_expose_piece_count(expose->total_bytes, expose->piece_bytes);

	if (expose->memory_id >= TANDEM_MEMORY_IDS_MAX)
		return "EXPOSE of an impossible memory id";
	if (expose->channel >= TANDEM_CHANNELS_MAX)
		return "EXPOSE for an impossible channel";
	if (total_pieces == 0)
		return "EXPOSE with impossible sizes";
	if (expose->piece_count == 0 || expose->piece_count > TANDEM_RDMA_EXPOSE_PIECES_MAX)
		return "EXPOSE with an impossible number of pieces";
	if (expose->first_piece >= total_pieces ||
	    expose->piece_count > total_pieces - expose->first_piece)
		return "EXPOSE of pieces outside the memory";
	return NULL;
}

static const char *piece_fault(const uint8_t *payload, const struct tandem_rdma_expose *expose)
{
	for (uint32_t i = 0; i < expose->piece_count; i++) {
		const struct tandem_rdma_piece piece = tandem_rdma_expose_piece(payload, i);

		if (piece.address > UINT64_MAX - expose->piece_bytes)
			return "EXPOSE of a piece that wraps around";
	}
	return NULL;
}

const char *tandem_rdma_expose_decode(const uint8_t *payload, size_t length,
                                      struct tandem_rdma_expose *ret_expose)
{
	struct tandem_reader reader = tandem_reader_over(payload, length);
	struct tandem_rdma_expose expose;
	const char *fault;
	uint32_t reserved;

	expose.memory_id = tandem_read_u32(&reader);
	expose.channel = tandem_read_u32(&reader);
	expose.attempt = tandem_read_u32(&reader);
	expose.first_piece = tandem_read_u32(&reader);
	expose.piece_count = tandem_read_u32(&reader);
	reserved = tandem_read_u32(&reader);
	expose.total_bytes = tandem_read_u64(&reader);
	expose.piece_bytes = tandem_read_u64(&reader);
	if (reader.failed || reserved != 0)
		return "EXPOSE too short or of another version";
	fault = expose_fault(&expose);
	if (fault != NULL)
		return fault;
	if (tandem_reader_left(&reader) != (size_t)expose.piece_count * PIECE_BYTES)
		return "EXPOSE with a wrong length";
	fault = piece_fault(payload, &expose);
	if (fault != NULL)
		return fault;
	*ret_expose = expose;
	return NULL;
}

struct tandem_rdma_piece tandem_rdma_expose_piece(const uint8_t *payload, uint32_t index)
{
	struct tandem_reader reader = tandem_reader_over(
	        payload + EXPOSE_HEADER_BYTES + (size_t)index * PIECE_BYTES, PIECE_BYTES);
	struct tandem_rdma_piece piece;

	piece.address = tandem_read_u64(&reader);
	piece.key = tandem_read_u32(&reader);
	return piece;
}

size_t tandem_rdma_credit_encode(const struct tandem_rdma_credit *credit, uint8_t *ret_payload)
{
	struct tandem_writer writer = tandem_writer_over(ret_payload, TANDEM_MESSAGE_BYTES_MAX);

	tandem_write_u64(&writer, credit->message_count);
	tandem_write_u32(&writer, credit->channel_count);
	for (unsigned i = 0; i < credit->channel_count; i++) {
		tandem_write_u32(&writer, credit->attempts[i]);
		tandem_write_u64(&writer, credit->notify_counts[i]);
	}
	return writer.length;
}

const char *tandem_rdma_credit_decode(const uint8_t *payload, size_t length, unsigned channel_count,
                                      struct tandem_rdma_credit *ret_credit)
{
	struct tandem_reader reader = tandem_reader_over(payload, length);
	struct tandem_rdma_credit credit = {0};

	credit.message_count = tandem_read_u64(&reader);
	credit.channel_count = tandem_read_u32(&reader);
	if (reader.failed || channel_count > TANDEM_CHANNELS_MAX ||
	    credit.channel_count != channel_count)
		return "CREDIT for another number of channels";
	for (unsigned i = 0; i < channel_count; i++) {
		credit.attempts[i] = tandem_read_u32(&reader);
		credit.notify_counts[i] = tandem_read_u64(&reader);
	}
	if (!tandem_reader_done(&reader))
		return "CREDIT with a wrong length";
	*ret_credit = credit;
	return NULL;
}

size_t tandem_rdma_channel_news_encode(const struct tandem_rdma_channel_news *news,
                                       uint8_t *ret_payload)
{
	struct tandem_writer writer = tandem_writer_over(ret_payload, TANDEM_MESSAGE_BYTES_MAX);

	tandem_write_u32(&writer, (uint32_t)news->kind);
	tandem_write_u32(&writer, news->channel);
	tandem_write_u32(&writer, news->attempt);
	return writer.length;
}

const char *tandem_rdma_channel_news_decode(const uint8_t *payload, size_t length,
                                            unsigned channel_count,
                                            struct tandem_rdma_channel_news *ret_news)
{
	struct tandem_reader reader = tandem_reader_over(payload, length);
	const uint32_t kind = tandem_read_u32(&reader);
	const uint32_t channel = tandem_read_u32(&reader);
	const uint32_t attempt = tandem_read_u32(&reader);

	if (!tandem_reader_done(&reader))
		return "CHANNEL with a wrong length";
	if (kind != TANDEM_RDMA_CHANNEL_READY && kind != TANDEM_RDMA_CHANNEL_ENDED)
		return "CHANNEL of an unknown kind";
	if (channel >= channel_count)
		return "CHANNEL of a channel that the session has not";
	*ret_news = (struct tandem_rdma_channel_news){(enum tandem_rdma_channel_news_kind)kind,
	                                              channel, attempt};
	return NULL;
}

size_t tandem_rdma_beat_encode(const struct tandem_rdma_piece *word, uint8_t *ret_payload)
{
	struct tandem_writer writer = tandem_writer_over(ret_payload, TANDEM_MESSAGE_BYTES_MAX);

	tandem_write_u64(&writer, word->address);
	tandem_write_u32(&writer, word->key);
	return writer.length;
}

const char *tandem_rdma_beat_decode(const uint8_t *payload, size_t length,
                                    struct tandem_rdma_piece *ret_word)
{
	struct tandem_reader reader = tandem_reader_over(payload, length);
	struct tandem_rdma_piece word;

	word.address = tandem_read_u64(&reader);
	word.key = tandem_read_u32(&reader);
	if (!tandem_reader_done(&reader))
		return "BEAT with a wrong length";
	if (word.address % sizeof(uint64_t) != 0)
		return "BEAT of a word that lies across two";
	*ret_word = word;
	return NULL;
}
