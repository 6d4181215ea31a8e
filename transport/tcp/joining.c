#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* T1 to T3. The connecting side's way into a session: the control channel asks, its answer gives
 * the key, the data channels join under that key. */

static void start_connecting(struct tandem_tcp_session *session,
                             struct tandem_tcp_connection *connection)
{
	connection->join_state = TANDEM_TCP_JOIN_CONNECTING;
	if (connect(connection->fd, (const struct sockaddr *)&session->peer.storage,
	            session->peer.length) != 0 &&
	    errno != EINPROGRESS) {
		tandem_tcp_session_end_connection(session, connection, "connect", errno);
		return;
	}
	tandem_tcp_connection_poll(session, connection, EPOLLOUT);
}

static int open_sockets(struct tandem_tcp_session *session, struct tandem_error *reterr_error)
{
	struct tandem_tcp_address source;
	bool has_source = session->options.rails[0].source_address[0] != 0;
	int status = 0;
	if (has_source)
		status = tandem_tcp_address_parse(session->options.rails[0].source_address, 0,
		                                  &source, reterr_error);
	for (unsigned i = 0; i < session->connection_count && status == 0; i++) {
		int *fd = &session->connections[i].fd;
		status = tandem_tcp_socket_new(&session->peer, fd, reterr_error);
		if (status == 0)
			status = tandem_tcp_socket_tune(*fd, session->options.peer_timeout_ns,
			                                reterr_error);
		if (status == 0 && has_source)
			status = tandem_tcp_socket_bind(*fd, &source, reterr_error);
	}
	return status;
}

int tandem_tcp_session_connect(const struct tandem_transport_options *options,
                               struct tandem_session **ret_session,
                               struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = NULL;
	struct tandem_tcp_address peer;
	int status = tandem_tcp_address_parse(options->rails[0].address, options->port, &peer,
	                                      reterr_error);
	if (status == 0)
		status = tandem_tcp_session_new(options, &peer, false, &session, reterr_error);
	if (status != 0)
		return status;
	status = open_sockets(session, reterr_error);
	if (status != 0) {
		tandem_tcp_session_delete(session);
		return status;
	}
	session->join_deadline_ns = tandem_clock_now_ns() + options->connect_timeout_ns;
	start_connecting(session, &session->connections[0]);
	*ret_session = &session->head;
	return 0;
}

static void send_hello(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	ssize_t sent = send(connection->fd, connection->join_bytes + connection->join_bytes_count,
	                    TANDEM_HELLO_BYTES - connection->join_bytes_count,
	                    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			tandem_tcp_session_end_connection(session, connection, "send", errno);
		return;
	}
	connection->join_bytes_count += (size_t)sent;
	if (connection->join_bytes_count < TANDEM_HELLO_BYTES)
		return;
	connection->join_bytes_count = 0;
	connection->join_state = TANDEM_TCP_JOIN_ANSWER;
	tandem_tcp_connection_poll(session, connection, EPOLLIN);
}

static void finish_connecting(struct tandem_tcp_session *session,
                              struct tandem_tcp_connection *connection)
{
	int os_errno = 0;
	socklen_t length = sizeof(os_errno);
	const struct tandem_hello hello = {
	        .kind = connection->index == 0 ? TANDEM_HELLO_CONTROL : TANDEM_HELLO_DATA,
	        .channel = connection->index == 0 ? 0 : connection->index - 1,
	        .channel_count = session->connection_count - 1,
	        .key = session->key};
	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &os_errno, &length) != 0)
		os_errno = errno;
	if (os_errno != 0) {
		tandem_tcp_session_end_connection(session, connection, "connect", os_errno);
		return;
	}
	tandem_hello_encode(&hello, connection->join_bytes);
	connection->join_state = TANDEM_TCP_JOIN_HELLO;
	send_hello(session, connection);
}

/* 0, or the error that the answer means. */
static int judge_answer(const struct tandem_tcp_session *session,
                        const struct tandem_tcp_connection *connection,
                        struct tandem_answer *ret_answer, struct tandem_error *reterr_error)
{
	enum tandem_hello_fault fault = tandem_answer_decode(connection->join_bytes, ret_answer);
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the answer has %s", tandem_hello_fault_text(fault));
	if (ret_answer->version != TANDEM_HELLO_VERSION ||
	    ret_answer->verdict == TANDEM_VERDICT_VERSION)
		return tandem_error_set(reterr_error, TANDEM_E_VERSION, "join",
		                        "the peer speaks version %u, this side version %u",
		                        ret_answer->version, TANDEM_HELLO_VERSION);
	if (ret_answer->verdict != TANDEM_VERDICT_JOINED)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join", "refused: %s",
		                        tandem_verdict_text(ret_answer->verdict));
	if (ret_answer->key == 0 || (connection->index > 0 && ret_answer->key != session->key))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the answer is of another session");
	return 0;
}

