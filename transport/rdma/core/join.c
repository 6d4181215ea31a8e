#include "rdma/core/join.h"

#include <tandem/bytes.h>
#include <tandem/crc32c.h>
#include <tandem/transport.h>

#define JOIN_MAGIC     UINT32_C(0x4a4d4454) /* "TDMJ" */
#define CHECKSUM_BYTES 4

/* The version stands at the same place for ever, before anything a version may change. */
_Static_assert(4 + 2 + 1 + 1 + 1 + 1 + 2 + 8 + CHECKSUM_BYTES == TANDEM_RDMA_JOIN_BYTES,
               "the layout below fills the bytes");

void tandem_rdma_join_encode(const struct tandem_rdma_join *join,
                             uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_RDMA_JOIN_BYTES);

	tandem_write_u32(&writer, JOIN_MAGIC);
	tandem_write_u16(&writer, TANDEM_RDMA_JOIN_VERSION);
	tandem_write_u8(&writer, (uint8_t)join->kind);
	tandem_write_u8(&writer, (uint8_t)join->reason);
	tandem_write_u8(&writer, (uint8_t)join->channel);
	tandem_write_u8(&writer, (uint8_t)join->channel_count);
	tandem_write_u16(&writer, 0);
	tandem_write_u64(&writer, join->key);
	tandem_write_u32(&writer, tandem_crc32c(0, ret_bytes, writer.length));
}

unsigned tandem_rdma_join_version(const void *bytes, size_t length)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	const uint32_t magic = tandem_read_u32(&reader);
	const unsigned version = tandem_read_u16(&reader);

	return magic == JOIN_MAGIC ? version : 0;
}

static bool request_is_sound(const struct tandem_rdma_join *join)
{
	const bool is_count_sound =
	        join->channel_count >= 1 && join->channel_count <= TANDEM_CHANNELS_MAX;

	if (join->reason != TANDEM_RDMA_REJECT_NONE || !is_count_sound)
		return false;
	if (join->kind == TANDEM_RDMA_JOIN_CONTROL)
		return join->channel == 0 && join->key == 0;
	return join->channel < join->channel_count && join->key != 0;
}

static bool is_sound(const struct tandem_rdma_join *join)
{
	const bool is_answer_bare = join->channel == 0 && join->channel_count == 0;

	switch (join->kind) {
	case TANDEM_RDMA_JOIN_CONTROL:
	case TANDEM_RDMA_JOIN_DATA:
		return request_is_sound(join);
	case TANDEM_RDMA_JOIN_ACCEPT:
		return is_answer_bare && join->reason == TANDEM_RDMA_REJECT_NONE && join->key != 0;
	case TANDEM_RDMA_JOIN_REJECT:
		return is_answer_bare && join->key == 0 && join->reason > TANDEM_RDMA_REJECT_NONE &&
		       join->reason < TANDEM_RDMA_REJECT_END;
	}
	return false;
}

int tandem_rdma_join_decode(const void *bytes, size_t length, struct tandem_rdma_join *ret_join)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_rdma_join join;
	uint32_t checksum;
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
	join.key = tandem_read_u64(&reader);
	checksum = tandem_crc32c(0, bytes, reader.offset);
	if (tandem_read_u32(&reader) != checksum || reserved != 0 || !is_sound(&join))
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
