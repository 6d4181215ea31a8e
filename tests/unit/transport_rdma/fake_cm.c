#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake.h"

#define FIRST_PORT           40000
#define REJECTED_BY_CONSUMER 28
#define REJECTED_NO_LISTENER 8
#define LOCK()               pthread_mutex_lock(&fake_lock)
#define UNLOCK()             pthread_mutex_unlock(&fake_lock)

struct fake_event {
	struct rdma_cm_event native;
	struct fake_event *next;
	uint8_t private_data[256];
};

struct fake_channel {
	struct rdma_event_channel native;
	struct fake_event *first;
};

static struct fake_id *ids;
static uint16_t next_port;
static struct rdma_conn_param last_connect;
static uint8_t last_ack_timeout;

void fake_reset_cm(void)
{
	ids = NULL;
	next_port = FIRST_PORT;
	last_ack_timeout = 0;
	memset(&last_connect, 0, sizeof(last_connect));
}

struct rdma_conn_param fake_last_connect(void)
{
	return last_connect;
}

uint8_t fake_last_ack_timeout(void)
{
	return last_ack_timeout;
}

static struct fake_id *id_of(struct rdma_cm_id *native)
{
	return (struct fake_id *)native;
}

static int fail_with(int os_errno)
{
	errno = os_errno;
	return -1;
}

/* ---- events ---- */

static void signal_channel(struct fake_channel *channel)
{
	uint64_t value = 1;
	ssize_t ignored;

	if (channel->first != NULL)
		ignored = write(channel->native.fd, &value, sizeof(value));
	else
		ignored = read(channel->native.fd, &value, sizeof(value));
	(void)ignored;
}

static void append(struct fake_channel *channel, struct fake_event *event)
{
	struct fake_event **last = &channel->first;

	while (*last != NULL)
		last = &(*last)->next;
	event->next = NULL;
	*last = event;
	signal_channel(channel);
}

static void push_from(struct fake_id *listener, struct fake_id *id, enum rdma_cm_event_type type,
                      int status, const void *private_data, size_t length, size_t padded_length)
{
	struct fake_event *event = calloc(1, sizeof(*event));

	event->native.id = &id->native;
	event->native.listen_id = listener != NULL ? &listener->native : NULL;
	event->native.event = type;
	event->native.status = status;
	if (private_data != NULL) {
		memcpy(event->private_data, private_data, length);
		event->native.param.conn.private_data = event->private_data;
		event->native.param.conn.private_data_len = (uint8_t)padded_length;
	}
	append(id->channel, event);
}

static void push(struct fake_id *id, enum rdma_cm_event_type type, int status,
                 const void *private_data, size_t length, size_t padded_length)
{
	push_from(NULL, id, type, status, private_data, length, padded_length);
}

static void drop_events(struct fake_channel *channel, const struct fake_id *id,
                        struct fake_channel *target)
{
	struct fake_event **place = &channel->first;

	while (*place != NULL) {
		struct fake_event *event = *place;

		if (event->native.id != &id->native) {
			place = &event->next;
			continue;
		}
		*place = event->next;
		if (target != NULL)
			append(target, event);
		else
			free(event);
	}
	signal_channel(channel);
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct fake_channel *channel;

	if (fake_fails())
		return NULL;
	channel = calloc(1, sizeof(*channel));
	channel->native.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	LOCK();
	fake_count(FAKE_CHANNEL, 1);
	UNLOCK();
	return &channel->native;
}

int rdma_get_cm_event(struct rdma_event_channel *native, struct rdma_cm_event **ret_event)
{
	struct fake_channel *channel = (struct fake_channel *)native;
	struct fake_event *event;

	LOCK();
	event = channel->first;
	/* Events are the kernel's, not the device's. */
	if (event == NULL || (!fake_is_gone() && fake_fails())) {
		UNLOCK();
		return event == NULL ? fail_with(EAGAIN) : -1;
	}
	channel->first = event->next;
	signal_channel(channel);
	if (event->native.event != RDMA_CM_EVENT_CONNECT_REQUEST)
		id_of(event->native.id)->reported_count++;
	UNLOCK();
	*ret_event = &event->native;
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *native)
{
	LOCK();
	if (native->event != RDMA_CM_EVENT_CONNECT_REQUEST)
		id_of(native->id)->reported_count--;
	UNLOCK();
	free((struct fake_event *)native);
	return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
	(void)event;
	return "an event";
}

