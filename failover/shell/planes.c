#include "shell/service.h"

#include <errno.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <unistd.h>

#define PACKETS_MAX       16 /* of one data plane before other events get their turn */
#define SESSION_LINES_MAX 16 /* a second */
#define ATTACH_DEADLINE   ((struct timeval){.tv_sec = 5})

static void release(struct tandem_connection *connection)
{
	if (connection->event)
		event_free(connection->event);
	if (connection->deadline)
		event_free(connection->deadline);
	if (connection->fd >= 0)
		close(connection->fd);
	*connection = (struct tandem_connection){.fd = -1};
}

static void lose(struct tandem_connection *connection)
{
	struct tandem_pair *pair = connection->pair;
	struct tandem_event event = {.type = TANDEM_EVENT_DETACHED, .connection = connection->id};
	release(connection);
	if (pair)
		tandem_pair_feed(pair, &event);
}

static void refuse(struct tandem_connection *connection, const char *why)
{
	char line[200];
	snprintf(line, sizeof(line), "process %u on %s was dropped: %s",
	         (unsigned)connection->process_id, TANDEM_CONTROL_SOCKET, why);
	tandem_service_complain(connection->controller, line);
	lose(connection);
}

static struct tandem_connection *find(struct tandem_controller *controller, uint64_t id)
{
	for (size_t i = 0; i < TANDEM_CONNECTIONS_MAX; i++) {
		if (controller->connections[i].fd >= 0 && controller->connections[i].id == id)
			return &controller->connections[i];
	}
	return NULL;
}

void tandem_planes_send(struct tandem_pair *pair, uint64_t connection_id,
                        const struct tandem_control_message *message)
{
	struct tandem_connection *connection = find(pair->controller, connection_id);
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	if (!connection)
		return;
	tandem_control_encode(message, bytes);
	/* A data plane that does not take its orders is as good as gone; the loop sees the end. */
	if (send(connection->fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)sizeof(bytes))
		shutdown(connection->fd, SHUT_RDWR);
}

void tandem_planes_drop(struct tandem_controller *controller, uint64_t connection_id)
{
	struct tandem_connection *connection = find(controller, connection_id);
	if (connection)
		release(connection);
}

static int type_of_event(enum tandem_control_type type)
{
	static const int types[] = {
	        [TANDEM_CONTROL_ATTACH] = TANDEM_EVENT_ATTACHED,
	        [TANDEM_CONTROL_READY] = TANDEM_EVENT_READY,
	        [TANDEM_CONTROL_REPORT] = TANDEM_EVENT_REPORT,
	        [TANDEM_CONTROL_SESSION_UP] = TANDEM_EVENT_SESSION_UP,
	        [TANDEM_CONTROL_SESSION_LOST] = TANDEM_EVENT_SESSION_LOST,
	        [TANDEM_CONTROL_COPIED] = TANDEM_EVENT_COPIED,
	        [TANDEM_CONTROL_FENCED] = TANDEM_EVENT_FENCED,
	        [TANDEM_CONTROL_FAILED] = TANDEM_EVENT_FAILED,
	        [TANDEM_CONTROL_QUIESCED] = TANDEM_EVENT_QUIESCED,
	};
	return type <= TANDEM_CONTROL_QUIESCED ? types[type] : -1;
}

/* The descriptor names the process that connected even if its number is given to another later,
 * because that process still holds the connection. */
static int open_process(uint32_t process_id)
{
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)process_id, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	if (pidfd >= 0 && poll(&ended, 1, 0) > 0) {
		close(pidfd);
		errno = ESRCH;
		return -1;
	}
	return pidfd;
}

static void keep_session_detail(struct tandem_pair *pair,
                                const struct tandem_control_message *message)
{
	const bool is_lost = message->type == TANDEM_CONTROL_SESSION_LOST;
	if (!pair->was_refused && message->kind == TANDEM_CONTROL_KIND_PROGRAM &&
	    (is_lost || message->type == TANDEM_CONTROL_SESSION_UP ||
	     message->type == TANDEM_CONTROL_ATTACH))
		snprintf(pair->session_detail, sizeof(pair->session_detail), "%s",
		         is_lost ? pair->plane_detail : "");
}

static void attach(struct tandem_connection *connection,
                   const struct tandem_control_message *message)
{
	struct tandem_pair *pair = tandem_pair_find(connection->controller, message->pair);
	uint64_t id = connection->id;
	if (connection->pair || !pair) {
		refuse(connection, pair ? "it attached twice" : "it named a pair of no node here");
		return;
	}
	if (message->process_id != connection->process_id) {
		refuse(connection, "it named another process than itself");
		return;
	}
	int pidfd = open_process(connection->process_id);
	if (pidfd < 0 && errno == ESRCH) {
		lose(connection);
		return;
	}
	struct tandem_event event = {
	        .type = TANDEM_EVENT_ATTACHED, .connection = id, .message = *message};
	connection->pair = pair;
	event_del(connection->deadline);
	tandem_pair_feed(pair, &event);
	keep_session_detail(pair, message);
	if (pidfd >= 0 && !pair->was_refused)
		tandem_watch_add(pair, message->kind, message->incarnation, message->process_id,
		                 pidfd);
	else if (pidfd >= 0)
		close(pidfd);
}

static bool has_decision(const struct tandem_actions *actions)
{
	for (size_t i = 0; i < actions->count; i++) {
		const struct tandem_action *action = &actions->list[i];
		if (action->type == TANDEM_ACTION_NOTE && !action->note.is_alarm)
			return true;
	}
	return false;
}

