#ifndef TANDEM_TESTS_STUCK_FLOOD_H
#define TANDEM_TESTS_STUCK_FLOOD_H

#include <pthread.h>
#include <stdatomic.h>

#include "pair.h"

/* A thread that owns a pair's connecting session and writes at full rate on every channel until the
 * session is lost. Channel c writes to its own part of the memory only. */

#define FLOOD_CONTENT 0x5a

struct flood {
	struct pair *pair;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t is_changed;
	unsigned quiet_turn_count; /* of the last turns, those that could post nothing */
	unsigned lost_count;
	uint64_t lost_ns;
	struct tandem_error error;
	struct tandem_session_event event; /* the thread's */
	atomic_bool may_end;               /* goes on after LOST until then */
};

/* 0, or -1 where no thread can be had. The session is the thread's from then on. */
int flood_start(struct flood *flood, struct pair *pair);
/* Waits at most until then for LOST: 0, or -1. */
int flood_wait_lost(struct flood *flood, uint64_t deadline_ns);
/* Waits at most until then for the queues to stay full: 0, or -1. */
int flood_wait_full(struct flood *flood, uint64_t deadline_ns);
/* The session is the caller's again. What is not lost is yanked. */
void flood_end(struct flood *flood);

/* The part of the memory that a channel writes to. */
size_t flood_part_bytes(const struct pair *pair);

#endif
