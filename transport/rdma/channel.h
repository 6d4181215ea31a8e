#ifndef TANDEM_RDMA_CHANNEL_H
#define TANDEM_RDMA_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include <tandem/transport.h>

#include "rdma/core/send_ring.h"

/* One connection of a session: an id of rdma_cm, its queue pair and what is posted on it. Channel 0
 * is control, data channel c is c + 1. */
#define TANDEM_RDMA_CHANNELS_MAX (1 + TANDEM_CHANNELS_MAX)

/* Flow control: the sender has at most so many messages and notifies that the receiver's owner has
 * not taken, so that a receive is always posted and a slow owner is no reason for the device to
 * give up. Credits need receives of their own: a peer that takes nothing can be owed
 * 56/14 + 16 * 32/16 = 36 of them. */
#define TANDEM_RDMA_MESSAGES_UNTAKEN_MAX 56
#define TANDEM_RDMA_MESSAGES_PER_CREDIT  14
#define TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX 32
#define TANDEM_RDMA_NOTIFIES_PER_CREDIT  16
/* One more than may be used up: a queue pair that stopped always has a receive to give back, which
 * says that it is at rest. */
#define TANDEM_RDMA_NOTIFY_RECEIVES (TANDEM_RDMA_NOTIFIES_UNTAKEN_MAX + 1)
#define TANDEM_RDMA_RECEIVE_SLOTS   96
#define TANDEM_RDMA_SEND_SLOTS      96
#define TANDEM_RDMA_CREDIT_SLOTS    4 /* beside the send slots: a credit overtakes messages */

/* What wr_id points to. */
enum tandem_rdma_tag_kind {
	TANDEM_RDMA_TAG_MESSAGE,
	TANDEM_RDMA_TAG_CREDIT,
	TANDEM_RDMA_TAG_WRITE,
	TANDEM_RDMA_TAG_RECEIVE_MESSAGE,
	TANDEM_RDMA_TAG_RECEIVE_NOTIFY,
};

struct tandem_rdma_tag {
	enum tandem_rdma_tag_kind kind;
	uint32_t index; /* in its ring, or of the receive slot */
	struct tandem_rdma_channel *channel;
};

/* A completion queue of the session's completion channel. */
struct tandem_rdma_queue {
	struct ibv_cq *cq;
	bool is_armed;
	unsigned unacknowledged_count;
};

enum tandem_rdma_join_state {
	TANDEM_RDMA_CHANNEL_IDLE,
	TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS,
	TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE,
	TANDEM_RDMA_CHANNEL_CONNECTING,
	TANDEM_RDMA_CHANNEL_JOINED,
};

struct tandem_rdma_session;

struct tandem_rdma_channel {
	struct tandem_rdma_session *session;
	unsigned index;
	enum tandem_rdma_join_state join_state;
	struct rdma_cm_id *id;
	struct tandem_rdma_queue send_queue; /* no completion queue where nothing is sent */
	struct tandem_rdma_send_ring sends;
	struct tandem_rdma_sent *sent_entries;
	struct tandem_rdma_tag *send_tags;
	struct ibv_send_wr *requests; /* data channels of the connecting side: one of each entry */
	struct ibv_sge *sources;
	struct tandem_rdma_tag *receive_tags;
	unsigned receive_capacity;
	unsigned receive_posted_count;
	uint64_t notify_sent_count;     /* connecting side */
	uint64_t notify_credited_count; /* of those, taken by the peer's owner */
	uint64_t notify_taken_count;    /* listening side */
	uint64_t notify_reported_count; /* of those, told to the peer */
};

/* "control channel", "data channel 3". */
const char *tandem_rdma_channel_name(const struct tandem_rdma_channel *channel, char text[24]);
const char *tandem_rdma_join_state_text(enum tandem_rdma_join_state state);

/* Makes the queue pair on channel->id and posts its receives; the session has its device. Errors:
 * TANDEM_E_MEMLOCK, TANDEM_E_MEMORY, TANDEM_E_DEVICE, TANDEM_E_CONFIG (deeper than the device
 * allows). What was made stays for tandem_rdma_channel_close. */
TANDEM_MUST_CHECK int tandem_rdma_channel_open(struct tandem_rdma_channel *channel,
                                               struct tandem_error *reterr_error);

/* After it is connected: how long the peer waits before it sends again to a queue pair without a
 * receive. Errors: TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_channel_set_receiver_timer(struct tandem_rdma_channel *channel,
                                                             struct tandem_error *reterr_error);

/* Gives receive slot `index` (back) to the device. 0 or a positive errno. */
TANDEM_MUST_CHECK int tandem_rdma_channel_post_receive(struct tandem_rdma_channel *channel,
                                                       uint32_t index);

/* write.c: posts what was taken, as far as the peer's credit goes. */
void tandem_rdma_channel_flush(struct tandem_rdma_channel *channel, uint64_t now_ns);

/* True when nothing posted is outstanding. */
bool tandem_rdma_channel_is_quiet(const struct tandem_rdma_channel *channel);

/* The three steps of the end, each after the step before on every channel: after the first the
 * device touches nothing of ours any more. All take half-built channels. */
void tandem_rdma_channel_destroy_queue_pair(struct tandem_rdma_channel *channel);
void tandem_rdma_channel_destroy_queue(struct tandem_rdma_channel *channel);
void tandem_rdma_channel_destroy_id(struct tandem_rdma_channel *channel);

/* Errors: TANDEM_E_MEMLOCK, TANDEM_E_MEMORY, TANDEM_E_DEVICE, TANDEM_E_CONFIG. */
TANDEM_MUST_CHECK int tandem_rdma_queue_open(struct tandem_rdma_session *session,
                                             struct tandem_rdma_queue *queue, unsigned capacity,
                                             struct tandem_error *reterr_error);
void tandem_rdma_queue_close(struct tandem_rdma_queue *queue);

#endif