/* Why a program has no session, where no decision came of it that would say so. */
static void tell_lost_session(struct tandem_pair *pair,
                              const struct tandem_control_message *message)
{
	const struct tandem_controller_options *options = &pair->controller->options;
	char line[400];
	if (message->type != TANDEM_CONTROL_SESSION_LOST || message->text[0] == 0 ||
	    message->kind != TANDEM_CONTROL_KIND_PROGRAM ||
	    has_decision(&pair->controller->actions) ||
	    !tandem_rate_take(&pair->session_lines, SESSION_LINES_MAX, tandem_clock_now_ns()))
		return;
	snprintf(line, sizeof(line), "pair %s: the program's session failed: %s",
	         pair->machine.config.pair.name, pair->plane_detail);
	if (options->on_decision)
		options->on_decision(options->context, true, line);
}

/* A report that says something has it to say to the operator: a lost data channel. What a misfit
 * says again and again is an alarm's [L16]. */
static void tell_report(struct tandem_pair *pair, const struct tandem_control_message *message)
{
	const struct tandem_controller_options *options = &pair->controller->options;
	char line[400];
	if (message->type != TANDEM_CONTROL_REPORT || message->text[0] == 0 ||
	    message->status != 0 || !options->on_decision ||
	    !tandem_rate_take(&pair->session_lines, SESSION_LINES_MAX, tandem_clock_now_ns()))
		return;
	snprintf(line, sizeof(line), "pair %s: %s", pair->machine.config.pair.name, message->text);
	options->on_decision(options->context, true, line);
}

static void take_packet(struct tandem_connection *connection, const uint8_t *bytes, size_t length)
{
	struct tandem_control_message message;
	int status = tandem_control_decode(bytes, length, &message);
	int type = status == 0 ? type_of_event(message.type) : -1;
	if (status == TANDEM_E_VERSION) {
		refuse(connection, "it speaks another version of the control protocol");
		return;
	}
	if (type < 0) {
		refuse(connection, "its packet is no message of a data plane");
		return;
	}
	if (type == TANDEM_EVENT_ATTACHED) {
		attach(connection, &message);
		return;
	}
	if (!connection->pair) {
		refuse(connection, "its first packet is not ATTACH");
		return;
	}
	struct tandem_event event = {.type = (enum tandem_event_type)type,
	                             .connection = connection->id,
	                             .message = message};
	struct tandem_pair *pair = connection->pair;
	if (type == TANDEM_EVENT_FENCED)
		TANDEM_FAILPOINT("fenced");
	if (type == TANDEM_EVENT_COPIED)
		TANDEM_FAILPOINT("copied");
	tandem_pair_feed(pair, &event);
	if (type == TANDEM_EVENT_READY && message.kind == TANDEM_CONTROL_KIND_PROGRAM)
		tandem_watch_ready(pair, message.incarnation);
	keep_session_detail(pair, &message);
	tell_lost_session(pair, &message);
	tell_report(pair, &message);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_connection *connection = context;
	struct tandem_controller *controller = connection->controller;
	uint64_t id = connection->id;
	(void)what;
	for (unsigned i = 0; i < PACKETS_MAX; i++) {
		uint8_t bytes[TANDEM_CONTROL_BYTES + 1];
		ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length <= 0) {
			lose(connection);
			return;
		}
		take_packet(connection, bytes, (size_t)length);
		if (find(controller, id) != connection)
			return;
	}
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	refuse(context, "it did not attach in time");
}

static struct tandem_connection *find_place(struct tandem_controller *controller)
{
	for (size_t i = 0; i < TANDEM_CONNECTIONS_MAX; i++) {
		if (controller->connections[i].fd < 0)
			return &controller->connections[i];
	}
	return NULL;
}

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                       int from_length, void *context)
{
	struct tandem_controller *controller = context;
	struct tandem_connection *connection = find_place(controller);
	struct ucred peer;
	socklen_t length = sizeof(peer);
	(void)listener;
	(void)from;
	(void)from_length;
	if (!connection || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
		tandem_service_complain(controller, "a connection on " TANDEM_CONTROL_SOCKET
		                                    " was refused: too many are open");
		close(fd);
		return;
	}
	*connection = (struct tandem_connection){.controller = controller,
	                                         .id = ++controller->connection_last,
	                                         .process_id = (uint32_t)peer.pid,
	                                         .fd = fd};
	connection->event =
	        event_new(controller->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->deadline = evtimer_new(controller->base, on_deadline, connection);
	struct timeval deadline = ATTACH_DEADLINE;
	if (!connection->event || !connection->deadline ||
	    event_add(connection->event, NULL) != 0 ||
	    evtimer_add(connection->deadline, &deadline) != 0)
		release(connection);
}

int tandem_planes_open(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	int fd = -1;
	for (size_t i = 0; i < TANDEM_CONNECTIONS_MAX; i++)
		controller->connections[i].fd = -1;
	int status = tandem_run_socket_listen(controller, TANDEM_CONTROL_SOCKET, SOCK_SEQPACKET,
	                                      &fd, reterr_error);
	if (status != 0)
		return status;
	controller->plane_listener =
	        evconnlistener_new(controller->base, on_connect, controller,
	                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (controller->plane_listener)
		return 0;
	close(fd);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen", "no listener");
}

void tandem_planes_close(struct tandem_controller *controller)
{
	if (controller->plane_listener)
		evconnlistener_free(controller->plane_listener);
	for (size_t i = 0; i < TANDEM_CONNECTIONS_MAX; i++) {
		if (controller->connections[i].controller)
			release(&controller->connections[i]);
	}
}
