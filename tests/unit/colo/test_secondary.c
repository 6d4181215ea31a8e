#include <criterion/criterion.h>
#include <string.h>

#include <tandem/error.h>

#include "core/secondary.h"

#define APPLY_NS 500

static struct tandem_secondary core;
static struct tandem_secondary_actions actions;

static bool does(enum tandem_secondary_action_type type)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == type)
			return true;
	}
	return false;
}

static const struct tandem_wire_message *sent(enum tandem_wire_type type)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == TANDEM_SECONDARY_DO_SEND &&
		    actions.items[index].message.type == type)
			return &actions.items[index].message;
	}
	return NULL;
}

static void tell(enum tandem_secondary_event_type type, bool is_done)
{
	struct tandem_secondary_event event = {
	        .type = type, .is_done = is_done, .elapsed_ns = APPLY_NS};

	tandem_secondary_step(&core, &event, &actions);
}

static void stand_by(uint64_t generation, uint64_t owner)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_STAND_BY,
	                                       .generation = generation,
	                                       .incarnation = owner};

	tandem_secondary_step(&core, &event, &actions);
}

static struct tandem_wire_message hello(void)
{
	return (struct tandem_wire_message){.type = TANDEM_WIRE_HELLO,
	                                    .generation = 2,
	                                    .pair = "p",
	                                    .primary_incarnation = 0x1,
	                                    .channel_count = 2,
	                                    .stripe_pages = 16,
	                                    .state_bytes_max = 100,
	                                    .regions = {.count = 1, .entries = {{"a", 40}}}};
}

static void greet(void)
{
	struct tandem_wire_message message = hello();
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_HELLO,
	                                       .message = &message};

	tandem_secondary_step(&core, &event, &actions);
	cr_assert(does(TANDEM_SECONDARY_DO_PREPARE));
	tell(TANDEM_SECONDARY_ON_PREPARED, true);
	cr_assert_not_null(sent(TANDEM_WIRE_WELCOME));
}

static void begin(void)
{
	tandem_secondary_init(&core, "p", 0x2);
	stand_by(2, 0x1);
	greet();
}

static struct tandem_trailer trailer_of(unsigned channel, uint64_t epoch, uint64_t base)
{
	return (struct tandem_trailer){
	        .generation = 2, .epoch = epoch, .base = base, .channel = channel, .mask = 3};
}

static void seal_pages(unsigned channel, const struct tandem_trailer *trailer, uint64_t pages)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_SEAL,
	                                       .channel = channel,
	                                       .trailer = trailer,
	                                       .listed_pages = pages};

	tandem_secondary_step(&core, &event, &actions);
}

/* Of an epoch of many pages. */
static void seal(unsigned channel, const struct tandem_trailer *trailer)
{
	seal_pages(channel, trailer, TANDEM_SECONDARY_FEW_PAGES + 1);
}

static void seal_good(unsigned channel, uint64_t epoch, uint64_t base)
{
	struct tandem_trailer trailer = trailer_of(channel, epoch, base);

	seal(channel, &trailer);
}

Test(secondary, commits_when_the_mask_is_full)
{
	begin();
	seal_good(1, 1, 0);
	cr_expect_eq(actions.count, 0);
	seal_good(0, 1, 0);
	cr_assert(does(TANDEM_SECONDARY_DO_COMMIT));
	cr_assert_not_null(sent(TANDEM_WIRE_COMMITTED));
	cr_expect_eq(sent(TANDEM_WIRE_COMMITTED)->epoch, 1);
	cr_expect_eq(sent(TANDEM_WIRE_COMMITTED)->generation, 2);
	tell(TANDEM_SECONDARY_ON_APPLIED, false);
	cr_expect(does(TANDEM_SECONDARY_DO_APPLY));
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	cr_expect_not_null(sent(TANDEM_WIRE_APPLIED));
}

/* [C15]: the pages of all channels count. */
Test(secondary, of_a_few_pages_applied_says_both)
{
	for (uint64_t over = 0; over < 2; over++) {
		struct tandem_trailer trailer = trailer_of(0, 1, 0);

		begin();
		seal_pages(0, &trailer, 1 + over);
		trailer.channel = 1;
		seal_pages(1, &trailer, TANDEM_SECONDARY_FEW_PAGES - 1);
		cr_assert(does(TANDEM_SECONDARY_DO_COMMIT) && does(TANDEM_SECONDARY_DO_APPLY));
		cr_expect_eq(sent(TANDEM_WIRE_COMMITTED) != NULL, over == 1);
		tell(TANDEM_SECONDARY_ON_APPLIED, true);
		cr_assert_not_null(sent(TANDEM_WIRE_APPLIED));
		cr_expect_eq(sent(TANDEM_WIRE_APPLIED)->epoch, 1);
		cr_expect_null(sent(TANDEM_WIRE_COMMITTED));
	}
}

