#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

#include <tandem/clock.h>

#include "rig.h"

/* The rows of the table of faults that soft-RoCE cannot show, or not alone: docs/protocol.md, N. */

#define PEER_NS (UINT64_C(50) * TANDEM_NS_PER_MS)
#define SOON_NS (UINT64_C(5) * TANDEM_NS_PER_S)

static bool is_channel_lost(const struct pair *pair, uint64_t channel)
{
	return pair->connecting.channel_lost_counts[channel] > 0 &&
	       pair->listening.channel_lost_counts[channel] > 0;
}

static int notify(struct rig *rig, unsigned channel)
{
	const struct tandem_write write = {
	        .offset = channel * 4096, .source = rig->pair.source, .length = 4096};

	return tandem_session_notify(rig->pair.connecting.session, channel, &write, channel);
}

/* The session is up, and data flows on that channel. */
static void expect_flow(struct rig *rig, unsigned channel)
{
	const unsigned before = rig->pair.listening.channel_notice_counts[channel];

	cr_assert_eq(notify(rig, channel), 0);
	rig_settle(rig);
	cr_expect_gt(rig->pair.listening.channel_notice_counts[channel], before);
	cr_expect_eq(rig->pair.connecting.lost_count, 0);
	cr_expect_eq(rig->pair.listening.lost_count, 0);
}

/* ---- [N18] out of receive requests ---- */

/* Our own peer holds notifies back instead: its credit is missing, and that is a write that makes
 * no progress. */
Test(rdma_stuck, a_receiver_that_takes_no_notice_loses_that_channel)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	uint64_t begin_ns;
	int rc = 0;

	cr_assert_eq(pair_map(&rig->pair), 0);
	rig_settle(rig);
	rig_connecting(rig)->options.peer_timeout_ns = PEER_NS;
	rig->pair.listening.is_silent = true;
	begin_ns = tandem_clock_now_ns();
	while (rc != TANDEM_E_CHANNEL_LOST && tandem_clock_now_ns() < begin_ns + SOON_NS) {
		rc = notify(rig, 1);
		tandem_session_progress(rig->pair.connecting.session);
		pair_take(&rig->pair);
	}
	cr_assert_eq(rc, TANDEM_E_CHANNEL_LOST);
	rig->pair.listening.is_silent = false;
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 1), 0);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_TIMEOUT);
	expect_flow(rig, 0);
	rig_free(rig);
}

Test(rdma_stuck, a_receiver_out_of_requests_loses_that_channel)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_fail_request(IBV_WC_RNR_RETRY_EXC_ERR);
	cr_assert_eq(notify(rig, 1), 0);
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 1), 0);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_PEER_LOST);
	cr_expect_eq(rig->pair.connecting.channel_lost.wc_status, (int)IBV_WC_RNR_RETRY_EXC_ERR);
	cr_expect_eq(rig->pair.listening.channel_lost.code, TANDEM_E_PEER_LOST);
	expect_flow(rig, 0);
	rig_free(rig);
}

/* ---- [N17] a queue pair in ERR ---- */

static void fail_queue_pair(struct rig *rig, struct tandem_rdma_session *session)
{
	struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

	cr_assert_eq(ibv_modify_qp(session->channels[2].id->qp, &attributes, IBV_QP_STATE), 0);
	for (unsigned i = 0; i < 8; i++)
		cr_assert(notify(rig, 1) == 0 || rig->pair.connecting.channel_lost_counts[1] > 0);
}

static void expect_one_lost(bool is_of_listening_side)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	uint64_t begin_ns;

	cr_assert_eq(pair_map(&rig->pair), 0);
	begin_ns = tandem_clock_now_ns();
	fail_queue_pair(rig, is_of_listening_side ? rig_listening(rig) : rig_connecting(rig));
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 1), 0);
	cr_expect_lt(tandem_clock_now_ns() - begin_ns, SOON_NS);
	cr_expect_eq(tandem_error_class(rig->pair.connecting.channel_lost.code), TANDEM_CLASS_PEER);
	cr_expect_eq(tandem_error_class(rig->pair.listening.channel_lost.code), TANDEM_CLASS_PEER);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 1), 0);
	expect_flow(rig, 0);
	rig_free(rig);
}

Test(rdma_stuck, a_queue_pair_in_error_loses_its_channel_on_both_sides)
{
	expect_one_lost(false);
	expect_one_lost(true);
}

