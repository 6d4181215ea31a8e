#include "bench_message.h"

#include <string.h>

#include <tandem/bytes.h>
#include <tandem/transport.h>

#define MAGIC   0x68636e6274646e74u /* "tndtbnch" */
#define VERSION 2

_Static_assert(2 * TANDEM_CHANNELS_MAX * TANDEM_BENCH_TRAILER_BYTES <= TANDEM_BENCH_TRAILERS_SIZE,
               "a slot for each channel, twice");

size_t tandem_bench_message_encode(const struct tandem_bench_message *message,
                                   uint8_t ret_bytes[TANDEM_BENCH_MESSAGE_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_BENCH_MESSAGE_BYTES);

	tandem_write_u64(&writer, MAGIC);
	tandem_write_u16(&writer, VERSION);
	tandem_write_u8(&writer, (uint8_t)message->kind);
	tandem_write_u8(&writer, (uint8_t)message->load.pattern);
	tandem_write_u32(&writer, message->load.write_bytes);
	tandem_write_u64(&writer, message->load.region_bytes);
	tandem_write_u64(&writer, message->load.bytes);
	tandem_write_u32(&writer, message->channel_count);
	tandem_write_u32(&writer, message->crc32c);
	tandem_write_u64(&writer, message->number);
	tandem_write_u64(&writer, message->cpu_ns);
	/* Only where there is one: the kernel and the tag take the longer for it. */
	if (message->kind == TANDEM_BENCH_REFUSED)
		tandem_write_text(&writer, message->detail, sizeof message->detail);
	return writer.length;
}

int tandem_bench_message_decode(const uint8_t *bytes, size_t length,
                                struct tandem_bench_message *ret_message,
                                struct tandem_error *reterr_error)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_bench_message message = {0};
	const uint64_t magic = tandem_read_u64(&reader);
	const unsigned version = tandem_read_u16(&reader);

	if (magic != MAGIC)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "message",
		                        "the peer is no tandem-bench");
	if (version != VERSION)
		return tandem_error_set(reterr_error, TANDEM_E_VERSION, "message",
		                        "the peer's version is %u, ours %u", version, VERSION);
	message.kind = tandem_read_u8(&reader);
	message.load.pattern = tandem_read_u8(&reader);
	message.load.write_bytes = tandem_read_u32(&reader);
	message.load.region_bytes = tandem_read_u64(&reader);
	message.load.bytes = tandem_read_u64(&reader);
	message.channel_count = tandem_read_u32(&reader);
	message.crc32c = tandem_read_u32(&reader);
	message.number = tandem_read_u64(&reader);
	message.cpu_ns = tandem_read_u64(&reader);
	if (message.kind == TANDEM_BENCH_REFUSED)
		tandem_read_text(&reader, message.detail, sizeof message.detail);
	if (!tandem_reader_done(&reader) || message.load.pattern >= TANDEM_BENCH_PATTERNS ||
	    message.kind < TANDEM_BENCH_SETUP || message.kind > TANDEM_BENCH_RESULT)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "message",
		                        "malformed, %zu bytes, kind %d", length, (int)message.kind);
	*ret_message = message;
	return 0;
}

size_t tandem_bench_trailer_offset(uint64_t number, unsigned channel)
{
	return (number % 2 * TANDEM_CHANNELS_MAX + channel) * TANDEM_BENCH_TRAILER_BYTES;
}

void tandem_bench_trailer_encode(const struct tandem_bench_trailer *trailer,
                                 uint8_t ret_bytes[TANDEM_BENCH_TRAILER_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_BENCH_TRAILER_BYTES);

	memset(ret_bytes, 0, TANDEM_BENCH_TRAILER_BYTES);
	tandem_write_u64(&writer, trailer->number);
	tandem_write_u32(&writer, trailer->channel_mask);
}

struct tandem_bench_trailer tandem_bench_trailer_decode(
        const uint8_t bytes[TANDEM_BENCH_TRAILER_BYTES])
{
	struct tandem_reader reader = tandem_reader_over(bytes, TANDEM_BENCH_TRAILER_BYTES);
	struct tandem_bench_trailer trailer;

	trailer.number = tandem_read_u64(&reader);
	trailer.channel_mask = tandem_read_u32(&reader);
	return trailer;
}
