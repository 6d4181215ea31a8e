#ifndef TANDEM_FAILOVER_FENCE_PROCESS_H
#define TANDEM_FAILOVER_FENCE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

/* One run of a fence agent: a program that reads `key=value` lines and does what `action` says. Its
 * end, or that of its time, is an event of the loop. */
#define TANDEM_FENCE_LINE_BYTES 120

struct event_base;
struct tandem_fence_process;

struct tandem_fence_end {
	bool is_late;     /* its time was over; the whole process group was killed */
	int signal;       /* that ended it, 0: it exited */
	int status;       /* exit status */
	const char *line; /* the last one of its error output, made printable; borrowed */
};

typedef void (*tandem_fence_end_fn)(void *context, const struct tandem_fence_end *end);

/* `parameters`: "key=value key=value"; `action` is added. The end is told once, from the loop, soon
 * after `timeout_ns` at the latest; the process is freed before that. */
TANDEM_MUST_CHECK int tandem_fence_process_start(struct event_base *base, const char *agent,
                                                 const char *parameters, const char *action,
                                                 uint64_t timeout_ns, tandem_fence_end_fn on_end,
                                                 void *context,
                                                 struct tandem_fence_process **ret_process,
                                                 struct tandem_error *reterr_error);
/* Its end is told soon. */
void tandem_fence_process_kill(struct tandem_fence_process *process);
/* Kills it, and its end is not told. NULL is allowed. */
void tandem_fence_process_free(struct tandem_fence_process *process);

#endif
