#include <criterion/criterion.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rig.h"

#define MS UINT64_C(1000000)

static void write_one(struct rig *rig)
{
	const struct tandem_write write = {.source = rig->pair.source, .length = 4096};
	unsigned taken;

	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 1, &write, 1, &taken), 0);
}

/* ---- what a failed completion means ---- */

static void expect_status(enum ibv_wc_status status, int code)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_error *lost = &rig->pair.connecting.channel_lost;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_fail_request(status);
	write_one(rig);
	rig_settle(rig);
	cr_assert_eq(rig->pair.connecting.channel_lost_counts[1], 1, "status %d", (int)status);
	cr_expect_eq(lost->code, code, "status %d", (int)status);
	cr_expect_eq(lost->wc_status, (int)status);
	cr_expect_eq(lost->vendor_error, 0x81);
	cr_expect_not_null(strstr(lost->detail, "data channel 1"));
	cr_expect_not_null(strstr(lost->detail, "queue pair"));
	cr_expect_not_null(strstr(lost->detail, "127.0.0.1"));
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 1), 0);
	/* [T15] The session and the other channel go on. */
	cr_expect_eq(rig->pair.connecting.lost_count, 0);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[1], 1);
	cr_expect_eq(rig->pair.listening.lost_count, 0);
	rig_free(rig);
}

Test(rdma_loss, keeps_the_first_status_and_its_class)
{
	expect_status(IBV_WC_RETRY_EXC_ERR, TANDEM_E_TIMEOUT);
	expect_status(IBV_WC_RESP_TIMEOUT_ERR, TANDEM_E_TIMEOUT);
	expect_status(IBV_WC_RNR_RETRY_EXC_ERR, TANDEM_E_PEER_LOST);
	expect_status(IBV_WC_REM_ACCESS_ERR, TANDEM_E_PEER_LOST);
	expect_status(IBV_WC_REM_INV_REQ_ERR, TANDEM_E_PEER_LOST);
	expect_status(IBV_WC_REM_OP_ERR, TANDEM_E_PEER_LOST);
	expect_status(IBV_WC_LOC_PROT_ERR, TANDEM_E_DEVICE);
	expect_status(IBV_WC_LOC_LEN_ERR, TANDEM_E_DEVICE);
	expect_status(IBV_WC_FATAL_ERR, TANDEM_E_DEVICE);
}

/* Data channel 0's queue pair fails by itself and takes a write with it. */
static void fail_queue_pair(struct rig *rig)
{
	struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
	struct tandem_write write = {.length = 1};
	unsigned taken;

	cr_assert_eq(pair_map(&rig->pair), 0);
	write.source = rig->pair.source;
	ibv_modify_qp(rig_connecting(rig)->channels[1].id->qp, &attributes, IBV_QP_STATE);
	cr_assert_eq(tandem_session_write(rig->pair.connecting.session, 0, &write, 1, &taken), 0);
	tandem_session_progress(rig->pair.connecting.session);
	pair_take(&rig->pair);
	cr_expect_eq(rig->pair.connecting.channel_lost_counts[0], 0, "the cause may still come");
}

static bool is_channel_lost(const struct pair *pair, uint64_t argument)
{
	return pair->connecting.channel_lost_counts[argument] > 0;
}

Test(rdma_loss, of_a_queue_pair_without_a_cause_is_the_peers)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	fail_queue_pair(rig);
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 0), 0);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_PEER_LOST);
	cr_expect_not_null(strstr(rig->pair.connecting.channel_lost.detail, "without a cause"));
	rig_free(rig);
}

Test(rdma_loss, of_a_queue_pair_has_the_cause_that_comes_after_it)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	fail_queue_pair(rig);
	fake_raise(IBV_EVENT_PORT_ERR, NULL);
	tandem_session_progress(rig->pair.connecting.session);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(rig->pair.connecting.lost.code, TANDEM_E_DEVICE);
	rig_free(rig);
	rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	fail_queue_pair(rig);
	rig->pair.listening.session = tandem_session_free(rig->pair.listening.session);
	rig->pair.listener = tandem_listener_free(rig->pair.listener);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_not_null(strstr(rig->pair.connecting.lost.detail, "closed"));
	rig_free(rig);
}

