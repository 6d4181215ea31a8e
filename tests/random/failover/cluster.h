#ifndef TEST_FAILOVER_CLUSTER_H
#define TEST_FAILOVER_CLUSTER_H

#include "core/machine.h"

/* Two nodes with their controllers (the real machine), data planes, links and arbiter, all
 * simulated in one thread with a clock of its own that jumps from one thing that happens to the
 * next. Memory is a chain of epochs: each epoch a program makes is a new number whose parent is the
 * epoch before, so what two nodes publish can be compared with what was published before. */

#define CLUSTER_PROGRAMS        6
#define CLUSTER_PROCESSES       (CLUSTER_PROGRAMS + 1) /* of a node: the last one is the standby */
#define CLUSTER_ITEMS_MAX       4096
#define CLUSTER_EPOCHS_MAX      8192
#define CLUSTER_GENERATIONS_MAX 4096
#define CLUSTER_LINKS           2
#define CLUSTER_TRACE_BYTES     131072
#define CLUSTER_NEVER_NS        UINT64_MAX
#define SESSION_SILENCE_NS      UINT64_C(300000000)

/* Seeded bugs, by the rule of DESIGN section 5 that each one breaks. */
#define BUG_TABLE(X)                                                                               \
	X(NONE)                                                                                    \
	X(R1_OUTPUT_BEFORE_ACKNOWLEDGEMENT)                                                        \
	X(R2_ACKNOWLEDGES_AFTER_FENCE)                                                             \
	X(R3_EPOCH_READ_BEFORE_FENCE)                                                              \
	X(R4_REGISTER_COMPARES_NOTHING)                                                            \
	X(R4_SOLO_WITHOUT_REGISTER)                                                                \
	X(R5_STALE_STANDBY_TAKES_OVER)                                                             \
	X(R5_RESTARTED_OWNER_LEADS)                                                                \
	X(R6_COPY_TOLD_WHEN_BEGUN)                                                                 \
	X(R7_OUTPUT_WHILE_PAIRING)                                                                 \
	X(R8_COPY_OF_ANOTHER_LIFE)                                                                 \
	X(R9_QUIET_IN_WORDS_ONLY)                                                                  \
	X(LEFT_OUTRANKS_TAKE_OVER)                                                                 \
	X(MISFIT_TAKES_OVER)                                                                       \
	X(LIVENESS_NEVER_SOLO)                                                                     \
	X(LIVENESS_FORGETS_TAKE_OVER)                                                              \
	X(LIVENESS_HALTED_FOR_ANOTHERS_RECORD)

enum bug {
#define X(name) BUG_##name,
	BUG_TABLE(X)
#undef X
	        BUG_COUNT,
};

/* What is used of a message or event of data planes; texts and settings play no part. */
struct word {
	enum tandem_control_type type, answers;
	enum tandem_control_kind kind;
	bool is_pair, has_session, has_copy, is_misfit, is_unjudged, holds_output, leaves;
	uint32_t process_id;
	uint64_t incarnation, peer_incarnation, generation, epoch, heard_age_ns;
	enum tandem_peer_beat peer_beat;
	uint64_t beat_age_ns;
};

struct process {
	bool is_alive;
	bool is_stopped;
	enum tandem_control_kind kind;
	unsigned node;
	uint64_t incarnation;
	uint32_t process_id;
	uint64_t connection; /* 0: not attached */
	uint64_t attach_ns;  /* when it tries (again) */
	uint64_t report_ns;
	uint64_t session; /* 0: none */
	uint64_t session_peer;
	uint64_t heard_ns;
	uint64_t said_ns; /* local messages keep their order */
	uint64_t told_ns;
	uint64_t due_ns; /* when it does something by itself */
};

struct program {
	struct process process;
	bool is_ready;
	bool is_led;
	bool is_pair;
	bool is_holding; /* R7: from the capture of a copy's last epoch */
	bool is_gated;   /* R7: COPIED was said; only LEAD ends it */
	bool is_halted;
	bool is_quiescing; /* R9: seals nothing any more ... */
	bool is_quiet;     /* ... and has nothing unacknowledged: told */
	bool holds_output; /* mode strict */
	bool leaves;       /* as it was asked to; RELEASE ends it */
	uint64_t ready_ns;
	uint64_t exit_ns;
	uint64_t led_generation;
	uint64_t copy_incarnation; /* PAIR: as LEAD named it */
	uint64_t proposed;         /* the session that was asked for, 0: none */
	uint64_t connect_ns;
	uint64_t copy_ns;  /* when the copy that runs is done */
	uint64_t write_ns; /* the next request of a client */
	uint64_t late_ns;  /* seeded bug: a copy is told then, for whose session it is then */
	uint32_t memory;   /* newest epoch */
	uint32_t pending;  /* PAIR: sealed, not acknowledged */
};

