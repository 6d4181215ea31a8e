#ifndef TANDEM_CONFIG_H
#define TANDEM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/error.h>
#include <tandem/mac.h>

/* The one configuration file of a cluster, the same on every node. conf/core/schema.h has every key
 * with its limits and its reason; tandem.conf.example and docs/configuration.md are made from it.
 * Everything here may be called from any thread, a loaded configuration does not change. */
#define TANDEM_CONFIG_PATH_DEFAULT   "/etc/tandem/tandem.conf"
#define TANDEM_CONFIG_NODES_MAX      128
#define TANDEM_CONFIG_PAIRS_MAX      64
#define TANDEM_CONFIG_HEARTBEATS_MAX 4
#define TANDEM_CONFIG_RAILS_MAX      (TANDEM_CONTROL_RAILS_MAX - 1) /* beside the address */
#define TANDEM_CONFIG_ADDRESS_BYTES  64 /* as in struct tandem_control_settings */
#define TANDEM_CONFIG_PATH_BYTES     81 /* a socket name must still fit behind a directory */
#define TANDEM_CONFIG_COMMAND_BYTES  1024
#define TANDEM_CONFIG_GUEST_BYTES    8192 /* the command line of a virtual machine */
#define TANDEM_CONFIG_GATES_MAX      8    /* of its network cards */
#define TANDEM_CONFIG_NETWORK_BYTES  384  /* its gates */
#define TANDEM_CONFIG_FENCES_MAX     4
#define TANDEM_CONFIG_WORDS_BYTES    384
#define TANDEM_CONFIG_ENDPOINTS_MAX  7
#define TANDEM_CONFIG_URL_BYTES      96

struct tandem_config_heartbeat {
	char address[TANDEM_CONFIG_ADDRESS_BYTES];
	uint16_t port;
};

struct tandem_config_fence {
	char agent[TANDEM_CONFIG_PATH_BYTES];
	char parameters[TANDEM_CONFIG_WORDS_BYTES];
	uint64_t timeout_ns;
	bool is_verified;
};

struct tandem_config_node {
	char name[TANDEM_NAME_BYTES];
	char address[TANDEM_CONFIG_ADDRESS_BYTES]; /* numeric; the other nodes reach it there */
	/* Further data addresses: see tandem_config_rail(). */
	char rails[TANDEM_CONFIG_RAILS_MAX][TANDEM_CONFIG_ADDRESS_BYTES];
	size_t rail_count;
	uint16_t port; /* of its tandemd, on all of them */
	char run_directory[TANDEM_CONFIG_PATH_BYTES];
	char image_directory[TANDEM_CONFIG_PATH_BYTES];
	char watchdog[TANDEM_CONFIG_PATH_BYTES]; /* "" for none */
	uint32_t watchdog_timeout_s;
	struct tandem_config_heartbeat heartbeats[TANDEM_CONFIG_HEARTBEATS_MAX];
	uint16_t metrics_port; /* 0: none */
	char metrics_address[TANDEM_CONFIG_ADDRESS_BYTES];
	size_t heartbeat_count; /* at least 1; link i of a node talks to link i of its peer */
	struct tandem_config_fence fences[TANDEM_CONFIG_FENCES_MAX]; /* how it is switched off */
	size_t fence_count;
};

struct tandem_config_arbiter {
	char type[16];                       /* "file", "etcd", "fence", "manual", "external" */
	char path[TANDEM_CONFIG_PATH_BYTES]; /* see tandem_config_arbiter_path() */
	uint64_t timeout_ns;
	uint64_t poll_interval_ns;
	/* etcd */
	char endpoints[TANDEM_CONFIG_ENDPOINTS_MAX][TANDEM_CONFIG_URL_BYTES];
	size_t endpoint_count;
	char prefix[TANDEM_CONFIG_PATH_BYTES];
	char ca_file[TANDEM_CONFIG_PATH_BYTES]; /* "" for none, as the next two */
	char cert_file[TANDEM_CONFIG_PATH_BYTES];
	char client_key_file[TANDEM_CONFIG_PATH_BYTES];
	uint64_t request_timeout_ns;
	uint64_t fence_delay_ns; /* see tandem_config_fence_delay_ns() */
};

