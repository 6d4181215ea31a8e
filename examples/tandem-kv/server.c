#include "server.h"

#include <errno.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>

#include "server_internal.h"

#define SERVER_BACKLOG 511

static const struct timeval server_tick_interval = {.tv_usec = 50000};
static const struct timeval server_stop_timeout = {.tv_sec = 1};

static void server_on_change(void *context, struct tandem_kv_connection *connection)
{
	tandem_kv_server_settle(context, connection);
}

static void server_on_accept(struct evconnlistener *listener, evutil_socket_t file,
                             struct sockaddr *address, int address_bytes, void *context)
{
	struct tandem_kv_server *server = context;
	struct tandem_kv_connection *connection = tandem_kv_connection_new(
	        server->base, file, ++server->facts.connections_total, server_on_change, server);

	(void)address;
	(void)address_bytes;
	server->is_accept_failing = false;
	if (!connection) {
		tandem_log(TANDEM_LOG_WARNING, "no memory for another connection");
		return;
	}
	TAILQ_INSERT_TAIL(&server->all, connection, all);
	if (++server->facts.clients >= server->facts.clients_max)
		evconnlistener_disable(listener);
}

/* Out of descriptors: whoever waits to be accepted waits on, until the next tick. */
static void server_on_accept_error(struct evconnlistener *listener, void *context)
{
	struct tandem_kv_server *server = context;

	if (!server->is_accept_failing)
		tandem_log(TANDEM_LOG_WARNING, "accept: %s; new clients wait", strerror(errno));
	server->is_accept_failing = true;
	evconnlistener_disable(listener);
}

static void server_on_gate(evutil_socket_t file, short events, void *context)
{
	/* The loop returns and polls. */
	(void)file;
	(void)events;
	(void)context;
}

static void server_on_tick(evutil_socket_t file, short events, void *context)
{
	struct tandem_kv_server *server = context;

	(void)file;
	(void)events;
	tandem_kv_server_drop_stalled(server, tandem_clock_now_ns());
	if (!server->is_stopping && server->facts.clients < server->facts.clients_max)
		evconnlistener_enable(server->listener);
}

static void server_on_stop(evutil_socket_t file, short events, void *context)
{
	struct tandem_kv_server *server = context;

	(void)file;
	(void)events;
	if (server->is_stopping)
		return;
	server->is_stopping = true;
	evconnlistener_disable(server->listener);
	event_add(server->stop_timer, &server_stop_timeout);
}

static void server_on_stop_timeout(evutil_socket_t file, short events, void *context)
{
	struct tandem_kv_server *server = context;

	(void)file;
	(void)events;
	server->exit = TANDEM_KV_EXIT_OK;
}

static int server_open_events(struct tandem_kv_server *server)
{
	int gate_file = tandem_kv_gate_event_fd(server->gate);

	server->signals[0] = evsignal_new(server->base, SIGTERM, server_on_stop, server);
	server->signals[1] = evsignal_new(server->base, SIGINT, server_on_stop, server);
	server->tick = event_new(server->base, -1, EV_PERSIST, server_on_tick, server);
	server->stop_timer = event_new(server->base, -1, 0, server_on_stop_timeout, server);
	if (gate_file >= 0)
		server->gate_event = event_new(server->base, gate_file, EV_READ | EV_PERSIST,
		                               server_on_gate, server);
	if (!server->signals[0] || !server->signals[1] || !server->tick || !server->stop_timer ||
	    (gate_file >= 0 && !server->gate_event))
		return -1;
	if (event_add(server->signals[0], NULL) != 0 || event_add(server->signals[1], NULL) != 0 ||
	    event_add(server->tick, &server_tick_interval) != 0 ||
	    (server->gate_event && event_add(server->gate_event, NULL) != 0))
		return -1;
	return 0;
}

