#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "tcp/session.h"
#include "tcp/socket.h"

/* T1 to T3, T17, S1 to S4. The connecting side's way into a session: the control channel asks, each
 * side proves that it holds the key, then the data channels join, each on its rail, and may join
 * again after a loss. */

static bool is_control(const struct tandem_tcp_connection *connection)
{
	return connection->index == 0;
}

/* ---- its outcome ---- */

static void enter_up(struct tandem_tcp_session *session, uint32_t mask)
{
	session->state = TANDEM_TCP_UP;
	session->has_up_event = true;
	session->up_mask = mask;
	for (unsigned i = 0; i < session->connection_count; i++) {
		if (session->connections[i].join_state == TANDEM_TCP_JOIN_JOINED)
			tandem_tcp_connection_poll(session, &session->connections[i], EPOLLIN);
	}
}

/* Up, or lost, once each data channel has joined or failed. */
static void settle(struct tandem_tcp_session *session)
{
	const struct tandem_error *cause = NULL;
	uint32_t mask = 0;
	if (session->state != TANDEM_TCP_JOINING ||
	    tandem_tcp_channels_count(session, TANDEM_CHANNEL_JOINING) > 0)
		return;
	for (unsigned i = 1; i < session->connection_count; i++) {
		const struct tandem_tcp_connection *connection = &session->connections[i];
		if (connection->channel_state == TANDEM_CHANNEL_UP)
			mask |= UINT32_C(1) << (i - 1);
		else if (!cause)
			cause = &connection->first_error;
	}
	if (mask)
		enter_up(session, mask);
	else
		tandem_tcp_session_end(session, cause, TANDEM_TCP_DRAIN_NOTHING);
}

void tandem_tcp_joining_failed(struct tandem_tcp_session *session,
                               struct tandem_tcp_connection *connection,
                               const struct tandem_error *cause)
{
	tandem_tcp_connection_close(session, connection);
	if (session->state == TANDEM_TCP_UP) {
		tandem_tcp_channel_lose(session, connection, cause);
		return;
	}
	/* The event UP tells who has not joined. */
	bool had_joined = connection->channel_state == TANDEM_CHANNEL_UP;
	connection->channel_state = had_joined ? TANDEM_CHANNEL_LOST : TANDEM_CHANNEL_DOWN;
	connection->lost_count += had_joined;
	connection->first_error = *cause;
	settle(session);
}

/* With the address and the channel's name before the detail. */
static void fail(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                 struct tandem_error *cause)
{
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	tandem_error_wrap(cause, cause->code, "%s, %s", connection->peer_text, name);
	if (is_control(connection))
		tandem_tcp_session_end(session, cause, TANDEM_TCP_DRAIN_NOTHING);
	else
		tandem_tcp_joining_failed(session, connection, cause);
}

/* ---- connecting ---- */

static int open_socket(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                       struct tandem_tcp_address *ret_peer, struct tandem_error *reterr_error)
{
	const struct tandem_rail *rail = &session->options.rails[connection->rail];
	struct tandem_tcp_address source;
	bool has_source = rail->source_address[0] != 0;
	int fd = -1;
	int status = tandem_tcp_address_parse(rail->address, session->options.port, ret_peer,
	                                      reterr_error);
	if (status == 0)
		tandem_tcp_address_format(ret_peer, connection->peer_text,
		                          sizeof(connection->peer_text));
	if (status == 0 && has_source)
		status = tandem_tcp_address_parse(rail->source_address, 0, &source, reterr_error);
	if (status == 0)
		status = tandem_tcp_socket_new(ret_peer, &fd, reterr_error);
	if (status == 0)
		status = tandem_tcp_socket_tune(fd, session->options.peer_timeout_ns, reterr_error);
	if (status == 0 && has_source)
		status = tandem_tcp_socket_bind(fd, &source, reterr_error);
	if (status != 0) {
		tandem_tcp_socket_close(&fd);
		return status;
	}
	return tandem_tcp_connection_adopt(session, connection, fd, ret_peer, reterr_error);
}

