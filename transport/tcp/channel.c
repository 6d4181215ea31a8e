#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* T3, T15 to T17. What becomes of a data channel while its session lives: the listening side's end
 * joins from the door, either side's ends, and the listening side fences its own. */

unsigned tandem_tcp_channels_count(const struct tandem_tcp_session *session,
                                   enum tandem_channel_state state)
{
	unsigned count = 0;
	for (unsigned i = 1; i < session->connection_count; i++)
		count += session->connections[i].channel_state == state;
	return count;
}

/* ---- its end ---- */

static void raise_lost(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	connection->is_ending = false;
	tandem_tcp_connection_close(session, connection);
	tandem_event_queue_add_channel_lost(&session->queue, connection->index - 1,
	                                    &connection->cause);
}

void tandem_tcp_channel_lose(struct tandem_tcp_session *session,
                             struct tandem_tcp_connection *connection,
                             const struct tandem_error *cause)
{
	bool was_up = connection->channel_state == TANDEM_CHANNEL_UP;
	if (session->state != TANDEM_TCP_UP ||
	    (!was_up && connection->channel_state != TANDEM_CHANNEL_JOINING))
		return;
	connection->channel_state = TANDEM_CHANNEL_LOST;
	connection->cause = *cause;
	connection->lost_count++;
	if (connection->first_error.code == 0)
		connection->first_error = *cause;
	if (was_up && tandem_tcp_channels_count(session, TANDEM_CHANNEL_UP) == 0) {
		tandem_tcp_session_end(session, cause,
		                       cause->code == TANDEM_E_PEER_LOST
		                               ? TANDEM_TCP_DRAIN_SENT
		                               : TANDEM_TCP_DRAIN_RECEIVED);
		return;
	}
	tandem_tcp_outbox_clear(&connection->outbox);
	tandem_tcp_connection_limit(session, connection);
	/* The peer gets to know at once; what it had sent is still read. */
	shutdown(connection->fd, SHUT_WR);
	connection->is_ending = true;
	tandem_tcp_session_wake(session);
}

void tandem_tcp_channels_finish(struct tandem_tcp_session *session)
{
	for (unsigned i = 1; i < session->connection_count; i++) {
		struct tandem_tcp_connection *connection = &session->connections[i];
		if (!connection->is_ending || session->state != TANDEM_TCP_UP)
			continue;
		tandem_tcp_inbox_receive(session, connection, TANDEM_TCP_BUDGET_BYTES);
		if (connection->is_ending && connection->inbox.is_closed)
			raise_lost(session, connection);
	}
}

void tandem_tcp_session_break_channel(struct tandem_session *head, unsigned channel)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_tcp_connection *connection = &session->connections[1 + channel];
	struct tandem_error cause;
	if (session->state != TANDEM_TCP_UP || connection->channel_state != TANDEM_CHANNEL_UP)
		return;
	tandem_error_set(&cause, TANDEM_E_CHANNEL_LOST, "break",
	                 "%s, data channel %u: broken by this side", connection->peer_text,
	                 channel);
	tandem_tcp_channel_lose(session, connection, &cause);
}

/* ---- listening side: joining from the door ---- */

/* Its token was shown at the door: who has none learns nothing and uses up no attempt [S4]. */
static enum tandem_verdict judge(const struct tandem_tcp_session *session,
                                 const struct tandem_tcp_connection *connection,
                                 const struct tandem_hello *hello)
{
	if (hello->channel_count != session->connection_count - 1)
		return TANDEM_VERDICT_CHANNEL;
	if (hello->attempt <= connection->attempt)
		return TANDEM_VERDICT_ATTEMPT;
	if (connection->channel_state != TANDEM_CHANNEL_DOWN)
		return TANDEM_VERDICT_CHANNEL;
	/* Its owner has yet to learn that it was lost. */
	if (tandem_event_queue_has_channel_lost(&session->queue, hello->channel))
		return TANDEM_VERDICT_BUSY;
	return TANDEM_VERDICT_JOINED;
}

static bool send_answer(const struct tandem_tcp_session *session, int fd,
                        enum tandem_verdict verdict, const struct tandem_hello *hello)
{
	struct tandem_answer answer = {.verdict = verdict, .version = TANDEM_HELLO_VERSION};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	if (verdict == TANDEM_VERDICT_JOINED) {
		answer.session_id = session->transcript.session_id;
		tandem_channel_token(&session->secrets, hello->channel, hello->attempt, true,
		                     answer.proof);
	}
	tandem_answer_encode(&answer, bytes);
	/* A new connection has room for it; where not, the peer's time to join passes. */
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(bytes);
}

