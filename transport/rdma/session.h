#ifndef TANDEM_RDMA_SESSION_H
#define TANDEM_RDMA_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <rdma/rdma_cma.h>

#include "provider.h"
#include "rdma/address.h"
#include "rdma/async.h"
#include "rdma/channel.h"
#include "rdma/cm_event.h"
#include "rdma/core/join.h"
#include "rdma/core/message.h"
#include "rdma/device.h"
#include "rdma/peer_memory.h"
#include "rdma/registration.h"
#include "rdma/source.h"

#define TANDEM_RDMA_SLOT_STRIDE  8256 /* a slot, rounded up to cache lines */
#define TANDEM_RDMA_FIRST_SEND   TANDEM_RDMA_RECEIVE_SLOTS
#define TANDEM_RDMA_FIRST_CREDIT (TANDEM_RDMA_FIRST_SEND + TANDEM_RDMA_SEND_SLOTS)
#define TANDEM_RDMA_SLOTS        (TANDEM_RDMA_FIRST_CREDIT + TANDEM_RDMA_CREDIT_SLOTS)
#define TANDEM_RDMA_ARRIVALS_MAX                                                                   \
	(TANDEM_RDMA_RECEIVE_SLOTS + TANDEM_CHANNELS_MAX * TANDEM_RDMA_NOTIFY_RECEIVES)

/* How long what was posted may still take to complete when the session is freed: a peer that lives
 * needs less. */
#define TANDEM_RDMA_LINGER_NS UINT64_C(50000000)

/* How long the cause of a flushed request may come after it: the device reports a port that went
 * down, or the peer's end, in its own time. */
#define TANDEM_RDMA_CAUSE_NS UINT64_C(50000000)

/* How long the device may take to give back what was posted, after its queue pairs went to ERR. */
#define TANDEM_RDMA_FLUSH_NS UINT64_C(200000000)

enum tandem_rdma_session_state {
	TANDEM_RDMA_JOINING,
	TANDEM_RDMA_UP,
	TANDEM_RDMA_DRAINING, /* lost; waits for what was posted to come back */
	TANDEM_RDMA_LOST,
};

/* Something that arrived and was not taken yet. It keeps its receive slot: that is posted again
 * just before the event is handed out. */
struct tandem_rdma_arrival {
	struct tandem_rdma_channel *channel;
	uint32_t slot;
	uint32_t immediate;     /* data channel */
	uint32_t payload_bytes; /* control channel */
};

/* A control message that was taken to be sent; its payload stands in its slot. */
struct tandem_rdma_outgoing {
	enum tandem_rdma_message_kind kind;
	uint32_t payload_bytes;
};

struct tandem_rdma_exposure {
	struct tandem_rdma_registration *registration;
	uint32_t announced_count; /* pieces that the peer was told */
};

struct tandem_rdma_session {
	struct tandem_session head;

	/* Any thread, from creation to free. A queue pair stays here, and exists, until free. */
	atomic_bool is_yanked;
	int wake_fd;
	_Atomic(struct ibv_qp *) queue_pairs[TANDEM_RDMA_CHANNELS_MAX];

	/* The owner's from here on. */
	bool is_listening_side;
	enum tandem_rdma_session_state state;
	struct tandem_transport_options options;
	uint64_t piece_bytes;
	uint64_t key;
	uint64_t join_deadline_ns;
	uint64_t drain_deadline_ns;
	unsigned channel_count; /* data channels */
	struct tandem_rdma_channel channels[TANDEM_RDMA_CHANNELS_MAX];
	struct sockaddr_storage peer;
	char peer_text[TANDEM_RDMA_ADDRESS_TEXT_BYTES];

	/* The device; all NULL while the connecting side does not know it. */
	struct tandem_rdma_device device;
	union ibv_gid gid;
	struct tandem_rdma_watcher watcher;
	struct rdma_event_channel *cm_channel;
	int epoll_fd;
	struct ibv_pd *pd;
	struct ibv_comp_channel *completion_channel;
	struct tandem_rdma_queue receive_queue;