/* 0: under way, or failed and told. Else what this side lacks to try it. */
static int start(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                 uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	struct tandem_tcp_address peer;
	connection->join_deadline_ns = deadline_ns;
	int status = open_socket(session, connection, &peer, reterr_error);
	if (status != 0)
		return status;
	connection->join_state = TANDEM_TCP_JOIN_CONNECTING;
	if (connect(connection->fd, (const struct sockaddr *)&peer.storage, peer.length) != 0 &&
	    errno != EINPROGRESS)
		tandem_tcp_session_end_connection(session, connection, "connect", errno);
	else
		tandem_tcp_connection_poll(session, connection, EPOLLOUT);
	return 0;
}

static void start_channel(struct tandem_tcp_session *session,
                          struct tandem_tcp_connection *connection, uint64_t deadline_ns)
{
	struct tandem_error cause;
	connection->attempt++;
	if (start(session, connection, deadline_ns, &cause) != 0)
		fail(session, connection, &cause);
}

/* T4: a dead rail leaves the others time. */
static void start_channels(struct tandem_tcp_session *session)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + session->options.connect_timeout_ns / 2;
	if (deadline_ns > session->join_deadline_ns)
		deadline_ns = session->join_deadline_ns;
	for (unsigned i = 1; i < session->connection_count; i++)
		session->connections[i].channel_state = TANDEM_CHANNEL_JOINING;
	for (unsigned i = 1; i < session->connection_count && session->state == TANDEM_TCP_JOINING;
	     i++)
		start_channel(session, &session->connections[i], deadline_ns);
}

int tandem_tcp_session_connect(const struct tandem_transport_options *options,
                               struct tandem_session **ret_session,
                               struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = NULL;
	int status = tandem_tcp_session_new(options, false, &session, reterr_error);
	if (status != 0)
		return status;
	session->connections[0].rail = options->control_rail;
	for (unsigned i = 1; i < session->connection_count; i++)
		session->connections[i].rail =
		        (options->control_rail + i - 1) % options->rail_count;
	session->join_deadline_ns = tandem_clock_now_ns() + options->connect_timeout_ns;
	status = start(session, &session->connections[0], session->join_deadline_ns, reterr_error);
	if (status != 0) {
		tandem_tcp_session_delete(session);
		return status;
	}
	*ret_session = &session->head;
	return 0;
}

int tandem_tcp_session_restore(struct tandem_session *head, unsigned channel,
                               struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	struct tandem_tcp_connection *connection = &session->connections[1 + channel];
	bool is_down = connection->channel_state == TANDEM_CHANNEL_DOWN ||
	               connection->channel_state == TANDEM_CHANNEL_LOST;
	if (session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "only the connecting side restores a channel");
	if (session->state >= TANDEM_TCP_DRAINING || atomic_load(&session->is_yanked))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "restore",
		                        "the session has ended");
	if (session->state == TANDEM_TCP_JOINING || !is_down)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "data channel %u is %s; it must be down or lost", channel,
		                        tandem_channel_state_text(connection->channel_state));
	if (connection->is_ending || tandem_event_queue_has_channel_lost(&session->queue, channel))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "the loss of data channel %u has not been taken yet",
		                        channel);
	connection->channel_state = TANDEM_CHANNEL_JOINING;
	start_channel(session, connection,
	              tandem_clock_now_ns() + session->options.connect_timeout_ns);
	tandem_tcp_session_wake(session);
	return 0;
}

/* ---- what is sent ---- */

/* [S1] */
static const struct tandem_key *key_of(const struct tandem_tcp_session *session)
{
	static const struct tandem_key zeros;
	return session->options.key_count > 0 ? &session->options.keys[0] : &zeros;
}

static void make_hello(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	struct tandem_hello hello = {.channel_count = session->connection_count - 1};
	if (is_control(connection)) {
		hello.kind = TANDEM_HELLO_CONTROL;
		tandem_key_id(key_of(session), hello.key_id);
		tandem_random_fill(hello.nonce, sizeof(hello.nonce));
		memcpy(session->transcript.connecting_nonce, hello.nonce, sizeof(hello.nonce));
	} else {
		hello.kind = TANDEM_HELLO_DATA;
		hello.session_id = session->transcript.session_id;
		hello.channel = connection->index - 1;
		hello.attempt = connection->attempt;
		tandem_channel_token(&session->secrets, hello.channel, hello.attempt, false,
		                     hello.token);
	}
	tandem_hello_encode(&hello, connection->join_bytes);
}

