#include "tcp/listener.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "core/hello.h"
#include "tcp/address.h"
#include "tcp/session.h"
#include "tcp/socket.h"

#define STRANGERS_MAX 64
#define JOINS_MAX     64
#define BACKLOG       128
/* How long a machine without descriptors is left alone, so that accept does not spin. */
#define PAUSE_NS (UINT64_C(100) * TANDEM_NS_PER_MS)

/* T2, T4: a connection whose hello is not whole yet; fd -1: the place is free. */
struct stranger {
	int fd;
	uint64_t deadline_ns;
	struct tandem_tcp_address peer;
	uint8_t hello[TANDEM_HELLO_BYTES];
	size_t hello_bytes;
};

/* T3, T4: a session whose channels have not all joined; key 0: the place is free. */
struct join {
	uint64_t key;
	uint64_t deadline_ns;
	struct tandem_tcp_address peer;
	unsigned channel_count;
	unsigned joined_count;
	int fds[TANDEM_TCP_CONNECTIONS_MAX]; /* control first; -1: not joined */
};

struct tcp_listener {
	struct tandem_listener head;
	struct tandem_transport_options options;
	int epoll_fd;
	int fd;
	uint16_t port;
	uint64_t paused_until_ns;
	struct stranger strangers[STRANGERS_MAX];
	struct join joins[JOINS_MAX];
};

static struct tcp_listener *of(struct tandem_listener *listener)
{
	return (struct tcp_listener *)listener;
}

static const struct tcp_listener *of_const(const struct tandem_listener *listener)
{
	return (const struct tcp_listener *)listener;
}

/* ---- life ---- */

static void forget_join(struct join *join)
{
	for (unsigned i = 0; i < TANDEM_TCP_CONNECTIONS_MAX; i++)
		tandem_tcp_socket_close(&join->fds[i]);
	join->key = 0;
}

static void free_listener(struct tandem_listener *head)
{
	struct tcp_listener *listener = of(head);
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		tandem_tcp_socket_close(&listener->strangers[i].fd);
	for (unsigned i = 0; i < JOINS_MAX; i++)
		forget_join(&listener->joins[i]);
	tandem_tcp_socket_close(&listener->fd);
	tandem_tcp_socket_close(&listener->epoll_fd);
	tandem_memory_free(listener);
}

static int watch(struct tcp_listener *listener, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	return epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_listener(struct tcp_listener *listener, struct tandem_error *reterr_error)
{
	struct tandem_tcp_address address;
	const int on = 1;
	int status = tandem_tcp_address_parse(listener->options.rails[0].address,
	                                      listener->options.port, &address, reterr_error);
	if (status == 0)
		status = tandem_tcp_socket_new(&address, &listener->fd, reterr_error);
	if (status != 0)
		return status;
	if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "setsockopt",
		                              "SO_REUSEADDR");
	status = tandem_tcp_socket_bind(listener->fd, &address, reterr_error);
	if (status != 0)
		return status;
	listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listen(listener->fd, BACKLOG) != 0 || listener->epoll_fd < 0 ||
	    watch(listener, listener->fd) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "listen", "%s",
		                              listener->options.rails[0].address);
	address.length = sizeof(address.storage);
	if (getsockname(listener->fd, (struct sockaddr *)&address.storage, &address.length) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "getsockname",
		                              "%s", listener->options.rails[0].address);
	listener->port = tandem_tcp_address_port(&address);
	return 0;
}

static const struct tandem_listener_ops ops;

