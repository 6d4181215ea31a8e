#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/peer.h"

#define SECOND     UINT64_C(1000000000)
#define STATE_MAX  1000
#define TRACE_SIZE 512

/* A peer, its clock, and what it did: one word for each action. */
struct story {
	struct tandem_qemu_peer peer;
	uint64_t now_ns;
	char trace[TRACE_SIZE];
};

static const char *const action_words[] = {
        [TANDEM_QEMU_ANSWER_PONG] = "pong",
        [TANDEM_QEMU_ANSWER_SHUT] = "shut",
        [TANDEM_QEMU_ANSWER_READY] = "ready",
        [TANDEM_QEMU_ANSWER_REPLY] = "reply",
        [TANDEM_QEMU_ANSWER_RECEIVED] = "received",
        [TANDEM_QEMU_ANSWER_LOADED] = "loaded",
        [TANDEM_QEMU_KEEP] = "keep",
        [TANDEM_QEMU_DROP] = "drop",
        [TANDEM_QEMU_RELEASE] = "release",
};

static void begin(struct story *story, bool has_return_path)
{
	*story = (struct story){.now_ns = 100 * SECOND};
	tandem_qemu_peer_init(&story->peer, &(struct tandem_qemu_peer_options){
	                                            .has_return_path = has_return_path,
	                                            .state_bytes_max = STATE_MAX,
	                                            .pause_timeout_ns = SECOND,
	                                    });
}

static void note(struct story *story, const struct tandem_qemu_action *action)
{
	const size_t length = strlen(story->trace);
	const bool has_value = action->type == TANDEM_QEMU_ANSWER_PONG ||
	                       action->type == TANDEM_QEMU_KEEP || action->type == TANDEM_QEMU_DROP;
	char value[32] = "";

	if (has_value)
		snprintf(value, sizeof(value), "-%llu", (unsigned long long)action->value);
	snprintf(story->trace + length, TRACE_SIZE - length, "%s%s%s", length > 0 ? " " : "",
	         action_words[action->type], value);
}

static void feed(struct story *story, struct tandem_qemu_event event)
{
	struct tandem_qemu_step step;

	event.now_ns = story->now_ns;
	tandem_qemu_peer_step(&story->peer, &event, &step);
	for (unsigned i = 0; i < step.action_count; i++)
		note(story, &step.actions[i]);
}

static void item(struct story *story, enum tandem_qemu_item_type type, uint64_t value,
                 size_t byte_count)
{
	const struct tandem_qemu_item it = {.type = type, .value = value, .byte_count = byte_count};

	feed(story, (struct tandem_qemu_event){.type = TANDEM_QEMU_EVENT_ITEM, .item = &it});
}

static void tell(struct story *story, enum tandem_qemu_event_type type, uint64_t value)
{
	feed(story, (struct tandem_qemu_event){.type = type, .value = value});
}

static void open_stream(struct story *story)
{
	item(story, TANDEM_QEMU_MACHINE, 0, 0);
	item(story, TANDEM_QEMU_CAPABILITY, 0, 0);
	item(story, TANDEM_QEMU_BLOCK, 0, 0);
	item(story, TANDEM_QEMU_SET_UP, 0, 0);
	item(story, TANDEM_QEMU_PAGE, 0, TANDEM_QEMU_PAGE_BYTES);
	item(story, TANDEM_QEMU_FILL, 0, 0);
	item(story, TANDEM_QEMU_DEVICES_FIRST, 0, 0);
	tell(story, TANDEM_QEMU_EVENT_STATE, 500);
}

static void open_all(struct story *story)
{
	open_stream(story);
	tell(story, TANDEM_QEMU_EVENT_KEPT, 1);
}

/* An epoch from the reply until its device state is whole. */
static void send_rest(struct story *story)
{
	item(story, TANDEM_QEMU_SEND, 0, 0);
	item(story, TANDEM_QEMU_PAGE, 0, TANDEM_QEMU_PAGE_BYTES);
	item(story, TANDEM_QEMU_NOTED, 0, 0);
	item(story, TANDEM_QEMU_RAM_END, 0, 0);
	item(story, TANDEM_QEMU_SIZE, 7, 0);
	item(story, TANDEM_QEMU_DEVICES, 0, 3);
	item(story, TANDEM_QEMU_DEVICES_END, 0, 4);
}

