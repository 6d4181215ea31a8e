#include <string.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "rdma/core/join.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

static int left_ms(const struct tandem_rdma_channel *channel)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	uint64_t left_ns = 0;

	if (channel->join_deadline_ns > now_ns)
		left_ns = channel->join_deadline_ns - now_ns;
	left_ns = left_ns / TANDEM_NS_PER_MS + 1;
	return left_ns < INT32_MAX ? (int)left_ns : INT32_MAX;
}

/* ---- one channel ---- */

static int begin(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_way *way = &session->ways[channel->rail];
	int rc;

	tandem_rdma_address_format((struct sockaddr *)&way->peer, channel->peer_text,
	                           sizeof(channel->peer_text));
	rc = tandem_rdma_errno_of(
	        rdma_create_id(session->cm_channel, &channel->id, channel, RDMA_PS_TCP));
	if (rc != 0) {
		channel->id = NULL;
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_create_id", "to %s",
		                         channel->peer_text);
	}
	channel->join_state = TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS;
	rc = tandem_rdma_errno_of(rdma_resolve_addr(
	        channel->id, way->has_source ? (struct sockaddr *)&way->source : NULL,
	        (struct sockaddr *)&way->peer, left_ms(channel)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_resolve_addr",
		                         "no RDMA device leads to %s", channel->peer_text);
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
	rc = tandem_rdma_errno_of(rdma_resolve_route(channel->id, left_ms(channel)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_resolve_route", "to %s",
		                         channel->peer_text);
	return 0;
}

/* [S1], [S4] */
static struct tandem_rdma_join hello_of(const struct tandem_rdma_channel *channel)
{
	const struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_join join = {.channel_count = session->channel_count};

	if (channel->index == 0) {
		join.kind = TANDEM_RDMA_JOIN_CONTROL;
		tandem_key_id(&session->key, join.key_id);
		memcpy(join.nonce, session->transcript.connecting_nonce, sizeof(join.nonce));
		return join;
	}
	join.kind = TANDEM_RDMA_JOIN_DATA;
	join.channel = channel->index - 1;
	join.session_id = session->transcript.session_id;
	join.attempt = channel->attempt;
	tandem_channel_token(&session->secrets, join.channel, join.attempt, false, join.token);
	return join;
}

int tandem_rdma_connect_resolved_route(struct tandem_rdma_channel *channel,
                                       struct tandem_error *reterr_error)
{
	const struct tandem_rdma_join join = hello_of(channel);
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct rdma_conn_param parameters = tandem_rdma_join_parameters(&join, bytes);
	int rc;

	if (channel->join_state != TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE)
		return 0;
	channel->join_state = TANDEM_RDMA_CHANNEL_CONNECTING;
	rc = tandem_rdma_errno_of(rdma_connect(channel->id, &parameters));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_connect", "to %s",
		                         channel->peer_text);
	return 0;
}

/* ---- the answer ---- */

static int version_error(const struct tandem_rdma_channel *channel,
                         const struct tandem_rdma_cm_event *event,
                         struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "join",
	                        "%s speaks version %u, this node %d", channel->peer_text,
	                        tandem_rdma_join_version(event->private_data, event->private_bytes),
	                        TANDEM_RDMA_JOIN_VERSION);
}

static int stranger_error(const struct tandem_rdma_channel *channel,
                          struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
	                        "%s accepted with an answer that is not ours", channel->peer_text);
}

/* [T2] Each channel has half the time of all, so that one that cannot join does not use it up. */
static void begin_data_channels(struct tandem_rdma_session *session)
{
	const uint64_t join_ns = session->options.connect_timeout_ns / 2;

	for (unsigned i = 1; i <= session->channel_count; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];
		struct tandem_error cause;

		channel->rail =
		        (session->options.control_rail + i - 1) % session->options.rail_count;
		channel->attempt = 1;
		tandem_rdma_join_begin(channel, join_ns);
		if (begin(channel, &cause) != 0)
			tandem_rdma_channel_lose(channel, &cause);
	}
}

/* [S2] The peer has proven the key with its answer; what follows proves it to the peer. */
static int control_established(struct tandem_rdma_session *session,
                               const struct tandem_rdma_join *join,
                               struct tandem_error *reterr_error)
{
	struct tandem_rdma_channel *control = &session->channels[0];

	if (join->kind != TANDEM_RDMA_JOIN_ACCEPT_CONTROL)
		return stranger_error(control, reterr_error);
	session->transcript.session_id = join->session_id;
	memcpy(session->transcript.listening_nonce, join->nonce, sizeof(join->nonce));
	tandem_secrets_derive(&session->key, &session->transcript, &session->secrets);
	if (!tandem_mac_equal(session->secrets.listening_proof, join->proof, sizeof(join->proof)))
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "%s has not proven to hold this key", control->peer_text);
	session->is_keyed = true;
	control->state = TANDEM_CHANNEL_UP;
	tandem_rdma_control_prove(session);
	begin_data_channels(session);
	return 0;
}

