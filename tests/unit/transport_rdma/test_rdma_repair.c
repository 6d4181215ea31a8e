#include <criterion/criterion.h>
#include <string.h>

#include <tandem/clock.h>

#include "rig.h"

/* Data channels that end alone, and come back: what only this provider has. The rest is in the
 * stories of the contract. */

#define MS UINT64_C(1000000)

static uint64_t soon_ns(void)
{
	return tandem_clock_now_ns() + 5000 * MS;
}

static enum tandem_channel_state state_of(const struct tandem_session *session, unsigned channel)
{
	struct tandem_channel_status status;

	tandem_session_channel_status(session, channel, &status);
	return status.state;
}

static int fence(struct rig *rig, unsigned channel, struct tandem_error *reterr_error)
{
	return tandem_session_fence_channel(rig->pair.listening.session, channel, soon_ns(),
	                                    reterr_error);
}

static bool is_up(const struct pair *pair, uint64_t argument)
{
	return state_of(pair->connecting.session, (unsigned)argument) == TANDEM_CHANNEL_UP;
}

static void restore(struct rig *rig, unsigned channel)
{
	cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, channel, NULL), 0);
	cr_assert_eq(pair_wait(&rig->pair, is_up, channel), 0);
}

/* A write on the channel arrives, and is told. */
static void expect_carries(struct rig *rig, unsigned channel)
{
	const struct tandem_write write = {
	        .offset = channel * 4096, .source = rig->pair.source, .length = 4096};
	const unsigned before = rig->pair.listening.channel_notice_counts[channel];

	memset(rig->pair.source, (int)(0x20 + channel + before), 4096);
	cr_assert_eq(tandem_session_notify(rig->pair.connecting.session, channel, &write, 1), 0);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.channel_notice_counts[channel], before + 1);
	cr_expect_arr_eq(rig->pair.memory + channel * 4096, rig->pair.source, 4096);
}

static void lose(struct rig *rig, unsigned channel)
{
	tandem_session_break_channel(rig->pair.connecting.session, channel);
	rig_settle(rig);
	cr_assert_eq(state_of(rig->pair.connecting.session, channel), TANDEM_CHANNEL_LOST);
	cr_assert_eq(state_of(rig->pair.listening.session, channel), TANDEM_CHANNEL_LOST);
}

/* ---- what each channel has of its own ---- */

Test(rdma_repair, registers_for_each_channel_there_and_once_here)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const unsigned before = fake_registration_count();
	const struct tandem_rdma_channel *channels = rig_connecting(rig)->channels;

	cr_assert_eq(pair_map(&rig->pair), 0);
	cr_expect_eq(fake_registration_count(), before + 2 + 1);
	cr_expect_neq(channels[1].peer_memories->entries[0].pieces[0].key,
	              channels[2].peer_memories->entries[0].pieces[0].key);
	cr_expect_neq(rig_listening(rig)->channels[1].pd, rig_listening(rig)->channels[2].pd);
	rig_free(rig);
}

Test(rdma_repair, leaves_the_other_channels_registrations)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	unsigned before;

	cr_assert_eq(pair_map(&rig->pair), 0);
	before = fake_registration_count();
	lose(rig, 0);
	cr_expect_eq(fake_registration_count(), before, "a loss is no fence");
	cr_assert_eq(fence(rig, 0, NULL), 0);
	cr_expect_eq(fake_registration_count(), before - 1);
	expect_carries(rig, 1);
	restore(rig, 0);
	cr_expect_eq(fake_registration_count(), before);
	expect_carries(rig, 0);
	expect_carries(rig, 1);
	rig_free(rig);
}

/* ---- rails on two devices ---- */

Test(rdma_repair, loses_with_a_device_only_its_channels)
{
	struct rig *rig = rig_new_on_two_rails();
	struct pair *pair = &rig->pair;

	cr_assert_eq(pair_map(pair), 0);
	/* Channels 1 and 3 lie on the second device, on both sides. */
	fake_raise_on(1, IBV_EVENT_DEVICE_FATAL);
	rig_settle(rig);
	for (unsigned channel = 0; channel < 4; channel++) {
		cr_expect_eq(pair->connecting.channel_lost_counts[channel], channel % 2);
		cr_expect_eq(pair->listening.channel_lost_counts[channel], channel % 2);
	}
	cr_expect_eq(pair->connecting.channel_lost.code, TANDEM_E_DEVICE);
	cr_expect_eq(pair->connecting.lost_count + pair->listening.lost_count, 0);
	expect_carries(rig, 0);
	expect_carries(rig, 2);
	for (unsigned channel = 1; channel < 4; channel += 2) {
		cr_assert_eq(fence(rig, channel, NULL), 0);
		restore(rig, channel);
		expect_carries(rig, channel);
	}
	/* With the control channel's device it is over. */
	fake_raise_on(0, IBV_EVENT_PORT_ERR);
	rig_settle(rig);
	cr_expect_eq(pair->connecting.lost_count, 1);
	cr_expect_eq(pair->listening.lost_count, 1);
	/* Both sides are on it here, and one is told by the other. */
	cr_expect(pair->connecting.lost.code == TANDEM_E_DEVICE ||
	          pair->listening.lost.code == TANDEM_E_DEVICE);
	rig_free(rig);
}

