#include "core/poll_pace.h"

void tandem_poll_pace_expect(struct tandem_poll_pace *pace, uint64_t now_ns, uint64_t poll_ns)
{
	pace->until_ns = now_ns + poll_ns;
}

bool tandem_poll_pace_may_poll(struct tandem_poll_pace *pace, uint64_t now_ns)
{
	if (now_ns >= pace->until_ns)
		return false;
	if (pace->skip_left == 0)
		return true;
	pace->skip_left--;
	pace->until_ns = 0; /* one expectation is left out once */
	return false;
}

void tandem_poll_pace_learn(struct tandem_poll_pace *pace, bool has_paid)
{
	if (has_paid)
		pace->skip = 0;
	else if (pace->skip == 0)
		pace->skip = TANDEM_POLL_PACE_SKIP_FIRST;
	else if (pace->skip < TANDEM_POLL_PACE_SKIP_MOST)
		pace->skip *= 2;
	pace->skip_left = pace->skip;
}
