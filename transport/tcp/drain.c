#include <sys/socket.h>

#include <tandem/clock.h>

#include "tcp/session.h"

/* T11, T12, T14. A TCP peer stores nothing itself: our reads do. So when no
 * connection is ever read again, no write can land, and that needs nobody's answer. */

static void finish(struct tandem_tcp_session *session)
{
	for (unsigned i = 0; i < session->connection_count; i++)
		shutdown(session->connections[i].fd, SHUT_RDWR);
	session->state = TANDEM_TCP_ENDED;
	session->has_lost_event = true;
}

static bool is_any_open(const struct tandem_tcp_session *session, unsigned first)
{
	for (unsigned i = first; i < session->connection_count; i++) {
		if (!session->connections[i].inbox.is_closed)
			return true;
	}
	return false;
}

void tandem_tcp_session_drain(struct tandem_tcp_session *session)
{
	size_t share_bytes = TANDEM_TCP_BUDGET_BYTES / session->connection_count;
	for (unsigned i = 0; i < session->connection_count; i++)
		tandem_tcp_inbox_receive(session, &session->connections[i], share_bytes);
	/* A peer that closed some connections and not the others is not waited for. */
	if (tandem_clock_now_ns() >= session->drain_deadline_ns)
		tandem_tcp_session_limit(session);
	for (unsigned i = 0; i < session->connection_count; i++) {
		if (session->connections[i].inbox.is_closed)
			tandem_tcp_connection_poll(session, &session->connections[i], 0);
	}
	if (!is_any_open(session, 0))
		finish(session);
}

/* False when each data channel is closed or waits for room that only the owner can make. */
static bool drain_data_once(struct tandem_tcp_session *session)
{
	bool may_go_on = false;
	for (unsigned i = 1; i < session->connection_count; i++) {
		struct tandem_tcp_inbox *inbox = &session->connections[i].inbox;
		tandem_tcp_inbox_receive(session, &session->connections[i],
		                         TANDEM_TCP_BUDGET_BYTES / TANDEM_CHANNELS_MAX);
		may_go_on = may_go_on || (!inbox->is_closed && !inbox->is_stalled);
	}
	return may_go_on;
}

/* The rest of a channel is given up: its owner let more notices pile up than a session keeps. */
bool tandem_tcp_session_refuse_overflow(struct tandem_tcp_session *session,
                                        const struct tandem_tcp_connection *connection)
{
	struct tandem_error cause;
	if (!connection->inbox.is_stalled)
		return false;
	tandem_error_set(&cause, TANDEM_E_PROTOCOL, "fence",
	                 "%s: more than %u notices were sent and not yet taken",
	                 connection->peer_text, TANDEM_NOTICES_MAX);
	tandem_tcp_session_end_protocol(session, &cause);
	return true;
}

static void close_data(struct tandem_tcp_session *session)
{
	for (unsigned i = 1; i < session->connection_count; i++)
		session->connections[i].inbox.is_closed = true;
	for (unsigned i = 0; i < TANDEM_MEMORY_IDS_MAX; i++)
		session->memories[i].base = NULL;
}

int tandem_tcp_session_fence(struct tandem_session *head, uint64_t deadline_ns,
                             struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_error cause;
	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side exposes memory");
	tandem_error_set(&cause, TANDEM_E_YANKED, "fence", "%s: fenced by this side",
	                 session->connections[0].peer_text);
	tandem_tcp_session_end(session, &cause, TANDEM_TCP_DRAIN_RECEIVED);
	tandem_tcp_session_limit(session);
	while (is_any_open(session, 1) && tandem_clock_now_ns() < deadline_ns) {
		if (!drain_data_once(session))
			break;
	}
	for (unsigned i = 1; i < session->connection_count; i++) {
		if (tandem_tcp_session_refuse_overflow(session, &session->connections[i]))
			break;
	}
	close_data(session);
	tandem_tcp_session_wake(session);
	return 0;
}
