#ifndef TANDEM_RATE_H
#define TANDEM_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* At most so many of something in each second, and how many were too many: for lines of a log that
 * anybody on the network can provoke. Pure; all zero is the beginning. */
struct tandem_rate {
	uint64_t second_ns; /* when the running second began */
	unsigned taken_count;
	unsigned refused_count;
};

/* Whether one more is allowed now; it is counted either way. */
bool tandem_rate_take(struct tandem_rate *rate, unsigned per_second_max, uint64_t now_ns);
/* How many were refused since this was last asked; 0 while their second is running. */
unsigned tandem_rate_refused(struct tandem_rate *rate, uint64_t now_ns);

#endif
