#include <criterion/criterion.h>
#include <string.h>

#include <tandem/error.h>

#include "core/primary.h"

/* Facts in, actions out. Whole stories are in tests/random and tests/scenario; here is what they do
 * not reach: broken peers and deadlines. */

#define SECOND   UINT64_C(1000000000)
#define CHANNELS 3u
#define ALL      7u

static struct tandem_primary core;
static struct tandem_primary_actions actions;

static void tell(enum tandem_primary_event_type type, uint64_t now_ns)
{
	struct tandem_primary_event event = {
	        .type = type, .now_ns = now_ns, .is_done = true, .is_small = true};

	event.channel_mask = type == TANDEM_PRIMARY_ON_SESSION_UP ? ALL : 0;

	tandem_primary_step(&core, &event, &actions);
}

static void lead(uint64_t generation, bool is_pair)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_LEAD,
	                                     .now_ns = SECOND,
	                                     .generation = generation,
	                                     .is_pair = is_pair};

	tandem_primary_step(&core, &event, &actions);
}

static void hear(enum tandem_wire_type type, uint64_t epoch)
{
	struct tandem_wire_message message = {.type = type,
	                                      .generation = core.generation,
	                                      .epoch = epoch,
	                                      .secondary_incarnation = 0x2,
	                                      .primary_incarnation = 0x1,
	                                      .is_fresh = true};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = &message};

	tandem_primary_step(&core, &event, &actions);
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

static bool drops(int code)
{
	const struct tandem_primary_action *action = action_of(TANDEM_PRIMARY_DO_DROP_SESSION);

	return action != NULL && action->code == code && action->reason != NULL;
}

static void begin(void)
{
	struct tandem_primary_options options = {.pair = "p",
	                                         .incarnation = 0x1,
	                                         .channel_count = CHANNELS,
	                                         .stripe_pages = 16,
	                                         .connect_timeout_ns = SECOND,
	                                         .commit_timeout_ns = SECOND,
	                                         .ping_interval_ns = SECOND / 10,
	                                         .reconnect_interval_ns = SECOND / 10,
	                                         .first_epoch = 1,
	                                         .regions = {.count = 1, .entries = {{"a", 1}}}};

	tandem_primary_init(&core, &options);
	lead(1, false);
	tell(TANDEM_PRIMARY_ON_TICK, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_CONNECT));
	tell(TANDEM_PRIMARY_ON_SESSION_UP, SECOND);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_GREETING);
}

/* SOLO, a copy captured and sealed as epoch 1. */
static void seal_copy(void)
{
	begin();
	hear(TANDEM_WIRE_WELCOME, 0);
	cr_assert(does(TANDEM_PRIMARY_DO_MARK_ALL));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_SCAN));
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_SEAL) && does(TANDEM_PRIMARY_DO_SETTLE));
	cr_assert(!does(TANDEM_PRIMARY_DO_RESUME), "4.6");
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_RESUME));
	cr_assert_eq(core.phase, TANDEM_PRIMARY_SEALED);
}

static void pair_up(void)
{
	seal_copy();
	hear(TANDEM_WIRE_COMMITTED, 1);
	hear(TANDEM_WIRE_APPLIED, 1);
	cr_assert(does(TANDEM_PRIMARY_DO_REPORT_COPIED));
	lead(2, true);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_OPEN);
}

Test(primary, a_message_out_of_turn_drops_the_session)
{
	static const enum tandem_wire_type types[] = {TANDEM_WIRE_HELLO, TANDEM_WIRE_PING,
	                                              TANDEM_WIRE_PONG, TANDEM_WIRE_COMMITTED,
	                                              TANDEM_WIRE_APPLIED};

	for (unsigned index = 0; index < sizeof types / sizeof *types; index++) {
		begin();
		hear(types[index], 1);
		cr_expect(drops(TANDEM_E_PROTOCOL), "type %u while greeting", types[index]);
	}
	pair_up();
	hear(TANDEM_WIRE_WELCOME, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL));
	pair_up();
	hear(TANDEM_WIRE_PING, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL));
	pair_up();
	hear(TANDEM_WIRE_REFUSED, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL));
}

