#ifndef TANDEM_STANDBY_INTERNAL_H
#define TANDEM_STANDBY_INTERNAL_H

#include <tandem/standby.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem/rate.h>

#include "../core/lease.h"
#include "../core/secondary.h"
#include "control_link.h"
#include "image.h"
#include "inbox.h"
#include "beats.h"

/* The standby in four files: standby.c (its life, the controller's orders, other threads),
 * standby_session.c (a session from HELLO to fence), standby_step.c (what the core's actions do)
 * and standby_room.c (the file space of the image). All run on the standby's thread. */

#define TANDEM_STANDBY_FENCE_TIMEOUT_NS (5 * TANDEM_NS_PER_S)
/* Lets the reason of a refusal arrive; the peer leaves sooner. */
#define TANDEM_STANDBY_FAREWELL_NS (50 * TANDEM_NS_PER_MS)

struct tandem_standby_mail {
	bool has_any;
	bool has_stand_by, keeps_old, has_fence, has_activate, has_renew, has_review;
	uint64_t generation; /* STAND_BY */
	uint64_t fence_generation;
	uint64_t owner; /* STAND_BY */
	struct tandem_control_message activate;
	struct tandem_session *offered; /* owned */
	size_t hello_bytes;
	uint8_t hello[TANDEM_MESSAGE_BYTES_MAX];
};

/* [C33], [C34] */
struct tandem_standby_room {
	uint64_t ended_ns; /* when some was taken last */
	uint64_t next_ns;  /* when more is, whatever the session does */
	uint64_t quiet_ns; /* the session is quiet from then on, if nothing happens */
	bool is_out;       /* there was none: no session before all of it is there */
	bool owes_fenced;  /* the controller's FENCE waits for it */
};

struct tandem_standby {
	/* written at creation */
	struct tandem_standby_options options;
	char pair[TANDEM_NAME_BYTES];
	char run_directory[96];
	char image_directory[128];

	/* under `lock` */
	pthread_mutex_t lock;
	struct tandem_standby_mail mail;
	struct tandem_session *yankable;
	char needs[TANDEM_NEEDS_BYTES];   /* of the session, and of the copy that came by it */
	char misfit[TANDEM_REASON_BYTES]; /* why this node could not go on with the copy, "" */

	/* the thread's */
	pthread_t thread;
	bool has_thread;
	struct tandem_control_link *link;
	struct tandem_secondary core;
	struct tandem_image image;
	struct tandem_inbox inbox;
	bool has_inbox;
	struct tandem_standby_room room;
	bool is_fresh;                  /* nothing was applied to the image */
	bool is_copy_taken;             /* options.take_copy() was called for it */
	uint64_t activated_incarnation; /* of the program that was given the image, 0: none */
	uint64_t fenced_generation;
	struct tandem_session *session;
	struct tandem_error lost;
	uint32_t lost_channel_mask;     /* told as lost, not yet as joined again */
	struct tandem_session *leaving; /* refused, exposes nothing */
	uint64_t leaving_until_ns;
	uint64_t applies_since_ns;
	uint64_t beat_interval_ns;
	uint64_t lease_ns;   /* of the pair, 0: output is gated */
	uint64_t granted_ns; /* when a ping was last answered */
	uint64_t drain_ns;   /* of the session that ended last */
	/* The controller's FENCE, or its ACTIVATE, waits until this node has what is needed. */
	bool awaits_fit, activate_awaits_fit;
	struct tandem_control_message activate; /* that one */
	uint8_t *state;                         /* blob of the last committed epoch */
	uint32_t state_bytes;
	uint32_t state_bytes_max;
	char last_refusal[TANDEM_REASON_BYTES]; /* so that a peer that tries again is told of once
	                                         */
	struct tandem_rate refusals;

	/* any thread */
	int wake_fd;
	_Atomic bool is_ending;
	_Atomic uint64_t heard_ns;
	_Atomic uint64_t committed;
	_Atomic uint64_t generation;
	_Atomic uint64_t session_incarnation; /* 0: no session */
	_Atomic bool has_copy;
	struct tandem_beats beats; /* of the peer's program; says who may touch what */
};