/* What is run for a pair with a group protect, to protect and to take over. */
#define TANDEM_CONFIG_GUEST_COMMAND                                                                \
	"exec \"$TANDEM_BIN_DIR/tandem-qemu\" --config \"$TANDEM_CONFIG\" --node "                 \
	"\"$TANDEM_NODE\" --pair \"$TANDEM_PAIR\""

struct tandem_config_promote {
	char command[TANDEM_CONFIG_COMMAND_BYTES]; /* for /bin/sh -c */
	uint64_t timeout_ns;                       /* start to "regions are attached" */
};

/* A virtual machine; none where `type` is "". */
struct tandem_config_protect {
	char type[8];                              /* "qemu" */
	char qmp[TANDEM_CONFIG_PATH_BYTES];        /* "" for none: see tandem_config_qmp() */
	char network[TANDEM_CONFIG_NETWORK_BYTES]; /* "ungated", or gates with blanks between */
	char command[TANDEM_CONFIG_GUEST_BYTES];   /* for /bin/sh -c */
	char memory[16];                           /* "auto", "stream" or "shared" */
	char disks[16];                            /* "refused", "shared" or "replicated" */
	uint64_t interval_ns;
	uint64_t pause_limit_ns;
	bool is_untested_allowed;
};

/* Commands for /bin/sh -c; "" for none. */
struct tandem_config_hooks {
	char on_lead[TANDEM_CONFIG_COMMAND_BYTES];
	char on_stop[TANDEM_CONFIG_COMMAND_BYTES];
	char on_state[TANDEM_CONFIG_COMMAND_BYTES];
	char on_alarm[TANDEM_CONFIG_COMMAND_BYTES];
	uint64_t timeout_ns; /* of each run */
};

struct tandem_config_pair {
	char name[TANDEM_NAME_BYTES];
	char nodes[2][TANDEM_NAME_BYTES]; /* the first one is the first owner */
	char provider[16];
	char tracker[16];
	char capture[16]; /* "stop", "stage" or "auto" */
	uint64_t staging_mib;
	uint64_t push_interval_ns;  /* 0: nothing is pushed between checkpoints */
	uint64_t push_rate_max_mib; /* a second; 0: no limit */
	uint64_t pause_budget_ns;   /* 0: none */
	uint64_t overload_wait_ns;
	char on_overload[16]; /* "grow" or "slow" */
	uint16_t channel_count;
	uint16_t write_depth;
	uint32_t merge_bytes_max;
	uint64_t poll_ns;
	uint32_t verify_every; /* epochs; 0: never */
	uint32_t state_bytes_max;
	uint64_t connect_timeout_ns;
	uint64_t commit_timeout_ns;
	uint64_t ping_interval_ns;
	uint64_t reconnect_interval_ns;
	uint64_t reconnect_interval_max_ns;
	uint64_t solo_after_ns;
	uint64_t lease_ns;  /* 0: output is gated */
	char mode[16];      /* "available" or "strict" */
	char on_rejoin[16]; /* "resync", "keep-and-resync" or "manual" */
	uint64_t fence_timeout_ns;
	char heartbeat_profile[16];
	uint64_t hung_after_ns;         /* likewise */
	uint64_t heartbeat_interval_ns; /* of the profile where the file names one */
	uint32_t heartbeat_miss_count;
	uint32_t take_over_count_max; /* in take_over_window_ns, then the operator decides */
	uint64_t take_over_window_ns;
	char key_file[TANDEM_CONFIG_PATH_BYTES]; /* "" for none */
	bool is_insecure;                        /* no key, and that is known */
	struct tandem_config_arbiter arbiter;
	struct tandem_config_promote promote;
	struct tandem_config_protect protect;
	struct tandem_config_hooks hooks;
	uint64_t unprotected_after_ns;
};