static void send_epoch(struct story *story)
{
	item(story, TANDEM_QEMU_REQUEST, 0, 0);
	send_rest(story);
}

static void expect_trace(const struct story *story, const char *trace)
{
	cr_assert_str_eq(story->trace, trace, "did: %s", story->trace);
}

static void expect_end(const struct story *story, enum tandem_qemu_cause cause, uint64_t seen,
                       uint64_t needed)
{
	const struct tandem_qemu_end *end = &story->peer.end;

	cr_assert_eq(story->peer.stage, TANDEM_QEMU_PEER_ENDED);
	cr_assert_eq(story->peer.deadline_ns, 0);
	cr_assert_eq(end->cause, cause, "ended: %s", tandem_qemu_cause_text(end->cause));
	cr_assert_eq(end->seen, seen, "saw %llu", (unsigned long long)end->seen);
	cr_assert_eq(end->needed, needed, "needed %llu", (unsigned long long)end->needed);
}

Test(qemu_peer, two_epochs_are_kept_and_answered_in_order)
{
	struct story story;

	begin(&story, false);
	open_all(&story);
	expect_trace(&story, "keep-1 ready");
	send_epoch(&story);
	expect_trace(&story, "keep-1 ready reply received keep-2");
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 2);
	send_epoch(&story);
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 3);
	expect_trace(&story,
	             "keep-1 ready reply received keep-2 loaded reply received keep-3 loaded");
	cr_assert_eq(story.peer.epoch, 4);
}

Test(qemu_peer, a_guest_goes_on_when_its_epoch_is_captured_and_stops_again_when_that_is_kept)
{
	struct story story;

	begin(&story, true);
	open_stream(&story);
	tell(&story, TANDEM_QEMU_EVENT_CAPTURED, 1);
	expect_trace(&story, "keep-1 shut ready");
	item(&story, TANDEM_QEMU_REQUEST, 0, 0);
	expect_trace(&story, "keep-1 shut ready");
	story.now_ns += 50 * SECOND;
	tell(&story, TANDEM_QEMU_EVENT_TIME, 0);
	cr_assert_eq(story.peer.deadline_ns, 0, "it runs");
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 1);
	expect_trace(&story, "keep-1 shut ready reply");
	cr_assert_eq(story.peer.deadline_ns, story.now_ns + SECOND);
	send_rest(&story);
	tell(&story, TANDEM_QEMU_EVENT_CAPTURED, 2);
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 2);
	expect_trace(&story, "keep-1 shut ready reply received keep-2 loaded");
	item(&story, TANDEM_QEMU_REQUEST, 0, 0);
	expect_trace(&story, "keep-1 shut ready reply received keep-2 loaded reply");
}

Test(qemu_peer, a_return_path_is_served_and_shut_before_the_first_word)
{
	struct story story;

	begin(&story, true);
	item(&story, TANDEM_QEMU_PING, 77, 0);
	open_all(&story);
	expect_trace(&story, "pong-77 keep-1 shut ready");
}

Test(qemu_peer, a_return_path_that_was_said_to_be_off_ends_it)
{
	struct story story;

	begin(&story, false);
	item(&story, TANDEM_QEMU_PING, 77, 0);
	expect_trace(&story, "drop-1 release");
	expect_end(&story, TANDEM_QEMU_CAUSE_RETURN_PATH, 77, 0);
	cr_assert_str_eq(story.peer.end.needed_text, "return-path off");
}

