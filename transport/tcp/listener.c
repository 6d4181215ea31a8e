#include "tcp/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "tcp/address.h"
#include "tcp/door.h"
#include "tcp/session.h"
#include "tcp/socket.h"
#include "tcp/stranger.h"

#define STRANGERS_MAX 64  /* T4, S5 */
#define DOORS_MAX     256 /* sessions that live at once */
#define BACKLOG       128
/* How often another port is tried where none was asked for and not every rail has the first. */
#define PORT_TRIES 16
/* How long a machine without descriptors is left alone, so that accept does not spin. */
#define PAUSE_NS (UINT64_C(100) * TANDEM_NS_PER_MS)

struct tcp_listener {
	struct tandem_listener head;
	struct tandem_transport_options options;
	int epoll_fd;
	int fds[TANDEM_RAILS_MAX]; /* of each rail; -1: another one has its address */
	uint16_t port;
	uint64_t paused_until_ns;
	struct tandem_tcp_stranger strangers[STRANGERS_MAX];
	struct tandem_tcp_door *doors[DOORS_MAX]; /* NULL: the place is free */
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

static void close_rails(struct tcp_listener *listener)
{
	for (unsigned i = 0; i < TANDEM_RAILS_MAX; i++)
		tandem_tcp_socket_close(&listener->fds[i]);
}

static void free_listener(struct tandem_listener *head)
{
	struct tcp_listener *listener = of(head);
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		tandem_tcp_socket_close(&listener->strangers[i].fd);
	for (unsigned i = 0; i < DOORS_MAX; i++)
		tandem_tcp_door_unref(listener->doors[i]);
	close_rails(listener);
	tandem_tcp_socket_close(&listener->epoll_fd);
	tandem_memory_free(listener);
}

static int watch(struct tcp_listener *listener, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	return epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int watch_rails(struct tcp_listener *listener)
{
	int status = 0;
	for (unsigned i = 0; i < TANDEM_RAILS_MAX && status == 0; i++) {
		if (listener->fds[i] >= 0)
			status = watch(listener, listener->fds[i]);
	}
	return status;
}

static bool has_address_before(const struct tcp_listener *listener, unsigned rail)
{
	const struct tandem_rail *rails = listener->options.rails;
	for (unsigned i = 0; i < rail; i++) {
		if (strcmp(rails[i].address, rails[rail].address) == 0)
			return true;
	}
	return false;
}

/* On the listener's port, or on any while it has none: that is then the listener's. */
static int open_rail(struct tcp_listener *listener, unsigned rail,
                     struct tandem_error *reterr_error)
{
	const char *text = listener->options.rails[rail].address;
	struct tandem_tcp_address address;
	int *fd = &listener->fds[rail];
	const int on = 1;
	int status = tandem_tcp_address_parse(text, listener->port, &address, reterr_error);
	if (status == 0)
		status = tandem_tcp_socket_new(&address, fd, reterr_error);
	if (status != 0)
		return status;
	if (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "setsockopt",
		                              "SO_REUSEADDR");
	status = tandem_tcp_socket_bind(*fd, &address, reterr_error);
	if (status != 0)
		return status;
	if (listen(*fd, BACKLOG) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "listen", "%s",
		                              text);
	address.length = sizeof(address.storage);
	if (getsockname(*fd, (struct sockaddr *)&address.storage, &address.length) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "getsockname",
		                              "%s", text);
	listener->port = tandem_tcp_address_port(&address);
	return 0;
}

static int open_rails(struct tcp_listener *listener, struct tandem_error *reterr_error)
{
	int status = 0;
	listener->port = listener->options.port;
	for (unsigned i = 0; i < listener->options.rail_count && status == 0; i++) {
		if (!has_address_before(listener, i))
			status = open_rail(listener, i, reterr_error);
	}
	return status;
}

static int open_listener(struct tcp_listener *listener, struct tandem_error *reterr_error)
{
	struct tandem_error error = {0};
	int status = open_rails(listener, &error);
	for (unsigned i = 1; i < PORT_TRIES && status != 0 && listener->options.port == 0 &&
	                     listener->port != 0 && error.os_errno == EADDRINUSE;
	     i++) {
		close_rails(listener);
		status = open_rails(listener, &error);
	}
	if (status != 0) {
		if (reterr_error)
			*reterr_error = error;
		return status;
	}
	listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener->epoll_fd < 0 || watch_rails(listener) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll",
		                              "descriptors of a listener");
	return 0;
}

static const struct tandem_listener_ops ops;

int tandem_tcp_listener_new(const struct tandem_transport_options *options,
                            struct tandem_listener **ret_listener,
                            struct tandem_error *reterr_error)
{
	struct tcp_listener *listener = tandem_memory_alloc(sizeof(*listener));
	if (!listener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen",
		                        "no memory for %zu bytes", sizeof(*listener));
	listener->head.ops = &ops;
	listener->options = *options;
	listener->epoll_fd = -1;
	for (unsigned i = 0; i < TANDEM_RAILS_MAX; i++)
		listener->fds[i] = -1;
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		listener->strangers[i].fd = -1;
	int status = open_listener(listener, reterr_error);
	if (status != 0) {
		free_listener(&listener->head);
		return status;
	}
	*ret_listener = &listener->head;
	return 0;
}

/* ---- doors ---- */

/* Sessions that have gone make room. */
static void forget_doors(struct tcp_listener *listener)
{
	for (unsigned i = 0; i < DOORS_MAX; i++) {
		if (listener->doors[i] && tandem_tcp_door_is_shut(listener->doors[i]))
			listener->doors[i] = tandem_tcp_door_unref(listener->doors[i]);
	}
}

static struct tandem_tcp_door **place_for_door(struct tcp_listener *listener)
{
	for (unsigned i = 0; i < DOORS_MAX; i++) {
		if (!listener->doors[i])
			return &listener->doors[i];
	}
	return NULL;
}

static struct tandem_tcp_door *find_door(struct tcp_listener *listener, uint64_t session_id)
{
	for (unsigned i = 0; i < DOORS_MAX; i++) {
		if (listener->doors[i] &&
		    tandem_tcp_door_session_id(listener->doors[i]) == session_id)
			return listener->doors[i];
	}
	return NULL;
}

/* ---- taking them in ---- */

static int drop(struct tandem_tcp_stranger *stranger, struct tandem_error *reterr_error,
                const char *reason)
{
	tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join", "%s", reason);
	return tandem_tcp_stranger_drop(stranger, TANDEM_E_PROTOCOL, reterr_error);
}

/* 0 when nobody's time has passed. */
static int expire(struct tcp_listener *listener, uint64_t now_ns, struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct tandem_tcp_stranger *stranger = &listener->strangers[i];
		if (stranger->fd < 0 || now_ns < stranger->deadline_ns)
			continue;
		int code = tandem_tcp_stranger_expire(stranger, reterr_error);
		return tandem_tcp_stranger_drop(stranger, code, reterr_error);
	}
	return 0;
}

