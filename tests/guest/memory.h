#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "workload.h"

/* The workload's pages in the guest's own memory, with the header and places that an observer
 * finds. Single-threaded: between two calls no page is half written. */

struct memory_fault {
	uint64_t page;
	uint64_t version;
	unsigned word;
	uint64_t expected;
	uint64_t found;
};

struct memory {
	struct workload_header *header;
	uint64_t (*pages)[WORKLOAD_WORDS];
	uint64_t cursor; /* of the checks */
	uint64_t checked_count;
	uint64_t wrong_count;
	void (*on_wrong)(void *argument, const struct memory_fault *fault);
	void *argument;
};

/* False, with errno, when the memory is not there. /proc has to be mounted. */
bool memory_make(struct memory *memory, const struct workload *workload, uint64_t life);

/* Writes the next pages, each of which is checked first. */
void memory_write(struct memory *memory, uint64_t count);

/* Checks the next pages, round and round. */
void memory_check(struct memory *memory, uint64_t count);

#endif