struct standby {
	struct process process;
	bool has_copy;
	bool is_fenced;
	bool fence_awaits_fit, activate_awaits_fit; /* until the node has what is needed */
	bool is_torn;                   /* epochs without the copy that they belong on */
	uint64_t copy_owner;            /* whose epochs they are */
	uint64_t activated_incarnation; /* 0: none */
	uint64_t told_generation;
	uint64_t told_owner;
	uint64_t fenced_generation;
	uint64_t renew_ns;  /* a new life, when what it started has ended */
	uint64_t revoke_ns; /* seeded bug: the fence works only then */
	uint32_t copy;
	struct word activate; /* that waits */
};

struct node {
	char name[TANDEM_NAME_BYTES];
	bool controller_is_alive;
	bool controller_is_stopped;
	uint64_t deaf_since_ns; /* its heartbeats' thread does not get to run, 0: it does */
	uint64_t deaf_ended_ns; /* how long it did not, until the machine is told */
	bool arbiter_is_cut;
	bool is_misfit;     /* it has not what a program needs to go on [C35], ... */
	bool is_unjudged;   /* ... or does not know what it has ... */
	bool is_told_unfit; /* ... and its standby has said so */
	uint64_t beat_ns;
	uint64_t tick_ns;
	uint64_t sequence;
	uint64_t planes_due_ns;
	uint64_t arbiter_ns;         /* questions about a register of its own keep their order */
	unsigned waiting_count;      /* heartbeats for a stopped controller */
	struct tandem_record record; /* its register; both are the same where it is shared */
	struct tandem_machine_config config;
	struct tandem_machine machine;
	struct tandem_heartbeat_filter filter;
	struct program programs[CLUSTER_PROGRAMS];
	struct standby standby;
};

enum item_type {
	ITEM_TO_CONTROLLER, /* of a data plane: word, event, connection */
	ITEM_TO_PLANE,      /* word, connection */
	ITEM_HANG_UP,       /* the controller's end of a connection is gone */
	ITEM_HEARTBEAT,
	ITEM_READ, /* at the register */
	ITEM_CAS,
	ITEM_LATE_CAS, /* nobody waits for its answer any more */
	ITEM_ADOPT,
	ITEM_ANSWER, /* of the register, at the controller */
	ITEM_HELLO,  /* program to standby: a session */
	ITEM_WELCOME,
	ITEM_GOODBYE, /* either way: the other end has closed it */
	ITEM_COPY,    /* the last epoch of a full copy */
	ITEM_COPY_APPLIED,
	ITEM_EPOCH,
	ITEM_ACK,
};

/* Whether data planes can read the peer's beat. */
enum reads {
	READS_NOTHING,   /* the transport has no one-sided reads */
	READS_WITH_DATA, /* where the peer's host is there and neither way is cut */
	READS_ALWAYS,    /* whatever is cut, as if messages alone were lost */
};

struct question {
	uint64_t request;
	struct tandem_record expected, desired;
	bool is_forced;
	bool needs_fence;
};

struct letter { /* between data planes */
	uint64_t session;
	uint64_t from, generation;
	uint32_t memory;
	bool has_copy;
};

struct item {
	enum item_type type;
	unsigned node; /* where it arrives */
	uint64_t due_ns;
	uint64_t order;
	uint64_t life; /* of the controller that asked or is asked, 0: any */
	enum tandem_event_type event;
	uint64_t connection;
	union {
		struct word word;
		struct tandem_heartbeat heartbeat;
		struct question question; /* an answer: `expected` is the record */
		struct letter letter;
	} of;
};

struct due {
	uint64_t due_ns;
	uint64_t order;
	uint32_t index;
};

enum trace_level {
	TRACE_NOTHING,
	TRACE_DECISIONS, /* what the controllers note */
	TRACE_WORLD,     /* and what happens to them: faults, orders, the register */
	TRACE_EVENTS,    /* and everything they hear */
};

