#ifndef TANDEM_BACKOFF_H
#define TANDEM_BACKOFF_H

#include <stdint.h>

/* Pauses between attempts: each twice as long as the one before, up to a limit, and shortened by up
 * to half at random, so that those who lost their peer at the same moment do not come back in step.
 * Pure: `random` is the seed and the state. */
struct tandem_backoff {
	uint64_t interval_ns;     /* the first pause */
	uint64_t interval_max_ns; /* below interval_ns: pauses do not grow */
	uint64_t pause_ns;        /* the next one, before it is shortened; 0: the first */
	uint64_t random;
};

/* How long to wait now. */
uint64_t tandem_backoff_next(struct tandem_backoff *backoff);
/* An attempt has succeeded. */
void tandem_backoff_reset(struct tandem_backoff *backoff);

#endif
