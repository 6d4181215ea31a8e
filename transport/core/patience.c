#include "core/patience.h"

#define NS_PER_US UINT64_C(1000)

/* Before anything is known, and the least that is worth a try. */
#define FIRST_NS (20 * NS_PER_US)
#define LEAST_NS (5 * NS_PER_US)

/* Asking once takes less than a microsecond, interrupts a few: longer is somebody else's turn. What
 * is slept through then are waits, of which a small epoch has one. */
#define TAKEN_NS   (50 * NS_PER_US)
#define REST_COUNT 4

/* What a wake-up adds to the answer: one that comes within this many times the longest span would
 * have been met by it. */
#define NEAR_FACTOR 2

static uint64_t lesser(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

void tandem_patience_init(struct tandem_patience *patience, uint64_t max_ns)
{
	*patience = (struct tandem_patience){.max_ns = max_ns, .span_ns = lesser(FIRST_NS, max_ns)};
}

void tandem_patience_renew(struct tandem_patience *patience)
{
	patience->since_ns = 0;
}

void tandem_patience_begin(struct tandem_patience *patience, uint64_t now_ns)
{
	if (patience->since_ns == 0)
		patience->since_ns = now_ns;
	patience->asked_ns = now_ns;
}

static void halve(struct tandem_patience *patience)
{
	patience->span_ns = patience->span_ns / 2 < LEAST_NS ? 0 : patience->span_ns / 2;
}

bool tandem_patience_goes_on(struct tandem_patience *patience, uint64_t now_ns)
{
	if (patience->rest_count > 0)
		return false;
	if (now_ns - patience->asked_ns > TAKEN_NS) {
		patience->rest_count = REST_COUNT;
		return false;
	}
	patience->asked_ns = now_ns;
	return now_ns - patience->since_ns < patience->span_ns;
}

/* The longest span, if not even that was enough, is given up at once: half of it would be, too. */
static void learn(struct tandem_patience *patience, uint64_t waited_ns)
{
	if (waited_ns <= patience->span_ns)
		return;
	if (waited_ns > NEAR_FACTOR * patience->max_ns)
		halve(patience);
	else if (patience->span_ns < patience->max_ns)
		patience->span_ns =
		        lesser(patience->span_ns < LEAST_NS ? LEAST_NS : 2 * patience->span_ns,
		               patience->max_ns);
	else
		patience->span_ns = 0;
}

void tandem_patience_end(struct tandem_patience *patience, uint64_t now_ns)
{
	if (patience->since_ns == 0)
		return;
	if (patience->rest_count > 0)
		patience->rest_count--;
	else
		learn(patience, now_ns - patience->since_ns);
	patience->since_ns = 0;
}
