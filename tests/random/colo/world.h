#ifndef TANDEM_TEST_WORLD_H
#define TANDEM_TEST_WORLD_H

/* One pair in a box: the real cores, maps, run lists and slots of both sides, over a network, a
 * register and controllers that a seeded scheduler drives. Pages are read when a write LANDS, as a
 * device does. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

#include "core/bitmap.h"
#include "core/primary.h"
#include "core/secondary.h"
#include "provider.h"
#include "shell/image.h"
#include "shell/inbox.h"
#include "shell/push.h"

#define REGIONS        3u
#define PAGES          6u
#define CHANNELS       3u
#define CHANNELS_ALL   ((1u << CHANNELS) - 1)
#define RAILS          2u
#define SLOT_PAGES     32u
#define STRIPE_PAGES   2u
#define QUEUE_MAX      4u
#define MESSAGES_MAX   24u
#define MESSAGE_BYTES  320u
#define WIRES_MAX      400u
#define EPOCHS_MAX     512u
#define TICKETS_MAX    4096u
#define REPORTS_MAX    128u
#define STATE_BYTES    64u
#define HEAL_STEPS_MAX 60000u
#define P_INCARNATION  UINT64_C(0x1001)

/* Mistakes that the shells of a careless engine could make; the checkers must find each. Not among
 * them, because with two slots nothing can come of them: a slice that does not wait for its writes
 * (the capture does), run lists read when applied, a fence that forgets seals which were not
 * acknowledged. */
#define BUG_TABLE(X)                                                                               \
	X(NONE)                                                                                    \
	X(RESUME_BEFORE_SETTLE)    /* 4.6: the program goes on while the device reads */           \
	X(CLEAN_AFTER_PUSH)        /* 4.2: the dirty bit is cleared after the page was read */     \
	X(NO_MERGE_ON_LOSS)        /* 4.7: an aborted epoch's pages are forgotten */               \
	X(NO_WAIT_FOR_APPLIED)     /* 4.4: pages of an unapplied epoch are overwritten */          \
	X(STATE_FROM_NEXT)         /* 4.5: a waiting checkpoint's blob replaces the sealed one */  \
	X(FRESH_ALWAYS)            /* 4.12: zero pages are skipped though the image is not new */  \
	X(LOCAL_IS_COMMIT)         /* 3.3: a local completion counts as COMMITTED */               \
	X(OLD_GENERATION_COUNTS)   /* R1: acknowledgements of an old generation release */         \
	X(READS_DO_NOT_WAIT)       /* reads leave under an acknowledgement older than they */      \
	X(GATE_OPEN_WHILE_PAIRING) /* R7: output leaves between the copy and the register */       \
	X(COPIED_AT_COMMIT)        /* 4.12: COPIED before the copy was applied */                  \
	X(COMMIT_ON_FIRST_SEAL)    /* 3.3: one channel's seal stands for all */                    \
	X(NO_FENCE)                /* 3.5: writes of the old session land later */                 \
	X(ACK_WHEN_FENCED)         /* R2: a fenced standby goes on acknowledging */                \
	X(SAID_FIRST_BESIDE) /* C15: APPLIED leaves first though writes land beside the apply */   \
	X(APPLY_HALF_AT_PROMOTION) /* 4.10: a promoted program meets a half-applied epoch */       \
	X(NO_RENEW)                /* 4.15: another copy's image is taken for fresh zeros */       \
	X(ZERO_RUNS_FORGOTTEN)     /* 4.10: zero runs are not applied */                           \
	X(STALE_INCARNATION)       /* R8: the copy is recorded for whoever is there */             \
	X(OLD_COPIED_COUNTS)       /* a COPIED that crossed a later LEAD is believed */            \
	X(LEAD_TWICE)              /* SOLO is led again in a generation that was led before */     \
	X(WRITE_BEFORE_FENCED)     /* 4.13: lost pages are written elsewhere before the answer */  \
	X(REUSE_BEFORE_COMMIT)     /* 4.3: stripes change over to a restored channel at once */    \
	X(MASK_LEAVES_OUT)         /* 3.2: the mask does not name every channel posted to */       \
	X(STALE_SEAL_BELIEVED)     /* 3.5: a seal of what FENCED has decided counts */             \
	X(BLOB_LEFT_BEHIND)        /* 4.5: a repaired epoch is sealed without its blob */          \
	X(CHANNEL_NOT_FENCED)      /* 3.5: FENCED is said, and writes of the channel land later */ \
	X(NOT_TAKEN_BACK)          /* 4.7: what a lost channel carried is not pushed again */      \
	X(ABORTED_MAP_FORGOTTEN)   /* 4.7: FENCED aborts an epoch, and its map with it */          \
	X(OUTPUT_WHEN_QUIET)       /* R9: acknowledgements release after QUIESCED */               \
	X(DIGEST_BEFORE_ARM)       /* 4.2: pages are compared, then tracked */                     \
	X(DIGESTS_KEPT)            /* C29: the image has changed since its digests were made */    \
	X(DIGEST_OF_CACHE)         /* 4.15: the cache is compared, the image is promoted */        \
	X(IMAGE_SHARED)          /* C30: somebody else writes to the image that was taken over */  \
	X(STAGED_FROM_LIVE)      /* 4.6: what was staged is read from live memory after all */     \
	X(STAGED_NOT_TAKEN_BACK) /* 4.7: what a given up epoch had staged is forgotten */          \
	X(STAGED_NOT_MERGED)     /* 4.7: a lost session forgets it */                              \
	X(SHORT_STAGE_RESUMES)   /* 4.6: the program goes on though staging had no room */         \
	X(REFILL_BEFORE_SETTLE)  /* 4.6: staging memory is filled while the device reads it */     \
	X(SEAL_BEFORE_DRAINED)   /* 4.6: an epoch is sealed before all staged is pushed */

