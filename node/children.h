#ifndef TANDEM_CHILDREN_H
#define TANDEM_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>
#include <tandem/standby.h>

#include "environment.h"

/* The programs that tandemd started on promotion. Any thread. */
#define TANDEM_CHILDREN_MAX 64

/* How to start the program of one pair; the texts are copied. */
struct tandem_child_options {
	struct tandem_places places;
	const char *command; /* for /bin/sh -c */
	/* Hands these variables to one that waits for them already, instead; 0: none does. May be
	 * NULL; in a take-over only. */
	pid_t (*go)(void *argument, const struct tandem_environment *environment);
	void *argument;
	uint64_t retry_ns; /* a program that fails this soon after the promotion is started again:
	                      the controller accepts the incarnation of the take-over once, so only
	                      one that never led gets another try */
};

/* Runs the command with the TANDEM_* variables of the activation and those of the places, and
 * remembers it for `standby`. `activation` NULL: it does not take over, but protects what runs on
 * this node. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_children_start(const struct tandem_child_options *options,
                                            const struct tandem_activation *activation,
                                            struct tandem_standby *standby,
                                            struct tandem_error *reterr_error);

/* One that has ended. */
struct tandem_child_end {
	struct tandem_standby *standby;
	int status;        /* as of waitpid(2) */
	bool was_promoted; /* it was started to take over */
	bool is_retried;
};

/* Reaps one that has ended; false when none has. */
bool tandem_children_reap(struct tandem_child_end *ret_end);

/* Starts again what is due; to be called now and then. */
void tandem_children_retry(void);

#endif