/* ---- [N19] the device is gone ---- */

static void expect_device_lost(const struct pair_side *side)
{
	cr_expect_eq(side->lost_count, 1);
	cr_expect_eq(side->lost.code, TANDEM_E_DEVICE, "%s", side->lost.detail);
}

/* What is pending never comes back, no call succeeds any more, and still all of it ends. */
Test(rdma_stuck, a_device_that_is_gone_loses_the_session_at_once)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const uint64_t begin_ns = tandem_clock_now_ns();
	struct tandem_error error = {0};

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_hold(true);
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(notify(rig, i % 2), 0);
	fake_remove_device();
	cr_assert_eq(pair_wait(&rig->pair, pair_is_lost, 0), 0);
	expect_device_lost(&rig->pair.connecting);
	expect_device_lost(&rig->pair.listening);
	/* Nobody can say that it will not read them any more. */
	cr_expect_not_null(strstr(rig->pair.connecting.lost.detail, "did not come back"));
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 0), 10);
	cr_expect_eq(notify(rig, 0), TANDEM_E_PEER_LOST);
	cr_expect_eq(tandem_session_restore(rig->pair.connecting.session, 0, &error),
	             TANDEM_E_PEER_LOST);
	tandem_session_yank(rig->pair.connecting.session);
	/* The device gives its registrations back, so the fence is proven. */
	cr_expect_eq(tandem_session_fence(rig->pair.listening.session,
	                                  tandem_clock_now_ns() + SOON_NS, &error),
	             0, "%s", error.detail);
	cr_expect_lt(tandem_clock_now_ns() - begin_ns, SOON_NS);
	rig_free(rig);
}

Test(rdma_stuck, a_device_that_is_gone_ends_a_join)
{
	struct rig *rig = rig_new_listening();

	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	tandem_session_progress(rig->pair.connecting.session);
	fake_remove_device();
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(tandem_error_class(rig->pair.connecting.lost.code), TANDEM_CLASS_DEVICE, "%s",
	             rig->pair.connecting.lost.detail);
	rig_free(rig);
}

/* ---- [N21] the device keeps queue pairs ---- */

static bool is_channel_up(const struct pair *pair, uint64_t channel)
{
	struct tandem_channel_status status;

	tandem_session_channel_status(pair->connecting.session, (unsigned)channel, &status);
	return status.state == TANDEM_CHANNEL_UP;
}

Test(rdma_stuck, a_device_that_keeps_a_queue_pair_stops_nobody)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const uint64_t begin_ns = tandem_clock_now_ns();
	struct tandem_error error = {0};

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_hold_destroying(true);
	tandem_session_break_channel(rig->pair.connecting.session, 1);
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 1), 0);
	expect_flow(rig, 0);
	cr_expect_eq(tandem_session_fence_channel(rig->pair.listening.session, 1,
	                                          tandem_clock_now_ns() + SOON_NS, &error),
	             0, "%s", error.detail);
	cr_assert_eq(tandem_session_restore(rig->pair.connecting.session, 1, &error), 0, "%s",
	             error.detail);
	cr_assert_eq(pair_wait(&rig->pair, is_channel_up, 1), 0);
	expect_flow(rig, 1);
	cr_expect_lt(tandem_clock_now_ns() - begin_ns, SOON_NS);
	fake_hold_destroying(false);
	rig_free(rig);
}

/* The owner has its memory back at once; the rest goes when the device lets go. */
Test(rdma_stuck, a_session_is_freed_though_its_device_keeps_queue_pairs)
{
	struct rig *rig = rig_new_listening();
	const unsigned idle_count = fake_live_count();
	const uint64_t begin_ns = tandem_clock_now_ns();

	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	cr_assert_eq(pair_join(&rig->pair), 0);
	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_hold_destroying(true);
	rig->pair.connecting.session = tandem_session_free(rig->pair.connecting.session);
	rig->pair.listening.session = tandem_session_free(rig->pair.listening.session);
	cr_expect_lt(tandem_clock_now_ns() - begin_ns, SOON_NS);
	/* What messages are sent from and the beat are left on each side. */
	cr_expect_eq(fake_registration_count(), 4);
	fake_hold_destroying(false);
	while (fake_live_count() > idle_count && tandem_clock_now_ns() - begin_ns < 2 * SOON_NS)
		sched_yield();
	cr_expect_eq(fake_live_count(), idle_count);
	rig_free(rig);
}
