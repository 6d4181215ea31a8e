#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "memory/fabric.h"

static struct tandem_memory_listener *of(struct tandem_listener *head)
{
	return (struct tandem_memory_listener *)head;
}

void tandem_memory_listener_refresh(struct tandem_memory_listener *listener)
{
	bool has_work = listener->count > 0 && !tandem_fabric_is_held(listener->fabric);
	tandem_memory_set_awake(listener->fd, &listener->is_awake, has_work);
}

static struct tandem_memory_link *take(struct tandem_memory_listener *listener)
{
	struct tandem_memory_link *link = listener->waiting[listener->first];
	listener->first = (listener->first + 1) % TANDEM_FABRIC_BACKLOG;
	listener->count--;
	return link;
}

static int accept_session(struct tandem_listener *head, struct tandem_session **ret_session,
                          struct tandem_error *reterr_error)
{
	struct tandem_memory_listener *listener = of(head);
	struct tandem_memory_session *session = NULL;
	if (listener->count == 0 || tandem_fabric_is_held(listener->fabric))
		return TANDEM_E_AGAIN;
	struct tandem_memory_link *link = take(listener);
	tandem_memory_listener_refresh(listener);
	if (link->is_dropped || link->is_over[TANDEM_SIDE_CONNECTING]) {
		tandem_memory_link_unref(link);
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the peer left before it had joined");
	}
	int status = tandem_memory_session_new(link, TANDEM_SIDE_LISTENING, &session, reterr_error);
	if (status != 0)
		link->is_over[TANDEM_SIDE_LISTENING] = true;
	tandem_memory_link_refresh(link);
	tandem_memory_link_unref(link);
	if (status == 0)
		*ret_session = &session->head;
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
	if (tandem_fabric_find(fabric, listener->address, listener->port))
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, EADDRINUSE, "listen",
		                              "%s port %u", listener->address, listener->port);
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
	snprintf(listener->address, sizeof(listener->address), "%s", options->rails[0].address);
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