enum bug {
#define X(name) BUG_##name,
	BUG_TABLE(X)
#undef X
	        BUG_COUNT,
};

/* What a run of many schedules must have met. */
#define MET_TABLE(X)                                                                               \
	X(LANDED)                                                                                  \
	X(CUT)                                                                                     \
	X(LOST_IN_PUSH)                                                                            \
	X(SAID_FIRST)                                                                              \
	X(SAID_ONCE)                                                                               \
	X(DOUBT_COMMITTED)                                                                         \
	X(DOUBT_ABORTED)                                                                           \
	X(COMMIT_IN_DRAIN)                                                                         \
	X(HALF_APPLIED_AT_END)                                                                     \
	X(COPY_FULL_FRESH)                                                                         \
	X(COPY_FULL_STALE)                                                                         \
	X(COPY_DELTA)                                                                              \
	X(DIGESTS_TAKEN)                                                                           \
	X(PAGE_IN_IMAGE)                                                                           \
	X(LOST_WHILE_LEARNING)                                                                     \
	X(PUSH_BLOCKED)                                                                            \
	X(CHECKPOINT_WAITS)                                                                        \
	X(CHECKPOINT_SKIPPED)                                                                      \
	X(CHECKPOINT_WITHDRAWN)                                                                    \
	X(RELEASED_BY_COMMIT)                                                                      \
	X(RELEASED_BY_PING)                                                                        \
	X(RELEASED_SOLO)                                                                           \
	X(PROMOTED_AFTER_CRASH)                                                                    \
	X(PROMOTED_FALSELY)                                                                        \
	X(HALTED_BY_CONTROLLER)                                                                    \
	X(SECONDARY_CRASHED)                                                                       \
	X(CONTROLLER_RESTARTED)                                                                    \
	X(CAS_PAIR)                                                                                \
	X(CAS_SOLO)                                                                                \
	X(CAS_LOST)                                                                                \
	X(TIMED_OUT)                                                                               \
	X(REFUSED)                                                                                 \
	X(NEW_GENERATION_IN_SESSION)                                                               \
	X(CHANNEL_BROKEN)                                                                          \
	X(RAIL_LOST)                                                                               \
	X(LOST_WHILE_REPAIRING)                                                                    \
	X(REFUSED_IN_PUSH)                                                                         \
	X(REFUSED_IN_SEAL)                                                                         \
	X(FENCED_ABORTED)                                                                          \
	X(COMMIT_IN_CHANNEL_FENCE)                                                                 \
	X(STALE_SEAL)                                                                              \
	X(REJOINED)                                                                                \
	X(REJOIN_REFUSED)                                                                          \
	X(HALF_JOINED)                                                                             \
	X(JOINED_IN_PART)                                                                          \
	X(QUIESCED)                                                                                \
	X(QUIESCED_AFTER_EPOCH)                                                                    \
	X(STAGED)                                                                                  \
	X(STAGED_SHORT)                                                                            \
	X(STORED_IN_DRAIN)                                                                         \
	X(DRAIN_BLOCKED)                                                                           \
	X(LOST_IN_DRAIN)                                                                           \
	X(CHECKPOINT_IN_DRAIN)                                                                     \
	X(CHANNEL_STALLED)                                                                         \
	X(REFILLED_IN_FLIGHT)                                                                      \
	X(GIVEN_UP_IN_DRAIN)                                                                       \
	X(PUSHED_BESIDE)                                                                           \
	X(LEFT_FOR_THE_END)                                                                        \
	X(SLOWED)                                                                                  \
	X(ENDED_PAIRED)

