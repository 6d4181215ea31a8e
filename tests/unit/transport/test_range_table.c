#include <criterion/criterion.h>

#include <stdint.h>

#include "core/range_table.h"

static struct tandem_range_table table;
static uint8_t memory[1000];

Test(range_table, empty_holds_nothing)
{
	cr_assert(!tandem_range_table_holds(&table, memory, 1));
}

Test(range_table, a_range_holds_what_lies_inside)
{
	cr_assert(tandem_range_table_add(&table, memory + 100, 200));
	cr_assert(tandem_range_table_add(&table, memory + 500, 100));
	for (unsigned pass = 0; pass < 2; pass++) { /* also after a hit elsewhere */
		cr_assert(tandem_range_table_holds(&table, memory + 100, 200));
		cr_assert(tandem_range_table_holds(&table, memory + 299, 1));
		cr_assert(tandem_range_table_holds(&table, memory + 500, 100));
		cr_assert(!tandem_range_table_holds(&table, memory + 99, 2));
		cr_assert(!tandem_range_table_holds(&table, memory + 299, 2));
		cr_assert(!tandem_range_table_holds(&table, memory + 300, 1));
		cr_assert(!tandem_range_table_holds(&table, memory + 100, SIZE_MAX));
		cr_assert(!tandem_range_table_holds(&table, memory + 599, 2));
	}
}

Test(range_table, full_is_said)
{
	for (unsigned i = 0; i < TANDEM_RANGES_MAX; i++)
		cr_assert(tandem_range_table_add(&table, memory + i, 1));
	cr_assert(!tandem_range_table_add(&table, memory, 1));
	cr_assert(tandem_range_table_holds(&table, memory + TANDEM_RANGES_MAX - 1, 1));
}
