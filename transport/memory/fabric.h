#ifndef TANDEM_MEMORY_FABRIC_H
#define TANDEM_MEMORY_FABRIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/event_queue.h"
#include "core/range_table.h"
#include "provider.h"

/* The in-memory provider. A fabric knows its listeners and links; a link is what lies between the
 * two ends of a session: operations posted and not landed. They land in progress of the end they go
 * to, and a write's source is read only then, as a device might. Data channels join in accept of
 * the listener. */

#define TANDEM_FABRIC_LISTENERS_MAX 16
#define TANDEM_FABRIC_BACKLOG       64
#define TANDEM_CONTROLS_MAX         (TANDEM_MESSAGES_MAX + TANDEM_MEMORY_IDS_MAX)

enum tandem_memory_side {
	TANDEM_SIDE_CONNECTING,
	TANDEM_SIDE_LISTENING,
	TANDEM_SIDE_COUNT,
};

struct tandem_memory_write {
	struct tandem_write write;
	bool notifies;
	uint32_t immediate;
	uint64_t posted_ns;
	void *copy; /* of the source, where the writer has lost the channel; owned */
};

/* What became of the connecting side's wish that a channel joins. */
enum tandem_memory_join {
	TANDEM_JOIN_NONE,
	TANDEM_JOIN_ASKED,
	TANDEM_JOIN_ADMITTED,
	TANDEM_JOIN_REFUSED,
};

/* One end of a data channel. */
struct tandem_memory_channel_end {
	enum tandem_channel_state state;
	bool has_ended; /* since the last join; the other end is to be told */
	unsigned rail;
	uint64_t bytes;
	unsigned lost_count;
	struct tandem_error cause;
	struct tandem_error first_error;
};

/* Writes of one data channel, and its ends. */
struct tandem_memory_channel {
	struct tandem_memory_write *writes;
	unsigned capacity;
	unsigned first;
	unsigned count;
	uint64_t moved_at_ns;
	enum tandem_memory_join join;
	uint64_t join_deadline_ns;
	struct tandem_error refusal;
	struct tandem_memory_channel_end ends[TANDEM_SIDE_COUNT];
};

struct tandem_memory_control {
	size_t message_bytes; /* 0: an exposure */
	unsigned message_slot;
	unsigned memory_id;
	uint64_t exposed_bytes;
};

/* Messages and exposures to one end. */
struct tandem_memory_controls {
	struct tandem_memory_control items[TANDEM_CONTROLS_MAX];
	unsigned first;
	unsigned count;
	unsigned message_count;
	unsigned message_slot;
	uint64_t moved_at_ns;
	uint8_t messages[TANDEM_MESSAGES_MAX][TANDEM_MESSAGE_BYTES_MAX];
};

struct tandem_memory_link {
	struct tandem_fabric *fabric;
	struct tandem_memory_link *next; /* of the fabric */
	unsigned reference_count;        /* its ends, and the listener while it waits there */
	bool is_dropped;
	bool is_refused;                                       /* no key of the listener */
	struct tandem_memory_listener *listener;               /* NULL: none yet, or freed */
	bool is_over[TANDEM_SIDE_COUNT];                       /* that end was lost or freed */
	struct tandem_memory_session *ends[TANDEM_SIDE_COUNT]; /* NULL: not yet, or freed */
	struct tandem_transport_options options;               /* the connecting side's */
	struct tandem_memory_channel channels[TANDEM_CHANNELS_MAX];
	struct tandem_memory_controls *controls[TANDEM_SIDE_COUNT]; /* to that side */
};

struct tandem_memory_listener {
	struct tandem_listener head;
	struct tandem_fabric *fabric;
	struct tandem_transport_options options;
	uint16_t port;
	int fd;
	bool is_awake;
	unsigned first;
	unsigned count;
	struct tandem_memory_link *waiting[TANDEM_FABRIC_BACKLOG];
};

