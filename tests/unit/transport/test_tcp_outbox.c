#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/random.h>

#include "frame_stream.h"
#include "tcp/outbox.h"

#define CAPACITY 10
#define KEY      STREAM_KEY

static struct tandem_tcp_outbox outbox;
static int fds[2];
static uint8_t source[STREAM_MEMORY_BYTES];
static uint8_t whole[STREAM_GUARD_BYTES + STREAM_MEMORY_BYTES + STREAM_GUARD_BYTES];
static uint8_t *const memory = whole + STREAM_GUARD_BYTES;
static struct tandem_frame_reader reader;
static const size_t all[] = {0};

static void setup(void)
{
	cr_assert_eq(tandem_tcp_outbox_init(&outbox, CAPACITY), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)(i * 7 + i / 256);
}

static void teardown(void)
{
	tandem_tcp_outbox_done(&outbox);
	close(fds[0]);
	close(fds[1]);
}

TestSuite(tcp_outbox, .init = setup, .fini = teardown, .timeout = 60);

static unsigned add(const struct tandem_write *writes, unsigned count)
{
	struct tandem_frame frame = {.memory_id = writes[0].memory_id, .memory_key = KEY};
	return tandem_tcp_outbox_add_batch(&outbox, &frame, writes, count, 5);
}

static struct tandem_write write_at(uint64_t offset, uint32_t length)
{
	return (struct tandem_write){.offset = offset, .source = source + offset, .length = length};
}

/* What has left is read and placed; how many frames came whole. */
static unsigned receive(void)
{
	static uint8_t bytes[(size_t)256 << 10];
	ssize_t got = recv(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got <= 0)
		return 0;
	struct stream_end end = frame_stream_read(&reader, bytes, (size_t)got, all, 1, memory);
	cr_assert_eq(end.fault, TANDEM_FRAME_FAULT_NONE, "%s", tandem_frame_fault_text(end.fault));
	return end.whole_count;
}

Test(tcp_outbox, a_list_is_one_frame)
{
	const struct tandem_write writes[] = {write_at(0, 100), write_at(5000, 300),
	                                      write_at(200, 50)};
	cr_assert_eq(add(writes, 3), 3);
	cr_assert_eq(outbox.count, 3);
	cr_assert_eq(outbox.pending_bytes, TANDEM_FRAME_BYTES + 3 * TANDEM_EXTENT_BYTES + 450);
	cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 1u << 20, 6), 0);
	cr_assert_eq(outbox.count, 0);
	cr_assert_eq(outbox.pending_bytes, 0);
	cr_assert_eq(outbox.payload_count, 0);
	cr_assert_eq(receive(), 1);
	cr_assert(memcmp(memory + 5000, source + 5000, 300) == 0);
	cr_assert(memcmp(memory + 200, source + 200, 50) == 0);
}

Test(tcp_outbox, a_frame_has_writes_to_one_memory)
{
	struct tandem_write writes[] = {write_at(0, 100), write_at(100, 100), write_at(200, 50)};
	writes[2].memory_id = 1;
	cr_assert_eq(add(writes, 3), 2);
	cr_assert_eq(add(writes + 2, 1), 1);
	cr_assert_eq(outbox.sequence, 2);
}

Test(tcp_outbox, what_does_not_fit_is_not_taken)
{
	struct tandem_write writes[CAPACITY + 1];
	struct tandem_frame notify = {
	        .type = TANDEM_FRAME_NOTIFY, .length = 10, .memory_key = KEY, .immediate = 3};
	for (unsigned i = 0; i <= CAPACITY; i++)
		writes[i] = write_at(i * 100, 100);
	cr_assert_eq(add(writes, CAPACITY + 1), CAPACITY);
	cr_assert_eq(add(writes, 1), 0);
	cr_assert(!tandem_tcp_outbox_add(&outbox, &notify, source, 5));
	cr_assert_eq(outbox.sequence, 1, "what was refused has no number");
	cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 1u << 20, 6), 0);
	cr_assert_eq(receive(), 1);
}

/* The ring's end cuts a list in two frames, wherever it is. */
Test(tcp_outbox, lists_go_around_the_ring)
{
	uint64_t seed = 3;
	memset(memory, 0xee, STREAM_MEMORY_BYTES);
	for (unsigned round = 0; round < 400; round++) {
		struct tandem_write writes[CAPACITY];
		unsigned count = 1 + (unsigned)(tandem_random_next(&seed) % CAPACITY);
		unsigned taken = 0, frames = 0;
		for (unsigned i = 0; i < count; i++)
			writes[i] = write_at(tandem_random_next(&seed) % 15000,
			                     1 + (uint32_t)(tandem_random_next(&seed) % 1000));
		for (; taken < count; frames++) {
			unsigned batch = add(writes + taken, count - taken);
			cr_assert_gt(batch, 0);
			taken += batch;
		}
		cr_assert_leq(frames, 2);
		cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 1u << 20, 6), 0);
		cr_assert_eq(receive(), frames);
		for (unsigned i = 0; i < count; i++)
			cr_assert(memcmp(memory + writes[i].offset, writes[i].source,
			                 writes[i].length) == 0);
	}
}

