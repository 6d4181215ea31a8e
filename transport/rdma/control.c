#include <errno.h>
#include <string.h>

#include <tandem/clock.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

static void lose_for_post(struct tandem_rdma_session *session, int os_errno, const char *operation)
{
	struct tandem_error cause;

	tandem_rdma_error(&cause, os_errno, 0, operation, "control channel to %s",
	                  tandem_rdma_session_peer(session));
	tandem_rdma_session_lose(session, &cause);
}

/* Sends the payload that stands in slot `number`. Every message is signalled: they are few. False
 * where the session is lost by it. */
static bool post_slot(struct tandem_rdma_session *session, unsigned number,
                      const struct tandem_rdma_outgoing *outgoing, struct tandem_rdma_tag *tag)
{
	uint8_t *slot = tandem_rdma_slot(session, number);
	const struct tandem_rdma_header header = {outgoing->kind, session->send_sequence + 1,
	                                          outgoing->payload_bytes};
	const struct tandem_rdma_sealer sealer = {&session->secrets, session->is_listening_side};
	struct ibv_sge sge = {.addr = (uintptr_t)slot,
	                      .length = (uint32_t)tandem_rdma_message_seal(slot, &header, &sealer),
	                      .lkey = session->slots_mr->lkey};
	struct ibv_send_wr request = {.wr_id = (uintptr_t)tag,
	                              .sg_list = &sge,
	                              .num_sge = 1,
	                              .opcode = IBV_WR_SEND,
	                              .send_flags = IBV_SEND_SIGNALED | IBV_SEND_SOLICITED};
	struct ibv_send_wr *bad;
	const int rc =
	        tandem_rdma_errno_of(ibv_post_send(session->channels[0].id->qp, &request, &bad));

	if (rc != 0) {
		lose_for_post(session, rc, "ibv_post_send");
		return false;
	}
	session->send_sequence++;
	return true;
}

/* ---- messages ---- */

static bool has_room(const struct tandem_rdma_session *session)
{
	return tandem_rdma_send_ring_free_count(&session->channels[0].sends) > 0;
}

/* Where the payload of the next message goes; there is room. */
static uint8_t *next_payload(const struct tandem_rdma_session *session)
{
	const unsigned index = tandem_rdma_send_ring_next(&session->channels[0].sends);

	return tandem_rdma_slot(session, TANDEM_RDMA_FIRST_SEND + index) + TANDEM_RDMA_HEADER_BYTES;
}

/* Takes what next_payload() holds; it goes when the peer's credit allows. */
static void take_message(struct tandem_rdma_session *session, enum tandem_rdma_message_kind kind,
                         size_t payload_bytes)
{
	const unsigned index = tandem_rdma_send_ring_take(&session->channels[0].sends,
	                                                  tandem_clock_now_ns(), false);

	session->outgoing[index] = (struct tandem_rdma_outgoing){kind, (uint32_t)payload_bytes};
}

static bool may_send(const struct tandem_rdma_session *session)
{
	return session->is_keyed && !tandem_rdma_session_has_ended(session);
}

static void flush_messages(struct tandem_rdma_session *session)
{
	struct tandem_rdma_channel *channel = &session->channels[0];

	while (may_send(session) && tandem_rdma_send_ring_unposted_count(&channel->sends) > 0 &&
	       session->message_sent_count - session->message_credited_count <
	               TANDEM_RDMA_MESSAGES_UNTAKEN_MAX) {
		const unsigned index = tandem_rdma_send_ring_unposted(&channel->sends, 0);

		if (!post_slot(session, TANDEM_RDMA_FIRST_SEND + index, &session->outgoing[index],
		               &channel->send_tags[index]))
			return;
		tandem_rdma_send_ring_post(&channel->sends, 1, tandem_clock_now_ns());
		session->message_sent_count++;
	}
}