Test(rdma_repair, joins_without_a_rail_that_nobody_listens_on)
{
	struct rig *rig = rig_new_listening();
	struct tandem_channel_status status;

	strcpy(rig->options.rails[1].address, "127.1.0.1");
	rig->options.rail_count = 2;
	rig->options.channel_count = 4;
	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	rig->pair.options = rig->options;
	cr_assert_eq(pair_join(&rig->pair), 0);
	cr_expect_eq(rig->pair.connecting.up_mask, 5);
	cr_assert_eq(pair_map(&rig->pair), 0);
	expect_carries(rig, 2);
	tandem_session_channel_status(rig->pair.connecting.session, 1, &status);
	cr_expect_eq(status.state, TANDEM_CHANNEL_LOST);
	cr_expect_eq(status.rail, 1);
	cr_expect_eq(status.first_error.code, TANDEM_E_PEER_LOST);
	cr_expect_eq(rig->pair.connecting.channel_lost_counts[1], 0, "it never was up");
	rig_free(rig);
}

/* ---- the fence of a channel ---- */

Test(rdma_repair, does_not_let_a_channel_join_whose_fence_is_not_proven)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_error error = {0};

	cr_assert_eq(pair_map(&rig->pair), 0);
	lose(rig, 1);
	fake_keep_registrations(true);
	cr_expect_eq(fence(rig, 1, &error), TANDEM_E_FENCE);
	cr_expect_not_null(strstr(error.detail, "data channel 1"), "%s", error.detail);
	cr_expect_eq(state_of(rig->pair.listening.session, 1), TANDEM_CHANNEL_LOST);
	cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, 1, NULL), 0);
	rig_settle(rig);
	cr_expect_eq(rig->pair.connecting.channel_lost_counts[1], 2);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_REFUSED);
	cr_expect_not_null(strstr(rig->pair.connecting.channel_lost.detail, "not fenced"));
	fake_keep_registrations(false);
	cr_expect_eq(fence(rig, 1, &error), 0);
	restore(rig, 1);
	expect_carries(rig, 1);
	rig_free(rig);
}

/* ---- registering goes on beside the session ---- */

static struct rig *begin_restore_that_is_held(void)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	lose(rig, 0);
	cr_assert_eq(fence(rig, 0, NULL), 0);
	fake_hold_registering(true);
	cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, 0, NULL), 0);
	while (fake_held_registering_count() == 0)
		rig_settle(rig);
	cr_assert_eq(state_of(rig->pair.connecting.session, 0), TANDEM_CHANNEL_JOINING);
	cr_assert_eq(state_of(rig->pair.listening.session, 0), TANDEM_CHANNEL_JOINING);
	return rig;
}

Test(rdma_repair, registers_while_the_others_go_on)
{
	struct rig *rig = begin_restore_that_is_held();

	expect_carries(rig, 1);
	cr_expect_eq(tandem_session_exposed_bytes(rig->pair.connecting.session, 0),
	             PAIR_MEMORY_BYTES);
	fake_hold_registering(false);
	cr_assert_eq(pair_wait(&rig->pair, is_up, 0), 0);
	expect_carries(rig, 0);
	rig_free(rig);
}

Test(rdma_repair, is_fenced_in_the_middle_of_registering)
{
	struct rig *rig = begin_restore_that_is_held();
	struct tandem_error error = {0};

	cr_expect_eq(tandem_session_fence_channel(rig->pair.listening.session, 0,
	                                          tandem_clock_now_ns() + 20 * MS, &error),
	             TANDEM_E_FENCE);
	cr_expect_not_null(strstr(error.detail, "registered"), "%s", error.detail);
	fake_hold_registering(false);
	cr_expect_eq(fence(rig, 0, NULL), 0);
	cr_expect_eq(state_of(rig->pair.listening.session, 0), TANDEM_CHANNEL_DOWN);
	rig_settle(rig);
	/* The other side is told, and may try again. */
	cr_expect_eq(rig->pair.connecting.channel_lost_counts[0], 2);
	restore(rig, 0);
	expect_carries(rig, 0);
	rig_free(rig);
}