int tandem_tcp_listener_new(const struct tandem_transport_options *options,
                            struct tandem_listener **ret_listener,
                            struct tandem_error *reterr_error)
{
	struct tcp_listener *listener = tandem_memory_alloc(sizeof(*listener));
	if (!listener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen", "%zu bytes",
		                        sizeof(*listener));
	listener->head.ops = &ops;
	listener->options = *options;
	listener->epoll_fd = listener->fd = -1;
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		listener->strangers[i].fd = -1;
	for (unsigned i = 0; i < JOINS_MAX * TANDEM_TCP_CONNECTIONS_MAX; i++)
		listener->joins[i / TANDEM_TCP_CONNECTIONS_MAX]
		        .fds[i % TANDEM_TCP_CONNECTIONS_MAX] = -1;
	int status = open_listener(listener, reterr_error);
	if (status != 0) {
		free_listener(&listener->head);
		return status;
	}
	*ret_listener = &listener->head;
	return 0;
}

/* ---- saying no ---- */

/* Answers and closes; true when the answer left. */
static bool answer(int fd, enum tandem_verdict verdict, uint64_t key)
{
	const struct tandem_answer answer = {
	        .verdict = verdict, .version = TANDEM_HELLO_VERSION, .key = key};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	tandem_answer_encode(&answer, bytes);
	/* A new connection has room for it; where not, the peer's time to join passes. */
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(bytes);
}

static int drop(struct stranger *stranger, int code, struct tandem_error *reterr_error,
                const char *reason)
{
	char peer[TANDEM_TCP_ADDRESS_TEXT_BYTES];
	tandem_tcp_address_format(&stranger->peer, peer, sizeof(peer));
	tandem_tcp_socket_close(&stranger->fd);
	return tandem_error_set(reterr_error, code, "join", "%s: dropped: %s", peer, reason);
}

static int refuse(struct stranger *stranger, enum tandem_verdict verdict,
                  struct tandem_error *reterr_error)
{
	answer(stranger->fd, verdict, 0);
	return drop(stranger, TANDEM_E_PROTOCOL, reterr_error, tandem_verdict_text(verdict));
}

static int drop_join(struct join *join, struct tandem_error *reterr_error, const char *reason)
{
	char peer[TANDEM_TCP_ADDRESS_TEXT_BYTES];
	tandem_tcp_address_format(&join->peer, peer, sizeof(peer));
	forget_join(join);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
	                        "%s: dropped with %u of %u data channels joined: %s", peer,
	                        join->joined_count, join->channel_count, reason);
}

/* 0 when nobody's time has passed. */
static int expire(struct tcp_listener *listener, uint64_t now_ns, struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct stranger *stranger = &listener->strangers[i];
		if (stranger->fd >= 0 && now_ns >= stranger->deadline_ns)
			return drop(stranger, TANDEM_E_PROTOCOL, reterr_error,
			            "no hello within the time to connect");
	}
	for (unsigned i = 0; i < JOINS_MAX; i++) {
		struct join *join = &listener->joins[i];
		if (join->key != 0 && now_ns >= join->deadline_ns)
			return drop_join(join, reterr_error, "the time to connect has passed");
	}
	return 0;
}

/* ---- taking them in ---- */

/* A free place, or the one whose time ends first. */
static struct stranger *place_for_stranger(struct tcp_listener *listener)
{
	struct stranger *oldest = &listener->strangers[0];
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct stranger *stranger = &listener->strangers[i];
		if (stranger->fd < 0)
			return stranger;
		if (stranger->deadline_ns < oldest->deadline_ns)
			oldest = stranger;
	}
	return oldest;
}

static struct join *place_for_join(struct tcp_listener *listener)
{
	struct join *oldest = &listener->joins[0];
	for (unsigned i = 0; i < JOINS_MAX; i++) {
		struct join *join = &listener->joins[i];
		if (join->key == 0)
			return join;
		if (join->deadline_ns < oldest->deadline_ns)
			oldest = join;
	}
	return oldest;
}

static int admit_failed(struct tcp_listener *listener, int os_errno, uint64_t now_ns,
                        struct tandem_error *reterr_error)
{
	switch (os_errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
		listener->paused_until_ns = now_ns + PAUSE_NS;
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, "accept",
		                              "port %u", listener->port);
	default:
		return 0; /* nobody there, or gone again before we looked: accept(2) */
	}
}