static bool applies_at_once(void)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == TANDEM_SECONDARY_DO_APPLY)
			return actions.items[index].is_at_once;
	}
	return false;
}

/* [C15]: the word, then all of the apply, and not a second word. How long it took is told once. */
Test(secondary, where_nothing_lands_meanwhile_a_few_pages_are_said_first)
{
	for (uint64_t over = 0; over < 2; over++) {
		struct tandem_trailer trailer = trailer_of(0, 1, 0);

		begin();
		core.lands_in_calls = true;
		core.apply_ns = 700;
		seal_pages(0, &trailer, 1 + over);
		trailer.channel = 1;
		seal_pages(1, &trailer, TANDEM_SECONDARY_FEW_PAGES - 1);
		cr_assert_eq(actions.count, 3);
		cr_expect_eq(actions.items[0].type, TANDEM_SECONDARY_DO_COMMIT);
		cr_expect_eq(actions.items[1].message.type,
		             over == 1 ? TANDEM_WIRE_COMMITTED : TANDEM_WIRE_APPLIED);
		cr_expect_eq(applies_at_once(), over == 0);
		if (over == 0)
			cr_expect_eq(actions.items[1].message.number, 700);
		cr_expect_eq(core.apply_ns, over == 0 ? 0 : 700);
		tell(TANDEM_SECONDARY_ON_APPLIED, true);
		cr_expect(core.is_applied);
		cr_expect_eq(core.apply_ns, over == 0 ? APPLY_NS : 0);
		cr_assert_eq(sent(TANDEM_WIRE_APPLIED) != NULL, over == 1);
		if (over == 1)
			cr_expect_eq(sent(TANDEM_WIRE_APPLIED)->number, APPLY_NS);
	}
}

/* [C21] */
Test(secondary, fenced_it_says_nothing_of_a_few_pages)
{
	struct tandem_trailer trailer = trailer_of(0, 1, 0);

	begin();
	seal_pages(0, &trailer, 1);
	trailer.channel = 1;
	seal_pages(1, &trailer, 1);
	tell(TANDEM_SECONDARY_ON_FENCE, false);
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	cr_expect_null(sent(TANDEM_WIRE_APPLIED));
	cr_expect(core.is_applied && core.committed == 1);
}

Test(secondary, the_epoch_before_is_applied_first)
{
	begin();
	seal_good(0, 1, 0);
	seal_good(1, 1, 0);
	seal_good(0, 2, 1);
	seal_good(1, 2, 1);
	cr_expect_eq(core.committed, 1);
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	cr_expect_eq(core.committed, 2);
	cr_expect(actions.items[0].message.type == TANDEM_WIRE_APPLIED, "in this order");
	cr_expect_not_null(sent(TANDEM_WIRE_COMMITTED));
}

Test(secondary, every_wrong_trailer_drops_the_session)
{
	struct tandem_trailer good = trailer_of(0, 1, 0), wrong[10];

	for (unsigned index = 0; index < 10; index++)
		wrong[index] = good;
	wrong[0].channel = 1;
	wrong[1].generation = 1;
	wrong[2].generation = 3;
	wrong[3].base = 1;
	wrong[4].epoch = 0;
	wrong[5].mask = 7;
	wrong[6].mask = 2;
	wrong[7].state_bytes = 101;
	wrong[8].mask = 0;
	wrong[9].epoch = UINT64_MAX;
	for (unsigned index = 0; index < 10; index++) {
		begin();
		seal(0, &wrong[index]);
		cr_expect(does(TANDEM_SECONDARY_DO_DROP), "%u", index);
		cr_expect_eq(core.committed, 0);
	}
	begin();
	good.channel = 1;
	good.mask = 2;
	good.state_bytes = 1;
	seal(1, &good);
	cr_expect(!does(TANDEM_SECONDARY_DO_DROP), "a blob travels on the lowest channel");
}

