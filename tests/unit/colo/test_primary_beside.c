#include <criterion/criterion.h>
#include <string.h>

#include "core/primary.h"

/* The push beside an open epoch, and the budget. Exactness is for tests/random. */

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct tandem_primary core;
static struct tandem_primary_actions actions;

static void step(const struct tandem_primary_event *event)
{
	tandem_primary_step(&core, event, &actions);
}

static void tell(enum tandem_primary_event_type type, uint64_t now_ns)
{
	step(&(struct tandem_primary_event){
	        .type = type, .now_ns = now_ns, .is_done = true, .channel_mask = 7});
}

static void hear(enum tandem_wire_type type, uint64_t epoch, uint64_t now_ns)
{
	const struct tandem_wire_message message = {.type = type,
	                                            .generation = core.generation,
	                                            .epoch = epoch,
	                                            .secondary_incarnation = 2,
	                                            .primary_incarnation = 1};

	step(&(struct tandem_primary_event){
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = now_ns, .message = &message});
}

static void scanned(uint64_t now_ns, uint64_t left_pages)
{
	step(&(struct tandem_primary_event){.type = TANDEM_PRIMARY_ON_SCANNED,
	                                    .now_ns = now_ns,
	                                    .elapsed_ns = MS,
	                                    .left_pages = left_pages,
	                                    .is_small = true});
}

static void sliced(uint64_t now_ns, uint64_t pages, uint64_t left_pages, bool is_done)
{
	step(&(struct tandem_primary_event){.type = TANDEM_PRIMARY_ON_SLICED,
	                                    .now_ns = now_ns,
	                                    .elapsed_ns = MS,
	                                    .pages = pages,
	                                    .left_pages = left_pages,
	                                    .is_done = is_done});
}

static const struct tandem_primary_action *action_of(enum tandem_primary_action_type type)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == type)
			return &actions.items[index];
	}
	return NULL;
}

static bool does(enum tandem_primary_action_type type)
{
	return action_of(type) != NULL;
}

static void lead(uint64_t generation, bool is_pair)
{
	step(&(struct tandem_primary_event){.type = TANDEM_PRIMARY_ON_LEAD,
	                                    .now_ns = SECOND,
	                                    .generation = generation,
	                                    .is_pair = is_pair});
}

/* PAIR, an epoch is open since one second; passes every 10 ms. */
static void begin(struct tandem_primary_options options)
{
	memcpy(options.pair, "p", 2);
	options.incarnation = 1;
	options.channel_count = 3;
	options.stripe_pages = 16;
	options.connect_timeout_ns = 100 * SECOND;
	options.commit_timeout_ns = 100 * SECOND;
	options.ping_interval_ns = 100 * SECOND;
	options.reconnect_interval_ns = SECOND;
	options.first_epoch = 1;
	options.copy_passes_max = 8;
	options.push_interval_ns = 10 * MS;
	options.regions = (struct tandem_region_table){.count = 1, .entries = {{"a", 1}}};
	tandem_primary_init(&core, &options);
	lead(1, false);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND);
	tell(TANDEM_PRIMARY_ON_SESSION_UP, SECOND);
	hear(TANDEM_WIRE_WELCOME, 0, SECOND);
	scanned(SECOND, 0);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	scanned(SECOND, 0);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	hear(TANDEM_WIRE_COMMITTED, 1, SECOND);
	hear(TANDEM_WIRE_APPLIED, 1, SECOND);
	lead(2, true);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_OPEN);
}

/* The next pass has been scanned. */
static void begin_pass(uint64_t now_ns, uint64_t left_pages)
{
	tell(TANDEM_PRIMARY_ON_TICK, now_ns);
	cr_assert(does(TANDEM_PRIMARY_DO_SCAN));
	scanned(now_ns, left_pages);
}

Test(primary_beside, passes_are_made_at_an_interval)
{
	begin((struct tandem_primary_options){.first_epoch = 1});
	cr_expect_eq(tandem_primary_deadline_ns(&core), SECOND + 10 * MS);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 9 * MS);
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN));
	begin_pass(SECOND + 10 * MS, 100);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE));
	sliced(SECOND + 11 * MS, 60, 40, false);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 11 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE));
	sliced(SECOND + 12 * MS, 40, 0, true);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 12 * MS);
	cr_expect_eq(actions.count, 0);
	begin_pass(SECOND + 22 * MS, 0);
	cr_expect_eq(actions.count, 0, "nothing to push");
	cr_expect_eq(tandem_primary_deadline_ns(&core), SECOND + 32 * MS);
}