/* True when all `length` bytes have left. */
static bool send_some(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                      size_t length)
{
	ssize_t sent = send(connection->fd, connection->join_bytes + connection->join_bytes_count,
	                    length - connection->join_bytes_count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			tandem_tcp_session_end_connection(session, connection, "send", errno);
		return false;
	}
	connection->join_bytes_count += (size_t)sent;
	if (connection->join_bytes_count < length)
		return false;
	connection->join_bytes_count = 0;
	return true;
}

static void send_hello(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	if (!send_some(session, connection, TANDEM_HELLO_BYTES))
		return;
	connection->join_state = TANDEM_TCP_JOIN_ANSWER;
	tandem_tcp_connection_poll(session, connection, EPOLLIN);
}

static void finish_connecting(struct tandem_tcp_session *session,
                              struct tandem_tcp_connection *connection)
{
	int os_errno = 0;
	socklen_t length = sizeof(os_errno);
	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &os_errno, &length) != 0)
		os_errno = errno;
	if (os_errno != 0) {
		tandem_tcp_session_end_connection(session, connection, "connect", os_errno);
		return;
	}
	make_hello(session, connection);
	connection->join_state = TANDEM_TCP_JOIN_HELLO;
	send_hello(session, connection);
}

static void send_proof(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection)
{
	if (!send_some(session, connection, TANDEM_PROOF_FRAME_BYTES))
		return;
	connection->join_state = TANDEM_TCP_JOIN_JOINED;
	/* Not EPOLLIN: what the peer sends already is for the session that will be up. */
	tandem_tcp_connection_poll(session, connection, EPOLLRDHUP);
	start_channels(session);
}

/* ---- what is answered ---- */

static int name_version(unsigned version, struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "join",
	                        "the peer speaks version %u, this side version %u", version,
	                        TANDEM_HELLO_VERSION);
}

static int name_fault(enum tandem_hello_fault fault, struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join", "the answer has %s",
	                        tandem_hello_fault_text(fault));
}

/* 0, or the error that the answer means. */
static int judge_answer(const uint8_t *bytes, struct tandem_answer *ret_answer,
                        struct tandem_error *reterr_error)
{
	unsigned version = 0;
	enum tandem_hello_fault fault = tandem_answer_decode(bytes, ret_answer, &version);
	if (fault == TANDEM_HELLO_FAULT_VERSION)
		return name_version(version, reterr_error);
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return name_fault(fault, reterr_error);
	if (ret_answer->verdict != TANDEM_VERDICT_JOINED)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join", "refused: %s",
		                        tandem_verdict_text(ret_answer->verdict));
	return 0;
}

/* [S2] The listening side's proof, then this side's own. */
static int take_proof(struct tandem_tcp_session *session, const struct tandem_answer *answer,
                      struct tandem_error *reterr_error)
{
	struct tandem_transcript *transcript = &session->transcript;
	transcript->version = TANDEM_HELLO_VERSION;
	transcript->channel_count = session->connection_count - 1;
	transcript->session_id = answer->session_id;
	memcpy(transcript->listening_nonce, answer->nonce, sizeof(answer->nonce));
	tandem_secrets_derive(key_of(session), transcript, &session->secrets);
	if (!tandem_mac_equal(session->secrets.listening_proof, answer->proof,
	                      sizeof(answer->proof)))
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "refused: the peer has not proven that it holds the key of "
		                        "this pair (key_file differs)");
	return 0;
}

static int take_token(const struct tandem_tcp_session *session,
                      const struct tandem_tcp_connection *connection,
                      const struct tandem_answer *answer, struct tandem_error *reterr_error)
{
	uint8_t token[TANDEM_TOKEN_BYTES];
	tandem_channel_token(&session->secrets, connection->index - 1, connection->attempt, true,
	                     token);
	if (answer->session_id != session->transcript.session_id ||
	    !tandem_mac_equal(token, answer->proof, sizeof(token)))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the answer is of another session");
	return 0;
}

static void join_channel(struct tandem_tcp_session *session,
                         struct tandem_tcp_connection *connection)
{
	connection->join_state = TANDEM_TCP_JOIN_JOINED;
	connection->channel_state = TANDEM_CHANNEL_UP;
	tandem_tcp_connection_poll(session, connection,
	                           session->state == TANDEM_TCP_UP ? EPOLLIN : EPOLLRDHUP);
	if (session->state == TANDEM_TCP_UP)
		tandem_event_queue_add_channel_up(&session->queue, connection->index - 1);
	settle(session);
}

