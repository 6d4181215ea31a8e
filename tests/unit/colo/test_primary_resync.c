#include <criterion/criterion.h>
#include <string.h>

#include <tandem/error.h>

#include "core/primary.h"

/* A copy onto an image that holds something [C28]. Two COMPARE cover the region. */

#define SECOND UINT64_C(1000000000)
#define PAGES  (TANDEM_DIGESTS_MAX + 16u)

static struct tandem_primary core;
static struct tandem_primary_actions actions;
static uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES];

static void step(const struct tandem_primary_event *event)
{
	tandem_primary_step(&core, event, &actions);
}

static void tell(enum tandem_primary_event_type type, uint64_t now_ns)
{
	struct tandem_primary_event event = {
	        .type = type, .now_ns = now_ns, .is_small = true, .channel_mask = 3};

	step(&event);
}

static void hear(struct tandem_wire_message *message)
{
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = message};

	message->generation = core.generation;
	step(&event);
}

static void hear_digests(uint64_t first_page, uint32_t page_count)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_DIGESTS,
	                                      .first_page = first_page,
	                                      .page_count = page_count,
	                                      .digests = digests};

	hear(&message);
}

static bool does(enum tandem_primary_action_type type)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == type)
			return true;
	}
	return false;
}

static unsigned sent_count(enum tandem_wire_type type)
{
	unsigned count = 0;

	for (unsigned index = 0; index < actions.count; index++)
		count += actions.items[index].type == TANDEM_PRIMARY_DO_SEND &&
		         actions.items[index].message.type == type;
	return count;
}

static void welcome(bool is_fresh)
{
	struct tandem_primary_options options = {
	        .pair = "p",
	        .incarnation = 0x1,
	        .channel_count = 2,
	        .stripe_pages = 16,
	        .connect_timeout_ns = SECOND,
	        .commit_timeout_ns = SECOND,
	        .ping_interval_ns = SECOND / 10,
	        .reconnect_interval_ns = SECOND / 10,
	        .copy_passes_max = 3,
	        .first_epoch = 1,
	        .regions = {.count = 1, .entries = {{"a", PAGES}}}};
	struct tandem_primary_event lead = {
	        .type = TANDEM_PRIMARY_ON_LEAD, .now_ns = SECOND, .generation = 1};
	struct tandem_wire_message message = {
	        .type = TANDEM_WIRE_WELCOME, .secondary_incarnation = 0x2, .is_fresh = is_fresh};

	tandem_primary_init(&core, &options);
	step(&lead);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND);
	tell(TANDEM_PRIMARY_ON_SESSION_UP, SECOND);
	hear(&message);
	cr_assert(does(TANDEM_PRIMARY_DO_MARK_ALL));
}

Test(primary_resync, a_fresh_image_is_not_compared)
{
	welcome(true);
	cr_expect_eq(sent_count(TANDEM_WIRE_COMPARE), 0);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
	hear_digests(0, TANDEM_DIGESTS_MAX);
	cr_expect(does(TANDEM_PRIMARY_DO_DROP_SESSION));
}

/* 4.2: the scan that re-arms comes behind the last digest. */
Test(primary_resync, nothing_is_scanned_before_every_digest_is_there)
{
	welcome(false);
	cr_expect_eq(sent_count(TANDEM_WIRE_COMPARE), 2);
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect(tandem_primary_skips_checkpoint(&core), "the program goes on meanwhile");
	hear_digests(0, TANDEM_DIGESTS_MAX);
	cr_expect(does(TANDEM_PRIMARY_DO_TAKE_DIGESTS) && !does(TANDEM_PRIMARY_DO_SCAN));
	hear_digests(TANDEM_DIGESTS_MAX, 16);
	cr_expect(does(TANDEM_PRIMARY_DO_TAKE_DIGESTS) && does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_COPYING);
}

Test(primary_resync, digests_out_of_turn_drop_the_session)
{
	welcome(false);
	hear_digests(1, TANDEM_DIGESTS_MAX);
	cr_expect(does(TANDEM_PRIMARY_DO_DROP_SESSION) && !does(TANDEM_PRIMARY_DO_TAKE_DIGESTS));
	welcome(false);
	hear_digests(0, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_DROP_SESSION));
	welcome(false);
	hear_digests(0, TANDEM_DIGESTS_MAX);
	hear_digests(0, TANDEM_DIGESTS_MAX);
	cr_expect(does(TANDEM_PRIMARY_DO_DROP_SESSION));
}

/* A secondary that answers pings and no COMPARE. */
Test(primary_resync, digests_are_not_waited_for_without_end)
{
	struct tandem_wire_message pong = {.type = TANDEM_WIRE_PONG};

	welcome(false);
	cr_expect_leq(tandem_primary_deadline_ns(&core), 2 * SECOND);
	hear(&pong);
	core.heard_ns = 2 * SECOND;
	tell(TANDEM_PRIMARY_ON_TICK, 2 * SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_DROP_SESSION));
}

Test(primary_resync, a_lost_channel_is_repaired_while_digests_come)
{
	struct tandem_primary_event lost = {
	        .type = TANDEM_PRIMARY_ON_CHANNEL_LOST, .now_ns = SECOND, .channel_mask = 1};
	struct tandem_wire_message fenced = {.type = TANDEM_WIRE_FENCED, .channel_mask = 1};

	welcome(false);
	step(&lost);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	hear_digests(0, TANDEM_DIGESTS_MAX);
	hear_digests(TANDEM_DIGESTS_MAX, 16);
	cr_expect(does(TANDEM_PRIMARY_DO_TAKE_DIGESTS) && !does(TANDEM_PRIMARY_DO_SCAN));
	hear(&fenced);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));

	welcome(false);
	step(&lost);
	hear(&fenced);
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN), "digests are still to come");
	hear_digests(0, TANDEM_DIGESTS_MAX);
	hear_digests(TANDEM_DIGESTS_MAX, 16);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
}

Test(primary_resync, a_lost_session_forgets_what_was_asked)
{
	welcome(false);
	tell(TANDEM_PRIMARY_ON_SESSION_LOST, SECOND);
	cr_expect(!tandem_resync_is_under_way(&core.resync));
	cr_expect(does(TANDEM_PRIMARY_DO_MERGE_MAPS));
}
