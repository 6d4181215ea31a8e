#include "rdma/session.h"

#include <errno.h>
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
	return tandem_rdma_session_peer(tandem_rdma_session_of_const(head));
}

static int descriptor(const struct tandem_session *head)
{
	return tandem_rdma_session_of_const(head)->epoll_fd;
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

static unsigned key_index(const struct tandem_session *head)
{
	return tandem_rdma_session_of_const(head)->key_index;
}

static const struct tandem_session_ops session_ops = {
        .channel_count = channel_count,
        .peer_address = peer_address,
        .fd = descriptor,
        .deadline_ns = tandem_rdma_session_deadline_ns,
        .progress = tandem_rdma_session_progress,
        .next_event = tandem_rdma_session_next_event,
        .expose = tandem_rdma_session_expose,
        .register_source = tandem_rdma_session_register,
        .exposed_bytes = tandem_rdma_session_exposed_bytes,
        .send = tandem_rdma_control_send,
        .write = tandem_rdma_session_write,
        .notify = tandem_rdma_session_notify,
        .inflight_count = inflight_count,
        .beat = tandem_rdma_session_beat,
        .read_beat = tandem_rdma_session_read_beat,
        .yank = tandem_rdma_session_yank,
        .fence = tandem_rdma_session_fence,
        .fence_channel = tandem_rdma_session_fence_channel,
        .restore = tandem_rdma_session_restore,
        .channel_status = tandem_rdma_session_channel_status,
        .key_index = key_index,
        .break_channel = tandem_rdma_session_break_channel,
        .describe = tandem_rdma_session_describe,
        .free = free_session,
};

int tandem_rdma_session_watch(struct tandem_rdma_session *session, int fd,
                              struct tandem_error *reterr_error)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_ctl",
		                              "session's descriptors");
	return 0;
}

void tandem_rdma_session_unwatch(struct tandem_rdma_session *session, int fd)
{
	epoll_ctl(session->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
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
		rc = tandem_rdma_session_watch(session, session->wake_fd, reterr_error);
	if (rc == 0)
		rc = tandem_rdma_session_watch(session, session->cm_channel->fd, reterr_error);
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
	tandem_patience_init(&session->patience, options->poll_ns);
	session->piece_bytes = piece_bytes;
	session->channel_count = options->channel_count;
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

int tandem_rdma_session_open_slots(struct tandem_rdma_session *session, struct ibv_pd *pd,
                                   struct tandem_error *reterr_error)
{
	int rc;

	session->slots = tandem_memory_map(SLOTS_BYTES);
	if (session->slots == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "mmap",
		                        "no memory for messages");
	session->slots_mr = ibv_reg_mr(pd, session->slots, SLOTS_BYTES, IBV_ACCESS_LOCAL_WRITE);
	rc = tandem_rdma_errno_of_object(session->slots_mr);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, SLOTS_BYTES, "ibv_reg_mr",
		                         "buffers for messages");
	return 0;
}

void tandem_rdma_session_close_slots(struct tandem_rdma_session *session)
{
	if (session->slots_mr != NULL)
		ibv_dereg_mr(session->slots_mr);
	session->slots_mr = NULL;
	tandem_memory_unmap(session->slots, SLOTS_BYTES);
	session->slots = NULL;
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

void tandem_rdma_session_clear_wake(struct tandem_rdma_session *session)
{
	uint64_t count;

	if (read(session->wake_fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return; /* another descriptor was the reason */
}

/* What was sent arrives [T14], then the peer is told, without waiting for its answer, and the
 * device is stopped. The control channel's end is the session's, so it is told first. */
static void disconnect(struct tandem_rdma_session *session)
{
	tandem_rdma_session_linger(session, tandem_clock_now_ns() + TANDEM_RDMA_LINGER_NS);
	if (!atomic_load(&session->is_yanked))
		tandem_rdma_session_quell(session, NULL);
	tandem_rdma_session_stop(session);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];

		if (channel->id != NULL && channel->join_state == TANDEM_RDMA_CHANNEL_JOINED)
			rdma_disconnect(channel->id);
	}
	tandem_rdma_session_drain(session, tandem_clock_now_ns() + TANDEM_RDMA_FLUSH_NS);
}

static void end_mail(struct tandem_rdma_session *session)
{
	if (session->mailbox == NULL)
		return;
	tandem_rdma_mailbox_close(session->mailbox);
	tandem_rdma_admit_end(session);
	session->mailbox = tandem_rdma_mailbox_release(session->mailbox);
}

void tandem_rdma_session_delete(struct tandem_rdma_session *session)
{
	if (session == NULL)
		return;
	end_mail(session);
	disconnect(session);
	tandem_rdma_session_end(session);
}