Test(primary, a_wrong_commit_or_apply_is_no_commit)
{
	seal_copy();
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect(drops(TANDEM_E_PROTOCOL));
	cr_expect_eq(core.committed, 0);
	seal_copy();
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect(drops(TANDEM_E_PROTOCOL), "APPLIED of another");
	cr_expect_eq(core.committed, 0);
	pair_up();
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect(drops(TANDEM_E_PROTOCOL), "COMMITTED of nothing");
	pair_up();
	hear(TANDEM_WIRE_APPLIED, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL), "APPLIED twice");
}

static unsigned index_of(enum tandem_primary_action_type type)
{
	unsigned index = 0;

	while (index < actions.count && actions.items[index].type != type)
		index++;
	return index;
}

/* [C15] */
Test(primary, applied_is_the_first_word_of_an_epoch_of_few_pages)
{
	uint64_t ticket;

	seal_copy();
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	hear(TANDEM_WIRE_APPLIED, 1);
	cr_assert(does(TANDEM_PRIMARY_DO_REPORT_COPIED) && does(TANDEM_PRIMARY_DO_COMMIT_MAP));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	cr_expect_lt(core.gate.released_ticket, ticket, "R7");
	pair_up();
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND); /* it waits for the epoch before */
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect_eq(core.committed, 2);
	cr_expect(core.is_applied);
	cr_expect_eq(core.gate.released_ticket, ticket);
	cr_expect_lt(index_of(TANDEM_PRIMARY_DO_COMMIT_MAP),
	             index_of(TANDEM_PRIMARY_DO_FORGET_MAP));
	cr_expect_lt(index_of(TANDEM_PRIMARY_DO_FORGET_MAP), index_of(TANDEM_PRIMARY_DO_SCAN));
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect(drops(TANDEM_E_PROTOCOL), "said twice");
}

Test(primary, a_word_about_what_never_was_drops_the_session)
{
	struct tandem_wire_message pong = {.type = TANDEM_WIRE_PONG};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = &pong};

	begin();
	hear(TANDEM_WIRE_WELCOME, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL), "a copy of an epoch that was never sealed");
	cr_expect_eq(core.next_epoch, 1);
	pair_up();
	pong.generation = core.generation;
	pong.number = core.last_ping + 1;
	tandem_primary_step(&core, &event, &actions);
	cr_expect(drops(TANDEM_E_PROTOCOL), "PONG to a ping that was never sent");
}

Test(primary, every_wait_has_a_deadline)
{
	begin();
	tell(TANDEM_PRIMARY_ON_TICK, 10 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT), "WELCOME");
	seal_copy();
	tell(TANDEM_PRIMARY_ON_TICK, 3 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT), "COMMITTED");
	cr_expect_eq(core.sealed, 1, "expiry never aborts the epoch");
}

static void answer_pings_until(uint64_t end_ns)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_PONG,
	                                      .generation = core.generation};
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_MESSAGE,
	                                     .message = &message};

	for (event.now_ns = SECOND; event.now_ns < end_ns; event.now_ns += SECOND / 2) {
		tandem_primary_step(&core, &event, &actions);
		cr_assert(!does(TANDEM_PRIMARY_DO_DROP_SESSION));
	}
}

/* A standby that answers pings and never applies holds the copy, and the gate, for ever. */
Test(primary, applied_is_not_waited_for_without_end)
{
	seal_copy();
	hear(TANDEM_WIRE_COMMITTED, 1);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_OPEN);
	cr_expect_neq(tandem_primary_deadline_ns(&core), UINT64_MAX);
	answer_pings_until(60 * SECOND);
	tell(TANDEM_PRIMARY_ON_TICK, 60 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT));
	pair_up();
	answer_pings_until(60 * SECOND);
	tell(TANDEM_PRIMARY_ON_TICK, 60 * SECOND);
	cr_expect(!drops(TANDEM_E_TIMEOUT), "all is applied: nothing is waited for");
}

