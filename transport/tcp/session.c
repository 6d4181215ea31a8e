#include "tcp/session.h"

#include <errno.h>
#include <fcntl.h>
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
#define MARK_DOOR 102u
#define READY_MAX (TANDEM_TCP_CONNECTIONS_MAX + 3)

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
	for (unsigned i = 0; i < session->connection_count; i++) {
		session->connections[i].fd = fcntl(session->yank_fd, F_DUPFD_CLOEXEC, 0);
		if (session->connections[i].fd < 0)
			return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fcntl",
			                              "descriptors of a session");
	}
	return 0;
}

static int make_buffers(struct tandem_tcp_session *session, struct tandem_error *reterr_error)
{
	struct tandem_tcp_connection *control = &session->connections[0];
	int status = tandem_tcp_outbox_init(&control->outbox, CONTROL_ENTRIES);
	tandem_tcp_outbox_sign(&control->outbox, &session->secrets, session->is_listening_side);
	session->message_pool =
	        tandem_memory_alloc_array(TANDEM_MESSAGES_MAX, TANDEM_MESSAGE_BYTES_MAX);
	control->inbox.message = tandem_memory_alloc(TANDEM_MESSAGE_BYTES_MAX + TANDEM_TAG_BYTES);
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

int tandem_tcp_session_new(const struct tandem_transport_options *options, bool is_listening_side,
                           struct tandem_tcp_session **ret_session,
                           struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = tandem_memory_alloc(sizeof(*session));
	if (!session)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session",
		                        "no memory for %zu bytes", sizeof(*session));
	session->head.ops = &ops;
	session->connection_count = 1 + options->channel_count;
	session->options = *options;
	session->is_listening_side = is_listening_side;
	tandem_patience_init(&session->patience, options->poll_ns);
	session->lonely_deadline_ns = UINT64_MAX;
	session->epoll_fd = session->yank_fd = session->wake_fd = -1;
	for (unsigned i = 0; i < TANDEM_TCP_CONNECTIONS_MAX; i++) {
		session->connections[i].index = i;
		session->connections[i].fd = -1;
		session->connections[i].inbox.is_closed = true;
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
	if (session->door)
		tandem_tcp_door_shut(session->door);
	/* The control connection first: its end is the session's, the others' are not. */
	for (unsigned i = 0; i < session->connection_count; i++) {
		tandem_tcp_socket_close(&session->connections[i].fd);
		tandem_tcp_outbox_done(&session->connections[i].outbox);
	}
	tandem_memory_free(session->connections[0].inbox.message);
	tandem_memory_free(session->message_pool);
	tandem_tcp_socket_close(&session->wake_fd);
	tandem_tcp_socket_close(&session->yank_fd);
	tandem_tcp_socket_close(&session->epoll_fd);
	tandem_tcp_door_unref(session->door);
	tandem_memory_free(session);
}

static void delete_session(struct tandem_session *head)
{
	tandem_tcp_session_delete(tandem_tcp_session_of(head));
}

static int enter_guest(struct tandem_tcp_session *session, const struct tandem_tcp_guest *guest,
                       struct tandem_error *reterr_error)
{
	struct tandem_tcp_connection *control = &session->connections[0];
	int fd = guest->fd;
	int status = tandem_tcp_door_new(guest->transcript.session_id, &guest->secrets,
	                                 &session->door, reterr_error);
	if (status == 0 && watch(session, tandem_tcp_door_fd(session->door), MARK_DOOR) != 0)
		status = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_ctl",
		                                "the door of a session");
	if (status != 0) {
		tandem_tcp_socket_close(&fd);
		return status;
	}
	session->transcript = guest->transcript;
	session->secrets = guest->secrets;
	session->key_index = guest->key_index;
	control->rail = guest->rail;
	control->join_state = TANDEM_TCP_JOIN_JOINED;
	session->state = TANDEM_TCP_UP;
	session->lonely_deadline_ns = tandem_clock_now_ns() + session->options.connect_timeout_ns;
	status = tandem_tcp_connection_adopt(session, control, fd, &guest->peer, reterr_error);
	if (status == 0)
		tandem_tcp_connection_poll(session, control, EPOLLIN);
	return status;
}

