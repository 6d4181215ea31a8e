#include "shell/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <unistd.h>

#define DATAGRAMS_MAX 64 /* of one socket before other events get their turn */

static socklen_t fill_address(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	inet_pton(AF_INET6, text, &six->sin6_addr);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

static bool is_same_address(const struct sockaddr_storage *one,
                            const struct sockaddr_storage *other)
{
	if (one->ss_family != other->ss_family)
		return false;
	if (one->ss_family == AF_INET) {
		const struct sockaddr_in *first = (const struct sockaddr_in *)one;
		const struct sockaddr_in *second = (const struct sockaddr_in *)other;
		return first->sin_port == second->sin_port &&
		       first->sin_addr.s_addr == second->sin_addr.s_addr;
	}
	const struct sockaddr_in6 *first = (const struct sockaddr_in6 *)one;
	const struct sockaddr_in6 *second = (const struct sockaddr_in6 *)other;
	return first->sin6_port == second->sin6_port &&
	       memcmp(&first->sin6_addr, &second->sin6_addr, sizeof(first->sin6_addr)) == 0;
}

static void refuse(struct tandem_controller *controller, struct tandem_pair *pair, const char *why)
{
	char line[200];
	if (pair)
		pair->refused_count++;
	snprintf(line, sizeof(line), "pair %s: a heartbeat was refused: %s",
	         pair ? pair->machine.config.pair.name : "?", why);
	tandem_service_complain(controller, line);
}

static bool find_path(const struct tandem_pair *pair, const struct tandem_link_socket *socket,
                      const struct sockaddr_storage *source, size_t *ret_link)
{
	for (size_t i = 0; i < pair->machine.config.pair.link_count; i++) {
		if (pair->paths[i].socket == socket &&
		    is_same_address(&pair->paths[i].peer, source)) {
			*ret_link = i;
			return true;
		}
	}
	return false;
}

/* What the peer wrote by a word or after fencing is this node's register too. */
static void adopt(struct tandem_pair *pair, const struct tandem_record *record)
{
	const struct tandem_record *known = &pair->machine.view.record;
	bool is_newer =
	        record->generation > known->generation ||
	        (record->generation == known->generation && record->decision > known->decision);
	if (tandem_record_is_kept_by_node(pair->machine.config.pair.arbiter_type) && is_newer)
		tandem_arbiter_adopt(pair->arbiter, record);
}

static void hear(struct tandem_pair *pair, size_t link, const struct tandem_heartbeat *heartbeat)
{
	enum tandem_heartbeat_verdict verdict =
	        tandem_heartbeat_filter_judge(&pair->filter, heartbeat);
	if (verdict == TANDEM_HEARTBEAT_OLD)
		return;
	struct tandem_event event = {.type = TANDEM_EVENT_HEARTBEAT,
	                             .link = link,
	                             .has_news = verdict == TANDEM_HEARTBEAT_NEWS,
	                             .statement = heartbeat->statement};
	if (event.has_news && heartbeat->statement.record.generation > 0)
		adopt(pair, &heartbeat->statement.record);
	tandem_pair_feed(pair, &event);
}

static void take_datagram(struct tandem_link_socket *socket, const uint8_t *bytes, size_t length,
                          const struct sockaddr_storage *source)
{
	struct tandem_controller *controller = socket->controller;
	char name[TANDEM_NAME_BYTES];
	struct tandem_heartbeat heartbeat;
	size_t link = 0;
	struct tandem_pair *pair = NULL;
	if (tandem_heartbeat_peek(bytes, length, name))
		pair = tandem_pair_find(controller, name);
	if (!pair) {
		refuse(controller, NULL, "it is for no pair of this node");
		return;
	}
	const struct tandem_controller_pair *options = &pair->machine.config.pair;
	int status = tandem_heartbeat_decode(bytes, length, options->key, &heartbeat);
	if (status == TANDEM_E_VERSION)
		refuse(controller, pair, "another protocol version");
	else if (status != 0)
		refuse(controller, pair, "damaged, or made with another key");
	else if (!find_path(pair, socket, source, &link))
		refuse(controller, pair, "it came from an address that is no link of the pair");
	else if (strcmp(heartbeat.node, options->peer_node) != 0)
		refuse(controller, pair, "the sender is not the pair's other node");
	else
		hear(pair, link, &heartbeat);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_link_socket *socket = context;
	(void)what;
	for (unsigned i = 0; i < DATAGRAMS_MAX; i++) {
		uint8_t bytes[TANDEM_HEARTBEAT_BYTES + 1];
		struct sockaddr_storage source;
		socklen_t source_length = sizeof(source);
		memset(&source, 0, sizeof(source));
		ssize_t length = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&source,
		                          &source_length);
		/* An earlier datagram that nobody received is reported here; it says nothing. */
		if (length < 0 && errno == ECONNREFUSED)
			continue;
		if (length < 0)
			return;
		take_datagram(socket, bytes, (size_t)length, &source);
	}
}

