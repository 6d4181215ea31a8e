#ifndef TANDEM_TRANSPORT_H
#define TANDEM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/mac.h>

/* The transport contract [T1]. A session joins two nodes: one control channel for messages and N
 * data channels for one-sided writes. The connecting side (the primary) writes; the listening side
 * (the secondary) exposes memory.
 *
 * Threads: a listener and a session belong to one thread at a time; tandem_session_yank() is the
 * exception. Blocking: nothing here blocks but fence, which has a deadline. All else is driven by
 * tandem_session_progress(). Protocol sentences: docs/protocol.md, section T. */

#define TANDEM_CHANNELS_MAX           16
#define TANDEM_CHANNELS_DEFAULT       4
#define TANDEM_MESSAGE_BYTES_MAX      8192 /* one control message */
#define TANDEM_MEMORY_IDS_MAX         256  /* memories one session may expose: ids 0 to 255 */
#define TANDEM_WRITE_BYTES_MAX        (1u << 20)
#define TANDEM_REGISTRATION_BYTES_MAX (UINT64_C(256) << 20)
#define TANDEM_RAILS_MAX              4  /* address pairs that the channels are spread over */
#define TANDEM_KEYS_MAX               64 /* pairs that one listener serves [S5] */

struct tandem_transport; /* one provider, opened */
struct tandem_listener;
struct tandem_session;

struct tandem_transport_capabilities {
	const char *name; /* "rdma", "tcp", "memory" */
	const char *
	        detail; /* what it runs on: "rxe0 port 1, GID 1 (RoCE v2), MTU 4096"; never empty */
	bool has_one_sided_writes; /* the peer's processor takes no part in a write */
	bool has_one_sided_reads;  /* [T18] nor in the reading of its beat */
	bool needs_registration;   /* memory is pinned: RLIMIT_MEMLOCK counts */
	unsigned write_batch_max;  /* writes worth passing in one call */
};

/* One path between the nodes: numeric IPv4 or IPv6 addresses. */
struct tandem_rail {
	char address[64];        /* listen: local; connect: the peer's */
	char source_address[64]; /* connect: local address to bind, "" for any */
};

struct tandem_transport_options {
	/* Listen: on each of them, with one port. Connect: the control channel uses control_rail,
	 * data channel c always rail (control_rail + c) modulo their number: the channels of a rail
	 * that comes back return to it. */
	struct tandem_rail rails[TANDEM_RAILS_MAX];
	unsigned rail_count;         /* 1 to TANDEM_RAILS_MAX */
	unsigned control_rail;       /* connect: below rail_count; another one after a loss */
	uint16_t port;               /* listen: 0 picks one */
	unsigned channel_count;      /* data channels, 1 to TANDEM_CHANNELS_MAX; the connecting side
	                                decides */
	unsigned write_depth;        /* writes in flight per data channel, 16 to 4096 */
	uint64_t connect_timeout_ns; /* whole set-up, both sides */
	uint64_t peer_timeout_ns;    /* a posted write or message that makes no progress this long
	                                loses its channel [T9] */
	uint64_t poll_ns; /* what is due is asked for at most this long before the descriptor is
	                     waited for, less where that does not pay; 0 to 1 ms */
	/* [S1] What proves who the peer is: listen: any of these, one a pair; connect: the first.
	 * None: a key of zeros, that everybody knows. Copied. */
	struct tandem_key keys[TANDEM_KEYS_MAX];
	unsigned key_count;
};

#define TANDEM_TRANSPORT_OPTIONS_DEFAULT                                                           \
	((struct tandem_transport_options){.rail_count = 1,                                        \
	                                   .channel_count = TANDEM_CHANNELS_DEFAULT,               \
	                                   .write_depth = 256,                                     \
	                                   .poll_ns = UINT64_C(100000),                            \
	                                   .connect_timeout_ns = UINT64_C(2000000000),             \
	                                   .peer_timeout_ns = UINT64_C(1000000000)})

/* 0, or TANDEM_E_CONFIG with the field, the value and the limits in the detail. */
TANDEM_MUST_CHECK int tandem_transport_options_validate(
        const struct tandem_transport_options *options, struct tandem_error *reterr_error);

/* Opens the provider `name`: "tcp", "rdma", or "auto" (rdma where a device with an active port
 * serves `address`, else tcp; capabilities say which and why). `address` is the local one and may
 * be "". *ret_transport is the caller's, it outlives its listeners and sessions. Errors:
 * TANDEM_E_DEVICE (no device, port down, no GID for the address; the fix is named),
 * TANDEM_E_CONFIG. */
TANDEM_MUST_CHECK int tandem_transport_open(const char *name, const char *address,
                                            struct tandem_transport **ret_transport,
                                            struct tandem_error *reterr_error);
