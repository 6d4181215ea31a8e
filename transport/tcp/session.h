#ifndef TANDEM_TCP_SESSION_H
#define TANDEM_TCP_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/event_queue.h"
#include "core/frame_reader.h"
#include "core/handshake.h"
#include "core/hello.h"
#include "core/patience.h"
#include "core/range_table.h"
#include "provider.h"
#include "tcp/address.h"
#include "tcp/door.h"
#include "tcp/outbox.h"

#define TANDEM_TCP_CONNECTIONS_MAX (1 + TANDEM_CHANNELS_MAX)

/* One call of progress moves about this much, so that a peer that never pauses cannot keep the
 * owner from its other work. */
#define TANDEM_TCP_BUDGET_BYTES ((size_t)4 << 20)

/* How far the join of a connection is. */
enum tandem_tcp_join_state {
	TANDEM_TCP_JOIN_NONE,       /* there is no connection */
	TANDEM_TCP_JOIN_CONNECTING, /* waits for the peer's kernel */
	TANDEM_TCP_JOIN_HELLO,      /* waits for room to send its hello */
	TANDEM_TCP_JOIN_ANSWER,     /* waits for the answer */
	TANDEM_TCP_JOIN_PROOF,      /* control: waits for room to send its proof */
	TANDEM_TCP_JOIN_JOINED,
};

/* What is being received. */
struct tandem_tcp_inbox {
	struct tandem_frame_reader reader;
	bool is_stalled; /* the frame is whole, but the event queue had no room for it */
	bool is_closed;  /* nothing is read from this connection any more */
	bool has_limit;  /* only `limit_bytes` more may be read: the session drains */
	uint64_t limit_bytes;
	uint8_t *message; /* control channel: TANDEM_MESSAGE_BYTES_MAX, then the tag */
};

struct tandem_tcp_connection {
	int fd;         /* constant until free, for yank: what it names changes, see connection.c */
	unsigned index; /* 0 is control, 1 and more are data channels */
	char peer_text[TANDEM_TCP_ADDRESS_TEXT_BYTES];
	bool is_polled;
	uint32_t polled_events;
	unsigned rail;
	enum tandem_tcp_join_state join_state;
	uint8_t join_bytes[TANDEM_HELLO_BYTES]; /* hello, answer or proof under way */
	size_t join_bytes_count;
	uint64_t join_deadline_ns;
	struct tandem_tcp_inbox inbox;
	struct tandem_tcp_outbox outbox;

	/* Data channels. */
	enum tandem_channel_state channel_state;
	bool is_ending; /* LOST; what had arrived is still read, then its event follows */
	struct tandem_error cause; /* of that end */
	uint32_t attempt;          /* the newest that was begun, or accepted */
	uint64_t bytes;
	unsigned lost_count;
	struct tandem_error first_error;
};

enum tandem_tcp_session_state {
	TANDEM_TCP_JOINING,
	TANDEM_TCP_UP,
	TANDEM_TCP_DRAINING, /* lost or fenced; what had arrived is still read */
	TANDEM_TCP_ENDED,    /* nothing is read any more */
};

struct tandem_tcp_memory {
	uint8_t *base;  /* NULL for the peer's */
	uint64_t bytes; /* 0: not exposed */
	uint64_t key;
};

struct epoll_event;

struct tandem_tcp_session {
	struct tandem_session head;

	/* Constant from creation to free, read by yank from any thread. */
	unsigned connection_count;
	struct tandem_tcp_connection connections[TANDEM_TCP_CONNECTIONS_MAX];
	int yank_fd;
	/* Any thread. */
	atomic_bool is_yanked;

	/* The owning thread's from here on. */
	bool is_listening_side;
	struct tandem_transport_options options;
	struct tandem_transcript transcript;
	struct tandem_secrets secrets;
	unsigned key_index;
	struct tandem_tcp_door *door; /* listening side: where data connections wait */
	int epoll_fd;
	int wake_fd; /* readable while is_awake: events wait, or more is to be drained */
	bool is_awake;
	enum tandem_tcp_session_state state;
	uint64_t join_deadline_ns;
	uint64_t lonely_deadline_ns; /* T4: listening side: when a data channel must be up */
	bool has_up_event;
	uint32_t up_mask; /* of the UP event */
	bool has_lost_event;
	struct tandem_error cause; /* of the end */
	bool awaits_ends; /* DRAINING: until each connection has ended, not what is there now */
	uint64_t drain_deadline_ns;
	unsigned turn;      /* who is served first */
	bool is_answer_due; /* poll.c */
	struct tandem_patience patience;
	uint64_t turn_until_ns; /* of this call of progress */
	size_t turn_bytes;      /* that it has read */
	unsigned expose_count;
	unsigned message_slot; /* next of message_pool */
	uint8_t (*message_pool)[TANDEM_MESSAGE_BYTES_MAX];
	struct tandem_range_table sources;
	struct tandem_tcp_memory memories[TANDEM_MEMORY_IDS_MAX];
	struct tandem_event_queue queue;
};