/* [C9] */
Test(primary, a_secondary_that_does_not_learn_the_generation_loses_the_session)
{
	struct tandem_wire_message pong = {.type = TANDEM_WIRE_PONG, .generation = 1};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = 3 * SECOND, .message = &pong};

	pair_up();
	tandem_primary_step(&core, &event, &actions);
	tell(TANDEM_PRIMARY_ON_TICK, 3 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT), "its acknowledgements release nothing");
	pair_up();
	pong.generation = 2;
	tandem_primary_step(&core, &event, &actions);
	tell(TANDEM_PRIMARY_ON_TICK, 3 * SECOND);
	cr_expect(!drops(TANDEM_E_TIMEOUT), "it knows");
}

Test(primary, silence_loses_the_session)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_TICK, SECOND + SECOND / 2);
	cr_expect(does(TANDEM_PRIMARY_DO_SEND), "a ping is due");
	tell(TANDEM_PRIMARY_ON_TICK, 3 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT));
}

Test(primary, solo_again_ends_a_session_whose_copy_was_told)
{
	pair_up();
	lead(3, false);
	cr_expect(drops(TANDEM_E_PEER_LOST));
	pair_up();
	lead(1, false);
	cr_expect(!does(TANDEM_PRIMARY_DO_DROP_SESSION), "a passed generation says nothing");
	cr_expect(core.is_pair);
}

/* R7: SOLO said again while the copy is under way must not let later output out. */
Test(primary, solo_said_again_does_not_open_the_gate_of_a_captured_copy)
{
	uint64_t ticket;

	seal_copy();
	ticket = tandem_primary_confirm_ticket(&core, 1);
	lead(2, false);
	cr_expect_lt(core.gate.released_ticket, ticket);
	tell(TANDEM_PRIMARY_ON_SESSION_LOST, SECOND);
	cr_expect_eq(core.gate.released_ticket, ticket, "nobody was told of that copy");
}

Test(primary, a_told_copy_waits_for_the_controllers_word)
{
	uint64_t ticket;

	seal_copy();
	hear(TANDEM_WIRE_COMMITTED, 1);
	hear(TANDEM_WIRE_APPLIED, 1);
	ticket = tandem_primary_confirm_ticket(&core, 1);
	tell(TANDEM_PRIMARY_ON_SESSION_LOST, SECOND);
	cr_expect_lt(core.gate.released_ticket, ticket);
	lead(2, false);
	cr_expect_eq(core.gate.released_ticket, ticket);
}

Test(primary, a_held_session_keeps_the_generation_that_the_peer_knows)
{
	begin();
	core.is_pair = true;
	hear(TANDEM_WIRE_WELCOME, 0);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_HELD);
	lead(2, false);
	cr_assert(does(TANDEM_PRIMARY_DO_MARK_ALL));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_SEAL));
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_SEAL)->generation, 1);
}

Test(primary, a_strict_pair_holds_output_while_it_is_alone)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_LEAD,
	                                     .now_ns = SECOND,
	                                     .generation = 2,
	                                     .holds_output = true};
	uint64_t ticket;

	begin();
	hear(TANDEM_WIRE_WELCOME, 0);
	tandem_primary_step(&core, &event, &actions);
	ticket = tandem_primary_confirm_ticket(&core, 1);
	cr_expect_lt(core.gate.released_ticket, ticket);
	tell(TANDEM_PRIMARY_ON_SESSION_LOST, SECOND);
	cr_expect_lt(core.gate.released_ticket, ticket);
	lead(3, false);
	cr_expect_eq(core.gate.released_ticket, ticket, "the operator's word");
}

