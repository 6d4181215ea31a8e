#include "tcp/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "tcp/socket.h"

/* Marks in epoll data beside the connection indexes. */
#define MARK_YANK 100u
#define MARK_WAKE 101u

/* The control channel's queue holds every EXPOSE of a session besides the messages. */
#define CONTROL_ENTRIES (TANDEM_MESSAGES_MAX + TANDEM_MEMORY_IDS_MAX)

/* ---- life ---- */

static int watch(struct tandem_tcp_session *session, int fd, uint32_t mark)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = mark};
	return epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_descriptors(struct tandem_tcp_session *session, struct tandem_error *reterr_error)
{
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	session->yank_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	session->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->epoll_fd < 0 || session->yank_fd < 0 || session->wake_fd < 0 ||
	    watch(session, session->yank_fd, MARK_YANK) != 0 ||
	    watch(session, session->wake_fd, MARK_WAKE) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll",
		                              "descriptors of a session");
	return 0;
}

static int make_buffers(struct tandem_tcp_session *session, struct tandem_error *reterr_error)
{
	struct tandem_tcp_connection *control = &session->connections[0];
	int status = tandem_tcp_outbox_init(&control->outbox, CONTROL_ENTRIES);
	session->message_pool =
	        tandem_memory_alloc_array(TANDEM_MESSAGES_MAX, TANDEM_MESSAGE_BYTES_MAX);
	control->inbox.message = tandem_memory_alloc(TANDEM_MESSAGE_BYTES_MAX);
	/* Only the connecting side writes. */
	for (unsigned i = 1; i < session->connection_count && status == 0; i++) {
		if (!session->is_listening_side)
			status = tandem_tcp_outbox_init(&session->connections[i].outbox,
			                                session->options.write_depth);
	}
	if (status != 0 || !session->message_pool || !control->inbox.message)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session",
		                        "queues of %u channels of %u writes",
		                        session->connection_count - 1,
		                        session->options.write_depth);
	return 0;
}

static const struct tandem_session_ops ops;

int tandem_tcp_session_new(const struct tandem_transport_options *options,
                           const struct tandem_tcp_address *peer, bool is_listening_side,
                           struct tandem_tcp_session **ret_session,
                           struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_memory_alloc(sizeof(*session));
	if (!session)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session", "%zu bytes",
		                        sizeof(*session));
	session->head.ops = &ops;
	session->connection_count = 1 + options->channel_count;
	session->options = *options;
	session->peer = *peer;
	session->is_listening_side = is_listening_side;
	session->epoll_fd = session->yank_fd = session->wake_fd = -1;
	tandem_tcp_address_format(peer, session->peer_text, sizeof(session->peer_text));
	for (unsigned i = 0; i < TANDEM_TCP_CONNECTIONS_MAX; i++) {
		session->connections[i].index = i;
		session->connections[i].fd = -1;
	}
	int status = open_descriptors(session, reterr_error);
	if (status == 0)
		status = make_buffers(session, reterr_error);
	if (status != 0) {
		tandem_tcp_session_delete(session);
		return status;
	}
	*ret_session = session;
	return 0;
}

void tandem_tcp_session_delete(struct tandem_tcp_session *session)
{
	for (unsigned i = 0; i < session->connection_count; i++) {
		tandem_tcp_socket_close(&session->connections[i].fd);
		tandem_tcp_outbox_done(&session->connections[i].outbox);
	}
	tandem_memory_free(session->connections[0].inbox.message);
	tandem_memory_free(session->message_pool);
	tandem_tcp_socket_close(&session->wake_fd);
	tandem_tcp_socket_close(&session->yank_fd);
	tandem_tcp_socket_close(&session->epoll_fd);
	tandem_memory_free(session);
}

static void delete_session(struct tandem_session *head)
{
	tandem_tcp_session_delete(tandem_tcp_session_of(head));
}

