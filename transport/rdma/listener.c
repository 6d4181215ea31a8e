#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "rdma/core/join.h"
#include "rdma/session.h"
#include "rdma/verbs.h"

#define HALF_JOINED_MAX 64 /* [T4] */
#define BACKLOG         128

struct tandem_rdma_listener {
	struct tandem_listener head;
	struct tandem_transport_options options;
	uint64_t piece_bytes;
	int epoll_fd; /* of the event channel and of every half-joined session */
	struct rdma_event_channel *cm_channel;
	struct rdma_cm_id *id;
	struct tandem_rdma_session *half_joined[HALF_JOINED_MAX]; /* NULL where free */
};

static struct tandem_rdma_listener *listener_of(struct tandem_listener *head)
{
	return (struct tandem_rdma_listener *)head;
}

static int descriptor(const struct tandem_listener *head)
{
	return ((const struct tandem_rdma_listener *)head)->epoll_fd;
}

static uint16_t port(const struct tandem_listener *head)
{
	return ntohs(rdma_get_src_port(((const struct tandem_rdma_listener *)head)->id));
}

static uint64_t deadline_ns(const struct tandem_listener *head)
{
	const struct tandem_rdma_listener *listener = (const struct tandem_rdma_listener *)head;
	uint64_t first_ns = UINT64_MAX;

	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		uint64_t session_ns;

		if (listener->half_joined[i] == NULL)
			continue;
		session_ns = tandem_rdma_session_deadline_ns(&listener->half_joined[i]->head);
		if (session_ns < first_ns)
			first_ns = session_ns;
	}
	return first_ns;
}

static int watch(struct tandem_rdma_listener *listener, int fd, struct tandem_error *reterr_error)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_ctl",
		                              "listener's descriptors");
	return 0;
}

/* ---- who may join [T2, T3] ---- */

/* Says no, with a reason that the other side can show, and forgets the id. */
static void reject(struct rdma_cm_id *id, enum tandem_rdma_reject_reason reason)
{
	const struct tandem_rdma_join join = {.kind = TANDEM_RDMA_JOIN_REJECT, .reason = reason};
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];

	tandem_rdma_join_encode(&join, bytes);
	rdma_reject(id, bytes, sizeof(bytes));
	rdma_destroy_id(id);
}

static int reject_with_error(struct rdma_cm_id *id, enum tandem_rdma_reject_reason reason,
                             struct tandem_error *reterr_error)
{
	char peer[TANDEM_RDMA_ADDRESS_TEXT_BYTES];

	tandem_rdma_address_format(rdma_get_peer_addr(id), peer, sizeof(peer));
	reject(id, reason);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "accept", "refused %s: %s", peer,
	                        tandem_rdma_reject_text(reason));
}

static int reject_version(struct rdma_cm_id *id, unsigned version,
                          struct tandem_error *reterr_error)
{
	char peer[TANDEM_RDMA_ADDRESS_TEXT_BYTES];

	tandem_rdma_address_format(rdma_get_peer_addr(id), peer, sizeof(peer));
	reject(id, TANDEM_RDMA_REJECT_VERSION);
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "accept",
	                        "refused %s: it speaks version %u, this node %d", peer, version,
	                        TANDEM_RDMA_JOIN_VERSION);
}

/* Takes `id`: from here on it ends with the session. */
static int accept_id(struct tandem_rdma_channel *channel, struct rdma_cm_id *id,
                     struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = channel->session;
	const struct tandem_rdma_join join = {.kind = TANDEM_RDMA_JOIN_ACCEPT, .key = session->key};
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];
	struct rdma_conn_param parameters = tandem_rdma_join_parameters(&join, bytes);
	int rc;

	channel->id = id;
	id->context = channel;
	rc = tandem_rdma_errno_of(rdma_migrate_id(id, session->cm_channel));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_migrate_id", "from %s",
		                         session->peer_text);
	rc = tandem_rdma_join_prepare(channel, reterr_error);
	if (rc != 0)
		return rc;
	channel->join_state = TANDEM_RDMA_CHANNEL_CONNECTING;
	rc = tandem_rdma_errno_of(rdma_accept(id, &parameters));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_accept", "of %s",
		                         session->peer_text);
	return 0;
}

static struct tandem_rdma_session **free_place(struct tandem_rdma_listener *listener)
{
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		if (listener->half_joined[i] == NULL)
			return &listener->half_joined[i];
	}
	return NULL;
}