struct tandem_transport *tandem_transport_free(
        struct tandem_transport *transport); /* NULL is allowed */
const struct tandem_transport_capabilities *tandem_transport_capabilities(
        const struct tandem_transport *transport);

/* ---- joining ---- */

/* Listens on each rail's address, and port. Errors: TANDEM_E_CONFIG (address not local),
 * TANDEM_E_SYSTEM (port taken). */
TANDEM_MUST_CHECK int tandem_transport_listen(struct tandem_transport *transport,
                                              const struct tandem_transport_options *options,
                                              struct tandem_listener **ret_listener,
                                              struct tandem_error *reterr_error);
int tandem_listener_fd(
        const struct tandem_listener *listener); /* readable: call accept until it gives AGAIN */
uint16_t tandem_listener_port(const struct tandem_listener *listener);
/* Gives a session whose control channel has joined and whose peer has proven to hold one of the
 * keys, or TANDEM_E_AGAIN. Its data channels join it then, and may again later, by way of this
 * listener: keep calling accept while sessions live. [T2], [T3], [T4]: strangers and half-joined
 * ones are dropped inside, each with a bounded number and time; what was dropped and why is in the
 * error when it returns TANDEM_E_PROTOCOL, TANDEM_E_VERSION or TANDEM_E_REFUSED (no key of ours;
 * log it, go on calling). The session and the listener may live on different threads, and either
 * may end first. */
TANDEM_MUST_CHECK int tandem_listener_accept(struct tandem_listener *listener,
                                             struct tandem_session **ret_session,
                                             struct tandem_error *reterr_error);
/* Nanoseconds (monotonic) at which accept must be called even if the descriptor is quiet;
 * UINT64_MAX for never. */
uint64_t tandem_listener_deadline_ns(const struct tandem_listener *listener);
struct tandem_listener *tandem_listener_free(struct tandem_listener *listener);

/* Starts to join; the event TANDEM_SESSION_UP or TANDEM_SESSION_LOST follows within
 * connect_timeout_ns. It is up with the channels that could join, at least one. */
TANDEM_MUST_CHECK int tandem_transport_connect(struct tandem_transport *transport,
                                               const struct tandem_transport_options *options,
                                               struct tandem_session **ret_session,
                                               struct tandem_error *reterr_error);

/* ---- a session ---- */

enum tandem_session_event_type {
	TANDEM_SESSION_UP, /* connecting side only: control and the data channels of `channel_mask`
	                      have joined, the others could not */
	TANDEM_SESSION_CHANNEL_UP, /* [T15] data channel `channel` has joined: after UP by restore;
	                              on the listening side each time */
	TANDEM_SESSION_CHANNEL_LOST, /* [T15] one data channel ended, its cause is in `error`, the
	                                session goes on. What was pending on it has ended, whether
	                                it reached the peer is not known. Listening side: its writes
	                                can still land until it is fenced */
	TANDEM_SESSION_MESSAGE,      /* a control message; in the order sent */
	TANDEM_SESSION_NOTIFIED,  /* [T5]: a notify arrived: every earlier write of that channel is
	                             visible to this processor */
	TANDEM_SESSION_BEAT_READ, /* [T18] what became of a read_beat. What did not come says
	                             nothing about the peer */
	TANDEM_SESSION_LOST, /* the last event; the cause is in `error`. Pending writes have ended.
	                      */
};

struct tandem_session_event {
	enum tandem_session_event_type type;
	unsigned channel;      /* CHANNEL_UP, CHANNEL_LOST, NOTIFIED */
	uint32_t channel_mask; /* UP */
	uint32_t immediate;    /* NOTIFIED */
	bool has_beat;         /* BEAT_READ: it came */
	uint64_t beat;         /* BEAT_READ: only whether it moved between two readings matters */
	size_t message_bytes;  /* MESSAGE */
	uint8_t message[TANDEM_MESSAGE_BYTES_MAX];
	struct tandem_error error; /* LOST, CHANNEL_LOST */
};

#define TANDEM_CHANNEL_STATE_TABLE(X)                                                              \
	X(DOWN, "down")       /* never joined, or fenced: it may join */                           \
	X(JOINING, "joining") /* being set up */                                                   \
	X(UP, "up")                                                                                \
	X(LOST, "lost") /* ended; the listening side has not fenced its end */

enum tandem_channel_state {
#define X(name, text) TANDEM_CHANNEL_##name,
	TANDEM_CHANNEL_STATE_TABLE(X)
#undef X
	        TANDEM_CHANNEL_STATE_COUNT,
};