Test(qemu_peer, the_guest_stands_still_only_where_a_deadline_is_set)
{
	struct story story;

	begin(&story, false);
	item(&story, TANDEM_QEMU_PAGE, 0, TANDEM_QEMU_PAGE_BYTES);
	cr_assert_eq(story.peer.deadline_ns, 0);
	item(&story, TANDEM_QEMU_DEVICES_FIRST, 0, 0);
	cr_assert_eq(story.peer.deadline_ns, story.now_ns + SECOND);
	tell(&story, TANDEM_QEMU_EVENT_STATE, 500);
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 1);
	cr_assert_eq(story.peer.deadline_ns, 0);
	story.now_ns += 50 * SECOND;
	send_epoch(&story);
	cr_assert_eq(story.peer.deadline_ns, story.now_ns + SECOND);
	tell(&story, TANDEM_QEMU_EVENT_KEPT, 2);
	cr_assert_eq(story.peer.deadline_ns, 0);
}

/* ---- every stall has an end ---- */

static void stall_in_first_state(struct story *story)
{
	item(story, TANDEM_QEMU_DEVICES_FIRST, 0, 0);
}

static void stall_in_asked(struct story *story)
{
	open_all(story);
	item(story, TANDEM_QEMU_REQUEST, 0, 0);
}

static void stall_in_ram(struct story *story)
{
	stall_in_asked(story);
	item(story, TANDEM_QEMU_SEND, 0, 0);
	item(story, TANDEM_QEMU_PAGE, 0, TANDEM_QEMU_PAGE_BYTES);
}

static void stall_in_size(struct story *story)
{
	stall_in_ram(story);
	item(story, TANDEM_QEMU_RAM_END, 0, 0);
}

static void stall_in_state(struct story *story)
{
	stall_in_size(story);
	item(story, TANDEM_QEMU_SIZE, 7, 0);
	item(story, TANDEM_QEMU_DEVICES, 0, 6);
}

static void stall_in_captured(struct story *story)
{
	open_all(story);
	send_epoch(story);
}

static const struct {
	const char *name;
	void (*go)(struct story *);
	enum tandem_qemu_peer_stage stage;
	const char *trace;
} stalls[] = {
        {"first state", stall_in_first_state, TANDEM_QEMU_PEER_FIRST_STATE, "drop-1 release"},
        {"first captured", open_stream, TANDEM_QEMU_PEER_FIRST_CAPTURED, "keep-1 release"},
        {"asked", stall_in_asked, TANDEM_QEMU_PEER_ASKED, "keep-1 ready reply drop-2 release"},
        {"ram", stall_in_ram, TANDEM_QEMU_PEER_RAM, "keep-1 ready reply drop-2 release"},
        {"size", stall_in_size, TANDEM_QEMU_PEER_SIZE, "keep-1 ready reply drop-2 release"},
        {"state", stall_in_state, TANDEM_QEMU_PEER_STATE, "keep-1 ready reply drop-2 release"},
        {"captured", stall_in_captured, TANDEM_QEMU_PEER_CAPTURED,
         "keep-1 ready reply received keep-2 release"},
};

static void check_ended(struct story *story, const char *name, const char *trace)
{
	cr_expect_str_eq(story->trace, trace, "%s did: %s", name, story->trace);
	item(story, TANDEM_QEMU_REQUEST, 0, 0);
	tell(story, TANDEM_QEMU_EVENT_KEPT, story->peer.epoch);
	tell(story, TANDEM_QEMU_EVENT_STOP, 0);
	cr_expect_str_eq(story->trace, trace, "%s went on: %s", name, story->trace);
}

Test(qemu_peer, a_guest_that_stands_still_for_too_long_is_let_go)
{
	for (size_t i = 0; i < sizeof(stalls) / sizeof(stalls[0]); i++) {
		struct story story;

		begin(&story, false);
		stalls[i].go(&story);
		story.now_ns += SECOND - 1;
		tell(&story, TANDEM_QEMU_EVENT_TIME, 0);
		cr_expect_eq(story.peer.stage, stalls[i].stage, "%s ended early", stalls[i].name);
		story.now_ns++;
		tell(&story, TANDEM_QEMU_EVENT_TIME, 0);
		expect_end(&story, TANDEM_QEMU_CAUSE_TIMEOUT, SECOND, SECOND);
		cr_expect_eq(story.peer.end.stage, stalls[i].stage);
		check_ended(&story, stalls[i].name, stalls[i].trace);
	}
}

