#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/random.h>

#include "core/primary.h"

/* The primary's core with a program, a link and a standby that are made of numbers: does the budget
 * of a pause hold, and does every checkpoint come? Figures as measured with two processors that
 * program, engine and standby share. */

#define US     UINT64_C(1000)
#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

#define REGION_PAGES   524288.0
#define SCAN_NS        1200000.0
#define REARM_NS       150.0 /* a page that was written, */
#define COPY_NS        450.0 /* staged */
#define SEND_NS        1700.0
#define SHARED_SEND_NS 2400.0 /* and pushed, while nobody else and while the program writes */
#define FAULT_NS       1900.0 /* what a program that never waits needs for one */
#define BUDGET_NS      (3 * 1200 * US)
#define WAIT_MAX_NS    SECOND
#define INTERVAL_NS    (100 * MS)
#define LOOP_NS        (400 * US) /* from one question of the program to the next */
#define STEP_NS        (20 * US)
#define CHECKPOINTS    300u

static struct world {
	struct tandem_primary core;
	uint64_t now_ns, random;
	double rate; /* pages a ns, that the program wants to write */
	double new_pages, left_pages, staged_pages;
	/* the engine */
	bool has_mail, is_scan_due, is_slice_due, is_drain_due, is_committing, is_applying;
	uint64_t slice_pages;
	uint64_t answer_ns;
	/* the program */
	bool is_stopped; /* in a checkpoint */
	uint64_t held_until_ns, asks_at_ns, next_ns, called_ns, called_epochs;
	/* what came of it */
	uint64_t pauses_ns[CHECKPOINTS];
	uint64_t held_count, held_max_ns;
	unsigned count;
} world;

static void step(const struct tandem_primary_event *event);

static double noise(void)
{
	uint64_t random = tandem_random_next(&world.random);

	if (random % 400 == 0)
		return 1.8;
	return 0.9 + (double)(random % 1000) / 1000 * 0.35;
}

/* ---- the program ---- */

static bool is_writing(void)
{
	return !world.is_stopped && world.now_ns >= world.held_until_ns;
}

/* 0: it goes on. */
static void hold(uint64_t until_ns)
{
	world.held_until_ns = until_ns;
	tandem_primary_hold(&world.core, world.now_ns, until_ns != 0);
}

static void ask(void)
{
	uint64_t hold_ns;

	if (tandem_primary_ask_checkpoint(&world.core, world.now_ns, &hold_ns)) {
		hold(0);
		world.is_stopped = true;
		world.has_mail = true;
		world.called_ns = world.now_ns;
	} else if (hold_ns > 0 && world.held_until_ns == 0) {
		hold(world.now_ns + hold_ns);
		world.held_count++;
		if (hold_ns > world.held_max_ns)
			world.held_max_ns = hold_ns;
	}
	world.asks_at_ns = world.held_until_ns + LOOP_NS;
	if (world.asks_at_ns < world.now_ns + LOOP_NS)
		world.asks_at_ns = world.now_ns + LOOP_NS;
}

static void run_program(uint64_t span_ns)
{
	double rate = world.rate < 1 / FAULT_NS ? world.rate : 1 / FAULT_NS;

	if (world.held_until_ns != 0 && world.now_ns >= world.held_until_ns)
		hold(0);
	if (!is_writing())
		return;
	world.new_pages += rate * (double)span_ns;
	if (world.new_pages + world.left_pages > REGION_PAGES)
		world.new_pages = REGION_PAGES - world.left_pages;
	if (world.now_ns >= world.next_ns && world.now_ns >= world.asks_at_ns)
		ask();
}

static void pass(double span_ns)
{
	uint64_t end_ns = world.now_ns + (uint64_t)span_ns;

	while (world.now_ns < end_ns) {
		uint64_t left_ns = end_ns - world.now_ns;
		uint64_t span = left_ns < STEP_NS ? left_ns : STEP_NS;

		world.now_ns += span;
		run_program(span);
	}
}

static void resume(void)
{
	cr_assert(world.is_stopped);
	world.is_stopped = false;
	if (world.count < CHECKPOINTS)
		world.pauses_ns[world.count++] = world.now_ns - world.called_ns;
	world.next_ns = world.now_ns + INTERVAL_NS;
}

/* ---- the engine ---- */

static void scan(void)
{
	double found = world.new_pages;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SCANNED};
	uint64_t began_ns = world.now_ns;

	pass((SCAN_NS + REARM_NS * found) * noise());
	world.new_pages -= found;
	world.left_pages += found;
	event.left_pages = (uint64_t)world.left_pages;
	event.is_small = true;
	event.now_ns = world.now_ns;
	event.elapsed_ns = world.now_ns - began_ns;
	step(&event);
}

