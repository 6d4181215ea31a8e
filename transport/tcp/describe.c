#include <inttypes.h>
#include <stdarg.h>
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

/* A cut text gives more than it has room for; the caller looks. */
static size_t add_text(char *text, size_t text_bytes, const char *format, ...) TANDEM_PRINTF(3, 4);
static size_t add_text(char *text, size_t text_bytes, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, text_bytes, format, arguments);
	va_end(arguments);
	return length > 0 ? (size_t)length : 0;
}

static size_t add_pending(const struct tandem_tcp_connection *connection, const char *name,
                          uint64_t now_ns, char *text, size_t text_bytes)
{
	const struct tandem_tcp_outbox *outbox = &connection->outbox;
	if (outbox->count == 0)
		return 0;
	return add_text(text, text_bytes,
	                "; %s: %u frames, %" PRIu64 " bytes pending, none moved for %" PRIu64 " ms",
	                name, outbox->count, outbox->pending_bytes,
	                (now_ns - outbox->moved_at_ns) / TANDEM_NS_PER_MS);
}

/* Those that are up and have nothing pending are as they should be. */
static size_t add_connection(const struct tandem_tcp_connection *connection, uint64_t now_ns,
                             char *text, size_t text_bytes)
{
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	if (connection->index == 0 || connection->channel_state == TANDEM_CHANNEL_UP)
		return add_pending(connection, name, now_ns, text, text_bytes);
	return add_text(text, text_bytes, "; %s: %s on rail %u, lost %u times%s%s", name,
	                tandem_channel_state_text(connection->channel_state), connection->rail,
	                connection->lost_count, connection->first_error.code ? ", first: " : "",
	                connection->first_error.detail);
}

void tandem_tcp_session_describe(const struct tandem_session *head, char *text, size_t text_bytes)
{
	const struct tandem_tcp_session *session = tandem_tcp_session_of_const(head);
	uint64_t now_ns = tandem_clock_now_ns();
	size_t used = add_text(text, text_bytes, "tcp, %s, %s, %u of %u data channels up",
	                       session->connections[0].peer_text, state_text(session->state),
	                       tandem_tcp_channels_count(session, TANDEM_CHANNEL_UP),
	                       session->connection_count - 1);
	for (unsigned i = 0; i < session->connection_count && used < text_bytes; i++)
		used += add_connection(&session->connections[i], now_ns, text + used,
		                       text_bytes - used);
}