struct tandem_channel_status {
	enum tandem_channel_state state;
	unsigned rail;
	uint64_t bytes;            /* of writes and notifies taken (connecting side), or arrived as
	                              far as this side can know, since the session began */
	unsigned inflight_count;   /* writes and notifies taken and not complete */
	uint64_t oldest_posted_ns; /* monotonic; of the oldest of those, 0 when there is none */
	unsigned lost_count;       /* times that it was lost */
	struct tandem_error first_error; /* the first cause; code 0: none */
};

const char *tandem_channel_state_text(enum tandem_channel_state state);

unsigned tandem_session_channel_count(const struct tandem_session *session);
const char *tandem_session_peer_address(const struct tandem_session *session);
/* One descriptor for poll(2): readable when progress has work. */
int tandem_session_fd(const struct tandem_session *session);
/* Call progress then at the latest; UINT64_MAX for never. */
uint64_t tandem_session_deadline_ns(const struct tandem_session *session);
/* Whether what the peer writes lands in calls of this session only: between two of them exposed
 * memory is as it was. */
bool tandem_session_lands_in_calls(const struct tandem_session *session);
/* Moves bytes, reaps completions, checks deadlines. Never blocks, but may ask again for
 * poll_ns while an answer is due. What happened comes out of next_event. */
void tandem_session_progress(struct tandem_session *session);
/* true and *ret_event filled, or false when there is none. */
bool tandem_session_next_event(struct tandem_session *session,
                               struct tandem_session_event *ret_event);

/* Listening side: makes `length` bytes at `base` (page-aligned) writable for the peer under
 * `memory_id` and tells the peer, before any message sent later. Registers in pieces of at most
 * TANDEM_REGISTRATION_BYTES_MAX. The memory is borrowed until fence has returned 0 or the session
 * is freed. Errors: TANDEM_E_MEMLOCK (limit needed and current in the detail), TANDEM_E_DEVICE,
 * TANDEM_E_USAGE (id taken). */
TANDEM_MUST_CHECK int tandem_session_expose(struct tandem_session *session, unsigned memory_id,
                                            void *base, size_t length,
                                            struct tandem_error *reterr_error);

/* Connecting side: memory that writes will read from. Borrowed until the session is freed. Errors
 * as expose. */
TANDEM_MUST_CHECK int tandem_session_register(struct tandem_session *session, const void *base,
                                              size_t length, struct tandem_error *reterr_error);

/* Bytes of the peer's memory `memory_id`, 0 while it has not been exposed. */
uint64_t tandem_session_exposed_bytes(const struct tandem_session *session, unsigned memory_id);

/* One message to the peer; copied. TANDEM_E_AGAIN when the send queue is full: progress, then
 * again. */
TANDEM_MUST_CHECK int tandem_session_send(struct tandem_session *session, const void *message,
                                          size_t message_bytes);

struct tandem_write {
	unsigned memory_id;
	uint64_t offset;    /* in the peer's memory */
	const void *source; /* registered; borrowed until the write is complete */
	uint32_t length;    /* 1 to TANDEM_WRITE_BYTES_MAX */
};

/* [T6]: posts writes in order on a data channel and gives how many were taken: fewer than `count`
 * when the queue is full. Errors: TANDEM_E_USAGE (outside what the peer exposed, source not
 * registered), TANDEM_E_CHANNEL_LOST (this channel is not up; its event follows or has been
 * taken), TANDEM_E_PEER_LOST. */
TANDEM_MUST_CHECK int tandem_session_write(struct tandem_session *session, unsigned channel,
                                           const struct tandem_write *writes, unsigned count,
                                           unsigned *ret_taken_count);

/* A write that also notifies the peer with `immediate`, after every earlier write of the channel
 * has been placed. TANDEM_E_AGAIN when the queue is full; else as write. */
TANDEM_MUST_CHECK int tandem_session_notify(struct tandem_session *session, unsigned channel,
                                            const struct tandem_write *write, uint32_t immediate);

/* [T8]. Writes and notifies taken but not yet complete: their sources may still be read. It proves
 * nothing about the peer. */
unsigned tandem_session_inflight_count(const struct tandem_session *session, unsigned channel);

/* [T18]. Each side of a session has a beat that its own thread moves on and the peer can
 * read, without a part of this side's processor where the capability says so. Owning thread; where
 * there is no such capability it does nothing. Costs one store. */
void tandem_session_beat(struct tandem_session *session);

/* [T18]. Starts to read the peer's word: BEAT_READ follows within `timeout_ns`, or LOST. One at a
 * time. Neither a reading nor its failing disturbs what is written. Errors, after which no event
 * comes and nothing is known of the peer: TANDEM_E_USAGE (no such capability), TANDEM_E_AGAIN (one
 * is under way or the device has not given back the last one, or the peer has not told its word
 * yet), TANDEM_E_PEER_LOST (not up any more). */
