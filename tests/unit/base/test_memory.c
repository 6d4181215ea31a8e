#include <criterion/criterion.h>

#include <tandem/memory.h>
#include <string.h>
#include <unistd.h>

Test(memory, is_zeroed)
{
	uint8_t *memory = tandem_memory_alloc(1000);
	uint8_t zeros[1000] = {0};
	cr_assert_arr_eq(memory, zeros, 1000);
	tandem_memory_free(memory);
	tandem_memory_free(NULL);
}

Test(memory, an_array_that_overflows_is_null)
{
	cr_assert_null(tandem_memory_alloc_array(SIZE_MAX / 2, 3));
	void *memory = tandem_memory_alloc_array(3, 5);
	cr_assert_not_null(memory);
	tandem_memory_free(memory);
}

Test(memory, mapped_memory_is_page_aligned_and_zero)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = tandem_memory_map(page + 1);
	cr_assert_eq((uintptr_t)memory % page, 0);
	cr_assert_eq(memory[2 * page - 1], 0);
	memory[2 * page - 1] = 1;
	tandem_memory_unmap(memory, page + 1);
	tandem_memory_unmap(NULL, page);
	cr_assert_null(tandem_memory_map(SIZE_MAX));
}

Test(memory, fails_from_the_asked_call_on)
{
	uint64_t before = tandem_memory_call_count();
	tandem_memory_fail_from(2);
	void *first = tandem_memory_alloc(1);
	cr_assert_not_null(first);
	cr_assert_null(tandem_memory_alloc(1));
	cr_assert_null(tandem_memory_map(1));
	cr_assert_null(tandem_memory_alloc_array(1, 1));
	tandem_memory_fail_from(0);
	void *last = tandem_memory_alloc(1);
	cr_assert_not_null(last);
	cr_assert_eq(tandem_memory_call_count() - before, 5);
	tandem_memory_free(first);
	tandem_memory_free(last);
}