static void take_answer(struct tandem_tcp_session *session,
                        struct tandem_tcp_connection *connection)
{
	struct tandem_answer answer;
	struct tandem_error cause;
	int status = judge_answer(connection->join_bytes, &answer, &cause);
	connection->join_bytes_count = 0;
	if (status == 0)
		status = is_control(connection) ? take_proof(session, &answer, &cause)
		                                : take_token(session, connection, &answer, &cause);
	if (status != 0) {
		fail(session, connection, &cause);
	} else if (is_control(connection)) {
		tandem_proof_encode(session->secrets.connecting_proof, connection->join_bytes);
		connection->join_state = TANDEM_TCP_JOIN_PROOF;
		tandem_tcp_connection_poll(session, connection, EPOLLOUT);
		send_proof(session, connection);
	} else {
		join_channel(session, connection);
	}
}

static void read_answer(struct tandem_tcp_session *session,
                        struct tandem_tcp_connection *connection)
{
	struct tandem_error cause;
	unsigned version = 0;
	ssize_t got = recv(connection->fd, connection->join_bytes + connection->join_bytes_count,
	                   TANDEM_ANSWER_BYTES - connection->join_bytes_count, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		tandem_tcp_session_end_connection(session, connection, "join", got < 0 ? errno : 0);
		return;
	}
	connection->join_bytes_count += (size_t)got;
	enum tandem_hello_fault fault =
	        connection->join_bytes_count >= TANDEM_HELLO_BEGIN_BYTES
	                ? tandem_answer_peek(connection->join_bytes, &version)
	                : TANDEM_HELLO_FAULT_NONE;
	if (fault == TANDEM_HELLO_FAULT_NONE) {
		if (connection->join_bytes_count == TANDEM_ANSWER_BYTES)
			take_answer(session, connection);
		return;
	}
	/* Another version's answer may be shorter. */
	if (fault == TANDEM_HELLO_FAULT_VERSION)
		name_version(version, &cause);
	else
		name_fault(fault, &cause);
	fail(session, connection, &cause);
}

/* ---- driving it ---- */

void tandem_tcp_joining_step(struct tandem_tcp_session *session,
                             struct tandem_tcp_connection *connection)
{
	switch (connection->join_state) {
	case TANDEM_TCP_JOIN_NONE:
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
	case TANDEM_TCP_JOIN_PROOF:
		send_proof(session, connection);
		break;
	case TANDEM_TCP_JOIN_JOINED:
		tandem_tcp_session_end_connection(session, connection, "join", 0);
		break;
	}
}

static void set_timeout(const struct tandem_tcp_session *session,
                        const struct tandem_tcp_connection *connection,
                        struct tandem_error *ret_cause)
{
	static const char *const steps[] = {
	        [TANDEM_TCP_JOIN_NONE] = "not begun",
	        [TANDEM_TCP_JOIN_CONNECTING] = "the peer's system has not answered",
	        [TANDEM_TCP_JOIN_HELLO] = "the hello could not leave",
	        [TANDEM_TCP_JOIN_ANSWER] = "the hello was not answered",
	        [TANDEM_TCP_JOIN_PROOF] = "the proof could not leave",
	        [TANDEM_TCP_JOIN_JOINED] = "joined",
	};
	tandem_error_set(
	        ret_cause, TANDEM_E_TIMEOUT, "join",
	        "not joined in time (connect timeout %llu ms): %s",
	        (unsigned long long)(session->options.connect_timeout_ns / TANDEM_NS_PER_MS),
	        steps[connection->join_state]);
}

void tandem_tcp_joining_check_deadlines(struct tandem_tcp_session *session)
{
	uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_error cause;
	struct tandem_tcp_connection *control = &session->connections[0];
	if (session->state == TANDEM_TCP_JOINING && control->join_state != TANDEM_TCP_JOIN_JOINED &&
	    now_ns >= control->join_deadline_ns) {
		set_timeout(session, control, &cause);
		fail(session, control, &cause);
	}
	for (unsigned i = 1; i < session->connection_count && session->state <= TANDEM_TCP_UP;
	     i++) {
		struct tandem_tcp_connection *connection = &session->connections[i];
		if (connection->channel_state != TANDEM_CHANNEL_JOINING ||
		    now_ns < connection->join_deadline_ns)
			continue;
		set_timeout(session, connection, &cause);
		fail(session, connection, &cause);
	}
}