Test(secondary, trailers_must_agree)
{
	for (unsigned index = 0; index < 5; index++) {
		struct tandem_trailer other = trailer_of(1, 1, 0);

		begin();
		stand_by(3, 0x1);
		seal_good(0, 1, 0);
		other.epoch += index == 0;
		other.generation += index == 1;
		other.state_bytes += index == 2;
		other.state_crc += index == 3;
		other.mask = index == 4 ? 2 : 3;
		seal(1, &other);
		cr_expect(does(TANDEM_SECONDARY_DO_DROP), "%u", index);
		cr_expect_eq(core.committed, 0);
	}
	begin();
	seal_good(0, 1, 0);
	seal_good(0, 1, 0);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP), "a channel sealed twice");
}

/* What arrived behind the fault is drained, but it is no epoch of an honest primary. */
Test(secondary, nothing_is_committed_after_a_fault)
{
	begin();
	seal_good(0, 1, 5);
	cr_assert(does(TANDEM_SECONDARY_DO_DROP));
	seal_good(0, 1, 0);
	seal_good(1, 1, 0);
	cr_expect_eq(core.committed, 0);
	cr_expect(!does(TANDEM_SECONDARY_DO_COMMIT));
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, true);
	greet();
	seal_good(0, 1, 0);
	seal_good(1, 1, 0);
	cr_expect_eq(core.committed, 1, "the next session is judged anew");
}

Test(secondary, a_new_session_begins_without_half_an_epoch)
{
	begin();
	seal_good(0, 1, 0);
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, true);
	greet();
	seal_good(1, 1, 0);
	cr_expect_eq(core.committed, 0);
	seal_good(0, 1, 0);
	cr_expect_eq(core.committed, 1);
}

Test(secondary, a_fenced_standby_acknowledges_nothing)
{
	struct tandem_wire_message ping = {.type = TANDEM_WIRE_PING, .generation = 2, .number = 4};
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_MESSAGE,
	                                       .message = &ping};

	begin();
	seal_good(0, 1, 0);
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	tandem_secondary_step(&core, &event, &actions);
	cr_expect_eq(actions.count, 0);
	seal_good(1, 1, 0);
	cr_expect_eq(core.committed, 1, "a complete epoch is committed in the drain");
	cr_expect_null(sent(TANDEM_WIRE_COMMITTED));
	cr_expect(!tandem_secondary_is_promotable(&core), "not applied yet");
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	cr_expect_null(sent(TANDEM_WIRE_APPLIED));
	cr_expect(tandem_secondary_is_promotable(&core));
}

Test(secondary, a_void_copy_is_never_promotable_nor_offered)
{
	struct tandem_wire_message message = hello();
	int code;

	begin();
	seal_good(0, 1, 0);
	seal_good(1, 1, 0);
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	tell(TANDEM_SECONDARY_ON_VOID, true);
	cr_expect_not_null(tandem_secondary_objection(&core, &message, &code));
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	cr_expect(!tandem_secondary_is_promotable(&core));
}

Test(secondary, the_new_generation_is_told_at_once)
{
	begin();
	stand_by(3, 0x1);
	cr_assert_not_null(sent(TANDEM_WIRE_PONG));
	cr_expect_eq(sent(TANDEM_WIRE_PONG)->generation, 3);
	stand_by(2, 0x9);
	cr_expect_eq(core.generation, 3);
	cr_expect_eq(core.owner_incarnation, 0x1, "a passed generation says nothing");
}

Test(secondary, who_may_come_in)
{
	struct tandem_wire_message message = hello();
	int code;

	tandem_secondary_init(&core, "p", 0x2);
	cr_expect_not_null(tandem_secondary_objection(&core, &message, &code));
	cr_expect_eq(code, TANDEM_E_AGAIN, "no word of the controller yet");
	stand_by(2, 0);
	cr_expect_null(tandem_secondary_objection(&core, &message, &code));
	stand_by(2, 0x1);
	cr_expect_null(tandem_secondary_objection(&core, &message, &code));
	message.primary_incarnation = 0x7;
	cr_expect_not_null(tandem_secondary_objection(&core, &message, &code));
	cr_expect_eq(code, TANDEM_E_REFUSED);
}

