#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake.h"

/* The headers make macros of these; here the functions behind them are defined. */
#undef ibv_reg_mr
#undef ibv_query_port

#define COMPLETIONS_MAX 32768
#define DEVICE_EVENTS   16
#define LOCK()          pthread_mutex_lock(&fake_lock)
#define UNLOCK()        pthread_mutex_unlock(&fake_lock)

struct fake_completion {
	struct ibv_wc native;
	struct fake_queue_pair *owner; /* NULL where it is gone */
	unsigned retired_count;
};

struct fake_queue {
	struct ibv_cq native;
	struct fake_queue *next;
	bool is_armed;
	unsigned capacity;
	unsigned first;
	unsigned count;
	unsigned reported_count; /* events that were read and not acknowledged */
	unsigned pending_events; /* in its channel */
	struct fake_completion *completions;
};

struct fake_registration {
	struct ibv_mr native;
	struct fake_registration *next;
	int access;
};

static int poll_queue(struct ibv_cq *native, int count, struct ibv_wc *ret_completions);
static int arm_queue(struct ibv_cq *native, int solicited_only);

#define CONTEXT(which)                                                                             \
	{                                                                                          \
		.device = &(which),                                                                \
		.ops = {.poll_cq = poll_queue,                                                     \
		        .req_notify_cq = arm_queue,                                                \
		        .post_send = fake_post_send,                                               \
		        .post_recv = fake_post_recv},                                              \
		.async_fd = -1,                                                                    \
	}

static struct ibv_device devices[FAKE_DEVICES] = {{.name = "fake0"}, {.name = "fake1"}};
struct ibv_context fake_contexts[FAKE_DEVICES] = {CONTEXT(devices[0]), CONTEXT(devices[1])};

struct fake_device_events {
	struct ibv_async_event events[DEVICE_EVENTS];
	unsigned count;
};

static struct ibv_device_attr limits;
static struct ibv_port_attr port;
static struct fake_queue *queues;
static struct fake_registration *registrations;
static uint32_t next_key;
static bool keeps_registrations;
static uint64_t registered_bytes;
static uint64_t registered_limit;
static bool is_gid_removed;
static bool is_registering_held;
static unsigned held_registering_count;
static pthread_cond_t registering = PTHREAD_COND_INITIALIZER;
static bool releases_when_armed;
static struct fake_device_events device_events[FAKE_DEVICES];

void fake_reset_verbs(void)
{
	limits = (struct ibv_device_attr){
	        .max_cqe = 32767, .max_qp_wr = 16384, .phys_port_cnt = 1, .vendor_id = 0x1234};
	port = (struct ibv_port_attr){
	        .state = IBV_PORT_ACTIVE, .active_mtu = IBV_MTU_4096, .gid_tbl_len = 2};
	queues = NULL;
	registrations = NULL;
	next_key = 100;
	keeps_registrations = false;
	registered_bytes = 0;
	registered_limit = UINT64_MAX;
	is_gid_removed = false;
	is_registering_held = false;
	releases_when_armed = false;
	for (unsigned i = 0; i < FAKE_DEVICES; i++) {
		device_events[i].count = 0;
		if (fake_contexts[i].async_fd >= 0)
			close(fake_contexts[i].async_fd);
		fake_contexts[i].async_fd = eventfd(0, EFD_CLOEXEC);
	}
}

void fake_keep_registrations(bool keeps)
{
	keeps_registrations = keeps;
}

void fake_hold_registering(bool is_held)
{
	LOCK();
	is_registering_held = is_held;
	pthread_cond_broadcast(&registering);
	UNLOCK();
}

unsigned fake_held_registering_count(void)
{
	unsigned count;

	LOCK();
	count = held_registering_count;
	UNLOCK();
	return count;
}

unsigned fake_registration_count(void)
{
	unsigned count;

	LOCK();
	count = fake_count_of(FAKE_REGISTRATION);
	UNLOCK();
	return count;
}