static int begin_session(struct tandem_rdma_listener *listener, struct rdma_cm_id *id,
                         const struct tandem_rdma_join *join, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session **place = free_place(listener);
	struct tandem_transport_options options = listener->options;
	struct tandem_rdma_session *session;
	int rc;

	if (place == NULL)
		return reject_with_error(id, TANDEM_RDMA_REJECT_FULL, reterr_error);
	options.channel_count = join->channel_count;
	rc = tandem_rdma_session_new(&options, listener->piece_bytes, true, &session, reterr_error);
	if (rc != 0) {
		reject(id, TANDEM_RDMA_REJECT_DEVICE);
		return rc;
	}
	session->key = tandem_random_unique();
	tandem_rdma_session_set_peer(session, rdma_get_peer_addr(id));
	rc = accept_id(&session->channels[0], id, reterr_error);
	if (rc == 0)
		rc = watch(listener, session->epoll_fd, reterr_error);
	if (rc != 0)
		tandem_rdma_session_delete(session);
	else
		*place = session;
	return rc;
}

static struct tandem_rdma_session *half_joined_with(const struct tandem_rdma_listener *listener,
                                                    uint64_t key)
{
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		struct tandem_rdma_session *session = listener->half_joined[i];

		if (session != NULL && session->key == key && session->state == TANDEM_RDMA_JOINING)
			return session;
	}
	return NULL;
}

static int join_session(struct tandem_rdma_listener *listener, struct rdma_cm_id *id,
                        const struct tandem_rdma_join *join, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = half_joined_with(listener, join->key);
	struct tandem_rdma_channel *channel;
	struct tandem_error error;

	if (session == NULL)
		return reject_with_error(id, TANDEM_RDMA_REJECT_UNKNOWN_KEY, reterr_error);
	if (join->channel_count != session->channel_count)
		return reject_with_error(id, TANDEM_RDMA_REJECT_CHANNEL, reterr_error);
	channel = &session->channels[join->channel + 1];
	if (channel->id != NULL)
		return reject_with_error(id, TANDEM_RDMA_REJECT_DUPLICATE, reterr_error);
	/* A failure is the session's: it comes out where that is dropped. */
	if (accept_id(channel, id, &error) != 0)
		tandem_rdma_session_lose(session, &error);
	return 0;
}

static int take_request(struct tandem_rdma_listener *listener,
                        const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	struct tandem_rdma_join join;
	const int rc = tandem_rdma_join_decode(event->private_data, event->private_bytes, &join);

	if (rc == TANDEM_E_VERSION)
		return reject_version(
		        event->id,
		        tandem_rdma_join_version(event->private_data, event->private_bytes),
		        reterr_error);
	if (rc == 0 && join.kind == TANDEM_RDMA_JOIN_CONTROL)
		return begin_session(listener, event->id, &join, reterr_error);
	if (rc == 0 && join.kind == TANDEM_RDMA_JOIN_DATA)
		return join_session(listener, event->id, &join, reterr_error);
	return reject_with_error(event->id, TANDEM_RDMA_REJECT_MALFORMED, reterr_error);
}

static int take_event(struct tandem_rdma_listener *listener, struct tandem_error *reterr_error)
{
	struct tandem_rdma_cm_event event;
	const int rc = tandem_rdma_cm_event_next(listener->cm_channel, &event, reterr_error);

	if (rc != 0)
		return rc;
	switch (tandem_rdma_cm_meaning_of(event.type)) {
	case TANDEM_RDMA_CM_REQUESTED:
		return take_request(listener, &event, reterr_error);
	case TANDEM_RDMA_CM_DEVICE_GONE:
		return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "rdma_cm",
		                        "%s under the listener", rdma_event_str(event.type));
	case TANDEM_RDMA_CM_NOTED:
	case TANDEM_RDMA_CM_ADDRESS_RESOLVED:
	case TANDEM_RDMA_CM_ROUTE_RESOLVED:
	case TANDEM_RDMA_CM_ESTABLISHED:
	case TANDEM_RDMA_CM_REFUSED:
	case TANDEM_RDMA_CM_UNREACHABLE:
	case TANDEM_RDMA_CM_DISCONNECTED:
		break; /* of an id that moved to its session just now, which hears the next one */
	}
	return 0;
}

/* ---- who has joined ---- */

static void let_go(struct tandem_rdma_listener *listener, unsigned place)
{
	struct tandem_rdma_session *session = listener->half_joined[place];

	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, session->epoll_fd, NULL);
	listener->half_joined[place] = NULL;
}

/* A session that has ended before it was whole. */
static int drop(struct tandem_rdma_listener *listener, unsigned place,
                struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = listener->half_joined[place];
	struct tandem_error error = session->cause;

	error.code = TANDEM_E_PROTOCOL;
	tandem_error_wrap(&error, error.code, "dropped half-joined session");
	if (reterr_error != NULL)
		*reterr_error = error;
	let_go(listener, place);
	tandem_rdma_session_delete(session);
	return TANDEM_E_PROTOCOL;
}

/* Half-joined sessions one after the other: 0 and one that is whole, TANDEM_E_PROTOCOL and one
 * dropped, or TANDEM_E_AGAIN. */