int tandem_tcp_session_accepted(const struct tandem_transport_options *options,
                                const struct tandem_tcp_guest *guest,
                                struct tandem_session **ret_session,
                                struct tandem_tcp_door **ret_door,
                                struct tandem_error *reterr_error)
{
	struct tandem_tcp_session *session = NULL;
	int fd = guest->fd;
	int status = tandem_tcp_session_new(options, true, &session, reterr_error);
	if (status != 0) {
		tandem_tcp_socket_close(&fd);
		return status;
	}
	status = enter_guest(session, guest, reterr_error);
	if (status != 0) {
		tandem_tcp_session_delete(session);
		return status;
	}
	*ret_session = &session->head;
	*ret_door = tandem_tcp_door_ref(session->door);
	return 0;
}

/* ---- its descriptor ---- */

static bool is_any_waiting(const struct tandem_tcp_session *session)
{
	for (unsigned i = 0; i < session->connection_count; i++) {
		if (session->connections[i].inbox.is_stalled || session->connections[i].is_ending)
			return true;
	}
	return false;
}

static bool has_work(const struct tandem_tcp_session *session)
{
	return session->has_up_event || session->has_lost_event ||
	       (session->state == TANDEM_TCP_DRAINING && !session->awaits_ends) ||
	       !tandem_event_queue_is_empty(&session->queue) || is_any_waiting(session);
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

/* ---- driving it ---- */

static void serve(struct tandem_tcp_session *session, struct tandem_tcp_connection *connection,
                  uint32_t events)
{
	size_t share_bytes = TANDEM_TCP_BUDGET_BYTES / session->connection_count;
	if (connection->channel_state == TANDEM_CHANNEL_JOINING) {
		if (events)
			tandem_tcp_joining_step(session, connection);
		return;
	}
	if ((events & ~(uint32_t)EPOLLOUT) || connection->inbox.is_stalled)
		tandem_tcp_inbox_receive(session, connection, share_bytes);
	if ((events & EPOLLOUT) && session->state == TANDEM_TCP_UP &&
	    connection->join_state == TANDEM_TCP_JOIN_JOINED && !connection->is_ending)
		tandem_tcp_connection_flush(session, connection, share_bytes,
		                            tandem_clock_now_ns());
}

/* Whether anything was read. */
static bool move_bytes(struct tandem_tcp_session *session)
{
	struct epoll_event ready[READY_MAX];
	uint32_t events[TANDEM_TCP_CONNECTIONS_MAX] = {0};
	unsigned data_count = session->connection_count - 1;
	const size_t before_bytes = session->turn_bytes;
	int count = tandem_tcp_session_ready(session, ready, READY_MAX);
	for (int i = 0; i < count; i++) {
		if (ready[i].data.u32 < session->connection_count)
			events[ready[i].data.u32] = ready[i].events;
		if (ready[i].data.u32 == MARK_DOOR)
			tandem_tcp_channels_answer(session);
	}
	/* Control first: where the peer has closed all, it is the session that ended. */
	serve(session, &session->connections[0], events[0]);
	session->turn++;
	for (unsigned i = 0; i < data_count && session->state == TANDEM_TCP_UP; i++) {
		unsigned index = 1 + (i + session->turn) % data_count;
		serve(session, &session->connections[index], events[index]);
	}
	tandem_tcp_channels_finish(session);
	return session->state == TANDEM_TCP_UP && session->turn_bytes > before_bytes;
}

static void join(struct tandem_tcp_session *session)
{
	struct epoll_event ready[READY_MAX];
	int count = epoll_wait(session->epoll_fd, ready, READY_MAX, 0);
	for (int i = 0; i < count && session->state == TANDEM_TCP_JOINING; i++) {
		if (ready[i].data.u32 < session->connection_count)
			tandem_tcp_joining_step(session, &session->connections[ready[i].data.u32]);
	}
	tandem_tcp_joining_check_deadlines(session);
}

static uint64_t outbox_deadline_ns(const struct tandem_tcp_session *session,
                                   const struct tandem_tcp_connection *connection)
{
	if (connection->outbox.count == 0)
		return UINT64_MAX;
	return connection->outbox.moved_at_ns + session->options.peer_timeout_ns;
}

/* T4 */
static void end_lonely(struct tandem_tcp_session *session)
{
	struct tandem_error cause;
	tandem_error_set(
	        &cause, TANDEM_E_TIMEOUT, "join", "%s: no data channel for %llu ms",
	        session->connections[0].peer_text,
	        (unsigned long long)(session->options.connect_timeout_ns / TANDEM_NS_PER_MS));
	tandem_tcp_session_end(session, &cause, TANDEM_TCP_DRAIN_RECEIVED);
}

static void check_deadlines(struct tandem_tcp_session *session)
{
	uint64_t now_ns = tandem_clock_now_ns();
	for (unsigned i = 0; i < session->connection_count && session->state == TANDEM_TCP_UP;
	     i++) {
		struct tandem_tcp_connection *connection = &session->connections[i];
		if (now_ns >= outbox_deadline_ns(session, connection))
			tandem_tcp_session_end_silent(session, connection,
			                              now_ns - connection->outbox.moved_at_ns);
	}
	if (now_ns >= session->lonely_deadline_ns)
		end_lonely(session);
	tandem_tcp_joining_check_deadlines(session);
}

static void progress(struct tandem_session *head)
{
	struct tandem_tcp_session *session = tandem_tcp_session_of(head);
	const struct tandem_error yanked = {.code = TANDEM_E_YANKED};
	if (atomic_load(&session->is_yanked))
		tandem_tcp_session_end(session, &yanked, TANDEM_TCP_DRAIN_NOTHING);
	if (session->state == TANDEM_TCP_JOINING)
		join(session);
	if (session->state == TANDEM_TCP_UP) {
		tandem_tcp_session_begin_turn(session);
		while (move_bytes(session) && tandem_tcp_session_goes_on(session))
			;
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
		ret_event->channel_mask = session->up_mask;
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
	return tandem_tcp_session_of_const(head)->connections[0].peer_text;
}

static int fd(const struct tandem_session *head)
{
	return tandem_tcp_session_of_const(head)->epoll_fd;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t deadline_ns(const struct tandem_session *head)
{
	const struct tandem_tcp_session *session = tandem_tcp_session_of_const(head);
	uint64_t deadline = session->lonely_deadline_ns;
	if (session->state == TANDEM_TCP_DRAINING)
		return session->drain_deadline_ns;
	if (session->state == TANDEM_TCP_ENDED)
		return UINT64_MAX;
	if (session->state == TANDEM_TCP_JOINING)
		deadline = session->join_deadline_ns;
	for (unsigned i = 0; i < session->connection_count; i++) {
		const struct tandem_tcp_connection *connection = &session->connections[i];
		deadline = earlier(deadline, outbox_deadline_ns(session, connection));
		if (connection->channel_state == TANDEM_CHANNEL_JOINING)
			deadline = earlier(deadline, connection->join_deadline_ns);
	}
	return deadline;
}

static unsigned key_index(const struct tandem_session *head)
{
	return tandem_tcp_session_of_const(head)->key_index;
}

static const struct tandem_session_ops ops = {
        .lands_in_calls = true,
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
        .fence_channel = tandem_tcp_session_fence_channel,
        .restore = tandem_tcp_session_restore,
        .channel_status = tandem_tcp_session_channel_status,
        .key_index = key_index,
        .break_channel = tandem_tcp_session_break_channel,
        .describe = tandem_tcp_session_describe,
        .free = delete_session,
};
