#include <errno.h>
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

/* Where the data channels of a session are sent, until the session is freed. */
struct address_book_entry {
	struct address_book_entry *next;
	struct tandem_rdma_mailbox *mailbox;
};

struct tandem_rdma_listener {
	struct tandem_listener head;
	struct tandem_transport_options options;
	uint64_t piece_bytes;
	int epoll_fd; /* of the event channel and of every half-joined session */
	struct rdma_event_channel *cm_channel;
	struct rdma_cm_id *ids[TANDEM_RAILS_MAX];                 /* one a rail */
	struct tandem_rdma_session *half_joined[HALF_JOINED_MAX]; /* NULL where free */
	struct address_book_entry *address_book;
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
	return ntohs(rdma_get_src_port(((const struct tandem_rdma_listener *)head)->ids[0]));
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

static int reject_with_error(struct rdma_cm_id *id, enum tandem_rdma_reject_reason reason,
                             struct tandem_error *reterr_error)
{
	const int code = reason == TANDEM_RDMA_REJECT_KEY ? TANDEM_E_REFUSED : TANDEM_E_PROTOCOL;
	char peer[TANDEM_RDMA_ADDRESS_TEXT_BYTES];

	tandem_rdma_address_format(rdma_get_peer_addr(id), peer, sizeof(peer));
	tandem_rdma_reject(id, reason);
	if (reason == TANDEM_RDMA_REJECT_KEY)
		return tandem_error_set(reterr_error, code, "accept",
		                        "refused %s: it holds none of the keys here", peer);
	return tandem_error_set(reterr_error, code, "accept", "refused %s: %s", peer,
	                        tandem_rdma_reject_text(reason));
}

static int reject_version(struct rdma_cm_id *id, unsigned version,
                          struct tandem_error *reterr_error)
{
	char peer[TANDEM_RDMA_ADDRESS_TEXT_BYTES];

	tandem_rdma_address_format(rdma_get_peer_addr(id), peer, sizeof(peer));
	tandem_rdma_reject(id, TANDEM_RDMA_REJECT_VERSION);
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "accept",
	                        "refused %s: it speaks version %u, this node %d", peer, version,
	                        TANDEM_RDMA_JOIN_VERSION);
}

static struct tandem_rdma_session **free_place(struct tandem_rdma_listener *listener)
{
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		if (listener->half_joined[i] == NULL)
			return &listener->half_joined[i];
	}
	return NULL;
}

/* The session's mailbox, known to both. */
static int enter(struct tandem_rdma_listener *listener, struct tandem_rdma_session *session,
                 struct tandem_error *reterr_error)
{
	struct address_book_entry *entry = tandem_memory_alloc(sizeof(*entry));

	session->transcript.session_id = tandem_random_unique();
	if (entry != NULL)
		session->mailbox = tandem_rdma_mailbox_new(session->transcript.session_id,
		                                           session->cm_channel, session->wake_fd);
	if (session->mailbox == NULL) {
		tandem_memory_free(entry);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "accept",
		                        "no memory for a session's requests");
	}
	entry->mailbox = session->mailbox;
	entry->next = listener->address_book;
	listener->address_book = entry;
	return 0;
}

static int start_session(struct tandem_rdma_listener *listener, struct tandem_rdma_session *session,
                         const struct tandem_rdma_request *request,
                         struct tandem_error *reterr_error)
{
	int rc = enter(listener, session, reterr_error);

	if (rc != 0) {
		tandem_rdma_reject(request->id, TANDEM_RDMA_REJECT_DEVICE);
		return rc;
	}
	rc = tandem_rdma_admit_control(session, request, reterr_error);
	return rc == 0 ? watch(listener, session->epoll_fd, reterr_error) : rc;
}

static int begin_session(struct tandem_rdma_listener *listener,
                         const struct tandem_rdma_request *request,
                         struct tandem_error *reterr_error)
{
	struct tandem_rdma_session **place = free_place(listener);
	struct tandem_transport_options options = listener->options;
	struct tandem_rdma_session *session;
	struct tandem_key key;
	const int key_index =
	        tandem_keys_find(options.keys, options.key_count, request->join.key_id, &key);
	int rc;