struct chaos { /* of 1000 */
	unsigned loss, duplicate, doubt, fail, hang, order_failure, spike, repeat, slow, late,
	        words;
	uint64_t delay_max_ns;
};

struct cluster {
	uint64_t now_ns;
	uint64_t random;
	uint64_t number_last; /* connections, sessions, processes */
	uint64_t order_last;
	enum bug bug;
	enum trace_level trace_level;
	struct node nodes[2];
	bool data_is_cut[2]; /* by sender */
	enum reads reads;
	bool beats_are_cut[2][CLUSTER_LINKS]; /* by sender and link */
	struct chaos chaos;
	uint64_t anew_generation; /* what led before it is over, with what it published */
	bool has_left;            /* the program was told so: its copy is never to be promoted */
	uint64_t publisher;       /* the last program that published, and the generation */
	uint64_t publisher_generation;
	bool is_rebasing; /* the next publication decides what is left of those before */
	uint32_t epoch_count;
	uint32_t depth_top;  /* published */
	uint64_t publish_ns; /* the last */
	unsigned long event_count;
	unsigned fault_count, publish_count, take_over_count, pair_count, solo_count, force_count,
	        hand_over_count, fence_count;
	unsigned word_count;
	char violation[400]; /* "" while all is well */
	uint32_t obstacles;  /* who is stopped and what is cut, when the waiting were last woken */
	size_t due_count, waiting_count, free_count, used_count;
	size_t trace_length;
	/* From here on nothing is cleared for a new schedule but what cluster_init() names. */
	char trace[CLUSTER_TRACE_BYTES];
	struct due due[CLUSTER_ITEMS_MAX];
	uint32_t waiting[CLUSTER_ITEMS_MAX];
	uint32_t free[CLUSTER_ITEMS_MAX];
	struct item items[CLUSTER_ITEMS_MAX];
	uint32_t parents[CLUSTER_EPOCHS_MAX];
	uint32_t depths[CLUSTER_EPOCHS_MAX];
	uint32_t published[CLUSTER_EPOCHS_MAX];      /* by depth */
	uint64_t releasers[CLUSTER_GENERATIONS_MAX]; /* incarnation, by generation */
	struct tandem_actions actions;
};

/* Decisions are traced; schedules that nobody reads change trace_level. */
void cluster_init(struct cluster *cluster, uint64_t seed, enum tandem_arbiter_type arbiter);
/* Controllers and standbys of both nodes, the program of node a. */
void cluster_start(struct cluster *cluster);
/* Between two calls anything may be changed by hand. */
void cluster_run(struct cluster *cluster, uint64_t duration_ns);
void cluster_feed(struct cluster *cluster, unsigned node, struct tandem_event *event);
/* An operator's word; `generation` is for PROMOTE. */
void cluster_say(struct cluster *cluster, unsigned node, enum tandem_event_type type,
                 uint64_t generation);

void cluster_start_controller(struct cluster *cluster, unsigned node);
void cluster_kill_controller(struct cluster *cluster, unsigned node);
void cluster_start_standby(struct cluster *cluster, unsigned node);
void cluster_kill_standby(struct cluster *cluster, unsigned node);
/* With empty memory. */
void cluster_start_program(struct cluster *cluster, unsigned node);
void cluster_kill_programs(struct cluster *cluster, unsigned node);
/* Every process dies; its kernel says so to the peers. */
void cluster_kill_node(struct cluster *cluster, unsigned node);
/* Nobody is told. */
void cluster_power_off(struct cluster *cluster, unsigned node);
/* SIGSTOP and SIGCONT. */
void cluster_stop_node(struct cluster *cluster, unsigned node, bool is_stopped);
/* The heartbeats' thread of a node does not get to run: its own are not sent, the peer's wait. */
void cluster_deafen(struct cluster *cluster, unsigned node, bool is_deaf);
void cluster_cut_data(struct cluster *cluster, bool is_cut);
void cluster_cut_beats(struct cluster *cluster, bool is_cut);

/* The register that this node's arbiter shows. */
const struct tandem_record *cluster_record(const struct cluster *cluster, unsigned node);
struct process *cluster_process(struct node *node, unsigned index);
bool cluster_runs(const struct process *process);
/* [C35] It has what a program needs to go on, and knows so. */
bool cluster_is_fit(const struct cluster *cluster, unsigned node);

