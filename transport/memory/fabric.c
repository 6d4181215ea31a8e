#include "memory/fabric.h"

#include <string.h>
#include <sys/eventfd.h>

#include <tandem/assert.h>
#include <tandem/clock.h>
#include <tandem/memory.h>

#define FIRST_PORT 1024

struct memory_transport {
	struct tandem_transport head;
	struct tandem_fabric *fabric;
};

struct tandem_fabric *tandem_fabric_new(void)
{
	struct tandem_fabric *fabric = tandem_memory_alloc(sizeof(*fabric));
	if (!fabric)
		return NULL;
	fabric->operations_left = UINT64_MAX;
	fabric->next_port = FIRST_PORT;
	return fabric;
}

struct tandem_fabric *tandem_fabric_free(struct tandem_fabric *fabric)
{
	/* Sessions and listeners borrow it. */
	if (fabric)
		TANDEM_ASSERT(!fabric->links);
	tandem_memory_free(fabric);
	return NULL;
}

bool tandem_fabric_is_held(const struct tandem_fabric *fabric)
{
	return fabric->is_cut || fabric->operations_left == 0;
}

struct tandem_memory_listener *tandem_fabric_find(const struct tandem_fabric *fabric,
                                                  const char *address, uint16_t port,
                                                  unsigned *ret_rail)
{
	for (unsigned i = 0; i < TANDEM_FABRIC_LISTENERS_MAX; i++) {
		struct tandem_memory_listener *listener = fabric->listeners[i];
		if (!listener || listener->port != port)
			continue;
		for (unsigned rail = 0; rail < listener->options.rail_count; rail++) {
			if (strcmp(listener->options.rails[rail].address, address) != 0)
				continue;
			if (ret_rail)
				*ret_rail = rail;
			return listener;
		}
	}
	return NULL;
}

void tandem_memory_set_awake(int fd, bool *is_awake, bool must_be_awake)
{
	eventfd_t value = 1;
	if (must_be_awake == *is_awake)
		return;
	if (must_be_awake)
		eventfd_write(fd, value);
	else
		eventfd_read(fd, &value);
	*is_awake = must_be_awake;
}

void tandem_fabric_refresh(struct tandem_fabric *fabric)
{
	for (unsigned i = 0; i < TANDEM_FABRIC_LISTENERS_MAX; i++) {
		if (fabric->listeners[i])
			tandem_memory_listener_refresh(fabric->listeners[i]);
	}
	for (struct tandem_memory_link *link = fabric->links; link; link = link->next)
		tandem_memory_link_refresh(link);
}

void tandem_fabric_cut(struct tandem_fabric *fabric, bool is_cut)
{
	fabric->is_cut = is_cut;
	tandem_fabric_refresh(fabric);
}

void tandem_fabric_limit(struct tandem_fabric *fabric, uint64_t operations)
{
	fabric->operations_left = operations;
	tandem_fabric_refresh(fabric);
}

void tandem_fabric_drop(struct tandem_fabric *fabric)
{
	for (struct tandem_memory_link *link = fabric->links; link; link = link->next) {
		link->is_dropped = true;
		tandem_memory_link_clear_writes(link);
		for (unsigned side = 0; side < TANDEM_SIDE_COUNT; side++)
			link->controls[side]->count = link->controls[side]->message_count = 0;
	}
	tandem_fabric_refresh(fabric);
}

/* A session that has not come about has no end to lose a channel. */
static void break_end(struct tandem_memory_link *link, enum tandem_memory_side side,
                      unsigned channel, const struct tandem_error *cause)
{
	struct tandem_memory_session *session = link->ends[side];
	if (session && session->state != TANDEM_MEMORY_OVER &&
	    channel < link->options.channel_count)
		tandem_memory_channel_end(session, channel, cause);
}

