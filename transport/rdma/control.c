#include <errno.h>
#include <string.h>

#include <tandem/clock.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

static bool is_open(const struct tandem_rdma_session *session)
{
	return session->state == TANDEM_RDMA_JOINING || session->state == TANDEM_RDMA_UP;
}

static void lose_for_post(struct tandem_rdma_session *session, int os_errno, const char *operation)
{
	struct tandem_error cause;

	tandem_rdma_error(&cause, os_errno, 0, operation, "control channel to %s",
	                  session->peer_text);
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
	struct ibv_sge sge = {.addr = (uintptr_t)slot,
	                      .length = (uint32_t)tandem_rdma_message_seal(slot, &header),
	                      .lkey = session->slots_mr->lkey};
	struct ibv_send_wr request = {.wr_id = (uintptr_t)tag,
	                              .sg_list = &sge,
	                              .num_sge = 1,
	                              .opcode = IBV_WR_SEND,
	                              .send_flags = IBV_SEND_SIGNALED};
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

static void flush_messages(struct tandem_rdma_session *session)
{
	struct tandem_rdma_channel *channel = &session->channels[0];

	while (session->state == TANDEM_RDMA_UP &&
	       tandem_rdma_send_ring_unposted_count(&channel->sends) > 0 &&
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
	/* What was exposed before is announced before: an announcement takes each slot that gets
	 * free at once, so that there is none while one waits. */
	if (!has_room(session))
		return TANDEM_E_AGAIN;
	memcpy(next_payload(session), message, message_bytes);
	take_message(session, TANDEM_RDMA_MESSAGE_USER, message_bytes);
	flush_messages(session);
	return session->state == TANDEM_RDMA_UP ? 0 : TANDEM_E_PEER_LOST;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void announce_part(struct tandem_rdma_session *session, unsigned memory_id)
{
	struct tandem_rdma_exposure *exposure = &session->exposures[memory_id];
	const struct tandem_rdma_registration *registration = exposure->registration;
	struct tandem_rdma_piece pieces[TANDEM_RDMA_EXPOSE_PIECES_MAX];
	const struct tandem_rdma_expose expose = {
	        .memory_id = memory_id,
	        .first_piece = exposure->announced_count,
	        .piece_count = smaller(registration->piece_count - exposure->announced_count,
	                               TANDEM_RDMA_EXPOSE_PIECES_MAX),
	        .total_bytes = registration->length,
	        .piece_bytes = registration->piece_bytes,
	};

	for (uint32_t i = 0; i < expose.piece_count; i++) {
		const struct ibv_mr *mr = registration->pieces[expose.first_piece + i];

		pieces[i] = (struct tandem_rdma_piece){(uintptr_t)mr->addr, mr->rkey};
	}
	exposure->announced_count += expose.piece_count;
	if (exposure->announced_count == registration->piece_count)
		session->unannounced_count--;
	take_message(session, TANDEM_RDMA_MESSAGE_EXPOSE,
	             tandem_rdma_expose_encode(&expose, pieces, next_payload(session)));
}

static void announce(struct tandem_rdma_session *session)
{
	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX && session->unannounced_count > 0; id++) {
		const struct tandem_rdma_exposure *exposure = &session->exposures[id];

		while (exposure->registration != NULL &&
		       exposure->announced_count < exposure->registration->piece_count) {
			if (!has_room(session))
				return;
			announce_part(session, id);
		}
	}
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

	for (unsigned i = 0; i < session->channel_count; i++)
		credit.notify_counts[i] = session->channels[i + 1].notify_taken_count;
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
	if (session->state != TANDEM_RDMA_UP)
		return;
	if (is_credit_due(session) && tandem_rdma_send_ring_free_count(&session->credits) > 0)
		send_credit(session);
	if (session->unannounced_count > 0)
		announce(session);
	flush_messages(session);
}

/* ---- what arrives ---- */

void tandem_rdma_arrival_add(struct tandem_rdma_session *session,
                             struct tandem_rdma_channel *channel, uint32_t slot, uint32_t immediate,
                             uint32_t payload_bytes)
{
	const unsigned last =
	        (session->arrival_first + session->arrival_count) % TANDEM_RDMA_ARRIVALS_MAX;

	/* LOST is the last event. */
	if (session->state == TANDEM_RDMA_LOST && !session->has_lost_event)
		return;
	session->arrivals[last] =
	        (struct tandem_rdma_arrival){channel, slot, immediate, payload_bytes};
	session->arrival_count++;
}

static void repost(struct tandem_rdma_session *session, uint32_t slot)
{
	int rc;

	if (!is_open(session))
		return;
	rc = tandem_rdma_channel_post_receive(&session->channels[0], slot);
	if (rc != 0)
		lose_for_post(session, rc, "ibv_post_recv");
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
	for (unsigned i = 0; i < session->channel_count; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i + 1];

		if (credit.notify_counts[i] < channel->notify_credited_count ||
		    credit.notify_counts[i] > channel->notify_sent_count)
			return "CREDIT for notifies that were not sent";
		channel->notify_credited_count = credit.notify_counts[i];
		if (channel->requests != NULL)
			tandem_rdma_channel_flush(channel, tandem_clock_now_ns());
	}
	return NULL;
}

static const char *take_expose(struct tandem_rdma_session *session, const uint8_t *payload,
                               size_t payload_bytes, int *ret_code)
{
	*ret_code = TANDEM_E_PROTOCOL;
	if (session->is_listening_side)
		return "EXPOSE from the connecting side";
	session->message_taken_count++;
	return tandem_rdma_peer_memory_take(session->peer_memories, payload, payload_bytes,
	                                    ret_code);
}

static void lose_for_fault(struct tandem_rdma_session *session, int code, const char *fault)
{
	struct tandem_error cause;

	tandem_error_set(&cause, code, "control message", "%s from %s", fault, session->peer_text);
	tandem_rdma_session_lose(session, &cause);
}

void tandem_rdma_control_arrived(struct tandem_rdma_session *session, uint32_t slot,
                                 uint32_t length)
{
	const uint8_t *bytes = tandem_rdma_slot(session, slot);
	const uint8_t *payload = bytes + TANDEM_RDMA_HEADER_BYTES;
	struct tandem_rdma_header header = {0};
	int code = TANDEM_E_PROTOCOL;
	const char *fault =
	        tandem_rdma_message_open(bytes, length, session->receive_sequence + 1, &header);

	if (fault != NULL) {
		lose_for_fault(session, code, fault);
		return;
	}
	session->receive_sequence++;
	switch (header.kind) {
	case TANDEM_RDMA_MESSAGE_USER:
		tandem_rdma_arrival_add(session, &session->channels[0], slot, 0,
		                        header.payload_bytes);
		return;
	case TANDEM_RDMA_MESSAGE_EXPOSE:
		fault = take_expose(session, payload, header.payload_bytes, &code);
		break;
	case TANDEM_RDMA_MESSAGE_CREDIT:
		fault = take_credit(session, payload, header.payload_bytes);
		break;
	}
	if (fault != NULL)
		lose_for_fault(session, code, fault);
	else
		repost(session, slot);
}