/* ---- between the files of the simulation ---- */

struct item *cluster_post(struct cluster *cluster, enum item_type type, unsigned node,
                          uint64_t delay_ns);
uint64_t cluster_draw(struct cluster *cluster, uint64_t below);
bool cluster_happens(struct cluster *cluster, unsigned per_mille);
uint64_t cluster_delay(struct cluster *cluster);
/* A delay that ends no earlier than *last_ns, which it moves on. */
uint64_t cluster_delay_in_order(struct cluster *cluster, uint64_t *last_ns);
/* What waited for a stopped process or a cut link is looked at again, and who does what next. */
void cluster_wake(struct cluster *cluster);
void cluster_fail(struct cluster *cluster, const char *format, ...) TANDEM_PRINTF(2, 3);
void cluster_trace(struct cluster *cluster, enum trace_level level, const char *format, ...)
        TANDEM_PRINTF(3, 4);

/* arbiter.c */
void arbiter_ask(struct cluster *cluster, unsigned node, const struct tandem_action *action);
void arbiter_adopt(struct cluster *cluster, unsigned node, const struct tandem_record *record);
void arbiter_take(struct cluster *cluster, const struct item *item);
bool arbiter_registers_are_own(const struct cluster *cluster);

/* planes.c: what programs and standbys have in common. */
void planes_step(struct cluster *cluster, unsigned node);
void planes_arm(struct cluster *cluster);
void planes_take(struct cluster *cluster, const struct item *item);
void planes_controller_ended(struct cluster *cluster, unsigned node);
void planes_end(struct cluster *cluster, struct process *process, bool is_told);
void planes_close(struct cluster *cluster, unsigned node, uint64_t connection);
void planes_hang_up(struct cluster *cluster, struct process *process);
struct process *planes_by_connection(struct cluster *cluster, unsigned node, uint64_t connection);
void planes_say(struct cluster *cluster, struct process *process, enum tandem_event_type event,
                const struct word *word);
void planes_tell_session(struct cluster *cluster, struct process *process,
                         enum tandem_event_type event);
struct program *planes_find_place(struct cluster *cluster, unsigned node);

/* sessions.c */
void sessions_touch(struct cluster *cluster);
bool sessions_is_heard(struct cluster *cluster, const struct process *process);
void sessions_watch(struct cluster *cluster, struct process *process);
void sessions_drop(struct cluster *cluster, struct process *process);
/* As connection resets do: all ends know at once. */
void sessions_break(struct cluster *cluster);
void sessions_propose(struct cluster *cluster, struct program *program);
void sessions_take(struct cluster *cluster, const struct item *item);
struct process *sessions_find(struct cluster *cluster, unsigned node, uint64_t session);
struct letter *sessions_write(struct cluster *cluster, const struct process *process,
                              enum item_type type);

/* program.c */
static inline bool program_leads_openly(const struct program *program)
{
	return program->process.is_alive && program->is_led && !program->is_halted &&
	       !program->is_pair && !program->is_gated && !program->is_holding &&
	       !program->holds_output;
}
void program_step(struct cluster *cluster, struct program *program);
uint64_t program_due_ns(struct cluster *cluster, const struct program *program);
void program_obey(struct cluster *cluster, struct program *program, const struct word *word);
void program_repeat(struct cluster *cluster, struct program *program);
void program_take(struct cluster *cluster, struct program *program, const struct item *item);
void program_lose_session(struct program *program);

/* standby.c */
void standby_step(struct cluster *cluster, struct standby *standby);
uint64_t standby_due_ns(const struct cluster *cluster, const struct standby *standby);
void standby_obey(struct cluster *cluster, struct standby *standby, const struct word *word);
void standby_take(struct cluster *cluster, struct standby *standby, const struct item *item);

/* judge.c: what may never be seen. */
void judge_publish(struct cluster *cluster, const struct program *program, uint32_t memory);
void judge_promotion(struct cluster *cluster, const struct standby *standby);
void judge_step(struct cluster *cluster);
/* The register is asked to name this node. */
void judge_question(struct cluster *cluster, unsigned node);
/* A record was won: what was published may be forgotten by it. */
void judge_record(struct cluster *cluster, const struct question *question);
/* The program has been told that nobody will go on with its memory. */
void judge_release(struct cluster *cluster, const struct program *program);
void judge_force(struct cluster *cluster, uint64_t generation);

#endif