enum met {
#define X(name) MET_##name,
	MET_TABLE(X)
#undef X
	        MET_COUNT,
};

const char *met_name(enum met met);
const char *primary_action_name(unsigned type);

#define PRIMARY_ACTION_LAST TANDEM_PRIMARY_DO_REPORT_QUIESCED

struct counts {
	uint64_t schedules;
	uint64_t steps;
	uint64_t met[MET_COUNT];
	uint64_t phase[TANDEM_PRIMARY_HALTED + 1];
	uint64_t crash[TANDEM_PRIMARY_HALTED + 1];
	uint64_t primary_action[PRIMARY_ACTION_LAST + 1];
	uint64_t secondary_action[TANDEM_SECONDARY_DO_REPORT_UP + 1];
};

/* ---- network ---- */

struct entry {
	struct tandem_write write;
	uint8_t *copy; /* what was on its way when the primary's end closed; owned */
	bool is_notify;
	uint32_t immediate;
};

struct message {
	size_t length;
	uint8_t bytes[MESSAGE_BYTES];
};

struct message_queue {
	unsigned count;
	struct message items[MESSAGES_MAX];
};

struct arrival { /* what the standby will read next */
	bool is_notify;
	bool is_channel_up;
	unsigned channel;
	uint32_t immediate;
	struct message message;
};

struct wire {
	struct tandem_session head;
	struct world *world;
	bool is_open_primary;   /* the primary has not freed it */
	bool is_open_secondary; /* the standby has not fenced it */
	bool is_up_due;         /* UP is to be read */
	bool is_cut;            /* nothing moves any more */
	bool is_broken;         /* the primary knows */
	bool is_fenced;
	uint32_t lost_mask;    /* channels that the primary cannot use */
	uint32_t fenced_mask;  /* of them: nothing lands any more */
	uint32_t lost_due;     /* CHANNEL_LOST is to be read by the primary */
	uint32_t up_due;       /* CHANNEL_UP is */
	uint32_t stalled_mask; /* nothing lands for a while, and nothing is broken */
	uint32_t joining_mask; /* asked to join again */
	unsigned fence_count[CHANNELS];
	/* From the front: landed, and complete for the primary. */
	unsigned queued[CHANNELS], landed[CHANNELS], completed[CHANNELS];
	struct entry queue[CHANNELS][QUEUE_MAX];
	struct message_queue to_primary, to_secondary;
	unsigned arrival_count;
	struct arrival arrivals[MESSAGES_MAX];
};

/* ---- the register and the controllers ---- */

struct record {
	uint64_t generation;
	bool is_owner_primary;
	bool is_pair;
	uint64_t copy_incarnation;
};

enum report_type { REPORT_UP, REPORT_LOST, REPORT_COPIED };

struct report {
	enum report_type type;
	uint64_t incarnation;
	uint64_t generation; /* that the program was led in when it said so */
};

enum cas_state { CAS_NONE, CAS_SENT, CAS_DONE };

struct cas {
	enum cas_state state;
	bool is_won;
	struct record expected, wanted;
};

struct primary_controller {
	bool is_halted;
	bool is_gated;
	bool is_joining; /* restarted: has not led the program yet */
	bool is_handing_over;
	struct record known;
	uint64_t led_generation;
	struct cas cas, orphan;
	bool has_session;
	uint64_t session_incarnation, copied_incarnation;
	unsigned report_count;
	struct report reports[REPORTS_MAX];
};