static void enter_up(struct tandem_tcp_session *session)
{
	session->state = TANDEM_TCP_UP;
	session->has_up_event = true;
	for (unsigned i = 0; i < session->connection_count; i++)
		tandem_tcp_connection_poll(session, &session->connections[i], EPOLLIN);
}

static unsigned joined_count(const struct tandem_tcp_session *session)
{
	unsigned count = 0;
	for (unsigned i = 0; i < session->connection_count; i++)
		count += session->connections[i].join_state == TANDEM_TCP_JOIN_JOINED;
	return count;
}

static void take_answer(struct tandem_tcp_session *session,
                        struct tandem_tcp_connection *connection)
{
	struct tandem_answer answer;
	struct tandem_error cause;
	char name[32];
	int status = judge_answer(session, connection, &answer, &cause);
	if (status != 0) {
		tandem_tcp_connection_name(connection, name, sizeof(name));
		tandem_error_wrap(&cause, status, "%s, %s", session->peer_text, name);
		tandem_tcp_session_end(session, &cause, TANDEM_TCP_DRAIN_NOTHING);
		return;
	}
	connection->join_state = TANDEM_TCP_JOIN_JOINED;
	/* Not EPOLLIN: what the peer sends already is for the session that will be up. */
	tandem_tcp_connection_poll(session, connection, EPOLLRDHUP);
	if (connection->index == 0) {
		session->key = answer.key;
		for (unsigned i = 1; i < session->connection_count; i++)
			start_connecting(session, &session->connections[i]);
	}
	if (joined_count(session) == session->connection_count)
		enter_up(session);
}

static void read_answer(struct tandem_tcp_session *session,
                        struct tandem_tcp_connection *connection)
{
	ssize_t got = recv(connection->fd, connection->join_bytes + connection->join_bytes_count,
	                   TANDEM_ANSWER_BYTES - connection->join_bytes_count, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		tandem_tcp_session_end_connection(session, connection, "join", got < 0 ? errno : 0);
		return;
	}
	connection->join_bytes_count += (size_t)got;
	if (connection->join_bytes_count == TANDEM_ANSWER_BYTES)
		take_answer(session, connection);
}

static void step(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	switch (connection->join_state) {
	case TANDEM_TCP_JOIN_IDLE:
		break;
	case TANDEM_TCP_JOIN_CONNECTING:
		finish_connecting(session, connection);
		break;
	case TANDEM_TCP_JOIN_HELLO:
		send_hello(session, connection);
		break;
	case TANDEM_TCP_JOIN_ANSWER:
		read_answer(session, connection);
		break;
	case TANDEM_TCP_JOIN_JOINED:
		tandem_tcp_session_end_connection(session, connection, "join", 0);
		break;
	}
}

static void check_join_deadline(struct tandem_tcp_session *session)
{
	struct tandem_error cause;
	if (session->state != TANDEM_TCP_JOINING ||
	    tandem_clock_now_ns() < session->join_deadline_ns)
		return;
	tandem_error_set(
	        &cause, TANDEM_E_TIMEOUT, "join", "%s: %u of %u channels joined in %llu ms",
	        session->peer_text, joined_count(session), session->connection_count,
	        (unsigned long long)(session->options.connect_timeout_ns / TANDEM_NS_PER_MS));
	tandem_tcp_session_end(session, &cause, TANDEM_TCP_DRAIN_NOTHING);
}

void tandem_tcp_joining_progress(struct tandem_tcp_session *session)
{
	struct epoll_event ready[TANDEM_TCP_CONNECTIONS_MAX + 2];
	int count = epoll_wait(session->epoll_fd, ready, TANDEM_TCP_CONNECTIONS_MAX + 2, 0);
	for (int i = 0; i < count && session->state == TANDEM_TCP_JOINING; i++) {
		if (ready[i].data.u32 < session->connection_count)
			step(session, &session->connections[ready[i].data.u32]);
	}
	check_join_deadline(session);
}
