#ifndef TANDEM_CONTROLLER_H
#define TANDEM_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/error.h>

/* The failover controller of one node, all its pairs, as a service on a libevent loop. It listens
 * for data planes on RUN_DIR/failoverd.sock and for the operator on RUN_DIR/admin.sock, sends and
 * receives heartbeats on a thread of their own, asks the arbiter, and decides (DESIGN section 5).
 */
#define TANDEM_CONTROLLER_LINKS_MAX        4
#define TANDEM_CONTROLLER_PAIRS_MAX        64
#define TANDEM_CONTROLLER_PATH_BYTES       96 /* directories; a socket name must still fit behind one */
#define TANDEM_CONTROLLER_KEY_BYTES        16
#define TANDEM_CONTROLLER_REFUSAL_BYTES    160
#define TANDEM_ADMIN_SOCKET                "admin.sock"
#define TANDEM_CONTROLLER_ENDPOINTS_MAX    7
#define TANDEM_CONTROLLER_URL_BYTES        96
#define TANDEM_CONTROLLER_FENCE_AGENTS_MAX 4
#define TANDEM_CONTROLLER_PARAMETERS_BYTES 384

struct event_base;

/* Where the register is. "Own": each node keeps records in a directory of its own, and they travel
 * in heartbeats; what makes a node lead alone there is somebody's word that the other one does not.
 */
enum tandem_arbiter_type {
	TANDEM_ARBITER_FILE = 1, /* a directory on storage that both nodes see; link(2) decides */
	TANDEM_ARBITER_MANUAL,   /* own; the operator's word */
	TANDEM_ARBITER_ETCD,     /* a key of an etcd cluster; one transaction decides */
	TANDEM_ARBITER_FENCE, /* own; the success of a command that switches the other node off */
	TANDEM_ARBITER_EXTERNAL, /* own; the word of a cluster manager */
};

/* What becomes of the memory of a node that led and was superseded: it may hold what no other node
 * does. */
enum tandem_rejoin {
	TANDEM_REJOIN_RESYNC,          /* it is thrown away, the node takes a copy */
	TANDEM_REJOIN_KEEP_AND_RESYNC, /* image files are kept aside first */
	TANDEM_REJOIN_MANUAL,          /* the node waits for the operator's `resync` */
};

/* One heartbeat path. Both ends send from the address and port that they receive on. Pairs may
 * share a local address and port. */
struct tandem_controller_link {
	char local_address[64]; /* numeric IPv4 or IPv6 */
	char peer_address[64];
	uint16_t local_port; /* 1..65535 */
	uint16_t peer_port;
};

/* Arbiter `etcd`. */
struct tandem_controller_etcd {
	char endpoints[TANDEM_CONTROLLER_ENDPOINTS_MAX][TANDEM_CONTROLLER_URL_BYTES]; /* http(s)://
	                                                                        HOST:PORT */
	size_t endpoint_count;                        /* 1..TANDEM_CONTROLLER_ENDPOINTS_MAX */
	char prefix[TANDEM_CONTROLLER_PATH_BYTES];    /* the pair's key is PREFIX/NAME */
	char ca_file[TANDEM_CONTROLLER_PATH_BYTES];   /* "": the system's authorities */
	char cert_file[TANDEM_CONTROLLER_PATH_BYTES]; /* "": none; with client_key_file */
	char client_key_file[TANDEM_CONTROLLER_PATH_BYTES];
	uint64_t request_timeout_ns; /* of one endpoint, then the next is asked; at most 250 ms */
};

/* Arbiter `fence`: one way to switch the peer's node off. */
struct tandem_controller_fence_agent {
	char agent[TANDEM_CONTROLLER_PATH_BYTES];            /* a path, or a name in /usr/sbin */
	char parameters[TANDEM_CONTROLLER_PARAMETERS_BYTES]; /* "key=value key=value"; `action` is
	                                                        added */
	uint64_t timeout_ns; /* off and status together; 100 ms..10 min */
	bool is_verified;    /* ask for the status after a success */
};

/* The operator's commands for /bin/sh -c, run after something was decided, in the order in which it
 * was, never two of a pair at once. No decision waits for them. */
#define TANDEM_HOOK_TABLE(X)                                                                       \
	X(LEAD, "on_lead")   /* this node leads now */                                             \
	X(STOP, "on_stop")   /* it does not lead any more, or not when the controller starts */    \
	X(STATE, "on_state") /* the pair's state on this node has changed */                       \
	X(ALARM, "on_alarm") /* an alarm was raised or is over */

enum tandem_hook {
#define X(name, text) TANDEM_HOOK_##name,
	TANDEM_HOOK_TABLE(X)
#undef X
	        TANDEM_HOOK_COUNT,
};

struct tandem_controller_hooks {
	const char *commands[TANDEM_HOOK_COUNT]; /* NULL or "": none; borrowed until
	                                            tandem_controller_free() */
	uint64_t timeout_ns;                     /* then the process group is killed */
};

