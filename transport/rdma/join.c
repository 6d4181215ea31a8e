#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "rdma/core/ack_timeout.h"
#include "rdma/core/join.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

static int set_ack_timeout(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	uint8_t exponent = tandem_rdma_ack_timeout(channel->session->options.peer_timeout_ns);
	const int rc = tandem_rdma_errno_of(rdma_set_option(channel->id, RDMA_OPTION_ID,
	                                                    RDMA_OPTION_ID_ACK_TIMEOUT, &exponent,
	                                                    sizeof(exponent)));
	char name[24];

	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_set_option",
		                         "acknowledge timeout of the %s",
		                         tandem_rdma_channel_name(channel, name));
	return 0;
}

int tandem_rdma_join_prepare(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	struct rdma_cm_id *id = channel->id;
	int rc;

	rc = tandem_rdma_device_query(id->verbs, id->port_num, &channel->device, reterr_error);
	if (rc != 0)
		return rc;
	channel->gid = id->route.addr.addr.ibaddr.sgid;
	rc = tandem_rdma_attachment_open(session, id->verbs, &channel->attachment, reterr_error);
	if (rc == 0)
		rc = tandem_rdma_watcher_attach(&channel->watcher, id->verbs, id->port_num,
		                                session->wake_fd, reterr_error);
	if (rc == 0)
		rc = set_ack_timeout(channel, reterr_error);
	return rc == 0 ? tandem_rdma_channel_open(channel, reterr_error) : rc;
}

struct rdma_conn_param tandem_rdma_join_parameters(const struct tandem_rdma_join *join,
                                                   uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES])
{
	tandem_rdma_join_encode(join, ret_bytes);
	/* [T13] Both counts are finite everywhere: 7 is for ever on soft-RoCE. [T18] Each side has
	 * one reading under way at most, on the control channel; devices exist that want a positive
	 * number on the others, too. */
	return (struct rdma_conn_param){.private_data = ret_bytes,
	                                .private_data_len = TANDEM_RDMA_JOIN_BYTES,
	                                .responder_resources = 1,
	                                .initiator_depth = 1,
	                                .flow_control = 1,
	                                .retry_count = TANDEM_RDMA_RETRY_COUNT,
	                                .rnr_retry_count = TANDEM_RDMA_RETRY_COUNT};
}

/* ---- what connection management says ---- */

static int established(struct tandem_rdma_channel *channel,
                       const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	int rc;

	if (channel->join_state != TANDEM_RDMA_CHANNEL_CONNECTING)
		return 0;
	rc = tandem_rdma_channel_set_receiver_timer(channel, reterr_error);
	if (rc != 0)
		return rc;
	channel->join_state = TANDEM_RDMA_CHANNEL_JOINED;
	if (!session->is_listening_side)
		return tandem_rdma_connect_established(channel, event, reterr_error);
	if (channel->index != 0)
		tandem_rdma_exposures_register(channel);
	return 0;
}

static int disconnected(const struct tandem_rdma_channel *channel,
                        struct tandem_error *reterr_error)
{
	char name[24];

	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "rdma_cm",
	                        "%s closed the %s, or its process ended", channel->peer_text,
	                        tandem_rdma_channel_name(channel, name));
}

static int unreachable(const struct tandem_rdma_channel *channel,
                       const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	const int os_errno = event->status < 0 ? -event->status : 0;
	char name[24];

	tandem_rdma_channel_name(channel, name);
	if (os_errno == 0)
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "rdma_cm",
		                        "%s to %s: %s (status %d)", name, channel->peer_text,
		                        rdma_event_str(event->type), event->status);
	return tandem_error_set_errno(reterr_error, TANDEM_E_PEER_LOST, os_errno, "rdma_cm",
	                              "%s to %s: %s", name, channel->peer_text,
	                              rdma_event_str(event->type));
}

static int refused(struct tandem_rdma_channel *channel, const struct tandem_rdma_cm_event *event,
                   struct tandem_error *reterr_error)
{
	if (!channel->session->is_listening_side)
		return tandem_rdma_connect_refused(channel, event, reterr_error);
	return unreachable(channel, event, reterr_error);
}

static int device_gone(const struct tandem_rdma_channel *channel,
                       const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "rdma_cm", "%s under %s",
	                        rdma_event_str(event->type), channel->peer_text);
}

static int react(struct tandem_rdma_channel *channel, const struct tandem_rdma_cm_event *event,
                 struct tandem_error *reterr_error)
{
	switch (tandem_rdma_cm_meaning_of(event->type)) {
	case TANDEM_RDMA_CM_NOTED:
	case TANDEM_RDMA_CM_REQUESTED: /* only a listener's id is asked */
		return 0;
	case TANDEM_RDMA_CM_ADDRESS_RESOLVED:
		return tandem_rdma_connect_resolved_address(channel, reterr_error);
	case TANDEM_RDMA_CM_ROUTE_RESOLVED:
		return tandem_rdma_connect_resolved_route(channel, reterr_error);
	case TANDEM_RDMA_CM_ESTABLISHED:
		return established(channel, event, reterr_error);
	case TANDEM_RDMA_CM_REFUSED:
		return refused(channel, event, reterr_error);
	case TANDEM_RDMA_CM_UNREACHABLE:
		return unreachable(channel, event, reterr_error);
	case TANDEM_RDMA_CM_DISCONNECTED:
		return disconnected(channel, reterr_error);
	case TANDEM_RDMA_CM_DEVICE_GONE:
		return device_gone(channel, event, reterr_error);
	}
	return 0;
}

