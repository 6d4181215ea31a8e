#ifndef TEST_FAILOVER_CLUSTER_H
#define TEST_FAILOVER_CLUSTER_H

#include "core/machine.h"

/* Two nodes with their controllers (the real machine), data planes, links and a register, all
 * simulated in one thread with a clock of its own. Memory is a chain of epochs: each epoch a
 * program makes is a new number whose parent is the epoch before, so what two nodes publish can be
 * compared with what was published before. */

#define CLUSTER_STEP_NS     UINT64_C(1000000)
#define CLUSTER_PROGRAMS    6
#define CLUSTER_ITEMS_MAX   4096
#define CLUSTER_EPOCHS_MAX  8192
#define CLUSTER_LINKS       2
#define CLUSTER_TRACE_BYTES 65536

struct process {
	bool is_alive;
	bool is_stopped;
	uint64_t incarnation;
	uint32_t process_id;
	uint64_t connection; /* 0: not attached */
	uint64_t attach_ns;  /* when it tries (again) */
	uint64_t report_ns;
	uint64_t session; /* 0: none */
	uint64_t session_peer;
	uint64_t heard_ns;
	uint64_t notice_ns; /* when it will notice that its session is gone, 0: it is not */
};

struct program {
	struct process process;
	bool is_ready;
	bool is_led;
	bool is_pair;
	bool has_said; /* COPIED, in this session */
	bool is_gated; /* R7: a full copy is done, the register is not asked yet */
	bool is_halted;
	bool is_activated;
	uint64_t ready_ns;
	uint64_t exit_ns;
	uint64_t led_generation;
	uint64_t copy_incarnation; /* PAIR: as LEAD named it */
	uint64_t connect_ns;
	uint64_t copy_ns; /* when the copy that runs is done */
	uint32_t memory;  /* newest epoch */
	uint32_t pending; /* PAIR: sent, not acknowledged; it is == memory then */
};

struct standby {
	struct process process;
	bool has_copy;
	bool is_fenced;
	uint64_t activated_incarnation; /* 0: none */
	uint64_t told_generation;
	uint64_t told_owner;
	uint64_t renew_ns; /* a new life after an activation */
	uint32_t copy;
};

struct node {
	char name[TANDEM_NAME_BYTES];
	bool controller_is_alive;
	bool controller_is_stopped;
	bool restarts_program; /* an operator who starts the server again with the node */
	uint64_t beat_ns;
	uint64_t tick_ns;
	uint64_t sequence;
	uint64_t start_controller_ns; /* 0: no restart is planned */
	uint64_t start_standby_ns;
	uint64_t start_program_ns;
	bool arbiter_is_cut;
	uint64_t to_controller_ns; /* local messages keep their order */
	uint64_t to_planes_ns;
	struct tandem_machine_config config;
	struct tandem_machine machine;
	struct tandem_heartbeat_filter filter;
	struct program programs[CLUSTER_PROGRAMS];
	struct standby standby;
};

enum item_type {
	ITEM_TO_CONTROLLER, /* event */
	ITEM_TO_PLANE,      /* event.message, event.connection */
	ITEM_HEARTBEAT,     /* heartbeat, link */
	ITEM_READ,          /* at the register: then the answer is under way */
	ITEM_CAS,
	ITEM_LATE_CAS, /* nobody waits for its answer any more */
	ITEM_EPOCH,    /* program to standby: session, memory */
	ITEM_ACK,      /* standby to program */
};

struct item {
	enum item_type type;
	unsigned node; /* where it arrives */
	uint64_t due_ns;
	uint64_t life; /* of the controller that asked or is asked, 0: any */
	struct tandem_event event;
	struct tandem_heartbeat heartbeat;
	struct tandem_record expected, desired;
	uint64_t session;
	uint32_t memory;
};

struct chaos { /* of 1000 */
	unsigned loss, duplicate, doubt, fail, hang;
	uint64_t delay_max_ns;
};

struct cluster {
	uint64_t now_ns;
	uint64_t random;
	uint64_t number_last; /* connections, sessions, processes */
	struct node nodes[2];
	bool data_is_cut;
	bool beats_are_cut[2][CLUSTER_LINKS]; /* by sender and link */
	struct chaos chaos;
	struct tandem_record record;
	size_t item_count;
	struct item items[CLUSTER_ITEMS_MAX];
	uint32_t epoch_count;
	uint32_t parents[CLUSTER_EPOCHS_MAX];
	uint16_t depths[CLUSTER_EPOCHS_MAX];
	uint32_t published[CLUSTER_EPOCHS_MAX]; /* by depth */
	uint64_t publish_ns;                    /* the last */
	unsigned publish_count, take_over_count, pair_count, solo_count;
	char violation[400]; /* "" while all is well */
	size_t trace_length;
	char trace[CLUSTER_TRACE_BYTES];
	struct tandem_actions actions;
};

void cluster_init(struct cluster *cluster, uint64_t seed, enum tandem_arbiter_type arbiter);
/* Controllers and standbys of both nodes, the program of node a. */
void cluster_start(struct cluster *cluster);
void cluster_run(struct cluster *cluster, uint64_t duration_ns);
void cluster_feed(struct cluster *cluster, unsigned node, struct tandem_event *event);

void cluster_start_controller(struct cluster *cluster, unsigned node);
void cluster_kill_controller(struct cluster *cluster, unsigned node);
void cluster_start_standby(struct cluster *cluster, unsigned node);
void cluster_kill_standby(struct cluster *cluster, unsigned node);
/* With empty memory. */
void cluster_start_program(struct cluster *cluster, unsigned node);
void cluster_kill_programs(struct cluster *cluster, unsigned node);
void cluster_kill_node(struct cluster *cluster, unsigned node);
/* SIGSTOP and SIGCONT. */
void cluster_stop_node(struct cluster *cluster, unsigned node, bool is_stopped);
void cluster_cut_data(struct cluster *cluster, bool is_cut);
void cluster_cut_beats(struct cluster *cluster, bool is_cut);

/* planes.c: the data planes. */
void planes_step(struct cluster *cluster, unsigned node);
void planes_take(struct cluster *cluster, const struct item *item);
void planes_controller_ended(struct cluster *cluster, unsigned node);
void planes_end(struct cluster *cluster, unsigned node, struct process *process,
                enum tandem_control_kind kind);
void planes_close(struct cluster *cluster, unsigned node, uint64_t connection);
/* As a connection reset does: both ends know at once. */
void planes_break_sessions(struct cluster *cluster);
bool planes_leads_openly(const struct program *program);

/* cluster.c, for planes.c */
struct item *cluster_post(struct cluster *cluster, enum item_type type, unsigned node,
                          uint64_t delay_ns);
uint64_t cluster_draw(struct cluster *cluster, uint64_t below);
uint64_t cluster_delay(struct cluster *cluster);
/* A delay that ends after *last_ns, which it moves on. */
uint64_t cluster_delay_in_order(struct cluster *cluster, uint64_t *last_ns);
void cluster_publish(struct cluster *cluster, unsigned node, uint32_t memory);
void cluster_fail(struct cluster *cluster, const char *format, ...) TANDEM_PRINTF(2, 3);

#endif