static int data_established(struct tandem_rdma_channel *channel,
                            const struct tandem_rdma_join *join, struct tandem_error *reterr_error)
{
	uint8_t token[TANDEM_TOKEN_BYTES];

	tandem_channel_token(&channel->session->secrets, channel->index - 1, channel->attempt, true,
	                     token);
	if (join->kind != TANDEM_RDMA_JOIN_ACCEPT_DATA ||
	    !tandem_mac_equal(token, join->token, sizeof(token)))
		return stranger_error(channel, reterr_error);
	tandem_rdma_join_settle(channel);
	return 0;
}

int tandem_rdma_connect_established(struct tandem_rdma_channel *channel,
                                    const struct tandem_rdma_cm_event *event,
                                    struct tandem_error *reterr_error)
{
	struct tandem_rdma_join join;
	const int rc = tandem_rdma_join_decode(event->private_data, event->private_bytes, &join);

	if (rc == TANDEM_E_VERSION)
		return version_error(channel, event, reterr_error);
	if (rc != 0)
		return stranger_error(channel, reterr_error);
	if (channel->index == 0)
		return control_established(channel->session, &join, reterr_error);
	return data_established(channel, &join, reterr_error);
}

int tandem_rdma_connect_refused(struct tandem_rdma_channel *channel,
                                const struct tandem_rdma_cm_event *event,
                                struct tandem_error *reterr_error)
{
	struct tandem_rdma_join join;
	int rc;

	if (tandem_rdma_cm_is_nobody(event))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "join",
		                        "nobody listens at %s", channel->peer_text);
	rc = tandem_rdma_join_decode(event->private_data, event->private_bytes, &join);
	if (rc == TANDEM_E_VERSION)
		return version_error(channel, event, reterr_error);
	if (rc != 0 || join.kind != TANDEM_RDMA_JOIN_REJECT)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "%s refused (rdma_cm status %d)", channel->peer_text,
		                        event->status);
	return tandem_error_set(
	        reterr_error,
	        join.reason == TANDEM_RDMA_REJECT_VERSION ? TANDEM_E_VERSION : TANDEM_E_REFUSED,
	        "join", "%s refused: %s", channel->peer_text, tandem_rdma_reject_text(join.reason));
}

/* ---- the calls ---- */

static int parse_way(const struct tandem_transport_options *options, unsigned rail,
                     struct tandem_rdma_way *way, struct tandem_error *reterr_error)
{
	const struct tandem_rail *texts = &options->rails[rail];
	int rc = tandem_rdma_address_parse(texts->address, options->port, &way->peer, reterr_error);

	if (rc != 0 || texts->source_address[0] == '\0')
		return rc;
	way->has_source = true;
	return tandem_rdma_address_parse(texts->source_address, 0, &way->source, reterr_error);
}

static void draw_nonce(uint8_t ret_nonce[TANDEM_NONCE_BYTES])
{
	const uint64_t halves[2] = {tandem_random_unique(), tandem_random_unique()};

	_Static_assert(sizeof(halves) == TANDEM_NONCE_BYTES, "two numbers make a nonce");
	memcpy(ret_nonce, halves, sizeof(halves));
}

static int start(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	const struct tandem_transport_options *options = &session->options;
	struct tandem_rdma_channel *control = &session->channels[0];
	int rc = 0;

	for (unsigned i = 0; i < options->rail_count && rc == 0; i++)
		rc = parse_way(options, i, &session->ways[i], reterr_error);
	if (rc != 0)
		return rc;
	if (options->key_count > 0)
		session->key = options->keys[0];
	draw_nonce(session->transcript.connecting_nonce);
	control->rail = options->control_rail;
	tandem_rdma_join_begin(control, options->connect_timeout_ns);
	return begin(control, reterr_error);
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

static int check_restore(const struct tandem_rdma_session *session,
                         const struct tandem_rdma_channel *channel,
                         struct tandem_error *reterr_error)
{
	const unsigned number = channel->index - 1;

	if (session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "only the connecting side restores");
	if (tandem_rdma_session_has_ended(session))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "restore",
		                        "the session with %s has ended",
		                        tandem_rdma_session_peer(session));
	if (session->state != TANDEM_RDMA_UP || channel->state == TANDEM_CHANNEL_UP ||
	    channel->state == TANDEM_CHANNEL_JOINING || channel->is_draining)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "restore", "data channel %u is %s", number,
		        channel->is_draining ? "ending"
		                             : tandem_channel_state_text(channel->state));
	if (channel->pending_count > TANDEM_RDMA_PENDING_TO_JOIN)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "%u events of data channel %u were not taken",
		                        channel->pending_count, number);
	return 0;
}

/* [T17] */
int tandem_rdma_session_restore(struct tandem_session *head, unsigned number,
                                struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_channel *channel = &session->channels[number + 1];
	struct tandem_error cause;
	int rc;

	rc = check_restore(session, channel, reterr_error);
	if (rc != 0)
		return rc;
	/* The peer was told of its end by then, or will not be. */
	tandem_rdma_channel_destroy_id(channel);
	channel->attempt++;
	channel->owes_ended = false;
	tandem_rdma_join_begin(channel, session->options.connect_timeout_ns);
	if (begin(channel, &cause) != 0)
		tandem_rdma_channel_lose(channel, &cause);
	return 0;
}