/* [C26] */
Test(primary, a_lease_frees_output_only_when_the_timer_is_armed)
{
	uint64_t ticket;

	pair_up();
	core.lease.length_ns = SECOND;
	lead(3, true);
	ticket = tandem_primary_checkpoint_ticket(&core, SECOND);
	cr_expect_lt(core.gate.released_ticket, ticket);
	hear(TANDEM_WIRE_PONG, 1);
	cr_expect(!does(TANDEM_PRIMARY_DO_RENEW_LEASE),
	          "a ping that was never sent renews nothing");
	struct tandem_wire_message pong = {
	        .type = TANDEM_WIRE_PONG, .generation = 3, .number = core.last_ping};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = &pong};
	pong.generation = 2;
	tandem_primary_step(&core, &event, &actions);
	cr_expect(!does(TANDEM_PRIMARY_DO_RENEW_LEASE), "the secondary does not know of PAIR");
	pong.generation = 3;
	tandem_primary_step(&core, &event, &actions);
	cr_assert(does(TANDEM_PRIMARY_DO_RENEW_LEASE));
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_RENEW_LEASE)->end_ns, 2 * SECOND);
	cr_expect_lt(core.gate.released_ticket, ticket);
	tell(TANDEM_PRIMARY_ON_LEASED, SECOND);
	cr_expect_eq(core.gate.released_ticket, ticket);
	lead(4, false);
	cr_expect(does(TANDEM_PRIMARY_DO_END_LEASE), "nobody can take over");
}

/* [L14] */
Test(primary, a_program_that_left_has_no_lease)
{
	pair_up();
	core.lease.length_ns = SECOND;
	lead(3, true);
	tell(TANDEM_PRIMARY_ON_RELEASE, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_END_LEASE));
	struct tandem_wire_message pong = {
	        .type = TANDEM_WIRE_PONG, .generation = 3, .number = core.last_ping};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = &pong};
	tandem_primary_step(&core, &event, &actions);
	cr_expect(!does(TANDEM_PRIMARY_DO_RENEW_LEASE));
}

Test(primary, quiet_is_told_when_the_epoch_under_way_is_applied)
{
	uint64_t ticket;

	pair_up();
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND);
	cr_expect(!does(TANDEM_PRIMARY_DO_REPORT_QUIESCED));
	cr_expect(tandem_primary_skips_checkpoint(&core));
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect_eq(core.gate.released_ticket, ticket, "its output leaves as ever");
	cr_expect(!does(TANDEM_PRIMARY_DO_REPORT_QUIESCED));
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_assert(does(TANDEM_PRIMARY_DO_REPORT_QUIESCED));
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_REPORT_QUIESCED)->epoch, 2);
	tandem_primary_confirm_ticket(&core, 1);
	hear(TANDEM_WIRE_PONG, 2);
	cr_expect_eq(core.gate.released_ticket, ticket, "nothing leaves after QUIESCED");
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME) && !does(TANDEM_PRIMARY_DO_SCAN));
}

Test(primary, a_hand_over_that_does_not_come_is_ended_by_lead)
{
	uint64_t ticket;

	pair_up();
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_REPORT_QUIESCED));
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND) &&
	          !tandem_primary_wants_checkpoint(&core));
	lead(2, true);
	cr_expect(tandem_primary_wants_checkpoint(&core));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_lt(core.gate.released_ticket, ticket);
}

Test(primary, a_program_that_waits_goes_on_when_quiesced)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_expect(!does(TANDEM_PRIMARY_DO_RESUME));
	tell(TANDEM_PRIMARY_ON_QUIESCE, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN), "no epoch begins");
}

Test(primary, halted_answers_checkpoints_and_nothing_else)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_HALT, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME) && does(TANDEM_PRIMARY_DO_DROP_SESSION));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_expect_eq(actions.count, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
	for (unsigned type = 0; type <= TANDEM_PRIMARY_ON_TICK; type++) {
		if (type == TANDEM_PRIMARY_ON_CHECKPOINT || type == TANDEM_PRIMARY_ON_MESSAGE)
			continue;
		tell((enum tandem_primary_event_type)type, 99 * SECOND);
		cr_expect_eq(actions.count, 0, "event %u", type);
	}
}

