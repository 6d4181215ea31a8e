#ifndef TANDEM_RDMA_CHANNEL_H
#define TANDEM_RDMA_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include <tandem/transport.h>

#include "rdma/address.h"
#include "rdma/async.h"
#include "rdma/core/send_ring.h"
#include "rdma/device.h"
#include "rdma/job.h"
#include "rdma/peer_memory.h"
#include "rdma/registration.h"

/* One connection of a session: an id of rdma_cm, its queue pair and what is posted on it. Channel 0
 * is control, data channel c is c + 1. A data channel may end and join again, in a new attempt,
 * with everything below made anew. */
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

/* Arrivals of a data channel that were not taken: those of its last attempts, each with an event
 * for its begin and end. One with more does not join again before some are taken [S5]. */
#define TANDEM_RDMA_PENDING_MAX     (4 * (TANDEM_RDMA_NOTIFY_RECEIVES + 2))
#define TANDEM_RDMA_PENDING_TO_JOIN (TANDEM_RDMA_PENDING_MAX - TANDEM_RDMA_NOTIFY_RECEIVES - 2)

/* What wr_id points to. */
enum tandem_rdma_tag_kind {
	TANDEM_RDMA_TAG_MESSAGE,
	TANDEM_RDMA_TAG_CREDIT,
	TANDEM_RDMA_TAG_WRITE,
	TANDEM_RDMA_TAG_READ, /* of the peer's beat */
	TANDEM_RDMA_TAG_RECEIVE_MESSAGE,
	TANDEM_RDMA_TAG_RECEIVE_NOTIFY,
};

struct tandem_rdma_tag {
	enum tandem_rdma_tag_kind kind;
	uint32_t index; /* in its ring, or of the receive slot */
	struct tandem_rdma_channel *channel;
};

/* Which completions make the session's descriptor readable. */
enum tandem_rdma_arm {
	TANDEM_RDMA_ARM_NONE,
	TANDEM_RDMA_ARM_SOLICITED, /* messages that arrive; what was sent is looked at in passing */
	TANDEM_RDMA_ARM_ALL,
};

/* The completion queue of a channel: of what it sends and of what it receives. */
struct tandem_rdma_queue {
	struct ibv_cq *cq;
	enum tandem_rdma_arm armed;
	unsigned unacknowledged_count;
};

enum tandem_rdma_join_state {
	TANDEM_RDMA_CHANNEL_IDLE,
	TANDEM_RDMA_CHANNEL_RESOLVING_ADDRESS,
	TANDEM_RDMA_CHANNEL_RESOLVING_ROUTE,
	TANDEM_RDMA_CHANNEL_CONNECTING,
	TANDEM_RDMA_CHANNEL_JOINED, /* connected; a data channel is up when its keys are known */
};

/* A memory that was exposed to one channel. */
struct tandem_rdma_exposed {
	struct tandem_rdma_registration *registration;
	uint32_t announced_count; /* pieces that the peer was told */
};

struct tandem_rdma_session;
struct tandem_rdma_attachment;

struct tandem_rdma_channel {
	struct tandem_rdma_session *session;
	unsigned index;

	/* For the session's life. */
	enum tandem_channel_state state;
	unsigned rail;
	uint32_t attempt; /* connecting side: the newest; listening side: the newest accepted */
	uint64_t bytes;
	unsigned lost_count;
	struct tandem_error first_error;
	struct tandem_error cause; /* of the newest loss */
	unsigned pending_count;    /* in the session's arrivals, messages not counted */
	bool owes_ended;           /* the peer is to be told that this end is no more */
	char peer_text[TANDEM_RDMA_ADDRESS_TEXT_BYTES];
	struct rdma_cm_id *id; /* outlasts its attempt, so that the peer gets to know of the end */

	/* Of one attempt: zeros from here on when it is closed. */
	enum tandem_rdma_join_state join_state;
	bool has_keys; /* connecting side: the peer has told all; listening side: all registered */
	bool owes_ready;
	bool is_draining; /* connecting side: lost, waits for what was posted to come back */
	bool is_fencing;
	bool reports_loss;
	uint64_t join_ns; /* what its join may take */
	uint64_t join_deadline_ns;
	uint64_t drain_deadline_ns;
	uint64_t flushed_ns; /* when a request first came back flushed; 0: none did */
	struct tandem_rdma_device device;
	union ibv_gid gid;
	struct tandem_rdma_watcher watcher;
	struct tandem_rdma_attachment *attachment; /* the session's, to that device */
	struct ibv_pd *pd;
	bool owns_pd; /* false: the attachment's */
	struct tandem_rdma_queue queue;
	struct tandem_rdma_send_ring sends;
	struct tandem_rdma_sent *sent_entries;
	struct tandem_rdma_tag *send_tags;
	struct ibv_qp_ex *extended;   /* the same queue pair, where the device knows ibv_wr_* */
	struct ibv_send_wr *requests; /* data channels of the connecting side: one of each entry */
	struct ibv_sge *sources;
	bool ends_with_notify; /* connecting side: the newest write taken is one */
	struct tandem_rdma_tag *receive_tags;
	unsigned receive_capacity;
	unsigned receive_posted_count;
	uint64_t notify_sent_count;                      /* connecting side */
	uint64_t notify_credited_count;                  /* of those, taken by the peer's owner */
	uint64_t notify_taken_count;                     /* listening side */
	uint64_t notify_reported_count;                  /* of those, told to the peer */
	struct tandem_rdma_peer_memories *peer_memories; /* connecting side, data */
	struct tandem_rdma_exposed *exposed; /* listening side, data: TANDEM_MEMORY_IDS_MAX */
	unsigned unannounced_count;          /* of those, not told completely */
	struct tandem_rdma_job *job;         /* registers what is exposed; NULL: none */
};

/* "control channel", "data channel 3". */
const char *tandem_rdma_channel_name(const struct tandem_rdma_channel *channel, char text[24]);
const char *tandem_rdma_join_state_text(enum tandem_rdma_join_state state);

/* Makes protection domain, queues and queue pair on channel->id and posts its receives. Errors:
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

/* Its queue pair to ERR. */
void tandem_rdma_channel_stop(struct tandem_rdma_channel *channel);

/* Yank finds its queue pair no more, and who has found it is done with it. NULL where there is
 * none; else the caller destroys it. */
struct ibv_qp *tandem_rdma_channel_release_queue_pair(struct tandem_rdma_channel *channel);
/* May take as long as the device likes. NULL id and no queue pair are allowed. */
void tandem_rdma_channel_destroy_queue_pair(struct tandem_rdma_channel *channel);
/* Deregisters what the peer may write, wherever the queue pair is. */
void tandem_rdma_channel_release_exposed(struct tandem_rdma_channel *channel);
/* As if there had been no attempt; what it had is somebody else's. */
void tandem_rdma_channel_begin_anew(struct tandem_rdma_channel *channel);

/* Destroys all of the attempt but the id, in the order in which the objects need each other; what
 * the device has not given back ends with its queue pair. Half-built is allowed. */
void tandem_rdma_channel_close(struct tandem_rdma_channel *channel);
void tandem_rdma_channel_destroy_id(struct tandem_rdma_channel *channel);

#endif