/* ---- no progress ---- */

Test(rdma_loss, of_a_frozen_peer_comes_with_the_peer_timeout)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	rig_settle(rig);
	rig_connecting(rig)->options.peer_timeout_ns = 50 * MS;
	cr_expect_eq(tandem_session_deadline_ns(rig->pair.connecting.session), UINT64_MAX);
	fake_hold(true);
	write_one(rig);
	cr_expect_lt(tandem_session_deadline_ns(rig->pair.connecting.session), UINT64_MAX);
	cr_assert_eq(pair_wait(&rig->pair, is_channel_lost, 1), 0);
	cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_TIMEOUT);
	cr_expect_not_null(strstr(rig->pair.connecting.channel_lost.detail, "data channel 1"));
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 1), 0);
	fake_hold(false);
	rig_free(rig);
}

Test(rdma_loss, of_an_owner_that_takes_no_messages_comes_too)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	int rc = 0;

	rig_connecting(rig)->options.peer_timeout_ns = 50 * MS;
	rig->pair.listening.is_silent = true;
	while (rc == 0)
		rc = tandem_session_send(rig->pair.connecting.session, "x", 1);
	cr_expect_eq(rc, TANDEM_E_AGAIN);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(rig->pair.connecting.lost.code, TANDEM_E_TIMEOUT);
	rig_free(rig);
}

Test(rdma_loss, of_a_peer_that_froze_before_it_got_a_credit_comes_too)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	rig_listening(rig)->options.peer_timeout_ns = 50 * MS;
	for (unsigned i = 0; i < TANDEM_RDMA_MESSAGES_PER_CREDIT; i++)
		cr_assert_eq(tandem_session_send(rig->pair.connecting.session, "x", 1), 0);
	fake_hold(true);
	rig_settle(rig);
	cr_assert_eq(rig->pair.listening.message_count, TANDEM_RDMA_MESSAGES_PER_CREDIT);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_listening_lost, 0), 0);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_TIMEOUT);
	cr_expect_not_null(strstr(rig->pair.listening.lost.detail, "1 messages"));
	fake_hold(false);
	rig_free(rig);
}

/* ---- yank ---- */

Test(rdma_loss, by_yank_needs_no_answer)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_hold(true);
	for (unsigned i = 0; i < 40; i++)
		write_one(rig);
	tandem_session_yank(rig->pair.connecting.session);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(rig->pair.connecting.lost.code, TANDEM_E_YANKED);
	cr_expect_eq(tandem_session_inflight_count(rig->pair.connecting.session, 1), 0);
	fake_hold(false);
	rig_free(rig);
}

Test(rdma_loss, by_yank_catches_queue_pairs_that_come_later)
{
	struct rig *rig = rig_new_listening();
	struct tandem_session **session = &rig->pair.connecting.session;

	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options, session, NULL),
	             0);
	cr_assert_null(fake_queue_pair(0));
	tandem_session_yank(*session);
	/* The address is resolved: the queue pair is made, and is in ERR at once. */
	tandem_session_progress(*session);
	cr_assert_not_null(fake_queue_pair(0));
	cr_expect_eq(fake_queue_pair(0)->state, IBV_QPS_ERR);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(rig->pair.connecting.lost.code, TANDEM_E_YANKED);
	rig_free(rig);
}

/* ---- the device ---- */

static void expect_device_event(enum ibv_event_type type, bool is_loss)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	fake_raise(type, NULL);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost_count, is_loss, "event %d", (int)type);
	if (is_loss)
		cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_DEVICE);
	rig_free(rig);
}