/* ---- lost channels ---- */

static void lose(uint32_t channel_mask, bool is_unused)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_CHANNEL_LOST,
	                                     .now_ns = SECOND,
	                                     .channel_mask = channel_mask,
	                                     .is_unused = is_unused};

	tandem_primary_step(&core, &event, &actions);
}

static void answer(uint32_t channel_mask, uint64_t epoch)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_FENCED,
	                                      .generation = core.generation,
	                                      .epoch = epoch,
	                                      .channel_mask = channel_mask};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = SECOND, .message = &message};

	tandem_primary_step(&core, &event, &actions);
}

static const struct tandem_wire_message *asked(void)
{
	for (unsigned index = 0; index < actions.count; index++) {
		if (actions.items[index].type == TANDEM_PRIMARY_DO_SEND &&
		    actions.items[index].message.type == TANDEM_WIRE_FENCE)
			return &actions.items[index].message;
	}
	return NULL;
}

/* PAIR, epoch 2 is captured and its pages are being pushed. */
static void capture(void)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_PUSHING);
}

static void seal_in_pair(void)
{
	capture();
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_SEALED);
}

static void tell_staging(enum tandem_primary_event_type type, bool is_done, bool is_blocked)
{
	struct tandem_primary_event event = {
	        .type = type, .now_ns = SECOND, .is_done = is_done, .is_blocked = is_blocked};

	tandem_primary_step(&core, &event, &actions);
}

static void scan_for_staging(void)
{
	core.options.has_staging = true;
	core.pace.is_staging = true;
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
}

/* PAIR, epoch 2 is captured and staged, the program runs. */
static void stage(void)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	scan_for_staging();
	cr_assert(does(TANDEM_PRIMARY_DO_STAGE) && !does(TANDEM_PRIMARY_DO_RESUME));
	tell_staging(TANDEM_PRIMARY_ON_STAGED, true, false);
	cr_assert(does(TANDEM_PRIMARY_DO_RESUME) && does(TANDEM_PRIMARY_DO_DRAIN));
	cr_assert_eq(core.phase, TANDEM_PRIMARY_DRAINING);
}

/* [C31] */
Test(primary, what_is_staged_is_pushed_and_sealed_beside_the_program)
{
	stage();
	cr_expect(!tandem_primary_can_checkpoint(&core, SECOND));
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, false, false);
	cr_expect(does(TANDEM_PRIMARY_DO_DRAIN) && !does(TANDEM_PRIMARY_DO_SEAL));
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, true, false);
	cr_expect(does(TANDEM_PRIMARY_DO_SEAL) && does(TANDEM_PRIMARY_DO_SETTLE));
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_SEALED);
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect_eq(core.committed, 2);
}

/* A program that is early is held until its own epoch can be captured. */
Test(primary, a_checkpoint_beside_a_drain_waits_for_its_own_capture)
{
	stage();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_expect_eq(actions.count, 0);
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, true, false);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_expect(!does(TANDEM_PRIMARY_DO_RESUME));
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_eq(core.captured, 3);
}

/* 4.4: neither the pause nor the program waits for APPLIED, the seal does. */
Test(primary, a_drain_waits_for_applied_with_the_pages_that_must)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	hear(TANDEM_WIRE_COMMITTED, 2);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	scan_for_staging();
	tell_staging(TANDEM_PRIMARY_ON_STAGED, true, false);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, true, true);
	cr_expect_eq(actions.count, 0);
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect(does(TANDEM_PRIMARY_DO_DRAIN));
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, true, false);
	cr_expect(does(TANDEM_PRIMARY_DO_SEAL));
}

Test(primary, what_found_no_room_is_pushed_in_the_pause)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	scan_for_staging();
	tell_staging(TANDEM_PRIMARY_ON_STAGED, false, false);
	cr_expect(does(TANDEM_PRIMARY_DO_PUSH) && !does(TANDEM_PRIMARY_DO_RESUME));
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_SETTLE) && !does(TANDEM_PRIMARY_DO_SEAL));
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME) && does(TANDEM_PRIMARY_DO_DRAIN));
}

