#include "core/peer.h"

#include <string.h>
#include <tandem/assert.h>

#define RETURN_PATH_SHUT UINT32_C(0x00010004) /* kind of message, bytes of its argument */
#define RETURN_PATH_PONG UINT32_C(0x00020004)

enum answer {
	ANSWER_READY = 0,
	ANSWER_REPLY = 2,
	ANSWER_RECEIVED = 5,
	ANSWER_LOADED = 6,
};

struct work {
	struct tandem_qemu_peer *peer;
	const struct tandem_qemu_event *event;
	struct tandem_qemu_step *step;
};

static void act(struct work *work, enum tandem_qemu_action_type type, uint64_t value)
{
	TANDEM_ASSERT(work->step->action_count < TANDEM_QEMU_PEER_ACTIONS_MAX);
	work->step->actions[work->step->action_count++] =
	        (struct tandem_qemu_action){.type = type, .value = value};
}

static bool is_partial(enum tandem_qemu_peer_stage stage)
{
	return stage != TANDEM_QEMU_PEER_FIRST_CAPTURED && stage != TANDEM_QEMU_PEER_CAPTURED &&
	       stage != TANDEM_QEMU_PEER_IDLE && stage != TANDEM_QEMU_PEER_KEPT;
}

static void end(struct work *work, const struct tandem_qemu_end *why)
{
	struct tandem_qemu_peer *peer = work->peer;

	if (is_partial(peer->stage))
		act(work, TANDEM_QEMU_DROP, peer->epoch);
	peer->end = *why;
	peer->end.stage = peer->stage;
	peer->stage = TANDEM_QEMU_PEER_ENDED;
	peer->deadline_ns = 0;
	act(work, TANDEM_QEMU_RELEASE, 0);
}

static void end_by_order(struct work *work)
{
	const struct tandem_qemu_item *item = work->event->item;

	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_ORDER,
	                  .seen = item->type,
	                  .needed = work->peer->stage,
	                  .seen_text = tandem_qemu_item_text(item->type),
	                  .needed_text = tandem_qemu_stage_text(work->peer->stage),
	          });
}

static void begin_pause(struct work *work)
{
	const uint64_t now_ns = work->event->now_ns;
	const uint64_t limit_ns = work->peer->options.pause_timeout_ns;

	work->peer->paused_ns = now_ns;
	work->peer->deadline_ns = limit_ns < UINT64_MAX - now_ns ? now_ns + limit_ns : UINT64_MAX;
}

static void let_go(struct work *work)
{
	struct tandem_qemu_peer *peer = work->peer;
	const bool is_first = peer->stage == TANDEM_QEMU_PEER_FIRST_CAPTURED;

	if (is_first && peer->options.has_return_path)
		act(work, TANDEM_QEMU_ANSWER_SHUT, 0);
	act(work, is_first ? TANDEM_QEMU_ANSWER_READY : TANDEM_QEMU_ANSWER_LOADED, 0);
	peer->stage = TANDEM_QEMU_PEER_IDLE;
	peer->deadline_ns = 0;
	peer->epoch++;
	peer->is_kept = false;
}

static void keep(struct work *work, enum tandem_qemu_peer_stage stage)
{
	work->peer->stage = stage;
	act(work, TANDEM_QEMU_KEEP, work->peer->epoch);
}

/* False: it does not fit, and the protection has ended. */
static bool fits(struct work *work, uint64_t state_bytes)
{
	if (state_bytes <= work->peer->options.state_bytes_max)
		return true;
	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_STATE_BYTES,
	                  .seen = state_bytes,
	                  .needed = work->peer->options.state_bytes_max,
	          });
	return false;
}

static void take_ping(struct work *work)
{
	if (work->peer->options.has_return_path) {
		act(work, TANDEM_QEMU_ANSWER_PONG, work->event->item->value);
		return;
	}
	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_RETURN_PATH,
	                  .seen = work->event->item->value,
	                  .seen_text = "return-path on",
	                  .needed_text = "return-path off",
	          });
}

static void take_opening(struct work *work)
{
	if (work->event->item->type == TANDEM_QEMU_PING)
		take_ping(work);
	if (work->event->item->type != TANDEM_QEMU_DEVICES_FIRST)
		return;
	work->peer->stage = TANDEM_QEMU_PEER_FIRST_STATE;
	begin_pause(work);
}

static void reply(struct work *work)
{
	work->peer->stage = TANDEM_QEMU_PEER_ASKED;
	begin_pause(work);
	act(work, TANDEM_QEMU_ANSWER_REPLY, 0);
}

/* The guest runs for as long as QEMU has no reply. */
static void take_request(struct work *work)
{
	if (work->peer->is_kept)
		reply(work);
	else
		work->peer->stage = TANDEM_QEMU_PEER_KEPT;
}

static void take_send(struct work *work)
{
	work->peer->stage = TANDEM_QEMU_PEER_RAM;
}

static void take_ram(struct work *work)
{
	if (work->event->item->type == TANDEM_QEMU_RAM_END)
		work->peer->stage = TANDEM_QEMU_PEER_SIZE;
}

