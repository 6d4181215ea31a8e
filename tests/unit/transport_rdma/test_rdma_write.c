#include <criterion/criterion.h>
#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

#include "rig.h"

#define MIB  (UINT64_C(1) << 20)
#define PAGE 4096

/* ---- signalling and accounting ---- */

static void fill_writes(const struct rig *rig, struct tandem_write *writes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		writes[i] = (struct tandem_write){
		        .offset = i * PAGE, .source = rig->pair.source + i * PAGE, .length = PAGE};
}

/* Frees the rig. */
static void post_sixty_four(struct rig *rig, unsigned extended_count)
{
	struct tandem_write writes[64];
	struct fake_posts before;
	struct fake_posts after;
	unsigned taken = 0;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fill_writes(rig, writes, 64);
	before = fake_posts();
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, writes, 64, &taken), 0);
	after = fake_posts();
	cr_expect_eq(taken, 64);
	cr_expect_eq(after.call_count - before.call_count, 2);
	cr_expect_eq(after.request_count - before.request_count, 64);
	cr_expect_eq(after.signalled_count - before.signalled_count, 2);
	cr_expect_eq(after.extended_count - before.extended_count, extended_count);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 64);
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 0);
	rig_free(rig);
}

Test(rdma_write, is_posted_in_batches_with_one_signal_in_thirty_two)
{
	post_sixty_four(rig_new(TANDEM_REGISTRATION_BYTES_MAX), 64);
}

Test(rdma_write, is_posted_in_lists_where_the_device_knows_nothing_else)
{
	post_sixty_four(rig_new_with_lists(TANDEM_REGISTRATION_BYTES_MAX), 0);
}

Test(rdma_write, completes_without_a_further_post_whatever_the_count)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_write writes[64];

	cr_assert_eq(pair_map(&rig->pair), 0);
	fill_writes(rig, writes, 64);
	for (unsigned count = 1; count <= 64; count++) {
		unsigned taken = 0;

		cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 1, writes, count,
		                                  &taken),
		             0);
		cr_assert_eq(taken, count);
		rig_settle(rig);
		cr_assert_eq(tandem_session_inflight_count(rig->pair.connecting.session, 1), 0);
	}
	rig_free(rig);
}

Test(rdma_write, takes_what_fits_and_frees_nothing_before_it_is_complete)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_write writes[64];
	unsigned taken = 0;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fill_writes(rig, writes, 64);
	fake_hold(true);
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, writes, 40, &taken), 0);
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, writes, 64, &taken), 0);
	cr_expect_eq(taken, 24);
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, writes, 64, &taken), 0);
	cr_expect_eq(taken, 0);
	cr_expect_eq(tandem_session_notify(rig->pair.connecting.session, 0, writes, 1),
	             TANDEM_E_AGAIN);
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 64);
	fake_hold(false);
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 0);
	rig_free(rig);
}

Test(rdma_write, that_completes_while_the_queue_is_armed_is_not_missed)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_session *connecting = rig->pair.connecting.session;
	struct tandem_write write;
	unsigned taken;

	cr_assert_eq(pair_map(&rig->pair), 0);
	rig_settle(rig);
	fill_writes(rig, &write, 1);
	/* The first raises the event; the second completes after its queue was looked at. */
	cr_assert_eq(tandem_session_write(connecting, 0, &write, 1, &taken), 0);
	fake_hold(true);
	cr_assert_eq(tandem_session_write(connecting, 0, &write, 1, &taken), 0);
	fake_release_when_armed();
	tandem_session_progress(connecting);
	cr_expect_eq(tandem_session_inflight_count(connecting, 0), 0);
	rig_free(rig);
}

Test(rdma_write, waits_for_credit_and_keeps_its_order)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_session *connecting = rig->pair.connecting.session;
	struct tandem_write write;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fill_writes(rig, &write, 1);
	/* The other side's owner takes nothing: only so many go, the others wait here. */
	rig->pair.listening.is_silent = true;
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(tandem_session_notify(connecting, 0, &write, i), 0);
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(connecting, 0),
	             60 - TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX);
	rig->pair.listening.is_silent = false;
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(connecting, 0), 0);
	cr_assert_eq(rig->pair.listening.notice_count, 60);
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(rig->pair.listening.notices[i].immediate, i);
	rig_free(rig);
}

