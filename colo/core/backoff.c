#include "backoff.h"

#include <tandem/random.h>

uint64_t tandem_backoff_next(struct tandem_backoff *backoff)
{
	uint64_t pause_ns = backoff->pause_ns == 0 ? backoff->interval_ns : backoff->pause_ns;
	uint64_t doubled_ns = pause_ns > UINT64_MAX / 2 ? UINT64_MAX : 2 * pause_ns;
	uint64_t limit_ns = backoff->interval_max_ns > backoff->interval_ns
	                            ? backoff->interval_max_ns
	                            : backoff->interval_ns;

	backoff->pause_ns = doubled_ns < limit_ns ? doubled_ns : limit_ns;
	return pause_ns - tandem_random_next(&backoff->random) % (pause_ns / 2 + 1);
}

void tandem_backoff_reset(struct tandem_backoff *backoff)
{
	backoff->pause_ns = 0;
}
