#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "privileges.h"

#define NOBODY 65534

/* A lock that a limit would cut short later, in the middle of an allocation, is not taken. */
Test(privileges, memory_is_not_locked_under_a_limit)
{
	struct rlimit limit = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
	struct tandem_privileges privileges;
	cr_assert(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (geteuid() == 0)
		cr_assert(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	tandem_privileges_take(&privileges);
	cr_expect(!privileges.is_locked);
	cr_expect(strstr(privileges.lock_refusal, "8192 KiB") != NULL, "%s",
	          privileges.lock_refusal);
	cr_expect(strstr(privileges.lock_refusal, "LimitMEMLOCK=infinity") != NULL);
	void *room =
	        mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_expect(room != MAP_FAILED, "an allocation beyond the limit");
}

Test(privileges, locked_threads_have_short_stacks)
{
	struct tandem_privileges privileges;
	pthread_attr_t attributes;
	size_t stack_bytes = 0;
	tandem_privileges_take(&privileges);
	cr_assert(pthread_getattr_default_np(&attributes) == 0);
	cr_assert(pthread_attr_getstacksize(&attributes, &stack_bytes) == 0);
	cr_expect(privileges.is_locked == (privileges.lock_refusal[0] == 0), "%s",
	          privileges.lock_refusal);
	if (privileges.is_locked)
		cr_expect(stack_bytes <= 1 << 20, "%zu", stack_bytes);
}
