#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* The two numbers that tell a person what is wrong with a frame. */
struct finding {
	uint64_t seen;
	uint64_t needed;
};

static const struct tandem_tcp_memory *target_of(const struct tandem_tcp_session *session,
                                                 const struct tandem_frame *frame)
{
	return &session->memories[frame->memory_id];
}

static struct finding find(enum tandem_frame_fault fault, const struct tandem_frame *frame,
                           const struct tandem_tcp_session *session,
                           const struct tandem_tcp_connection *connection)
{
	switch (fault) {
	case TANDEM_FRAME_FAULT_SEQUENCE:
		return (struct finding){frame->sequence, connection->inbox.sequence};
	case TANDEM_FRAME_FAULT_KEY:
		return (struct finding){frame->memory_key, target_of(session, frame)->key};
	case TANDEM_FRAME_FAULT_RANGE:
		return (struct finding){frame->offset + frame->length,
		                        target_of(session, frame)->bytes};
	case TANDEM_FRAME_FAULT_NONE:
	case TANDEM_FRAME_FAULT_MAGIC:
	case TANDEM_FRAME_FAULT_CHECKSUM:
	case TANDEM_FRAME_FAULT_TYPE:
	case TANDEM_FRAME_FAULT_FIELD:
	case TANDEM_FRAME_FAULT_LENGTH:
	case TANDEM_FRAME_FAULT_CHANNEL:
	case TANDEM_FRAME_FAULT_EXPOSED:
	case TANDEM_FRAME_FAULT_COUNT:
		break;
	}
	return (struct finding){frame->type, 0};
}

static void refuse(struct tandem_tcp_session *session,
                   const struct tandem_tcp_connection *connection, enum tandem_frame_fault fault,
                   const struct tandem_frame *frame)
{
	struct tandem_error cause;
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	if (frame) {
		struct finding finding = find(fault, frame, session, connection);
		tandem_error_set(&cause, TANDEM_E_PROTOCOL, "receive",
		                 "%s, %s: frame %" PRIu64 " has %s (memory %u, seen %" PRIu64
		                 ", needed %" PRIu64 ")",
		                 session->peer_text, name, connection->inbox.sequence,
		                 tandem_frame_fault_text(fault), frame->memory_id, finding.seen,
		                 finding.needed);
	} else {
		tandem_error_set(&cause, TANDEM_E_PROTOCOL, "receive",
		                 "%s, %s: frame %" PRIu64 " has %s", session->peer_text, name,
		                 connection->inbox.sequence, tandem_frame_fault_text(fault));
	}
	tandem_tcp_session_end_protocol(session, &cause);
}

static enum tandem_frame_fault check(const struct tandem_tcp_session *session,
                                     const struct tandem_tcp_connection *connection,
                                     const struct tandem_frame *frame)
{
	const struct tandem_frame_context context = {.is_data_channel = connection->index > 0,
	                                             .is_listening_side =
	                                                     session->is_listening_side,
	                                             .sequence = connection->inbox.sequence};
	enum tandem_frame_fault fault = tandem_frame_check(frame, &context);
	if (fault != TANDEM_FRAME_FAULT_NONE || frame->type == TANDEM_FRAME_MESSAGE)
		return fault;
	const struct tandem_tcp_memory *memory = target_of(session, frame);
	if (frame->type == TANDEM_FRAME_EXPOSE)
		return memory->bytes == 0 ? TANDEM_FRAME_FAULT_NONE : TANDEM_FRAME_FAULT_EXPOSED;
	return tandem_frame_check_target(frame, memory->bytes, memory->key);
}

/* T6, T7: judges the header that is whole; only after that a byte of its payload is read. */
static bool open_frame(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	struct tandem_frame frame;
	enum tandem_frame_fault fault = tandem_frame_decode(inbox->header, &frame);
	if (fault != TANDEM_FRAME_FAULT_NONE) {
		refuse(session, connection, fault, NULL);
		return false;
	}
	fault = check(session, connection, &frame);
	if (fault != TANDEM_FRAME_FAULT_NONE) {
		refuse(session, connection, fault, &frame);
		return false;
	}
	inbox->frame = frame;
	inbox->has_frame = true;
	inbox->header_bytes = 0;
	inbox->payload_bytes = 0;
	inbox->sequence++;
	inbox->payload = inbox->message;
	if (connection->index > 0)
		inbox->payload = target_of(session, &frame)->base + frame.offset;
	return true;
}

