#include <string.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

_Static_assert(TANDEM_RDMA_PENDING_TO_JOIN > TANDEM_RDMA_NOTIFY_RECEIVES,
               "a channel whose notices were not taken may still join again");

void tandem_rdma_arrival_add(struct tandem_rdma_session *session,
                             const struct tandem_rdma_arrival *arrival)
{
	const unsigned last =
	        (session->arrival_first + session->arrival_count) % TANDEM_RDMA_ARRIVALS_MAX;

	/* LOST is the last event. */
	if (session->state == TANDEM_RDMA_LOST && !session->has_lost_event)
		return;
	session->arrivals[last] = *arrival;
	session->arrivals[last].attempt = arrival->channel->attempt;
	session->arrival_count++;
	arrival->channel->pending_count += arrival->channel->index != 0;
}

void tandem_rdma_arrival_add_news(struct tandem_rdma_channel *channel,
                                  enum tandem_session_event_type type)
{
	const struct tandem_rdma_arrival arrival = {.type = type, .channel = channel};

	tandem_rdma_arrival_add(channel->session, &arrival);
	tandem_rdma_session_wake(channel->session);
}

static void count_taken(struct tandem_rdma_channel *channel)
{
	if (channel->index == 0)
		channel->session->message_taken_count++;
	else
		channel->notify_taken_count++;
}

/* Events that the peer's flow control counts: the receive goes back to the device first, then the
 * peer is told, so that what it sends next finds a receive. */
static void give_back(struct tandem_rdma_session *session,
                      const struct tandem_rdma_arrival *arrival)
{
	struct tandem_rdma_channel *channel = arrival->channel;
	struct tandem_error cause;
	int rc;

	/* What came before the channel joined again has no receive any more. */
	if (tandem_rdma_session_has_ended(session) || channel->state != TANDEM_CHANNEL_UP ||
	    arrival->attempt != channel->attempt)
		return;
	count_taken(channel);
	rc = tandem_rdma_channel_post_receive(channel, arrival->slot);
	if (rc != 0) {
		tandem_rdma_error(&cause, rc, 0, "ibv_post_recv", "a receive could not be posted");
		tandem_rdma_channel_lose(channel, &cause);
		return;
	}
	tandem_rdma_control_pump(session);
}

static void fill(const struct tandem_rdma_session *session,
                 const struct tandem_rdma_arrival *arrival, struct tandem_session_event *ret_event)
{
	ret_event->type = arrival->type;
	if (arrival->type == TANDEM_SESSION_MESSAGE) {
		ret_event->message_bytes = arrival->payload_bytes;
		memcpy(ret_event->message,
		       tandem_rdma_slot(session, arrival->slot) + TANDEM_RDMA_HEADER_BYTES,
		       arrival->payload_bytes);
		return;
	}
	ret_event->channel = arrival->channel->index - 1;
	ret_event->immediate = arrival->immediate;
	if (arrival->type == TANDEM_SESSION_CHANNEL_LOST)
		ret_event->error = arrival->channel->cause;
}

static void take(struct tandem_rdma_session *session, struct tandem_session_event *ret_event)
{
	const struct tandem_rdma_arrival arrival = session->arrivals[session->arrival_first];

	session->arrival_first = (session->arrival_first + 1) % TANDEM_RDMA_ARRIVALS_MAX;
	session->arrival_count--;
	arrival.channel->pending_count -= arrival.channel->index != 0;
	fill(session, &arrival, ret_event);
	if (arrival.type == TANDEM_SESSION_MESSAGE || arrival.type == TANDEM_SESSION_NOTIFIED)
		give_back(session, &arrival);
}

bool tandem_rdma_session_next_event(struct tandem_session *head,
                                    struct tandem_session_event *ret_event)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	if (session->has_up_event) {
		session->has_up_event = false;
		ret_event->type = TANDEM_SESSION_UP;
		ret_event->channel_mask = session->up_mask;
		return true;
	}
	/* The peer may be ready before this side is up; nothing comes before UP. */
	if (session->state == TANDEM_RDMA_JOINING)
		return false;
	if (session->arrival_count > 0) {
		take(session, ret_event);
		return true;
	}
	if (tandem_rdma_beat_next_event(session, ret_event))
		return true;
	if (session->has_lost_event) {
		session->has_lost_event = false;
		ret_event->type = TANDEM_SESSION_LOST;
		ret_event->error = session->cause;
		return true;
	}
	return false;
}
