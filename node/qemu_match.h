#ifndef TANDEM_NODE_QEMU_MATCH_H
#define TANDEM_NODE_QEMU_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>

#include "environment.h"

struct event_base;

/* Whether the QEMU of this node can go on with what the other node's guest is: tandem-qemu
 * --identity is asked for it at once, and again whenever the program's file or the configuration is
 * another one. A question that fails is asked again, ever later. With `tries` it is also started as
 * it would be to take over, and ended again, when this node is first asked whether it can
 * (tandem-qemu
 * --trial). */
struct tandem_qemu_match;

struct tandem_qemu_match_options {
	struct tandem_places places;
	bool tries;
	uint64_t look_ns;           /* from one look at the files to the next */
	uint64_t patience_ns;       /* with one question */
	uint64_t trial_wait_ns_max; /* from one that failed to the next */
	/* This node's QEMU is another one now, or known again; on the loop's thread. */
	void (*on_change)(void *argument);
	void *argument;
};

/* Borrows the texts. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_qemu_match_new(struct event_base *base,
                                            const struct tandem_qemu_match_options *options,
                                            struct tandem_qemu_match **ret_match,
                                            struct tandem_error *reterr_error);

/* 0, or the reason. Any thread; never blocks. Errors: TANDEM_E_UNSUPPORTED (it is another one than
 * `needs` says, or cannot be started), TANDEM_E_AGAIN (it has not answered yet, or a file is
 * another one since; its trial is not over yet). */
TANDEM_MUST_CHECK int tandem_qemu_match_judge(struct tandem_qemu_match *match, const char *needs,
                                              char *ret_reason, size_t reason_bytes);

/* Whether its last trial went well, and nothing that it was of has changed. Any thread. */
bool tandem_qemu_match_is_well(struct tandem_qemu_match *match);

/* It has ended although it should wait: it is tried again, and this node counts as one that cannot
 * until that went well. Any thread. */
void tandem_qemu_match_doubt(struct tandem_qemu_match *match);

/* A guest is about to run on this node: a trial that is under way is ended, and the next time that
 * this node is asked there is another one. Any thread. */
void tandem_qemu_match_forget_trial(struct tandem_qemu_match *match);

/* NULL is allowed. */
void tandem_qemu_match_free(struct tandem_qemu_match *match);

#endif