/* 4.7 */
Test(primary, a_staged_attempt_is_given_up_with_what_it_staged)
{
	stage();
	lose(2, false);
	cr_expect(does(TANDEM_PRIMARY_DO_UNSTAGE));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	tell_staging(TANDEM_PRIMARY_ON_DRAINED, true, false);
	cr_expect_eq(actions.count, 0);
	answer(2, 1);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	stage();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	lose(2, false);
	cr_expect(!does(TANDEM_PRIMARY_DO_RESUME), "it waits for its own capture");
	answer(2, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
}

/* [C23] */
Test(primary, an_unsealed_attempt_is_given_up_and_taken_again)
{
	uint64_t ticket;

	capture();
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	lose(2, false);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME), "the program does not wait for the fence");
	cr_expect(does(TANDEM_PRIMARY_DO_SETTLE), "but for what reads its memory [C17]");
	cr_assert_not_null(asked());
	cr_expect_eq(asked()->channel_mask, 2);
	cr_expect_eq(asked()->epoch, 1, "nothing was sealed since");
	cr_expect(!does(TANDEM_PRIMARY_DO_REPUSH), "not before FENCED");
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_expect_eq(actions.count, 0);
	answer(2, 1);
	cr_assert(does(TANDEM_PRIMARY_DO_REPUSH));
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_REPUSH)->channel_mask, 2);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	cr_expect(tandem_primary_wants_checkpoint(&core));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_expect_eq(action_of(TANDEM_PRIMARY_DO_SEAL)->epoch, 3);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	hear(TANDEM_WIRE_COMMITTED, 3);
	cr_expect_eq(core.gate.released_ticket, ticket);
}

/* [C24] */
Test(primary, a_sealed_epoch_is_decided_by_fenced)
{
	seal_in_pair();
	lose(4, false);
	cr_assert_not_null(asked());
	cr_expect_eq(asked()->epoch, 2);
	cr_expect_eq(core.sealed, 2, "undecided");
	answer(4, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_ABORT_MAP) && does(TANDEM_PRIMARY_DO_REPUSH));
	cr_expect_eq(core.sealed, 0);
	cr_expect_eq(core.committed, 1);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	seal_in_pair();
	lose(4, false);
	answer(4, 2);
	cr_expect(does(TANDEM_PRIMARY_DO_COMMIT_MAP) && !does(TANDEM_PRIMARY_DO_ABORT_MAP));
	cr_expect_eq(core.committed, 2);
	seal_in_pair();
	lose(4, false);
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	answer(4, 2);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect(!does(TANDEM_PRIMARY_DO_DROP_SESSION));
}

Test(primary, a_waiting_checkpoint_is_taken_after_the_fence)
{
	seal_in_pair();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_assert(core.is_waiting);
	lose(1, false);
	answer(1, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_eq(core.captured, 3, "the number of the aborted epoch is not used again");
	pair_up();
	lose(1, false);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN) && !does(TANDEM_PRIMARY_DO_RESUME));
	answer(1, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_SCAN));
}

Test(primary, later_losses_wait_for_the_next_fence)
{
	pair_up();
	lose(1, false);
	lose(2, false);
	cr_expect_null(asked(), "one at a time");
	answer(1, 1);
	cr_assert_not_null(asked());
	cr_expect_eq(asked()->channel_mask, 2);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
	answer(2, 1);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
}

/* A channel that could not be restored does not disturb an epoch that it has no part in. */
Test(primary, an_unused_channel_is_fenced_between_epochs)
{
	capture();
	lose(4, true);
	cr_expect_eq(actions.count, 0);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_assert_not_null(asked());
	cr_expect_eq(core.phase, TANDEM_PRIMARY_REPAIRING);
}

