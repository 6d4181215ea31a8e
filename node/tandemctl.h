#ifndef TANDEM_NODE_TANDEMCTL_H
#define TANDEM_NODE_TANDEMCTL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <tandem/config.h>

/* The operator's tool. Each sub-command is a row of this table: its function, what follows its name
 * and the options that it takes; help, the check of the options and the nearest name come from it.
 */
#define TANDEMCTL_COMMAND_TABLE(X)                                                                 \
	X(status, "status", "", "pair watch exit-code json",                                       \
	  "who leads, who is in sync, what is waited for")                                         \
	X(events, "events", "", "pair follow json",                                                \
	  "every decision of this life of the controller, with its reason and evidence")           \
	X(yank, "yank", "PAIR", "json", "end everything that is blocked on the pair's session")    \
	X(promote, "promote", "PAIR", "generation json",                                           \
	  "the operator's word that this node leads")                                              \
	X(switchover, "switchover", "PAIR", "timeout json",                                        \
	  "hand over to the other node, in sync; waits until it leads")                            \
	X(resync, "resync", "PAIR", "timeout json",                                                \
	  "throw away what this node led and take a new copy; waits until it is in sync")          \
	X(protect, "protect", "PAIR", "timeout json",                                              \
	  "protect the virtual machine that runs on this node; waits until it is")                 \
	X(unprotect, "unprotect", "PAIR", "timeout json",                                          \
	  "end that: it goes on as before, and no other node goes on with it")                     \
	X(qemu_args, "qemu-args", "PAIR|SOCKET", "json",                                           \
	  "from a QEMU that runs, protect.command: what starts it on the other node")              \
	X(fence_ack, "fence-ack", "PAIR", "json",                                                  \
	  "the operator's word that the other node is off, where fencing it failed")               \
	X(force, "force-primary", "PAIR", "accept-data-loss json",                                 \
	  "lead with what this node has, whatever the other one held")                             \
	X(maintenance, "maintenance", "on|off PAIR", "json",                                       \
	  "stop and resume automatic take-over")                                                   \
	X(check, "check", "[FILE]", "live json",                                                   \
	  "test a configuration, and with --live what it names, and tell what each node needs")    \
	X(config, "config", "[FILE]", "example reference json",                                    \
	  "every value in effect and where it comes from; the annotated example; all keys")        \
	X(doctor, "doctor", "", "pair json",                                                       \
	  "whether the pairs of this node can run, and what to do when not")                       \
	X(keygen, "keygen", "FILE", "", "make a pair's key file, mode 0600; never overwrites")

/* With --exit-code `status` ends with: 0 every pair is protected, 1 one is not, 2 that cannot be
 * told. */
enum tandemctl_status {
	TANDEMCTL_OK = 0,
	TANDEMCTL_FAILED = 1,
	TANDEMCTL_USAGE = 2,
};

struct tandemctl {
	const char *path;          /* NULL: the default configuration */
	const char *node;          /* NULL: the host name */
	const char *run_directory; /* NULL: the node's */
	const char *pair;          /* --pair, or the argument */
	const char *file;          /* check, config, keygen */
	bool is_json;
	bool is_watch;
	bool is_exit_code;
	bool is_example;
	bool is_reference;
	bool accepts_data_loss;
	bool is_follow;
	bool is_live;
	bool has_timeout;
	bool has_generation;
	bool is_on;
	uint64_t generation;
	uint64_t timeout_seconds; /* how long an outcome is waited for; 0: not at all */
};

/* The sub-commands: an exit status. */
#define X(function, name, follows, options, purpose) int tandemctl_##function(struct tandemctl *);
TANDEMCTL_COMMAND_TABLE(X)
#undef X

/* tandemctl_help.c: `name` NULL for all of it. */
void tandemctl_help(const char *name, FILE *stream);

/* tandemctl_client.c: one request to the local controller. *ret_answer is the caller's
 * (json_object_put). Errors: TANDEM_E_SYSTEM (no controller), TANDEM_E_TIMEOUT, TANDEM_E_PROTOCOL
 * (no JSON), TANDEM_E_CONFIG (where the controller is is not known), TANDEM_E_REFUSED (it answers
 * that it will not; the reason is the detail). */
TANDEM_MUST_CHECK int tandemctl_ask(const struct tandemctl *tandemctl, struct json_object *request,
                                    struct json_object **ret_answer,
                                    struct tandem_error *reterr_error);
/* Says an error as text or, with --json, as an object; gives the exit status. */
int tandemctl_fail(const struct tandemctl *tandemctl, const struct tandem_error *error);

/* tandemctl_show.c: the answers for people. */
void tandemctl_show_status(struct json_object *answer);
/* "kv on node a: PROTECTED: ..." */
void tandemctl_show_headline(struct json_object *pair);
void tandemctl_show_event(struct json_object *event);

/* tandemctl_orders.c: the caller's. */
struct json_object *tandemctl_request_new(const struct tandemctl *tandemctl, const char *command);

struct tandem_doctor_finding;

/* tandemctl_doctor.c: one finding for people, and for programs. */
void tandemctl_finding_print(const struct tandem_doctor_finding *finding);
struct json_object *tandemctl_finding_object(const struct tandem_doctor_finding *finding);

/* tandemctl_needs.c: what a node needs, as lines. */
void tandemctl_needs(const struct tandem_config *config, const struct tandem_config_node *node,
                     void (*emit)(void *context, const char *line), void *context);
/* What is not wrong, but worth a thought. */
void tandemctl_notes(const struct tandem_config *config,
                     void (*emit)(void *context, const char *line), void *context);
/* This machine, as far as it matters: kernel, limits. */
void tandemctl_machine(void (*emit)(void *context, const char *line), void *context);

#endif
