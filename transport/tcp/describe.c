#include <inttypes.h>
#include <stdio.h>

#include <tandem/clock.h>

#include "tcp/session.h"

static const char *state_text(enum tandem_tcp_session_state state)
{
	switch (state) {
	case TANDEM_TCP_JOINING:
		return "joining";
	case TANDEM_TCP_UP:
		return "up";
	case TANDEM_TCP_DRAINING:
		return "draining";
	case TANDEM_TCP_ENDED:
		return "lost";
	}
	return "unknown";
}

static size_t add_connection(const struct tandem_tcp_connection *connection, uint64_t now_ns,
                             char *text, size_t text_bytes)
{
	const struct tandem_tcp_outbox *outbox = &connection->outbox;
	char name[32];
	if (outbox->count == 0)
		return 0;
	tandem_tcp_connection_name(connection, name, sizeof(name));
	int length = snprintf(text, text_bytes,
	                      "; %s: %u frames, %" PRIu64 " bytes pending, none moved for %" PRIu64
	                      " ms",
	                      name, outbox->count, outbox->pending_bytes,
	                      (now_ns - outbox->moved_at_ns) / TANDEM_NS_PER_MS);
	return length > 0 ? (size_t)length : 0;
}

void tandem_tcp_session_describe(const struct tandem_session *head, char *text, size_t text_bytes)
{
	const struct tandem_tcp_session *session = tandem_tcp_session_of_const(head);
	uint64_t now_ns = tandem_clock_now_ns();
	int length = snprintf(text, text_bytes, "tcp, %s, %s, %u data channels",
	                      session->connections[0].peer_text, state_text(session->state),
	                      session->connection_count - 1);
	size_t used = length > 0 ? (size_t)length : 0;
	for (unsigned i = 0; i < session->connection_count && used < text_bytes; i++)
		used += add_connection(&session->connections[i], now_ns, text + used,
		                       text_bytes - used);
}
