#include "rdma/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rdma/verbs.h"

#define SLOTS_BYTES ((size_t)TANDEM_RDMA_SLOT_STRIDE * TANDEM_RDMA_SLOTS)

_Static_assert(TANDEM_RDMA_SLOT_STRIDE >= TANDEM_RDMA_SLOT_BYTES, "a slot fits its stride");
_Static_assert(TANDEM_RDMA_MESSAGES_UNTAKEN_MAX +
                               TANDEM_RDMA_MESSAGES_UNTAKEN_MAX / TANDEM_RDMA_MESSAGES_PER_CREDIT +
                               TANDEM_CHANNELS_MAX * TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX /
                                       TANDEM_RDMA_NOTIFIES_PER_CREDIT <=
                       TANDEM_RDMA_RECEIVE_SLOTS,
               "a receive is posted for whatever a peer that counts may send");

static unsigned channel_count(const struct tandem_session *head)
{
	return tandem_rdma_session_of_const(head)->channel_count;
}

static const char *peer_address(const struct tandem_session *head)
{
	return tandem_rdma_session_of_const(head)->peer_text;
}

static int descriptor(const struct tandem_session *head)
{
	return tandem_rdma_session_of_const(head)->epoll_fd;
}

static uint64_t exposed_bytes(const struct tandem_session *head, unsigned memory_id)
{
	if (memory_id >= TANDEM_MEMORY_IDS_MAX)
		return 0;
	return tandem_rdma_peer_memory_bytes(
	        &tandem_rdma_session_of_const(head)->peer_memories[memory_id]);
}

static unsigned inflight_count(const struct tandem_session *head, unsigned channel)
{
	const struct tandem_rdma_session *session = tandem_rdma_session_of_const(head);

	return channel < session->channel_count ? session->channels[channel + 1].sends.write_count
	                                        : 0;
}

static void free_session(struct tandem_session *head)
{
	tandem_rdma_session_delete(tandem_rdma_session_of(head));
}

/* Events that the peer's flow control counts: the receive goes back to the device first, then the
 * peer is told, so that what it sends next finds a receive. */
static void give_back(struct tandem_rdma_session *session,
                      const struct tandem_rdma_arrival *arrival)
{
	int rc;

	if (arrival->channel->index == 0)
		session->message_taken_count++;
	else
		arrival->channel->notify_taken_count++;
	if (session->state == TANDEM_RDMA_DRAINING || session->state == TANDEM_RDMA_LOST)
		return;
	rc = tandem_rdma_channel_post_receive(arrival->channel, arrival->slot);
	if (rc != 0) {
		struct tandem_error cause;

		tandem_rdma_error(&cause, rc, 0, "ibv_post_recv", "a receive could not be posted");
		tandem_rdma_session_lose(session, &cause);
		return;
	}
	tandem_rdma_control_pump(session);
}

static void take_arrival(struct tandem_rdma_session *session,
                         struct tandem_session_event *ret_event)
{
	const struct tandem_rdma_arrival arrival = session->arrivals[session->arrival_first];

	session->arrival_first = (session->arrival_first + 1) % TANDEM_RDMA_ARRIVALS_MAX;
	session->arrival_count--;
	if (arrival.channel->index == 0) {
		ret_event->type = TANDEM_SESSION_MESSAGE;
		ret_event->message_bytes = arrival.payload_bytes;
		memcpy(ret_event->message,
		       tandem_rdma_slot(session, arrival.slot) + TANDEM_RDMA_HEADER_BYTES,
		       arrival.payload_bytes);
	} else {
		ret_event->type = TANDEM_SESSION_NOTIFIED;
		ret_event->channel = arrival.channel->index - 1;
		ret_event->immediate = arrival.immediate;
	}
	give_back(session, &arrival);
}

static bool next_event(struct tandem_session *head, struct tandem_session_event *ret_event)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);

	if (session->has_up_event) {
		session->has_up_event = false;
		ret_event->type = TANDEM_SESSION_UP;
		return true;
	}
	if (session->arrival_count > 0) {
		take_arrival(session, ret_event);
		return true;
	}
	if (session->has_lost_event) {
		session->has_lost_event = false;
		ret_event->type = TANDEM_SESSION_LOST;
		ret_event->error = session->cause;
		return true;
	}
	return false;
}

