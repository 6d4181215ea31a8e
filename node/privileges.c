#include "privileges.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Above the ordinary, below the kernel's own real-time threads. */
#define REAL_TIME_PRIORITY 10

static void raise_memory_lock(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

static bool is_real_time(void)
{
	int policy = sched_getscheduler(0);
	return policy == SCHED_RR || policy == SCHED_FIFO;
}

void tandem_privileges_take(struct tandem_privileges *ret_privileges)
{
	struct sched_param parameters = {.sched_priority = REAL_TIME_PRIORITY};
	raise_memory_lock();
	/* The unit file may have done it. Threads that ask the arbiter inherit it, on purpose: a
	 * decision waits for them. */
	if (!is_real_time())
		sched_setscheduler(0, SCHED_RR, &parameters);
	ret_privileges->is_real_time = is_real_time();
	ret_privileges->is_locked = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}
