#ifndef TANDEM_FAILOVER_ARBITER_H
#define TANDEM_FAILOVER_ARBITER_H

#include <tandem/controller.h>
#include <tandem/histogram.h>

#include "core/machine.h"
#include "core/record.h"

/* The register of one pair, of any kind; what it is asked never stops the loop. Requests are
 * carried out in the order asked; an answer comes on the loop, never from within a call, or not at
 * all when storage never answers. */
struct event_base;
struct tandem_arbiter;

struct tandem_arbiter_answer {
	enum tandem_event_type type; /* RECORD, READ_FAILED, CAS_... */
	uint64_t request;
	struct tandem_record record; /* RECORD, CAS_LOST */
	struct tandem_error error;   /* READ_FAILED, CAS_FAILED, CAS_DOUBT */
};

#define TANDEM_FENCE_RESULT_TABLE(X)                                                               \
	X(SUCCEEDED, "succeeded")                                                                  \
	X(ACKNOWLEDGED, "acknowledged") /* the operator's word instead */                          \
	X(REFUTED, "refuted")           /* "done", but the status said "on" */                     \
	X(FAILED, "failed")                                                                        \
	X(LATE, "late")

enum tandem_fence_result {
#define X(name, text) TANDEM_FENCE_##name,
	TANDEM_FENCE_RESULT_TABLE(X)
#undef X
	        TANDEM_FENCE_RESULT_COUNT,
};

/* For the operator. */
struct tandem_arbiter_report {
	struct tandem_histogram round_trips_ns;     /* of what was answered, without fencing */
	char endpoint[TANDEM_CONTROLLER_URL_BYTES]; /* etcd: that answered last */
	uint64_t fence_counts[TANDEM_FENCE_RESULT_COUNT]; /* runs of agents */
	char fence_last[256];                             /* what came of the last fencing */
};

typedef void (*tandem_arbiter_answer_fn)(void *context, const struct tandem_arbiter_answer *answer);

/* Directories: records are in PATH/PAIR/. A register that is older than what this node has seen, as
 * kept in `run_directory`, is not believed. `base` is borrowed until tandem_arbiter_free(). */
TANDEM_MUST_CHECK int tandem_arbiter_new(struct event_base *base,
                                         const struct tandem_controller_pair *pair,
                                         const char *run_directory,
                                         tandem_arbiter_answer_fn on_answer, void *context,
                                         struct tandem_arbiter **ret_arbiter,
                                         struct tandem_error *reterr_error);
void tandem_arbiter_read(struct tandem_arbiter *arbiter, uint64_t request);
/* `needs_fence`: arbiter `fence` answers WON only after the peer's node was switched off. */
void tandem_arbiter_cas(struct tandem_arbiter *arbiter, uint64_t request,
                        const struct tandem_record *expected, const struct tandem_record *desired,
                        bool needs_fence);
/* The operator saw that the peer's node is off: the fencing that is under way counts as done. */
void tandem_arbiter_acknowledge(struct tandem_arbiter *arbiter);
/* Registers of each node's own: the peer says that it wrote this. No answer. */
void tandem_arbiter_adopt(struct tandem_arbiter *arbiter, const struct tandem_record *record);
/* Borrowed until tandem_arbiter_free(). */
const struct tandem_arbiter_report *tandem_arbiter_report(const struct tandem_arbiter *arbiter);
/* Returns at once: a thread that hangs in storage frees what it holds when the storage returns.
 * NULL is allowed. */
void tandem_arbiter_free(struct tandem_arbiter *arbiter);

#endif
