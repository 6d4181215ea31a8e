#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* What is worth asking for before a read: more would push it out again. */
#define WARM_PARTS 2
#define WARM_BYTES 4096
#define LINE_BYTES 64

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

static struct finding find(enum tandem_frame_fault fault, const struct tandem_frame_reader *reader,
                           const struct tandem_tcp_memory *target)
{
	const struct tandem_frame *frame = &reader->frame;
	const struct tandem_extent *extent = &reader->extents[0];
	bool is_batch = frame->type == TANDEM_FRAME_BATCH;
	switch (fault) {
	case TANDEM_FRAME_FAULT_SEQUENCE:
		return (struct finding){frame->sequence, reader->sequence};
	case TANDEM_FRAME_FAULT_KEY:
		return (struct finding){frame->memory_key, target->key};
	case TANDEM_FRAME_FAULT_RANGE:
		return (struct finding){is_batch ? extent->offset + extent->length
		                                 : frame->offset + frame->length,
		                        target->bytes};
	case TANDEM_FRAME_FAULT_NONE:
	case TANDEM_FRAME_FAULT_MAGIC:
	case TANDEM_FRAME_FAULT_CHECKSUM:
	case TANDEM_FRAME_FAULT_TYPE:
	case TANDEM_FRAME_FAULT_FIELD:
	case TANDEM_FRAME_FAULT_LENGTH:
	case TANDEM_FRAME_FAULT_CHANNEL:
	case TANDEM_FRAME_FAULT_EXPOSED:
	case TANDEM_FRAME_FAULT_TABLE:
	case TANDEM_FRAME_FAULT_TAG:
	case TANDEM_FRAME_FAULT_COUNT:
		break;
	}
	return (struct finding){frame->type, 0};
}

static void refuse(struct tandem_tcp_session *session,
                   const struct tandem_tcp_connection *connection, enum tandem_frame_fault fault,
                   bool has_frame)
{
	const struct tandem_frame_reader *reader = &connection->inbox.reader;
	struct tandem_error cause;
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	if (has_frame) {
		struct finding finding = find(fault, reader, target_of(session, &reader->frame));
		tandem_error_set(&cause, TANDEM_E_PROTOCOL, "receive",
		                 "%s, %s: frame %" PRIu64 " has %s (memory %u, seen %" PRIu64
		                 ", needed %" PRIu64 ")",
		                 connection->peer_text, name, reader->sequence,
		                 tandem_frame_fault_text(fault), reader->frame.memory_id,
		                 finding.seen, finding.needed);
	} else {
		tandem_error_set(&cause, TANDEM_E_PROTOCOL, "receive",
		                 "%s, %s: frame %" PRIu64 " has %s", connection->peer_text, name,
		                 connection->inbox.reader.sequence, tandem_frame_fault_text(fault));
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
	                                             .sequence = connection->inbox.reader.sequence};
	enum tandem_frame_fault fault = tandem_frame_check(frame, &context);
	if (fault != TANDEM_FRAME_FAULT_NONE || frame->type == TANDEM_FRAME_MESSAGE)
		return fault;
	const struct tandem_tcp_memory *memory = target_of(session, frame);
	if (frame->type == TANDEM_FRAME_EXPOSE)
		return memory->bytes == 0 ? TANDEM_FRAME_FAULT_NONE : TANDEM_FRAME_FAULT_EXPOSED;
	return tandem_frame_check_target(frame, memory->bytes, memory->key);
}

/* T6, T7: judges the header that is whole; only after that a byte behind it is stored. */
static bool open_frame(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	const struct tandem_frame *frame = &inbox->reader.frame;
	enum tandem_frame_fault fault = check(session, connection, frame);
	if (fault != TANDEM_FRAME_FAULT_NONE) {
		refuse(session, connection, fault, true);
		return false;
	}
	if (connection->index == 0) {
		tandem_frame_reader_open(&inbox->reader, inbox->message, TANDEM_MESSAGE_BYTES_MAX);
	} else {
		const struct tandem_tcp_memory *target = target_of(session, frame);
		tandem_frame_reader_open(&inbox->reader, target->base, target->bytes);
	}
	return true;
}

static void note_exposed(struct tandem_tcp_session *session, const struct tandem_frame *frame)
{
	session->memories[frame->memory_id] =
	        (struct tandem_tcp_memory){.bytes = frame->offset, .key = frame->memory_key};
}

/* [S3] Data channels have no tags: their frames are believed as far as T6 and T7 go. */
static bool is_tag_right(const struct tandem_tcp_session *session,
                         const struct tandem_tcp_connection *connection)
{
	const struct tandem_tcp_inbox *inbox = &connection->inbox;
	const struct tandem_frame *frame = &inbox->reader.frame;
	uint8_t header[TANDEM_FRAME_BYTES];
	uint8_t tag[TANDEM_TAG_BYTES];
	if (connection->index > 0)
		return true;
	tandem_frame_encode(frame, header); /* what decodes encodes to the same bytes */
	tandem_message_tag(&session->secrets, !session->is_listening_side, frame->sequence, header,
	                   sizeof(header), inbox->message, frame->length, tag);
	return tandem_mac_equal(tag, inbox->message + TANDEM_MESSAGE_BYTES_MAX, sizeof(tag));
}