void fake_remove_ids(void)
{
	for (struct fake_id *id = ids; id != NULL; id = id->next)
		push(id, RDMA_CM_EVENT_DEVICE_REMOVAL, 0, NULL, 0, 0);
}

/* ---- ids ---- */

static struct fake_id *new_id(struct fake_channel *channel, void *context)
{
	struct fake_id *id = calloc(1, sizeof(*id));

	id->native.channel = &channel->native;
	id->native.context = context;
	id->channel = channel;
	id->next = ids;
	ids = id;
	fake_count(FAKE_ID, 1);
	return id;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **ret_id, void *context,
                   enum rdma_port_space space)
{
	if (space != RDMA_PS_TCP)
		fake_note("a port space that is not TCP's");
	if (fake_fails())
		return -1;
	LOCK();
	*ret_id = &new_id((struct fake_channel *)channel, context)->native;
	UNLOCK();
	return 0;
}

static void disconnect(struct fake_id *id)
{
	struct fake_id *peer = id->peer;

	if (peer == NULL)
		return;
	if (id->is_connected && peer->is_connected)
		push(peer, RDMA_CM_EVENT_DISCONNECTED, 0, NULL, 0, 0);
	else if (!peer->is_connected)
		push(peer, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, NULL, 0, 0);
	id->is_connected = false;
	peer->is_connected = false;
	peer->peer = NULL;
	id->peer = NULL;
}

int rdma_destroy_id(struct rdma_cm_id *native)
{
	struct fake_id *id = id_of(native);

	LOCK();
	if (id->reported_count > 0)
		fake_note("an id was destroyed with an event that is not acknowledged: a hang");
	if (native->qp != NULL)
		fake_note("an id was destroyed before its queue pair");
	disconnect(id);
	drop_events(id->channel, id, NULL);
	for (struct fake_id **place = &ids; *place != NULL; place = &(*place)->next) {
		if (*place == id) {
			*place = id->next;
			break;
		}
	}
	fake_count(FAKE_ID, -1);
	UNLOCK();
	free(id);
	return 0;
}

/* The kernel ends the requests that nobody read. */
static void drop_requests(struct fake_channel *channel)
{
	while (channel->first != NULL) {
		struct fake_event *event = channel->first;

		if (event->native.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
			rdma_destroy_id(event->native.id);
			continue;
		}
		channel->first = event->next;
		free(event);
	}
}

void rdma_destroy_event_channel(struct rdma_event_channel *native)
{
	struct fake_channel *channel = (struct fake_channel *)native;

	LOCK();
	drop_requests(channel);
	for (struct fake_id *id = ids; id != NULL; id = id->next) {
		if (id->channel == channel)
			fake_note("an event channel was destroyed before its id");
	}
	fake_count(FAKE_CHANNEL, -1);
	UNLOCK();
	close(native->fd);
	free(channel);
}

int rdma_migrate_id(struct rdma_cm_id *native, struct rdma_event_channel *channel)
{
	struct fake_id *id = id_of(native);

	if (fake_fails())
		return -1;
	LOCK();
	if (id->reported_count > 0)
		fake_note("an id migrated with an event that is not acknowledged: a hang");
	drop_events(id->channel, id, (struct fake_channel *)channel);
	id->channel = (struct fake_channel *)channel;
	id->native.channel = channel;
	UNLOCK();
	return 0;
}

int rdma_set_option(struct rdma_cm_id *native, int level, int name, void *value, size_t length)
{
	(void)native;
	if (fake_fails())
		return -1;
	if (level == RDMA_OPTION_ID && name == RDMA_OPTION_ID_ACK_TIMEOUT && length == 1)
		last_ack_timeout = *(uint8_t *)value;
	return 0;
}

