#include <criterion/criterion.h>
#include <string.h>

#include <tandem/clock.h>

#include "core/bitmap.h"
#include "fake_session.h"
#include "shell/push.h"

/* Which channel gets what, and what a lost one leaves behind. */
#define PAGES   512u
#define STRIPE  4u
#define STRIPES (PAGES / STRIPE)
#define ALL     7u

static const struct tandem_region_table regions = {.count = 1, .entries = {{"heap", PAGES}}};
static _Alignas(4096) uint8_t heap[PAGES * 4096];
static struct tandem_push push;
static struct fake_session fake;

static void begin(unsigned depth)
{
	memset(&push, 0, sizeof push);
	memset(heap, 1, sizeof heap);
	fake_session_init(&fake, depth);
	cr_assert(tandem_layout_init(&push.layout, &regions, FAKE_CHANNELS, STRIPE, 64));
	push.bases[0] = heap;
	push.stall_timeout_ns = 20 * TANDEM_NS_PER_S;
	cr_assert_eq(tandem_push_init(&push, NULL), 0);
	cr_assert_eq(tandem_push_begin(&push, &fake.head, ALL, NULL), 0);
}

static int push_all(void)
{
	bool is_done, is_blocked;

	return tandem_push_pages(&push, UINT64_MAX, &is_done, &is_blocked);
}

/* Pages of the region that a channel has taken, as bits. */
static void taken_pages(unsigned channel, uint64_t *ret_bits)
{
	memset(ret_bits, 0, PAGES / 8);
	for (unsigned write = 0; write < fake.write_count[channel]; write++) {
		const struct tandem_write *one = &fake.writes[channel][write];

		if (one->memory_id == 0)
			tandem_bitmap_set_range(ret_bits, one->offset / 4096, one->length / 4096);
	}
}

static uint64_t taken_count(unsigned channel)
{
	uint64_t bits[PAGES / 64];

	taken_pages(channel, bits);
	return tandem_bitmap_population(bits, PAGES);
}

/* [C10] */
Test(push_channels, equal_channels_get_equal_shares)
{
	begin(64);
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	for (unsigned channel = 0; channel < FAKE_CHANNELS; channel++) {
		cr_expect_geq(taken_count(channel), PAGES / FAKE_CHANNELS - STRIPE);
		cr_expect_leq(taken_count(channel), PAGES / FAKE_CHANNELS + STRIPE);
	}
	tandem_push_done(&push);
}

Test(push_channels, a_stripe_stays_with_its_channel_until_the_commit)
{
	uint64_t before[FAKE_CHANNELS][PAGES / 64], after[PAGES / 64];

	begin(64);
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	for (unsigned channel = 0; channel < FAKE_CHANNELS; channel++) {
		taken_pages(channel, before[channel]);
		fake.write_count[channel] = 0;
	}
	fake.inflight[0] = 0; /* it would get everything now */
	for (uint64_t page = 1; page < PAGES; page += STRIPE)
		tandem_page_set_add(&push.to_push, page);
	cr_assert_eq(push_all(), 0);
	for (unsigned channel = 0; channel < FAKE_CHANNELS; channel++) {
		taken_pages(channel, after);
		for (unsigned word = 0; word < PAGES / 64; word++)
			cr_expect_eq(after[word] & ~before[channel][word], 0, "channel %u",
			             channel);
	}
	tandem_push_done(&push);
}

/* A channel whose queue is full does not hold the others' work. */
Test(push_channels, a_stuck_channel_gets_nothing_more)
{
	begin(4);
	fake.stuck_mask = 2;
	fake.unstick_at = 20;
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	cr_expect_eq(tandem_push_left(&push), 0);
	/* One batch was gathered for it before anything could be known of it. */
	cr_expect_leq(taken_count(1), 32 * STRIPE);
	cr_expect_geq(taken_count(0), PAGES / FAKE_CHANNELS);
	cr_expect_geq(taken_count(2), PAGES / FAKE_CHANNELS);
	tandem_push_done(&push);
}

/* What was recorded and taken by no queue is to push again: nothing is missed, whatever is refused.
 */
Test(push_channels, a_refused_write_loses_no_page)
{
	for (unsigned lost = 0; lost < FAKE_CHANNELS; lost++) {
		uint64_t all[PAGES / 64] = {0}, bits[PAGES / 64];

		begin(2);
		fake.lost_mask = 1u << lost;
		tandem_push_mark_all(&push, false);
		cr_assert_eq(push_all(), TANDEM_E_CHANNEL_LOST);
		cr_expect(tandem_push_lose(&push, lost), "it carries stripes");
		cr_expect_eq(push_all(), TANDEM_E_CHANNEL_LOST, "not before the fence");
		tandem_push_repush(&push, 1u << lost);
		for (unsigned channel = 0; channel < FAKE_CHANNELS; channel++) {
			taken_pages(channel, bits);
			tandem_bitmap_or(all, bits, PAGES);
		}
		tandem_bitmap_or(all, push.to_push.words, PAGES);
		cr_expect_eq(tandem_bitmap_population(all, PAGES), PAGES);
		cr_assert_eq(push_all(), 0);
		cr_expect_eq(taken_count(lost), 0);
		cr_expect_eq(tandem_push_left(&push), 0);
		tandem_push_done(&push);
	}
}