Test(primary_beside, a_checkpoint_ends_the_pass)
{
	begin((struct tandem_primary_options){.first_epoch = 1});
	begin_pass(SECOND + 10 * MS, 100);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 11 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_SCANNING);
	sliced(SECOND + 12 * MS, 10, 90, false);
	cr_expect_eq(actions.count, 0);
	scanned(SECOND + 12 * MS, 90);
	cr_expect(does(TANDEM_PRIMARY_DO_PUSH));
}

Test(primary_beside, a_quiesced_program_is_left_alone)
{
	begin((struct tandem_primary_options){.first_epoch = 1});
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND + MS);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 60 * MS);
	cr_expect_eq(actions.count, 0);
}

/* 40,960,000 bytes a second: a page in 100 us. */
Test(primary_beside, slices_keep_below_the_rate)
{
	begin((struct tandem_primary_options){.first_epoch = 1, .push_rate_max = 40960000});
	begin_pass(SECOND + 10 * MS, 100);
	sliced(SECOND + 11 * MS, 50, 50, false);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 15 * MS);
	cr_expect_eq(actions.count, 0);
	cr_expect_eq(tandem_primary_deadline_ns(&core), SECOND + 16 * MS);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 16 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE));
	sliced(SECOND + 17 * MS, 50, 0, true);
	cr_expect_eq(tandem_primary_deadline_ns(&core), SECOND + 32 * MS);
}

static void begin_budget(bool slows)
{
	begin((struct tandem_primary_options){
	        .first_epoch = 1,
	        .slows_program = slows,
	        .pace = {.budget_ns = 14 * MS / 3, .wait_max_ns = 500 * MS}});
	/* 3.5 ms are for what is expected. A page takes 10 us: what fits beside the scan is 250. */
	core.pace.push_page_ps = 10000000;
	core.pace.scan_ns = MS;
	begin_pass(SECOND + 10 * MS, 1000);
	cr_assert(!tandem_primary_can_checkpoint(&core, SECOND + 10 * MS));
}

Test(primary_beside, a_checkpoint_is_put_off_until_it_fits)
{
	begin_budget(false);
	sliced(SECOND + 11 * MS, 100, 900, true);
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 11 * MS));
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 11 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN), "the next pass is made at once");
	scanned(SECOND + 12 * MS, 900);
	sliced(SECOND + 13 * MS, 900, 0, true);
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 13 * MS));
	cr_expect_gt(tandem_primary_deadline_ns(&core), SECOND + 13 * MS);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 13 * MS);
	cr_expect_eq(core.misfit_count, 0);
}

/* 250 pages fit. */
Test(primary_beside, who_has_asked_gets_the_first_moment_that_fits)
{
	uint64_t hold_ns;

	begin_budget(false);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 10 * MS, &hold_ns));
	cr_expect_eq(hold_ns, 0, "the interval grows instead");
	sliced(SECOND + 11 * MS, 990, 10, false);
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 11 * MS), "in mid-pass");
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 11 * MS);
	cr_expect_eq(actions.count, 0, "nothing begins that it would wait for");
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 13 * MS + MS / 2);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE), "it has not come");
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 13 * MS + MS / 2),
	          "it would wait for the slice");
	sliced(SECOND + 14 * MS, 10, 0, true);
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 30 * MS),
	          "by then more is likely to be written");
}

Test(primary_beside, a_yes_holds_for_a_moment)
{
	uint64_t hold_ns;

	begin_budget(false);
	core.pace.written_per_ns = 0; /* nobody writes any more */
	sliced(SECOND + 10 * MS, 1000, 0, true);
	cr_assert_eq(tandem_primary_deadline_ns(&core), SECOND + 20 * MS);
	cr_expect(tandem_primary_ask_checkpoint(&core, SECOND + 20 * MS - 1, &hold_ns));
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 20 * MS);
	cr_expect_eq(actions.count, 0);
	cr_expect(tandem_primary_ask_checkpoint(&core, SECOND + 20 * MS + 1, &hold_ns));
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 20 * MS + 300000);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN), "not for ever");
}

