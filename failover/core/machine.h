#ifndef TANDEM_FAILOVER_MACHINE_H
#define TANDEM_FAILOVER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/controller.h>

#include "core/detector.h"
#include "core/heartbeat.h"
#include "core/record.h"

/* The controller of one pair on one node: facts with their time go in, ordered actions come out.
 * An event first becomes facts (facts.c), then the cell {state, event} of the one table (table.c)
 * is asked, then the state's own list again until it has nothing more to do. Rules look at facts,
 * not at the order of events, so a late, doubled or lost message changes nothing. */

#define TANDEM_STATE_TABLE(X)                                                                      \
	X(INIT)                                                                                    \
	X(JOINING)                                                                                 \
	X(SECONDARY)                                                                               \
	X(PRIMARY_PAIR)                                                                            \
	X(PRIMARY_SOLO)                                                                            \
	X(GATED)                                                                                   \
	X(TAKING_OVER)                                                                             \
	X(HALTED)                                                                                  \
	X(MAINTENANCE)

enum tandem_state {
#define X(name) TANDEM_STATE_##name,
	TANDEM_STATE_TABLE(X)
#undef X
	        TANDEM_STATE_COUNT,
};

#define TANDEM_EVENT_TABLE(X)                                                                      \
	X(TICK)     /* time passed */                                                              \
	X(ATTACHED) /* a data plane said who it is */                                              \
	X(DETACHED) /* its connection ended */                                                     \
	X(ENDED)    /* its process ended (pidfd) */                                                \
	X(READY)    /* messages of <tandem/control.h> */                                           \
	X(REPORT)                                                                                  \
	X(SESSION_UP)                                                                              \
	X(SESSION_LOST)                                                                            \
	X(COPIED)                                                                                  \
	X(FENCED)                                                                                  \
	X(FAILED)                                                                                  \
	X(QUIESCED)                                                                                \
	X(HEARTBEAT)                                                                               \
	X(RECORD) /* the register was read */                                                      \
	X(READ_FAILED)                                                                             \
	X(CAS_WON)                                                                                 \
	X(CAS_LOST)   /* another record was there; it is in the event */                           \
	X(CAS_FAILED) /* for certain not applied */                                                \
	X(CAS_DOUBT)  /* perhaps applied, now or later */                                          \
	X(PROMOTE)    /* the operator's words */                                                   \
	X(FORCE)                                                                                   \
	X(YANK)                                                                                    \
	X(SWITCHOVER)                                                                              \
	X(RESYNC)                                                                                  \
	X(FENCE_ACK)                                                                               \
	X(PROTECT)                                                                                 \
	X(UNPROTECT)                                                                               \
	X(MAINTENANCE_ON)                                                                          \
	X(MAINTENANCE_OFF)

enum tandem_event_type {
#define X(name) TANDEM_EVENT_##name,
	TANDEM_EVENT_TABLE(X)
#undef X
	        TANDEM_EVENT_COUNT,
};

/* What may come out, and the reasons in the order in which the shell carries them out. */
enum tandem_action_type {
	TANDEM_ACTION_SEND,   /* message, to connection */
	TANDEM_ACTION_REFUSE, /* HALT with text to connection, then close it; it was never attached
	                       */
	TANDEM_ACTION_CLOSE,  /* connection: its process attached anew */
	TANDEM_ACTION_READ,   /* request */
	TANDEM_ACTION_CAS,    /* request, expected, desired, needs_fence */
	TANDEM_ACTION_ACKNOWLEDGE, /* the operator saw that the peer's node is off: the fencing that
	                              the outstanding CAS waits for counts as done */
	TANDEM_ACTION_BEAT,        /* heartbeats at once: the peer waits for this news */
	TANDEM_ACTION_REPLY,       /* status, text: to the operator whose word this step was */
	TANDEM_ACTION_NOTE,        /* note: a decision for the history */
};

