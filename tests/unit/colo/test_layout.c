#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/layout.h"

static struct tandem_region_table regions = {
        .count = 3,
        .entries = {{"heap", 33}, {"notes", 1}, {"index", 48}},
};

Test(layout, each_limit_is_kept)
{
	struct tandem_region_table table = regions;
	struct tandem_layout layout;

	cr_expect(tandem_layout_init(&layout, &table, 1, 16, 0));
	cr_expect(tandem_layout_init(&layout, &table, 16, 16, TANDEM_STATE_BYTES_LIMIT));
	cr_expect(!tandem_layout_init(&layout, &table, 0, 16, 0));
	cr_expect(!tandem_layout_init(&layout, &table, 17, 16, 0));
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, TANDEM_STATE_BYTES_LIMIT + 1));
	table.count = 0;
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0));
	table.count = TANDEM_REGIONS_MAX + 1;
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0));
	table.count = 3;
	table.entries[2].page_count = 0;
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0));
	table.entries[2].page_count = TANDEM_REGION_PAGES_MAX + 1;
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0));
	table.entries[2].page_count = TANDEM_REGION_PAGES_MAX;
	cr_expect(tandem_layout_init(&layout, &table, 4, 16, 0));
}

/* Names become files: nothing that leaves the directory, nothing twice. */
Test(layout, names_are_file_names)
{
	static const char *const wrong[] = {"", "a/b", "..", ".", "A", "state.blob", "a b", "heap"};
	struct tandem_region_table table = regions;
	struct tandem_layout layout;

	for (unsigned index = 0; index < sizeof wrong / sizeof *wrong; index++) {
		memset(table.entries[1].name, 0, TANDEM_NAME_BYTES);
		memcpy(table.entries[1].name, wrong[index], strlen(wrong[index]));
		cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0), "'%s'", wrong[index]);
	}
	memset(table.entries[1].name, 'a', TANDEM_NAME_BYTES);
	cr_expect(!tandem_layout_init(&layout, &table, 4, 16, 0), "a name without an end");
	table.entries[1].name[TANDEM_NAME_BYTES - 1] = '\0';
	cr_expect(tandem_layout_init(&layout, &table, 4, 16, 0));
}

Test(layout, a_stripe_is_of_one_region)
{
	static const unsigned sizes[] = {1, 3, 16, TANDEM_STRIPE_PAGES_MAX};
	struct tandem_layout layout;

	for (unsigned index = 0; index < sizeof sizes / sizeof *sizes; index++) {
		unsigned size = sizes[index];

		cr_assert(tandem_layout_init(&layout, &regions, 3, size, 0));
		cr_expect_eq(layout.page_count % size, 0);
		for (uint64_t page = 0; page < layout.page_count; page++)
			cr_expect_eq(tandem_layout_region(&layout, page),
			             tandem_layout_region(&layout, page - page % size));
	}
	cr_assert(tandem_layout_init(&layout, &regions, 3, 16, 0));
	cr_expect_eq(layout.page_count, 48 + 16 + 48);
	cr_expect_eq(tandem_layout_region(&layout, 47), 0);
	cr_expect_eq(tandem_layout_region(&layout, 48), 1);
	cr_expect_eq(tandem_layout_region(&layout, 64), 2);
	cr_expect(!tandem_layout_init(&layout, &regions, 3, 0, 0));
	cr_expect(!tandem_layout_init(&layout, &regions, 3, TANDEM_STRIPE_PAGES_MAX + 1, 0));
}

struct piece {
	uint64_t offset, length;
};

/* Everything that is written to the slots in two epochs that follow each other. */
Test(layout, slots_never_overlap)
{
	for (unsigned channels = 1; channels <= 16; channels++) {
		struct tandem_layout layout;
		struct piece pieces[2 * (1 + 2 * 16)];
		unsigned count = 0;

		cr_assert(tandem_layout_init(&layout, &regions, channels, 16, 5000));
		for (uint64_t epoch = 7; epoch <= 8; epoch++) {
			pieces[count++] =
			        (struct piece){tandem_layout_state_offset(&layout, epoch), 5000};
			for (unsigned channel = 0; channel < channels; channel++) {
				pieces[count++] = (struct piece){
				        tandem_layout_trailer_offset(&layout, epoch, channel), 96};
				pieces[count++] = (struct piece){
				        tandem_layout_runs_offset(&layout, epoch, channel),
				        layout.runs_max * TANDEM_RUN_BYTES};
			}
		}
		for (unsigned one = 0; one < count; one++) {
			cr_assert_leq(pieces[one].offset + pieces[one].length,
			              tandem_layout_slots_bytes(&layout));
			for (unsigned two = 0; two < one; two++)
				cr_assert(pieces[one].offset >=
				                  pieces[two].offset + pieces[two].length ||
				          pieces[two].offset >=
				                  pieces[one].offset + pieces[one].length);
		}
		cr_expect_eq(tandem_layout_state_offset(&layout, 9),
		             tandem_layout_state_offset(&layout, 7), "parity");
	}
}

Test(layout, tables_are_compared_by_what_they_say)
{
	struct tandem_region_table other = regions;

	other.entries[2].name[20] = 'x'; /* behind the end */
	cr_expect(tandem_region_table_equal(&regions, &other));
	other.entries[2].page_count++;
	cr_expect(!tandem_region_table_equal(&regions, &other));
	other = regions;
	other.entries[0].name[0] = 'H';
	cr_expect(!tandem_region_table_equal(&regions, &other));
	other = regions;
	other.count--;
	cr_expect(!tandem_region_table_equal(&regions, &other));
}