int tandem_rdma_control_send(struct tandem_session *head, const void *message, size_t message_bytes)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	if (message_bytes > TANDEM_MESSAGE_BYTES_MAX || session->state == TANDEM_RDMA_JOINING)
		return TANDEM_E_USAGE;
	if (session->state != TANDEM_RDMA_UP)
		return TANDEM_E_PEER_LOST;
	/* What was exposed before is announced before: an announcement takes each slot that is
	 * free, so that there is none while one waits. */
	tandem_rdma_control_pump(session);
	if (session->state != TANDEM_RDMA_UP)
		return TANDEM_E_PEER_LOST;
	if (!has_room(session))
		return TANDEM_E_AGAIN;
	memcpy(next_payload(session), message, message_bytes);
	take_message(session, TANDEM_RDMA_MESSAGE_USER, message_bytes);
	flush_messages(session);
	tandem_patience_renew(&session->patience);
	return session->state == TANDEM_RDMA_UP ? 0 : TANDEM_E_PEER_LOST;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void announce_part(struct tandem_rdma_channel *channel, unsigned memory_id)
{
	struct tandem_rdma_session *session = channel->session;
	struct tandem_rdma_exposed *exposed = &channel->exposed[memory_id];
	const struct tandem_rdma_registration *registration = exposed->registration;
	struct tandem_rdma_piece pieces[TANDEM_RDMA_EXPOSE_PIECES_MAX];
	const struct tandem_rdma_expose expose = {
	        .memory_id = memory_id,
	        .channel = channel->index - 1,
	        .attempt = channel->attempt,
	        .first_piece = exposed->announced_count,
	        .piece_count = smaller(registration->piece_count - exposed->announced_count,
	                               TANDEM_RDMA_EXPOSE_PIECES_MAX),
	        .total_bytes = registration->length,
	        .piece_bytes = registration->piece_bytes,
	};

	for (uint32_t i = 0; i < expose.piece_count; i++) {
		const struct ibv_mr *mr = registration->pieces[expose.first_piece + i];

		pieces[i] = (struct tandem_rdma_piece){(uintptr_t)mr->addr, mr->rkey};
	}
	exposed->announced_count += expose.piece_count;
	if (exposed->announced_count == registration->piece_count)
		channel->unannounced_count--;
	take_message(session, TANDEM_RDMA_MESSAGE_EXPOSE,
	             tandem_rdma_expose_encode(&expose, pieces, next_payload(session)));
}

/* False where there is no room for all of it. */
static bool announce(struct tandem_rdma_channel *channel)
{
	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX && channel->unannounced_count > 0; id++) {
		const struct tandem_rdma_exposed *exposed = &channel->exposed[id];

		while (exposed->registration != NULL &&
		       exposed->announced_count < exposed->registration->piece_count) {
			if (!has_room(channel->session))
				return false;
			announce_part(channel, id);
		}
	}
	return true;
}

static void tell_of(const struct tandem_rdma_channel *channel,
                    enum tandem_rdma_channel_news_kind kind)
{
	struct tandem_rdma_session *session = channel->session;
	const struct tandem_rdma_channel_news news = {kind, channel->index - 1, channel->attempt};

	take_message(session, TANDEM_RDMA_MESSAGE_CHANNEL,
	             tandem_rdma_channel_news_encode(&news, next_payload(session)));
}

/* What the peer has to know of a data channel, in this order: its end, or its keys and then that
 * it is ready. */
static void tell(struct tandem_rdma_channel *channel)
{
	struct tandem_rdma_session *session = channel->session;

	if (channel->owes_ended && has_room(session)) {
		channel->owes_ended = false;
		tell_of(channel, TANDEM_RDMA_CHANNEL_ENDED);
	}
	if (!channel->has_keys || channel->exposed == NULL ||
	    (channel->state != TANDEM_CHANNEL_JOINING && channel->state != TANDEM_CHANNEL_UP) ||
	    !announce(channel) || !channel->owes_ready || !has_room(session))
		return;
	channel->owes_ready = false;
	tell_of(channel, TANDEM_RDMA_CHANNEL_READY);
	tandem_rdma_join_settle(channel);
}

static void tell_of_beat(struct tandem_rdma_session *session)
{
	const struct ibv_mr *mr = session->beat.mr;
	struct tandem_rdma_piece word;

	if (session->beat.is_told || mr == NULL || !has_room(session))
		return;
	session->beat.is_told = true;
	word = (struct tandem_rdma_piece){(uintptr_t)mr->addr, mr->rkey};
	take_message(session, TANDEM_RDMA_MESSAGE_BEAT,
	             tandem_rdma_beat_encode(&word, next_payload(session)));
}

void tandem_rdma_control_prove(struct tandem_rdma_session *session)
{
	memcpy(next_payload(session), session->secrets.connecting_proof, TANDEM_PROOF_BYTES);
	take_message(session, TANDEM_RDMA_MESSAGE_PROOF, TANDEM_PROOF_BYTES);
	flush_messages(session);
}

/* ---- credits ---- */

static bool is_credit_due(const struct tandem_rdma_session *session)
{
	if (session->message_taken_count - session->message_reported_count >=
	    TANDEM_RDMA_MESSAGES_PER_CREDIT)
		return true;
	for (unsigned i = 1; i <= session->channel_count; i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->notify_taken_count - channel->notify_reported_count >=
		    TANDEM_RDMA_NOTIFIES_PER_CREDIT)
			return true;
	}
	return false;
}

