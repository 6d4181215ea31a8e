#include <tandem/life.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <tandem/assert.h>
#include <unistd.h>

static _Thread_local struct robust_list entry;
static _Thread_local struct robust_list_head list;

void tandem_life_begin(_Atomic uint32_t *word)
{
	uint32_t thread_id = (uint32_t)syscall(SYS_gettid);
	entry.next = &list.list;
	list.futex_offset = (long)((intptr_t)word - (intptr_t)&entry);
	list.list_op_pending = NULL;
	list.list.next = &entry;
	/* It replaces the C library's list, which is empty in this thread. */
	if (syscall(SYS_set_robust_list, &list, sizeof(list)) == 0)
		atomic_store(word, thread_id | FUTEX_WAITERS);
}

void tandem_life_end(_Atomic uint32_t *word)
{
	list.list.next = &list.list;
	atomic_store(word, 0);
	tandem_life_wake(word);
}

enum tandem_life tandem_life_read(uint32_t value)
{
	if (value & FUTEX_OWNER_DIED)
		return TANDEM_LIFE_OVER;
	return (value & FUTEX_WAITERS) && (value & FUTEX_TID_MASK) ? TANDEM_LIFE_LIVES
	                                                           : TANDEM_LIFE_NONE;
}

void tandem_life_wake(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool tandem_life_wait(const _Atomic uint32_t *const *words, const uint32_t *values, unsigned count)
{
	struct futex_waitv waits[TANDEM_LIFE_WAITS_MAX];
	TANDEM_ASSERT(count <= TANDEM_LIFE_WAITS_MAX);
	for (unsigned i = 0; i < count; i++)
		waits[i] = (struct futex_waitv){
		        .val = values[i], .uaddr = (uintptr_t)words[i], .flags = FUTEX_32};
	long status = syscall(SYS_futex_waitv, waits, count, 0, NULL, 0);
	return status >= 0 || errno != ENOSYS;
}