static void take_size(struct work *work)
{
	const uint64_t state_bytes = work->event->item->value;

	if (!fits(work, state_bytes))
		return;
	work->peer->state_bytes = state_bytes;
	work->peer->state_left_bytes = state_bytes;
	work->peer->stage = TANDEM_QEMU_PEER_STATE;
}

static void take_state(struct work *work)
{
	struct tandem_qemu_peer *peer = work->peer;
	const struct tandem_qemu_item *item = work->event->item;
	const bool is_last = item->type == TANDEM_QEMU_DEVICES_END;

	if (item->byte_count > peer->state_left_bytes ||
	    is_last != (item->byte_count == peer->state_left_bytes)) {
		end(work,
		    &(struct tandem_qemu_end){
		            .cause = TANDEM_QEMU_CAUSE_STATE_LENGTH,
		            .seen = peer->state_bytes - peer->state_left_bytes + item->byte_count,
		            .needed = peer->state_bytes,
		    });
		return;
	}
	peer->state_left_bytes -= item->byte_count;
	if (!is_last)
		return;
	act(work, TANDEM_QEMU_ANSWER_RECEIVED, 0);
	keep(work, TANDEM_QEMU_PEER_CAPTURED);
}

#define ITEM(name) (UINT32_C(1) << TANDEM_QEMU_##name)

/* What may come in a stage, and who takes it. */
static const struct {
	uint32_t items;
	void (*take)(struct work *work);
} stages[TANDEM_QEMU_PEER_STAGE_COUNT] = {
        [TANDEM_QEMU_PEER_OPENING] = {ITEM(MACHINE) | ITEM(CAPABILITY) | ITEM(BLOCK) |
                                              ITEM(SET_UP) | ITEM(PING) | ITEM(PAGE) | ITEM(FILL) |
                                              ITEM(DEVICES_FIRST),
                                      take_opening},
        [TANDEM_QEMU_PEER_IDLE] = {ITEM(REQUEST), take_request},
        [TANDEM_QEMU_PEER_ASKED] = {ITEM(SEND), take_send},
        [TANDEM_QEMU_PEER_RAM] = {ITEM(PAGE) | ITEM(FILL) | ITEM(RAM_END), take_ram},
        [TANDEM_QEMU_PEER_SIZE] = {ITEM(SIZE), take_size},
        [TANDEM_QEMU_PEER_STATE] = {ITEM(DEVICES) | ITEM(DEVICES_END), take_state},
};

static void end_by_fault(struct work *work)
{
	const struct tandem_qemu_item *item = work->event->item;

	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_STREAM,
	                  .seen = item->value,
	                  .seen_text = tandem_qemu_fault_text(item->fault),
	                  .needed_text = tandem_qemu_stage_text(work->peer->stage),
	          });
}

static void on_item(struct work *work)
{
	const enum tandem_qemu_item_type type = work->event->item->type;

	if (type == TANDEM_QEMU_NOTED || type == TANDEM_QEMU_MORE || type == TANDEM_QEMU_COMMAND)
		return;
	if (type == TANDEM_QEMU_FAULT)
		end_by_fault(work);
	else if (stages[work->peer->stage].items & UINT32_C(1) << type)
		stages[work->peer->stage].take(work);
	else
		end_by_order(work);
}

static void on_state(struct work *work)
{
	struct tandem_qemu_peer *peer = work->peer;

	if (peer->stage != TANDEM_QEMU_PEER_FIRST_STATE) {
		end(work, &(struct tandem_qemu_end){
		                  .cause = TANDEM_QEMU_CAUSE_ORDER,
		                  .seen = work->event->value,
		                  .needed = peer->stage,
		                  .seen_text = "the first device state",
		                  .needed_text = tandem_qemu_stage_text(peer->stage),
		          });
		return;
	}
	if (!fits(work, work->event->value))
		return;
	peer->state_bytes = work->event->value;
	keep(work, TANDEM_QEMU_PEER_FIRST_CAPTURED);
}

static bool is_held(const struct tandem_qemu_peer *peer)
{
	return peer->stage == TANDEM_QEMU_PEER_FIRST_CAPTURED ||
	       peer->stage == TANDEM_QEMU_PEER_CAPTURED;
}

static void end_by_epoch(struct work *work, uint64_t needed)
{
	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_EPOCH,
	                  .seen = work->event->value,
	                  .needed = needed,
	                  .needed_text = tandem_qemu_stage_text(work->peer->stage),
	          });
}

static void on_captured(struct work *work)
{
	if (is_held(work->peer) && work->event->value == work->peer->epoch)
		let_go(work);
	else
		end_by_epoch(work, work->peer->epoch);
}

static void on_kept(struct work *work)
{
	struct tandem_qemu_peer *peer = work->peer;

	if (is_held(peer) && work->event->value == peer->epoch)
		let_go(work);
	if (peer->is_kept || is_held(peer) || work->event->value != peer->epoch - 1) {
		end_by_epoch(work, is_held(peer) ? peer->epoch : peer->epoch - 1);
		return;
	}
	peer->is_kept = true;
	if (peer->stage == TANDEM_QEMU_PEER_KEPT)
		reply(work);
}

