#include <criterion/criterion.h>

#include <string.h>

#include <tandem/crc32c.h>
#include <tandem/random.h>
#include <tandem/transport.h>

#include "frame_stream.h"

#define INITIAL 0x3c

static struct frame_stream stream;
static struct tandem_frame_reader reader;
static uint8_t whole[STREAM_GUARD_BYTES + STREAM_MEMORY_BYTES + STREAM_GUARD_BYTES];
static uint8_t *const memory = whole + STREAM_GUARD_BYTES;
static uint8_t wanted[sizeof(whole)];
static const size_t all[] = {0};

static void reset(void)
{
	memset(&reader, 0, sizeof(reader));
	memset(whole, INITIAL, sizeof(whole));
}

static void setup(void)
{
	memset(&stream, 0, sizeof(stream));
	stream.fill = 1;
	reset();
}

TestSuite(frame_reader, .init = setup);

static struct stream_end read_parts(const size_t *parts, unsigned part_count)
{
	return frame_stream_read(&reader, stream.bytes, stream.length, parts, part_count, memory);
}

/* Each kind of frame, neighbours and backward ones; two batches meet without anything between. */
static void make_mixed(void)
{
	const struct tandem_extent three[] = {{8192, 300}, {100, 7}, {107, 900}};
	const struct tandem_extent two[] = {{STREAM_MEMORY_BYTES - 1, 1}, {2000, 1200}};
	const struct tandem_extent one[] = {{4000, 64}};
	frame_stream_write(&stream, TANDEM_FRAME_WRITE, 0, 50);
	frame_stream_batch(&stream, three, 3);
	frame_stream_batch(&stream, two, 2);
	frame_stream_write(&stream, TANDEM_FRAME_NOTIFY, 5000, 64);
	frame_stream_batch(&stream, one, 1);
	frame_stream_write(&stream, TANDEM_FRAME_NOTIFY, 12000, 1100);
}

#define MIXED_FRAMES 6

static void want_mixed(void)
{
	static const struct {
		size_t offset, length;
	} places[] = {
	        {0, 50},      {8192, 300}, {100, 7},   {107, 900},   {STREAM_MEMORY_BYTES - 1, 1},
	        {2000, 1200}, {5000, 64},  {4000, 64}, {12000, 1100}};
	memset(wanted, INITIAL, sizeof(wanted));
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		memset(wanted + STREAM_GUARD_BYTES + places[i].offset, (int)i + 1,
		       places[i].length);
}

static void assert_mixed(const struct stream_end *end, size_t cut)
{
	cr_assert_eq(end->fault, TANDEM_FRAME_FAULT_NONE, "cut %zu: %s", cut,
	             tandem_frame_fault_text(end->fault));
	cr_assert_eq(end->whole_count, MIXED_FRAMES, "cut %zu", cut);
	cr_assert_eq(end->notify_count, 2, "cut %zu", cut);
	cr_assert(end->is_between, "cut %zu", cut);
	cr_assert(memcmp(whole, wanted, sizeof(whole)) == 0, "cut %zu", cut);
}

Test(frame_reader, a_stream_is_placed)
{
	make_mixed();
	want_mixed();
	const struct stream_end end = read_parts(all, 1);
	assert_mixed(&end, 0);
}

/* [T6], [T7]: wherever a read ends short, the outcome is the same. */
Test(frame_reader, a_cut_at_every_byte_changes_nothing)
{
	make_mixed();
	want_mixed();
	for (size_t cut = 1; cut < stream.length; cut++) {
		reset();
		frame_stream_read(&reader, stream.bytes, cut, all, 1, memory);
		uint64_t before = reader.sequence;
		struct stream_end end = frame_stream_read(&reader, stream.bytes + cut,
		                                          stream.length - cut, all, 1, memory);
		cr_assert_eq(before + end.whole_count, MIXED_FRAMES, "cut %zu", cut);
		cr_assert_eq(end.fault, TANDEM_FRAME_FAULT_NONE, "cut %zu", cut);
		cr_assert(end.is_between, "cut %zu", cut);
		cr_assert(memcmp(whole, wanted, sizeof(whole)) == 0, "cut %zu", cut);
	}
}