static void send_credit(struct tandem_rdma_session *session)
{
	const unsigned index = tandem_rdma_send_ring_next(&session->credits);
	const unsigned number = TANDEM_RDMA_FIRST_CREDIT + index;
	struct tandem_rdma_outgoing outgoing = {.kind = TANDEM_RDMA_MESSAGE_CREDIT};
	struct tandem_rdma_credit credit = {.message_count = session->message_taken_count,
	                                    .channel_count = session->channel_count};
	const uint64_t now_ns = tandem_clock_now_ns();

	for (unsigned i = 0; i < session->channel_count; i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i + 1];

		/* The counts of an attempt end with it, before its number does: attempt 0 is none
		 * of the peer's. */
		credit.attempts[i] = channel->state == TANDEM_CHANNEL_UP ? channel->attempt : 0;
		credit.notify_counts[i] = channel->notify_taken_count;
	}
	outgoing.payload_bytes = (uint32_t)tandem_rdma_credit_encode(
	        &credit, tandem_rdma_slot(session, number) + TANDEM_RDMA_HEADER_BYTES);
	if (!post_slot(session, number, &outgoing, &session->credit_tags[index]))
		return;
	tandem_rdma_send_ring_take(&session->credits, now_ns, false);
	tandem_rdma_send_ring_post(&session->credits, 1, now_ns);
	session->message_reported_count = credit.message_count;
	for (unsigned i = 0; i < session->channel_count; i++)
		session->channels[i + 1].notify_reported_count = credit.notify_counts[i];
}

void tandem_rdma_control_pump(struct tandem_rdma_session *session)
{
	if (!may_send(session))
		return;
	if (is_credit_due(session) && tandem_rdma_send_ring_free_count(&session->credits) > 0)
		send_credit(session);
	tell_of_beat(session);
	for (unsigned i = 1; i <= session->channel_count && may_send(session); i++)
		tell(&session->channels[i]);
	flush_messages(session);
}

/* ---- what arrives ---- */

static void repost(struct tandem_rdma_session *session, uint32_t slot)
{
	int rc;

	if (tandem_rdma_session_has_ended(session))
		return;
	rc = tandem_rdma_channel_post_receive(&session->channels[0], slot);
	if (rc != 0)
		lose_for_post(session, rc, "ibv_post_recv");
}

static const char *take_channel_credit(struct tandem_rdma_channel *channel, uint32_t attempt,
                                       uint64_t notify_count)
{
	/* Of an attempt that has ended since: its counts ended with it. */
	if (attempt != channel->attempt || channel->state != TANDEM_CHANNEL_UP)
		return NULL;
	if (notify_count < channel->notify_credited_count ||
	    notify_count > channel->notify_sent_count)
		return "CREDIT for notifies that were not sent";
	channel->notify_credited_count = notify_count;
	if (channel->requests != NULL)
		tandem_rdma_channel_flush(channel, tandem_clock_now_ns());
	return NULL;
}

static const char *take_credit(struct tandem_rdma_session *session, const uint8_t *payload,
                               size_t payload_bytes)
{
	struct tandem_rdma_credit credit;
	const char *fault =
	        tandem_rdma_credit_decode(payload, payload_bytes, session->channel_count, &credit);

	if (fault != NULL)
		return fault;
	if (credit.message_count < session->message_credited_count ||
	    credit.message_count > session->message_sent_count)
		return "CREDIT for messages that were not sent";
	session->message_credited_count = credit.message_count;
	flush_messages(session);
	for (unsigned i = 0; i < session->channel_count && fault == NULL; i++)
		fault = take_channel_credit(&session->channels[i + 1], credit.attempts[i],
		                            credit.notify_counts[i]);
	return fault;
}

/* The attempt that a message is about may have ended while it was on its way. */
static bool concerns(const struct tandem_rdma_channel *channel, uint32_t attempt)
{
	return attempt == channel->attempt &&
	       (channel->state == TANDEM_CHANNEL_JOINING || channel->state == TANDEM_CHANNEL_UP);
}

static const char *take_expose(struct tandem_rdma_session *session, const uint8_t *payload,
                               size_t payload_bytes, int *ret_code)
{
	struct tandem_rdma_expose expose;
	struct tandem_rdma_channel *channel;
	const char *fault = tandem_rdma_expose_decode(payload, payload_bytes, &expose);

	if (fault != NULL)
		return fault;
	if (session->is_listening_side)
		return "EXPOSE from the connecting side";
	if (expose.channel >= session->channel_count)
		return "EXPOSE for a channel that the session has not";
	channel = &session->channels[expose.channel + 1];
	if (!concerns(channel, expose.attempt))
		return NULL;
	if (channel->peer_memories == NULL)
		return "EXPOSE for a channel that has not joined";
	fault = tandem_rdma_peer_memories_take(channel->peer_memories, &expose, payload, ret_code);
	tandem_rdma_exposures_count(session, expose.memory_id);
	return fault;
}