static double push(double pages)
{
	double page_ns = is_writing() ? SHARED_SEND_NS : SEND_NS;

	pass((pages * page_ns + 20000) * noise());
	return pages;
}

static void slice(void)
{
	double pages = (double)world.slice_pages;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SLICED};
	uint64_t began_ns = world.now_ns;

	pages = pages < 272 ? 272 : pages > 1024 ? 1024 : pages;
	pages = pages > world.left_pages ? world.left_pages : pages;
	world.left_pages -= push(pages);
	event.pages = (uint64_t)pages;
	event.left_pages = (uint64_t)world.left_pages;
	event.is_done = world.left_pages < 1;
	event.now_ns = world.now_ns;
	event.elapsed_ns = world.now_ns - began_ns;
	step(&event);
}

static void tell(enum tandem_primary_event_type type)
{
	step(&(struct tandem_primary_event){
	        .type = type, .now_ns = world.now_ns, .is_done = true, .channel_mask = 1});
}

static void hear(enum tandem_wire_type type, uint64_t epoch)
{
	const struct tandem_wire_message message = {.type = type,
	                                            .generation = world.core.generation,
	                                            .epoch = epoch,
	                                            .secondary_incarnation = 2,
	                                            .primary_incarnation = 1};

	step(&(struct tandem_primary_event){
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = world.now_ns, .message = &message});
}

static void stage(void)
{
	pass(COPY_NS * world.left_pages * noise());
	world.staged_pages = world.left_pages;
	world.left_pages = 0;
	tell(TANDEM_PRIMARY_ON_STAGED);
}

static void drain(void)
{
	world.staged_pages -= push(world.staged_pages < 1024 ? world.staged_pages : 1024);
	step(&(struct tandem_primary_event){.type = TANDEM_PRIMARY_ON_DRAINED,
	                                    .now_ns = world.now_ns,
	                                    .is_done = world.staged_pages < 1});
}

static void execute(const struct tandem_primary_action *action)
{
	if (action->type == TANDEM_PRIMARY_DO_SCAN) {
		world.is_scan_due = world.core.phase != TANDEM_PRIMARY_SCANNING;
		world.is_slice_due = world.is_slice_due && world.is_scan_due;
		if (!world.is_scan_due)
			scan();
	} else if (action->type == TANDEM_PRIMARY_DO_SLICE) {
		world.is_slice_due = true;
		world.slice_pages = action->pages_max;
	} else if (action->type == TANDEM_PRIMARY_DO_STAGE) {
		stage();
	} else if (action->type == TANDEM_PRIMARY_DO_DRAIN) {
		world.is_drain_due = true;
	} else if (action->type == TANDEM_PRIMARY_DO_PUSH) {
		tell(TANDEM_PRIMARY_ON_PUSHED);
	} else if (action->type == TANDEM_PRIMARY_DO_SETTLE) {
		tell(TANDEM_PRIMARY_ON_SETTLED);
	} else if (action->type == TANDEM_PRIMARY_DO_SEAL) {
		world.is_committing = true;
		world.answer_ns = world.now_ns + 200 * US;
	} else if (action->type == TANDEM_PRIMARY_DO_RESUME) {
		resume();
	}
}

static void step(const struct tandem_primary_event *event)
{
	struct tandem_primary_actions actions;

	tandem_primary_step(&world.core, event, &actions);
	for (unsigned index = 0; index < actions.count; index++)
		execute(&actions.items[index]);
}

static void answer(void)
{
	if (world.now_ns < world.answer_ns)
		return;
	if (world.is_committing) {
		world.is_committing = false;
		world.is_applying = true;
		world.answer_ns = world.now_ns + MS;
		hear(TANDEM_WIRE_COMMITTED, world.core.sealed);
	} else if (world.is_applying) {
		world.is_applying = false;
		hear(TANDEM_WIRE_APPLIED, world.core.committed);
	}
}

static void work(void)
{
	if (world.has_mail) {
		world.has_mail = false;
		tell(TANDEM_PRIMARY_ON_CHECKPOINT);
	}
	if (world.is_drain_due) {
		world.is_drain_due = false;
		drain();
	} else if (world.is_scan_due) {
		world.is_scan_due = false;
		scan();
	} else if (world.is_slice_due) {
		world.is_slice_due = false;
		slice();
	}
	answer();
	/* Who is held is woken when the answer changes. */
	if (world.now_ns < world.held_until_ns)
		ask();
	tell(TANDEM_PRIMARY_ON_TICK);
	if (!world.has_mail && !world.is_scan_due && !world.is_slice_due && !world.is_drain_due)
		pass((double)STEP_NS);
}