/* Takes one new connection, if there is one. *ret_admitted tells. */
static int admit(struct tcp_listener *listener, uint64_t now_ns, bool *ret_admitted,
                 struct tandem_error *reterr_error)
{
	struct tandem_tcp_address peer = {.length = sizeof(peer.storage)};
	int status = 0;
	*ret_admitted = false;
	int fd = accept4(listener->fd, (struct sockaddr *)&peer.storage, &peer.length,
	                 SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return admit_failed(listener, errno, now_ns, reterr_error);
	*ret_admitted = true;
	struct stranger *place = place_for_stranger(listener);
	if (place->fd >= 0)
		status = drop(place, TANDEM_E_PROTOCOL, reterr_error,
		              "too many connections without a hello");
	*place = (struct stranger){
	        .fd = fd,
	        .peer = peer,
	        .deadline_ns = now_ns + listener->options.connect_timeout_ns,
	};
	if (tandem_tcp_socket_tune(fd, listener->options.peer_timeout_ns, NULL) != 0 ||
	    watch(listener, fd) != 0)
		return drop(place, TANDEM_E_PROTOCOL, reterr_error, "it was gone at once");
	return status;
}

/* ---- their hellos ---- */

static int start_join(struct tcp_listener *listener, struct stranger *stranger,
                      const struct tandem_hello *hello, uint64_t now_ns,
                      struct tandem_error *reterr_error)
{
	struct join *join = place_for_join(listener);
	int status = 0;
	if (join->key != 0)
		status = drop_join(join, reterr_error, "too many sessions are being joined");
	join->key = tandem_random_unique();
	join->deadline_ns = now_ns + listener->options.connect_timeout_ns;
	join->peer = stranger->peer;
	join->channel_count = hello->channel_count;
	join->joined_count = 0;
	join->fds[0] = stranger->fd;
	stranger->fd = -1;
	if (!answer(join->fds[0], TANDEM_VERDICT_JOINED, join->key))
		return drop_join(join, reterr_error, "the answer could not be sent");
	return status;
}

static struct join *find_join(struct tcp_listener *listener, uint64_t key)
{
	for (unsigned i = 0; i < JOINS_MAX; i++) {
		if (key != 0 && listener->joins[i].key == key)
			return &listener->joins[i];
	}
	return NULL;
}

/* The session owns the descriptors from here on, also when it fails. */
static int finish_join(struct tcp_listener *listener, struct join *join,
                       struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	struct tandem_transport_options options = listener->options;
	options.channel_count = join->channel_count;
	int status = tandem_tcp_session_accepted(&options, &join->peer, join->key, join->fds,
	                                         ret_session, reterr_error);
	for (unsigned i = 0; i < TANDEM_TCP_CONNECTIONS_MAX; i++)
		join->fds[i] = -1;
	join->key = 0;
	return status;
}

/* 0: nothing to tell yet, or *ret_session is set. */
static int join_channel(struct tcp_listener *listener, struct stranger *stranger,
                        const struct tandem_hello *hello, struct tandem_session **ret_session,
                        struct tandem_error *reterr_error)
{
	struct join *join = find_join(listener, hello->key);
	if (!join)
		return refuse(stranger, TANDEM_VERDICT_KEY, reterr_error);
	int *place = &join->fds[1 + hello->channel];
	if (hello->channel_count != join->channel_count || *place >= 0)
		return refuse(stranger, TANDEM_VERDICT_CHANNEL, reterr_error);
	*place = stranger->fd;
	stranger->fd = -1;
	join->joined_count++;
	if (!answer(*place, TANDEM_VERDICT_JOINED, join->key))
		return drop_join(join, reterr_error, "an answer could not be sent");
	if (join->joined_count < join->channel_count)
		return 0;
	return finish_join(listener, join, ret_session, reterr_error);
}

static int judge_hello(struct tcp_listener *listener, struct stranger *stranger, uint64_t now_ns,
                       struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	struct tandem_hello hello;
	unsigned version = 0;
	char reason[64];
	enum tandem_hello_fault fault = tandem_hello_decode(stranger->hello, &hello, &version);
	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, stranger->fd, NULL);
	if (fault == TANDEM_HELLO_FAULT_VERSION) {
		answer(stranger->fd, TANDEM_VERDICT_VERSION, 0);
		snprintf(reason, sizeof(reason), "it speaks version %u, this side version %u",
		         version, TANDEM_HELLO_VERSION);
		return drop(stranger, TANDEM_E_VERSION, reterr_error, reason);
	}
	if (fault != TANDEM_HELLO_FAULT_NONE) {
		snprintf(reason, sizeof(reason), "its hello has %s",
		         tandem_hello_fault_text(fault));
		return drop(stranger, TANDEM_E_PROTOCOL, reterr_error, reason);
	}
	if (hello.kind == TANDEM_HELLO_CONTROL)
		return start_join(listener, stranger, &hello, now_ns, reterr_error);
	return join_channel(listener, stranger, &hello, ret_session, reterr_error);
}

