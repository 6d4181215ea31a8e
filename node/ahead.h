#ifndef TANDEM_NODE_AHEAD_H
#define TANDEM_NODE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>

#include "environment.h"

struct event_base;

/* The program that would take over, started ahead of that (tandem-qemu --ahead): its QEMU has the
 * files of the copy that this node holds, and waits for its guest. There is one while there is a
 * copy and it is wanted; it ends with this process. */
struct tandem_ahead;

struct tandem_ahead_options {
	struct tandem_places places;
	uint64_t look_ns;   /* from one look whether it is wanted to the next */
	uint64_t linger_ns; /* from its end to that of all that it started, at most */
	bool (*is_wanted)(void *argument);
	/* It has ended by itself, and is started again ever later. Both on the loop's thread. */
	void (*on_failure)(void *argument);
	void *argument;
};

/* Borrows the texts. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_ahead_new(struct event_base *base,
                                       const struct tandem_ahead_options *options,
                                       struct tandem_ahead **ret_ahead,
                                       struct tandem_error *reterr_error);

/* A copy is there: see tandem_standby_options. Any thread; copies. */
void tandem_ahead_take_copy(struct tandem_ahead *ahead, const char *image_directory,
                            const void *state, size_t state_bytes);
/* It is given up: when this returns nobody has its files, or a second has passed. Any thread. */
void tandem_ahead_drop_copy(struct tandem_ahead *ahead);

/* Is it still wanted? It is looked by itself, too; this is for a moment that may not be missed. One
 * that is not is killed, and its end is not waited for: there is no other one before that, or
 * before linger_ns have passed. On the
 * loop's thread. */
void tandem_ahead_look(struct tandem_ahead *ahead);

/* Tells it to take over, with these variables, also one that has just been started; from then on it
 * is a child like any other. 0: there is none. Any thread. */
pid_t tandem_ahead_go(struct tandem_ahead *ahead, const struct tandem_environment *environment);

/* NULL is allowed. */
void tandem_ahead_free(struct tandem_ahead *ahead);

#endif