	/* Control messages: slots to receive, to send, and for credits. Channel 0's ring counts the
	 * messages. */
	uint8_t *slots;
	struct ibv_mr *slots_mr;
	struct tandem_rdma_outgoing outgoing[TANDEM_RDMA_SEND_SLOTS];
	struct tandem_rdma_send_ring credits;
	struct tandem_rdma_sent credit_entries[TANDEM_RDMA_CREDIT_SLOTS];
	struct tandem_rdma_tag credit_tags[TANDEM_RDMA_CREDIT_SLOTS];
	uint64_t send_sequence;
	uint64_t receive_sequence;
	uint64_t message_sent_count;     /* USER and EXPOSE, posted */
	uint64_t message_credited_count; /* of those, taken by the peer */
	uint64_t message_taken_count;
	uint64_t message_reported_count; /* of those, told to the peer */

	struct tandem_rdma_sources sources;                                  /* connecting side */
	struct tandem_rdma_peer_memory peer_memories[TANDEM_MEMORY_IDS_MAX]; /* connecting side */
	struct tandem_rdma_exposure exposures[TANDEM_MEMORY_IDS_MAX];        /* listening side */
	unsigned unannounced_count; /* exposures of which the peer does not know all */

	unsigned arrival_first;
	unsigned arrival_count;
	struct tandem_rdma_arrival arrivals[TANDEM_RDMA_ARRIVALS_MAX];
	bool has_up_event;
	bool has_lost_event;
	uint64_t flushed_ns; /* when a request first came back flushed; 0: none did */
	struct tandem_error cause;
};

static inline struct tandem_rdma_session *tandem_rdma_session_of(struct tandem_session *session)
{
	return (struct tandem_rdma_session *)session;
}

static inline const struct tandem_rdma_session *tandem_rdma_session_of_const(
        const struct tandem_session *session)
{
	return (const struct tandem_rdma_session *)session;
}

/* All channels, control included. */
static inline unsigned tandem_rdma_session_all_channels(const struct tandem_rdma_session *session)
{
	return 1 + session->channel_count;
}

/* session.c. A session without ids. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_session_new(const struct tandem_transport_options *options,
                                              uint64_t piece_bytes, bool is_listening_side,
                                              struct tandem_rdma_session **ret_session,
                                              struct tandem_error *reterr_error);
/* What needs a device: as soon as the first id has one. Errors as tandem_rdma_channel_open. */
TANDEM_MUST_CHECK int tandem_rdma_session_open_device(struct tandem_rdma_session *session,
                                                      struct rdma_cm_id *id,
                                                      struct tandem_error *reterr_error);
void tandem_rdma_session_set_peer(struct tandem_rdma_session *session, const struct sockaddr *peer);
/* Yanks, drains and frees; NULL and half-built are allowed. */
void tandem_rdma_session_delete(struct tandem_rdma_session *session);
/* Makes the descriptor readable. */
void tandem_rdma_session_wake(struct tandem_rdma_session *session);

/* join.c: what both sides do with an id that has a device: options, queue pair. Publishes the queue
 * pair to yank. */
TANDEM_MUST_CHECK int tandem_rdma_join_prepare(struct tandem_rdma_channel *channel,
                                               struct tandem_error *reterr_error);
/* Parameters of rdma_connect and rdma_accept that carry `join`; its bytes go to `ret_bytes`, which
 * is borrowed by what is returned. */
struct rdma_conn_param tandem_rdma_join_parameters(const struct tandem_rdma_join *join,
                                                   uint8_t ret_bytes[TANDEM_RDMA_JOIN_BYTES]);
/* Handles an event of one of the session's ids. */
void tandem_rdma_join_event(struct tandem_rdma_session *session,
                            const struct tandem_rdma_cm_event *event);
/* "data channel 2: connecting", for a join that did not end in time. */
void tandem_rdma_join_describe(const struct tandem_rdma_session *session, char *text,
                               size_t text_bytes);

