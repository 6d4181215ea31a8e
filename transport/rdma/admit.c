#include <string.h>

#include <tandem/random.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

void tandem_rdma_reject(struct rdma_cm_id *id, enum tandem_rdma_reject_reason reason)
{
	const struct tandem_rdma_join join = {.kind = TANDEM_RDMA_JOIN_REJECT, .reason = reason};
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];

	tandem_rdma_join_encode(&join, bytes);
	rdma_reject(id, bytes, sizeof(bytes));
	rdma_destroy_id(id);
}

/* Takes request->id, which is on the session's event channel. */
static int accept_id(struct tandem_rdma_channel *channel, const struct tandem_rdma_request *request,
                     const struct tandem_rdma_join *answer, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct rdma_conn_param parameters = tandem_rdma_join_parameters(answer, bytes);
	int rc;

	channel->id = request->id;
	channel->id->context = channel;
	channel->rail = request->rail;
	tandem_rdma_address_format(rdma_get_peer_addr(channel->id), channel->peer_text,
	                           sizeof(channel->peer_text));
	tandem_rdma_join_begin(channel, session->options.connect_timeout_ns);
	rc = tandem_rdma_join_prepare(channel, reterr_error);
	if (rc != 0)
		return rc;
	channel->join_state = TANDEM_RDMA_CHANNEL_CONNECTING;
	rc = tandem_rdma_errno_of(rdma_accept(channel->id, &parameters));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_accept", "of %s",
		                         channel->peer_text);
	return 0;
}

/* ---- the control channel [S2] ---- */

static void draw(struct tandem_rdma_session *session, const struct tandem_rdma_join *join)
{
	struct tandem_transcript *transcript = &session->transcript;
	const uint64_t halves[2] = {tandem_random_unique(), tandem_random_unique()};

	_Static_assert(sizeof(halves) == TANDEM_NONCE_BYTES, "two numbers make a nonce");
	memcpy(transcript->listening_nonce, halves, sizeof(halves));
	memcpy(transcript->connecting_nonce, join->nonce, sizeof(join->nonce));
	tandem_secrets_derive(&session->key, transcript, &session->secrets);
}

int tandem_rdma_admit_control(struct tandem_rdma_session *session,
                              const struct tandem_rdma_request *request,
                              struct tandem_error *reterr_error)
{
	struct tandem_rdma_channel *control = &session->channels[0];
	struct tandem_rdma_join answer = {.kind = TANDEM_RDMA_JOIN_ACCEPT_CONTROL,
	                                  .session_id = session->transcript.session_id};
	int rc;

	rc = tandem_rdma_errno_of(rdma_migrate_id(request->id, session->cm_channel));
	if (rc != 0) {
		tandem_rdma_reject(request->id, TANDEM_RDMA_REJECT_DEVICE);
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_migrate_id",
		                         "a control channel");
	}
	draw(session, &request->join);
	memcpy(answer.nonce, session->transcript.listening_nonce, sizeof(answer.nonce));
	memcpy(answer.proof, session->secrets.listening_proof, sizeof(answer.proof));
	return accept_id(control, request, &answer, reterr_error);
}

/* ---- data channels [T3], [S4] ---- */

static enum tandem_rdma_reject_reason judge(const struct tandem_rdma_session *session,
                                            const struct tandem_rdma_join *join)
{
	const struct tandem_rdma_channel *channel;
	uint8_t token[TANDEM_TOKEN_BYTES];

	if (session->state != TANDEM_RDMA_UP)
		return TANDEM_RDMA_REJECT_SESSION;
	if (join->channel_count != session->channel_count)
		return TANDEM_RDMA_REJECT_CHANNEL;
	channel = &session->channels[join->channel + 1];
	tandem_channel_token(&session->secrets, join->channel, join->attempt, false, token);
	if (!tandem_mac_equal(token, join->token, sizeof(token)) ||
	    join->attempt <= channel->attempt)
		return TANDEM_RDMA_REJECT_TOKEN;
	if (channel->state != TANDEM_CHANNEL_DOWN)
		return TANDEM_RDMA_REJECT_NOT_DOWN;
	if (channel->pending_count > TANDEM_RDMA_PENDING_TO_JOIN)
		return TANDEM_RDMA_REJECT_FULL;
	return TANDEM_RDMA_REJECT_NONE;
}

void tandem_rdma_admit_forget(struct tandem_rdma_channel *channel, const struct tandem_error *cause)
{
	if (channel->first_error.code == 0)
		channel->first_error = *cause;
	tandem_rdma_channel_close(channel);
	tandem_rdma_channel_destroy_id(channel);
	channel->state = TANDEM_CHANNEL_DOWN;
}

static void admit(struct tandem_rdma_session *session, const struct tandem_rdma_request *request)
{
	const enum tandem_rdma_reject_reason reason = judge(session, &request->join);
	struct tandem_rdma_join answer = {.kind = TANDEM_RDMA_JOIN_ACCEPT_DATA};
	struct tandem_rdma_channel *channel;
	struct tandem_error cause;

	if (reason != TANDEM_RDMA_REJECT_NONE) {
		tandem_rdma_reject(request->id, reason);
		return;
	}
	channel = &session->channels[request->join.channel + 1];
	channel->attempt = request->join.attempt;
	channel->owes_ended = false;
	tandem_channel_token(&session->secrets, request->join.channel, request->join.attempt, true,
	                     answer.token);
	if (accept_id(channel, request, &answer, &cause) != 0)
		tandem_rdma_admit_forget(channel, &cause);
}

void tandem_rdma_admit_requests(struct tandem_rdma_session *session)
{
	struct tandem_rdma_request request;

	/* They may come before the control channel's proof, which is on its way then. */
	if (session->state == TANDEM_RDMA_JOINING || session->mailbox == NULL)
		return;
	while (tandem_rdma_mailbox_take(session->mailbox, &request))
		admit(session, &request);
}

void tandem_rdma_admit_end(struct tandem_rdma_session *session)
{
	struct tandem_rdma_request request;

	while (tandem_rdma_mailbox_take(session->mailbox, &request))
		tandem_rdma_reject(request.id, TANDEM_RDMA_REJECT_SESSION);
}