static inline struct tandem_tcp_session *tandem_tcp_session_of(struct tandem_session *session)
{
	return (struct tandem_tcp_session *)session;
}

static inline const struct tandem_tcp_session *tandem_tcp_session_of_const(
        const struct tandem_session *session)
{
	return (const struct tandem_tcp_session *)session;
}

/* A session without sockets. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_tcp_session_new(const struct tandem_transport_options *options,
                                             bool is_listening_side,
                                             struct tandem_tcp_session **ret_session,
                                             struct tandem_error *reterr_error);
void tandem_tcp_session_delete(struct tandem_tcp_session *session); /* half-built is allowed */

/* What the listener knows of a control connection that has proven itself. */
struct tandem_tcp_guest {
	int fd; /* taken, also on failure */
	unsigned rail;
	struct tandem_tcp_address peer;
	struct tandem_transcript transcript;
	struct tandem_secrets secrets;
	unsigned key_index;
};
/* Listening side: *ret_door is a reference of the caller's own. */
TANDEM_MUST_CHECK int tandem_tcp_session_accepted(const struct tandem_transport_options *options,
                                                  const struct tandem_tcp_guest *guest,
                                                  struct tandem_session **ret_session,
                                                  struct tandem_tcp_door **ret_door,
                                                  struct tandem_error *reterr_error);

/* ---- connecting side: joining.c ---- */

TANDEM_MUST_CHECK int tandem_tcp_session_connect(const struct tandem_transport_options *options,
                                                 struct tandem_session **ret_session,
                                                 struct tandem_error *reterr_error);
/* Moves the join of a connection on. */
void tandem_tcp_joining_step(struct tandem_tcp_session *session,
                             struct tandem_tcp_connection *connection);
/* A data channel's join has failed. */
void tandem_tcp_joining_failed(struct tandem_tcp_session *session,
                               struct tandem_tcp_connection *connection,
                               const struct tandem_error *cause);
void tandem_tcp_joining_check_deadlines(struct tandem_tcp_session *session);
int tandem_tcp_session_restore(struct tandem_session *session, unsigned channel,
                               struct tandem_error *reterr_error);

/* ---- one connection: connection.c ---- */

/* "control channel", "data channel 3". */
void tandem_tcp_connection_name(const struct tandem_tcp_connection *connection, char *text,
                                size_t text_bytes);
/* Asks the session's descriptor for `events` of a connection; 0 takes it out. */
void tandem_tcp_connection_poll(struct tandem_tcp_session *session,
                                struct tandem_tcp_connection *connection, uint32_t events);
/* A new connection takes the place of the old: takes `fd`. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_tcp_connection_adopt(struct tandem_tcp_session *session,
                                                  struct tandem_tcp_connection *connection, int fd,
                                                  const struct tandem_tcp_address *peer,
                                                  struct tandem_error *reterr_error);
/* Closes it; its descriptor's number stays this session's. */
void tandem_tcp_connection_close(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection);
/* Nothing that arrives later is read from it. */
void tandem_tcp_connection_limit(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection);
/* Sends what is queued; ends the connection on failure. */
void tandem_tcp_connection_flush(struct tandem_tcp_session *session,
                                 struct tandem_tcp_connection *connection, size_t budget_bytes,
                                 uint64_t now_ns);

/* ---- data channels: channel.c ---- */

unsigned tandem_tcp_channels_count(const struct tandem_tcp_session *session,
                                   enum tandem_channel_state state);
/* T15: a channel that was up ends, the session with it if it was the last. */
void tandem_tcp_channel_lose(struct tandem_tcp_session *session,
                             struct tandem_tcp_connection *connection,
                             const struct tandem_error *cause);