/* A free place, or the one whose time ends first. */
static struct tandem_tcp_stranger *place_for_stranger(struct tcp_listener *listener)
{
	struct tandem_tcp_stranger *oldest = &listener->strangers[0];
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct tandem_tcp_stranger *stranger = &listener->strangers[i];
		if (stranger->fd < 0)
			return stranger;
		if (stranger->deadline_ns < oldest->deadline_ns)
			oldest = stranger;
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
		for (unsigned i = 0; i < TANDEM_RAILS_MAX; i++)
			epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->fds[i], NULL);
		listener->paused_until_ns = now_ns + PAUSE_NS;
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, "accept",
		                              "port %u", listener->port);
	default:
		return 0; /* nobody there, or gone again before we looked: accept(2) */
	}
}

/* Takes one new connection of a rail, if there is one. *ret_admitted tells. */
static int admit(struct tcp_listener *listener, unsigned rail, uint64_t now_ns, bool *ret_admitted,
                 struct tandem_error *reterr_error)
{
	struct tandem_tcp_address peer = {.length = sizeof(peer.storage)};
	int status = 0;
	*ret_admitted = false;
	int fd = accept4(listener->fds[rail], (struct sockaddr *)&peer.storage, &peer.length,
	                 SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return admit_failed(listener, errno, now_ns, reterr_error);
	*ret_admitted = true;
	struct tandem_tcp_stranger *place = place_for_stranger(listener);
	if (place->fd >= 0)
		status = drop(place, reterr_error, "too many connections that have proven nothing");
	*place = (struct tandem_tcp_stranger){
	        .state = TANDEM_TCP_STRANGER_HELLO,
	        .fd = fd,
	        .rail = rail,
	        .peer = peer,
	        .deadline_ns = now_ns + listener->options.connect_timeout_ns,
	};
	if (tandem_tcp_socket_tune(fd, listener->options.peer_timeout_ns, NULL) != 0 ||
	    watch(listener, fd) != 0)
		return drop(place, reterr_error, "it was gone at once");
	return status;
}

static int admit_all(struct tcp_listener *listener, uint64_t now_ns,
                     struct tandem_error *reterr_error)
{
	int status = 0;
	for (unsigned rail = 0; rail < TANDEM_RAILS_MAX; rail++) {
		bool is_admitted = listener->fds[rail] >= 0;
		for (unsigned i = 0; i < STRANGERS_MAX && is_admitted && status == 0; i++) {
			is_admitted = false;
			if (listener->paused_until_ns == 0)
				status = admit(listener, rail, now_ns, &is_admitted, reterr_error);
		}
	}
	return status;
}

/* ---- where they go ---- */

/* Its control connection may still owe the proof: the two are not ordered against each other. */
static bool is_being_joined(const struct tcp_listener *listener, uint64_t session_id)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		const struct tandem_tcp_stranger *stranger = &listener->strangers[i];
		if (stranger->state == TANDEM_TCP_STRANGER_PROOF &&
		    stranger->transcript.session_id == session_id)
			return true;
	}
	return false;
}