static const struct tandem_session_ops session_ops = {
        .channel_count = channel_count,
        .peer_address = peer_address,
        .fd = descriptor,
        .deadline_ns = tandem_rdma_session_deadline_ns,
        .progress = tandem_rdma_session_progress,
        .next_event = next_event,
        .expose = tandem_rdma_session_expose,
        .register_source = tandem_rdma_session_register,
        .exposed_bytes = exposed_bytes,
        .send = tandem_rdma_control_send,
        .write = tandem_rdma_session_write,
        .notify = tandem_rdma_session_notify,
        .inflight_count = inflight_count,
        .yank = tandem_rdma_session_yank,
        .fence = tandem_rdma_session_fence,
        .describe = tandem_rdma_session_describe,
        .free = free_session,
};

static int watch(struct tandem_rdma_session *session, int fd, struct tandem_error *reterr_error)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_ctl",
		                              "session's descriptors");
	return 0;
}

static int open_descriptors(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	int rc;

	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	session->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->epoll_fd < 0 || session->wake_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "no descriptors for a session");
	rc = tandem_rdma_cm_channel_new(&session->cm_channel, reterr_error);
	if (rc == 0)
		rc = watch(session, session->wake_fd, reterr_error);
	if (rc == 0)
		rc = watch(session, session->cm_channel->fd, reterr_error);
	return rc;
}

int tandem_rdma_session_new(const struct tandem_transport_options *options, uint64_t piece_bytes,
                            bool is_listening_side, struct tandem_rdma_session **ret_session,
                            struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_memory_alloc(sizeof(*session));
	int rc;

	if (session == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session",
		                        "no memory for a session");
	session->head.ops = &session_ops;
	session->epoll_fd = -1;
	session->wake_fd = -1;
	session->is_listening_side = is_listening_side;
	session->options = *options;
	session->piece_bytes = piece_bytes;
	session->channel_count = options->channel_count;
	session->join_deadline_ns = tandem_clock_now_ns() + options->connect_timeout_ns;
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		session->channels[i].session = session;
		session->channels[i].index = i;
	}
	session->credits =
	        tandem_rdma_send_ring_over(session->credit_entries, TANDEM_RDMA_CREDIT_SLOTS);
	for (uint32_t i = 0; i < TANDEM_RDMA_CREDIT_SLOTS; i++)
		session->credit_tags[i] =
		        (struct tandem_rdma_tag){TANDEM_RDMA_TAG_CREDIT, i, &session->channels[0]};
	rc = open_descriptors(session, reterr_error);
	if (rc != 0) {
		tandem_rdma_session_delete(session);
		return rc;
	}
	*ret_session = session;
	return 0;
}

void tandem_rdma_session_set_peer(struct tandem_rdma_session *session, const struct sockaddr *peer)
{
	const size_t length = peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                                  : sizeof(struct sockaddr_in);

	memcpy(&session->peer, peer, length);
	tandem_rdma_address_format(peer, session->peer_text, sizeof(session->peer_text));
}

static int open_completion_channel(struct tandem_rdma_session *session,
                                   struct tandem_error *reterr_error)
{
	int flags;
	int rc;

	session->completion_channel = ibv_create_comp_channel(session->device.context);
	rc = tandem_rdma_errno_of_object(session->completion_channel);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_create_comp_channel",
		                         "no completion channel");
	flags = fcntl(session->completion_channel->fd, F_GETFL);
	if (flags < 0 || fcntl(session->completion_channel->fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fcntl",
		                              "completion channel to non-blocking");
	return watch(session, session->completion_channel->fd, reterr_error);
}

static int open_slots(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	int rc;

	session->slots = tandem_memory_map(SLOTS_BYTES);
	if (session->slots == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "mmap",
		                        "no memory for messages");
	session->slots_mr =
	        ibv_reg_mr(session->pd, session->slots, SLOTS_BYTES, IBV_ACCESS_LOCAL_WRITE);
	rc = tandem_rdma_errno_of_object(session->slots_mr);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, SLOTS_BYTES, "ibv_reg_mr",
		                         "buffers for messages");
	return 0;
}