void fake_limit_registered(uint64_t bytes)
{
	registered_limit = bytes;
}

void fake_remove_gid(bool is_removed)
{
	is_gid_removed = is_removed;
}

void fake_release_when_armed(void)
{
	releases_when_armed = true;
}

void fake_set_port_state(enum ibv_port_state state)
{
	port.state = state;
}

void fake_set_mtu(enum ibv_mtu mtu)
{
	port.active_mtu = mtu;
}

struct ibv_device_attr *fake_limits(void)
{
	return &limits;
}

/* ---- the device ---- */

const char *ibv_get_device_name(struct ibv_device *which)
{
	return which->name;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *ret_limits)
{
	(void)context;
	if (fake_fails())
		return errno;
	*ret_limits = limits;
	return 0;
}

int ibv_query_port(struct ibv_context *context, uint8_t number, struct _compat_ibv_port_attr *ret)
{
	(void)context;
	(void)number;
	if (fake_fails())
		return errno;
	memcpy(ret, &port, sizeof(port));
	return 0;
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
	return state == IBV_PORT_ACTIVE ? "PORT_ACTIVE" : "PORT_DOWN";
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	return status == IBV_WC_SUCCESS ? "success" : "failure";
}

int _ibv_query_gid_ex(struct ibv_context *context, uint32_t number, uint32_t index,
                      struct ibv_gid_entry *ret_entry, uint32_t flags, size_t size)
{
	(void)context;
	(void)flags;
	memset(ret_entry, 0, size);
	if (index != 1 || is_gid_removed)
		return ENODATA;
	memset(ret_entry->gid.raw, 7, sizeof(ret_entry->gid.raw));
	ret_entry->gid_index = index;
	ret_entry->port_num = number;
	ret_entry->gid_type = IBV_GID_TYPE_ROCE_V2;
	return 0;
}

static void raise_event(struct ibv_context *context, const struct ibv_async_event *event)
{
	struct fake_device_events *events = &device_events[context - fake_contexts];
	const uint64_t one = 1;
	ssize_t ignored;

	LOCK();
	events->events[events->count++] = *event;
	ignored = write(context->async_fd, &one, sizeof(one));
	(void)ignored;
	UNLOCK();
}

void fake_raise(enum ibv_event_type type, struct ibv_qp *queue_pair)
{
	struct ibv_async_event event = {.event_type = type};

	if (queue_pair != NULL && type == IBV_EVENT_CQ_ERR)
		event.element.cq = queue_pair->recv_cq;
	else if (queue_pair != NULL)
		event.element.qp = queue_pair;
	else
		event.element.port_num = 1;
	raise_event(queue_pair != NULL ? queue_pair->context : &fake_contexts[0], &event);
}

