#include <arpa/inet.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>

#include <tandem/clock.h>

#include "rdma/core/split.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

#define BATCH             32
#define BATCHES_PER_CALL  64 /* a peer that never pauses must not keep the owner here */
#define ACKNOWLEDGE_BATCH 64
#define ASKED_IN_A_ROW    8
#define LOOK_NS           (2 * TANDEM_NS_PER_MS)

static const char *purpose_of(enum tandem_rdma_tag_kind kind)
{
	switch (kind) {
	case TANDEM_RDMA_TAG_MESSAGE:
		return "message";
	case TANDEM_RDMA_TAG_CREDIT:
		return "credit";
	case TANDEM_RDMA_TAG_WRITE:
		return "write";
	case TANDEM_RDMA_TAG_READ:
		return "reading of the peer's beat";
	case TANDEM_RDMA_TAG_RECEIVE_MESSAGE:
	case TANDEM_RDMA_TAG_RECEIVE_NOTIFY:
		return "receive";
	}
	return "request";
}

static bool is_receive(const struct tandem_rdma_tag *tag)
{
	return tag->kind == TANDEM_RDMA_TAG_RECEIVE_MESSAGE ||
	       tag->kind == TANDEM_RDMA_TAG_RECEIVE_NOTIFY;
}

static struct tandem_rdma_send_ring *ring_of(const struct tandem_rdma_tag *tag)
{
	return tag->kind == TANDEM_RDMA_TAG_CREDIT ? &tag->channel->session->credits
	                                           : &tag->channel->sends;
}

static uint64_t posted_ns_of(const struct tandem_rdma_tag *tag)
{
	if (tag->kind == TANDEM_RDMA_TAG_READ)
		return tag->channel->session->beat.posted_ns;
	return ring_of(tag)->entries[tag->index].taken_ns;
}

static void age_text(const struct tandem_rdma_tag *tag, uint64_t now_ns, char *text,
                     size_t text_bytes)
{
	const uint64_t posted_ns = is_receive(tag) ? now_ns : posted_ns_of(tag);

	if (is_receive(tag))
		text[0] = '\0';
	else
		snprintf(text, text_bytes, " after %llu ms",
		         (unsigned long long)((now_ns - posted_ns) / TANDEM_NS_PER_MS));
}

/* Of a failed completion only wr_id, status, qp_num and vendor_err are defined (ibv_poll_cq(3)). */
static void lose_for(const struct tandem_rdma_tag *tag, const struct ibv_wc *wc, uint64_t now_ns)
{
	const struct tandem_rdma_verdict verdict =
	        tandem_rdma_verdict_of_status(wc->status, is_receive(tag));
	struct tandem_error cause;
	char name[24];
	char age[40];

	age_text(tag, now_ns, age, sizeof(age));
	tandem_error_set(&cause, verdict.code, "ibv_poll_cq",
	                 "%s on %s (queue pair %u) with %s failed%s: %s, vendor error 0x%x; %s",
	                 purpose_of(tag->kind), tandem_rdma_channel_name(tag->channel, name),
	                 wc->qp_num, tag->channel->peer_text, age, ibv_wc_status_str(wc->status),
	                 wc->vendor_err, verdict.advice);
	cause.wc_status = (int)wc->status;
	cause.vendor_error = wc->vendor_err;
	if (verdict.code == TANDEM_E_PROTOCOL)
		tandem_rdma_session_lose(tag->channel->session, &cause);
	else
		tandem_rdma_channel_lose(tag->channel, &cause);
}

static void lose_for_device(struct tandem_rdma_channel *channel, const char *what, int os_errno)
{
	struct tandem_error cause;

	if (os_errno != 0)
		tandem_rdma_error(&cause, os_errno, 0, "ibv_poll_cq", "%s", what);
	else
		tandem_error_set(&cause, TANDEM_E_DEVICE, "ibv_poll_cq", "%s", what);
	tandem_rdma_channel_lose(channel, &cause);
}

static void sent(const struct tandem_rdma_tag *tag, uint64_t now_ns, bool is_success)
{
	if (tag->kind == TANDEM_RDMA_TAG_READ)
		tandem_rdma_beat_completed(tag->channel->session, is_success);
	else if (!tandem_rdma_send_ring_complete(ring_of(tag), tag->index, now_ns))
		lose_for_device(tag->channel, "the device completed a request that was not posted",
		                0);
}

