#include <criterion/criterion.h>
#include <string.h>

#include <tandem/clock.h>

#include "rig.h"

#define SOON_NS  UINT64_C(20000000)
#define LATER_NS UINT64_C(20000000000)

static bool have_read(const struct pair *pair, uint64_t argument)
{
	return pair->connecting.reading_count >= argument || pair->connecting.lost_count > 0;
}

static int start(struct rig *rig, uint64_t timeout_ns)
{
	return tandem_session_read_beat(rig->pair.connecting.session, timeout_ns);
}

/* As long as its host does not answer. */
Test(rdma_beat, a_reading_that_is_not_answered_says_nothing_and_leaves_the_session)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct pair_side *side = &rig->pair.connecting;

	rig_settle(rig);
	fake_hold(true);
	cr_assert_eq(start(rig, SOON_NS), 0);
	cr_assert_eq(pair_wait(&rig->pair, have_read, 1), 0);
	cr_expect_eq(side->empty_reading_count, 1);
	cr_expect_eq(start(rig, SOON_NS), TANDEM_E_AGAIN, "the device still has it");
	cr_expect_eq(side->lost_count, 0);
	/* What comes after its time is told to nobody. */
	fake_hold(false);
	rig_settle(rig);
	cr_expect_eq(side->reading_count, 1);
	cr_assert_eq(start(rig, LATER_NS), 0);
	cr_assert_eq(pair_wait(&rig->pair, have_read, 2), 0);
	cr_expect_eq(side->empty_reading_count, 1);
	cr_expect_eq(side->lost_count, 0);
	rig_free(rig);
}

/* On a reliable connection that is the end of the queue pair, whatever was posted. */
Test(rdma_beat, a_reading_that_the_device_gives_up_is_the_control_channels_end)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct pair_side *side = &rig->pair.connecting;

	rig_settle(rig);
	fake_fail_request(IBV_WC_RETRY_EXC_ERR);
	cr_assert_eq(start(rig, LATER_NS), 0);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	cr_expect_eq(side->lost.code, TANDEM_E_TIMEOUT, "%s", side->lost.detail);
	cr_expect_not_null(strstr(side->lost.detail, "reading of the peer's beat"), "%s",
	                   side->lost.detail);
	cr_expect_eq(side->reading_count, side->empty_reading_count);
	rig_free(rig);
}

Test(rdma_beat, a_fence_takes_the_word_back)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_rdma_session *session = rig_listening(rig);

	rig_settle(rig);
	cr_assert_not_null(session->beat.mr);
	cr_assert_eq(tandem_session_fence(rig->pair.listening.session,
	                                  tandem_clock_now_ns() + LATER_NS, NULL),
	             0);
	cr_expect_null(session->beat.mr);
	rig_free(rig);
}

/* A word in an own registration: what the peer may read is that page and nothing else, and it may
 * write nothing of it. */
Test(rdma_beat, the_peer_may_read_the_word_and_nothing_more)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_rdma_session *session = rig_listening(rig);
	const struct ibv_mr *mr = session->beat.mr;
	struct ibv_send_wr request = {.wr.rdma = {(uintptr_t)mr->addr, mr->rkey}};
	const struct ibv_pd *pd = session->channels[0].pd;

	cr_expect(fake_is_allowed(pd, IBV_ACCESS_REMOTE_READ, &request, 8));
	cr_expect(!fake_is_allowed(pd, IBV_ACCESS_REMOTE_WRITE, &request, 8));
	cr_expect(!fake_is_allowed(session->channels[1].pd, IBV_ACCESS_REMOTE_READ, &request, 8));
	request.wr.rdma.rkey = session->slots_mr->rkey;
	request.wr.rdma.remote_addr = (uintptr_t)session->slots;
	cr_expect(!fake_is_allowed(pd, IBV_ACCESS_REMOTE_READ, &request, 8));
	rig_free(rig);
}
