#include <criterion/criterion.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/crc32c.h>
#include <tandem/random.h>

#include "core/extent.h"
#include "raw_peer.h"

static struct raw_peer peer;

static void setup(void)
{
	raw_peer_listen(&peer, UINT64_C(20) * TANDEM_NS_PER_S);
	raw_peer_join(&peer);
}

static void teardown(void)
{
	raw_peer_done(&peer);
}

TestSuite(tcp_bad_bytes, .init = setup, .fini = teardown, .timeout = 60);

/* The session must end for that reason and nothing outside [0, to) may have changed. */
static void assert_dropped(const char *reason, size_t to)
{
	struct tandem_error error;
	raw_peer_wait_lost(&peer, &error);
	cr_assert_eq(error.code, TANDEM_E_PROTOCOL, "%s", error.detail);
	cr_assert(strstr(error.detail, reason), "%s", error.detail);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, to));
}

Test(tcp_bad_bytes, sound_frames_are_taken)
{
	struct tandem_frame frame = raw_peer_write(&peer, 0, 100);
	raw_peer_send_frame(peer.fds[1], &frame, 0x77, 512);
	frame = raw_peer_write(&peer, 1, RAW_MEMORY_BYTES - 512);
	frame.type = TANDEM_FRAME_NOTIFY;
	raw_peer_send_frame(peer.fds[1], &frame, 0x78, 512);
	raw_peer_wait_notices(&peer, 1);
	cr_assert(peer.memory[99] != 0x77 && peer.memory[100] == 0x77);
	cr_assert(peer.memory[611] == 0x77 && peer.memory[612] != 0x77);
	cr_assert_eq(peer.memory[RAW_MEMORY_BYTES - 1], 0x78);
	cr_assert_eq(peer.whole[RAW_GUARD_BYTES + RAW_MEMORY_BYTES], 0x3c);
}

Test(tcp_bad_bytes, a_duplicate_is_dropped)
{
	struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	raw_peer_send_frame(peer.fds[1], &frame, 0x77, 512);
	raw_peer_send_frame(peer.fds[1], &frame, 0x78, 512);
	assert_dropped("wrong sequence number", 512);
	cr_assert_eq(peer.memory[0], 0x77);
}

Test(tcp_bad_bytes, reordered_frames_are_dropped)
{
	struct tandem_frame second = raw_peer_write(&peer, 1, 0);
	struct tandem_frame first = raw_peer_write(&peer, 0, 512);
	raw_peer_send_frame(peer.fds[1], &second, 0x77, 512);
	raw_peer_send_frame(peer.fds[1], &first, 0x78, 512);
	assert_dropped("wrong sequence number (memory 0, seen 1, needed 0)", 0);
}

Test(tcp_bad_bytes, a_wrong_key_is_dropped)
{
	struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	frame.memory_key++;
	raw_peer_send_frame(peer.fds[2], &frame, 0x77, 512);
	assert_dropped("data channel 1: frame 0 has wrong memory key", 0);
}

Test(tcp_bad_bytes, a_memory_that_is_not_exposed_is_dropped)
{
	struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	frame.memory_id = 1;
	raw_peer_send_frame(peer.fds[1], &frame, 0x77, 512);
	assert_dropped("not exposed", 0);
}

/* Offsets that reach over either end of the memory. */
static const uint64_t wrong_offsets[] = {
        RAW_MEMORY_BYTES - 511, RAW_MEMORY_BYTES, RAW_MEMORY_BYTES + RAW_GUARD_BYTES, UINT64_MAX,
        UINT64_MAX - 511,       UINT64_C(1) << 63};

Test(tcp_bad_bytes, offsets_outside_are_dropped)
{
	for (unsigned i = 0; i < sizeof(wrong_offsets) / sizeof(wrong_offsets[0]); i++) {
		struct tandem_frame frame = raw_peer_write(&peer, 0, wrong_offsets[i]);
		raw_peer_send_frame(peer.fds[1], &frame, 0x77, 512);
		assert_dropped("outside the exposed memory", 0);
		teardown();
		setup();
	}
}