#define TANDEM_ALARM_TABLE(X)                                                                      \
	X(HEARTBEATS_CUT,                                                                          \
	  "heartbeats are silent on every link although the session lives: a failover now would "  \
	  "be decided without them")                                                               \
	X(LINK_DOWN, "a heartbeat link is silent")                                                 \
	X(ARBITER_UNREACHABLE,                                                                     \
	  "the arbiter does not answer: no failover is possible until it does")                    \
	X(FENCING_FAILED, "the other node could not be switched off; it is tried again, and "      \
	                  "'fence-ack' says that "                                                 \
	                  "it is off")                                                             \
	X(DAMPER_HOLDS,                                                                            \
	  "too many automatic take-overs in the window: the next one waits for 'promote'")         \
	X(NOT_SCHEDULED,                                                                           \
	  "this node was not scheduled for half a heartbeat window; its suspicions start again")   \
	X(TIMERS_DIFFER,                                                                           \
	  "the two nodes are configured differently: no automatic take-over until they agree")     \
	X(SELF_FENCE_UNARMED,                                                                      \
	  "the program's output is not gated and no timer ends it: it could answer after the "     \
	  "other node has taken over")                                                             \
	X(COMMIT_STALE,                                                                            \
	  "output has waited for its commit for twice commit_timeout_ms: whoever awaits it sees "  \
	  "a program that hangs")                                                                  \
	X(PEER_HUNG,                                                                               \
	  "the peer's process hangs: its host answers, but the counter that the process moves on " \
	  "stands still")                                                                          \
	X(UNPROTECTED, "the program leads alone: nobody could go on without this node")            \
	X(TAKE_OVER_FAILED, "the register was won but no program leads")                           \
	X(STANDBY_MISFIT,                                                                          \
	  "this node has not what the program needs to go on: it does not take over until it has") \
	X(DATA_PLANE_SILENT, "a data plane is attached but its reports have stopped")

enum tandem_alarm {
#define X(name, text) TANDEM_ALARM_##name,
	TANDEM_ALARM_TABLE(X)
#undef X
	        TANDEM_ALARM_COUNT,
};

struct tandem_note {
	enum tandem_state from;
	enum tandem_state to;
	const char *reason; /* a literal */
	bool is_alarm;      /* `alarm` was raised or cleared; from == to */
	bool is_raised;
	enum tandem_alarm alarm;
	uint64_t now_ns;
	uint64_t wall_ns;
	uint64_t generation;
	uint64_t silent_ns;         /* since the last heartbeat or the restart of the windows */
	uint64_t session_silent_ns; /* since the peer was last heard by a session */
	enum tandem_peer_beat peer_beat;
	uint64_t beat_age_ns;    /* since its word was last seen to move, 0 where that is unknown */
	uint64_t unscheduled_ns; /* NOT_SCHEDULED */
	uint64_t in_state_ns;
	uint64_t window_ns;                                  /* the silence that makes suspect */
	uint64_t link_heard_ns[TANDEM_CONTROLLER_LINKS_MAX]; /* 0: never */
	size_t link_count;
	bool has_session;            /* of the data plane that is attached */
	struct tandem_record record; /* the newest seen of the register; generation 0: none */
	bool peer_was_heard;
	struct tandem_statement peer; /* what it said last */
};

struct tandem_action {
	enum tandem_action_type type;
	uint64_t connection;
	uint64_t request;
	int status;
	const char *text;                      /* a literal */
	struct tandem_control_message message; /* SEND, but `settings`: the shell has them */
	struct tandem_record expected;         /* CAS; generation 0: never written */
	struct tandem_record desired;
	bool needs_fence; /* CAS, arbiter `fence`: only after the peer's node is off for certain */
	struct tandem_note note;
};

#define TANDEM_ACTIONS_MAX 48

struct tandem_actions {
	size_t count;
	struct tandem_action list[TANDEM_ACTIONS_MAX];
};

struct tandem_event {
	enum tandem_event_type type;
	uint64_t now_ns;
	uint64_t wall_ns;
	uint64_t connection;                   /* events of data planes; never 0, never reused */
	struct tandem_control_message message; /* events of data planes */
	uint64_t request;                      /* answers of the arbiter */
	struct tandem_record record;           /* RECORD, CAS_LOST */
	size_t link;                           /* HEARTBEAT */
	uint64_t heard_ns;                     /* HEARTBEAT: when it arrived; 0: now */
	bool has_news;                         /* HEARTBEAT: statement is newer than the last */
	struct tandem_statement statement;
	uint64_t generation; /* PROMOTE: the one that the operator saw */
	uint64_t deaf_ns;    /* for so long nobody listened to the links since the last event */
};

struct tandem_machine_config {
	char node[TANDEM_NAME_BYTES];
	struct tandem_controller_pair pair;
};