/* What an attempt has made and nobody has written to is not made again for the next one. */
Test(secondary, zeros_are_kept_from_one_attempt_to_the_next)
{
	struct tandem_wire_message message = hello();
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_HELLO,
	                                       .message = &message};
	struct tandem_secondary_event prepared = {.type = TANDEM_SECONDARY_ON_PREPARED,
	                                          .is_fresh = true};

	tandem_secondary_init(&core, "p", 0x2);
	stand_by(2, 0);
	tandem_secondary_step(&core, &event, &actions);
	cr_expect(does(TANDEM_SECONDARY_DO_RENEW), "the first attempt");
	tandem_secondary_step(&core, &prepared, &actions);
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, false);
	message.primary_incarnation = 0x7;
	tandem_secondary_step(&core, &event, &actions);
	cr_expect(!does(TANDEM_SECONDARY_DO_RENEW), "another primary, the same zeros");
	tandem_secondary_step(&core, &prepared, &actions);
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, false);
	message.regions.entries[0].page_count++;
	tandem_secondary_step(&core, &event, &actions);
	cr_expect(does(TANDEM_SECONDARY_DO_RENEW), "another region table");
}

static void commit_and_lose(uint64_t epoch)
{
	begin();
	seal_good(0, epoch, 0);
	seal_good(1, epoch, 0);
	tell(TANDEM_SECONDARY_ON_APPLIED, true);
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, true);
}

/* The memory stays, for its digests, and is no copy any more. */
Test(secondary, another_primary_begins_with_no_epoch)
{
	struct tandem_wire_message message = hello();
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_HELLO,
	                                       .message = &message};

	commit_and_lose(5);
	tandem_secondary_step(&core, &event, &actions);
	cr_expect(!does(TANDEM_SECONDARY_DO_RENEW), "the same primary goes on");
	cr_expect_eq(core.committed, 5);
	tell(TANDEM_SECONDARY_ON_SESSION_LOST, true);
	stand_by(3, 0x7);
	message.generation = 3;
	message.primary_incarnation = 0x7;
	tandem_secondary_step(&core, &event, &actions);
	cr_expect(!does(TANDEM_SECONDARY_DO_RENEW));
	cr_expect_eq(core.committed, 0);
	cr_expect_eq(core.copy_incarnation, 0);
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	cr_expect(!tandem_secondary_is_promotable(&core));
}

/* [C27]: a PAIR that is still on its way to the register names a copy that is there. */
Test(secondary, a_copy_is_not_given_up_for_other_regions_of_its_own_primary)
{
	struct tandem_wire_message message = hello();
	int code;

	commit_and_lose(5);
	message.regions.entries[0].page_count++;
	cr_assert_not_null(tandem_secondary_objection(&core, &message, &code));
	cr_expect_eq(code, TANDEM_E_REFUSED);
	message.regions.entries[0].page_count--;
	message.stripe_pages = 8;
	cr_assert_not_null(tandem_secondary_objection(&core, &message, &code));
	message.primary_incarnation = 0x7;
	cr_assert_not_null(tandem_secondary_objection(&core, &message, &code),
	                   "only the register's owner comes in");
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	cr_expect(tandem_secondary_is_promotable(&core));
}

/* ---- digests [C28] ---- */

static void compare(uint64_t first_page, uint32_t page_count)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_COMPARE,
	                                      .generation = 2,
	                                      .first_page = first_page,
	                                      .page_count = page_count};
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_MESSAGE,
	                                       .message = &message};

	tandem_secondary_step(&core, &event, &actions);
}

Test(secondary, digests_are_of_the_pages_that_compare_names)
{
	begin();
	compare(7, 41);
	cr_assert_eq(actions.count, 1);
	cr_expect_eq(actions.items[0].type, TANDEM_SECONDARY_DO_SEND_DIGESTS);
	cr_expect_eq(actions.items[0].message.type, TANDEM_WIRE_DIGESTS);
	cr_expect_eq(actions.items[0].message.generation, 2);
	cr_expect_eq(actions.items[0].message.first_page, 7);
	cr_expect_eq(actions.items[0].message.page_count, 41);
}

Test(secondary, pages_that_are_not_there_are_not_compared)
{
	static const uint64_t firsts[] = {8, 48, UINT64_MAX - 40, UINT64_MAX};

	for (unsigned index = 0; index < sizeof firsts / sizeof *firsts; index++) {
		begin();
		compare(firsts[index], 41);
		cr_expect(does(TANDEM_SECONDARY_DO_DROP), "page %llu",
		          (unsigned long long)firsts[index]);
		cr_expect(!does(TANDEM_SECONDARY_DO_SEND_DIGESTS));
	}
}