static void server_name_address(struct tandem_kv_server *server)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int file = evconnlistener_get_fd(server->listener);
	const char *text = server->options->listen_text;
	const char *colon = strrchr(text, ':');

	if (getsockname(file, (struct sockaddr *)&address, &length) != 0)
		return;
	server->facts.port = ntohs(address.ss_family == AF_INET6
	                                   ? ((const struct sockaddr_in6 *)&address)->sin6_port
	                                   : ((const struct sockaddr_in *)&address)->sin_port);
	(void)snprintf(server->address, sizeof(server->address), "%.*s:%u", (int)(colon - text),
	               text, server->facts.port);
}

static int server_listen(struct tandem_kv_server *server, struct tandem_error *reterr_error)
{
	const struct tandem_kv_options *options = server->options;

	server->listener = evconnlistener_new_bind(
	        server->base, server_on_accept, server,
	        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, SERVER_BACKLOG,
	        (const struct sockaddr *)&options->listen_address, options->listen_address_bytes);
	if (!server->listener)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "listen", "%s",
		                              options->listen_text);
	evconnlistener_set_error_cb(server->listener, server_on_accept_error);
	server_name_address(server);
	return 0;
}

int tandem_kv_server_open(const struct tandem_kv_options *options, struct tandem_kv_store *store,
                          size_t map_bytes, struct tandem_kv_gate *gate,
                          struct tandem_kv_server **ret_server, struct tandem_error *reterr_error)
{
	struct tandem_kv_server *server = tandem_memory_alloc(sizeof(*server));

	if (!server)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "server", "no memory");
	TAILQ_INIT(&server->all);
	TAILQ_INIT(&server->ready);
	TAILQ_INIT(&server->run);
	TAILQ_INIT(&server->held);
	server->exit = -1;
	server->options = options;
	server->store = store;
	server->gate = gate;
	server->facts =
	        (struct tandem_kv_facts){.pair = options->pair,
	                                 .is_standalone = options->is_standalone,
	                                 .is_takeover = options->is_takeover,
	                                 .started_ms = tandem_clock_wall_ns() / TANDEM_NS_PER_MS,
	                                 .map_bytes = map_bytes,
	                                 .clients_max = TANDEM_KV_CLIENTS_MAX};
	server->turn = tandem_kv_turn_new();
	server->base = event_base_new();
	int result = 0;
	if (!server->turn || !server->base || server_open_events(server) != 0)
		result = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "server",
		                          "no memory for the loop");
	if (result == 0)
		result = server_listen(server, reterr_error);
	if (result != 0) {
		tandem_kv_server_close(server);
		return result;
	}
	*ret_server = server;
	return 0;
}

static void server_event_free(struct event *event)
{
	if (event)
		event_free(event);
}

struct tandem_kv_server *tandem_kv_server_close(struct tandem_kv_server *server)
{
	struct tandem_kv_connection *connection;

	if (!server)
		return NULL;
	if (server->listener)
		evconnlistener_free(server->listener);
	while ((connection = TAILQ_FIRST(&server->all))) {
		TAILQ_REMOVE(&server->all, connection, all);
		tandem_kv_connection_free(connection);
	}
	server_event_free(server->signals[0]);
	server_event_free(server->signals[1]);
	server_event_free(server->tick);
	server_event_free(server->stop_timer);
	server_event_free(server->gate_event);
	if (server->base)
		event_base_free(server->base);
	tandem_kv_turn_free(server->turn);
	tandem_memory_free(server);
	return NULL;
}

const char *tandem_kv_server_address(const struct tandem_kv_server *server)
{
	return server->address;
}

enum tandem_kv_server_exit tandem_kv_server_run(struct tandem_kv_server *server)
{
	while (server->exit < 0) {
		int flags = EVLOOP_ONCE;

		tandem_kv_server_step(server);
		if (server->exit >= 0)
			break;
		if (tandem_kv_server_is_busy(server))
			flags |= EVLOOP_NONBLOCK;
		if (event_base_loop(server->base, flags) < 0) {
			tandem_log(TANDEM_LOG_ERROR, "the event loop failed");
			server->exit = TANDEM_KV_EXIT_FAILED;
		}
	}
	return (enum tandem_kv_server_exit)server->exit;
}