TANDEM_MUST_CHECK int tandem_session_read_beat(struct tandem_session *session, uint64_t timeout_ns);

/* [T10]: makes everything pending end, now: a LOST event with TANDEM_E_YANKED follows. Any thread,
 * any number of times, at any time between the creating call's return and free; takes no lock, does
 * not wait for the peer. */
void tandem_session_yank(struct tandem_session *session);

/* [T11], [T12]. Listening side: after 0 no write of the peer can change exposed memory any more;
 * all that had arrived before is still to be taken with next_event, then LOST. Deregisters in any
 * case what it can. May be called on a lost session. Errors: TANDEM_E_FENCE (not proven by
 * `deadline_ns`: the memory must not be trusted, nor freed). */
TANDEM_MUST_CHECK int tandem_session_fence(struct tandem_session *session, uint64_t deadline_ns,
                                           struct tandem_error *reterr_error);

/* [T16]. Listening side: the same for one data channel: after 0 no write that was posted on it can
 * change memory any more, and what had arrived is still to be taken with next_event; the channel is
 * DOWN and may join again. The other channels are not disturbed. The channel may be up, lost or
 * down. Errors: TANDEM_E_FENCE, TANDEM_E_USAGE. */
TANDEM_MUST_CHECK int tandem_session_fence_channel(struct tandem_session *session, unsigned channel,
                                                   uint64_t deadline_ns,
                                                   struct tandem_error *reterr_error);

/* [T17]. Connecting side: starts to join a lost or down data channel again, once the peer has said
 * that it fenced its end. CHANNEL_UP follows when it may be written to, or CHANNEL_LOST, within
 * connect_timeout_ns. Errors: TANDEM_E_USAGE (it is up or joining), TANDEM_E_PEER_LOST. */
TANDEM_MUST_CHECK int tandem_session_restore(struct tandem_session *session, unsigned channel,
                                             struct tandem_error *reterr_error);

void tandem_session_channel_status(const struct tandem_session *session, unsigned channel,
                                   struct tandem_channel_status *ret_status);

/* Listening side: which of the listener's keys the peer holds, an index; 0 where there are none. */
unsigned tandem_session_key_index(const struct tandem_session *session);

/* Ends one data channel as a broken path would, for tests and drills: CHANNEL_LOST follows. Owning
 * thread. */
void tandem_session_break_channel(struct tandem_session *session, unsigned channel);

/* What is pending, on which channel and for how long, for status: one line into `text`. */
void tandem_session_describe(const struct tandem_session *session, char *text, size_t text_bytes);

/* Yanks, drains and frees; bounded by the device's flush: what it does not give up by then [N21]
 * ends beside the caller. Borrowed memory is its owner's again. NULL and half-built are allowed. */
struct tandem_session *tandem_session_free(struct tandem_session *session);

/* ---- the in-memory provider, for tests ---- */

/* A fabric: what connects to an address and port reaches who listens there. Deterministic: bytes
 * move only in tandem_session_progress() of the receiving side. Both transports borrow it. */
struct tandem_fabric;
struct tandem_fabric *tandem_fabric_new(void);
struct tandem_fabric *tandem_fabric_free(struct tandem_fabric *fabric);
TANDEM_MUST_CHECK int tandem_transport_open_memory(struct tandem_fabric *fabric,
                                                   struct tandem_transport **ret_transport);
/* Faults: `cut` holds everything back until healed; `limit` lets that many further data-channel
 * operations land, in all, then behaves as cut (UINT64_MAX: no limit). `drop` loses what is held
 * and the sessions with it. */
void tandem_fabric_cut(struct tandem_fabric *fabric, bool is_cut);
void tandem_fabric_limit(struct tandem_fabric *fabric, uint64_t operations);
void tandem_fabric_drop(struct tandem_fabric *fabric);
/* Who sees a path break first; the other side is told by the first, in its progress. */
enum tandem_fabric_witness {
	TANDEM_FABRIC_BOTH,
	TANDEM_FABRIC_CONNECTING,
	TANDEM_FABRIC_LISTENING,
};
/* Breaks data channel `channel` of every session. What was posted on it stays under way: one write
 * lands in each progress of the listening side, until that has fenced the channel. */
void tandem_fabric_break(struct tandem_fabric *fabric, unsigned channel,
                         enum tandem_fabric_witness witness);
/* The data channels of the mask cannot join, in any session, until it is called without them. */
void tandem_fabric_refuse(struct tandem_fabric *fabric, uint32_t channel_mask);
/* Breaks what goes by rail `rail` of the connecting side, sessions whose control channel does
 * included; nothing joins by it until it is called with false. */
void tandem_fabric_lose_rail(struct tandem_fabric *fabric, unsigned rail, bool is_lost);

#endif