static struct tandem_rdma_channel *channel_of(struct tandem_rdma_session *session,
                                              const struct rdma_cm_id *id)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (session->channels[i].id == id)
			return &session->channels[i];
	}
	return NULL;
}

/* The listening side's end of a channel whose peer gave up before it was connected: nothing could
 * be written, so nothing is to be fenced. */
static bool never_was(const struct tandem_rdma_channel *channel)
{
	return channel->session->is_listening_side && channel->index != 0 &&
	       channel->join_state == TANDEM_RDMA_CHANNEL_CONNECTING;
}

void tandem_rdma_join_event(struct tandem_rdma_session *session,
                            const struct tandem_rdma_cm_event *event)
{
	struct tandem_rdma_channel *channel = channel_of(session, event->id);
	struct tandem_error cause;

	if (channel == NULL || tandem_rdma_session_has_ended(session) ||
	    react(channel, event, &cause) == 0)
		return;
	if (never_was(channel))
		tandem_rdma_admit_forget(channel, &cause);
	else
		tandem_rdma_channel_lose(channel, &cause);
}

/* ---- who is up ---- */

static bool is_ready(struct tandem_rdma_channel *channel)
{
	struct tandem_error cause;
	int rc;

	if (channel->state != TANDEM_CHANNEL_JOINING ||
	    channel->join_state != TANDEM_RDMA_CHANNEL_JOINED || !channel->has_keys)
		return false;
	if (channel->session->is_listening_side)
		return !channel->owes_ready;
	rc = tandem_rdma_attachment_settle(channel->session, channel->attachment, &cause);
	if (rc != 0 && rc != TANDEM_E_AGAIN)
		tandem_rdma_channel_lose(channel, &cause);
	return rc == 0;
}

void tandem_rdma_join_settle(struct tandem_rdma_channel *channel)
{
	struct tandem_rdma_session *session = channel->session;

	if (tandem_rdma_session_has_ended(session) || !is_ready(channel))
		return;
	channel->state = TANDEM_CHANNEL_UP;
	session->has_joined = true;
	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX && !session->is_listening_side; id++)
		tandem_rdma_exposures_count(session, id);
	if (session->state == TANDEM_RDMA_UP)
		tandem_rdma_arrival_add_news(channel, TANDEM_SESSION_CHANNEL_UP);
}

static void lose_without_channels(struct tandem_rdma_session *session)
{
	struct tandem_error cause = session->channels[1].first_error;

	tandem_error_wrap(&cause, cause.code, "no data channel could join");
	tandem_rdma_session_lose(session, &cause);
}

void tandem_rdma_join_settle_session(struct tandem_rdma_session *session)
{
	uint32_t mask = 0;

	if (session->is_listening_side || session->state != TANDEM_RDMA_JOINING ||
	    !session->is_keyed)
		return;
	for (unsigned i = 0; i < session->channel_count; i++) {
		const enum tandem_channel_state state = session->channels[i + 1].state;

		if (state == TANDEM_CHANNEL_JOINING)
			return;
		mask |= (uint32_t)(state == TANDEM_CHANNEL_UP) << i;
	}
	if (mask == 0) {
		lose_without_channels(session);
		return;
	}
	session->state = TANDEM_RDMA_UP;
	session->has_up_event = true;
	session->up_mask = mask;
}

/* ---- who takes too long ---- */

static const char *step_of(const struct tandem_rdma_channel *channel)
{
	if (channel->join_state != TANDEM_RDMA_CHANNEL_JOINED)
		return tandem_rdma_join_state_text(channel->join_state);
	if (channel->index == 0)
		return "waiting for the peer's proof";
	return channel->has_keys ? "registering memory" : "waiting for the keys of its memory";
}

static void check_channel(struct tandem_rdma_channel *channel, uint64_t now_ns)
{
	struct tandem_error cause;
	char name[24];

	if (channel->state != TANDEM_CHANNEL_JOINING || now_ns < channel->join_deadline_ns)
		return;
	tandem_error_set(&cause, TANDEM_E_TIMEOUT, "join",
	                 "with %s not done within %llu ms; %s: %s", channel->peer_text,
	                 (unsigned long long)(channel->join_ns / TANDEM_NS_PER_MS),
	                 tandem_rdma_channel_name(channel, name), step_of(channel));
	if (never_was(channel))
		tandem_rdma_admit_forget(channel, &cause);
	else
		tandem_rdma_channel_lose(channel, &cause);
}

void tandem_rdma_join_begin(struct tandem_rdma_channel *channel, uint64_t join_ns)
{
	const struct tandem_rdma_session *session = channel->session;
	const uint64_t now_ns = tandem_clock_now_ns();

	channel->state = TANDEM_CHANNEL_JOINING;
	channel->join_ns = join_ns;
	channel->join_deadline_ns = now_ns + join_ns;
	/* [T2] The whole set-up has one time, whatever its parts have. */
	if (session->state == TANDEM_RDMA_JOINING && channel->index != 0 &&
	    channel->join_deadline_ns > session->channels[0].join_deadline_ns)
		channel->join_deadline_ns = session->channels[0].join_deadline_ns;
}

void tandem_rdma_join_check(struct tandem_rdma_session *session, uint64_t now_ns)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (!tandem_rdma_session_has_ended(session))
			check_channel(&session->channels[i], now_ns);
	}
}

uint64_t tandem_rdma_join_deadline_ns(const struct tandem_rdma_session *session)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->state == TANDEM_CHANNEL_JOINING &&
		    channel->join_deadline_ns < deadline_ns)
			deadline_ns = channel->join_deadline_ns;
	}
	return deadline_ns;
}