Test(qemu_peer, whoever_ends_it_the_guest_is_let_go_and_a_torn_epoch_is_dropped)
{
	static const struct {
		enum tandem_qemu_event_type type;
		enum tandem_qemu_cause cause;
	} ends[] = {
	        {TANDEM_QEMU_EVENT_STOP, TANDEM_QEMU_CAUSE_STOPPED},
	        {TANDEM_QEMU_EVENT_CLOSED, TANDEM_QEMU_CAUSE_CLOSED},
	        {TANDEM_QEMU_EVENT_EXITED, TANDEM_QEMU_CAUSE_EXITED},
	};

	for (size_t i = 0; i < 3 * sizeof(stalls) / sizeof(stalls[0]); i++) {
		struct story story;

		begin(&story, false);
		stalls[i / 3].go(&story);
		tell(&story, ends[i % 3].type, 5);
		expect_end(&story, ends[i % 3].cause, 5, 0);
		check_ended(&story, stalls[i / 3].name, stalls[i / 3].trace);
	}
}

Test(qemu_peer, between_two_epochs_nothing_is_dropped)
{
	struct story story;

	begin(&story, false);
	open_all(&story);
	story.now_ns += 500 * SECOND;
	tell(&story, TANDEM_QEMU_EVENT_TIME, 0);
	expect_trace(&story, "keep-1 ready");
	tell(&story, TANDEM_QEMU_EVENT_STOP, 0);
	expect_trace(&story, "keep-1 ready release");
}

/* QEMU asks for the next epoch, and the one before is not kept. */
static void wait_for_kept(struct story *story)
{
	open_stream(story);
	tell(story, TANDEM_QEMU_EVENT_CAPTURED, 1);
	item(story, TANDEM_QEMU_REQUEST, 0, 0);
}

Test(qemu_peer, a_guest_that_waits_for_its_reply_is_let_go_and_nothing_is_dropped)
{
	struct story story;

	begin(&story, false);
	wait_for_kept(&story);
	tell(&story, TANDEM_QEMU_EVENT_CLOSED, 32);
	expect_end(&story, TANDEM_QEMU_CAUSE_CLOSED, 32, 0);
	cr_assert_eq(story.peer.end.stage, TANDEM_QEMU_PEER_KEPT);
	check_ended(&story, "waits", "keep-1 ready release");
}

/* ---- what does not come now ---- */

#define ITEM(name) (1u << TANDEM_QEMU_##name)

static bool may_come(enum tandem_qemu_peer_stage stage, enum tandem_qemu_item_type type)
{
	static const unsigned items[TANDEM_QEMU_PEER_STAGE_COUNT] = {
	        [TANDEM_QEMU_PEER_OPENING] = ITEM(MACHINE) | ITEM(CAPABILITY) | ITEM(BLOCK) |
	                                     ITEM(SET_UP) | ITEM(PING) | ITEM(PAGE) | ITEM(FILL) |
	                                     ITEM(DEVICES_FIRST),
	        [TANDEM_QEMU_PEER_IDLE] = ITEM(REQUEST),
	        [TANDEM_QEMU_PEER_ASKED] = ITEM(SEND),
	        [TANDEM_QEMU_PEER_RAM] = ITEM(PAGE) | ITEM(FILL) | ITEM(RAM_END),
	        [TANDEM_QEMU_PEER_SIZE] = ITEM(SIZE),
	        [TANDEM_QEMU_PEER_STATE] = ITEM(DEVICES) | ITEM(DEVICES_END),
	};

	return ((items[stage] | ITEM(NOTED) | ITEM(MORE) | ITEM(COMMAND)) >> type & 1) != 0;
}

static void idle(struct story *story)
{
	open_all(story);
}

static void nothing(struct story *story)
{
	(void)story;
}

static void (*const others[])(struct story *) = {idle, nothing, wait_for_kept};

#define STALL_COUNT (sizeof(stalls) / sizeof(stalls[0]))
#define PLACE_COUNT (STALL_COUNT + sizeof(others) / sizeof(others[0]))

