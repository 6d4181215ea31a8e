#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "rdma/core/ack_timeout.h"
#include "rdma/core/join.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

int tandem_rdma_join_prepare(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	uint8_t exponent = tandem_rdma_ack_timeout(session->options.peer_timeout_ns);
	char name[24];
	int rc;

	if (session->pd == NULL) {
		rc = tandem_rdma_session_open_device(session, channel->id, reterr_error);
		if (rc != 0)
			return rc;
	}
	if (channel->id->verbs != session->device.context)
		return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "join",
		                        "%s came over another device than the control channel",
		                        tandem_rdma_channel_name(channel, name));
	rc = tandem_rdma_errno_of(rdma_set_option(channel->id, RDMA_OPTION_ID,
	                                          RDMA_OPTION_ID_ACK_TIMEOUT, &exponent,
	                                          sizeof(exponent)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_set_option",
		                         "acknowledge timeout of the %s",
		                         tandem_rdma_channel_name(channel, name));
	return tandem_rdma_channel_open(channel, reterr_error);
}

struct rdma_conn_param tandem_rdma_join_parameters(const struct tandem_rdma_join *join,
                                                   uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES])
{
	tandem_rdma_join_encode(join, ret_bytes);
	/* [T13] Both counts are finite everywhere: 7 is for ever on soft-RoCE. No reads or atomics
	 * are used; one of each is asked for because devices exist that want a positive number. */
	return (struct rdma_conn_param){.private_data = ret_bytes,
	                                .private_data_len = TANDEM_RDMA_JOIN_BYTES,
	                                .responder_resources = 1,
	                                .initiator_depth = 1,
	                                .flow_control = 1,
	                                .retry_count = TANDEM_RDMA_RETRY_COUNT,
	                                .rnr_retry_count = TANDEM_RDMA_RETRY_COUNT};
}

static bool has_joined(const struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		if (session->channels[i].join_state != TANDEM_RDMA_CHANNEL_JOINED)
			return false;
	}
	return true;
}

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
		rc = tandem_rdma_connect_established(channel, event, reterr_error);
	if (rc != 0 || session->state != TANDEM_RDMA_JOINING || !has_joined(session))
		return rc;
	session->state = TANDEM_RDMA_UP;
	session->has_up_event = !session->is_listening_side;
	return 0;
}

static int disconnected(const struct tandem_rdma_channel *channel,
                        struct tandem_error *reterr_error)
{
	char name[24];

	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "rdma_cm",
	                        "%s closed the %s, or its process ended",
	                        channel->session->peer_text,
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
		                        "%s to %s: %s (status %d)", name,
		                        channel->session->peer_text, rdma_event_str(event->type),
		                        event->status);
	return tandem_error_set_errno(reterr_error, TANDEM_E_PEER_LOST, os_errno, "rdma_cm",
	                              "%s to %s: %s", name, channel->session->peer_text,
	                              rdma_event_str(event->type));
}

static int refused(struct tandem_rdma_channel *channel, const struct tandem_rdma_cm_event *event,
                   struct tandem_error *reterr_error)
{
	if (!channel->session->is_listening_side)
		return tandem_rdma_connect_refused(channel, event, reterr_error);
	return unreachable(channel, event, reterr_error);
}

static int device_gone(const struct tandem_rdma_session *session,
                       const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "rdma_cm", "%s under %s",
	                        rdma_event_str(event->type), session->peer_text);
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
		return device_gone(channel->session, event, reterr_error);
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

void tandem_rdma_join_event(struct tandem_rdma_session *session,
                            const struct tandem_rdma_cm_event *event)
{
	struct tandem_rdma_channel *channel = channel_of(session, event->id);
	struct tandem_error cause;

	if (channel == NULL || session->state == TANDEM_RDMA_DRAINING ||
	    session->state == TANDEM_RDMA_LOST)
		return;
	if (react(channel, event, &cause) != 0)
		tandem_rdma_session_lose(session, &cause);
}

void tandem_rdma_join_describe(const struct tandem_rdma_session *session, char *text,
                               size_t text_bytes)
{
	char name[24];

	for (unsigned i = 0; i < tandem_rdma_session_all_channels(session); i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->join_state == TANDEM_RDMA_CHANNEL_JOINED)
			continue;
		snprintf(text, text_bytes, "%s: %s", tandem_rdma_channel_name(channel, name),
		         tandem_rdma_join_state_text(channel->join_state));
		return;
	}
	snprintf(text, text_bytes, "all channels joined");
}