/* T3: a data connection to its session. */
static int route(struct tcp_listener *listener, struct tandem_tcp_stranger *stranger,
                 struct tandem_error *reterr_error)
{
	const struct tandem_tcp_knock knock = {.fd = stranger->fd,
	                                       .rail = stranger->rail,
	                                       .peer = stranger->peer,
	                                       .hello = stranger->hello};
	struct tandem_tcp_door *door = find_door(listener, stranger->hello.session_id);
	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, stranger->fd, NULL);
	if (!door && is_being_joined(listener, stranger->hello.session_id))
		return 0;
	enum tandem_verdict verdict =
	        door ? tandem_tcp_door_knock(door, &knock) : TANDEM_VERDICT_SESSION;
	if (verdict != TANDEM_VERDICT_JOINED) {
		int code = tandem_tcp_stranger_refuse(stranger, verdict, reterr_error);
		return tandem_tcp_stranger_drop(stranger, code, reterr_error);
	}
	*stranger = (struct tandem_tcp_stranger){.fd = -1};
	return 0;
}

/* Data connections that were faster than the proof. A stranger among them is dropped in silence:
 * the caller hears of the session. */
static void route_early(struct tcp_listener *listener, uint64_t session_id)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct tandem_tcp_stranger *stranger = &listener->strangers[i];
		if (stranger->state == TANDEM_TCP_STRANGER_WAITING &&
		    stranger->hello.session_id == session_id)
			route(listener, stranger, NULL);
	}
}

static int make_session(struct tcp_listener *listener, struct tandem_tcp_stranger *stranger,
                        struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	struct tandem_transport_options options = listener->options;
	struct tandem_tcp_door **place = place_for_door(listener);
	const struct tandem_tcp_guest guest = {.fd = stranger->fd,
	                                       .rail = stranger->rail,
	                                       .peer = stranger->peer,
	                                       .transcript = stranger->transcript,
	                                       .secrets = stranger->secrets,
	                                       .key_index = stranger->key_index};
	if (!place)
		return drop(stranger, reterr_error, "this side serves as many sessions as it can");
	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, stranger->fd, NULL);
	*stranger = (struct tandem_tcp_stranger){.fd = -1};
	options.channel_count = guest.transcript.channel_count;
	/* A session knows its own secrets, not the keys of every pair. */
	memset(options.keys, 0, sizeof(options.keys));
	options.key_count = 0;
	int status =
	        tandem_tcp_session_accepted(&options, &guest, ret_session, place, reterr_error);
	if (status == 0)
		route_early(listener, guest.transcript.session_id);
	return status;
}

/* 0: nothing to tell yet, or *ret_session is set. */
static int hear(struct tcp_listener *listener, struct tandem_tcp_stranger *stranger,
                struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	int status = tandem_tcp_stranger_hear(stranger, listener->options.keys,
	                                      listener->options.key_count, reterr_error);
	if (status != 0)
		return tandem_tcp_stranger_drop(stranger, status, reterr_error);
	if (stranger->state == TANDEM_TCP_STRANGER_WAITING)
		return route(listener, stranger, reterr_error);
	if (stranger->state == TANDEM_TCP_STRANGER_PROVEN)
		return make_session(listener, stranger, ret_session, reterr_error);
	return 0;
}

/* ---- the interface ---- */

static void end_pause(struct tcp_listener *listener, uint64_t now_ns)
{
	if (listener->paused_until_ns == 0 || now_ns < listener->paused_until_ns)
		return;
	listener->paused_until_ns = watch_rails(listener) == 0 ? 0 : now_ns + PAUSE_NS;
}

static int accept_session(struct tandem_listener *head, struct tandem_session **ret_session,
                          struct tandem_error *reterr_error)
{
	struct tcp_listener *listener = of(head);
	struct tandem_session *session = NULL;
	uint64_t now_ns = tandem_clock_now_ns();
	forget_doors(listener);
	int status = expire(listener, now_ns, reterr_error);
	end_pause(listener, now_ns);
	if (status == 0)
		status = admit_all(listener, now_ns, reterr_error);
	for (unsigned i = 0; i < STRANGERS_MAX && !session && status == 0; i++) {
		if (listener->strangers[i].fd >= 0)
			status = hear(listener, &listener->strangers[i], &session, reterr_error);
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

static uint64_t deadline_ns(const struct tandem_listener *head)
{
	const struct tcp_listener *listener = of_const(head);
	uint64_t deadline = listener->paused_until_ns ? listener->paused_until_ns : UINT64_MAX;
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		const struct tandem_tcp_stranger *stranger = &listener->strangers[i];
		if (stranger->fd >= 0 && stranger->deadline_ns < deadline)
			deadline = stranger->deadline_ns;
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