/* A data plane of this node. */
struct tandem_plane {
	uint64_t connection; /* 0: none is attached */
	uint64_t incarnation;
	uint32_t process_id;
	bool is_ready;
	bool was_halted;
	bool has_session;
	bool awaits_session; /* a session that was yanked is believed again when said anew */
	bool has_copy;
	bool is_misfit;   /* standby: this node has not what its copy needs to go on [C35] ... */
	bool is_unjudged; /* ... or that is not known */
	bool is_held;     /* program: since a copy that it told in the generation it was led in */
	bool has_reported;
	uint64_t behind_since_ns; /* program: its oldest output that waits for a commit, 0: none */
	bool has_lease;           /* program, lease mode: it ends by itself in time */
	bool is_leaving;          /* program: it asks to go on unprotected ... */
	bool was_released;        /* ... and was told that it does */
	uint64_t ready_ns;
	uint64_t report_ns;              /* attached or heard */
	uint64_t session_heard_ns;       /* the peer's software, by the session */
	enum tandem_peer_beat peer_beat; /* as read from its memory [T18] */
	uint64_t beat_ns;                /* its word was last seen to move, 0: not known */
	uint64_t session_peer_incarnation;
	uint64_t copied_incarnation; /* holds a full copy in this session */
	uint64_t epoch;
	uint64_t told_decision; /* STAND_BY: of that record */
	uint64_t dead_incarnation;
};

enum tandem_cas_kind {
	TANDEM_CAS_NONE,
	TANDEM_CAS_CREATE,
	TANDEM_CAS_PAIR,
	TANDEM_CAS_SOLO,
	TANDEM_CAS_REFRESH, /* SOLO again, so that nothing asked earlier can still be applied */
	TANDEM_CAS_LEAVE,
	TANDEM_CAS_TAKE_OVER,
	TANDEM_CAS_FORCE,
};

struct tandem_register_view {
	bool is_known;
	struct tandem_record record; /* the newest seen */
	uint64_t asked_ns;           /* when the reading that showed it was asked for */
	uint64_t own_decision;       /* of the last record that this life of the controller won */
	uint64_t read_request;       /* outstanding, 0: none */
	uint64_t read_asked_ns;
	uint64_t read_next_ns;
	uint64_t cas_request; /* outstanding, 0: none */
	uint64_t cas_asked_ns;
	uint64_t cas_next_ns;
	enum tandem_cas_kind cas_kind;
	struct tandem_record cas_expected;
	struct tandem_record cas_desired;
	bool cas_needs_fence;
	bool has_fencing_failed; /* the last one of the CAS that is wanted */
	bool in_doubt;           /* a CAS may have been applied: read before anything else */
	uint64_t doubt_ns;
	uint64_t contested_generation; /* a CAS on this one may still be applied late */
	bool is_reachable;
	uint64_t cas_failed_ns; /* the last one, until one is answered; 0: none */
	uint64_t request_last;
};

struct tandem_take_over {
	uint64_t decision; /* 0: none in this life */
	bool is_begun;
	bool is_forced;
	bool is_automatic;   /* no operator's word */
	bool is_resumed;     /* an earlier life of this controller won it */
	bool has_program;    /* FORCE: leads the program that is attached */
	uint64_t connection; /* the standby to be fenced, 0: none */
	uint64_t fence_sent_ns;
	bool is_fenced;
	uint64_t old_owner;    /* the program that led before, 0: not known in this life */
	uint64_t lease_end_ns; /* the old primary has ended itself by then, 0: it has no lease */
	uint64_t epoch;
	uint64_t activate_sent_ns;
	uint32_t process_id; /* the only process that may be the activated program */
	bool has_failed;
};

/* A planned hand-over, on the node that leads (R9): the program becomes quiet, then the peer may
 * take over as if this node were lost. */
struct tandem_hand_over {
	bool is_asked;
	bool is_quiet;
	uint64_t asked_ns;
};

/* Each step of the last take-over; 0: not reached. Monotonic, and the wall clock for people. */
struct tandem_failover_times {
	uint64_t life_ns; /* last sign of life of the old primary */
	uint64_t suspected_ns, suspected_wall_ns;
	uint64_t decided_ns, decided_wall_ns;
	uint64_t fenced_ns, fenced_wall_ns;
	uint64_t drain_ns; /* of what lies between decided and fenced */
	uint64_t activated_ns, activated_wall_ns;
};

#define TANDEM_DAMPER_MAX 16

