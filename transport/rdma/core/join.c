#include "rdma/core/join.h"

#include <string.h>

#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#define JOIN_MAGIC      UINT32_C(0x4a4d4454) /* "TDMJ" */
#define HEAD_BYTES      12
#define BODY_BYTES      40
#define CHECKSUM_BYTES  4
#define CHECKSUM_OFFSET (HEAD_BYTES + BODY_BYTES)

/* The version stands at the same place for ever, before anything a version may change. */
_Static_assert(4 + 2 + 1 + 1 + 1 + 1 + 2 == HEAD_BYTES, "the head's layout below");
_Static_assert(CHECKSUM_OFFSET + CHECKSUM_BYTES == TANDEM_RDMA_JOIN_BYTES,
               "the layout below fills the bytes");

static void write_body(struct tandem_writer *writer, const struct tandem_rdma_join *join)
{
	switch (join->kind) {
	case TANDEM_RDMA_JOIN_CONTROL:
		tandem_write_bytes(writer, join->key_id, sizeof(join->key_id));
		tandem_write_bytes(writer, join->nonce, sizeof(join->nonce));
		break;
	case TANDEM_RDMA_JOIN_DATA:
		tandem_write_u64(writer, join->session_id);
		tandem_write_u32(writer, join->attempt);
		tandem_write_bytes(writer, join->token, sizeof(join->token));
		break;
	case TANDEM_RDMA_JOIN_ACCEPT_CONTROL:
		tandem_write_u64(writer, join->session_id);
		tandem_write_bytes(writer, join->nonce, sizeof(join->nonce));
		tandem_write_bytes(writer, join->proof, sizeof(join->proof));
		break;
	case TANDEM_RDMA_JOIN_ACCEPT_DATA:
		tandem_write_bytes(writer, join->token, sizeof(join->token));
		break;
	case TANDEM_RDMA_JOIN_REJECT:
		break;
	}
}

void tandem_rdma_join_encode(const struct tandem_rdma_join *join,
                             uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_RDMA_JOIN_BYTES);

	memset(ret_bytes, 0, TANDEM_RDMA_JOIN_BYTES);
	tandem_write_u32(&writer, JOIN_MAGIC);
	tandem_write_u16(&writer, TANDEM_RDMA_JOIN_VERSION);
	tandem_write_u8(&writer, (uint8_t)join->kind);
	tandem_write_u8(&writer, (uint8_t)join->reason);
	tandem_write_u8(&writer, (uint8_t)join->channel);
	tandem_write_u8(&writer, (uint8_t)join->channel_count);
	tandem_write_u16(&writer, 0);
	write_body(&writer, join);
	writer.length = CHECKSUM_OFFSET;
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, CHECKSUM_OFFSET));
}

unsigned tandem_rdma_join_version(const void *bytes, size_t length)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	const uint32_t magic = tandem_read_u32(&reader);
	const unsigned version = tandem_read_u16(&reader);

	return magic == JOIN_MAGIC ? version : 0;
}

static bool read_body(struct tandem_reader *reader, struct tandem_rdma_join *join)
{
	switch (join->kind) {
	case TANDEM_RDMA_JOIN_CONTROL:
		tandem_read_bytes(reader, join->key_id, sizeof(join->key_id));
		tandem_read_bytes(reader, join->nonce, sizeof(join->nonce));
		return true;
	case TANDEM_RDMA_JOIN_DATA:
		join->session_id = tandem_read_u64(reader);
		join->attempt = tandem_read_u32(reader);
		tandem_read_bytes(reader, join->token, sizeof(join->token));
		return join->session_id != 0 && join->attempt != 0;
	case TANDEM_RDMA_JOIN_ACCEPT_CONTROL:
		join->session_id = tandem_read_u64(reader);
		tandem_read_bytes(reader, join->nonce, sizeof(join->nonce));
		tandem_read_bytes(reader, join->proof, sizeof(join->proof));
		return join->session_id != 0;
	case TANDEM_RDMA_JOIN_ACCEPT_DATA:
		tandem_read_bytes(reader, join->token, sizeof(join->token));
		return true;
	case TANDEM_RDMA_JOIN_REJECT:
		return true;
	}
	return false;
}

static bool is_head_sound(const struct tandem_rdma_join *join)
{
	const bool is_count_sound =
	        join->channel_count >= 1 && join->channel_count <= TANDEM_CHANNELS_MAX;
	const bool has_no_channel = join->channel == 0 && join->channel_count == 0;

	switch (join->kind) {
	case TANDEM_RDMA_JOIN_CONTROL:
		return is_count_sound && join->channel == 0 && join->reason == 0;
	case TANDEM_RDMA_JOIN_DATA:
		return is_count_sound && join->channel < join->channel_count && join->reason == 0;
	case TANDEM_RDMA_JOIN_ACCEPT_CONTROL:
	case TANDEM_RDMA_JOIN_ACCEPT_DATA:
		return has_no_channel && join->reason == TANDEM_RDMA_REJECT_NONE;
	case TANDEM_RDMA_JOIN_REJECT:
		return has_no_channel && join->reason > TANDEM_RDMA_REJECT_NONE &&
		       join->reason < TANDEM_RDMA_REJECT_END;
	}
	return false;
}

/* What a kind leaves of the body is zeros: no two byte strings say the same. */
static bool is_rest_zero(struct tandem_reader *reader)
{
	while (reader->offset < CHECKSUM_OFFSET) {
		if (tandem_read_u8(reader) != 0)
			return false;
	}
	return true;
}

int tandem_rdma_join_decode(const void *bytes, size_t length, struct tandem_rdma_join *ret_join)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_rdma_join join = {0};
	uint32_t reserved;

	if (length < TANDEM_RDMA_JOIN_BYTES || tandem_rdma_join_version(bytes, length) == 0)
		return TANDEM_E_PROTOCOL;
	if (tandem_rdma_join_version(bytes, length) != TANDEM_RDMA_JOIN_VERSION)
		return TANDEM_E_VERSION;
	tandem_read_u32(&reader);
	tandem_read_u16(&reader);
	join.kind = (enum tandem_rdma_join_kind)tandem_read_u8(&reader);
	join.reason = (enum tandem_rdma_reject_reason)tandem_read_u8(&reader);
	join.channel = tandem_read_u8(&reader);
	join.channel_count = tandem_read_u8(&reader);
	reserved = tandem_read_u16(&reader);
	if (reserved != 0 || !is_head_sound(&join) || !read_body(&reader, &join) ||
	    !is_rest_zero(&reader))
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u32(&reader) != tandem_crc32c(0, bytes, CHECKSUM_OFFSET))
		return TANDEM_E_PROTOCOL;
	*ret_join = join;
	return 0;
}

const char *tandem_rdma_reject_text(enum tandem_rdma_reject_reason reason)
{
	static const char *const texts[] = {[TANDEM_RDMA_REJECT_NONE] = "no reason given",
#define X(name, text) [TANDEM_RDMA_REJECT_##name] = text,
	                                    TANDEM_RDMA_REJECT_TABLE(X)
#undef X
	};

	return reason < TANDEM_RDMA_REJECT_END ? texts[reason] : "unknown reason";
}