Test(primary, channels_that_did_not_join_are_fenced_after_welcome)
{
	struct tandem_primary_event up = {
	        .type = TANDEM_PRIMARY_ON_SESSION_UP, .now_ns = SECOND, .channel_mask = 5};

	begin();
	tandem_primary_step(&core, &up, &actions);
	hear(TANDEM_WIRE_WELCOME, 0);
	cr_assert_not_null(asked());
	cr_expect_eq(asked()->channel_mask, 2);
	cr_expect(does(TANDEM_PRIMARY_DO_MARK_ALL) && !does(TANDEM_PRIMARY_DO_SCAN));
	answer(2, 0);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_COPYING);
}

/* R7: an attempt that is given up is no copy; the gate opens again and the copy goes on. */
Test(primary, a_lost_channel_gives_up_the_capture_of_a_copy)
{
	uint64_t ticket;

	seal_copy();
	ticket = tandem_primary_confirm_ticket(&core, 1);
	lose(2, false);
	cr_expect_lt(core.gate.released_ticket, ticket, "it may have been committed");
	answer(2, 0);
	cr_expect_eq(core.gate.released_ticket, ticket);
	cr_expect_eq(core.phase, TANDEM_PRIMARY_COPYING);
	cr_expect(core.is_copying && !core.is_copy_captured);
	seal_copy();
	lose(2, false);
	answer(2, 1);
	cr_expect_eq(core.committed, 1);
	hear(TANDEM_WIRE_APPLIED, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_REPORT_COPIED));
}

/* R7: the epoch after a copy is given up, the copy itself is committed. */
Test(primary, a_committed_copy_keeps_the_gate_while_the_next_epoch_is_given_up)
{
	uint64_t ticket;

	seal_copy();
	hear(TANDEM_WIRE_COMMITTED, 1);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	ticket = tandem_primary_confirm_ticket(&core, 1);
	lose(2, false);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
	answer(2, 1);
	cr_expect_lt(core.gate.released_ticket, ticket);
	hear(TANDEM_WIRE_APPLIED, 1);
	cr_expect(does(TANDEM_PRIMARY_DO_REPORT_COPIED));
}

Test(primary, a_wrong_answer_to_a_fence_drops_the_session)
{
	pair_up();
	answer(1, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL), "it was not asked");
	pair_up();
	lose(1, false);
	answer(3, 1);
	cr_expect(drops(TANDEM_E_PROTOCOL), "other channels");
	pair_up();
	lose(1, false);
	answer(1, 2);
	cr_expect(drops(TANDEM_E_PROTOCOL), "an epoch that was never sealed");
	seal_in_pair();
	lose(1, false);
	answer(1, 0);
	cr_expect(drops(TANDEM_E_PROTOCOL), "an epoch before the committed one");
}

/* [C23]: the wait for FENCED ends the session, it aborts nothing. */
Test(primary, fenced_is_not_waited_for_without_end)
{
	pair_up();
	lose(1, false);
	cr_expect_eq(tandem_primary_deadline_ns(&core), core.ping_at_ns);
	core.heard_ns = 9 * SECOND;
	core.generation_ns = 9 * SECOND;
	tell(TANDEM_PRIMARY_ON_TICK, 2 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT));
	seal_in_pair();
	lose(1, false);
	core.heard_ns = 9 * SECOND;
	tell(TANDEM_PRIMARY_ON_TICK, 2 * SECOND);
	cr_expect(drops(TANDEM_E_TIMEOUT));
	cr_expect_eq(core.sealed, 2, "still in doubt");
}

/* A checkpoint that waits for the epoch before: that one is not touched, and no other begins. */
Test(primary, a_waiting_checkpoint_is_withdrawn)
{
	seal_in_pair();
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	cr_assert(core.is_held && core.is_waiting);
	tell(TANDEM_PRIMARY_ON_WITHDRAW, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_SEALED);
	hear(TANDEM_WIRE_COMMITTED, 2);
	cr_expect(does(TANDEM_PRIMARY_DO_COMMIT_MAP));
	cr_expect(!does(TANDEM_PRIMARY_DO_SCAN));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
}

