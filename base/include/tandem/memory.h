#ifndef TANDEM_MEMORY_H
#define TANDEM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* The only allocator of the project: zeroed memory or NULL, counted, and failing on demand in
 * tests. Any thread. */
void *tandem_memory_alloc(size_t size);
void *tandem_memory_alloc_array(size_t count, size_t size); /* NULL on overflow too */
void tandem_memory_free(void *memory);                      /* NULL is allowed */

/* Zeroed, page-aligned anonymous memory; `size` is rounded up to pages. Free with the same size. */
void *tandem_memory_map(size_t size);
void tandem_memory_unmap(void *memory, size_t size);

/* Test hook: the call number `number` from now (1 is the next) and every later one fail; 0 ends it.
 */
void tandem_memory_fail_from(uint64_t number);
/* Calls of tandem_memory_alloc and tandem_memory_map so far, to learn how many a story makes. */
uint64_t tandem_memory_call_count(void);

#endif
