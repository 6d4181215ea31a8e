#ifndef TANDEM_NODE_PRIVILEGES_H
#define TANDEM_NODE_PRIVILEGES_H

#include <stdbool.h>

/* What a controller wants of the system so that it decides in time, and what it got. */
struct tandem_privileges {
	bool is_real_time; /* SCHED_RR, of the loop and of what it starts */
	bool is_locked;    /* its memory is there and cannot be swapped out */
	char lock_refusal[160];
};

/* Takes what it can get; nothing here is an error. Before threads start. */
void tandem_privileges_take(struct tandem_privileges *ret_privileges);

#endif