struct tandem_fabric {
	bool is_cut;
	uint64_t operations_left;
	uint32_t refused_mask; /* channels that may not join */
	uint32_t lost_rail_mask;
	uint16_t next_port;
	struct tandem_memory_link *links;
	struct tandem_memory_listener *listeners[TANDEM_FABRIC_LISTENERS_MAX];
};

enum tandem_memory_state {
	TANDEM_MEMORY_JOINING,
	TANDEM_MEMORY_UP,
	TANDEM_MEMORY_OVER,
};

struct tandem_memory_target {
	uint8_t *base; /* listening side */
	uint64_t bytes;
};

/* [T18] */
struct tandem_memory_beat {
	uint64_t word; /* this side's own */
	bool is_awaited;
	uint64_t deadline_ns;
	bool has_event;
	bool has_come;
	uint64_t peer_word;
};

struct tandem_memory_session {
	struct tandem_session head;
	atomic_bool is_yanked;
	int fd;
	bool is_awake;
	enum tandem_memory_side side;
	enum tandem_memory_state state;
	struct tandem_memory_link *link;
	bool is_offered; /* connecting side: the listener has it */
	unsigned key_index;
	uint64_t peer_timeout_ns;
	uint64_t connect_timeout_ns;
	bool has_up_event;
	bool has_lost_event;
	bool drains_controls; /* fenced: what had come is still taken */
	uint64_t join_deadline_ns;
	struct tandem_error cause;
	struct tandem_memory_beat beat;
	struct tandem_range_table sources;
	struct tandem_memory_target targets[TANDEM_MEMORY_IDS_MAX];
	struct tandem_event_queue queue;
};

/* Nothing moves. */
bool tandem_fabric_is_held(const struct tandem_fabric *fabric);
/* *ret_rail is which of the listener's addresses it is; NULL is allowed. */
struct tandem_memory_listener *tandem_fabric_find(const struct tandem_fabric *fabric,
                                                  const char *address, uint16_t port,
                                                  unsigned *ret_rail);
/* Brings every descriptor in line with what may move now. */
void tandem_fabric_refresh(struct tandem_fabric *fabric);

int tandem_memory_listener_new(struct tandem_fabric *fabric,
                               const struct tandem_transport_options *options,
                               struct tandem_listener **ret_listener,
                               struct tandem_error *reterr_error);
void tandem_memory_listener_refresh(struct tandem_memory_listener *listener);
/* Makes an eventfd readable or not. */
void tandem_memory_set_awake(int fd, bool *is_awake, bool must_be_awake);

/* With one reference, the caller's; NULL when memory is short. */
struct tandem_memory_link *tandem_memory_link_new(struct tandem_fabric *fabric,
                                                  const struct tandem_transport_options *options);
void tandem_memory_link_unref(struct tandem_memory_link *link);
void tandem_memory_link_refresh(struct tandem_memory_link *link);
/* The writes end without landing. */
void tandem_memory_link_clear_writes(struct tandem_memory_link *link);
void tandem_memory_channel_clear(struct tandem_memory_channel *channel);
bool tandem_memory_link_add_write(struct tandem_memory_link *link, unsigned channel,
                                  const struct tandem_memory_write *write, uint64_t now_ns);
bool tandem_memory_link_add_control(struct tandem_memory_link *link, enum tandem_memory_side to,
                                    const struct tandem_memory_control *control,
                                    const void *message, uint64_t now_ns);
/* Something waits for the end on `side`. */
bool tandem_memory_link_has_work(const struct tandem_memory_link *link,
                                 enum tandem_memory_side side);
/* Lands what waits for that end as far as the fabric lets it and the event queue has room. */
void tandem_memory_link_land_controls(struct tandem_memory_link *link,
                                      struct tandem_memory_session *session, uint64_t now_ns);
void tandem_memory_link_land_writes(struct tandem_memory_link *link,
                                    struct tandem_memory_session *session, uint64_t now_ns);
void tandem_memory_link_land_late(struct tandem_memory_link *link,
                                  struct tandem_memory_session *session, uint64_t now_ns);

/* ---- data channels: channel.c ---- */

