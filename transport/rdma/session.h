#ifndef TANDEM_RDMA_SESSION_H
#define TANDEM_RDMA_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <rdma/rdma_cma.h>

#include "core/handshake.h"
#include "core/patience.h"
#include "provider.h"
#include "rdma/address.h"
#include "rdma/attachment.h"
#include "rdma/beat.h"
#include "rdma/channel.h"
#include "rdma/cm_event.h"
#include "rdma/core/join.h"
#include "rdma/core/message.h"
#include "rdma/mailbox.h"
#include "rdma/source.h"

#define TANDEM_RDMA_SLOT_STRIDE  8256 /* a slot, rounded up to cache lines */
#define TANDEM_RDMA_FIRST_SEND   TANDEM_RDMA_RECEIVE_SLOTS
#define TANDEM_RDMA_FIRST_CREDIT (TANDEM_RDMA_FIRST_SEND + TANDEM_RDMA_SEND_SLOTS)
#define TANDEM_RDMA_LANDING      (TANDEM_RDMA_FIRST_CREDIT + TANDEM_RDMA_CREDIT_SLOTS)
#define TANDEM_RDMA_SLOTS        (TANDEM_RDMA_LANDING + 1) /* what is read of the peer's beat */
#define TANDEM_RDMA_ARRIVALS_MAX                                                                   \
	(TANDEM_RDMA_RECEIVE_SLOTS + TANDEM_CHANNELS_MAX * TANDEM_RDMA_PENDING_MAX)

/* How long what was posted may still take to complete when the session is freed: a peer that lives
 * needs less. */
#define TANDEM_RDMA_LINGER_NS UINT64_C(50000000)

/* How long the cause of a flushed request may come after it: the device reports a port that went
 * down, or the peer's end, in its own time. */
#define TANDEM_RDMA_CAUSE_NS UINT64_C(50000000)

/* How long the device may take to give back what was posted, after its queue pairs went to ERR. */
#define TANDEM_RDMA_FLUSH_NS UINT64_C(200000000)

/* Of a session that is freed. */
enum tandem_rdma_ending {
	TANDEM_RDMA_ENDING_NOT,
	TANDEM_RDMA_ENDING_GIVEN_UP, /* no queue pair is left */
	TANDEM_RDMA_ENDING_LEFT,     /* by its owner */
};

enum tandem_rdma_session_state {
	TANDEM_RDMA_JOINING,
	TANDEM_RDMA_UP,
	TANDEM_RDMA_DRAINING, /* lost; waits for what was posted to come back */
	TANDEM_RDMA_LOST,
};

/* An event that was not taken yet: a message or a notify that arrived, or what became of a data
 * channel. What arrived keeps its receive slot: that is posted again just before the event is
 * handed out. */
struct tandem_rdma_arrival {
	enum tandem_session_event_type type;
	struct tandem_rdma_channel *channel;
	uint32_t attempt; /* of the channel */
	uint32_t slot;
	uint32_t immediate;     /* NOTIFIED */
	uint32_t payload_bytes; /* MESSAGE */
};

/* A control message that was taken to be sent; its payload stands in its slot. */
struct tandem_rdma_outgoing {
	enum tandem_rdma_message_kind kind;
	uint32_t payload_bytes;
};

/* Where a rail leads: the connecting side's. */
struct tandem_rdma_way {
	struct sockaddr_storage peer;
	struct sockaddr_storage source;
	bool has_source;
};

struct tandem_rdma_session {
	struct tandem_session head;

	/* Any thread, from creation to free. */
	atomic_bool is_yanked;
	int wake_fd;
	atomic_uint stopper_count; /* threads that use what stands in `queue_pairs` */
	_Atomic(struct ibv_qp *) queue_pairs[TANDEM_RDMA_CHANNELS_MAX];

	_Atomic(enum tandem_rdma_ending) ending; /* who frees it */