/* ---- pieces ---- */

#define REGION (3 * MIB + 5 * PAGE)

static bool is_known(const struct pair *pair, uint64_t argument)
{
	return tandem_session_exposed_bytes(pair->connecting.session, 3) == argument;
}

static void write_at(struct rig *rig, uint8_t *source, uint8_t *target, uint64_t from, uint64_t to,
                     uint32_t length)
{
	const struct tandem_write write = {
	        .memory_id = 3, .offset = to, .source = source + from, .length = length};
	unsigned taken = 0;

	memset(target, 0, REGION);
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, &write, 1, &taken), 0);
	cr_assert_eq(taken, 1);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 1);
	rig_settle(rig);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 0);
	cr_expect_eq(memcmp(target + to, source + from, length), 0);
	for (uint64_t i = 0; i < REGION; i += 97) {
		if (i < to || i >= to + length)
			cr_assert_eq(target[i], 0, "a byte beside the write changed");
	}
}

Test(rdma_write, crosses_pieces_on_either_side)
{
	struct rig *rig = rig_new(MIB);
	uint8_t *target = tandem_memory_map(REGION);
	uint8_t *source = tandem_memory_map(REGION);
	uint64_t seed = 3;

	for (uint64_t i = 0; i < REGION; i++)
		source[i] = (uint8_t)(1 | tandem_random_next(&seed));
	cr_assert_eq(tandem_session_expose(rig->pair.listening.session, 3, target, REGION, NULL),
	             0);
	cr_assert_eq(tandem_session_register(rig->pair.connecting.session, source, REGION, NULL),
	             0);
	cr_assert_eq(pair_wait(&rig->pair, is_known, REGION), 0);
	write_at(rig, source, target, 0, 0, MIB);
	write_at(rig, source, target, MIB - 100, 7, 300);
	write_at(rig, source, target, 7, MIB - 100, 300);
	write_at(rig, source, target, MIB - 100, 2 * MIB - 200, 300);
	write_at(rig, source, target, 12345, 2 * MIB - 77777, MIB);
	write_at(rig, source, target, REGION - MIB, REGION - MIB, MIB);
	pair_end(&rig->pair);
	tandem_memory_unmap(target, REGION);
	tandem_memory_unmap(source, REGION);
	rig_free(rig);
}

Test(rdma_write, finds_its_source_among_many)
{
	struct rig *rig = rig_new(MIB);
	struct tandem_session *connecting = rig->pair.connecting.session;
	uint8_t *memory = tandem_memory_map(64 * 2 * PAGE);
	unsigned taken;

	cr_assert_eq(pair_map(&rig->pair), 0);
	/* Every second page, in an order that is none. */
	for (unsigned i = 0; i < 64; i++) {
		uint8_t *page = memory + (i * 37 % 64) * 2 * PAGE;

		cr_assert_eq(tandem_session_register(connecting, page, PAGE, NULL), 0);
	}
	for (unsigned i = 0; i < 64; i++) {
		struct tandem_write write = {.source = memory + i * 2 * PAGE, .length = PAGE};

		cr_expect_eq(tandem_session_write(connecting, 0, &write, 1, &taken), 0);
		write.source = memory + i * 2 * PAGE + PAGE;
		cr_expect_eq(tandem_session_write(connecting, 0, &write, 1, &taken),
		             TANDEM_E_USAGE);
		write.source = memory + i * 2 * PAGE + 1;
		cr_expect_eq(tandem_session_write(connecting, 0, &write, 1, &taken),
		             TANDEM_E_USAGE);
		rig_settle(rig);
	}
	/* One that lies around others is found too. */
	cr_assert_eq(tandem_session_register(connecting, memory, 64 * 2 * PAGE, NULL), 0);
	cr_expect_eq(tandem_session_write(connecting, 0,
	                                  &(struct tandem_write){.source = memory + 60 * 2 * PAGE,
	                                                         .length = 3 * PAGE},
	                                  1, &taken),
	             0);
	rig_settle(rig);
	pair_end(&rig->pair);
	tandem_memory_unmap(memory, 64 * 2 * PAGE);
	rig_free(rig);
}