/* Each item at each place: it goes on, or it ends with the item that came and what was needed. */
Test(qemu_peer, an_item_that_does_not_come_now_ends_it)
{
	unsigned ended_count = 0;

	for (size_t i = 0; i < PLACE_COUNT * TANDEM_QEMU_ITEM_TYPE_COUNT; i++) {
		const enum tandem_qemu_item_type type =
		        (enum tandem_qemu_item_type)(i / PLACE_COUNT);
		const size_t place = i % PLACE_COUNT;
		struct story story;

		begin(&story, true);
		(place < STALL_COUNT ? stalls[place].go : others[place - STALL_COUNT])(&story);
		const enum tandem_qemu_peer_stage stage = story.peer.stage;
		/* A piece that is not the last of one byte, or the last. */
		if (stage == TANDEM_QEMU_PEER_STATE)
			story.peer.state_left_bytes = type == TANDEM_QEMU_DEVICES ? 2 : 1;
		item(&story, type, 1, 1);
		if (may_come(stage, type)) {
			cr_expect_neq(story.peer.stage, TANDEM_QEMU_PEER_ENDED, "%s at %s",
			              tandem_qemu_item_text(type), tandem_qemu_stage_text(stage));
			continue;
		}
		ended_count++;
		cr_expect_eq(story.peer.stage, TANDEM_QEMU_PEER_ENDED);
		cr_expect_eq(story.peer.end.stage, stage);
		cr_expect_str_eq(story.peer.end.needed_text, tandem_qemu_stage_text(stage));
		if (type == TANDEM_QEMU_FAULT)
			continue;
		cr_expect_eq(story.peer.end.cause, TANDEM_QEMU_CAUSE_ORDER);
		cr_expect_str_eq(story.peer.end.seen_text, tandem_qemu_item_text(type));
	}
	cr_assert_gt(ended_count, 100);
}

Test(qemu_peer, what_cannot_be_decoded_ends_it_with_its_fault)
{
	const struct tandem_qemu_item fault = {
	        .type = TANDEM_QEMU_FAULT, .fault = TANDEM_QEMU_FAULT_RANGE, .value = 0x4000};
	struct story story;

	begin(&story, false);
	stall_in_ram(&story);
	feed(&story, (struct tandem_qemu_event){.type = TANDEM_QEMU_EVENT_ITEM, .item = &fault});
	expect_trace(&story, "keep-1 ready reply drop-2 release");
	expect_end(&story, TANDEM_QEMU_CAUSE_STREAM, 0x4000, 0);
	cr_assert_str_eq(story.peer.end.seen_text, tandem_qemu_fault_text(TANDEM_QEMU_FAULT_RANGE));
}

Test(qemu_peer, device_state_of_the_largest_size_is_kept_and_no_larger)
{
	struct story story;

	begin(&story, false);
	stall_in_size(&story);
	item(&story, TANDEM_QEMU_SIZE, STATE_MAX, 0);
	item(&story, TANDEM_QEMU_DEVICES_END, 0, STATE_MAX);
	expect_trace(&story, "keep-1 ready reply received keep-2");
	begin(&story, false);
	stall_in_size(&story);
	item(&story, TANDEM_QEMU_SIZE, STATE_MAX + 1, 0);
	expect_end(&story, TANDEM_QEMU_CAUSE_STATE_BYTES, STATE_MAX + 1, STATE_MAX);
	begin(&story, false);
	stall_in_first_state(&story);
	tell(&story, TANDEM_QEMU_EVENT_STATE, STATE_MAX + 1);
	expect_end(&story, TANDEM_QEMU_CAUSE_STATE_BYTES, STATE_MAX + 1, STATE_MAX);
}

