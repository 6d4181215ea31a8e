#ifndef TANDEM_QEMU_PEER_H
#define TANDEM_QEMU_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/qemu_stream.h>

/* The secondary's part of COLO against an unmodified QEMU: items of its stream and words of our own
 * side come in, answers to QEMU and orders to our own side go out. Pure. QEMU has no timeout and
 * never lets a guest go on that waits for an answer, so whatever is not as it must be ends with
 * RELEASE. Source: QEMU 7.2 to 11.1, migration/colo.c. */
#define TANDEM_QEMU_PEER_ACTIONS_MAX 4u
#define TANDEM_QEMU_ANSWER_BYTES_MAX 8u
#define TANDEM_QEMU_EPOCH_FIRST      UINT64_C(1)

struct tandem_qemu_peer_options {
	bool has_return_path;      /* capability return-path: QEMU 11.1 needs it, 10 breaks by it */
	uint64_t state_bytes_max;  /* device state that an epoch can keep */
	uint64_t pause_timeout_ns; /* how long the guest may stand still; never 0 */
};

#define TANDEM_QEMU_PEER_STAGE_TABLE(X)                                                            \
	X(OPENING, "the stream's opening")                                                         \
	X(FIRST_STATE, "the first device state")                                                   \
	X(FIRST_CAPTURED, "the first epoch to be captured")                                        \
	X(IDLE, "REQUEST")                                                                         \
	X(KEPT, "the epoch before to be kept")                                                     \
	X(ASKED, "SEND")                                                                           \
	X(RAM, "pages or their end")                                                               \
	X(SIZE, "SIZE")                                                                            \
	X(STATE, "device state")                                                                   \
	X(CAPTURED, "the epoch to be captured")                                                    \
	X(ENDED, "nothing")

/* Named by what has to come next. */
enum tandem_qemu_peer_stage {
#define X(name, text) TANDEM_QEMU_PEER_##name,
	TANDEM_QEMU_PEER_STAGE_TABLE(X)
#undef X
	        TANDEM_QEMU_PEER_STAGE_COUNT,
};

enum tandem_qemu_event_type {
	TANDEM_QEMU_EVENT_ITEM,     /* `item` of the stream */
	TANDEM_QEMU_EVENT_STATE,    /* the first device state is whole: `value` bytes */
	TANDEM_QEMU_EVENT_CAPTURED, /* nothing reads the guest for epoch `value`: it may run */
	TANDEM_QEMU_EVENT_KEPT,     /* the same, and pages may come again */
	TANDEM_QEMU_EVENT_TIME,     /* the deadline may have come */
	TANDEM_QEMU_EVENT_STOP,     /* nobody wants the protection any more */
	TANDEM_QEMU_EVENT_CLOSED,   /* QEMU closed the stream: `value` is the system's error or 0 */
	TANDEM_QEMU_EVENT_EXITED,   /* QEMU says that it has left COLO */
};

struct tandem_qemu_event {
	enum tandem_qemu_event_type type;
	uint64_t now_ns;
	const struct tandem_qemu_item *item;
	uint64_t value;
};

enum tandem_qemu_action_type {
	/* Answers, see tandem_qemu_answer_write(). */
	TANDEM_QEMU_ANSWER_PONG, /* with `value` */
	TANDEM_QEMU_ANSWER_SHUT, /* the return path has no more to say before COLO begins */
	TANDEM_QEMU_ANSWER_READY,
	TANDEM_QEMU_ANSWER_REPLY,
	TANDEM_QEMU_ANSWER_RECEIVED,
	TANDEM_QEMU_ANSWER_LOADED,
	/* Orders. */
	TANDEM_QEMU_KEEP,    /* epoch `value`: its RAM and its device state are whole */
	TANDEM_QEMU_DROP,    /* epoch `value`: what came of it is less than an epoch */
	TANDEM_QEMU_RELEASE, /* make the guest run: end the stream and QEMU's COLO, out of band */
};

struct tandem_qemu_action {
	enum tandem_qemu_action_type type;
	uint64_t value;
};

#define TANDEM_QEMU_CAUSE_TABLE(X)                                                                 \
	X(NONE, "no cause")                                                                        \
	X(STREAM, "QEMU sends what is not understood")                                             \
	X(ORDER, "QEMU sends what does not come now")                                              \
	X(RETURN_PATH, "QEMU pings, but its capability return-path was said to be off")            \
	X(STATE_BYTES, "the device state is larger than an epoch can keep")                        \
	X(STATE_LENGTH, "the device state does not have the size that QEMU told")                  \
	X(EPOCH, "an epoch was captured or kept that is not the one under way")                    \
	X(TIMEOUT, "the guest stood still for too long, in nanoseconds")                           \
	X(CLOSED, "QEMU closed the stream")                                                        \
	X(EXITED, "QEMU has left COLO")                                                            \
	X(STOPPED, "the protection was ended")

enum tandem_qemu_cause {
#define X(name, text) TANDEM_QEMU_CAUSE_##name,
	TANDEM_QEMU_CAUSE_TABLE(X)
#undef X
	        TANDEM_QEMU_CAUSE_COUNT,
};

/* Why a protection ended. */
struct tandem_qemu_end {
	enum tandem_qemu_cause cause;
	enum tandem_qemu_peer_stage stage; /* in which it was */
	uint64_t seen;
	uint64_t needed;
	const char *seen_text;   /* static; NULL where the number says it */
	const char *needed_text; /* the same */
};

struct tandem_qemu_peer {
	struct tandem_qemu_peer_options options;
	enum tandem_qemu_peer_stage stage;
	uint64_t epoch;       /* which pages and device state belong to that come now */
	bool is_kept;         /* the epoch before is */
	uint64_t state_bytes; /* of the epoch, as told */
	uint64_t state_left_bytes;
	uint64_t paused_ns;   /* since when the guest may stand still; valid with a deadline */
	uint64_t deadline_ns; /* when an EVENT_TIME is due; 0: none */
	struct tandem_qemu_end end;
};

struct tandem_qemu_step {
	struct tandem_qemu_action actions[TANDEM_QEMU_PEER_ACTIONS_MAX];
	unsigned action_count;
};

void tandem_qemu_peer_init(struct tandem_qemu_peer *peer,
                           const struct tandem_qemu_peer_options *options);

/* The actions are to be done in their order. After RELEASE, which is the last one, nothing changes
 * any more and `end` tells why. */
void tandem_qemu_peer_step(struct tandem_qemu_peer *peer, const struct tandem_qemu_event *event,
                           struct tandem_qemu_step *ret_step);

/* Returns the length of the answer; 0: the action is none. */
size_t tandem_qemu_answer_write(const struct tandem_qemu_action *action,
                                uint8_t ret_bytes[TANDEM_QEMU_ANSWER_BYTES_MAX]);

const char *tandem_qemu_cause_text(enum tandem_qemu_cause cause);
const char *tandem_qemu_stage_text(enum tandem_qemu_peer_stage stage);

#endif