struct tandem_controller_pair {
	char name[TANDEM_NAME_BYTES];
	char peer_node[TANDEM_NAME_BYTES];
	char first_owner[TANDEM_NAME_BYTES]; /* leads when the register was never written */
	struct tandem_controller_link links[TANDEM_CONTROLLER_LINKS_MAX];
	size_t link_count;              /* 1..TANDEM_CONTROLLER_LINKS_MAX */
	uint64_t heartbeat_interval_ns; /* 1 ms..10 s */
	uint32_t heartbeat_miss_count;  /* 2..1000; interval * count of silence is suspect */
	uint64_t hung_after_ns; /* a data plane whose process lives and that reports nothing this
	                           long counts as hung; at least the heartbeats' window */
	uint64_t solo_after_ns; /* session lost while the peer's controller lives */
	bool is_strict;         /* nothing leaves without a copy, but by the operator's word */
	enum tandem_rejoin rejoin;
	enum tandem_arbiter_type arbiter_type;
	char arbiter_path[TANDEM_CONTROLLER_PATH_BYTES]; /* made when missing; the pair's records
	                                                    are in PATH/NAME/ */
	uint64_t arbiter_timeout_ns;                     /* an older request counts as unanswered */
	struct tandem_controller_etcd etcd;
	/* How the peer's node is switched off, tried in this order. */
	struct tandem_controller_fence_agent fence_agents[TANDEM_CONTROLLER_FENCE_AGENTS_MAX];
	size_t fence_agent_count;    /* arbiter `fence`: 1..TANDEM_CONTROLLER_FENCE_AGENTS_MAX */
	uint64_t arbiter_poll_ns;    /* between readings of the register when nothing is urgent */
	uint64_t fencing_timeout_ns; /* arbiter `fence`: of all agents together, and 1 s for each */
	uint64_t fence_delay_ns;     /* arbiter `fence`: head start of the primary */
	uint64_t fence_timeout_ns;   /* of the standby, to fence its channels */
	uint64_t activate_timeout_ns; /* ACTIVATE to the promoted program's READY */
	uint64_t damper_window_ns;    /* at most damper_take_over_count automatic take-overs by */
	uint32_t damper_take_over_count; /* this node in any such window; 1..16 */
	/* Authenticates heartbeats; the same on both nodes. All zero is allowed and then protects
	 * against accidents only. */
	uint8_t key[TANDEM_CONTROLLER_KEY_BYTES];
	struct tandem_control_settings settings; /* handed to every data plane that attaches */
	struct tandem_controller_hooks hooks;
	uint64_t unprotected_after_ns; /* leading alone this long is an alarm */
};

#define TANDEM_CONTROLLER_PAIR_DEFAULT                                                             \
	((struct tandem_controller_pair){                                                          \
	        .heartbeat_interval_ns = UINT64_C(20000000),                                       \
	        .heartbeat_miss_count = 10,                                                        \
	        .solo_after_ns = UINT64_C(300000000),                                              \
	        .arbiter_type = TANDEM_ARBITER_FILE,                                               \
	        .arbiter_timeout_ns = UINT64_C(1000000000),                                        \
	        .etcd = {.request_timeout_ns = UINT64_C(250000000)},                               \
	        .arbiter_poll_ns = UINT64_C(500000000),                                            \
	        .fencing_timeout_ns = UINT64_C(60000000000),                                       \
	        .fence_delay_ns = UINT64_C(5000000000),                                            \
	        .fence_timeout_ns = UINT64_C(2000000000),                                          \
	        .activate_timeout_ns = UINT64_C(10000000000),                                      \
	        .damper_window_ns = UINT64_C(60000000000),                                         \
	        .damper_take_over_count = 3,                                                       \
	        .settings = TANDEM_CONTROL_SETTINGS_DEFAULT,                                       \
	        .hooks = {.timeout_ns = UINT64_C(10000000000)},                                    \
	        .unprotected_after_ns = UINT64_C(10000000000),                                     \
	})

struct tandem_controller_options {
	char node[TANDEM_NAME_BYTES];
	/* For sockets and PAIR.stats; made when missing, mode 0700. */
	char run_directory[TANDEM_CONTROLLER_PATH_BYTES];
	/* A device that resets this node when the controller does not run; "" for none. */
	char watchdog_path[TANDEM_CONTROLLER_PATH_BYTES];
	uint32_t watchdog_timeout_s;                /* 2..600 */
	const struct tandem_controller_pair *pairs; /* copied by tandem_controller_new() */
	size_t pair_count;                          /* 1..TANDEM_CONTROLLER_PAIRS_MAX */
	/* Where metrics are given; port 0: nowhere. The address is numeric. */
	char metrics_address[64];
	uint16_t metrics_port;
	/* For status: whether the program locked its memory, and why not. */
	bool is_memory_locked;
	char memory_lock_refusal[TANDEM_CONTROLLER_REFUSAL_BYTES];
	/* One line of each decision, for the program's log; may be NULL. `line` is borrowed for the
	 * call, which comes on the loop's thread. */
	void (*on_decision)(void *context, bool is_alarm, const char *line);
	void *context;
};

#define TANDEM_CONTROLLER_OPTIONS_DEFAULT ((struct tandem_controller_options){.pair_count = 0})

/* 0 or TANDEM_E_CONFIG with the pair, the field, the value seen and the value needed. Touches
 * nothing outside the struct. Any thread. */
TANDEM_MUST_CHECK int tandem_controller_options_validate(
        const struct tandem_controller_options *options, struct tandem_error *reterr_error);

struct tandem_controller;

/* Starts the service on `base` (borrowed until tandem_controller_free()); everything is decided
 * while that loop is dispatched, by its thread; while it is not, the heartbeats stop. Copies the
 * options. TANDEM_E_CONFIG as validate says; TANDEM_E_SYSTEM when a socket or directory cannot be
 * made or another controller runs on the same run directory; TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_controller_new(struct event_base *base,
                                            const struct tandem_controller_options *options,
                                            struct tandem_controller **ret_controller,
                                            struct tandem_error *reterr_error);

/* Why the heartbeats' thread has no real-time priority, with what it would need; "" when it has
 * one. Borrowed until the next call. */
const char *tandem_controller_real_time_refusal(struct tandem_controller *controller);

/* Ends it: data planes see their socket close, the peer silence; decides nothing. NULL is allowed.
 */
void tandem_controller_free(struct tandem_controller *controller);

#endif