struct tandem_config {
	char path[512]; /* what was loaded */
	char cluster[TANDEM_NAME_BYTES];
	struct tandem_config_node nodes[TANDEM_CONFIG_NODES_MAX];
	size_t node_count;
	struct tandem_config_pair pairs[TANDEM_CONFIG_PAIRS_MAX];
	size_t pair_count;
};

/* What is wrong with a file: all of it, not only the first. */
struct tandem_config_mistake {
	unsigned line;  /* 0 when it belongs to no line */
	char where[96]; /* "pairs[0].channels" */
	char text[384]; /* value seen, value needed, nearest known name, why */
};

struct tandem_config_mistakes {
	struct tandem_config_mistake *list; /* by line */
	size_t count;
	size_t capacity;
	size_t lost_count; /* found but not kept: no memory */
};

#define TANDEM_CONFIG_MISTAKES_NONE ((struct tandem_config_mistakes){.list = NULL})

/* Reads and checks `path`. *ret_config is the caller's, freed by tandem_config_free(). Errors:
 * TANDEM_E_SYSTEM (the file cannot be read: missing, a directory, larger than 1 MiB),
 * TANDEM_E_CONFIG (mistakes in it: the first one is in the error, all are in `mistakes`),
 * TANDEM_E_MEMORY. `mistakes` is cleared first; the caller frees it with
 * tandem_config_mistakes_clear(); NULL is allowed. */
TANDEM_MUST_CHECK int tandem_config_load(const char *path, struct tandem_config **ret_config,
                                         struct tandem_config_mistakes *mistakes,
                                         struct tandem_error *reterr_error);

/* The same with the file's text in memory; `path` is only named. */
TANDEM_MUST_CHECK int tandem_config_load_text(const char *path, const char *text, size_t length,
                                              struct tandem_config **ret_config,
                                              struct tandem_config_mistakes *mistakes,
                                              struct tandem_error *reterr_error);

struct tandem_config *tandem_config_free(struct tandem_config *config); /* NULL is allowed */
void tandem_config_mistakes_clear(struct tandem_config_mistakes *mistakes);

/* "FILE:LINE: WHERE: TEXT" */
void tandem_config_mistake_format(const char *path, const struct tandem_config_mistake *mistake,
                                  char *text, size_t text_bytes);

/* ---- who is who; results are borrowed from `config` ---- */

/* `name` NULL: this machine's host name, whole or up to its first dot. TANDEM_E_CONFIG with the
 * known names in the detail. */
TANDEM_MUST_CHECK int tandem_config_node(const struct tandem_config *config, const char *name,
                                         const struct tandem_config_node **ret_node,
                                         struct tandem_error *reterr_error);
/* NULL when there is none of this name. */
const struct tandem_config_pair *tandem_config_pair(const struct tandem_config *config,
                                                    const char *name);
bool tandem_config_serves(const struct tandem_config_node *node,
                          const struct tandem_config_pair *pair);
/* The other node of the pair; NULL when `node` is none of its two. */
const struct tandem_config_node *tandem_config_peer(const struct tandem_config *config,
                                                    const struct tandem_config_node *node,
                                                    const struct tandem_config_pair *pair);

/* The addresses that carry data, `address` first; rail i of a node talks to rail i of its peer. */
size_t tandem_config_rail_count(const struct tandem_config_node *node);
const char *tandem_config_rail(const struct tandem_config_node *node, size_t index);

/* ---- conversions ---- */

/* What a data plane of `node` needs to serve `pair`; reads the key file. TANDEM_E_USAGE when the
 * node is none of the pair's; TANDEM_E_CONFIG as tandem_config_key(). */
TANDEM_MUST_CHECK int tandem_config_settings(const struct tandem_config *config,
                                             const struct tandem_config_node *node,
                                             const struct tandem_config_pair *pair,
                                             struct tandem_control_settings *ret_settings,
                                             struct tandem_error *reterr_error);

