#include "core/range_table.h"

#include <stdint.h>

bool tandem_range_table_add(struct tandem_range_table *table, const void *base, size_t length)
{
	if (table->count == TANDEM_RANGES_MAX)
		return false;
	table->ranges[table->count++] = (struct tandem_range){.base = base, .length = length};
	return true;
}

static bool is_inside(const struct tandem_range *range, const void *bytes, size_t length)
{
	uintptr_t base = (uintptr_t)range->base;
	uintptr_t first = (uintptr_t)bytes;
	return first >= base && length <= range->length && first - base <= range->length - length;
}

bool tandem_range_table_holds(struct tandem_range_table *table, const void *bytes, size_t length)
{
	if (table->count > 0 && is_inside(&table->ranges[table->last_hit], bytes, length))
		return true;
	for (unsigned i = 0; i < table->count; i++) {
		if (is_inside(&table->ranges[i], bytes, length)) {
			table->last_hit = i;
			return true;
		}
	}
	return false;
}