	if (key_index < 0)
		return reject_with_error(request->id, TANDEM_RDMA_REJECT_KEY, reterr_error);
	if (place == NULL)
		return reject_with_error(request->id, TANDEM_RDMA_REJECT_FULL, reterr_error);
	options.channel_count = request->join.channel_count;
	rc = tandem_rdma_session_new(&options, listener->piece_bytes, true, &session, reterr_error);
	if (rc != 0) {
		tandem_rdma_reject(request->id, TANDEM_RDMA_REJECT_DEVICE);
		return rc;
	}
	session->key = key;
	session->key_index = (unsigned)key_index;
	rc = start_session(listener, session, request, reterr_error);
	if (rc != 0)
		tandem_rdma_session_delete(session);
	else
		*place = session;
	return rc;
}

static void remove_closed(struct tandem_rdma_listener *listener)
{
	struct address_book_entry **place = &listener->address_book;

	while (*place != NULL) {
		struct address_book_entry *entry = *place;

		if (!tandem_rdma_mailbox_is_closed(entry->mailbox)) {
			place = &entry->next;
			continue;
		}
		*place = entry->next;
		tandem_rdma_mailbox_release(entry->mailbox);
		tandem_memory_free(entry);
	}
}

static int join_session(struct tandem_rdma_listener *listener,
                        const struct tandem_rdma_request *request,
                        struct tandem_error *reterr_error)
{
	enum tandem_rdma_reject_reason reason = TANDEM_RDMA_REJECT_SESSION;

	for (struct address_book_entry *e = listener->address_book; e != NULL; e = e->next) {
		if (tandem_rdma_mailbox_session_id(e->mailbox) == request->join.session_id &&
		    tandem_rdma_mailbox_put(e->mailbox, request, &reason))
			return 0;
	}
	return reject_with_error(request->id, reason, reterr_error);
}

static unsigned rail_of(const struct tandem_rdma_listener *listener, const struct rdma_cm_id *id)
{
	for (unsigned i = 0; i < listener->options.rail_count; i++) {
		if (listener->ids[i] == id)
			return i;
	}
	return 0;
}

static int take_request(struct tandem_rdma_listener *listener,
                        const struct tandem_rdma_cm_event *event, struct tandem_error *reterr_error)
{
	struct tandem_rdma_request request = {.id = event->id,
	                                      .rail = rail_of(listener, event->listen_id)};
	const int rc =
	        tandem_rdma_join_decode(event->private_data, event->private_bytes, &request.join);

	remove_closed(listener);
	if (rc == TANDEM_E_VERSION)
		return reject_version(
		        event->id,
		        tandem_rdma_join_version(event->private_data, event->private_bytes),
		        reterr_error);
	if (rc == 0 && request.join.kind == TANDEM_RDMA_JOIN_CONTROL)
		return begin_session(listener, &request, reterr_error);
	if (rc == 0 && request.join.kind == TANDEM_RDMA_JOIN_DATA)
		return join_session(listener, &request, reterr_error);
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

/* ---- who has proven the key ---- */

static void let_go(struct tandem_rdma_listener *listener, unsigned place)
{
	struct tandem_rdma_session *session = listener->half_joined[place];

	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, session->epoll_fd, NULL);
	listener->half_joined[place] = NULL;
}

/* A session that has ended before its peer had proven anything. */
static int drop(struct tandem_rdma_listener *listener, unsigned place,
                struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = listener->half_joined[place];
	struct tandem_error error = session->cause;

	if (error.code != TANDEM_E_REFUSED)
		error.code = TANDEM_E_PROTOCOL;
	tandem_error_wrap(&error, error.code, "dropped half-joined session");
	if (reterr_error != NULL)
		*reterr_error = error;
	let_go(listener, place);
	tandem_rdma_session_delete(session);
	return error.code;
}

