#include <stdarg.h>
#include <stdio.h>

#include <tandem/clock.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

/* A line that ends at the room it has. */
struct line {
	char *text;
	size_t room;
};

static void add(struct line *line, const char *format, ...) TANDEM_PRINTF(2, 3);

static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text, line->room, format, arguments);
	va_end(arguments);
	if (length < 0 || line->room == 0)
		return;
	if ((size_t)length >= line->room)
		length = (int)line->room - 1;
	line->text += length;
	line->room -= (size_t)length;
}

static const char *state_of(const struct tandem_rdma_session *session)
{
	switch (session->state) {
	case TANDEM_RDMA_JOINING:
		return "joining";
	case TANDEM_RDMA_UP:
		return "up";
	case TANDEM_RDMA_DRAINING:
		return "draining";
	case TANDEM_RDMA_LOST:
		return "lost";
	}
	return "unknown";
}

static enum ibv_qp_state queue_pair_state(struct ibv_qp *queue_pair)
{
	struct ibv_qp_attr attributes;
	struct ibv_qp_init_attr init;

	if (ibv_query_qp(queue_pair, &attributes, IBV_QP_STATE, &init) != 0)
		return IBV_QPS_UNKNOWN;
	return attributes.qp_state;
}

static void add_channel(struct line *line, const struct tandem_rdma_channel *channel,
                        struct ibv_qp *queue_pair, uint64_t now_ns)
{
	const struct tandem_rdma_send_ring *sends = &channel->sends;
	char name[24];

	add(line, "; %s: ", tandem_rdma_channel_name(channel, name));
	if (channel->state != TANDEM_CHANNEL_UP)
		add(line, "%s, ", tandem_channel_state_text(channel->state));
	if (channel->state == TANDEM_CHANNEL_JOINING)
		add(line, "%s, ", tandem_rdma_join_state_text(channel->join_state));
	if (queue_pair == NULL) {
		add(line, "no queue pair");
		return;
	}
	add(line, "queue pair %u %s, %u in flight, %u waiting", queue_pair->qp_num,
	    tandem_rdma_state_text(queue_pair_state(queue_pair)),
	    tandem_rdma_send_ring_inflight_count(sends),
	    tandem_rdma_send_ring_unposted_count(sends));
	if (!tandem_rdma_send_ring_is_empty(sends))
		add(line, ", oldest %llu ms",
		    (unsigned long long)((now_ns - tandem_rdma_send_ring_oldest_ns(sends)) /
		                         TANDEM_NS_PER_MS));
}

void tandem_rdma_session_describe(const struct tandem_session *head, char *text, size_t text_bytes)
{
	const struct tandem_rdma_session *session = tandem_rdma_session_of_const(head);
	struct line line = {text, text_bytes};
	const uint64_t now_ns = tandem_clock_now_ns();

	add(&line, "rdma to %s %s, %u arrivals not taken", tandem_rdma_session_peer(session),
	    state_of(session), session->arrival_count);
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++)
		add_channel(&line, &session->channels[i], atomic_load(&session->queue_pairs[i]),
		            now_ns);
}

void tandem_rdma_session_channel_status(const struct tandem_session *head, unsigned number,
                                        struct tandem_channel_status *ret_status)
{
	const struct tandem_rdma_session *session = tandem_rdma_session_of_const(head);
	const struct tandem_rdma_channel *channel = &session->channels[number + 1];
	const bool is_idle = tandem_rdma_send_ring_is_empty(&channel->sends);

	*ret_status = (struct tandem_channel_status){
	        .state = channel->state,
	        .rail = channel->rail,
	        .bytes = channel->bytes,
	        .inflight_count = channel->sends.write_count,
	        .oldest_posted_ns = is_idle ? 0 : tandem_rdma_send_ring_oldest_ns(&channel->sends),
	        .lost_count = channel->lost_count,
	        .first_error = channel->first_error,
	};
	if (tandem_rdma_session_has_ended(session) && channel->state != TANDEM_CHANNEL_DOWN)
		ret_status->state = TANDEM_CHANNEL_LOST;
}