	/* The owner's from here on. */
	bool is_listening_side;
	enum tandem_rdma_session_state state;
	struct tandem_transport_options options;
	uint64_t piece_bytes;
	uint64_t drain_deadline_ns;
	unsigned channel_count; /* data channels */
	struct tandem_rdma_channel channels[TANDEM_RDMA_CHANNELS_MAX];
	struct tandem_rdma_way ways[TANDEM_RAILS_MAX]; /* connecting side */
	struct rdma_event_channel *cm_channel;
	int epoll_fd;
	struct tandem_rdma_attachment attachments[TANDEM_RDMA_ATTACHMENTS_MAX];
	struct tandem_rdma_remains *remains; /* of attempts that their device has not given up */

	/* Who the peer is. */
	struct tandem_key key;
	unsigned key_index; /* listening side */
	struct tandem_transcript transcript;
	struct tandem_secrets secrets;
	bool is_keyed;                       /* control messages go: the peer's proof was right */
	struct tandem_rdma_mailbox *mailbox; /* listening side */
	bool has_joined;                     /* listening side: a data channel has been up */
	uint64_t channelless_ns; /* listening side: since when none is up, 0 while one is */

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
	uint64_t message_sent_count;     /* all but CREDIT, posted */
	uint64_t message_credited_count; /* of those, taken by the peer */
	uint64_t message_taken_count;
	uint64_t message_reported_count; /* of those, told to the peer */

	struct tandem_rdma_beat beat;

	struct tandem_rdma_sources sources;                         /* connecting side */
	struct tandem_rdma_extent exposures[TANDEM_MEMORY_IDS_MAX]; /* listening side; base NULL:
	                                                               none */
	uint32_t exposed_piece_count;
	uint64_t known_bytes[TANDEM_MEMORY_IDS_MAX]; /* connecting side: of each memory that all
	                                                channels that are up can write to */