/* 4.8: its number is gone, its pages stay recorded, and its output waits for the next epoch. */
Test(primary, a_capture_that_is_blocked_is_withdrawn)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_PUSHED, .now_ns = SECOND};
	uint64_t ticket;

	seal_in_pair();
	hear(TANDEM_WIRE_COMMITTED, 2);
	ticket = tandem_primary_checkpoint_ticket(&core, 1);
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tandem_primary_step(&core, &event, &actions);
	cr_assert_eq(core.phase, TANDEM_PRIMARY_BLOCKED);
	tell(TANDEM_PRIMARY_ON_WITHDRAW, SECOND);
	cr_assert(does(TANDEM_PRIMARY_DO_SETTLE) && does(TANDEM_PRIMARY_DO_RESUME));
	cr_expect_lt(action_of(TANDEM_PRIMARY_DO_SETTLE), action_of(TANDEM_PRIMARY_DO_RESUME),
	             "[C17]: in this order");
	cr_expect(!does(TANDEM_PRIMARY_DO_MERGE_MAPS) && !does(TANDEM_PRIMARY_DO_FORGET_MAP));
	cr_expect_eq(core.phase, TANDEM_PRIMARY_OPEN);
	hear(TANDEM_WIRE_APPLIED, 2);
	cr_expect(!does(TANDEM_PRIMARY_DO_PUSH) && !does(TANDEM_PRIMARY_DO_SEAL));
	cr_expect(tandem_primary_wants_checkpoint(&core));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_expect_eq(core.sealed, 4);
	cr_expect_lt(core.gate.released_ticket, ticket);
	hear(TANDEM_WIRE_COMMITTED, 4);
	cr_expect_geq(core.gate.released_ticket, ticket);
}

Test(primary, what_is_sealed_is_not_withdrawn)
{
	pair_up();
	tell(TANDEM_PRIMARY_ON_WITHDRAW, SECOND);
	cr_expect_eq(actions.count, 0, "there is none");
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	tell(TANDEM_PRIMARY_ON_SCANNED, SECOND);
	tell(TANDEM_PRIMARY_ON_PUSHED, SECOND);
	cr_assert_eq(core.sealed, 2);
	tell(TANDEM_PRIMARY_ON_WITHDRAW, SECOND);
	cr_expect_eq(actions.count, 0);
	cr_expect(core.is_held);
	tell(TANDEM_PRIMARY_ON_SETTLED, SECOND);
	cr_expect(does(TANDEM_PRIMARY_DO_RESUME));
}

static void scan_copy(uint64_t left_pages)
{
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_SCANNED, .now_ns = SECOND, .left_pages = left_pages};

	tandem_primary_step(&core, &event, &actions);
}

Test(primary, a_copy_ends_its_passes_when_they_do_not_gain_on_the_program)
{
	begin();
	core.options.copy_passes_max = 8;
	hear(TANDEM_WIRE_WELCOME, 0);
	scan_copy(1000);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE), "the first pass is of everything");
	tell(TANDEM_PRIMARY_ON_SLICED, SECOND);
	scan_copy(500);
	cr_expect(does(TANDEM_PRIMARY_DO_SLICE), "half is left: it goes on");
	cr_expect_not(tandem_primary_wants_checkpoint(&core));
	tell(TANDEM_PRIMARY_ON_SLICED, SECOND);
	scan_copy(439);
	cr_expect_not(does(TANDEM_PRIMARY_DO_SLICE));
	cr_expect(core.is_outpaced && tandem_primary_wants_checkpoint(&core));
	tell(TANDEM_PRIMARY_ON_CHECKPOINT, SECOND);
	scan_copy(700);
	cr_expect(does(TANDEM_PRIMARY_DO_PUSH) && !does(TANDEM_PRIMARY_DO_RESUME),
	          "the program is held while the rest is pushed");
}
