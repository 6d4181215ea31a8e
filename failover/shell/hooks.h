#ifndef TANDEM_FAILOVER_HOOKS_H
#define TANDEM_FAILOVER_HOOKS_H

#include <event2/event.h>

#include "core/machine.h"
#include "shell/script.h"

/* The operator's commands of one pair. What was decided is put into a queue of fixed size; the
 * commands are started behind the step that decided it, one at a time. One that failed is told and
 * not tried again. One thread. */
#define TANDEM_HOOKS_PENDING_MAX 32

enum tandem_hook_result {
	TANDEM_HOOK_DONE,
	TANDEM_HOOK_FAILED,
	TANDEM_HOOK_RESULT_COUNT,
};

struct tandem_hook_call {
	enum tandem_hook hook;
	enum tandem_state from;
	enum tandem_state to;
	uint64_t generation;
	const char *reason; /* a literal */
	enum tandem_alarm alarm;
	bool is_raised;
};

struct tandem_hooks_options {
	struct event_base *base;
	const struct tandem_machine_config *config; /* borrowed until tandem_hooks_close() */
	/* What came of a command; `line` is borrowed for the call. */
	void (*on_end)(void *context, bool is_failure, const char *line);
	void *context;
};

struct tandem_hooks {
	struct tandem_hooks_options options;
	bool is_lead_known; /* whether this node leads */
	bool is_leading;
	struct tandem_hook_call last; /* the last change of state */
	struct tandem_hook_call pending[TANDEM_HOOKS_PENDING_MAX];
	size_t pending_count;
	struct event *start; /* of the next one */
	struct tandem_hook_call call;
	struct tandem_script *script; /* of `call`, NULL: none runs */
	uint64_t counts[TANDEM_HOOK_COUNT][TANDEM_HOOK_RESULT_COUNT];
};

TANDEM_MUST_CHECK int tandem_hooks_open(struct tandem_hooks *hooks,
                                        const struct tandem_hooks_options *options,
                                        struct tandem_error *reterr_error);
/* A command that runs is killed, what waits is forgotten. Half-opened ones are fine. */
void tandem_hooks_close(struct tandem_hooks *hooks);
/* A decision or an alarm. */
void tandem_hooks_note(struct tandem_hooks *hooks, const struct tandem_note *note);
/* After each step: whether this node leads. */
void tandem_hooks_follow(struct tandem_hooks *hooks, const struct tandem_machine *machine);
const char *tandem_hook_name(enum tandem_hook hook);

#endif