	uint64_t taken_ns; /* when the completions were last looked at */
	struct tandem_patience patience;
	unsigned arrival_first;
	unsigned arrival_count;
	struct tandem_rdma_arrival arrivals[TANDEM_RDMA_ARRIVALS_MAX];
	bool has_up_event;
	uint32_t up_mask; /* the data channels that were up then */
	bool has_lost_event;
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

static inline const char *tandem_rdma_session_peer(const struct tandem_rdma_session *session)
{
	return session->channels[0].peer_text;
}

static inline bool tandem_rdma_session_has_ended(const struct tandem_rdma_session *session)
{
	return session->state == TANDEM_RDMA_DRAINING || session->state == TANDEM_RDMA_LOST;
}

/* session.c. A session without ids. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_session_new(const struct tandem_transport_options *options,
                                              uint64_t piece_bytes, bool is_listening_side,
                                              struct tandem_rdma_session **ret_session,
                                              struct tandem_error *reterr_error);
/* The buffers of control messages. Errors: TANDEM_E_MEMORY, TANDEM_E_MEMLOCK, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_session_open_slots(struct tandem_rdma_session *session,
                                                     struct ibv_pd *pd,
                                                     struct tandem_error *reterr_error);
void tandem_rdma_session_close_slots(struct tandem_rdma_session *session);
TANDEM_MUST_CHECK int tandem_rdma_session_watch(struct tandem_rdma_session *session, int fd,
                                                struct tandem_error *reterr_error);
void tandem_rdma_session_unwatch(struct tandem_rdma_session *session, int fd);
/* Yanks, drains and frees; NULL and half-built are allowed. */
void tandem_rdma_session_delete(struct tandem_rdma_session *session);
/* ending.c: frees what is stopped and drained. What its device does not give up in time ends later,
 * beside the caller; the memory that the session borrowed is its owner's at once. */
void tandem_rdma_session_end(struct tandem_rdma_session *session);
/* Makes the descriptor readable. */
void tandem_rdma_session_wake(struct tandem_rdma_session *session);
/* Until the next wake it is not, for that reason. */
void tandem_rdma_session_clear_wake(struct tandem_rdma_session *session);

/* arrival.c: puts an arrival in the ring, which has room for one of each receive. */
void tandem_rdma_arrival_add(struct tandem_rdma_session *session,
                             const struct tandem_rdma_arrival *arrival);
/* CHANNEL_UP or CHANNEL_LOST. */
void tandem_rdma_arrival_add_news(struct tandem_rdma_channel *channel,
                                  enum tandem_session_event_type type);
bool tandem_rdma_session_next_event(struct tandem_session *session,
                                    struct tandem_session_event *ret_event);

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
/* Begins the time that the join of a channel may take. */
void tandem_rdma_join_begin(struct tandem_rdma_channel *channel, uint64_t join_ns);
/* A data channel is up once it is connected and all keys are known. */
void tandem_rdma_join_settle(struct tandem_rdma_channel *channel);
/* The connecting side is up once no data channel is joining any more. */
void tandem_rdma_join_settle_session(struct tandem_rdma_session *session);
/* Who takes too long. */
void tandem_rdma_join_check(struct tandem_rdma_session *session, uint64_t now_ns);
uint64_t tandem_rdma_join_deadline_ns(const struct tandem_rdma_session *session);

/* admit.c: the listening side's part. Accepts `id` as the control channel of a session. */
TANDEM_MUST_CHECK int tandem_rdma_admit_control(struct tandem_rdma_session *session,
                                                const struct tandem_rdma_request *request,
                                                struct tandem_error *reterr_error);
/* Takes what came to the mailbox. */
void tandem_rdma_admit_requests(struct tandem_rdma_session *session);
/* A data channel whose peer gave up before it was connected is down again. */
void tandem_rdma_admit_forget(struct tandem_rdma_channel *channel,
                              const struct tandem_error *cause);
/* Refuses what is in the mailbox, for good. */
void tandem_rdma_admit_end(struct tandem_rdma_session *session);
/* Says no, with a reason that the other side can show, and forgets the id. */
void tandem_rdma_reject(struct rdma_cm_id *id, enum tandem_rdma_reject_reason reason);

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
TANDEM_MUST_CHECK int tandem_rdma_session_restore(struct tandem_session *session, unsigned channel,
                                                  struct tandem_error *reterr_error);

/* loss.c. The session ends for `cause`, unless it has ended already: queue pairs to ERR, and LOST
 * follows when all that was posted is back. */
void tandem_rdma_session_lose(struct tandem_rdma_session *session,
                              const struct tandem_error *cause);
/* The end of that: LOST, and the peer is told. */
void tandem_rdma_session_finish(struct tandem_rdma_session *session);
/* The same for one channel; with the control channel or the last data channel the session ends. */
void tandem_rdma_channel_lose(struct tandem_rdma_channel *channel,
                              const struct tandem_error *cause);
/* What a loss has to wait for, when it is there or its time is over. */
void tandem_rdma_loss_check(struct tandem_rdma_session *session, uint64_t now_ns);
uint64_t tandem_rdma_loss_deadline_ns(const struct tandem_rdma_session *session);
void tandem_rdma_session_break_channel(struct tandem_session *session, unsigned channel);

/* progress.c. */
void tandem_rdma_session_progress(struct tandem_session *session);
uint64_t tandem_rdma_session_deadline_ns(const struct tandem_session *session);
/* Takes completions and waits a moment for more. */
void tandem_rdma_session_await(struct tandem_rdma_session *session);
/* Waits until all that was posted is back, at most until `deadline_ns`. */
void tandem_rdma_session_drain(struct tandem_rdma_session *session, uint64_t deadline_ns);
bool tandem_rdma_session_is_quiet(const struct tandem_rdma_session *session);
/* Waits while the session is up until all that was sent is complete. */
void tandem_rdma_session_linger(struct tandem_rdma_session *session, uint64_t deadline_ns);

/* completion.c: takes what has completed, and gives how much; with `arms`, queues are armed for
 * what their owner waits for. */
unsigned tandem_rdma_completions_take(struct tandem_rdma_session *session, bool arms,
                                      uint64_t now_ns);
/* Takes again and again until something has completed, for a while, options.poll_ns at most; gives
 * the time then. */
uint64_t tandem_rdma_completions_poll(struct tandem_rdma_session *session, uint64_t now_ns);
/* When to look again although no event came; UINT64_MAX for never. */
uint64_t tandem_rdma_completions_deadline_ns(const struct tandem_rdma_session *session);
/* The completion channels' descriptors are readable. */
void tandem_rdma_completions_woken(struct tandem_rdma_session *session);

/* control.c. */
TANDEM_MUST_CHECK int tandem_rdma_control_send(struct tandem_session *session, const void *message,
                                               size_t message_bytes);
/* The connecting side's first message [S2]. */
void tandem_rdma_control_prove(struct tandem_rdma_session *session);
/* Sends what is due and may go: credits, the own beat, announcements of exposed memory,
 * what became of channels, and what waited for the peer's credit. */
void tandem_rdma_control_pump(struct tandem_rdma_session *session);
/* A message arrived in receive slot `slot`. */
void tandem_rdma_control_arrived(struct tandem_rdma_session *session, uint32_t slot,
                                 uint32_t length);
uint8_t *tandem_rdma_slot(const struct tandem_rdma_session *session, unsigned number);

/* exposure.c, write.c, fence.c, describe.c: calls of the ops table. */
TANDEM_MUST_CHECK int tandem_rdma_session_expose(struct tandem_session *session, unsigned memory_id,
                                                 void *base, size_t length,
                                                 struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_session_register(struct tandem_session *session, const void *base,
                                                   size_t length,
                                                   struct tandem_error *reterr_error);
uint64_t tandem_rdma_session_exposed_bytes(const struct tandem_session *session,
                                           unsigned memory_id);
/* Connecting side: something about a memory or about who is up has changed. */
void tandem_rdma_exposures_count(struct tandem_rdma_session *session, unsigned memory_id);
/* Listening side: registers what is exposed for a channel that has joined, beside this thread.
 * Goes on with each call; the channel is lost where it fails. */
void tandem_rdma_exposures_register(struct tandem_rdma_channel *channel);
TANDEM_MUST_CHECK int tandem_rdma_session_write(struct tandem_session *session, unsigned channel,
                                                const struct tandem_write *writes, unsigned count,
                                                unsigned *ret_taken_count);
TANDEM_MUST_CHECK int tandem_rdma_session_notify(struct tandem_session *session, unsigned channel,
                                                 const struct tandem_write *write,
                                                 uint32_t immediate);
/* Every queue pair to ERR; any thread. */
void tandem_rdma_session_stop(struct tandem_rdma_session *session);
/* Listening side, before a data channel that may be written is stopped: lets it come to rest. NULL:
 * all of them. */
void tandem_rdma_session_quell(struct tandem_rdma_session *session,
                               const struct tandem_rdma_channel *only);
void tandem_rdma_session_yank(struct tandem_session *session);
TANDEM_MUST_CHECK int tandem_rdma_session_fence(struct tandem_session *session,
                                                uint64_t deadline_ns,
                                                struct tandem_error *reterr_error);
TANDEM_MUST_CHECK int tandem_rdma_session_fence_channel(struct tandem_session *session,
                                                        unsigned channel, uint64_t deadline_ns,
                                                        struct tandem_error *reterr_error);
void tandem_rdma_session_channel_status(const struct tandem_session *session, unsigned channel,
                                        struct tandem_channel_status *ret_status);
void tandem_rdma_session_describe(const struct tandem_session *session, char *text,
                                  size_t text_bytes);

/* listener.c. */
TANDEM_MUST_CHECK int tandem_rdma_listen(const struct tandem_transport_options *options,
                                         uint64_t piece_bytes,
                                         struct tandem_listener **ret_listener,
                                         struct tandem_error *reterr_error);

#endif