Test(secondary, an_image_that_changes_has_no_digests)
{
	begin();
	seal_good(0, 1, 0);
	seal_good(1, 1, 0);
	compare(0, 1);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP));
	commit_and_lose(5);
	greet();
	compare(0, 1);
	cr_expect(does(TANDEM_SECONDARY_DO_SEND_DIGESTS), "this session has committed nothing");
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	compare(0, 1);
	cr_expect_eq(actions.count, 0);
}

/* ---- lost channels ---- */

static void ask_fence(uint32_t channel_mask, uint64_t epoch)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_FENCE,
	                                      .generation = 2,
	                                      .epoch = epoch,
	                                      .channel_mask = channel_mask};
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_MESSAGE,
	                                       .message = &message};

	tandem_secondary_step(&core, &event, &actions);
}

static void channel_up(unsigned channel)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_CHANNEL_UP,
	                                       .channel = channel};

	tandem_secondary_step(&core, &event, &actions);
}

/* [C23] */
Test(secondary, an_incomplete_epoch_is_nothing_after_the_answer)
{
	begin();
	seal_good(0, 1, 0);
	ask_fence(2, 1);
	cr_assert(does(TANDEM_SECONDARY_DO_FENCE_CHANNELS));
	cr_expect_eq(actions.items[0].channel_mask, 2);
	cr_expect_null(sent(TANDEM_WIRE_FENCED), "not before the fence");
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	cr_assert_not_null(sent(TANDEM_WIRE_FENCED));
	cr_expect_eq(sent(TANDEM_WIRE_FENCED)->epoch, 0);
	cr_expect_eq(sent(TANDEM_WIRE_FENCED)->channel_mask, 2);
	cr_expect(does(TANDEM_SECONDARY_DO_DISCARD));
	cr_expect(tandem_secondary_is_stale(&core, 1));
	cr_expect(!tandem_secondary_is_stale(&core, 2));
}

/* [C24]: seals that were still queued complete the epoch, and the answer says so after COMMITTED.
 */
Test(secondary, a_seal_that_had_arrived_counts)
{
	begin();
	seal_good(0, 1, 0);
	ask_fence(2, 1);
	seal_good(1, 1, 0);
	cr_expect_not_null(sent(TANDEM_WIRE_COMMITTED));
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	cr_assert_not_null(sent(TANDEM_WIRE_FENCED));
	cr_expect_eq(sent(TANDEM_WIRE_FENCED)->epoch, 1);
	cr_expect(!does(TANDEM_SECONDARY_DO_DISCARD));
}

Test(secondary, a_mask_names_no_fenced_channel)
{
	struct tandem_trailer trailer = trailer_of(0, 2, 0);

	begin();
	ask_fence(2, 1);
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	seal(0, &trailer);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP));
	begin();
	ask_fence(2, 1);
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	trailer.mask = 1;
	seal(0, &trailer);
	cr_expect_eq(core.committed, 2, "the healthy one alone");
	begin();
	ask_fence(2, 1);
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	channel_up(1);
	seal_good(0, 2, 0);
	seal_good(1, 2, 0);
	cr_expect_eq(core.committed, 2, "it has joined again");
}

Test(secondary, a_wrong_fence_drops_the_session)
{
	begin();
	ask_fence(0, 1);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP), "no channel");
	begin();
	ask_fence(4, 1);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP), "no such channel");
	begin();
	ask_fence(1, 1);
	ask_fence(2, 1);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP), "two at a time");
	begin();
	seal_good(0, 5, 0);
	seal_good(1, 5, 0);
	ask_fence(2, 4);
	cr_expect(does(TANDEM_SECONDARY_DO_DROP), "an epoch before the committed one");
}

/* [C21] */
Test(secondary, a_fenced_standby_answers_no_fence)
{
	begin();
	ask_fence(2, 1);
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	cr_expect_eq(actions.count, 0);
	begin();
	tell(TANDEM_SECONDARY_ON_FENCE, true);
	ask_fence(2, 1);
	cr_expect_eq(actions.count, 0);
}

/* Epochs are 64 bits, immediates 32. */
Test(secondary, stale_is_judged_over_the_wrap)
{
	begin();
	ask_fence(2, UINT64_C(0x1ffffffff));
	tell(TANDEM_SECONDARY_ON_CHANNELS_FENCED, true);
	cr_expect(tandem_secondary_is_stale(&core, UINT32_MAX));
	cr_expect(tandem_secondary_is_stale(&core, UINT32_MAX - 5));
	cr_expect(!tandem_secondary_is_stale(&core, 0));
	cr_expect(!tandem_secondary_is_stale(&core, 3));
}
