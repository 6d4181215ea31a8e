#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Above the ordinary, below the kernel's own real-time threads and the heartbeats' one. */
#define REAL_TIME_PRIORITY 10

/* All of a stack is locked with its thread, so 8 MiB for each are too many. */
#define STACK_BYTES ((size_t)512 << 10)

static rlim_t raise_memory_lock(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		return RLIM_INFINITY;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_max;
}

static bool may_lock_all(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	if (syscall(SYS_capget, &header, data) != 0)
		return false;
	return data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK);
}

static void shorten_stacks(void)
{
	pthread_attr_t attributes;
	if (pthread_attr_init(&attributes) != 0)
		return;
	if (pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0)
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}

/* Under a limit the lock may succeed now and make an allocation fail later: rather none. */
static void lock_memory(struct tandem_privileges *privileges)
{
	rlim_t limit = raise_memory_lock();
	if (limit != RLIM_INFINITY && !may_lock_all()) {
		snprintf(privileges->lock_refusal, sizeof(privileges->lock_refusal),
		         "the limit is %llu KiB: it needs CAP_IPC_LOCK or LimitMEMLOCK=infinity",
		         (unsigned long long)limit / 1024);
		return;
	}
	shorten_stacks();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		privileges->is_locked = true;
	else
		snprintf(privileges->lock_refusal, sizeof(privileges->lock_refusal), "mlockall: %s",
		         strerrordesc_np(errno));
}

static bool is_real_time(void)
{
	int policy = sched_getscheduler(0);
	return policy == SCHED_RR || policy == SCHED_FIFO;
}

void tandem_privileges_take(struct tandem_privileges *ret_privileges)
{
	struct sched_param parameters = {.sched_priority = REAL_TIME_PRIORITY};
	*ret_privileges = (struct tandem_privileges){.is_locked = false};
	lock_memory(ret_privileges);
	/* The unit file may have done it. Threads that ask the arbiter inherit it, on purpose: a
	 * decision waits for them. */
	if (!is_real_time())
		sched_setscheduler(0, SCHED_RR, &parameters);
	ret_privileges->is_real_time = is_real_time();
}