static int take_joined(struct tandem_rdma_listener *listener, struct tandem_session **ret_session,
                       struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		struct tandem_rdma_session *session = listener->half_joined[i];

		if (session == NULL)
			continue;
		tandem_rdma_session_progress(&session->head);
		if (session->state == TANDEM_RDMA_LOST || session->state == TANDEM_RDMA_DRAINING)
			return drop(listener, i, reterr_error);
		if (session->state != TANDEM_RDMA_UP)
			continue;
		let_go(listener, i);
		/* What arrived already is told to the new owner. */
		tandem_rdma_session_wake(session);
		*ret_session = &session->head;
		return 0;
	}
	return TANDEM_E_AGAIN;
}

static int accept_session(struct tandem_listener *head, struct tandem_session **ret_session,
                          struct tandem_error *reterr_error)
{
	struct tandem_rdma_listener *listener = listener_of(head);
	int rc = 0;

	while (rc == 0)
		rc = take_event(listener, reterr_error);
	if (rc != TANDEM_E_AGAIN)
		return rc;
	return take_joined(listener, ret_session, reterr_error);
}

/* ---- the listener itself ---- */

static void free_listener(struct tandem_listener *head)
{
	struct tandem_rdma_listener *listener = listener_of(head);

	if (listener == NULL)
		return;
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++)
		tandem_rdma_session_delete(listener->half_joined[i]);
	if (listener->id != NULL)
		rdma_destroy_id(listener->id);
	if (listener->cm_channel != NULL)
		rdma_destroy_event_channel(listener->cm_channel);
	if (listener->epoll_fd >= 0)
		close(listener->epoll_fd);
	tandem_memory_free(listener);
}

static const struct tandem_listener_ops listener_ops = {
        .fd = descriptor,
        .port = port,
        .deadline_ns = deadline_ns,
        .accept = accept_session,
        .free = free_listener,
};

static int bind_error(const struct tandem_transport_options *options, int os_errno,
                      const char *operation, struct tandem_error *reterr_error)
{
	if (os_errno == EADDRINUSE)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, operation,
		                              "port %u of '%s' is taken", (unsigned)options->port,
		                              options->rails[0].address);
	if (os_errno == EADDRNOTAVAIL || os_errno == ENODEV)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, os_errno, operation,
		                              "'%s' is not an address of a local RDMA device",
		                              options->rails[0].address);
	return tandem_rdma_error(reterr_error, os_errno, 0, operation, "listen on '%s' port %u",
	                         options->rails[0].address, (unsigned)options->port);
}

static int bind_and_listen(struct tandem_rdma_listener *listener, struct tandem_error *reterr_error)
{
	const struct tandem_transport_options *options = &listener->options;
	struct sockaddr_storage local;
	int reuse = 1;
	int rc;

	rc = tandem_rdma_address_parse(options->rails[0].address, options->port, &local,
	                               reterr_error);
	if (rc != 0)
		return rc;
	rc = tandem_rdma_errno_of(
	        rdma_create_id(listener->cm_channel, &listener->id, listener, RDMA_PS_TCP));
	if (rc != 0) {
		listener->id = NULL;
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_create_id", "to listen");
	}
	/* Connections of a process before this one may still be closing on the port. */
	rc = tandem_rdma_errno_of(rdma_set_option(listener->id, RDMA_OPTION_ID,
	                                          RDMA_OPTION_ID_REUSEADDR, &reuse, sizeof(reuse)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_set_option", "reuse of a port");
	rc = tandem_rdma_errno_of(rdma_bind_addr(listener->id, (struct sockaddr *)&local));
	if (rc != 0)
		return bind_error(options, rc, "rdma_bind_addr", reterr_error);
	rc = tandem_rdma_errno_of(rdma_listen(listener->id, BACKLOG));
	if (rc != 0)
		return bind_error(options, rc, "rdma_listen", reterr_error);
	return 0;
}

static int open_listener(struct tandem_rdma_listener *listener, struct tandem_error *reterr_error)
{
	int rc;

	listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener->epoll_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_create1",
		                              "no descriptor for a listener");
	rc = tandem_rdma_cm_channel_new(&listener->cm_channel, reterr_error);
	if (rc == 0)
		rc = watch(listener, listener->cm_channel->fd, reterr_error);
	if (rc == 0)
		rc = bind_and_listen(listener, reterr_error);
	return rc;
}

int tandem_rdma_listen(const struct tandem_transport_options *options, uint64_t piece_bytes,
                       struct tandem_listener **ret_listener, struct tandem_error *reterr_error)
{
	struct tandem_rdma_listener *listener = tandem_memory_alloc(sizeof(*listener));
	int rc;

	if (listener == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen",
		                        "no memory for a listener");
	listener->head.ops = &listener_ops;
	listener->options = *options;
	listener->piece_bytes = piece_bytes;
	rc = open_listener(listener, reterr_error);
	if (rc != 0) {
		free_listener(&listener->head);
		return rc;
	}
	*ret_listener = &listener->head;
	return 0;
}
