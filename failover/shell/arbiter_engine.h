#ifndef TANDEM_FAILOVER_ARBITER_ENGINE_H
#define TANDEM_FAILOVER_ARBITER_ENGINE_H

#include "shell/arbiter.h"

/* What is behind arbiter.h: one engine for each kind of register. All calls and answers are on the
 * loop's thread. An engine is a struct that begins with struct tandem_arbiter_engine. */
struct tandem_arbiter_engine;

struct tandem_arbiter_engine_type {
	void (*read)(struct tandem_arbiter_engine *engine, uint64_t request);
	void (*cas)(struct tandem_arbiter_engine *engine, uint64_t request,
	            const struct tandem_record *expected, const struct tandem_record *desired,
	            bool needs_fence);
	void (*acknowledge)(struct tandem_arbiter_engine *engine); /* NULL: it fences nothing */
	/* NULL: the register is not kept by each node */
	void (*adopt)(struct tandem_arbiter_engine *engine, const struct tandem_record *record);
	void (*free)(struct tandem_arbiter_engine *engine);
};

struct tandem_arbiter_engine {
	const struct tandem_arbiter_engine_type *type;
};

struct tandem_arbiter_setup {
	struct event_base *base;                   /* borrowed until the engine is freed */
	const struct tandem_controller_pair *pair; /* this and the next are borrowed for the call */
	const char *run_directory;
	tandem_arbiter_answer_fn on_answer; /* never from within a call of the engine */
	void *context;
	struct tandem_arbiter_report *report; /* borrowed until freed; the engine adds to it */
};

typedef int tandem_arbiter_engine_new(const struct tandem_arbiter_setup *setup,
                                      struct tandem_arbiter_engine **ret_engine,
                                      struct tandem_error *reterr_error);

/* arbiter_file.c: a directory, for `file`, `manual` and `external`. */
TANDEM_MUST_CHECK tandem_arbiter_engine_new tandem_arbiter_file_new;
/* arbiter_etcd.c */
TANDEM_MUST_CHECK tandem_arbiter_engine_new tandem_arbiter_etcd_new;
/* arbiter_fence.c */
TANDEM_MUST_CHECK tandem_arbiter_engine_new tandem_arbiter_fence_new;

#endif