Test(tcp_bad_bytes, frames_on_the_wrong_channel_are_dropped)
{
	const struct tandem_frame stray = {.type = TANDEM_FRAME_MESSAGE, .length = 4};
	raw_peer_send_frame(peer.fds[1], &stray, 0x77, 4);
	assert_dropped("does not belong", 0);
	teardown();
	setup();
	const uint8_t payload[512] = {0x77};
	struct tandem_frame write = raw_peer_write(&peer, 0, 0);
	raw_peer_send_tagged(&peer, &write, payload);
	assert_dropped("control channel: frame 0 has a frame type that does not belong", 0);
	teardown();
	setup();
	const struct tandem_frame expose = {
	        .type = TANDEM_FRAME_EXPOSE, .memory_id = 5, .offset = 4096, .memory_key = 1};
	raw_peer_send_tagged(&peer, &expose, payload);
	assert_dropped("does not belong", 0);
}

Test(tcp_bad_bytes, a_wrong_magic_and_a_wrong_checksum_are_dropped)
{
	uint8_t bytes[TANDEM_FRAME_BYTES];
	const struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	tandem_frame_encode(&frame, bytes);
	bytes[0] ^= 1;
	raw_peer_send(peer.fds[1], bytes, sizeof(bytes));
	assert_dropped("magic", 0);
	teardown();
	setup();
	tandem_frame_encode(&frame, bytes);
	bytes[30] ^= 1;
	raw_peer_send(peer.fds[1], bytes, sizeof(bytes));
	assert_dropped("checksum", 0);
}

Test(tcp_bad_bytes, a_truncated_frame_is_a_lost_channel)
{
	struct tandem_error error;
	struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	raw_peer_send_frame(peer.fds[1], &frame, 0x77, 200);
	shutdown(peer.fds[1], SHUT_WR);
	raw_peer_wait_channel_lost(&peer, 0, &error);
	cr_assert_eq(error.code, TANDEM_E_PEER_LOST);
	cr_assert(strstr(error.detail, "in the middle of a frame"), "%s", error.detail);
	cr_assert(raw_peer_is_untouched_but(&peer, 0, 200));
}

static const struct tandem_frame message = {.type = TANDEM_FRAME_MESSAGE, .length = 4};
#define MESSAGE_BYTES (TANDEM_FRAME_BYTES + 4 + TANDEM_TAG_BYTES)

/* Header, payload and tag of `message`, as the side says. */
static void make_message(bool is_from_listening_side, uint8_t *ret_bytes)
{
	memset(ret_bytes, 0, MESSAGE_BYTES);
	tandem_frame_encode(&message, ret_bytes);
	tandem_message_tag(&peer.secrets, is_from_listening_side, 0, ret_bytes, TANDEM_FRAME_BYTES,
	                   ret_bytes + TANDEM_FRAME_BYTES, 4, ret_bytes + TANDEM_FRAME_BYTES + 4);
}

/* S3: one bit of payload or tag; the header's are T7's. */
Test(tcp_bad_bytes, an_altered_message_is_dropped)
{
	static const unsigned places[] = {TANDEM_FRAME_BYTES, TANDEM_FRAME_BYTES + 3,
	                                  TANDEM_FRAME_BYTES + 4, MESSAGE_BYTES - 1};
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t bytes[MESSAGE_BYTES];
		make_message(false, bytes);
		bytes[places[i]] ^= 1;
		raw_peer_send(peer.fds[0], bytes, sizeof(bytes));
		assert_dropped("control channel: frame 0 has a wrong tag", 0);
		teardown();
		setup();
	}
}

/* S3: the same bytes once more, which T7 sees first, and the other direction's tag. */
Test(tcp_bad_bytes, a_repeated_or_reflected_message_is_dropped)
{
	uint8_t bytes[MESSAGE_BYTES];
	raw_peer_send_tagged(&peer, &message, "abc");
	raw_peer_send_tagged(&peer, &message, "abc");
	assert_dropped("wrong sequence number", 0);
	teardown();
	setup();
	make_message(true, bytes);
	raw_peer_send(peer.fds[0], bytes, sizeof(bytes));
	assert_dropped("a wrong tag", 0);
}

Test(tcp_bad_bytes, a_fault_and_then_the_end_is_reported_as_the_fault)
{
	struct tandem_frame frame = raw_peer_write(&peer, 5, 0);
	raw_peer_send_frame(peer.fds[2], &frame, 0x77, 512);
	for (unsigned i = 0; i < 3; i++)
		shutdown(peer.fds[i], SHUT_WR);
	assert_dropped("wrong sequence number", 0);
}