/* false when the event queue has no room. */
static bool deliver(struct tandem_tcp_session *session,
                    const struct tandem_tcp_connection *connection)
{
	const struct tandem_tcp_inbox *inbox = &connection->inbox;
	const struct tandem_frame *frame = &inbox->reader.frame;
	switch (frame->type) {
	case TANDEM_FRAME_MESSAGE:
		return tandem_event_queue_add_message(&session->queue, inbox->message,
		                                      frame->length);
	case TANDEM_FRAME_NOTIFY:
		return tandem_event_queue_add_notice(&session->queue, connection->index - 1,
		                                     frame->immediate);
	case TANDEM_FRAME_EXPOSE:
		note_exposed(session, frame);
		return true;
	case TANDEM_FRAME_WRITE:
	case TANDEM_FRAME_BATCH:
		return true;
	}
	return true;
}

/* Opens and delivers what has come; true when bytes are needed to go on. */
static bool take_whole(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	for (;;) {
		switch (tandem_frame_reader_step(&inbox->reader)) {
		case TANDEM_FRAME_STEP_MORE:
			return true;
		case TANDEM_FRAME_STEP_JUDGE:
			if (!open_frame(session, connection))
				return false;
			break;
		case TANDEM_FRAME_STEP_WHOLE:
			if (!inbox->is_stalled && !is_tag_right(session, connection)) {
				refuse(session, connection, TANDEM_FRAME_FAULT_TAG, true);
				return false;
			}
			inbox->is_stalled = !deliver(session, connection);
			if (inbox->is_stalled)
				return false;
			connection->bytes += inbox->reader.frame.length;
			tandem_frame_reader_close(&inbox->reader);
			break;
		case TANDEM_FRAME_STEP_FAULT:
			refuse(session, connection, inbox->reader.fault, inbox->reader.has_frame);
			return false;
		}
	}
}

/* Memory of a cache is in no processor's cache where a page is written now and then. All its lines
 * are asked for at once; the kernel's copy would wait for them one after the other. */
static void warm(const struct iovec *parts, size_t count)
{
	for (size_t i = 0; i < count && i < WARM_PARTS; i++) {
		const uint8_t *bytes = parts[i].iov_base;

		for (size_t at = 0; at < parts[i].iov_len && at < WARM_BYTES; at += LINE_BYTES)
			__builtin_prefetch(bytes + at, 1);
	}
}

/* One call of the kernel for the rest of a frame's payload and what follows. */
static ssize_t read_some(struct tandem_tcp_connection *connection, size_t budget_bytes,
                         size_t *ret_wanted_bytes)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	struct tandem_frame_piece pieces[TANDEM_FRAME_PIECES_MAX];
	struct iovec parts[TANDEM_FRAME_PIECES_MAX];
	struct msghdr message = {.msg_iov = parts};
	if (inbox->has_limit && budget_bytes > inbox->limit_bytes)
		budget_bytes = inbox->limit_bytes;
	message.msg_iovlen = tandem_frame_reader_room(&inbox->reader, budget_bytes, pieces);
	*ret_wanted_bytes = 0;
	for (unsigned i = 0; i < message.msg_iovlen; i++) {
		parts[i] = (struct iovec){.iov_base = pieces[i].bytes, .iov_len = pieces[i].length};
		*ret_wanted_bytes += pieces[i].length;
	}
	warm(parts, message.msg_iovlen);
	ssize_t got = recvmsg(connection->fd, &message, MSG_DONTWAIT);
	if (got <= 0)
		return got;
	tandem_frame_reader_took(&inbox->reader, (size_t)got);
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
	if (session->state >= TANDEM_TCP_DRAINING || connection->is_ending) {
		connection->inbox.is_closed = true;
		return;
	}
	tandem_tcp_session_end_connection(session, connection, "receive", got < 0 ? os_errno : 0);
}

void tandem_tcp_inbox_receive(struct tandem_tcp_session *session,
                              struct tandem_tcp_connection *connection, size_t budget_bytes)
{
	struct tandem_tcp_inbox *inbox = &connection->inbox;
	bool is_empty = false, has_read = false;
	while (!inbox->is_closed && take_whole(session, connection)) {
		size_t wanted_bytes;
		if (inbox->has_limit && inbox->limit_bytes == 0) {
			inbox->is_closed = true;
			break;
		}
		if (budget_bytes == 0 || is_empty)
			break;
		ssize_t got = read_some(connection, budget_bytes, &wanted_bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			stop_reading(session, connection, got, errno);
			break;
		}
		has_read = true;
		session->turn_bytes += (size_t)got;
		budget_bytes -= (size_t)got;
		/* Asking again would say so and cost a call. */
		is_empty = (size_t)got < wanted_bytes;
	}
	if (has_read)
		tandem_tcp_session_expect(session);
}
