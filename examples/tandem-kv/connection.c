#include "connection.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#define CONNECTION_READ_FIRST_BYTES ((size_t)16 << 10)
#define CONNECTION_READ_BYTES       ((size_t)64 << 10)

static void connection_on_readable(evutil_socket_t file, short events, void *context)
{
	struct tandem_kv_connection *connection = context;

	(void)file;
	(void)events;
	connection->can_read = true;
	connection->on_change(connection->context, connection);
}

static void connection_on_writable(evutil_socket_t file, short events, void *context)
{
	struct tandem_kv_connection *connection = context;

	(void)file;
	(void)events;
	tandem_kv_connection_send(connection, tandem_clock_now_ns());
	connection->on_change(connection->context, connection);
}

static void connection_name_peer(struct tandem_kv_connection *connection)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "?";
	char *text = connection->client.session.peer;
	size_t size = sizeof(connection->client.session.peer);

	if (getpeername(connection->file, (struct sockaddr *)&address, &length) != 0)
		return;
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
		evutil_inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		(void)snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
	} else if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
		evutil_inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		(void)snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	}
}

struct tandem_kv_connection *tandem_kv_connection_new(
        struct event_base *base, int file, uint64_t id,
        void (*on_change)(void *context, struct tandem_kv_connection *connection), void *context)
{
	struct tandem_kv_connection *connection = tandem_memory_alloc(sizeof(*connection));
	int one = 1;

	if (!connection) {
		close(file);
		return NULL;
	}
	tandem_kv_client_init(&connection->client, id);
	connection->file = file;
	connection->on_change = on_change;
	connection->context = context;
	connection->progress_ns = tandem_clock_now_ns();
	(void)setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection_name_peer(connection);
	/* Edge-triggered: a client that may not be read yet costs nothing while it waits. */
	connection->readable = event_new(base, file, EV_READ | EV_PERSIST | EV_ET,
	                                 connection_on_readable, connection);
	connection->writable =
	        event_new(base, file, EV_WRITE | EV_ET, connection_on_writable, connection);
	if (!connection->readable || !connection->writable ||
	    event_add(connection->readable, NULL) != 0)
		return tandem_kv_connection_free(connection);
	return connection;
}

struct tandem_kv_connection *tandem_kv_connection_free(struct tandem_kv_connection *connection)
{
	if (!connection)
		return NULL;
	if (connection->readable)
		event_free(connection->readable);
	if (connection->writable)
		event_free(connection->writable);
	close(connection->file);
	tandem_kv_client_clear(&connection->client);
	tandem_memory_free(connection);
	return NULL;
}

/* False when there is nothing more to read now. */
static bool connection_read_once(struct tandem_kv_connection *connection, size_t room_bytes,
                                 size_t *ret_bytes)
{
	uint8_t *room = tandem_kv_buffer_reserve(&connection->client.input, room_bytes);

	if (!room) {
		connection->is_lost = true;
		return false;
	}
	ssize_t got = recv(connection->file, room, room_bytes, MSG_DONTWAIT);
	if (got > 0) {
		tandem_kv_buffer_grow(&connection->client.input, (size_t)got);
		*ret_bytes = (size_t)got;
		return true;
	}
	if (got < 0 && errno == EINTR)
		return true;
	connection->can_read = false;
	connection->is_ended = got == 0;
	connection->is_lost = got < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
	return false;
}

size_t tandem_kv_connection_read(struct tandem_kv_connection *connection, size_t budget_bytes)
{
	size_t room = CONNECTION_READ_FIRST_BYTES;
	size_t total = 0;

	while (connection->can_read && total < budget_bytes) {
		size_t left = budget_bytes - total;
		size_t got = 0;

		if (!connection_read_once(connection, left < room ? left : room, &got))
			break;
		total += got;
		room = CONNECTION_READ_BYTES;
	}
	return total;
}

void tandem_kv_connection_release(struct tandem_kv_connection *connection, uint64_t now_ns)
{
	if (connection->released_bytes == 0)
		connection->progress_ns = now_ns;
	connection->ticket = 0;
	connection->released_bytes = tandem_kv_buffer_length(&connection->client.output);
}

void tandem_kv_connection_send(struct tandem_kv_connection *connection, uint64_t now_ns)
{
	struct tandem_kv_buffer *output = &connection->client.output;

	while (connection->released_bytes > 0 && !connection->is_lost) {
		ssize_t sent = send(connection->file, tandem_kv_buffer_front(output),
		                    connection->released_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			tandem_kv_buffer_take(output, (size_t)sent);
			connection->released_bytes -= (size_t)sent;
			connection->progress_ns = now_ns;
		} else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			connection->is_lost = event_add(connection->writable, NULL) != 0;
			return;
		} else if (sent == 0 || errno != EINTR) {
			connection->is_lost = true;
		}
	}
	connection->progress_ns = now_ns;
	tandem_kv_buffer_trim(output);
}

bool tandem_kv_connection_has_work(const struct tandem_kv_connection *connection)
{
	const struct tandem_kv_client *client = &connection->client;

	if (connection->is_run || connection->ticket != 0 || client->session.is_closing ||
	    connection->is_lost ||
	    tandem_kv_buffer_length(&client->output) > TANDEM_KV_OUTPUT_PAUSE)
		return false;
	return connection->can_read || connection->is_ended || !client->needs_more;
}

bool tandem_kv_connection_is_over(const struct tandem_kv_connection *connection)
{
	return connection->is_lost || (connection->client.session.is_closing &&
	                               !connection->is_run && connection->ticket == 0 &&
	                               tandem_kv_buffer_length(&connection->client.output) == 0);
}