/* That end of it ends, where it was up or joining; the other end is told in its progress. */
void tandem_memory_channel_end(struct tandem_memory_session *session, unsigned channel,
                               const struct tandem_error *cause);
/* The other end's losses become this end's; connecting side: joins that were asked for go on. */
void tandem_memory_channels_move(struct tandem_memory_session *session, uint64_t now_ns);
bool tandem_memory_channels_may_move(const struct tandem_memory_session *session);
unsigned tandem_memory_channels_count(const struct tandem_memory_session *session,
                                      enum tandem_channel_state state);
/* Connecting side: when the next of what it waits for on data channels is overdue. */
uint64_t tandem_memory_channels_deadline_ns(const struct tandem_memory_session *session);
/* Listening side: joins what asks for it, by way of `listener`. TANDEM_E_AGAIN, or
 * TANDEM_E_PROTOCOL with the reason when one was refused. */
int tandem_memory_channels_admit(struct tandem_memory_listener *listener,
                                 struct tandem_error *reterr_error);
bool tandem_memory_channels_ask(const struct tandem_memory_listener *listener);

/* ---- the beats: beat.c ---- */

bool tandem_memory_beat_may_move(const struct tandem_memory_session *session);
void tandem_memory_beat_move(struct tandem_memory_session *session, uint64_t now_ns);
uint64_t tandem_memory_beat_deadline_ns(const struct tandem_memory_session *session);
bool tandem_memory_beat_take(struct tandem_memory_session *session,
                             struct tandem_session_event *ret_event);
void tandem_memory_session_beat(struct tandem_session *session);
int tandem_memory_session_read_beat(struct tandem_session *session, uint64_t timeout_ns);

/* Takes a reference of `link`. */
int tandem_memory_session_new(struct tandem_memory_link *link, enum tandem_memory_side side,
                              struct tandem_memory_session **ret_session,
                              struct tandem_error *reterr_error);
void tandem_memory_session_refresh(struct tandem_memory_session *session);
void tandem_memory_session_end(struct tandem_memory_session *session,
                               const struct tandem_error *cause);

static inline struct tandem_memory_session *tandem_memory_session_of(struct tandem_session *head)
{
	return (struct tandem_memory_session *)head;
}

static inline const struct tandem_memory_session *tandem_memory_session_of_const(
        const struct tandem_session *head)
{
	return (const struct tandem_memory_session *)head;
}

/* The calls of the ops table that live in session_calls.c. */
int tandem_memory_session_expose(struct tandem_session *session, unsigned memory_id, void *base,
                                 size_t length, struct tandem_error *reterr_error);
int tandem_memory_session_register(struct tandem_session *session, const void *base, size_t length,
                                   struct tandem_error *reterr_error);
uint64_t tandem_memory_session_exposed_bytes(const struct tandem_session *session,
                                             unsigned memory_id);
int tandem_memory_session_send(struct tandem_session *session, const void *message,
                               size_t message_bytes);
int tandem_memory_session_write(struct tandem_session *session, unsigned channel,
                                const struct tandem_write *writes, unsigned count,
                                unsigned *ret_taken_count);
int tandem_memory_session_notify(struct tandem_session *session, unsigned channel,
                                 const struct tandem_write *write, uint32_t immediate);
unsigned tandem_memory_session_inflight_count(const struct tandem_session *session,
                                              unsigned channel);
int tandem_memory_session_fence(struct tandem_session *session, uint64_t deadline_ns,
                                struct tandem_error *reterr_error);
int tandem_memory_session_fence_channel(struct tandem_session *session, unsigned channel,
                                        uint64_t deadline_ns, struct tandem_error *reterr_error);
int tandem_memory_session_restore(struct tandem_session *session, unsigned channel,
                                  struct tandem_error *reterr_error);
void tandem_memory_session_channel_status(const struct tandem_session *session, unsigned channel,
                                          struct tandem_channel_status *ret_status);
void tandem_memory_session_break_channel(struct tandem_session *session, unsigned channel);
void tandem_memory_session_describe(const struct tandem_session *session, char *text,
                                    size_t text_bytes);

#endif