/* 127.1.0.0/16 is the second device's. */
static void set_device(struct fake_id *id)
{
	const uint32_t address = ntohl(id->native.route.addr.src_sin.sin_addr.s_addr);

	id->native.verbs = &fake_contexts[address >> 16 == 0x7f01];
	id->native.port_num = 1;
	memset(id->native.route.addr.addr.ibaddr.sgid.raw, 7, 16);
}

static uint16_t *port_of(struct sockaddr *address)
{
	return &((struct sockaddr_in *)address)->sin_port;
}

static bool is_local(const struct sockaddr *address)
{
	const uint32_t number = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

	return address->sa_family == AF_INET && (number >> 24 == 127 || number == 0);
}

static struct fake_id *listener_at(const struct sockaddr_in *address)
{
	for (struct fake_id *id = ids; id != NULL; id = id->next) {
		const struct sockaddr_in *own = &id->native.route.addr.src_sin;

		if (id->is_listening && own->sin_port == address->sin_port &&
		    (own->sin_addr.s_addr == 0 || own->sin_addr.s_addr == address->sin_addr.s_addr))
			return id;
	}
	return NULL;
}

int rdma_bind_addr(struct rdma_cm_id *native, struct sockaddr *address)
{
	if (fake_fails())
		return -1;
	if (!is_local(address))
		return fail_with(ENODEV);
	LOCK();
	memcpy(&native->route.addr.src_storage, address, sizeof(struct sockaddr_in));
	if (*port_of(address) == 0)
		*port_of(&native->route.addr.src_addr) = htons(next_port++);
	set_device(id_of(native));
	UNLOCK();
	return 0;
}

int rdma_listen(struct rdma_cm_id *native, int backlog)
{
	bool is_taken;

	(void)backlog;
	if (fake_fails())
		return -1;
	LOCK();
	is_taken = listener_at(&native->route.addr.src_sin) != NULL;
	id_of(native)->is_listening = !is_taken;
	UNLOCK();
	return is_taken ? fail_with(EADDRINUSE) : 0;
}

int rdma_resolve_addr(struct rdma_cm_id *native, struct sockaddr *source,
                      struct sockaddr *destination, int timeout_ms)
{
	if (timeout_ms <= 0)
		fake_note("an address is resolved without a deadline");
	if (fake_fails())
		return -1;
	if (!is_local(destination))
		return fail_with(ENODEV);
	LOCK();
	memcpy(&native->route.addr.dst_storage, destination, sizeof(struct sockaddr_in));
	memcpy(&native->route.addr.src_storage, source != NULL ? source : destination,
	       sizeof(struct sockaddr_in));
	*port_of(&native->route.addr.src_addr) = htons(next_port++);
	set_device(id_of(native));
	push(id_of(native), RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, 0);
	UNLOCK();
	return 0;
}

int rdma_resolve_route(struct rdma_cm_id *native, int timeout_ms)
{
	if (timeout_ms <= 0)
		fake_note("a route is resolved without a deadline");
	if (fake_fails())
		return -1;
	LOCK();
	push(id_of(native), RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, 0);
	UNLOCK();
	return 0;
}

__be16 rdma_get_src_port(struct rdma_cm_id *native)
{
	return native->route.addr.src_sin.sin_port;
}

/* ---- connecting ---- */

static void request(struct fake_id *active, struct fake_id *listener,
                    const struct rdma_conn_param *parameters)
{
	struct fake_id *passive = new_id(listener->channel, NULL);

	passive->native.route.addr.dst_sin = active->native.route.addr.src_sin;
	passive->native.route.addr.src_sin = active->native.route.addr.dst_sin;
	set_device(passive);
	passive->peer = active;
	active->peer = passive;
	push_from(listener, passive, RDMA_CM_EVENT_CONNECT_REQUEST, 0, parameters->private_data,
	          parameters->private_data_len, FAKE_PRIVATE_REQUEST);
}