void tandem_links_beat(struct tandem_pair *pair)
{
	const struct tandem_controller_pair *options = &pair->machine.config.pair;
	uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_heartbeat heartbeat = {.instance = pair->controller->instance,
	                                     .echo_instance = pair->filter.instance,
	                                     .sequence = ++pair->beat_sequence};
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	memcpy(heartbeat.pair, options->name, sizeof(heartbeat.pair));
	memcpy(heartbeat.node, pair->machine.config.node, sizeof(heartbeat.node));
	tandem_machine_statement(&pair->machine, now_ns, &heartbeat.statement);
	for (size_t i = 0; i < options->link_count; i++) {
		const struct tandem_link_path *path = &pair->paths[i];
		heartbeat.link = (uint8_t)i;
		tandem_heartbeat_encode(&heartbeat, options->key, bytes);
		/* A heartbeat that cannot be sent is one that is missed: the peer's windows tell.
		 */
		ssize_t sent = sendto(path->socket->fd, bytes, sizeof(bytes), 0,
		                      (const struct sockaddr *)&path->peer, path->peer_length);
		(void)sent;
	}
	pair->beat_next_ns = now_ns + options->heartbeat_interval_ns;
}

static int open_socket(struct tandem_link_socket *link, struct tandem_error *reterr_error)
{
	struct sockaddr_storage local;
	socklen_t length = fill_address(link->address, link->port, &local);
	link->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "heartbeat link %s", link->address);
	if (bind(link->fd, (const struct sockaddr *)&local, length) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "bind",
		                              "heartbeat link %s port %u", link->address,
		                              link->port);
	link->event = event_new(link->controller->base, link->fd, EV_READ | EV_PERSIST, on_readable,
	                        link);
	if (!link->event || event_add(link->event, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event", "heartbeat link");
	return 0;
}

static struct tandem_link_socket *find_socket(struct tandem_controller *controller,
                                              const struct tandem_controller_link *link)
{
	for (size_t i = 0; i < controller->link_count; i++) {
		if (controller->links[i].port == link->local_port &&
		    strcmp(controller->links[i].address, link->local_address) == 0)
			return &controller->links[i];
	}
	return NULL;
}

static int open_path(struct tandem_controller *controller, struct tandem_link_path *path,
                     const struct tandem_controller_link *link, struct tandem_error *reterr_error)
{
	path->peer_length = fill_address(link->peer_address, link->peer_port, &path->peer);
	path->socket = find_socket(controller, link);
	if (path->socket)
		return 0;
	path->socket = &controller->links[controller->link_count++];
	path->socket->controller = controller;
	path->socket->port = link->local_port;
	memcpy(path->socket->address, link->local_address, sizeof(path->socket->address));
	return open_socket(path->socket, reterr_error);
}

int tandem_links_open(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	controller->links = tandem_memory_alloc_array(
	        controller->pair_count * TANDEM_CONTROLLER_LINKS_MAX, sizeof(*controller->links));
	if (!controller->links)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "links", "no memory");
	for (size_t i = 0; i < controller->pair_count; i++) {
		struct tandem_pair *pair = &controller->pairs[i];
		const struct tandem_controller_pair *options = &pair->machine.config.pair;
		for (size_t j = 0; j < options->link_count; j++) {
			int status = open_path(controller, &pair->paths[j], &options->links[j],
			                       reterr_error);
			if (status != 0)
				return status;
		}
	}
	return 0;
}

void tandem_links_close(struct tandem_controller *controller)
{
	for (size_t i = 0; i < controller->link_count; i++) {
		struct tandem_link_socket *link = &controller->links[i];
		if (link->event)
			event_free(link->event);
		if (link->fd >= 0)
			close(link->fd);
	}
	tandem_memory_free(controller->links);
}