static int hear(struct tcp_listener *listener, struct stranger *stranger, uint64_t now_ns,
                struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	ssize_t got = recv(stranger->fd, stranger->hello + stranger->hello_bytes,
	                   TANDEM_HELLO_BYTES - stranger->hello_bytes, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return drop(stranger, TANDEM_E_PROTOCOL, reterr_error, "it left without a hello");
	stranger->hello_bytes += (size_t)got;
	if (stranger->hello_bytes < TANDEM_HELLO_BYTES)
		return 0;
	return judge_hello(listener, stranger, now_ns, ret_session, reterr_error);
}

/* ---- the interface ---- */

static void end_pause(struct tcp_listener *listener, uint64_t now_ns)
{
	if (listener->paused_until_ns == 0 || now_ns < listener->paused_until_ns)
		return;
	listener->paused_until_ns = watch(listener, listener->fd) == 0 ? 0 : now_ns + PAUSE_NS;
}

static int accept_session(struct tandem_listener *head, struct tandem_session **ret_session,
                          struct tandem_error *reterr_error)
{
	struct tcp_listener *listener = of(head);
	struct tandem_session *session = NULL;
	uint64_t now_ns = tandem_clock_now_ns();
	bool is_admitted = true;
	int status = expire(listener, now_ns, reterr_error);
	end_pause(listener, now_ns);
	for (unsigned i = 0; i < STRANGERS_MAX && is_admitted && status == 0; i++) {
		is_admitted = false;
		if (listener->paused_until_ns == 0)
			status = admit(listener, now_ns, &is_admitted, reterr_error);
	}
	for (unsigned i = 0; i < STRANGERS_MAX && !session && status == 0; i++) {
		if (listener->strangers[i].fd >= 0)
			status = hear(listener, &listener->strangers[i], now_ns, &session,
			              reterr_error);
	}
	if (status == 0 && !session)
		return TANDEM_E_AGAIN;
	if (session)
		*ret_session = session;
	return status;
}

static int fd(const struct tandem_listener *head)
{
	return of_const(head)->epoll_fd;
}

static uint16_t port(const struct tandem_listener *head)
{
	return of_const(head)->port;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t deadline_ns(const struct tandem_listener *head)
{
	const struct tcp_listener *listener = of_const(head);
	uint64_t deadline = listener->paused_until_ns ? listener->paused_until_ns : UINT64_MAX;
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		if (listener->strangers[i].fd >= 0)
			deadline = smaller(deadline, listener->strangers[i].deadline_ns);
	}
	for (unsigned i = 0; i < JOINS_MAX; i++) {
		if (listener->joins[i].key != 0)
			deadline = smaller(deadline, listener->joins[i].deadline_ns);
	}
	return deadline;
}

static const struct tandem_listener_ops ops = {
        .fd = fd,
        .port = port,
        .deadline_ns = deadline_ns,
        .accept = accept_session,
        .free = free_listener,
};