static void notify_arrived(struct tandem_rdma_session *session, const struct tandem_rdma_tag *tag,
                           const struct ibv_wc *wc)
{
	struct tandem_error cause;
	char name[24];

	if (wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM && (wc->wc_flags & IBV_WC_WITH_IMM) != 0) {
		const struct tandem_rdma_arrival arrival = {.type = TANDEM_SESSION_NOTIFIED,
		                                            .channel = tag->channel,
		                                            .slot = tag->index,
		                                            .immediate = ntohl(wc->imm_data)};

		tag->channel->bytes += wc->byte_len;
		tandem_rdma_arrival_add(session, &arrival);
		return;
	}
	tandem_error_set(&cause, TANDEM_E_PROTOCOL, "ibv_poll_cq",
	                 "%s sent a message on %s, where only writes belong",
	                 tag->channel->peer_text, tandem_rdma_channel_name(tag->channel, name));
	tandem_rdma_session_lose(session, &cause);
}

static void message_arrived(struct tandem_rdma_session *session, const struct tandem_rdma_tag *tag,
                            const struct ibv_wc *wc)
{
	struct tandem_error cause;

	if (wc->opcode == IBV_WC_RECV && wc->byte_len <= TANDEM_RDMA_SLOT_BYTES) {
		tandem_rdma_control_arrived(session, tag->index, wc->byte_len);
		return;
	}
	tandem_error_set(&cause, TANDEM_E_PROTOCOL, "ibv_poll_cq",
	                 "%s wrote on the control channel, where only messages belong",
	                 tag->channel->peer_text);
	tandem_rdma_session_lose(session, &cause);
}

/* A flushed request only says that the queue pair had failed before. */
static void failed(const struct tandem_rdma_tag *tag, const struct ibv_wc *wc, uint64_t now_ns)
{
	struct tandem_rdma_channel *channel = tag->channel;

	if (wc->status != IBV_WC_WR_FLUSH_ERR)
		lose_for(tag, wc, now_ns);
	else if (channel->flushed_ns == 0 && channel->state != TANDEM_CHANNEL_LOST &&
	         !channel->is_fencing)
		channel->flushed_ns = now_ns;
	if (!is_receive(tag))
		sent(tag, now_ns, false);
}

static void completed(struct tandem_rdma_session *session, const struct ibv_wc *wc, uint64_t now_ns)
{
	const struct tandem_rdma_tag *tag = (const struct tandem_rdma_tag *)(uintptr_t)wc->wr_id;

	if (is_receive(tag))
		tag->channel->receive_posted_count--;
	if (wc->status != IBV_WC_SUCCESS) {
		failed(tag, wc, now_ns);
		return;
	}
	switch (tag->kind) {
	case TANDEM_RDMA_TAG_MESSAGE:
	case TANDEM_RDMA_TAG_CREDIT:
	case TANDEM_RDMA_TAG_WRITE:
	case TANDEM_RDMA_TAG_READ:
		sent(tag, now_ns, true);
		break;
	case TANDEM_RDMA_TAG_RECEIVE_MESSAGE:
		message_arrived(session, tag, wc);
		break;
	case TANDEM_RDMA_TAG_RECEIVE_NOTIFY:
		notify_arrived(session, tag, wc);
		break;
	}
}

static unsigned take_queue(struct tandem_rdma_channel *channel, uint64_t now_ns)
{
	struct ibv_wc completions[BATCH];
	unsigned taken = 0;

	for (unsigned batch = 0; batch < BATCHES_PER_CALL; batch++) {
		const int count = ibv_poll_cq(channel->queue.cq, BATCH, completions);

		if (count < 0) {
			lose_for_device(channel, "a completion queue could not be read",
			                tandem_rdma_errno_of(count));
			return taken;
		}
		for (int i = 0; i < count; i++)
			completed(channel->session, &completions[i], now_ns);
		taken += (unsigned)count;
		if (count < BATCH)
			return taken;
	}
	tandem_rdma_session_wake(channel->session);
	return taken;
}

/* Who has sent a message, or sealed with a notify, waits for the peer's answer: a wake-up for its
 * own completions would only be in the way. Who has no room waits for those. */