static void end_channel(struct tandem_rdma_channel *channel)
{
	struct tandem_error cause;
	char name[24];

	tandem_error_set(&cause, TANDEM_E_PEER_LOST, "control message", "%s ended its end of %s",
	                 channel->peer_text, tandem_rdma_channel_name(channel, name));
	tandem_rdma_channel_lose(channel, &cause);
	channel->owes_ended = false;
}

static const char *take_channel_news(struct tandem_rdma_session *session, const uint8_t *payload,
                                     size_t payload_bytes)
{
	struct tandem_rdma_channel_news news;
	struct tandem_rdma_channel *channel;
	const char *fault = tandem_rdma_channel_news_decode(payload, payload_bytes,
	                                                    session->channel_count, &news);

	if (fault != NULL)
		return fault;
	if (news.kind == TANDEM_RDMA_CHANNEL_READY && session->is_listening_side)
		return "CHANNEL ready from the connecting side";
	channel = &session->channels[news.channel + 1];
	if (!concerns(channel, news.attempt))
		return NULL;
	if (news.kind == TANDEM_RDMA_CHANNEL_ENDED) {
		end_channel(channel);
		return NULL;
	}
	channel->has_keys = true;
	tandem_rdma_join_settle(channel);
	return NULL;
}

/* [S2] Nothing is believed before it, and it comes once. */
static const char *take_proof(struct tandem_rdma_session *session, const uint8_t *payload,
                              size_t payload_bytes)
{
	if (!session->is_listening_side || session->is_keyed)
		return "PROOF that was not asked for";
	if (payload_bytes != TANDEM_PROOF_BYTES ||
	    !tandem_mac_equal(payload, session->secrets.connecting_proof, TANDEM_PROOF_BYTES))
		return "PROOF of another key";
	session->is_keyed = true;
	session->channels[0].state = TANDEM_CHANNEL_UP;
	session->state = TANDEM_RDMA_UP;
	return NULL;
}

static void lose_for_fault(struct tandem_rdma_session *session, int code, const char *fault)
{
	struct tandem_error cause;

	tandem_error_set(&cause, code, "control message", "%s from %s", fault,
	                 tandem_rdma_session_peer(session));
	tandem_rdma_session_lose(session, &cause);
}

static const char *take_message_of(struct tandem_rdma_session *session,
                                   const struct tandem_rdma_header *header, const uint8_t *payload,
                                   int *ret_code)
{
	if (header->kind == TANDEM_RDMA_MESSAGE_CREDIT)
		return take_credit(session, payload, header->payload_bytes);
	session->message_taken_count++;
	if (header->kind == TANDEM_RDMA_MESSAGE_EXPOSE)
		return take_expose(session, payload, header->payload_bytes, ret_code);
	if (header->kind == TANDEM_RDMA_MESSAGE_CHANNEL)
		return take_channel_news(session, payload, header->payload_bytes);
	if (header->kind == TANDEM_RDMA_MESSAGE_BEAT)
		return tandem_rdma_beat_take(session, payload, header->payload_bytes);
	return take_proof(session, payload, header->payload_bytes);
}

void tandem_rdma_control_arrived(struct tandem_rdma_session *session, uint32_t slot,
                                 uint32_t length)
{
	const struct tandem_rdma_sealer sealer = {&session->secrets, !session->is_listening_side};
	const uint8_t *bytes = tandem_rdma_slot(session, slot);
	struct tandem_rdma_arrival arrival = {
	        .type = TANDEM_SESSION_MESSAGE, .channel = &session->channels[0], .slot = slot};
	struct tandem_rdma_header header = {0};
	int code = session->is_keyed ? TANDEM_E_PROTOCOL : TANDEM_E_REFUSED;
	const char *fault = tandem_rdma_message_open(bytes, length, session->receive_sequence + 1,
	                                             &sealer, &header);

	if (fault == NULL && !session->is_keyed && header.kind != TANDEM_RDMA_MESSAGE_PROOF)
		fault = "control message before the proof";
	if (fault != NULL) {
		lose_for_fault(session, code, fault);
		return;
	}
	session->receive_sequence++;
	if (header.kind == TANDEM_RDMA_MESSAGE_USER) {
		arrival.payload_bytes = header.payload_bytes;
		tandem_rdma_arrival_add(session, &arrival);
		return;
	}
	fault = take_message_of(session, &header, bytes + TANDEM_RDMA_HEADER_BYTES, &code);
	if (fault != NULL)
		lose_for_fault(session, code, fault);
	else
		repost(session, slot);
}