/* The arbiter's directory as `node` sees it: unless the type is "file" it is the node's own, below
 * the configured one. TANDEM_E_CONFIG when it gets longer than `path_bytes`. */
TANDEM_MUST_CHECK int tandem_config_arbiter_path(const struct tandem_config_node *node,
                                                 const struct tandem_config_pair *pair,
                                                 char *ret_path, size_t path_bytes,
                                                 struct tandem_error *reterr_error);

/* Where QEMU's control socket is on `node`. TANDEM_E_CONFIG when it gets longer than `path_bytes`.
 */
TANDEM_MUST_CHECK int tandem_config_qmp(const struct tandem_config_node *node,
                                        const struct tandem_config_pair *pair, char *ret_path,
                                        size_t path_bytes, struct tandem_error *reterr_error);

/* The longest that switching off `node` may take: all its ways up to their timeouts. */
uint64_t tandem_config_fencing_ns(const struct tandem_config_node *node);
/* How long the secondary waits before it has the primary fenced: the file's, or the longest that
 * fencing either node may take. */
uint64_t tandem_config_fence_delay_ns(const struct tandem_config *config,
                                      const struct tandem_config_pair *pair);

/* Silence of the peer after which it is suspect. */
uint64_t tandem_config_detect_ns(const struct tandem_config_pair *pair);

/* The pair's secret, from `key_file`; all zero when the pair has none. TANDEM_E_CONFIG when the
 * file cannot be read, is not its reader's or root's, is open to others, or does not hold 32 hex
 * digits; the detail has what was seen, what is needed and the command that mends it. */
TANDEM_MUST_CHECK int tandem_config_key(const struct tandem_config_pair *pair,
                                        struct tandem_key *ret_key,
                                        struct tandem_error *reterr_error);
/* Makes `path`, mode 0600, with a key drawn by the kernel. TANDEM_E_SYSTEM: it exists (it is never
 * overwritten), or cannot be written. */
TANDEM_MUST_CHECK int tandem_config_key_make(const char *path, struct tandem_error *reterr_error);
bool tandem_config_has_key(const struct tandem_config_pair *pair);

/* ---- what is in effect, and why ---- */

enum tandem_config_origin {
	TANDEM_CONFIG_FROM_FILE,    /* `line` */
	TANDEM_CONFIG_FROM_DEFAULT, /* of the schema */
	TANDEM_CONFIG_FROM_PROFILE, /* heartbeat_profile says it; `line` of that, 0 if it is the
	                               default too */
};

/* One value; all is borrowed for the call. */
struct tandem_config_value {
	const char *where; /* "pairs[0].channels" */
	const char *key;   /* "channels" */
	const char *text;  /* for people: "1.5 s", "64 KiB", "4", "10.0.0.1" */
	bool is_number;    /* then `number` is it, in the file's unit (the key's name ends in it) */
	bool is_flag;      /* then `number` is 0 or 1 */
	uint64_t number;
	enum tandem_config_origin origin;
	unsigned line;
};

/* Reads `path` as tandem_config_load() does and gives every value in the order of the schema. */
TANDEM_MUST_CHECK int tandem_config_explain(
        const char *path, void (*emit)(void *context, const struct tandem_config_value *value),
        void *context, struct tandem_config_mistakes *mistakes, struct tandem_error *reterr_error);

/* ---- texts made from the schema ---- */

/* The annotated example, and the reference table as Markdown; `emit` gets one line a call, without
 * its newline, borrowed for the call. */
void tandem_config_example(void (*emit)(void *context, const char *line), void *context);
void tandem_config_reference(void (*emit)(void *context, const char *line), void *context);

/* The word of `words` (ends with NULL) that `word` was most likely meant to be; NULL when none is
 * near. Borrowed from `words`. Pure. */
const char *tandem_config_nearest(const char *word, const char *const *words);

#endif