Test(rdma_repair, ends_with_the_session_in_the_middle_of_registering)
{
	struct rig *rig = begin_restore_that_is_held();
	struct tandem_error error = {0};

	cr_expect_eq(tandem_session_fence(rig->pair.listening.session,
	                                  tandem_clock_now_ns() + 20 * MS, &error),
	             TANDEM_E_FENCE);
	fake_hold_registering(false);
	cr_expect_eq(tandem_session_fence(rig->pair.listening.session, soon_ns(), &error), 0);
	rig_free(rig);
	rig = begin_restore_that_is_held();
	tandem_session_yank(rig->pair.listening.session);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_YANKED);
	fake_hold_registering(false);
	rig_free(rig);
}

Test(rdma_repair, that_takes_too_long_loses_the_channel_alone)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	lose(rig, 0);
	cr_assert_eq(fence(rig, 0, NULL), 0);
	fake_hold_registering(true);
	rig_connecting(rig)->options.connect_timeout_ns = 50 * MS;
	cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, 0, NULL), 0);
	while (rig->pair.connecting.channel_lost_counts[0] < 2)
		rig_settle(rig);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_TIMEOUT);
	cr_expect_not_null(strstr(rig->pair.connecting.channel_lost.detail, "keys"), "%s",
	                   rig->pair.connecting.channel_lost.detail);
	expect_carries(rig, 1);
	fake_hold_registering(false);
	rig_free(rig);
}

/* Nobody accepts in time: the join is called off, and what is found later is no channel. */
Test(rdma_repair, that_was_called_off_leaves_the_other_end_down)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_rdma_session *connecting = rig_connecting(rig);
	const uint64_t connect_timeout_ns = connecting->options.connect_timeout_ns;

	cr_assert_eq(pair_map(&rig->pair), 0);
	lose(rig, 0);
	cr_assert_eq(fence(rig, 0, NULL), 0);
	connecting->options.connect_timeout_ns = 20 * MS;
	cr_assert_eq(tandem_session_restore(&connecting->head, 0, NULL), 0);
	while (rig->pair.connecting.channel_lost_counts[0] < 2) {
		tandem_session_progress(&connecting->head);
		pair_take(&rig->pair);
	}
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_TIMEOUT);
	rig_settle(rig);
	cr_expect_eq(state_of(rig->pair.listening.session, 0), TANDEM_CHANNEL_DOWN);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[0], 1);
	connecting->options.connect_timeout_ns = connect_timeout_ns;
	restore(rig, 0);
	expect_carries(rig, 0);
	rig_free(rig);
}

/* ---- what an owner that takes nothing can make this side keep [S5] ---- */

static void notify_until_credit_is_gone(struct rig *rig)
{
	const struct tandem_write write = {.source = rig->pair.source, .length = 1};

	for (unsigned i = 0; i < TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX; i++)
		cr_assert_eq(tandem_session_notify(rig->pair.connecting.session, 0, &write, i), 0,
		             "%s", rig->pair.connecting.channel_lost.detail);
	tandem_session_progress(rig->pair.listening.session);
}

Test(rdma_repair, is_refused_while_too_much_was_not_taken)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	unsigned rounds = 0;

	cr_assert_eq(pair_map(&rig->pair), 0);
	rig->pair.listening.is_silent = true;
	for (; rig->pair.connecting.channel_lost.code != TANDEM_E_REFUSED && rounds < 10;
	     rounds++) {
		notify_until_credit_is_gone(rig);
		tandem_session_break_channel(rig->pair.connecting.session, 0);
		rig_settle(rig);
		cr_assert_eq(fence(rig, 0, NULL), 0);
		rig_settle(rig);
		cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, 0, NULL), 0);
		while (state_of(rig->pair.connecting.session, 0) == TANDEM_CHANNEL_JOINING)
			rig_settle(rig);
	}
	cr_expect(rounds >= 2 && rounds < 10, "%u rounds", rounds);
	cr_expect_leq(rig_listening(rig)->arrival_count, TANDEM_RDMA_ARRIVALS_MAX);
	rig->pair.listening.is_silent = false;
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.channel_notice_counts[0],
	             rounds * TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX);
	restore(rig, 0);
	expect_carries(rig, 0);
	rig_free(rig);
}