static enum tandem_rdma_arm wanted_arm(const struct tandem_rdma_channel *channel)
{
	const bool has_room =
	        tandem_rdma_send_ring_free_count(&channel->sends) >= TANDEM_RDMA_PARTS_MAX;

	if (channel->session->state != TANDEM_RDMA_UP || channel->state != TANDEM_CHANNEL_UP ||
	    !has_room || (channel->index > 0 && !channel->ends_with_notify))
		return TANDEM_RDMA_ARM_ALL;
	return TANDEM_RDMA_ARM_SOLICITED;
}

/* A completion between the last poll and the arming raises no event: hence the second poll. */
static unsigned take_and_arm(struct tandem_rdma_channel *channel, bool arms, uint64_t now_ns)
{
	enum tandem_rdma_arm wanted;
	unsigned taken;
	int rc;

	if (channel->queue.cq == NULL)
		return 0;
	taken = take_queue(channel, now_ns);
	wanted = wanted_arm(channel);
	if (!arms || channel->queue.armed >= wanted)
		return taken;
	rc = tandem_rdma_errno_of(
	        ibv_req_notify_cq(channel->queue.cq, wanted == TANDEM_RDMA_ARM_SOLICITED));
	if (rc != 0) {
		lose_for_device(channel, "a completion queue could not be armed", rc);
		return taken;
	}
	channel->queue.armed = wanted;
	return taken + take_queue(channel, now_ns);
}

unsigned tandem_rdma_completions_take(struct tandem_rdma_session *session, bool arms,
                                      uint64_t now_ns)
{
	unsigned taken = 0;

	session->taken_ns = now_ns;
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		taken += take_and_arm(&session->channels[i], arms, now_ns);
	if (taken > 0)
		tandem_patience_end(&session->patience, now_ns);
	return taken;
}

uint64_t tandem_rdma_completions_poll(struct tandem_rdma_session *session, uint64_t now_ns)
{
	unsigned asked_count = 0;

	if (session->options.poll_ns == 0)
		return now_ns;
	tandem_patience_begin(&session->patience, now_ns);
	while (tandem_patience_goes_on(&session->patience, now_ns) &&
	       tandem_rdma_completions_take(session, false, now_ns) == 0 &&
	       !atomic_load(&session->is_yanked)) {
		/* Soft-RoCE, or a peer on this host, may need this processor to answer. */
		if (++asked_count % ASKED_IN_A_ROW == 0)
			sched_yield();
		now_ns = tandem_clock_now_ns();
	}
	return now_ns;
}

/* Soft-RoCE does not count a failure as solicited, and what was written is to be known as complete
 * some time: such a queue is looked at without an event. */
uint64_t tandem_rdma_completions_deadline_ns(const struct tandem_rdma_session *session)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->queue.cq == NULL || channel->queue.armed == TANDEM_RDMA_ARM_ALL)
			continue;
		if (channel->queue.armed < wanted_arm(channel))
			return session->taken_ns;
		if (!tandem_rdma_send_ring_is_empty(&channel->sends) ||
		    (i == 0 && (!tandem_rdma_send_ring_is_empty(&session->credits) ||
		                session->beat.is_posted)))
			deadline_ns = session->taken_ns + LOOK_NS;
	}
	return deadline_ns;
}

/* Its watcher is what a completion queue knows of its channel. */
static struct tandem_rdma_channel *channel_of(void *watcher)
{
	return (struct tandem_rdma_channel *)((uint8_t *)watcher -
	                                      offsetof(struct tandem_rdma_channel, watcher));
}

/* Acknowledging takes a lock of libibverbs, so it is done for many at once. */
static void woken(struct tandem_rdma_queue *queue)
{
	queue->armed = TANDEM_RDMA_ARM_NONE;
	queue->unacknowledged_count++;
	if (queue->unacknowledged_count < ACKNOWLEDGE_BATCH)
		return;
	ibv_ack_cq_events(queue->cq, queue->unacknowledged_count);
	queue->unacknowledged_count = 0;
}

void tandem_rdma_completions_woken(struct tandem_rdma_session *session)
{
	struct ibv_cq *cq;
	void *context;

	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++) {
		struct ibv_comp_channel *events = session->attachments[i].completion_channel;

		while (events != NULL && ibv_get_cq_event(events, &cq, &context) == 0)
			woken(&channel_of(context)->queue);
	}
}
