#include <string.h>

#include <tandem/clock.h>

#include "rdma/core/join.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

static int left_ms(const struct tandem_rdma_session *session)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	uint64_t left_ns = 0;

	if (session->join_deadline_ns > now_ns)
		left_ns = session->join_deadline_ns - now_ns;
	left_ns = left_ns / TANDEM_NS_PER_MS + 1;
	return left_ns < INT32_MAX ? (int)left_ns : INT32_MAX;
}

/* `source` is NULL for any. */
static int begin(struct tandem_rdma_channel *channel, struct sockaddr *source,
                 struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	int rc;

	rc = tandem_rdma_errno_of(
	        rdma_create_id(session->cm_channel, &channel->id, channel, RDMA_PS_TCP));
	if (rc != 0) {
		channel->id = NULL;
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_create_id", "to %s",
		                         session->peer_text);
	}
	channel->join_state = TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS;
	rc = tandem_rdma_errno_of(rdma_resolve_addr(
	        channel->id, source, (struct sockaddr *)&session->peer, left_ms(session)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_resolve_addr",
		                         "no RDMA device leads to %s", session->peer_text);
	return 0;
}

int tandem_rdma_connect_resolved_address(struct tandem_rdma_channel *channel,
                                         struct tandem_error *reterr_error)
{
	int rc;

	if (channel->join_state != TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS)
		return 0;
	rc = tandem_rdma_join_prepare(channel, reterr_error);
	if (rc != 0)
		return rc;
	channel->join_state = TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE;
	rc = tandem_rdma_errno_of(rdma_resolve_route(channel->id, left_ms(channel->session)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_resolve_route", "to %s",
		                         channel->session->peer_text);
	return 0;
}

int tandem_rdma_connect_resolved_route(struct tandem_rdma_channel *channel,
                                       struct tandem_error *reterr_error)
{
	const struct tandem_rdma_session *session = channel->session;
	const bool is_control = channel->index == 0;
	const struct tandem_rdma_join join = {
	        .kind = is_control ? TANDEM_RDMA_JOIN_CONTROL : TANDEM_RDMA_JOIN_DATA,
	        .channel = is_control ? 0 : channel->index - 1,
	        .channel_count = session->channel_count,
	        .key = is_control ? 0 : session->key,
	};
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct rdma_conn_param parameters = tandem_rdma_join_parameters(&join, bytes);
	int rc;

	if (channel->join_state != TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE)
		return 0;
	channel->join_state = TANDEM_RDMA_CHANNEL_CONNECTING;
	rc = tandem_rdma_errno_of(rdma_connect(channel->id, &parameters));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_connect", "to %s",
		                         session->peer_text);
	return 0;
}

/* The data channels take the same way as the control channel, so that one device serves all. */
static int begin_data_channels(struct tandem_rdma_session *session,
                               struct tandem_error *reterr_error)
{
	struct sockaddr_storage source = {0};
	const struct sockaddr *local = rdma_get_local_addr(session->channels[0].id);
	int rc = 0;

	if (local->sa_family == AF_INET6) {
		memcpy(&source, local, sizeof(struct sockaddr_in6));
		((struct sockaddr_in6 *)&source)->sin6_port = 0;
	} else {
		memcpy(&source, local, sizeof(struct sockaddr_in));
		((struct sockaddr_in *)&source)->sin_port = 0;
	}
	for (unsigned i = 1; i <= session->channel_count && rc == 0; i++)
		rc = begin(&session->channels[i], (struct sockaddr *)&source, reterr_error);
	return rc;
}

static int version_error(const struct tandem_rdma_session *session,
                         const struct tandem_rdma_cm_event *event,
                         struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "join",
	                        "%s speaks version %u, this node %d", session->peer_text,
	                        tandem_rdma_join_version(event->private_data, event->private_bytes),
	                        TANDEM_RDMA_JOIN_VERSION);
}

int tandem_rdma_connect_established(struct tandem_rdma_channel *channel,
                                    const struct tandem_rdma_cm_event *event,
                                    struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_join join;
	const int rc = tandem_rdma_join_decode(event->private_data, event->private_bytes, &join);

	if (rc == TANDEM_E_VERSION)
		return version_error(session, event, reterr_error);
	if (rc != 0 || join.kind != TANDEM_RDMA_JOIN_ACCEPT ||
	    (channel->index != 0 && join.key != session->key))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "%s accepted with an answer that is not ours",
		                        session->peer_text);
	if (channel->index != 0)
		return 0;
	session->key = join.key;
	return begin_data_channels(session, reterr_error);
}

int tandem_rdma_connect_refused(struct tandem_rdma_channel *channel,
                                const struct tandem_rdma_cm_event *event,
                                struct tandem_error *reterr_error)
{
	const struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_join join;
	int rc;

	if (tandem_rdma_cm_is_nobody(event))
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "nobody listens at %s", session->peer_text);
	rc = tandem_rdma_join_decode(event->private_data, event->private_bytes, &join);
	if (rc == TANDEM_E_VERSION)
		return version_error(session, event, reterr_error);
	if (rc != 0 || join.kind != TANDEM_RDMA_JOIN_REJECT)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "%s refused (rdma_cm status %d)", session->peer_text,
		                        event->status);
	return tandem_error_set(
	        reterr_error,
	        join.reason == TANDEM_RDMA_REJECT_VERSION ? TANDEM_E_VERSION : TANDEM_E_REFUSED,
	        "join", "%s refused: %s", session->peer_text, tandem_rdma_reject_text(join.reason));
}

static int start(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	const struct tandem_transport_options *options = &session->options;
	struct sockaddr_storage peer;
	struct sockaddr_storage source;
	struct sockaddr *source_or_any = NULL;
	int rc;

	rc = tandem_rdma_address_parse(options->rails[0].address, options->port, &peer,
	                               reterr_error);
	if (rc != 0)
		return rc;
	if (options->rails[0].source_address[0] != '\0') {
		rc = tandem_rdma_address_parse(options->rails[0].source_address, 0, &source,
		                               reterr_error);
		source_or_any = (struct sockaddr *)&source;
	}
	if (rc != 0)
		return rc;
	tandem_rdma_session_set_peer(session, (struct sockaddr *)&peer);
	return begin(&session->channels[0], source_or_any, reterr_error);
}

int tandem_rdma_connect_start(const struct tandem_transport_options *options, uint64_t piece_bytes,
                              struct tandem_session **ret_session,
                              struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session;
	int rc;

	rc = tandem_rdma_session_new(options, piece_bytes, false, &session, reterr_error);
	if (rc != 0)
		return rc;
	rc = start(session, reterr_error);
	if (rc != 0) {
		tandem_rdma_session_delete(session);
		return rc;
	}
	*ret_session = &session->head;
	return 0;
}