void fake_raise_on(unsigned device, enum ibv_event_type type)
{
	const struct ibv_async_event event = {.event_type = type, .element.port_num = 1};

	raise_event(&fake_contexts[device], &event);
}

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *ret_event)
{
	struct fake_device_events *events = &device_events[context - fake_contexts];
	uint64_t value;
	ssize_t ignored;

	LOCK();
	if (events->count == 0) {
		UNLOCK();
		errno = EAGAIN;
		return -1;
	}
	*ret_event = events->events[0];
	memmove(events->events, events->events + 1, --events->count * sizeof(events->events[0]));
	if (events->count == 0) {
		ignored = read(context->async_fd, &value, sizeof(value));
		(void)ignored;
	}
	UNLOCK();
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

/* ---- protection domains and registrations ---- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct ibv_pd *pd;

	if (fake_fails())
		return NULL;
	pd = calloc(1, sizeof(*pd));
	pd->context = context;
	LOCK();
	fake_count(FAKE_PD, 1);
	UNLOCK();
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	LOCK();
	for (struct fake_registration *r = registrations; r != NULL; r = r->next) {
		if (r->native.pd == pd)
			fake_note("a protection domain was freed before its registration");
	}
	fake_count(FAKE_PD, -1);
	UNLOCK();
	free(pd);
	return 0;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *address, size_t length, uint64_t iova,
                                unsigned access)
{
	struct fake_registration *registration;

	(void)iova;
	if (fake_fails())
		return NULL;
	LOCK();
	held_registering_count++;
	while (is_registering_held && (access & IBV_ACCESS_REMOTE_WRITE) != 0)
		pthread_cond_wait(&registering, &fake_lock);
	held_registering_count--;
	if (registered_bytes + length > registered_limit) {
		UNLOCK();
		errno = ENOMEM;
		return NULL;
	}
	registered_bytes += length;
	UNLOCK();
	registration = calloc(1, sizeof(*registration));
	registration->native = (struct ibv_mr){
	        .context = pd->context, .pd = pd, .addr = address, .length = length};
	registration->access = (int)access;
	LOCK();
	registration->native.lkey = registration->native.rkey = next_key++;
	registration->next = registrations;
	registrations = registration;
	fake_count(FAKE_REGISTRATION, 1);
	UNLOCK();
	return &registration->native;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
	return ibv_reg_mr_iova2(pd, address, length, (uintptr_t)address, (unsigned)access);
}

int ibv_dereg_mr(struct ibv_mr *native)
{
	if (keeps_registrations)
		return EBUSY;
	LOCK();
	for (struct fake_registration **r = &registrations; *r != NULL; r = &(*r)->next) {
		if (&(*r)->native == native) {
			*r = (*r)->next;
			break;
		}
	}
	registered_bytes -= native->length;
	fake_count(FAKE_REGISTRATION, -1);
	UNLOCK();
	free((struct fake_registration *)native);
	return 0;
}

bool fake_is_allowed(const struct ibv_pd *pd, int access, const struct ibv_send_wr *request,
                     uint32_t length)
{
	const uint32_t key = request->wr.rdma.rkey;
	const uint64_t address = request->wr.rdma.remote_addr;

	for (struct fake_registration *r = registrations; r != NULL; r = r->next) {
		const uint64_t base = (uintptr_t)r->native.addr;

		if (r->native.rkey == key)
			return r->native.pd == pd && (r->access & access) != 0 && address >= base &&
			       length <= r->native.length &&
			       address - base <= r->native.length - length;
	}
	return false;
}

/* ---- completions ---- */

static struct fake_queue *queue_of(struct ibv_cq *native)
{
	return (struct fake_queue *)native;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct ibv_comp_channel *channel;

	if (fake_fails())
		return NULL;
	channel = calloc(1, sizeof(*channel));
	channel->context = context;
	channel->fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	LOCK();
	fake_count(FAKE_COMPLETION_CHANNEL, 1);
	UNLOCK();
	return channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	LOCK();
	for (struct fake_queue *queue = queues; queue != NULL; queue = queue->next) {
		if (queue->native.channel == channel)
			fake_note("a completion channel was destroyed before its queue");
	}
	fake_count(FAKE_COMPLETION_CHANNEL, -1);
	UNLOCK();
	close(channel->fd);
	free(channel);
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int capacity, void *queue_context,
                             struct ibv_comp_channel *channel, int vector)
{
	struct fake_queue *queue;

	(void)vector;
	if (fake_fails())
		return NULL;
	queue = calloc(1, sizeof(*queue));
	queue->native = (struct ibv_cq){.context = context,
	                                .channel = channel,
	                                .cq_context = queue_context,
	                                .cqe = capacity};
	queue->capacity = (unsigned)capacity;
	queue->completions = calloc((size_t)capacity, sizeof(*queue->completions));
	LOCK();
	queue->next = queues;
	queues = queue;
	fake_count(FAKE_QUEUE, 1);
	UNLOCK();
	return &queue->native;
}

int ibv_destroy_cq(struct ibv_cq *native)
{
	struct fake_queue *queue = queue_of(native);

	LOCK();
	if (queue->reported_count > 0)
		fake_note("a queue was destroyed with an event that is not acknowledged: a hang");
	if (fake_count_of(FAKE_QUEUE_PAIR) > 0) {
		for (unsigned i = 0; fake_queue_pair(i) != NULL; i++) {
			if (fake_queue_pair(i)->send_cq == native ||
			    fake_queue_pair(i)->recv_cq == native)
				fake_note("a queue was destroyed before its queue pair");
		}
	}
	for (struct fake_queue **place = &queues; *place != NULL; place = &(*place)->next) {
		if (*place == queue) {
			*place = queue->next;
			break;
		}
	}
	fake_count(FAKE_QUEUE, -1);
	UNLOCK();
	free(queue->completions);
	free(queue);
	return 0;
}

void fake_complete(struct ibv_cq *native, const struct ibv_wc *completion,
                   struct fake_queue_pair *owner, unsigned retired_count)
{
	struct fake_queue *queue = queue_of(native);
	const uint64_t one = 1;
	ssize_t ignored;

	if (queue->count == queue->capacity) {
		fake_note("a completion queue of %u overflowed", queue->capacity);
		return;
	}
	queue->completions[(queue->first + queue->count++) % queue->capacity] =
	        (struct fake_completion){*completion, owner, retired_count};
	if (!queue->is_armed)
		return;
	queue->is_armed = false;
	queue->pending_events++;
	ignored = write(native->channel->fd, &one, sizeof(one));
	(void)ignored;
}

void fake_forget(struct fake_queue_pair *owner)
{
	for (struct fake_queue *queue = queues; queue != NULL; queue = queue->next) {
		for (unsigned i = 0; i < queue->count; i++) {
			struct fake_completion *completion =
			        &queue->completions[(queue->first + i) % queue->capacity];

			if (completion->owner == owner)
				completion->owner = NULL;
		}
	}
}

static int poll_queue(struct ibv_cq *native, int count, struct ibv_wc *ret_completions)
{
	struct fake_queue *queue = queue_of(native);
	int taken = 0;

	LOCK();
	while (taken < count && queue->count > 0) {
		struct fake_completion *completion = &queue->completions[queue->first];

		queue->first = (queue->first + 1) % queue->capacity;
		queue->count--;
		/* Those of a queue pair that is gone went with it. */
		if (completion->owner == NULL)
			continue;
		fake_retire(completion->owner, completion->retired_count);
		ret_completions[taken++] = completion->native;
	}
	UNLOCK();
	return taken;
}

static int arm_queue(struct ibv_cq *native, int solicited_only)
{
	(void)solicited_only;
	if (fake_fails())
		return errno;
	LOCK();
	if (releases_when_armed) {
		releases_when_armed = false;
		fake_hold(false);
	}
	queue_of(native)->is_armed = true;
	UNLOCK();
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **ret_queue,
                     void **ret_context)
{
	uint64_t value;
	ssize_t ignored;
	int rc = -1;

	LOCK();
	for (struct fake_queue *queue = queues; queue != NULL && rc != 0; queue = queue->next) {
		if (queue->native.channel != channel || queue->pending_events == 0)
			continue;
		queue->pending_events--;
		queue->reported_count++;
		ignored = read(channel->fd, &value, sizeof(value));
		(void)ignored;
		*ret_queue = &queue->native;
		*ret_context = queue->native.cq_context;
		rc = 0;
	}
	UNLOCK();
	if (rc != 0)
		errno = EAGAIN;
	return rc;
}

void ibv_ack_cq_events(struct ibv_cq *native, unsigned count)
{
	LOCK();
	if (count > queue_of(native)->reported_count)
		fake_note("more events were acknowledged than there were");
	else
		queue_of(native)->reported_count -= count;
	UNLOCK();
}