int tandem_tcp_session_accepted(const struct tandem_transport_options *options,
                                const struct tandem_tcp_address *peer, uint64_t key, const int *fds,
                                struct tandem_session **ret_session,
                                struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = NULL;
	int status = tandem_tcp_session_new(options, peer, true, &session, reterr_error);
	for (unsigned i = 0; i < 1 + options->channel_count; i++) {
		int fd = fds[i];
		if (status != 0) {
			tandem_tcp_socket_close(&fd);
			continue;
		}
		session->connections[i].fd = fd;
		session->connections[i].join_state = TANDEM_TCP_JOIN_JOINED;
		tandem_tcp_connection_poll(session, &session->connections[i], EPOLLIN);
	}
	if (status != 0)
		return status;
	session->key = key;
	session->state = TANDEM_TCP_UP;
	*ret_session = &session->head;
	return 0;
}

/* ---- its descriptor ---- */

void tandem_tcp_connection_poll(struct tandem_tcp_session *session,
                                struct tandem_tcp_connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = connection->index};
	bool is_wanted = events != 0;
	if (connection->fd < 0 ||
	    (is_wanted == connection->is_polled && events == connection->polled_events))
		return;
	int action = !is_wanted              ? EPOLL_CTL_DEL
	             : connection->is_polled ? EPOLL_CTL_MOD
	                                     : EPOLL_CTL_ADD;
	int failed = epoll_ctl(session->epoll_fd, action, connection->fd, &event);
	connection->is_polled = is_wanted && !failed;
	connection->polled_events = events;
	if (failed && is_wanted)
		tandem_tcp_session_end_connection(session, connection, "epoll_ctl", errno);
}

static bool is_any_stalled(const struct tandem_tcp_session *session)
{
	for (unsigned i = 0; i < session->connection_count; i++) {
		if (session->connections[i].inbox.is_stalled)
			return true;
	}
	return false;
}

static bool has_work(const struct tandem_tcp_session *session)
{
	return session->has_up_event || session->has_lost_event ||
	       (session->state == TANDEM_TCP_DRAINING && !session->awaits_ends) ||
	       !tandem_event_queue_is_empty(&session->queue) || is_any_stalled(session);
}

void tandem_tcp_session_wake(struct tandem_tcp_session *session)
{
	bool must_be_awake = has_work(session);
	eventfd_t value = 1;
	if (must_be_awake == session->is_awake)
		return;
	/* Neither can block or fail: the counter is 0 or 1 and only this thread moves it. */
	if (must_be_awake)
		eventfd_write(session->wake_fd, value);
	else
		eventfd_read(session->wake_fd, &value);
	session->is_awake = must_be_awake;
}

/* ---- its end ---- */

void tandem_tcp_session_limit(struct tandem_tcp_session *session)
{
	session->awaits_ends = false;
	for (unsigned i = 0; i < session->connection_count; i++) {
		struct tandem_tcp_connection *connection = &session->connections[i];
		tandem_tcp_connection_poll(session, connection, 0);
		if (connection->inbox.has_limit)
			continue;
		connection->inbox.has_limit = true;
		connection->inbox.limit_bytes = tandem_tcp_socket_received_bytes(connection->fd);
	}
}

static void stop_connection(struct tandem_tcp_session *session,
                            struct tandem_tcp_connection *connection, bool drains)
{
	tandem_tcp_outbox_clear(&connection->outbox);
	tandem_tcp_connection_poll(session, connection, drains ? EPOLLIN : 0);
	if (!drains) {
		connection->inbox.is_closed = true;
		connection->inbox.is_stalled = false;
	}
	shutdown(connection->fd, SHUT_WR);
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
		                 "%s: yanked by this side", session->peer_text);
		drain = TANDEM_TCP_DRAIN_NOTHING;
	}
	for (unsigned i = 0; i < session->connection_count; i++)
		stop_connection(session, &session->connections[i],
		                drain != TANDEM_TCP_DRAIN_NOTHING);
	session->awaits_ends = true;
	session->drain_deadline_ns = tandem_clock_now_ns() + session->options.peer_timeout_ns;
	if (drain != TANDEM_TCP_DRAIN_SENT)
		tandem_tcp_session_limit(session);
	/* Left in, it would keep the descriptor readable for ever. */
	epoll_ctl(session->epoll_fd, EPOLL_CTL_DEL, session->yank_fd, NULL);
	tandem_tcp_session_wake(session);
}