/* connect.c: the connecting side's next step. */
TANDEM_MUST_CHECK int tandem_rdma_connect_resolved_address(struct tandem_rdma_channel *channel,
                                                           struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_connect_resolved_route(struct tandem_rdma_channel *channel,
                                                         struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_connect_established(struct tandem_rdma_channel *channel,
                                                      const struct tandem_rdma_cm_event *event,
                                                      struct tandem_error *reterr_error);
int tandem_rdma_connect_refused(struct tandem_rdma_channel *channel,
                                const struct tandem_rdma_cm_event *event,
                                struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_connect_start(const struct tandem_transport_options *options,
                                                uint64_t piece_bytes,
                                                struct tandem_session **ret_session,
                                                struct tandem_error *reterr_error);

/* progress.c. The session ends for `cause`, unless it has ended already: queue pairs to ERR, and
 * LOST follows when all that was posted is back. */
void tandem_rdma_session_lose(struct tandem_rdma_session *session,
                              const struct tandem_error *cause);
/* The end of that: LOST, and the peer is told. */
void tandem_rdma_session_finish(struct tandem_rdma_session *session);
void tandem_rdma_session_progress(struct tandem_session *session);
uint64_t tandem_rdma_session_deadline_ns(const struct tandem_session *session);
/* Takes completions and waits a moment for more. */
void tandem_rdma_session_await(struct tandem_rdma_session *session);
/* Waits until all that was posted is back, at most until `deadline_ns`. */
void tandem_rdma_session_drain(struct tandem_rdma_session *session, uint64_t deadline_ns);
/* Waits while the session is up until all that was sent is complete. */
void tandem_rdma_session_linger(struct tandem_rdma_session *session, uint64_t deadline_ns);

/* completion.c: takes what has completed; with `arms`, queues whose event fired are armed again. */
void tandem_rdma_completions_take(struct tandem_rdma_session *session, bool arms);
/* The completion channel's descriptor is readable. */
void tandem_rdma_completions_woken(struct tandem_rdma_session *session);

/* control.c. */
TANDEM_MUST_CHECK int tandem_rdma_control_send(struct tandem_session *session, const void *message,
                                               size_t message_bytes);
/* Sends what is due and may go: credits, announcements of exposed memory, and what waited for the
 * peer's credit. */
void tandem_rdma_control_pump(struct tandem_rdma_session *session);
/* A message arrived in receive slot `slot`. */
void tandem_rdma_control_arrived(struct tandem_rdma_session *session, uint32_t slot,
                                 uint32_t length);
/* Puts an arrival in the ring, which has room for one of each receive. */
void tandem_rdma_arrival_add(struct tandem_rdma_session *session,
                             struct tandem_rdma_channel *channel, uint32_t slot, uint32_t immediate,
                             uint32_t payload_bytes);
uint8_t *tandem_rdma_slot(const struct tandem_rdma_session *session, unsigned number);

/* exposure.c, write.c, fence.c, describe.c: calls of the ops table. */
TANDEM_MUST_CHECK int tandem_rdma_session_expose(struct tandem_session *session, unsigned memory_id,
                                                 void *base, size_t length,
                                                 struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_session_register(struct tandem_session *session, const void *base,
                                                   size_t length,
                                                   struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_session_write(struct tandem_session *session, unsigned channel,
                                                const struct tandem_write *writes, unsigned count,
                                                unsigned *ret_taken_count);
TANDEM_MUST_CHECK int tandem_rdma_session_notify(struct tandem_session *session, unsigned channel,
                                                 const struct tandem_write *write,
                                                 uint32_t immediate);
/* Every queue pair to ERR; any thread. */
void tandem_rdma_session_stop(struct tandem_rdma_session *session);
/* Listening side, before it stops a session that is up: lets the data channels come to rest. */
void tandem_rdma_session_quell(struct tandem_rdma_session *session);
void tandem_rdma_session_yank(struct tandem_session *session);
TANDEM_MUST_CHECK int tandem_rdma_session_fence(struct tandem_session *session,
                                                uint64_t deadline_ns,
                                                struct tandem_error *reterr_error);
void tandem_rdma_session_describe(const struct tandem_session *session, char *text,
                                  size_t text_bytes);

/* listener.c. */
TANDEM_MUST_CHECK int tandem_rdma_listen(const struct tandem_transport_options *options,
                                         uint64_t piece_bytes,
                                         struct tandem_listener **ret_listener,
                                         struct tandem_error *reterr_error);

#endif