Test(primary_beside, who_asks_and_writes_too_much_is_held)
{
	uint64_t hold_ns;

	begin_budget(true);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 100 * MS, &hold_ns));
	cr_expect_eq(hold_ns, 0);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 126 * MS, &hold_ns));
	cr_expect_eq(hold_ns, 4 * MS - MS / 2);
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND + 127 * MS);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 127 * MS, &hold_ns));
	cr_expect_eq(hold_ns, 0, "no epoch begins");
}

Test(primary_beside, who_is_held_fits_once_its_pages_are_pushed)
{
	uint64_t hold_ns;

	begin_budget(true);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 126 * MS, &hold_ns));
	cr_assert_gt(hold_ns, 0);
	tandem_primary_hold(&core, SECOND + 126 * MS, true);
	sliced(SECOND + 127 * MS, 1000, 0, true);
	begin_pass(SECOND + 128 * MS, 900);
	sliced(SECOND + 129 * MS, 900, 0, true);
	cr_expect(tandem_primary_ask_checkpoint(&core, SECOND + 160 * MS, &hold_ns));
	tandem_primary_hold(&core, SECOND + 160 * MS, false);
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 190 * MS, &hold_ns),
	          "it writes again");
}

/* The next epoch is open, and the one before not applied. */
static void commit_in_budget(void)
{
	begin_budget(false);
	sliced(SECOND + 10 * MS, 1000, 0, true);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 10 * MS);
	scanned(SECOND + 10 * MS, 0);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND + 10 * MS);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND + 10 * MS);
	hear(TANDEM_WIRE_COMMITTED, 2, SECOND + 10 * MS);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_OPEN);
}

Test(primary_beside, with_a_budget_no_pause_meets_the_apply_before)
{
	commit_in_budget();
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 10 * MS));
	cr_expect(tandem_primary_puts_off(&core, SECOND + 10 * MS));
	hear(TANDEM_WIRE_APPLIED, 2, SECOND + 10 * MS);
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 10 * MS));
	commit_in_budget();
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 509 * MS));
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 510 * MS),
	          "whenever the next look is");
}

Test(primary_beside, who_has_asked_gets_the_moment_when_the_epoch_before_is_applied)
{
	uint64_t hold_ns;

	commit_in_budget();
	begin_pass(SECOND + 20 * MS, 100);
	core.pace.written_per_ns = 0; /* nobody writes any more */
	cr_expect(!tandem_primary_ask_checkpoint(&core, SECOND + 20 * MS, &hold_ns));
	sliced(SECOND + 21 * MS, 50, 50, false);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 21 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE), "it has no use for a moment yet");
	sliced(SECOND + 22 * MS, 20, 30, false);
	hear(TANDEM_WIRE_APPLIED, 2, SECOND + 22 * MS);
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 22 * MS));
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + 22 * MS);
	cr_expect_eq(actions.count, 0, "nothing begins that it would wait for");
}

Test(primary_beside, an_overloaded_program_gets_a_long_pause_in_the_end)
{
	begin_budget(false);
	sliced(SECOND + 400 * MS, 100, 900, false);
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND + 400 * MS));
	sliced(SECOND + 500 * MS, 100, 900, false);
	cr_expect(tandem_primary_can_checkpoint(&core, SECOND + 500 * MS));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 501 * MS);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_SCANNING);
	cr_expect_eq(core.misfit_count, 1);
}

/* Not even hot pages are left alone then: nobody writes. */
Test(primary_beside, an_overloaded_program_is_held_until_it_fits)
{
	begin_budget(true);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 11 * MS);
	cr_expect_eq(actions.count, 0);
	sliced(SECOND + 11 * MS, 900, 0, true);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN, "what it wrote since the scan is unknown");
	begin_pass(SECOND + 12 * MS, 900);
	cr_assert(does(TANDEM_PRIMARY_DO_SLICE));
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_SLICE)->hot_max, 0);
	sliced(SECOND + 13 * MS, 800, 100, true);
	cr_assert(does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect(action_of(TANDEM_PRIMARY_DO_SCAN)->was_slowing);
	cr_expect_eq(core.misfit_count, 0);
	begin_budget(true);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 11 * MS);
	tell(TANDEM_PRIMARY_ON_SESSION_LOST, SECOND + 12 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME), "there is nothing to wait for");
	begin_budget(true);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND + 11 * MS);
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND + 12 * MS);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
}
