#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* One of a session's connections. Its descriptor keeps its number for the session's life: while
 * there is no connection it names the session's yank event, and dup3(2) puts another file in its
 * place in one step. So yank, from any thread and without a lock, never shuts down what is somebody
 * else's [T10]. */

void tandem_tcp_connection_name(const struct tandem_tcp_connection *connection, char *text,
                                size_t text_bytes)
{
	if (connection->index == 0)
		snprintf(text, text_bytes, "control channel");
	else
		snprintf(text, text_bytes, "data channel %u", connection->index - 1);
}

void tandem_tcp_connection_poll(struct tandem_tcp_session *session,
                                struct tandem_tcp_connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = connection->index};
	bool is_wanted = events != 0;
	if (is_wanted == connection->is_polled && events == connection->polled_events)
		return;
	int action = !is_wanted              ? EPOLL_CTL_DEL
	             : connection->is_polled ? EPOLL_CTL_MOD
	                                     : EPOLL_CTL_ADD;
	int failed = epoll_ctl(session->epoll_fd, action, connection->fd, &event);
	connection->is_polled = is_wanted && !failed;
	connection->polled_events = connection->is_polled ? events : 0;
	if (failed && is_wanted)
		tandem_tcp_session_end_connection(session, connection, "epoll_ctl", errno);
}

static int replace(const struct tandem_tcp_connection *connection, int fd)
{
	return dup3(fd, connection->fd, O_CLOEXEC) == connection->fd ? 0 : errno;
}

static void clear_inbox(struct tandem_tcp_connection *connection)
{
	uint8_t *message = connection->inbox.message;
	connection->inbox = (struct tandem_tcp_inbox){.message = message};
	connection->inbox.reader.tail_bytes = connection->index == 0 ? TANDEM_TAG_BYTES : 0;
}

int tandem_tcp_connection_adopt(struct tandem_tcp_session *session,
                                struct tandem_tcp_connection *connection, int fd,
                                const struct tandem_tcp_address *peer,
                                struct tandem_error *reterr_error)
{
	tandem_tcp_connection_poll(session, connection, 0);
	int os_errno = replace(connection, fd);
	tandem_tcp_socket_close(&fd);
	if (os_errno != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, "dup3",
		                              "a connection");
	tandem_tcp_address_format(peer, connection->peer_text, sizeof(connection->peer_text));
	clear_inbox(connection);
	tandem_tcp_outbox_clear(&connection->outbox);
	connection->join_bytes_count = 0;
	return 0;
}

void tandem_tcp_connection_close(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection)
{
	tandem_tcp_connection_poll(session, connection, 0);
	connection->join_state = TANDEM_TCP_JOIN_NONE;
	connection->inbox.is_closed = true;
	connection->inbox.is_stalled = false;
	tandem_tcp_outbox_clear(&connection->outbox);
	/* It cannot fail: both numbers are this session's. */
	if (replace(connection, session->yank_fd) != 0)
		shutdown(connection->fd, SHUT_RDWR);
}

void tandem_tcp_connection_limit(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection)
{
	tandem_tcp_connection_poll(session, connection, 0);
	if (connection->inbox.has_limit)
		return;
	connection->inbox.has_limit = true;
	connection->inbox.limit_bytes = tandem_tcp_socket_received_bytes(connection->fd);
}

void tandem_tcp_connection_flush(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection, size_t budget_bytes,
                                 uint64_t now_ns)
{
	int os_errno =
	        tandem_tcp_outbox_flush(&connection->outbox, connection->fd, budget_bytes, now_ns);
	if (os_errno != 0) {
		tandem_tcp_session_end_connection(session, connection, "send", os_errno);
		return;
	}
	uint32_t events = connection->outbox.count > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
	tandem_tcp_connection_poll(session, connection, events);
}