Test(push_channels, only_what_the_lost_channel_carried_travels_again)
{
	uint64_t carried[PAGES / 64];

	begin(64);
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	taken_pages(2, carried);
	fake.lost_mask = 4;
	cr_expect(tandem_push_lose(&push, 2));
	tandem_push_repush(&push, 4);
	cr_expect_eq(memcmp(push.to_push.words, carried, sizeof carried), 0);
	cr_expect_eq(push.stripes.posted_mask, 3);
	cr_assert_eq(push_all(), 0);
	cr_assert_eq(tandem_push_seal(&push, 1, 0, 1), 0);
	for (unsigned write = 0; write < fake.write_count[0]; write++) {
		struct tandem_trailer trailer;
		const struct tandem_write *one = &fake.writes[0][write];

		if (one->memory_id == TANDEM_SLOTS_MEMORY_ID &&
		    one->length == TANDEM_TRAILER_BYTES &&
		    tandem_trailer_decode(one->source, &trailer) == 0)
			cr_expect_eq(trailer.mask, 3, "no fenced channel");
	}
	tandem_push_done(&push);
}

/* [C11]: the blob's channel is in every mask, so it changes only by a fence. */
Test(push_channels, the_blob_lies_on_the_lowest_channel_that_is_up)
{
	begin(64);
	tandem_push_state(&push, 1, "blob", 4);
	tandem_page_set_add(&push.to_push, 5);
	cr_assert_eq(push_all(), 0);
	cr_assert_eq(tandem_push_seal(&push, 1, 0, 1), 0);
	cr_expect((push.stripes.posted_mask & 1) != 0);
	fake.lost_mask = 1;
	tandem_push_lose(&push, 0);
	tandem_push_abort(&push);
	tandem_push_repush(&push, 1);
	cr_assert_eq(push_all(), 0);
	fake.write_count[1] = 0;
	tandem_push_state(&push, 2, "blob", 4);
	cr_assert_eq(tandem_push_seal(&push, 2, 0, 1), 0);
	cr_expect_eq(fake.writes[1][0].offset, tandem_layout_state_offset(&push.layout, 2));
	tandem_push_done(&push);
}

/* 4.7: what healthy channels carried of an aborted epoch is sealed again, and not pushed. */
Test(push_channels, an_aborted_epoch_is_listed_again)
{
	begin(64);
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	cr_assert_eq(tandem_push_seal(&push, 1, 0, 1), 0);
	fake.lost_mask = 2;
	cr_expect(tandem_push_lose(&push, 1));
	tandem_push_abort(&push);
	tandem_push_repush(&push, 2);
	cr_expect_eq(tandem_push_left(&push), taken_count(1));
	cr_assert_eq(push_all(), 0);
	cr_expect_eq(tandem_bitmap_population(push.open.recorded, PAGES), PAGES);
	tandem_push_done(&push);
}

Test(push_channels, a_seal_that_is_refused_keeps_the_map)
{
	begin(64);
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	fake.lost_mask = 4;
	cr_expect_eq(tandem_push_seal(&push, 1, 0, 1), TANDEM_E_CHANNEL_LOST);
	cr_expect_eq(tandem_bitmap_population(push.last.recorded, PAGES), PAGES);
	cr_expect(push.is_last_kept);
	tandem_push_done(&push);
}

Test(push_channels, an_unused_channel_is_told_apart)
{
	begin(64);
	tandem_page_set_add(&push.to_push, 0);
	cr_assert_eq(push_all(), 0);
	cr_expect(tandem_push_lose(&push, 0));
	cr_expect(!tandem_push_lose(&push, 2));
	tandem_push_done(&push);
}

/* Completions are polled before anybody sleeps. */
Test(push_channels, a_wait_polls_first)
{
	begin(4);
	fake.stuck_mask = ALL;
	fake.unstick_at = 50;
	push.poll_ns = 20 * TANDEM_NS_PER_S;
	tandem_push_mark_all(&push, false);
	cr_assert_eq(push_all(), 0);
	cr_assert_eq(tandem_push_settle(&push), 0);
	cr_expect_geq(fake.progress_count, 50);
	tandem_push_done(&push);
}