struct tandem_machine {
	struct tandem_machine_config config;
	enum tandem_state state;
	uint64_t state_ns; /* entered */
	uint64_t start_ns;
	uint64_t random;
	struct tandem_agreement agreement;
	struct tandem_detector detector;
	struct tandem_statement peer; /* the last one heard */
	uint64_t heard_generation;    /* the highest that the peer told of in this life */
	struct tandem_plane program;
	struct tandem_plane standby;
	struct tandem_register_view view;
	struct tandem_take_over take_over;
	uint64_t failed_decision; /* of the last take-over, if it failed; 0: it has not */
	struct tandem_failover_times times;
	struct tandem_hand_over hand_over;
	bool may_answer_alone; /* mode strict: the operator's word, until the next PAIR */
	uint64_t led_last;     /* the last generation that this node led in and has not given up by
	                          taking     a copy, 0: none */
	uint64_t quiet_generation; /* led and handed over with nothing unacknowledged */
	bool has_resync_word;
	uint64_t led_generation; /* the last LEAD sent to the program that is attached, 0: none */
	uint64_t met_owner;   /* the last program that was attached while the register named it */
	uint64_t ended_owner; /* the last one that ended so */
	bool led_is_pair;
	uint64_t led_solo_last; /* the last generation led alone; never led alone again, so that a
	                           COPIED that crosses a LEAD is told from one that follows it */
	bool has_word;          /* the operator's word for word_generation */
	uint64_t word_generation;
	uint64_t protect_generation; /* the next program that is ready replaces that record of this
	                                node, whose program has ended, by the operator's word;
	                                0: none was given */
	uint64_t forced_generation;  /* the next program that is ready replaces that record, by the
	                                operator's word; 0: none was given */
	uint64_t damper_ns[TANDEM_DAMPER_MAX]; /* automatic take-overs, newest overwrite oldest */
	size_t damper_count;
	const char *asked_reason; /* of the CAS last noted in this state: said once, asked often */
	uint64_t unscheduled_ns;  /* length of the last gap */
	uint64_t unscheduled_told_ns; /* when it was seen */
	uint32_t alarms;              /* a bit for each enum tandem_alarm */
	/* While a step runs. */
	const struct tandem_event *event;
	struct tandem_actions *actions;
};

/* `seed` is random for each life of the controller: decision and incarnation numbers come from it.
 */
void tandem_machine_init(struct tandem_machine *machine, const struct tandem_machine_config *config,
                         uint64_t seed, uint64_t now_ns);
/* ret_actions is emptied first. */
void tandem_machine_step(struct tandem_machine *machine, const struct tandem_event *event,
                         struct tandem_actions *ret_actions);
/* What heartbeats say now. */
void tandem_machine_statement(const struct tandem_machine *machine, uint64_t now_ns,
                              struct tandem_statement *ret_statement);
/* Where each node keeps records of its own: this one, which the peer told of, is to be this node's
 * too. */
bool tandem_machine_adopts(const struct tandem_machine *machine,
                           const struct tandem_record *record);
/* In what the two nodes are configured differently, as far as the peer was ever heard;
 * TANDEM_AGREEMENT_COUNT: in nothing. */
enum tandem_agreement_item tandem_machine_difference(const struct tandem_machine *machine);
/* When time alone may next change something: a TICK at or before it; never later than the pace at
 * which a node must run to tell its own sleep from its peer's silence. */
uint64_t tandem_machine_deadline_ns(const struct tandem_machine *machine, uint64_t now_ns);

const char *tandem_state_name(enum tandem_state state);
const char *tandem_event_name(enum tandem_event_type event);
const char *tandem_alarm_name(enum tandem_alarm alarm);
const char *tandem_alarm_text(enum tandem_alarm alarm);
/* What the attached data plane reads of the beat of the peer's, and when that was last seen
 * to move; unknown also when its reports have stopped. */
enum tandem_peer_beat tandem_machine_peer_beat(const struct tandem_machine *machine,
                                               uint64_t now_ns, uint64_t *ret_beat_ns);
/* For people: "lives", "hung", "unknown". */
const char *tandem_peer_beat_text(enum tandem_peer_beat beat);
/* For the operator: what is waited for and what to do, literals; the command is without "tandemctl"
 * and the pair, "" when there is nothing to do. */
const char *tandem_machine_waiting_for(const struct tandem_machine *machine, uint64_t now_ns);
const char *tandem_machine_unblock(const struct tandem_machine *machine, uint64_t now_ns);

#endif
