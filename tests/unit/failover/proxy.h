#ifndef TEST_FAILOVER_PROXY_H
#define TEST_FAILOVER_PROXY_H

#include <event2/event.h>
#include <stdint.h>

/* A TCP proxy on the test's loop that treats requests as it is told. */
enum proxy_mode {
	PROXY_PASS,
	PROXY_SWALLOW, /* the request arrives, its answer does not, the connection ends */
	PROXY_MUTE,    /* the same, but the connection stays */
	PROXY_HOLD,    /* the request waits for proxy_release() */
	PROXY_BABBLE,  /* answers `words` itself */
};

#define PROXY_CONNECTIONS_MAX 32

struct proxy;

struct proxy *proxy_open(struct event_base *base, uint16_t to_port);
void proxy_close(struct proxy *proxy);
uint16_t proxy_port(const struct proxy *proxy);
/* Of requests that come from now on. */
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
void proxy_babble(struct proxy *proxy, const char *words, size_t length);
/* What is held goes on to the server, though its client is gone. */
void proxy_release(struct proxy *proxy);
unsigned proxy_connection_count(const struct proxy *proxy);
/* Answers of the server that were swallowed or came for what was held. */
unsigned proxy_swallowed_count(const struct proxy *proxy);

#endif