static void note_exposed(struct tandem_tcp_session *session, const struct tandem_frame *frame)
{
	session->memories[frame->memory_id] =
	        (struct tandem_tcp_memory){.bytes = frame->offset, .key = frame->memory_key};
}

/* false when the event queue has no room. */
static bool deliver(struct tandem_tcp_session *session,
                    const struct tandem_tcp_connection *connection)
{
	const struct tandem_tcp_inbox *inbox = &connection->inbox;
	switch (inbox->frame.type) {
	case TANDEM_FRAME_MESSAGE:
		return tandem_event_queue_add_message(&session->queue, inbox->message,
		                                      inbox->frame.length);
	case TANDEM_FRAME_NOTIFY:
		return tandem_event_queue_add_notice(&session->queue, connection->index - 1,
		                                     inbox->frame.immediate);
	case TANDEM_FRAME_EXPOSE:
		note_exposed(session, &inbox->frame);
		return true;
	case TANDEM_FRAME_WRITE:
		return true;
	}
	return true;
}

/* Delivers the frame that is whole and opens the next one; true when bytes are needed to go on. */
static bool take_whole(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	for (;;) {
		if (inbox->has_frame) {
			if (inbox->payload_bytes < inbox->frame.length)
				return true;
			inbox->is_stalled = !deliver(session, connection);
			if (inbox->is_stalled)
				return false;
			inbox->has_frame = false;
		}
		if (inbox->header_bytes < TANDEM_FRAME_BYTES)
			return true;
		if (!open_frame(session, connection))
			return false;
	}
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The rest of the payload straight to its place, and with it the header that follows: one call a
 * frame instead of two. */
static ssize_t read_some(struct tandem_tcp_connection *connection, size_t budget_bytes)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	struct iovec parts[2];
	size_t left = budget_bytes;
	size_t payload_left = inbox->has_frame ? inbox->frame.length - inbox->payload_bytes : 0;
	struct msghdr message = {.msg_iov = parts};
	if (inbox->has_limit && left > inbox->limit_bytes)
		left = inbox->limit_bytes;
	if (payload_left > 0) {
		payload_left = smaller(payload_left, left);
		parts[message.msg_iovlen++] = (struct iovec){
		        .iov_base = inbox->payload + inbox->payload_bytes, .iov_len = payload_left};
		left -= payload_left;
	}
	if (left > 0)
		parts[message.msg_iovlen++] = (struct iovec){
		        .iov_base = inbox->header + inbox->header_bytes,
		        .iov_len = smaller(TANDEM_FRAME_BYTES - inbox->header_bytes, left)};
	ssize_t got = recvmsg(connection->fd, &message, MSG_DONTWAIT);
	if (got <= 0)
		return got;
	size_t payload_got = smaller((size_t)got, payload_left);
	inbox->payload_bytes += payload_got;
	inbox->header_bytes += (size_t)got - payload_got;
	if (inbox->has_limit)
		inbox->limit_bytes -= (uint64_t)got;
	return got;
}

/* A read gave nothing: the connection is empty, at its end or broken. */
static void stop_reading(struct tandem_tcp_session *session,
                         struct tandem_tcp_connection *connection, ssize_t got, int os_errno)
{
	bool is_empty = got < 0 && os_errno == EAGAIN;
	if (is_empty && !connection->inbox.has_limit)
		return;
	if (session->state >= TANDEM_TCP_DRAINING) {
		connection->inbox.is_closed = true;
		return;
	}
	tandem_tcp_session_end_connection(session, connection, "receive", got < 0 ? os_errno : 0);
}

void tandem_tcp_inbox_receive(struct tandem_tcp_session *session,
                              struct tandem_tcp_connection *connection, size_t budget_bytes)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	while (!inbox->is_closed && take_whole(session, connection)) {
		if (inbox->has_limit && inbox->limit_bytes == 0) {
			inbox->is_closed = true;
			return;
		}
		if (budget_bytes == 0)
			return;
		ssize_t got = read_some(connection, budget_bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			stop_reading(session, connection, got, errno);
			return;
		}
		budget_bytes -= (size_t)got;
	}
}