Test(frame_reader, parts_of_every_small_size_change_nothing)
{
	make_mixed();
	want_mixed();
	for (size_t part = 1; part < 1200; part++) {
		reset();
		const struct stream_end end = read_parts(&part, 1);
		assert_mixed(&end, part);
	}
}

Test(frame_reader, parts_of_random_sizes_change_nothing)
{
	uint64_t seed = 99;
	make_mixed();
	want_mixed();
	for (unsigned round = 0; round < 500; round++) {
		size_t parts[64];
		for (unsigned i = 0; i < 64; i++)
			parts[i] = 1 + tandem_random_next(&seed) % (1u << (round % 12));
		reset();
		const struct stream_end end = read_parts(parts, 64);
		assert_mixed(&end, round);
	}
}

Test(frame_reader, the_largest_batch_is_placed)
{
	struct tandem_extent extents[TANDEM_EXTENTS_MAX];
	for (unsigned i = 0; i < TANDEM_EXTENTS_MAX; i++)
		extents[i] = (struct tandem_extent){.offset = (TANDEM_EXTENTS_MAX - 1 - i) * 256,
		                                    .length = 256};
	frame_stream_batch(&stream, extents, TANDEM_EXTENTS_MAX);
	frame_stream_batch(&stream, extents, TANDEM_EXTENTS_MAX);
	const struct stream_end end = read_parts(all, 1);
	cr_assert_eq(end.whole_count, 2);
	for (unsigned i = 0; i < TANDEM_EXTENTS_MAX; i++) {
		const uint8_t *place = memory + extents[i].offset;
		cr_assert_eq(place[0], (uint8_t)(1 + TANDEM_EXTENTS_MAX + i));
		cr_assert_eq(place[255], (uint8_t)(1 + TANDEM_EXTENTS_MAX + i));
	}
}

/* What a call reads: the payload's rest to its place, and behind it what follows. */
Test(frame_reader, a_batch_needs_one_call)
{
	const struct tandem_extent extents[] = {{0, 4096}, {8192, 4096}};
	struct tandem_frame_piece pieces[TANDEM_FRAME_PIECES_MAX];
	frame_stream_batch(&stream, extents, 2);
	const size_t head = TANDEM_FRAME_BYTES + 2 * TANDEM_EXTENT_BYTES;
	frame_stream_read(&reader, stream.bytes, head, all, 1, memory);
	cr_assert_eq(tandem_frame_reader_room(&reader, 1u << 20, pieces), 3);
	cr_assert_eq(pieces[0].bytes, memory);
	cr_assert_eq(pieces[1].bytes, memory + 8192);
	cr_assert_eq(pieces[2].length, TANDEM_FRAME_AHEAD_BYTES);
	cr_assert_eq(tandem_frame_reader_room(&reader, 5000, pieces), 2);
	cr_assert_eq(pieces[0].length, 4096);
	cr_assert_eq(pieces[1].length, 904);
	cr_assert_eq(tandem_frame_reader_room(&reader, 8192, pieces), 2);
	tandem_frame_reader_took(&reader, 5000);
	cr_assert_eq(tandem_frame_reader_room(&reader, 1u << 20, pieces), 2);
	cr_assert_eq(pieces[0].bytes, memory + 8192 + 904);
	cr_assert_eq(pieces[0].length, 4096 - 904);
}

Test(frame_reader, a_message_goes_to_the_begin_of_its_buffer)
{
	frame_stream_message(&stream, 100);
	frame_stream_message(&stream, 40);
	const struct stream_end end = read_parts(all, 1);
	cr_assert_eq(end.whole_count, 2);
	cr_assert_eq(memory[0], 2);
	cr_assert_eq(memory[39], 2);
	cr_assert_eq(memory[40], 1);
	cr_assert_eq(memory[100], INITIAL);
}