static void lead(uint64_t generation, bool is_pair)
{
	step(&(struct tandem_primary_event){.type = TANDEM_PRIMARY_ON_LEAD,
	                                    .now_ns = world.now_ns,
	                                    .generation = generation,
	                                    .is_pair = is_pair});
}

/* A pair, and nothing is written yet. */
static void begin(bool slows)
{
	const struct tandem_primary_event copied = {
	        .type = TANDEM_PRIMARY_ON_SCANNED, .now_ns = SECOND, .is_small = true};
	struct tandem_primary_options options = {
	        .pair = "p",
	        .incarnation = 1,
	        .channel_count = 1,
	        .stripe_pages = 16,
	        .connect_timeout_ns = 10000 * SECOND,
	        .commit_timeout_ns = 10000 * SECOND,
	        .ping_interval_ns = 10000 * SECOND,
	        .reconnect_interval_ns = SECOND,
	        .copy_passes_max = 8,
	        .has_staging = true,
	        .slows_program = slows,
	        .push_interval_ns = 2 * MS,
	        .pace = {.capture = TANDEM_CAPTURE_STAGE,
	                 .budget_ns = BUDGET_NS,
	                 .wait_max_ns = WAIT_MAX_NS},
	        .first_epoch = 1,
	        .regions = {.count = 1, .entries = {{"a", (uint64_t)REGION_PAGES}}}};

	memset(&world, 0, sizeof world);
	world.random = 1;
	world.now_ns = SECOND;
	tandem_primary_init(&world.core, &options);
	lead(1, false);
	tell(TANDEM_PRIMARY_ON_TICK);
	tell(TANDEM_PRIMARY_ON_SESSION_UP);
	hear(TANDEM_WIRE_WELCOME, 0);
	step(&copied);
	world.is_stopped = true;
	world.called_ns = world.now_ns;
	world.has_mail = true;
	do
		work();
	while (world.core.phase != TANDEM_PRIMARY_OPEN || world.is_applying);
	lead(2, true);
	world.count = 0;
}

static int compare(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

/* p99 of the pause through the budget, in hundredths; *ret_took_ms: for a checkpoint. */
static unsigned run(double share, bool slows, uint64_t *ret_took_ms)
{
	uint64_t began_ns, p99_ns;

	begin(slows);
	world.rate = share / SEND_NS;
	began_ns = world.now_ns;
	world.next_ns = world.now_ns + INTERVAL_NS;
	while (world.count < CHECKPOINTS) {
		work();
		cr_assert_lt(world.now_ns - began_ns, CHECKPOINTS * 4 * SECOND, "it ends");
	}
	qsort(world.pauses_ns, CHECKPOINTS, sizeof *world.pauses_ns, compare);
	p99_ns = world.pauses_ns[CHECKPOINTS * 99 / 100 - 1];
	*ret_took_ms = (world.now_ns - began_ns) / CHECKPOINTS / MS;
	return (unsigned)(p99_ns * 100 / BUDGET_NS);
}

Test(budget, is_kept_where_the_link_keeps_up)
{
	uint64_t took_ms;

	cr_expect_leq(run(0.1, false, &took_ms), 120);
	cr_expect_leq(took_ms, 115);
	cr_expect_leq(run(0.25, false, &took_ms), 120);
	cr_expect_leq(took_ms, 115);
	cr_expect_leq(run(0.25, true, &took_ms), 120);
	cr_expect_leq(took_ms, 115);
	cr_expect_lt(world.held_count, 10);
}

/* A program that writes and a push that share the processors: the push is slower than alone. */
Test(budget, is_kept_where_the_program_must_be_slowed)
{
	const double shares[] = {0.5, 0.8, 1.5};
	uint64_t took_ms;

	for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++) {
		cr_expect_leq(run(shares[i], true, &took_ms), 120);
		cr_expect_leq(took_ms, 300);
		cr_expect_lt(world.held_max_ns, BUDGET_NS);
	}
}

/* The interval grows to its limit, and the pause with it then. */
Test(budget, checkpoints_come_where_the_interval_grows)
{
	uint64_t took_ms;

	run(1.5, false, &took_ms);
	cr_expect_leq(took_ms, (WAIT_MAX_NS + 2 * SECOND) / MS);
}