/* Half-joined sessions one after the other: 0 and one whose peer has proven the key,
 * TANDEM_E_PROTOCOL or TANDEM_E_REFUSED and one dropped, or TANDEM_E_AGAIN. */
static int take_joined(struct tandem_rdma_listener *listener, struct tandem_session **ret_session,
                       struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++) {
		struct tandem_rdma_session *session = listener->half_joined[i];

		if (session == NULL)
			continue;
		tandem_rdma_session_progress(&session->head);
		if (tandem_rdma_session_has_ended(session))
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

/* The sessions go on without it. */
static void end_address_book(struct tandem_rdma_listener *listener)
{
	while (listener->address_book != NULL) {
		struct address_book_entry *entry = listener->address_book;

		listener->address_book = entry->next;
		tandem_rdma_mailbox_release(entry->mailbox);
		tandem_memory_free(entry);
	}
}

static void free_listener(struct tandem_listener *head)
{
	struct tandem_rdma_listener *listener = listener_of(head);

	if (listener == NULL)
		return;
	for (unsigned i = 0; i < HALF_JOINED_MAX; i++)
		tandem_rdma_session_delete(listener->half_joined[i]);
	for (unsigned i = 0; i < TANDEM_RAILS_MAX; i++) {
		if (listener->ids[i] != NULL)
			rdma_destroy_id(listener->ids[i]);
	}
	end_address_book(listener);
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

static int bind_error(const char *address, uint16_t port_number, int os_errno,
                      const char *operation, struct tandem_error *reterr_error)
{
	if (os_errno == EADDRINUSE)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, operation,
		                              "port %u of '%s' is taken", (unsigned)port_number,
		                              address);
	if (os_errno == EADDRNOTAVAIL || os_errno == ENODEV)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, os_errno, operation,
		                              "'%s' is not an address of a local RDMA device",
		                              address);
	return tandem_rdma_error(reterr_error, os_errno, 0, operation, "listen on '%s' port %u",
	                         address, (unsigned)port_number);
}

static int bind_and_listen(struct rdma_cm_id *id, const char *address, uint16_t port_number,
                           struct tandem_error *reterr_error)
{
	struct sockaddr_storage local;
	int reuse = 1;
	int rc;

	rc = tandem_rdma_address_parse(address, port_number, &local, reterr_error);
	if (rc != 0)
		return rc;
	/* Connections of a process before this one may still be closing on the port. */
	rc = tandem_rdma_errno_of(rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_REUSEADDR,
	                                          &reuse, sizeof(reuse)));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_set_option", "reuse of a port");
	rc = tandem_rdma_errno_of(rdma_bind_addr(id, (struct sockaddr *)&local));
	if (rc != 0)
		return bind_error(address, port_number, rc, "rdma_bind_addr", reterr_error);
	rc = tandem_rdma_errno_of(rdma_listen(id, BACKLOG));
	if (rc != 0)
		return bind_error(address, port_number, rc, "rdma_listen", reterr_error);
	return 0;
}

/* The first rail picks the port where none is asked for; the others have the same. */
static int open_rail(struct tandem_rdma_listener *listener, unsigned rail,
                     struct tandem_error *reterr_error)
{
	const struct tandem_transport_options *options = &listener->options;
	int rc = tandem_rdma_errno_of(
	        rdma_create_id(listener->cm_channel, &listener->ids[rail], listener, RDMA_PS_TCP));

	if (rc != 0) {
		listener->ids[rail] = NULL;
		return tandem_rdma_error(reterr_error, rc, 0, "rdma_create_id", "to listen");
	}
	return bind_and_listen(listener->ids[rail], options->rails[rail].address,
	                       rail == 0 ? options->port : port(&listener->head), reterr_error);
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
	for (unsigned i = 0; i < listener->options.rail_count && rc == 0; i++)
		rc = open_rail(listener, i, reterr_error);
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