/* T9: the cause names the channel, what is pending and its age. */
static void end_for_silence(struct tandem_tcp_session *session,
                            const struct tandem_tcp_connection *connection, uint64_t age_ns)
{
	struct tandem_error cause;
	char name[32];
	tandem_tcp_connection_name(connection, name, sizeof(name));
	tandem_error_set(
	        &cause, TANDEM_E_TIMEOUT, "send",
	        "%s, %s: %u frames (%llu bytes) pending besides what the kernel holds, and "
	        "the peer took no byte for %llu ms",
	        session->peer_text, name, connection->outbox.count,
	        (unsigned long long)connection->outbox.pending_bytes,
	        (unsigned long long)(age_ns / TANDEM_NS_PER_MS));
	tandem_tcp_session_end(session, &cause, TANDEM_TCP_DRAIN_RECEIVED);
}

void tandem_tcp_session_end_connection(struct tandem_tcp_session *session,
                                       const struct tandem_tcp_connection *connection,
                                       const char *operation, int os_errno)
{
	struct tandem_error cause;
	char name[32];
	if (os_errno == ETIMEDOUT) {
		end_for_silence(session, connection, session->options.peer_timeout_ns);
		return;
	}
	tandem_tcp_connection_name(connection, name, sizeof(name));
	if (os_errno != 0)
		tandem_error_set_errno(&cause, tandem_tcp_socket_error_code(os_errno), os_errno,
		                       operation, "%s, %s", session->peer_text, name);
	else
		tandem_error_set(&cause, TANDEM_E_PEER_LOST, operation,
		                 "%s, %s: closed by the peer%s", session->peer_text, name,
		                 tandem_frame_reader_is_between(&connection->inbox.reader)
		                         ? ""
		                         : " in the middle of a frame");
	bool is_closed = cause.code == TANDEM_E_PEER_LOST;
	tandem_tcp_session_end(session, &cause,
	                       is_closed ? TANDEM_TCP_DRAIN_SENT : TANDEM_TCP_DRAIN_RECEIVED);
}

void tandem_tcp_session_end_protocol(struct tandem_tcp_session *session,
                                     const struct tandem_error *cause)
{
	/* Found while draining, it says more than the end that began the drain. */
	if (session->state == TANDEM_TCP_DRAINING)
		session->cause = *cause;
	tandem_tcp_session_end(session, cause, TANDEM_TCP_DRAIN_NOTHING);
	for (unsigned i = 0; i < session->connection_count; i++) {
		session->connections[i].inbox.is_closed = true;
		session->connections[i].inbox.is_stalled = false;
	}
}

/* ---- driving it ---- */

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

static void move_bytes(struct tandem_tcp_session *session)
{
	struct epoll_event ready[TANDEM_TCP_CONNECTIONS_MAX + 2];
	uint32_t events[TANDEM_TCP_CONNECTIONS_MAX] = {0};
	size_t share_bytes = TANDEM_TCP_BUDGET_BYTES / session->connection_count;
	int count = tandem_tcp_session_ready(session, ready, TANDEM_TCP_CONNECTIONS_MAX + 2);
	for (int i = 0; i < count; i++) {
		if (ready[i].data.u32 < session->connection_count)
			events[ready[i].data.u32] = ready[i].events;
	}
	session->turn++;
	for (unsigned i = 0; i < session->connection_count; i++) {
		unsigned index = (i + session->turn) % session->connection_count;
		struct tandem_tcp_connection *connection = &session->connections[index];
		if ((events[index] & ~(uint32_t)EPOLLOUT) || connection->inbox.is_stalled)
			tandem_tcp_inbox_receive(session, connection, share_bytes);
		if ((events[index] & EPOLLOUT) && session->state == TANDEM_TCP_UP)
			tandem_tcp_connection_flush(session, connection, share_bytes,
			                            tandem_clock_now_ns());
		if (session->state != TANDEM_TCP_UP)
			return;
	}
}

static uint64_t outbox_deadline_ns(const struct tandem_tcp_session *session,
                                   const struct tandem_tcp_connection *connection)
{
	if (connection->outbox.count == 0)
		return UINT64_MAX;
	return connection->outbox.moved_at_ns + session->options.peer_timeout_ns;
}