void tandem_standby_say(struct tandem_standby *standby, bool is_error, const char *format, ...)
        TANDEM_PRINTF(3, 4);
/* To the controller, with what it must know of this standby. */
void tandem_standby_report(struct tandem_standby *standby, struct tandem_control_message *message);
void tandem_standby_report_failure(struct tandem_standby *standby, enum tandem_control_type order,
                                   const struct tandem_error *error);
/* [L5] */
void tandem_standby_report_fenced(struct tandem_standby *standby);
void tandem_standby_answer_fence(struct tandem_standby *standby);
/* Gives the image up, to nobody. */
void tandem_standby_drop_image(struct tandem_standby *standby, bool is_unlinking);
/* What other threads see of the core. */
void tandem_standby_publish(struct tandem_standby *standby);
void tandem_standby_set_session(struct tandem_standby *standby, struct tandem_session *session);
void tandem_standby_send(struct tandem_standby *standby, const struct tandem_wire_message *message);
/* The copy can not be trusted: whoever held a key to the cache may still write to it. */
void tandem_standby_make_void(struct tandem_standby *standby, const struct tandem_error *error);
/* [C3]: fence, drain, decide, finish the apply: after this nothing of the old session can change
 * anything (3.5, 4.10). `reason` is told when nothing went wrong before. */
void tandem_standby_end_session(struct tandem_standby *standby, const char *reason);
/* Fences single channels of the session that goes on. */
void tandem_standby_fence_channels(struct tandem_standby *standby, uint32_t channel_mask);
/* True when something has happened. */
bool tandem_standby_read_session(struct tandem_standby *standby);
bool tandem_standby_has_to_apply(const struct tandem_standby *standby);
void tandem_standby_finish_apply(struct tandem_standby *standby);
void tandem_standby_apply_slice(struct tandem_standby *standby);
int tandem_standby_tell_refused(struct tandem_session *session, uint64_t generation, int code,
                                const char *reason);
/* Answers a session that exposes nothing; tandem_standby_see_off() ends it. */
void tandem_standby_refuse_session(struct tandem_standby *standby, struct tandem_session *session,
                                   int code, const char *reason);
void tandem_standby_see_off(struct tandem_standby *standby);
/* Once for a peer that tries again and again. */
void tandem_standby_say_refusal(struct tandem_standby *standby, struct tandem_session *session,
                                const char *reason);
void tandem_standby_step(struct tandem_standby *standby,
                         const struct tandem_secondary_event *event);
/* [C32] Room for what a seal lists. False: there is none, and the session ends. */
bool tandem_standby_reserve(struct tandem_standby *standby, unsigned channel);
/* What was wanting before is there now. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_standby_restore_room(struct tandem_standby *standby,
                                                  struct tandem_error *reterr_error);
/* A piece of the room that is missing, when it is due. */
void tandem_standby_turn_room(struct tandem_standby *standby, bool has_news);
/* When the next one is, UINT64_MAX: never. */
uint64_t tandem_standby_room_at_ns(const struct tandem_standby *standby);
/* [L6] */
void tandem_standby_activate(struct tandem_standby *standby,
                             const struct tandem_control_message *order);
/* [C35] Orders that waited are carried out if this node has what is needed; the session ends if it
 * could not go on with what it keeps any more. */
void tandem_standby_judge_again(struct tandem_standby *standby);
/* Of the copy that is held or about to be. */
void tandem_standby_set_needs(struct tandem_standby *standby, const char *needs);
/* [C35] 0, or why this node could not go on with what needs that. Any thread. */
int tandem_standby_compare(const struct tandem_standby *standby, const char *needs,
                           char *ret_reason, size_t reason_bytes);
/* The same of the copy that is held; REPORT says so from now on. */
int tandem_standby_judge(struct tandem_standby *standby, char *ret_reason, size_t reason_bytes);
/* A session whose first message is `hello`: taken, or refused without touching the one that is up.
 */
void tandem_standby_greet(struct tandem_standby *standby, struct tandem_session *session,
                          const uint8_t *hello, size_t hello_bytes);

#endif
