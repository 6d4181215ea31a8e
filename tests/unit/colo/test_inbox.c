#include <criterion/criterion.h>
#include <string.h>

#include <tandem/crc32c.h>

#include "shell/inbox.h"

static struct tandem_inbox inbox;
static struct tandem_trailer trailer;
static struct tandem_error error;
static const struct tandem_region_table regions = {.count = 1, .entries = {{"a", 64}}};

static void begin(void)
{
	struct tandem_layout layout;

	cr_assert(tandem_layout_init(&layout, &regions, 2, 16, 100));
	cr_assert_eq(tandem_inbox_init(&inbox, &layout, NULL), 0);
}

static uint8_t *runs_of(unsigned channel, uint64_t epoch)
{
	return inbox.slots + tandem_layout_runs_offset(&inbox.layout, epoch, channel);
}

/* Writes what an honest primary writes: one run, and on the lowest channel a blob. */
static void write_slots(unsigned channel, uint64_t epoch, uint64_t page)
{
	struct tandem_run run = {.first_page = page, .page_count = 2, .kind = TANDEM_RUN_DATA};
	uint8_t *blob = inbox.slots + tandem_layout_state_offset(&inbox.layout, epoch);

	trailer = (struct tandem_trailer){.generation = 1,
	                                  .epoch = epoch,
	                                  .channel = channel,
	                                  .mask = 3,
	                                  .run_count = 1,
	                                  .data_pages = 2,
	                                  .state_bytes = 5};
	memcpy(blob, "state", 5);
	trailer.state_crc = tandem_crc32c(0, "state", 5);
	tandem_run_encode(&run, runs_of(channel, epoch));
	trailer.run_crc = tandem_crc32c(0, runs_of(channel, epoch), TANDEM_RUN_BYTES);
}

static int take(unsigned channel, uint32_t immediate)
{
	struct tandem_trailer taken;

	tandem_trailer_encode(&trailer, inbox.slots + tandem_layout_trailer_offset(
	                                                      &inbox.layout, immediate, channel));
	return tandem_inbox_take(&inbox, channel, immediate, &taken, &error);
}

Test(inbox, both_lists_are_applied_in_full)
{
	const struct tandem_run *run;

	begin();
	write_slots(0, 4, 0);
	cr_assert_eq(take(0, 4), 0);
	write_slots(1, 4, 18);
	cr_assert_eq(take(1, 4), 0);
	cr_expect_null(tandem_inbox_next_run(&inbox), "not committed yet");
	tandem_inbox_commit(&inbox);
	memset(inbox.slots, 0xff, inbox.slots_bytes); /* the copy is private (4.5) */
	run = tandem_inbox_next_run(&inbox);
	cr_expect_eq(run->first_page, 0);
	run = tandem_inbox_next_run(&inbox);
	cr_expect_eq(run->first_page, 18);
	cr_expect_null(tandem_inbox_next_run(&inbox));
	cr_expect_eq(inbox.committed.state_bytes, 5);
	cr_expect_eq(memcmp(inbox.committed.state, "state", 5), 0);
	tandem_inbox_done(&inbox, false);
}

Test(inbox, what_was_forgotten_is_not_committed_later)
{
	begin();
	write_slots(0, 4, 0);
	cr_assert_eq(take(0, 4), 0);
	tandem_inbox_forget(&inbox);
	write_slots(1, 5, 18);
	cr_assert_eq(take(1, 5), 0);
	tandem_inbox_commit(&inbox);
	cr_expect_eq(tandem_inbox_next_run(&inbox)->first_page, 18);
	cr_expect_null(tandem_inbox_next_run(&inbox));
	cr_expect_eq(inbox.committed.state_bytes, 0, "channel 0 brings it");
	tandem_inbox_done(&inbox, false);
}

enum fault {
	NO_CHANNEL,
	IMMEDIATE,
	MORE_RUNS,
	MORE_STATE,
	RUN_CRC,
	DATA_PAGES,
	STATE_CRC,
	OUTSIDE,
	ORDER,
	TWO_LISTS,
	TWICE,
	FAULTS,
};

static int take_faulty(enum fault fault)
{
	struct tandem_run run = {.first_page = 64, .page_count = 1, .kind = TANDEM_RUN_DATA};

	tandem_inbox_forget(&inbox);
	if (fault == TWO_LISTS || fault == TWICE) {
		unsigned first = fault == TWICE ? 0 : 1;

		write_slots(first, 4, fault == TWICE ? 20 : 1);
		if (take(first, 4) != 0)
			return 0;
		inbox.sealing.mask = fault == TWICE ? 1 : 2;
	}
	write_slots(0, 4, 0);
	trailer.run_count = fault == MORE_RUNS ? (uint32_t)inbox.layout.runs_max + 1
	                    : fault == ORDER   ? 2
	                                       : 1;
	trailer.state_bytes = fault == MORE_STATE ? 101 : 5;
	trailer.run_crc ^= fault == RUN_CRC;
	trailer.data_pages += fault == DATA_PAGES;
	trailer.state_crc ^= fault == STATE_CRC;
	if (fault == OUTSIDE)
		tandem_run_encode(&run, runs_of(0, 4));
	if (fault == ORDER)
		memcpy(runs_of(0, 4) + TANDEM_RUN_BYTES, runs_of(0, 4), TANDEM_RUN_BYTES);
	if (fault == OUTSIDE || fault == ORDER)
		trailer.run_crc =
		        tandem_crc32c(0, runs_of(0, 4), trailer.run_count * TANDEM_RUN_BYTES);
	if (fault == NO_CHANNEL)
		return tandem_inbox_take(&inbox, 2, 4, &trailer, &error);
	trailer.epoch += fault == IMMEDIATE ? 2 : 0;
	return take(0, 4);
}

Test(inbox, every_fault_is_named_and_nothing_is_kept)
{
	begin();
	for (unsigned fault = 0; fault < FAULTS; fault++) {
		error.detail[0] = '\0';
		cr_expect_eq(take_faulty((enum fault)fault), TANDEM_E_PROTOCOL, "%u", fault);
		cr_expect(strstr(error.detail, "channel") != NULL, "%u", fault);
		if (fault < TWO_LISTS)
			cr_expect_eq(inbox.sealing.mask, 0);
	}
	tandem_inbox_done(&inbox, false);
}

/* 4.5: whoever is the lowest of the mask brings the blob. */
Test(inbox, the_blob_comes_with_the_lowest_channel_of_the_mask)
{
	begin();
	write_slots(1, 4, 18);
	trailer.mask = 2;
	cr_assert_eq(take(1, 4), 0);
	tandem_inbox_commit(&inbox);
	cr_expect_eq(inbox.committed.state_bytes, 5);
	tandem_inbox_done(&inbox, false);
}

/* [C24]: an epoch that FENCED has aborted may list the same pages again. */
Test(inbox, what_was_discarded_may_be_listed_again)
{
	begin();
	write_slots(0, 4, 0);
	cr_assert_eq(take(0, 4), 0);
	tandem_inbox_discard(&inbox);
	cr_expect_eq(inbox.sealing.mask, 0);
	write_slots(1, 5, 0);
	trailer.mask = 2;
	cr_assert_eq(take(1, 5), 0);
	tandem_inbox_commit(&inbox);
	write_slots(0, 6, 0);
	cr_expect_eq(take(0, 6), 0, "nor does a committed one bar them");
	tandem_inbox_done(&inbox, false);
}