static void check_deadlines(struct tandem_tcp_session *session)
{
	uint64_t now_ns = tandem_clock_now_ns();
	for (unsigned i = 0; i < session->connection_count; i++) {
		const struct tandem_tcp_connection *connection = &session->connections[i];
		if (now_ns < outbox_deadline_ns(session, connection))
			continue;
		end_for_silence(session, connection, now_ns - connection->outbox.moved_at_ns);
		return;
	}
}

static void progress(struct tandem_session *head)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	const struct tandem_error yanked = {.code = TANDEM_E_YANKED};
	if (atomic_load(&session->is_yanked))
		tandem_tcp_session_end(session, &yanked, TANDEM_TCP_DRAIN_NOTHING);
	if (session->state == TANDEM_TCP_JOINING)
		tandem_tcp_joining_progress(session);
	if (session->state == TANDEM_TCP_UP) {
		move_bytes(session);
		if (session->state == TANDEM_TCP_UP)
			check_deadlines(session);
	}
	if (session->state == TANDEM_TCP_DRAINING)
		tandem_tcp_session_drain(session);
	tandem_tcp_session_wake(session);
}

static bool take_event(struct tandem_tcp_session *session, struct tandem_session_event *ret_event)
{
	if (session->has_up_event) {
		session->has_up_event = false;
		ret_event->type = TANDEM_SESSION_UP;
		return true;
	}
	if (tandem_event_queue_take(&session->queue, ret_event))
		return true;
	if (session->has_lost_event) {
		session->has_lost_event = false;
		ret_event->type = TANDEM_SESSION_LOST;
		ret_event->error = session->cause;
		return true;
	}
	return false;
}

static bool next_event(struct tandem_session *head, struct tandem_session_event *ret_event)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	bool has_event = take_event(session, ret_event);
	tandem_tcp_session_wake(session);
	return has_event;
}

static void yank(struct tandem_session *head)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	atomic_store(&session->is_yanked, true);
	/* T10. Shutting down needs no lock that a blocked call could hold; descriptors stay open
	 * until free, so none of these numbers can be somebody else's. */
	eventfd_write(session->yank_fd, 1);
	for (unsigned i = 0; i < session->connection_count; i++)
		shutdown(session->connections[i].fd, SHUT_RDWR);
}

/* ---- what it says about itself ---- */

static unsigned channel_count(const struct tandem_session *head)
{
	return tandem_tcp_session_of_const(head)->connection_count - 1;
}

static const char *peer_address(const struct tandem_session *head)
{
	return tandem_tcp_session_of_const(head)->peer_text;
}

static int fd(const struct tandem_session *head)
{
	return tandem_tcp_session_of_const(head)->epoll_fd;
}

static uint64_t deadline_ns(const struct tandem_session *head)
{
	const struct tandem_tcp_session *session = tandem_tcp_session_of_const(head);
	uint64_t deadline = UINT64_MAX;
	if (session->state == TANDEM_TCP_JOINING)
		return session->join_deadline_ns;
	if (session->state == TANDEM_TCP_DRAINING)
		return session->drain_deadline_ns;
	for (unsigned i = 0; i < session->connection_count; i++) {
		uint64_t own = outbox_deadline_ns(session, &session->connections[i]);
		deadline = own < deadline ? own : deadline;
	}
	return deadline;
}

static const struct tandem_session_ops ops = {
        .channel_count = channel_count,
        .peer_address = peer_address,
        .fd = fd,
        .deadline_ns = deadline_ns,
        .progress = progress,
        .next_event = next_event,
        .expose = tandem_tcp_session_expose,
        .register_source = tandem_tcp_session_register,
        .exposed_bytes = tandem_tcp_session_exposed_bytes,
        .send = tandem_tcp_session_send,
        .write = tandem_tcp_session_write,
        .notify = tandem_tcp_session_notify,
        .inflight_count = tandem_tcp_session_inflight_count,
        .yank = yank,
        .fence = tandem_tcp_session_fence,
        .describe = tandem_tcp_session_describe,
        .free = delete_session,
};