static void on_time(struct work *work)
{
	const struct tandem_qemu_peer *peer = work->peer;

	if (peer->deadline_ns == 0 || work->event->now_ns < peer->deadline_ns)
		return;
	end(work, &(struct tandem_qemu_end){
	                  .cause = TANDEM_QEMU_CAUSE_TIMEOUT,
	                  .seen = work->event->now_ns - peer->paused_ns,
	                  .needed = peer->options.pause_timeout_ns,
	                  .needed_text = tandem_qemu_stage_text(peer->stage),
	          });
}

static void on_end(struct work *work, enum tandem_qemu_cause cause)
{
	end(work, &(struct tandem_qemu_end){
	                  .cause = cause,
	                  .seen = work->event->value,
	                  .needed_text = tandem_qemu_stage_text(work->peer->stage),
	          });
}

void tandem_qemu_peer_init(struct tandem_qemu_peer *peer,
                           const struct tandem_qemu_peer_options *options)
{
	TANDEM_ASSERT(options->pause_timeout_ns > 0);
	*peer = (struct tandem_qemu_peer){
	        .options = *options,
	        .epoch = TANDEM_QEMU_EPOCH_FIRST,
	        .is_kept = true,
	};
}

void tandem_qemu_peer_step(struct tandem_qemu_peer *peer, const struct tandem_qemu_event *event,
                           struct tandem_qemu_step *ret_step)
{
	struct work work = {.peer = peer, .event = event, .step = ret_step};

	ret_step->action_count = 0;
	if (peer->stage == TANDEM_QEMU_PEER_ENDED)
		return;
	switch (event->type) {
	case TANDEM_QEMU_EVENT_ITEM:
		on_item(&work);
		return;
	case TANDEM_QEMU_EVENT_STATE:
		on_state(&work);
		return;
	case TANDEM_QEMU_EVENT_CAPTURED:
		on_captured(&work);
		return;
	case TANDEM_QEMU_EVENT_KEPT:
		on_kept(&work);
		return;
	case TANDEM_QEMU_EVENT_TIME:
		on_time(&work);
		return;
	case TANDEM_QEMU_EVENT_STOP:
		on_end(&work, TANDEM_QEMU_CAUSE_STOPPED);
		return;
	case TANDEM_QEMU_EVENT_CLOSED:
		on_end(&work, TANDEM_QEMU_CAUSE_CLOSED);
		return;
	case TANDEM_QEMU_EVENT_EXITED:
		on_end(&work, TANDEM_QEMU_CAUSE_EXITED);
		return;
	}
}

static size_t write_word(uint8_t *bytes, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
	return 4;
}

size_t tandem_qemu_answer_write(const struct tandem_qemu_action *action,
                                uint8_t ret_bytes[TANDEM_QEMU_ANSWER_BYTES_MAX])
{
	switch (action->type) {
	case TANDEM_QEMU_ANSWER_PONG:
		return write_word(ret_bytes, RETURN_PATH_PONG) +
		       write_word(ret_bytes + 4, (uint32_t)action->value);
	case TANDEM_QEMU_ANSWER_SHUT:
		return write_word(ret_bytes, RETURN_PATH_SHUT) + write_word(ret_bytes + 4, 0);
	case TANDEM_QEMU_ANSWER_READY:
		return write_word(ret_bytes, ANSWER_READY);
	case TANDEM_QEMU_ANSWER_REPLY:
		return write_word(ret_bytes, ANSWER_REPLY);
	case TANDEM_QEMU_ANSWER_RECEIVED:
		return write_word(ret_bytes, ANSWER_RECEIVED);
	case TANDEM_QEMU_ANSWER_LOADED:
		return write_word(ret_bytes, ANSWER_LOADED);
	case TANDEM_QEMU_KEEP:
	case TANDEM_QEMU_DROP:
	case TANDEM_QEMU_RELEASE:
		break;
	}
	return 0;
}

const char *tandem_qemu_cause_text(enum tandem_qemu_cause cause)
{
	static const char *const texts[TANDEM_QEMU_CAUSE_COUNT] = {
#define X(name, text) [TANDEM_QEMU_CAUSE_##name] = (text),
	        TANDEM_QEMU_CAUSE_TABLE(X)
#undef X
	};
	return (unsigned)cause < TANDEM_QEMU_CAUSE_COUNT ? texts[cause] : "unknown cause";
}

const char *tandem_qemu_stage_text(enum tandem_qemu_peer_stage stage)
{
	static const char *const texts[TANDEM_QEMU_PEER_STAGE_COUNT] = {
#define X(name, text) [TANDEM_QEMU_PEER_##name] = (text),
	        TANDEM_QEMU_PEER_STAGE_TABLE(X)
#undef X
	};
	return (unsigned)stage < TANDEM_QEMU_PEER_STAGE_COUNT ? texts[stage] : "unknown stage";
}
