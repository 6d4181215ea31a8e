#ifndef TANDEM_DEAD_MAN_H
#define TANDEM_DEAD_MAN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <tandem/error.h>

/* A kernel timer that ends this process with SIGKILL, stopped or not, unless it is set anew in time
 * (timer_create(2)). It counts the time of a suspended machine, too. It is not inherited by a child
 * and not kept over exec(2), and a process that the kernel holds in uninterruptible sleep ends when
 * that ends. */
struct tandem_dead_man {
	timer_t timer;
	bool is_open;
	uint64_t end_ns; /* of tandem_clock_now_ns(); 0: not armed */
};

TANDEM_MUST_CHECK int tandem_dead_man_open(struct tandem_dead_man *dead_man,
                                           struct tandem_error *reterr_error);
/* Moves the end on; an end that is not later than the one in force, or is past, changes nothing.
 * Returns whether an end in the future is in force. */
bool tandem_dead_man_arm(struct tandem_dead_man *dead_man, uint64_t end_ns);
void tandem_dead_man_disarm(struct tandem_dead_man *dead_man);
void tandem_dead_man_close(struct tandem_dead_man *dead_man);

#endif