/* What concerns one queue pair is neither the other channel's nor the other session's cause. */
static void expect_queue_pair_event(enum ibv_event_type type, bool is_loss)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	fake_raise(type, rig_listening(rig)->channels[1].id->qp);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[0], is_loss, "event %d", (int)type);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[1], 0);
	cr_expect_eq(rig->pair.listening.lost_count, 0);
	cr_expect_eq(rig->pair.connecting.lost_count, 0);
	if (is_loss) {
		cr_expect_eq(rig->pair.listening.channel_lost.code, TANDEM_E_DEVICE);
		cr_expect_eq(rig->pair.connecting.channel_lost.code, TANDEM_E_PEER_LOST);
	}
	rig_free(rig);
}

Test(rdma_loss, of_the_device_is_named_and_the_rest_is_noted)
{
	expect_device_event(IBV_EVENT_PORT_ERR, true);
	expect_device_event(IBV_EVENT_DEVICE_FATAL, true);
	expect_device_event(IBV_EVENT_PORT_ACTIVE, false);
	expect_device_event(IBV_EVENT_GID_CHANGE, false);
	expect_device_event(IBV_EVENT_SM_CHANGE, false);
	expect_queue_pair_event(IBV_EVENT_QP_FATAL, true);
	expect_queue_pair_event(IBV_EVENT_QP_ACCESS_ERR, true);
	expect_queue_pair_event(IBV_EVENT_CQ_ERR, true);
	expect_queue_pair_event(IBV_EVENT_COMM_EST, false);
}

Test(rdma_loss, of_the_address_is_told_from_any_other_address)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	fake_raise(IBV_EVENT_GID_CHANGE, NULL);
	rig_settle(rig);
	cr_expect_eq(rig->pair.connecting.lost_count, 0);
	fake_remove_gid(true);
	fake_raise(IBV_EVENT_GID_CHANGE, NULL);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_DEVICE);
	/* The other one is told by either. */
	cr_expect_eq(rig->pair.connecting.lost_count, 1);
	rig_free(rig);
}

Test(rdma_loss, is_not_for_events_from_before_the_session)
{
	struct rig *rig = rig_new_listening();

	fake_raise(IBV_EVENT_PORT_ERR, NULL);
	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	cr_assert_eq(pair_join(&rig->pair), 0);
	rig_settle(rig);
	cr_expect_eq(rig->pair.connecting.lost_count, 0);
	rig_free(rig);
}

/* ---- the fence ---- */

Test(rdma_fence, is_not_proven_while_the_device_keeps_a_key)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_error error = {0};
	const uint64_t deadline_ns = tandem_clock_now_ns() + 5000 * MS;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_keep_registrations(true);
	cr_expect_eq(tandem_session_fence(rig->pair.listening.session, deadline_ns, &error),
	             TANDEM_E_FENCE);
	cr_expect_eq(error.code, TANDEM_E_FENCE);
	cr_expect_not_null(strstr(error.detail, "data channel 0"));
	fake_keep_registrations(false);
	cr_expect_eq(tandem_session_fence(rig->pair.listening.session, deadline_ns, &error), 0);
	pair_take(&rig->pair);
	cr_expect_eq(rig->pair.listening.lost_count, 1);
	rig_free(rig);
}

Test(rdma_fence, delivers_what_had_arrived_and_then_loses)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_write write = {.source = NULL, .length = 100};
	struct tandem_write sourced = write;

	cr_assert_eq(pair_map(&rig->pair), 0);
	sourced.source = rig->pair.source;
	rig->pair.listening.is_silent = true;
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(
		        tandem_session_notify(rig->pair.connecting.session, i % 2, &sourced, i), 0);
	cr_assert_eq(tandem_session_send(rig->pair.connecting.session, "last", 4), 0);
	cr_assert_eq(tandem_session_fence(rig->pair.listening.session,
	                                  tandem_clock_now_ns() + 5000 * MS, NULL),
	             0);
	rig->pair.listening.is_silent = false;
	pair_take(&rig->pair);
	cr_expect_eq(rig->pair.listening.notice_count, 5);
	cr_expect_eq(rig->pair.listening.message_count, 1);
	cr_expect_eq(rig->pair.listening.lost_count, 1);
	rig_free(rig);
}