/* A batch of two, whose second place is at `offset`. */
static size_t make_batch(uint64_t offset, uint8_t *bytes)
{
	const struct tandem_extent extents[] = {{.offset = 0, .length = 512},
	                                        {.offset = offset, .length = 512}};
	uint8_t *table = bytes + TANDEM_FRAME_BYTES;
	struct tandem_frame frame = raw_peer_write(&peer, 0, 0);
	frame.type = TANDEM_FRAME_BATCH;
	frame.length = 1024;
	frame.extent_count = 2;
	for (unsigned i = 0; i < 2; i++)
		tandem_extent_encode(&extents[i], table + (size_t)i * TANDEM_EXTENT_BYTES);
	frame.table_checksum = tandem_crc32c(0, table, (size_t)2 * TANDEM_EXTENT_BYTES);
	tandem_frame_encode(&frame, bytes);
	memset(table + (size_t)2 * TANDEM_EXTENT_BYTES, 0x77, 1024);
	return TANDEM_FRAME_BYTES + (size_t)2 * TANDEM_EXTENT_BYTES + 1024;
}

Test(tcp_bad_bytes, a_batch_with_one_place_outside_stores_nothing)
{
	for (unsigned i = 0; i < sizeof(wrong_offsets) / sizeof(wrong_offsets[0]); i++) {
		uint8_t bytes[2048];
		raw_peer_send(peer.fds[1], bytes, make_batch(wrong_offsets[i], bytes));
		assert_dropped("data channel 0: frame 0 has a range outside the exposed memory", 0);
		teardown();
		setup();
	}
}

Test(tcp_bad_bytes, a_batch_with_a_damaged_table_stores_nothing)
{
	uint8_t bytes[2048];
	size_t length = make_batch(1024, bytes);
	bytes[TANDEM_FRAME_BYTES + 13] ^= 1;
	raw_peer_send(peer.fds[1], bytes, length);
	assert_dropped("frame 0 has wrong checksum of its table", 0);
}

Test(tcp_bad_bytes, a_sound_batch_is_placed_and_the_notice_comes_after_it)
{
	uint8_t bytes[2048];
	size_t length = make_batch(RAW_MEMORY_BYTES - 512, bytes);
	struct tandem_frame frame = raw_peer_write(&peer, 1, 4096);
	frame.type = TANDEM_FRAME_NOTIFY;
	raw_peer_send(peer.fds[1], bytes, length - 1);
	raw_peer_send(peer.fds[1], bytes + length - 1, 1);
	raw_peer_send_frame(peer.fds[1], &frame, 0x78, 512);
	raw_peer_wait_notices(&peer, 1);
	cr_assert(peer.memory[511] == 0x77 && peer.memory[512] == 0x3c);
	cr_assert_eq(peer.memory[RAW_MEMORY_BYTES - 1], 0x77);
	cr_assert_eq(peer.memory[4096], 0x78);
}

/* What a sound peer sends, with some bytes replaced, on every channel. */
static size_t make_stream(uint64_t *seed, uint8_t *bytes)
{
	size_t length = 0;
	for (uint64_t i = 0; i < 3; i++) {
		const struct tandem_frame frame =
		        raw_peer_write(&peer, i, (tandem_random_next(seed) % 8) * 512);
		tandem_frame_encode(&frame, bytes + length);
		memset(bytes + length + TANDEM_FRAME_BYTES, 0x77, frame.length);
		length += TANDEM_FRAME_BYTES + frame.length;
	}
	for (unsigned i = 0; i < 3; i++)
		bytes[tandem_random_next(seed) % length] = (uint8_t)tandem_random_next(seed);
	return length;
}

Test(tcp_bad_bytes, damaged_streams_never_store_outside)
{
	uint64_t seed = 4711;
	for (unsigned round = 0; round < 60; round++) {
		uint8_t bytes[4096];
		struct tandem_error error;
		size_t length = make_stream(&seed, bytes);
		raw_peer_send(peer.fds[round % 3], bytes, length);
		for (unsigned i = 0; i < 3; i++)
			shutdown(peer.fds[i], SHUT_WR);
		raw_peer_wait_lost(&peer, &error);
		cr_assert(error.code == TANDEM_E_PROTOCOL || error.code == TANDEM_E_PEER_LOST);
		cr_assert(raw_peer_is_untouched_but(&peer, 0, 8 * 512), "round %u", round);
		teardown();
		setup();
	}
}

Test(tcp_bad_bytes, random_bytes_are_dropped)
{
	uint64_t seed = 815;
	for (unsigned round = 0; round < 60; round++) {
		uint8_t bytes[256];
		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)tandem_random_next(&seed);
		raw_peer_send(peer.fds[round % 3], bytes, sizeof(bytes));
		assert_dropped("magic", 0);
		teardown();
		setup();
	}
}