int rdma_connect(struct rdma_cm_id *native, struct rdma_conn_param *parameters)
{
	struct fake_id *listener;

	if (fake_fails())
		return -1;
	LOCK();
	last_connect = *parameters;
	if (parameters->private_data_len > FAKE_PRIVATE_REQUEST)
		fake_note("a request with too much private data");
	listener = listener_at(&native->route.addr.dst_sin);
	if (listener != NULL)
		request(id_of(native), listener, parameters);
	else
		push(id_of(native), RDMA_CM_EVENT_REJECTED, REJECTED_NO_LISTENER, NULL, 0, 0);
	UNLOCK();
	return 0;
}

int rdma_accept(struct rdma_cm_id *native, struct rdma_conn_param *parameters)
{
	struct fake_id *passive = id_of(native);
	struct fake_id *active;

	if (fake_fails())
		return -1;
	LOCK();
	active = passive->peer;
	if (active != NULL) {
		passive->is_connected = true;
		active->is_connected = true;
		if (native->qp != NULL && active->native.qp != NULL)
			fake_join_queue_pairs(native->qp, active->native.qp);
		push(active, RDMA_CM_EVENT_ESTABLISHED, 0, parameters->private_data,
		     parameters->private_data_len, FAKE_PRIVATE_ACCEPT);
		push(passive, RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0, 0);
	}
	UNLOCK();
	return active != NULL ? 0 : fail_with(ENOTCONN);
}

bool fake_connect_bare(struct rdma_cm_id *native)
{
	struct fake_id *peer = id_of(native)->peer;
	bool is_ready;

	LOCK();
	is_ready = peer != NULL && peer->native.qp != NULL;
	if (is_ready)
		peer->native.qp->state = IBV_QPS_RTS;
	UNLOCK();
	return is_ready;
}

int rdma_reject(struct rdma_cm_id *native, const void *private_data, uint8_t length)
{
	struct fake_id *passive = id_of(native);

	LOCK();
	if (passive->peer != NULL) {
		push(passive->peer, RDMA_CM_EVENT_REJECTED, REJECTED_BY_CONSUMER, private_data,
		     length, FAKE_PRIVATE_REJECT);
		passive->peer->peer = NULL;
		passive->peer = NULL;
	}
	UNLOCK();
	return 0;
}

int rdma_disconnect(struct rdma_cm_id *native)
{
	struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};

	LOCK();
	if (native->qp != NULL)
		ibv_modify_qp(native->qp, &attributes, IBV_QP_STATE);
	disconnect(id_of(native));
	UNLOCK();
	return 0;
}

int rdma_create_qp(struct rdma_cm_id *native, struct ibv_pd *pd,
                   struct ibv_qp_init_attr *attributes)
{
	if (fake_fails())
		return -1;
	LOCK();
	native->qp = fake_create_queue_pair(pd, attributes);
	UNLOCK();
	return 0;
}

int rdma_create_qp_ex(struct rdma_cm_id *native, struct ibv_qp_init_attr_ex *attributes)
{
	struct ibv_qp_init_attr plain = {.qp_context = attributes->qp_context,
	                                 .send_cq = attributes->send_cq,
	                                 .recv_cq = attributes->recv_cq,
	                                 .cap = attributes->cap,
	                                 .qp_type = attributes->qp_type,
	                                 .sq_sig_all = attributes->sq_sig_all};

	if (!fake_has_extended_posts()) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (rdma_create_qp(native, attributes->pd, &plain) != 0)
		return -1;
	fake_extend_queue_pair(native->qp);
	return 0;
}

struct ibv_context **rdma_get_devices(int *ret_count)
{
	struct ibv_context **list = calloc(3, sizeof(*list));

	list[0] = &fake_contexts[0];
	list[1] = &fake_contexts[1];
	*ret_count = 2;
	return list;
}

void rdma_free_devices(struct ibv_context **list)
{
	free(list);
}
