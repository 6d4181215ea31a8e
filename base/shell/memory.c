#include <tandem/memory.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t call_count;
static _Atomic uint64_t fail_from; /* number of the first call that fails; 0 for none */

/* Counts this call and tells whether a test wants it to fail. */
static bool must_fail(void)
{
	uint64_t number = atomic_fetch_add(&call_count, 1) + 1;
	uint64_t from = atomic_load(&fail_from);
	return from != 0 && number >= from;
}

void tandem_memory_fail_from(uint64_t number)
{
	atomic_store(&fail_from, number == 0 ? 0 : atomic_load(&call_count) + number);
}

uint64_t tandem_memory_call_count(void)
{
	return atomic_load(&call_count);
}

void *tandem_memory_alloc(size_t size)
{
	return must_fail() ? NULL : calloc(1, size > 0 ? size : 1);
}

void *tandem_memory_alloc_array(size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return tandem_memory_alloc(total);
}

void tandem_memory_free(void *memory)
{
	free(memory);
}

/* 0 when it would overflow. */
static size_t round_up_to_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return size > SIZE_MAX - page ? 0 : (size + page - 1) / page * page;
}

void *tandem_memory_map(size_t size)
{
	size_t rounded = round_up_to_pages(size);
	if (must_fail() || rounded == 0)
		return NULL;
	void *memory =
	        mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void tandem_memory_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, round_up_to_pages(size));
}