Test(qemu_peer, device_state_of_another_length_than_told_is_no_epoch)
{
	static const struct {
		enum tandem_qemu_item_type type;
		size_t byte_count;
		uint64_t seen;
	} wrong[] = {
	        {TANDEM_QEMU_DEVICES_END, 6, 6}, /* ended early */
	        {TANDEM_QEMU_DEVICES, 7, 7},     /* whole, and yet not the last */
	        {TANDEM_QEMU_DEVICES, 8, 8},
	        {TANDEM_QEMU_DEVICES_END, 8, 8},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct story story;

		begin(&story, false);
		stall_in_size(&story);
		item(&story, TANDEM_QEMU_SIZE, 7, 0);
		item(&story, wrong[i].type, 0, wrong[i].byte_count);
		expect_end(&story, TANDEM_QEMU_CAUSE_STATE_LENGTH, wrong[i].seen, 7);
		expect_trace(&story, "keep-1 ready reply drop-2 release");
	}
}

Test(qemu_peer, only_the_epoch_under_way_can_be_captured_and_kept_and_that_once)
{
	static const struct {
		void (*go)(struct story *);
		enum tandem_qemu_event_type type;
		uint64_t epoch, needed;
	} wrong[] = {
	        {stall_in_captured, TANDEM_QEMU_EVENT_KEPT, 1, 2},
	        {stall_in_captured, TANDEM_QEMU_EVENT_CAPTURED, 3, 2},
	        {stall_in_state, TANDEM_QEMU_EVENT_KEPT, 2, 1},
	        {stall_in_state, TANDEM_QEMU_EVENT_CAPTURED, 2, 2},
	        {idle, TANDEM_QEMU_EVENT_KEPT, 1, 1},
	        {wait_for_kept, TANDEM_QEMU_EVENT_KEPT, 2, 1},
	        {wait_for_kept, TANDEM_QEMU_EVENT_CAPTURED, 1, 2},
	        {nothing, TANDEM_QEMU_EVENT_KEPT, 0, 0},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct story story;

		begin(&story, false);
		wrong[i].go(&story);
		tell(&story, wrong[i].type, wrong[i].epoch);
		expect_end(&story, TANDEM_QEMU_CAUSE_EPOCH, wrong[i].epoch, wrong[i].needed);
	}
}

Test(qemu_peer, the_first_device_state_comes_once)
{
	struct story story;

	begin(&story, false);
	open_all(&story);
	tell(&story, TANDEM_QEMU_EVENT_STATE, 5);
	expect_end(&story, TANDEM_QEMU_CAUSE_ORDER, 5, TANDEM_QEMU_PEER_IDLE);
}

static void expect_answer(enum tandem_qemu_action_type type, uint64_t value, const uint8_t *bytes,
                          size_t length)
{
	const struct tandem_qemu_action action = {.type = type, .value = value};
	uint8_t made[TANDEM_QEMU_ANSWER_BYTES_MAX];

	cr_assert_eq(tandem_qemu_answer_write(&action, made), length);
	cr_assert_arr_eq(made, bytes, length);
}

Test(qemu_peer, answers_are_what_qemu_reads)
{
	expect_answer(TANDEM_QEMU_ANSWER_PONG, 0x01020304,
	              (const uint8_t[]){0, 2, 0, 4, 1, 2, 3, 4}, 8);
	expect_answer(TANDEM_QEMU_ANSWER_SHUT, 0, (const uint8_t[]){0, 1, 0, 4, 0, 0, 0, 0}, 8);
	expect_answer(TANDEM_QEMU_ANSWER_READY, 0, (const uint8_t[]){0, 0, 0, 0}, 4);
	expect_answer(TANDEM_QEMU_ANSWER_REPLY, 0, (const uint8_t[]){0, 0, 0, 2}, 4);
	expect_answer(TANDEM_QEMU_ANSWER_RECEIVED, 0, (const uint8_t[]){0, 0, 0, 5}, 4);
	expect_answer(TANDEM_QEMU_ANSWER_LOADED, 0, (const uint8_t[]){0, 0, 0, 6}, 4);
	cr_assert_eq(
	        tandem_qemu_answer_write(&(struct tandem_qemu_action){.type = TANDEM_QEMU_RELEASE},
	                                 (uint8_t[TANDEM_QEMU_ANSWER_BYTES_MAX]){0}),
	        0);
}
