#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <tandem/clock.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* How a session, or one channel of it, comes to its end. */

void tandem_tcp_session_limit(struct tandem_tcp_session *session)
{
	session->awaits_ends = false;
	for (unsigned i = 0; i < session->connection_count; i++)
		tandem_tcp_connection_limit(session, &session->connections[i]);
}

static void close_inbox(struct tandem_tcp_connection *connection)
{
	connection->inbox.is_closed = true;
	connection->inbox.is_stalled = false;
}

static void stop_connection(struct tandem_tcp_session *session,
                            struct tandem_tcp_connection *connection, bool drains)
{
	bool has_joined = connection->join_state == TANDEM_TCP_JOIN_JOINED;
	tandem_tcp_outbox_clear(&connection->outbox);
	connection->is_ending = false; /* the session's end says it all */
	if (!has_joined && connection->index > 0) {
		tandem_tcp_connection_close(session, connection);
		return;
	}
	if (!drains)
		close_inbox(connection);
	tandem_tcp_connection_poll(session, connection,
	                           drains && !connection->inbox.is_closed ? EPOLLIN : 0);
	shutdown(connection->fd, SHUT_WR);
}

static void unwatch(struct tandem_tcp_session *session, int fd)
{
	epoll_ctl(session->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void tandem_tcp_session_end(struct tandem_tcp_session *session, const struct tandem_error *cause,
                            enum tandem_tcp_drain drain)
{
	if (session->state >= TANDEM_TCP_DRAINING)
		return;
	if (session->state == TANDEM_TCP_JOINING)
		drain = TANDEM_TCP_DRAIN_NOTHING;
	session->state = TANDEM_TCP_DRAINING;
	session->cause = *cause;
	if (atomic_load(&session->is_yanked)) {
		/* T10: whatever failed, failed because yank shut the sockets down. */
		tandem_error_set(&session->cause, TANDEM_E_YANKED, "yank",
		                 "%s: yanked by this side", session->connections[0].peer_text);
		drain = TANDEM_TCP_DRAIN_NOTHING;
	}
	for (unsigned i = 0; i < session->connection_count; i++)
		stop_connection(session, &session->connections[i],
		                drain != TANDEM_TCP_DRAIN_NOTHING);
	session->awaits_ends = true;
	session->drain_deadline_ns = tandem_clock_now_ns() + session->options.peer_timeout_ns;
	if (drain != TANDEM_TCP_DRAIN_SENT)
		tandem_tcp_session_limit(session);
	/* Left in, they would keep the descriptor readable for ever. */
	unwatch(session, session->yank_fd);
	if (session->door) {
		unwatch(session, tandem_tcp_door_fd(session->door));
		tandem_tcp_door_shut(session->door);
	}
	tandem_tcp_session_wake(session);
}

static void end_for(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                    const struct tandem_error *cause)
{
	bool is_closed = cause->code == TANDEM_E_PEER_LOST;
	if (connection->index > 0 && (session->state == TANDEM_TCP_JOINING ||
	                              connection->channel_state == TANDEM_CHANNEL_JOINING))
		tandem_tcp_joining_failed(session, connection, cause);
	else if (connection->index > 0 && !atomic_load(&session->is_yanked))
		tandem_tcp_channel_lose(session, connection, cause);
	else
		tandem_tcp_session_end(session, cause,
		                       is_closed ? TANDEM_TCP_DRAIN_SENT
		                                 : TANDEM_TCP_DRAIN_RECEIVED);
}

/* T9: the cause names the channel, what is pending and its age. */
void tandem_tcp_session_end_silent(struct tandem_tcp_session *session,
                                   struct tandem_tcp_connection *connection, uint64_t age_ns)
{
	struct tandem_error cause;
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	tandem_error_set(
	        &cause, TANDEM_E_TIMEOUT, "send",
	        "%s, %s: %u frames (%llu bytes) pending besides what the kernel holds, and "
	        "the peer took no byte for %llu ms",
	        connection->peer_text, name, connection->outbox.count,
	        (unsigned long long)connection->outbox.pending_bytes,
	        (unsigned long long)(age_ns / TANDEM_NS_PER_MS));
	end_for(session, connection, &cause);
}

void tandem_tcp_session_end_connection(struct tandem_tcp_session *session,
                                       struct tandem_tcp_connection *connection,
                                       const char *operation, int os_errno)
{
	struct tandem_error cause;
	char name[32];
	if (os_errno == ETIMEDOUT && connection->join_state == TANDEM_TCP_JOIN_JOINED) {
		tandem_tcp_session_end_silent(session, connection,
		                              session->options.peer_timeout_ns);
		return;
	}
	tandem_tcp_connection_name(connection, name, sizeof(name));
	if (os_errno != 0)
		tandem_error_set_errno(&cause, tandem_tcp_socket_error_code(os_errno), os_errno,
		                       operation, "%s, %s", connection->peer_text, name);
	else
		tandem_error_set(&cause, TANDEM_E_PEER_LOST, operation,
		                 "%s, %s: closed by the peer%s", connection->peer_text, name,
		                 tandem_frame_reader_is_between(&connection->inbox.reader)
		                         ? ""
		                         : " in the middle of a frame");
	end_for(session, connection, &cause);
}

void tandem_tcp_session_end_protocol(struct tandem_tcp_session *session,
                                     const struct tandem_error *cause)
{
	/* Found while draining, it says more than the end that began the drain. */
	if (session->state == TANDEM_TCP_DRAINING)
		session->cause = *cause;
	tandem_tcp_session_end(session, cause, TANDEM_TCP_DRAIN_NOTHING);
	for (unsigned i = 0; i < session->connection_count; i++)
		close_inbox(&session->connections[i]);
}