static int pin_sources(struct tandem_rdma_session *session, struct tandem_error *reterr_error)
{
	int rc = 0;

	for (unsigned i = 0; i < session->sources.count && rc == 0; i++)
		rc = tandem_rdma_registration_pin(session->sources.entries[i], session->pd, 0,
		                                  reterr_error);
	return rc;
}

int tandem_rdma_session_open_device(struct tandem_rdma_session *session, struct rdma_cm_id *id,
                                    struct tandem_error *reterr_error)
{
	int rc;

	rc = tandem_rdma_device_query(id->verbs, id->port_num, &session->device, reterr_error);
	if (rc != 0)
		return rc;
	session->gid = id->route.addr.addr.ibaddr.sgid;
	session->pd = ibv_alloc_pd(id->verbs);
	rc = tandem_rdma_errno_of_object(session->pd);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_alloc_pd",
		                         "no protection domain");
	rc = open_completion_channel(session, reterr_error);
	if (rc == 0)
		rc = tandem_rdma_queue_open(session, &session->receive_queue,
		                            TANDEM_RDMA_ARRIVALS_MAX, reterr_error);
	if (rc == 0)
		rc = open_slots(session, reterr_error);
	if (rc == 0)
		rc = tandem_rdma_watcher_attach(&session->watcher, id->verbs, id->port_num,
		                                session->wake_fd, reterr_error);
	if (rc == 0)
		rc = watch(session, id->verbs->async_fd, reterr_error);
	if (rc == 0)
		rc = pin_sources(session, reterr_error);
	return rc;
}

uint8_t *tandem_rdma_slot(const struct tandem_rdma_session *session, unsigned number)
{
	return session->slots + (size_t)number * TANDEM_RDMA_SLOT_STRIDE;
}

void tandem_rdma_session_wake(struct tandem_rdma_session *session)
{
	const uint64_t one = 1;

	/* A full counter is readable too, so the result does not matter. */
	if (write(session->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return;
}

/* What was sent arrives [T14], then the peer is told, without waiting for its answer, and the
 * device is stopped. */
static void disconnect(struct tandem_rdma_session *session)
{
	tandem_rdma_session_linger(session, tandem_clock_now_ns() + TANDEM_RDMA_LINGER_NS);
	if (!atomic_load(&session->is_yanked))
		tandem_rdma_session_quell(session);
	tandem_rdma_session_stop(session);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->id != NULL && channel->join_state == TANDEM_RDMA_CHANNEL_JOINED)
			rdma_disconnect(channel->id);
	}
	tandem_rdma_session_drain(session, tandem_clock_now_ns() + TANDEM_RDMA_FLUSH_NS);
}

static void release_memory(struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < TANDEM_MEMORY_IDS_MAX; i++) {
		tandem_rdma_registration_free(session->exposures[i].registration);
		tandem_rdma_peer_memory_clear(&session->peer_memories[i]);
	}
	tandem_rdma_sources_clear(&session->sources);
	if (session->slots_mr != NULL)
		ibv_dereg_mr(session->slots_mr);
	tandem_memory_unmap(session->slots, SLOTS_BYTES);
}

/* The order is the one in which the objects need each other; each step goes on after a failure. */
void tandem_rdma_session_delete(struct tandem_rdma_session *session)
{
	if (session == NULL)
		return;
	disconnect(session);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_destroy_queue_pair(&session->channels[i]);
	tandem_rdma_watcher_detach(&session->watcher);
	release_memory(session);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_destroy_queue(&session->channels[i]);
	tandem_rdma_queue_close(&session->receive_queue);
	if (session->completion_channel != NULL)
		ibv_destroy_comp_channel(session->completion_channel);
	if (session->pd != NULL)
		ibv_dealloc_pd(session->pd);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_destroy_id(&session->channels[i]);
	if (session->cm_channel != NULL)
		rdma_destroy_event_channel(session->cm_channel);
	if (session->wake_fd >= 0)
		close(session->wake_fd);
	if (session->epoll_fd >= 0)
		close(session->epoll_fd);
	tandem_memory_free(session);
}