void tandem_fabric_break(struct tandem_fabric *fabric, unsigned channel,
                         enum tandem_fabric_witness witness)
{
	struct tandem_error cause;
	tandem_error_set(&cause, TANDEM_E_PEER_LOST, "fabric", "the path of data channel %u broke",
	                 channel);
	for (struct tandem_memory_link *link = fabric->links; link; link = link->next) {
		if (witness != TANDEM_FABRIC_LISTENING)
			break_end(link, TANDEM_SIDE_CONNECTING, channel, &cause);
		if (witness != TANDEM_FABRIC_CONNECTING)
			break_end(link, TANDEM_SIDE_LISTENING, channel, &cause);
	}
	tandem_fabric_refresh(fabric);
}

void tandem_fabric_refuse(struct tandem_fabric *fabric, uint32_t channel_mask)
{
	fabric->refused_mask = channel_mask;
	tandem_fabric_refresh(fabric);
}

static void lose_rail_of(struct tandem_memory_link *link, unsigned rail)
{
	struct tandem_error cause;
	bool is_of_control = link->options.control_rail == rail;
	tandem_error_set(&cause, TANDEM_E_PEER_LOST, "fabric", "rail %u was lost", rail);
	for (unsigned side = 0; side < TANDEM_SIDE_COUNT; side++) {
		if (is_of_control && link->ends[side])
			tandem_memory_session_end(link->ends[side], &cause);
		for (unsigned i = 0; i < link->options.channel_count; i++) {
			if (link->channels[i].ends[TANDEM_SIDE_CONNECTING].rail == rail)
				break_end(link, side, i, &cause);
		}
	}
}

void tandem_fabric_lose_rail(struct tandem_fabric *fabric, unsigned rail, bool is_lost)
{
	uint32_t bit = UINT32_C(1) << rail;
	fabric->lost_rail_mask =
	        is_lost ? fabric->lost_rail_mask | bit : fabric->lost_rail_mask & ~bit;
	for (struct tandem_memory_link *link = fabric->links; is_lost && link; link = link->next)
		lose_rail_of(link, rail);
	tandem_fabric_refresh(fabric);
}

/* ---- a transport on it ---- */

static int listen_on(struct tandem_transport *transport,
                     const struct tandem_transport_options *options,
                     struct tandem_listener **ret_listener, struct tandem_error *reterr_error)
{
	struct memory_transport *own = (struct memory_transport *)transport;
	return tandem_memory_listener_new(own->fabric, options, ret_listener, reterr_error);
}

static int connect_to(struct tandem_transport *transport,
                      const struct tandem_transport_options *options,
                      struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	struct memory_transport *own = (struct memory_transport *)transport;
	struct tandem_memory_session *session = NULL;
	struct tandem_memory_link *link = tandem_memory_link_new(own->fabric, options);
	if (!link)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "connect",
		                        "a link of %u channels", options->channel_count);
	int status =
	        tandem_memory_session_new(link, TANDEM_SIDE_CONNECTING, &session, reterr_error);
	tandem_memory_link_unref(link);
	if (status != 0)
		return status;
	session->join_deadline_ns = tandem_clock_now_ns() + options->connect_timeout_ns;
	session->peer_timeout_ns = options->peer_timeout_ns;
	tandem_memory_session_refresh(session);
	*ret_session = &session->head;
	return 0;
}

static void free_transport(struct tandem_transport *transport)
{
	tandem_memory_free(transport);
}

static const struct tandem_transport_ops ops = {
        .listen = listen_on,
        .connect = connect_to,
        .free = free_transport,
};

int tandem_transport_open_memory(struct tandem_fabric *fabric,
                                 struct tandem_transport **ret_transport)
{
	struct memory_transport *transport = tandem_memory_alloc(sizeof(*transport));
	if (!transport)
		return TANDEM_E_MEMORY;
	transport->head.ops = &ops;
	transport->head.capabilities =
	        (struct tandem_transport_capabilities){.name = "memory",
	                                               .detail = "in-memory fabric",
	                                               .has_one_sided_writes = false,
	                                               .has_one_sided_reads = true,
	                                               .write_batch_max = 64};
	transport->fabric = fabric;
	*ret_transport = &transport->head;
	return 0;
}