/* After each fault nothing at or behind it is stored: [T6], [T7]. */
static void assert_refused(size_t first_bad, enum tandem_frame_fault fault, unsigned whole_count)
{
	static const size_t sizes[] = {0, 1, 7, 56, 80, 1024};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		reset();
		struct stream_end end = read_parts(&sizes[i], 1);
		cr_assert_eq(end.fault, fault, "%s", tandem_frame_fault_text(end.fault));
		cr_assert_eq(end.whole_count, whole_count);
		for (size_t k = 0; k < sizeof(whole); k++) {
			bool may_differ =
			        k >= STREAM_GUARD_BYTES && k < STREAM_GUARD_BYTES + first_bad;
			cr_assert(may_differ || whole[k] == INITIAL, "byte %zu", k);
		}
		if (end.fault != TANDEM_FRAME_FAULT_SEQUENCE)
			cr_assert_eq(tandem_frame_reader_step(&reader), TANDEM_FRAME_STEP_FAULT);
	}
}

Test(frame_reader, a_bad_header_between_two_batches_is_refused)
{
	const struct tandem_extent first[] = {{0, 500}, {500, 500}};
	const struct tandem_extent second[] = {{1000, 500}, {1500, 500}};
	frame_stream_batch(&stream, first, 2);
	size_t header = stream.length;
	frame_stream_batch(&stream, second, 2);
	for (size_t byte = 0; byte < TANDEM_FRAME_BYTES; byte++) {
		stream.bytes[header + byte] ^= 0x40;
		assert_refused(
		        1000, byte < 4 ? TANDEM_FRAME_FAULT_MAGIC : TANDEM_FRAME_FAULT_CHECKSUM, 1);
		stream.bytes[header + byte] ^= 0x40;
	}
}

Test(frame_reader, a_bad_table_is_refused_before_anything_is_stored)
{
	const struct tandem_extent first[] = {{0, 500}, {500, 500}};
	const struct tandem_extent second[] = {{1000, 500}, {1500, 500}, {2000, 100}};
	frame_stream_batch(&stream, first, 2);
	size_t table = stream.length + TANDEM_FRAME_BYTES;
	frame_stream_batch(&stream, second, 3);
	for (size_t byte = 0; byte < 3 * TANDEM_EXTENT_BYTES; byte++) {
		stream.bytes[table + byte] ^= 1;
		assert_refused(1000, TANDEM_FRAME_FAULT_TABLE, 1);
		stream.bytes[table + byte] ^= 1;
	}
}

/* The last extent alone is wrong, and the ones before it are not stored either. */
Test(frame_reader, an_extent_outside_is_refused_before_anything_is_stored)
{
	static const struct tandem_extent wrong[] = {{STREAM_MEMORY_BYTES - 99, 100},
	                                             {STREAM_MEMORY_BYTES, 1},
	                                             {UINT64_MAX, 100},
	                                             {UINT64_MAX - 99, 100},
	                                             {UINT64_C(1) << 63, 100}};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct tandem_extent extents[] = {{0, 100}, {200, 100}, wrong[i]};
		setup();
		frame_stream_batch(&stream, extents, 3);
		assert_refused(0, TANDEM_FRAME_FAULT_RANGE, 0);
		cr_assert_eq(reader.extents[0].offset, wrong[i].offset);
	}
}

Test(frame_reader, a_repeated_batch_is_refused)
{
	const struct tandem_extent extents[] = {{0, 100}, {100, 100}};
	frame_stream_batch(&stream, extents, 2);
	stream.sequence = 0;
	frame_stream_batch(&stream, extents, 2);
	assert_refused(200, TANDEM_FRAME_FAULT_SEQUENCE, 1);
	cr_assert_eq(memory[0], 1, "the first one's bytes stay");
}

Test(frame_reader, a_stream_that_ends_inside_is_known)
{
	const struct tandem_extent extents[] = {{0, 10}, {20, 10}};
	frame_stream_batch(&stream, extents, 2);
	cr_assert(tandem_frame_reader_is_between(&reader));
	for (size_t cut = 1; cut < stream.length; cut++) {
		reset();
		struct stream_end end =
		        frame_stream_read(&reader, stream.bytes, cut, all, 1, memory);
		cr_assert(!end.is_between, "cut %zu", cut);
		cr_assert_eq(end.whole_count, 0);
	}
}