static unsigned fill(uint64_t *seed)
{
	struct tandem_write write = write_at(tandem_random_next(seed) % 8000,
	                                     1 + (uint32_t)(tandem_random_next(seed) % 8000));
	struct tandem_frame notify = {.type = TANDEM_FRAME_NOTIFY,
	                              .length = write.length,
	                              .offset = write.offset,
	                              .memory_key = KEY};
	struct tandem_write writes[4] = {write, write, write, write};
	if (tandem_random_next(seed) % 3 == 0)
		return tandem_tcp_outbox_add(&outbox, &notify, write.source, 7) ? 1 : 0;
	return add(writes, 1 + (unsigned)(tandem_random_next(seed) % 4)) > 0;
}

/* T8: the kernel takes parts of any size; an entry counts until its last byte has left. */
Test(tcp_outbox, a_kernel_that_takes_parts_gets_every_byte_once)
{
	uint64_t seed = 8;
	uint64_t frame_count = 0;
	const int small = 4608;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (unsigned round = 0; round < 3000; round++) {
		while (outbox.count < CAPACITY && fill(&seed))
			;
		uint64_t pending_bytes = outbox.pending_bytes;
		cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 3000, 6), 0);
		cr_assert_leq(outbox.pending_bytes, pending_bytes);
		cr_assert_eq(outbox.count == 0, outbox.pending_bytes == 0);
		frame_count += receive();
	}
	for (unsigned round = 0; outbox.count > 0 && round < 3000; round++) {
		cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 3000, 6), 0);
		frame_count += receive();
	}
	frame_count += receive();
	cr_assert_eq(outbox.count, 0);
	cr_assert_eq(frame_count, outbox.sequence);
	cr_assert_gt(frame_count, 300);
}

Test(tcp_outbox, short_lists_wait_for_more_and_a_notify_waits_for_nothing)
{
	const struct tandem_write writes[] = {write_at(0, 100), write_at(5000, 300)};
	struct tandem_frame notify = {.type = TANDEM_FRAME_NOTIFY, .length = 10, .memory_key = KEY};
	add(writes, 2);
	cr_assert(!tandem_tcp_outbox_is_ripe(&outbox));
	cr_assert(tandem_tcp_outbox_add(&outbox, &notify, source, 5));
	cr_assert(tandem_tcp_outbox_is_ripe(&outbox));
	tandem_tcp_outbox_clear(&outbox);
	struct tandem_write large = {.source = source, .length = (512u << 10) - 100};
	cr_assert_eq(add(&large, 1), 1);
	cr_assert(!tandem_tcp_outbox_is_ripe(&outbox), "less than it waits for, by its header");
	cr_assert_eq(add(writes, 1), 1);
	cr_assert(tandem_tcp_outbox_is_ripe(&outbox));
}

Test(tcp_outbox, a_full_queue_is_ripe_unless_the_kernel_is_full_too)
{
	static uint8_t large[(size_t)1 << 20];
	struct tandem_write writes[CAPACITY];
	for (unsigned i = 0; i < CAPACITY; i++)
		writes[i] = write_at(i * 100, 100);
	add(writes, CAPACITY);
	cr_assert(tandem_tcp_outbox_is_ripe(&outbox));
	tandem_tcp_outbox_clear(&outbox);
	writes[0] = (struct tandem_write){.source = large, .length = sizeof(large)};
	for (unsigned i = 0; i < 4; i++)
		add(writes, 1);
	cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 8u << 20, 6), 0);
	cr_assert_gt(outbox.count, 0);
	cr_assert(!tandem_tcp_outbox_is_ripe(&outbox));
}

Test(tcp_outbox, what_is_cleared_leaves_nothing)
{
	const struct tandem_write writes[] = {write_at(0, 100), write_at(5000, 300)};
	add(writes, 2);
	tandem_tcp_outbox_clear(&outbox);
	cr_assert_eq(outbox.count, 0);
	cr_assert_eq(outbox.pending_bytes, 0);
	cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 1u << 20, 6), 0);
	cr_assert_eq(receive(), 0);
}

Test(tcp_outbox, the_end_of_the_other_side_is_told)
{
	const struct tandem_write writes[] = {write_at(0, 100)};
	add(writes, 1);
	close(fds[1]);
	fds[1] = -1;
	cr_assert_eq(tandem_tcp_outbox_flush(&outbox, fds[0], 1u << 20, 6), EPIPE);
}