static void join(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                 struct tandem_tcp_knock *knock)
{
	enum tandem_verdict verdict = judge(session, connection, &knock->hello);
	if (verdict != TANDEM_VERDICT_JOINED) {
		send_answer(session, knock->fd, verdict, &knock->hello);
		tandem_tcp_socket_close(&knock->fd);
		return;
	}
	connection->attempt = knock->hello.attempt;
	connection->rail = knock->rail;
	/* Both failures end this attempt; the peer sees its connection end. */
	if (tandem_tcp_connection_adopt(session, connection, knock->fd, &knock->peer, NULL) != 0)
		return;
	if (!send_answer(session, connection->fd, verdict, &knock->hello)) {
		tandem_tcp_connection_close(session, connection);
		return;
	}
	connection->join_state = TANDEM_TCP_JOIN_JOINED;
	connection->channel_state = TANDEM_CHANNEL_UP;
	session->lonely_deadline_ns = UINT64_MAX;
	tandem_event_queue_add_channel_up(&session->queue, knock->hello.channel);
	tandem_tcp_connection_poll(session, connection, EPOLLIN);
}

void tandem_tcp_channels_answer(struct tandem_tcp_session *session)
{
	struct tandem_tcp_knock knock;
	/* First: who knocks from here on wakes the session again. */
	tandem_tcp_door_quiet(session->door);
	for (unsigned i = 1; i < session->connection_count; i++) {
		if (tandem_tcp_door_take(session->door, i - 1, &knock))
			join(session, &session->connections[i], &knock);
	}
	/* Nobody joins a channel that the session has not. */
	for (unsigned i = session->connection_count - 1; i < TANDEM_CHANNELS_MAX; i++) {
		if (tandem_tcp_door_take(session->door, i, &knock))
			tandem_tcp_socket_close(&knock.fd);
	}
}

/* ---- listening side: the fence ---- */

static void drain(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                  uint64_t deadline_ns)
{
	const struct tandem_tcp_inbox *inbox = &connection->inbox;
	tandem_tcp_connection_limit(session, connection);
	do {
		tandem_tcp_inbox_receive(session, connection, TANDEM_TCP_BUDGET_BYTES);
	} while (!inbox->is_closed && !inbox->is_stalled && tandem_clock_now_ns() < deadline_ns);
}

/* T16. A TCP peer stores nothing itself: our reads do. So when the connection is closed here, no
 * write of it can land, and that needs nobody's answer. */
int tandem_tcp_session_fence_channel(struct tandem_session *head, unsigned channel,
                                     uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_tcp_connection *connection = &session->connections[1 + channel];
	struct tandem_tcp_knock knock;
	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side exposes memory");
	if (tandem_tcp_door_take(session->door, channel, &knock))
		tandem_tcp_socket_close(&knock.fd); /* of an attempt before the fence */
	if (connection->join_state == TANDEM_TCP_JOIN_JOINED && !connection->inbox.is_closed) {
		drain(session, connection, deadline_ns);
		tandem_tcp_session_refuse_overflow(session, connection);
	}
	if (connection->is_ending)
		raise_lost(session, connection);
	else if (connection->join_state == TANDEM_TCP_JOIN_JOINED)
		tandem_tcp_connection_close(session, connection);
	connection->channel_state = TANDEM_CHANNEL_DOWN;
	if (tandem_tcp_channels_count(session, TANDEM_CHANNEL_UP) == 0)
		session->lonely_deadline_ns =
		        tandem_clock_now_ns() + session->options.connect_timeout_ns;
	tandem_tcp_session_wake(session);
	return 0;
}

/* ---- what it says about itself ---- */

void tandem_tcp_session_channel_status(const struct tandem_session *head, unsigned channel,
                                       struct tandem_channel_status *ret_status)
{
	const struct tandem_tcp_connection *connection =
	        &tandem_tcp_session_of_const(head)->connections[1 + channel];
	*ret_status = (struct tandem_channel_status){
	        .state = connection->channel_state,
	        .rail = connection->rail,
	        .bytes = connection->bytes,
	        .inflight_count = connection->outbox.count,
	        .oldest_posted_ns = tandem_tcp_outbox_oldest_ns(&connection->outbox),
	        .lost_count = connection->lost_count,
	        .first_error = connection->first_error,
	};
}