/* Reads on what had arrived on channels that ended, and says so when all of it is delivered. */
void tandem_tcp_channels_finish(struct tandem_tcp_session *session);
/* Listening side: joins who waits at the door. */
void tandem_tcp_channels_answer(struct tandem_tcp_session *session);
int tandem_tcp_session_fence_channel(struct tandem_session *session, unsigned channel,
                                     uint64_t deadline_ns, struct tandem_error *reterr_error);
void tandem_tcp_session_channel_status(const struct tandem_session *session, unsigned channel,
                                       struct tandem_channel_status *ret_status);
void tandem_tcp_session_break_channel(struct tandem_session *session, unsigned channel);

/* ---- the end: ending.c ---- */

/* What is still delivered when a session ends. */
enum tandem_tcp_drain {
	TANDEM_TCP_DRAIN_NOTHING,
	TANDEM_TCP_DRAIN_RECEIVED, /* what the kernel has received up to now */
	TANDEM_TCP_DRAIN_SENT,     /* all that the peer had sent before it closed: T14 */
};

/* Ends the session for `cause` unless it has ended already. */
void tandem_tcp_session_end(struct tandem_tcp_session *session, const struct tandem_error *cause,
                            enum tandem_tcp_drain drain);
/* Nothing that arrives later is read. */
void tandem_tcp_session_limit(struct tandem_tcp_session *session);
/* A connection failed with `os_errno`, 0 for its end: ends the channel or the session [T15]. */
void tandem_tcp_session_end_connection(struct tandem_tcp_session *session,
                                       struct tandem_tcp_connection *connection,
                                       const char *operation, int os_errno);
/* T9: it took nothing for `age_ns`. */
void tandem_tcp_session_end_silent(struct tandem_tcp_session *session,
                                   struct tandem_tcp_connection *connection, uint64_t age_ns);
/* The peer sent what it must not: nothing more of it is read. */
void tandem_tcp_session_end_protocol(struct tandem_tcp_session *session,
                                     const struct tandem_error *cause);

/* Something was sent that the peer will answer, or came and will be answered. */
void tandem_tcp_session_expect(struct tandem_tcp_session *session);
/* epoll_wait(2) without sleeping; asks again for a while, poll_ns at most, while something is
 * expected. */
int tandem_tcp_session_ready(struct tandem_tcp_session *session, struct epoll_event *ret_ready,
                             int capacity);

/* One call of progress: it goes on as long as more comes and the owner has nothing to take, within
 * limits, so that a stream costs its owner a sleep for much instead of for each part. */
void tandem_tcp_session_begin_turn(struct tandem_tcp_session *session);
bool tandem_tcp_session_goes_on(const struct tandem_tcp_session *session);

/* Reads at most about `budget_bytes`; ends the session where that is the outcome. */
void tandem_tcp_inbox_receive(struct tandem_tcp_session *session,
                              struct tandem_tcp_connection *connection, size_t budget_bytes);

/* Reads on under the limits of the drain; the session has ended when all are reached. */
void tandem_tcp_session_drain(struct tandem_tcp_session *session);
/* More notices were sent than a session keeps: a fence cannot deliver them. True when it was so. */
bool tandem_tcp_session_refuse_overflow(struct tandem_tcp_session *session,
                                        const struct tandem_tcp_connection *connection);
/* Makes wake_fd say whether the owner has something to take or to drive. */
void tandem_tcp_session_wake(struct tandem_tcp_session *session);

/* The calls of the ops table that live in other files. */
int tandem_tcp_session_fence(struct tandem_session *session, uint64_t deadline_ns,
                             struct tandem_error *reterr_error);
void tandem_tcp_session_describe(const struct tandem_session *session, char *text,
                                 size_t text_bytes);
int tandem_tcp_session_expose(struct tandem_session *session, unsigned memory_id, void *base,
                              size_t length, struct tandem_error *reterr_error);
int tandem_tcp_session_register(struct tandem_session *session, const void *base, size_t length,
                                struct tandem_error *reterr_error);
uint64_t tandem_tcp_session_exposed_bytes(const struct tandem_session *session, unsigned memory_id);
int tandem_tcp_session_send(struct tandem_session *session, const void *message,
                            size_t message_bytes);
int tandem_tcp_session_write(struct tandem_session *session, unsigned channel,
                             const struct tandem_write *writes, unsigned count,
                             unsigned *ret_taken_count);
int tandem_tcp_session_notify(struct tandem_session *session, unsigned channel,
                              const struct tandem_write *write, uint32_t immediate);
unsigned tandem_tcp_session_inflight_count(const struct tandem_session *session, unsigned channel);

#endif
