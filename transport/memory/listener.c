#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "memory/fabric.h"

static struct tandem_memory_listener *of(struct tandem_listener *head)
{
	return (struct tandem_memory_listener *)head;
}

void tandem_memory_listener_refresh(struct tandem_memory_listener *listener)
{
	bool has_work = (listener->count > 0 || tandem_memory_channels_ask(listener)) &&
	                !tandem_fabric_is_held(listener->fabric);
	tandem_memory_set_awake(listener->fd, &listener->is_awake, has_work);
}

static struct tandem_memory_link *take(struct tandem_memory_listener *listener)
{
	struct tandem_memory_link *link = listener->waiting[listener->first];
	listener->first = (listener->first + 1) % TANDEM_FABRIC_BACKLOG;
	listener->count--;
	return link;
}

/* [S1]. The keys themselves are compared: nothing travels here. */
static int find_key(const struct tandem_transport_options *listening,
                    const struct tandem_transport_options *connecting)
{
	static const struct tandem_key zeros;
	const struct tandem_key *key = connecting->key_count > 0 ? &connecting->keys[0] : &zeros;
	if (listening->key_count == 0)
		return tandem_mac_equal(key, &zeros, sizeof(zeros)) ? 0 : -1;
	for (unsigned i = 0; i < listening->key_count; i++) {
		if (tandem_mac_equal(key, &listening->keys[i], sizeof(*key)))
			return (int)i;
	}
	return -1;
}

static int make_session(struct tandem_memory_listener *listener, struct tandem_memory_link *link,
                        struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = NULL;
	if (link->is_dropped || link->is_over[TANDEM_SIDE_CONNECTING])
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the peer left before it had joined");
	int key_index = find_key(&listener->options, &link->options);
	link->is_refused = key_index < 0;
	if (link->is_refused)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "the peer's key is none of the %u keys of this side; both "
		                        "must have the same key file",
		                        listener->options.key_count);
	int status = tandem_memory_session_new(link, TANDEM_SIDE_LISTENING, &session, reterr_error);
	if (status != 0)
		return status;
	session->key_index = (unsigned)key_index;
	session->peer_timeout_ns = listener->options.peer_timeout_ns;
	session->connect_timeout_ns = listener->options.connect_timeout_ns;
	session->join_deadline_ns = tandem_clock_now_ns() + session->connect_timeout_ns;
	link->listener = listener;
	*ret_session = &session->head;
	return 0;
}

static int accept_session(struct tandem_listener *head, struct tandem_session **ret_session,
                          struct tandem_error *reterr_error)
{
	struct tandem_memory_listener *listener = of(head);
	if (tandem_fabric_is_held(listener->fabric))
		return TANDEM_E_AGAIN;
	int status = tandem_memory_channels_admit(listener, reterr_error);
	if (status == TANDEM_E_AGAIN && listener->count > 0) {
		struct tandem_memory_link *link = take(listener);
		status = make_session(listener, link, ret_session, reterr_error);
		if (status != 0)
			link->is_over[TANDEM_SIDE_LISTENING] = true;
		tandem_memory_link_refresh(link);
		tandem_memory_link_unref(link);
	}
	tandem_memory_listener_refresh(listener);
	return status;
}

static int fd(const struct tandem_listener *head)
{
	return ((const struct tandem_memory_listener *)head)->fd;
}

static uint16_t port(const struct tandem_listener *head)
{
	return ((const struct tandem_memory_listener *)head)->port;
}

static uint64_t deadline_ns(const struct tandem_listener *head)
{
	(void)head;
	return UINT64_MAX;
}

static void free_listener(struct tandem_listener *head)
{
	struct tandem_memory_listener *listener = of(head);
	while (listener->count > 0) {
		struct tandem_memory_link *link = take(listener);
		link->is_over[TANDEM_SIDE_LISTENING] = true;
		tandem_memory_link_refresh(link);
		tandem_memory_link_unref(link);
	}
	for (unsigned i = 0; i < TANDEM_FABRIC_LISTENERS_MAX; i++) {
		if (listener->fabric->listeners[i] == listener)
			listener->fabric->listeners[i] = NULL;
	}
	/* The sessions go on; only nothing joins them any more. */
	for (struct tandem_memory_link *link = listener->fabric->links; link; link = link->next) {
		if (link->listener == listener)
			link->listener = NULL;
	}
	tandem_fabric_refresh(listener->fabric);
	if (listener->fd >= 0)
		close(listener->fd);
	tandem_memory_free(listener);
}

static const struct tandem_listener_ops ops = {
        .fd = fd,
        .port = port,
        .deadline_ns = deadline_ns,
        .accept = accept_session,
        .free = free_listener,
};

static int take_place(struct tandem_memory_listener *listener, struct tandem_error *reterr_error)
{
	struct tandem_fabric *fabric = listener->fabric;
	if (listener->port == 0)
		listener->port = fabric->next_port++;
	for (unsigned i = 0; i < listener->options.rail_count; i++) {
		const char *address = listener->options.rails[i].address;
		if (tandem_fabric_find(fabric, address, listener->port, NULL))
			return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, EADDRINUSE,
			                              "listen", "%s port %u", address,
			                              listener->port);
	}
	for (unsigned i = 0; i < TANDEM_FABRIC_LISTENERS_MAX; i++) {
		if (!fabric->listeners[i]) {
			fabric->listeners[i] = listener;
			return 0;
		}
	}
	return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "listen",
	                        "the fabric has %u listeners already", TANDEM_FABRIC_LISTENERS_MAX);
}

int tandem_memory_listener_new(struct tandem_fabric *fabric,
                               const struct tandem_transport_options *options,
                               struct tandem_listener **ret_listener,
                               struct tandem_error *reterr_error)
{
	struct tandem_memory_listener *listener = tandem_memory_alloc(sizeof(*listener));
	if (!listener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen", "%zu bytes",
		                        sizeof(*listener));
	listener->head.ops = &ops;
	listener->fabric = fabric;
	listener->port = options->port;
	listener->options = *options;
	listener->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = listener->fd < 0 ? tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno,
	                                                       "eventfd", "a listener")
	                              : take_place(listener, reterr_error);
	if (status != 0) {
		free_listener(&listener->head);
		return status;
	}
	*ret_listener = &listener->head;
	return 0;
}
