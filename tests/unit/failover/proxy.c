#include "proxy.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct connection {
	struct proxy *proxy;
	enum proxy_mode mode;
	struct bufferevent *client; /* NULL: gone */
	struct bufferevent *server;
	struct evbuffer *held;
};

struct proxy {
	struct event_base *base;
	struct evconnlistener *listener;
	uint16_t port, to_port;
	enum proxy_mode mode;
	const char *words;
	size_t word_bytes;
	unsigned count, swallowed_count;
	struct connection connections[PROXY_CONNECTIONS_MAX];
};

static void drop(struct bufferevent **end)
{
	if (*end)
		bufferevent_free(*end);
	*end = NULL;
}

static void on_client_bytes(struct bufferevent *end, void *context)
{
	struct connection *connection = context;
	struct proxy *proxy = connection->proxy;
	struct evbuffer *bytes = bufferevent_get_input(end);
	connection->mode = proxy->mode;
	if (connection->mode == PROXY_BABBLE) {
		evbuffer_drain(bytes, evbuffer_get_length(bytes));
		bufferevent_write(end, proxy->words, proxy->word_bytes);
	} else if (connection->mode == PROXY_HOLD) {
		evbuffer_add_buffer(connection->held, bytes);
	} else if (connection->server) {
		bufferevent_write_buffer(connection->server, bytes);
	}
}

static void on_server_bytes(struct bufferevent *end, void *context)
{
	struct connection *connection = context;
	struct evbuffer *bytes = bufferevent_get_input(end);
	if (connection->mode == PROXY_PASS && connection->client) {
		bufferevent_write_buffer(connection->client, bytes);
		return;
	}
	evbuffer_drain(bytes, evbuffer_get_length(bytes));
	connection->proxy->swallowed_count++;
	if (connection->mode == PROXY_SWALLOW)
		drop(&connection->client);
}

static void on_client_end(struct bufferevent *end, short what, void *context)
{
	struct connection *connection = context;
	(void)end;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	drop(&connection->client);
	if (connection->mode == PROXY_PASS)
		drop(&connection->server);
}

static void on_server_end(struct bufferevent *end, short what, void *context)
{
	struct connection *connection = context;
	(void)end;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	drop(&connection->server);
	if (connection->mode != PROXY_BABBLE)
		drop(&connection->client);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons(port),
	                            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *context)
{
	struct proxy *proxy = context;
	struct sockaddr_in server = loopback(proxy->to_port);
	(void)listener;
	(void)address;
	(void)length;
	cr_assert(proxy->count < PROXY_CONNECTIONS_MAX);
	struct connection *connection = &proxy->connections[proxy->count++];
	connection->proxy = proxy;
	connection->mode = proxy->mode;
	connection->held = evbuffer_new();
	connection->client = bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(connection->client, on_client_bytes, NULL, on_client_end, connection);
	bufferevent_enable(connection->client, EV_READ | EV_WRITE);
	connection->server = bufferevent_socket_new(proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(connection->server, on_server_bytes, NULL, on_server_end, connection);
	bufferevent_enable(connection->server, EV_READ | EV_WRITE);
	bufferevent_socket_connect(connection->server, (struct sockaddr *)&server, sizeof(server));
}

struct proxy *proxy_open(struct event_base *base, uint16_t to_port)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));
	struct sockaddr_in address = loopback(0);
	socklen_t length = sizeof(address);
	proxy->base = base;
	proxy->to_port = to_port;
	proxy->listener = evconnlistener_new_bind(base, on_connection, proxy,
	                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 8,
	                                          (struct sockaddr *)&address, sizeof(address));
	cr_assert(proxy->listener != NULL);
	cr_assert(getsockname(evconnlistener_get_fd(proxy->listener), (struct sockaddr *)&address,
	                      &length) == 0);
	proxy->port = ntohs(address.sin_port);
	return proxy;
}

void proxy_close(struct proxy *proxy)
{
	for (unsigned i = 0; i < proxy->count; i++) {
		drop(&proxy->connections[i].client);
		drop(&proxy->connections[i].server);
		evbuffer_free(proxy->connections[i].held);
	}
	evconnlistener_free(proxy->listener);
	free(proxy);
}

uint16_t proxy_port(const struct proxy *proxy)
{
	return proxy->port;
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
	proxy->mode = mode;
}

void proxy_babble(struct proxy *proxy, const char *words, size_t length)
{
	proxy->mode = PROXY_BABBLE;
	proxy->words = words;
	proxy->word_bytes = length;
}

void proxy_release(struct proxy *proxy)
{
	for (unsigned i = 0; i < proxy->count; i++) {
		struct connection *connection = &proxy->connections[i];
		if (connection->mode == PROXY_HOLD && connection->server)
			bufferevent_write_buffer(connection->server, connection->held);
	}
}

unsigned proxy_connection_count(const struct proxy *proxy)
{
	return proxy->count;
}

unsigned proxy_swallowed_count(const struct proxy *proxy)
{
	return proxy->swallowed_count;
}