/* ---- the two sides ---- */

struct program {
	bool is_held;
	uint64_t turn; /* ended turns */
	uint64_t counter;
	uint8_t state[STATE_BYTES];
	uint32_t state_bytes;
	uint64_t dirty; /* tracker: pages stored to since the last scan */
};

struct primary_mail {
	bool has_lead, has_halt, has_checkpoint;
	bool has_quiesce; /* since the LEAD */
	bool has_withdrawal;
	uint64_t generation;
	bool is_pair;
};

struct primary_side {
	bool is_dead;
	struct tandem_primary core;
	struct tandem_push push;
	struct wire *session;
	struct primary_mail mail;
	bool is_scan_due, is_slice_due, is_drain_due;
	uint64_t slice_hot_max;
	bool is_overloaded; /* what is left never fits at once */
	bool stages;        /* in this schedule, now and then at least */
	bool is_copy_told;  /* COPIED since the last LEAD: the controller's word is awaited */
	uint64_t copied_incarnation, copied_generation;
	uint64_t session_incarnation;
	bool has_session;
	uint64_t quiet_ticket; /* the last that had left at QUIESCED */
	uint32_t restore_due;  /* channels whose pause is not over */
	unsigned control_rail;
	unsigned swallow;     /* FENCED that a careless engine has answered itself */
	bool is_repaired;     /* a channel was fenced since the last commit */
	uint64_t equal_pages; /* that were met */
	uint8_t next_state[STATE_BYTES];
};

struct secondary_side {
	bool is_dead;
	uint64_t incarnation;
	uint64_t told_generation;
	bool has_order_stand_by, has_order_fence;
	struct record order; /* STAND_BY */
	struct tandem_secondary core;
	struct tandem_inbox inbox;
	struct tandem_image image;
	bool has_inbox, is_made, is_fresh;
	struct wire *session;
	uint8_t state[STATE_BYTES];
	uint32_t state_bytes;
};

struct truth {
	bool is_set;
	uint64_t turn;
	uint64_t sequence;
	uint64_t values[PAGES];
	uint32_t state_bytes;
	uint8_t state[STATE_BYTES];
};

struct ticket {
	uint64_t turn;
	uint64_t sequence;
	uint64_t ping; /* reads: a pong of this number or later is younger */
	bool is_read;
};

/* Who has written a page since the last commit. */
struct carrier {
	const struct wire *wire;
	uint64_t committed;
	unsigned channel;
	unsigned fence_count; /* of that channel then */
};

/* What the primary heard in the generation that it leads: written apart from the gate, to judge it.
 */
struct heard {
	uint64_t generation;
	uint64_t turn;     /* of the newest epoch acknowledged */
	uint64_t sequence; /* when that epoch was captured */
	uint64_t ping;
};

enum pace {
	PACE_SESSION, /* the primary's thread: session, mail, copy, tick */
	PACE_MAIL,
	PACE_COPY,
	PACE_TICK,
	PACE_LAND,
	PACE_COMPLETE,
	PACE_ARRIVE,
	PACE_READ, /* the standby's thread: session, apply, orders */
	PACE_APPLY,
	PACE_OBEY,
	PACE_CONTROLLER,
	PACE_REGISTER,
	PACE_STORE,
	PACE_CHECKPOINT,
	PACE_CONFIRM,
	PACE_COUNT,
};

struct world {
	uint64_t random;
	enum bug bug;
	struct counts *counts;
	uint64_t now_ns, sequence;
	bool has_faults;
	unsigned pace[PACE_COUNT]; /* how slow each part of this schedule's world is */
	unsigned cuts_left, crashes_left, restarts_left, breaks_left, stalls_left;
	bool may_suspect, may_crash;
	bool is_buffered; /* a write may be complete before it lands, as over a socket */

	struct record reg;
	struct primary_controller controller;
	bool is_taken_over, is_activated;
	uint64_t activated_turn, activated_sequence;
	uint64_t released_turn; /* the newest turn whose output has left */

	struct program program;
	struct primary_side primary;
	struct secondary_side secondary;
	unsigned wire_count;
	struct wire *wires[WIRES_MAX];

