#include <string.h>
#include <sys/epoll.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "tcp/session.h"

/* What one call of write or send gives the kernel at most; progress sends the rest. */
#define FLUSH_BYTES ((size_t)4 << 20)

/* What lingers makes the session's descriptor readable, and progress sends it: writes that come in
 * small lists, and a notify after them, share a call of the kernel. */
static void offer(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                  uint64_t now_ns)
{
	if (tandem_tcp_outbox_is_ripe(&connection->outbox))
		tandem_tcp_connection_flush(session, connection, FLUSH_BYTES, now_ns);
	else if (connection->outbox.count > 0)
		tandem_tcp_connection_poll(session, connection, EPOLLIN | EPOLLOUT);
}

static bool is_over(const struct tandem_tcp_session *session)
{
	return session->state >= TANDEM_TCP_DRAINING || atomic_load(&session->is_yanked);
}

int tandem_tcp_session_expose(struct tandem_session *head, unsigned memory_id, void *base,
                              size_t length, struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_tcp_memory *memory = &session->memories[memory_id];
	uint64_t now_ns = tandem_clock_now_ns();
	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "only the listening side exposes memory");
	if (is_over(session))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "expose",
		                        "the session has ended");
	if (memory->bytes > 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory %u is exposed already", memory_id);
	struct tandem_frame frame = {.type = TANDEM_FRAME_EXPOSE,
	                             .memory_id = memory_id,
	                             .offset = length,
	                             .memory_key = tandem_random_unique()};
	/* There is room: the queue has a place for each id, and each id comes once. */
	if (!tandem_tcp_outbox_add(&session->connections[0].outbox, &frame, NULL, now_ns))
		return tandem_error_set(reterr_error, TANDEM_E_AGAIN, "expose",
		                        "the queue is full");
	*memory =
	        (struct tandem_tcp_memory){.base = base, .bytes = length, .key = frame.memory_key};
	tandem_tcp_connection_flush(session, &session->connections[0], FLUSH_BYTES, now_ns);
	return 0;
}

int tandem_tcp_session_register(struct tandem_session *head, const void *base, size_t length,
                                struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	if (session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "only the connecting side writes");
	if (!tandem_range_table_add(&session->sources, base, length))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "more than %u ranges", TANDEM_RANGES_MAX);
	return 0;
}

uint64_t tandem_tcp_session_exposed_bytes(const struct tandem_session *head, unsigned memory_id)
{
	const struct tandem_tcp_session *session = tandem_tcp_session_of_const(head);
	return session->is_listening_side ? 0 : session->memories[memory_id].bytes;
}

int tandem_tcp_session_send(struct tandem_session *head, const void *message, size_t message_bytes)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_tcp_connection *control = &session->connections[0];
	struct tandem_frame frame = {.type = TANDEM_FRAME_MESSAGE,
	                             .length = (uint32_t)message_bytes};
	uint64_t now_ns = tandem_clock_now_ns();
	if (is_over(session))
		return TANDEM_E_PEER_LOST;
	if (session->state == TANDEM_TCP_JOINING ||
	    control->outbox.payload_count == TANDEM_MESSAGES_MAX)
		return TANDEM_E_AGAIN;
	uint8_t *copy = session->message_pool[session->message_slot];
	memcpy(copy, message, message_bytes); /* before its tag is made */
	if (!tandem_tcp_outbox_add(&control->outbox, &frame, copy, now_ns))
		return TANDEM_E_AGAIN;
	session->message_slot = (session->message_slot + 1) % TANDEM_MESSAGES_MAX;
	tandem_tcp_connection_flush(session, control, FLUSH_BYTES, now_ns);
	tandem_tcp_session_expect(session);
	return 0;
}

static bool add_write(struct tandem_tcp_session *session, unsigned channel,
                      const struct tandem_write *write, struct tandem_frame *frame, uint64_t now_ns)
{
	frame->memory_id = write->memory_id;
	frame->offset = write->offset;
	frame->length = write->length;
	frame->memory_key = session->memories[write->memory_id].key;
	if (!tandem_tcp_outbox_add(&session->connections[1 + channel].outbox, frame, write->source,
	                           now_ns))
		return false;
	session->connections[1 + channel].bytes += write->length;
	return true;
}

/* How many of the first ones were taken. */
static unsigned add_writes(struct tandem_tcp_session *session, unsigned channel,
                           const struct tandem_write *writes, unsigned count, uint64_t now_ns)
{
	struct tandem_frame frame = {.memory_id = writes[0].memory_id,
	                             .memory_key = session->memories[writes[0].memory_id].key};
	struct tandem_tcp_connection *connection = &session->connections[1 + channel];
	unsigned batch =
	        tandem_tcp_outbox_add_batch(&connection->outbox, &frame, writes, count, now_ns);
	connection->bytes += frame.length;
	return batch;
}

/* 0 when this side may write all of them now. */
static int check_writes(struct tandem_tcp_session *session, unsigned channel,
                        const struct tandem_write *writes, unsigned count)
{
	if (session->is_listening_side)
		return TANDEM_E_USAGE;
	if (is_over(session))
		return TANDEM_E_PEER_LOST;
	if (session->connections[1 + channel].channel_state != TANDEM_CHANNEL_UP)
		return TANDEM_E_CHANNEL_LOST;
	for (unsigned i = 0; i < count; i++) {
		if (!tandem_range_table_holds(&session->sources, writes[i].source,
		                              writes[i].length))
			return TANDEM_E_USAGE;
	}
	return 0;
}

int tandem_tcp_session_write(struct tandem_session *head, unsigned channel,
                             const struct tandem_write *writes, unsigned count,
                             unsigned *ret_taken_count)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	uint64_t now_ns = tandem_clock_now_ns();
	unsigned taken_count = 0;
	int status = check_writes(session, channel, writes, count);
	if (status != 0)
		return status;
	while (taken_count < count) {
		unsigned batch = add_writes(session, channel, writes + taken_count,
		                            count - taken_count, now_ns);
		if (batch == 0)
			break;
		taken_count += batch;
	}
	offer(session, &session->connections[1 + channel], now_ns);
	*ret_taken_count = taken_count;
	return 0;
}

int tandem_tcp_session_notify(struct tandem_session *head, unsigned channel,
                              const struct tandem_write *write, uint32_t immediate)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_frame frame = {.type = TANDEM_FRAME_NOTIFY, .immediate = immediate};
	uint64_t now_ns = tandem_clock_now_ns();
	int status = check_writes(session, channel, write, 1);
	if (status != 0)
		return status;
	if (!add_write(session, channel, write, &frame, now_ns))
		return TANDEM_E_AGAIN;
	tandem_tcp_connection_flush(session, &session->connections[1 + channel], FLUSH_BYTES,
	                            now_ns);
	tandem_tcp_session_expect(session);
	return 0;
}

unsigned tandem_tcp_session_inflight_count(const struct tandem_session *head, unsigned channel)
{
	return tandem_tcp_session_of_const(head)->connections[1 + channel].outbox.count;
}
