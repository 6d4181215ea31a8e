#ifndef TANDEM_TRANSPORT_RANGE_TABLE_H
#define TANDEM_TRANSPORT_RANGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* The ranges of memory that writes may read from. Pure. */
#define TANDEM_RANGES_MAX 512

struct tandem_range {
	const void *base;
	size_t length;
};

struct tandem_range_table {
	unsigned count;
	unsigned last_hit; /* writes come in runs, so the next one is mostly in the same range */
	struct tandem_range ranges[TANDEM_RANGES_MAX];
};

/* false when the table is full. */
bool tandem_range_table_add(struct tandem_range_table *table, const void *base, size_t length);
/* True when one range holds all `length` bytes. */
bool tandem_range_table_holds(struct tandem_range_table *table, const void *bytes, size_t length);

#endif