	struct truth truths[EPOCHS_MAX];
	struct ticket tickets[TICKETS_MAX];
	uint64_t checked_ticket;
	struct heard heard;
	struct carrier carriers[REGIONS + 1][SLOT_PAGES]; /* the last row is the slots */
	bool is_pairing; /* a copy was captured and the controller has not spoken since (R7) */
	uint64_t pairing_turn;

	bool is_tracing; /* kept over a reset */
	bool has_failed;
	char failure[256];
};

extern uint8_t world_live[REGIONS][3 * 4096];

/* world.c */
void world_reset(struct world *world, uint64_t seed, enum bug bug, struct counts *counts);
void world_done(struct world *world);
unsigned world_pick(struct world *world, unsigned count);
bool world_chance(struct world *world, unsigned one_in);
/* Whether that part of the world moves now. */
bool world_paces(struct world *world, enum pace pace);
void world_fail(struct world *world, const char *format, ...) TANDEM_PRINTF(2, 3);
void world_met(struct world *world, enum met met);
void world_trace(const struct world *world, const char *format, ...) TANDEM_PRINTF(2, 3);
const struct tandem_region_table *world_regions(void);
/* Everything but the primary's own thread moves by one step. */
void world_outside(struct world *world);
bool world_is_at_rest(const struct world *world);
uint8_t *page_live(unsigned page);
unsigned page_region(unsigned page);
unsigned page_index(unsigned page); /* in its region */

/* network.c */
struct wire *wire_connect(struct world *world);
void wire_break(struct wire *wire);
void wire_close_primary(struct wire *wire);
void wire_fence(struct wire *wire);
void wire_cut(struct wire *wire);
void wire_drop(struct wire *wire);
/* One data channel ends; the last one ends the session. */
void wire_break_channel(struct wire *wire, unsigned channel);
bool wire_is_under_way(const struct wire *wire, unsigned channel);
void wire_stall_channel(struct wire *wire, unsigned channel);
void wire_lose_rail(struct wire *wire, unsigned rail);
void wire_fence_channels(struct wire *wire, uint32_t channel_mask);
bool wire_join(struct world *world);
bool wire_land(struct world *world);
bool wire_complete(struct world *world);
bool wire_arrive(struct world *world);
bool wire_send(struct message_queue *queue, const struct tandem_wire_message *message);
struct message message_pop(struct message_queue *queue);

/* primary_side.c */
void primary_begin(struct world *world);
void primary_done(struct world *world);
void primary_crash(struct world *world);
void primary_order(struct world *world, bool is_halt, uint64_t generation, bool is_pair);
void primary_quiesce(struct world *world);
void primary_repeat(struct world *world);
/* One turn of the engine's thread. */
void primary_turn(struct world *world);

/* secondary_side.c */
void secondary_begin(struct world *world, uint64_t incarnation);
void secondary_crash(struct world *world);
bool secondary_read(struct world *world);
bool secondary_apply(struct world *world);
bool secondary_obey(struct world *world);

/* controllers.c */
void controllers_begin(struct world *world);
void controller_report(struct world *world, enum report_type type, uint64_t incarnation,
                       uint64_t generation);
void controller_restart(struct world *world);
bool controller_primary(struct world *world);
bool controller_secondary(struct world *world);
bool register_execute(struct world *world);
bool register_take_over(struct world *world);

/* program.c */
bool program_store(struct world *world);
bool program_checkpoint(struct world *world);
bool program_confirm(struct world *world);
bool program_withdraw(struct world *world);

/* check.c */
void check_captured(struct world *world, uint64_t epoch);
void check_released(struct world *world);
void check_quiesced(struct world *world, uint64_t epoch);
void check_heard(struct world *world, const struct tandem_wire_message *message);
void check_applied(struct world *world);
/* 4.3: a page has one channel from its first write after a commit to the next. */
void check_posting(struct world *world, const struct wire *wire, unsigned channel,
                   const struct tandem_write *write);
void check_landing(struct world *world, unsigned memory_id, uint64_t offset, uint32_t length);
void check_activated(struct world *world);
void check_promotable(struct world *world);
void check_knowledge(struct world *world);
void check_drop(struct world *world, bool is_primary, int code, const char *reason);

#endif
