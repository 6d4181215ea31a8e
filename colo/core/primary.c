#include "primary.h"

#include <string.h>

#include <tandem/error.h>

/* Waiting for APPLIED may take as long as the copying of an epoch; pings tell a dead peer
 * meanwhile. */
#define APPLY_TIMEOUT_FACTOR 10u

static const char *const phase_names[] = {
#define X(name) [TANDEM_PRIMARY_##name] = #name,
        TANDEM_PRIMARY_PHASE_TABLE(X)
#undef X
};

const char *tandem_primary_phase_name(enum tandem_primary_phase phase)
{
	return phase_names[phase];
}

void tandem_primary_init(struct tandem_primary *primary,
                         const struct tandem_primary_options *options)
{
	memset(primary, 0, sizeof *primary);
	primary->options = *options;
	primary->next_epoch = options->first_epoch;
	primary->committed = options->first_epoch - 1;
	primary->is_applied = true;
	primary->deadline_ns = UINT64_MAX;
	tandem_gate_init(&primary->gate);
}

static struct tandem_primary_action *act(struct tandem_primary_actions *actions,
                                         enum tandem_primary_action_type type)
{
	struct tandem_primary_action *action = &actions->items[actions->count++];

	memset(action, 0, sizeof *action);
	action->type = type;
	return action;
}

static void enter(struct tandem_primary *primary, enum tandem_primary_phase phase,
                  uint64_t deadline_ns)
{
	primary->phase = phase;
	primary->deadline_ns = deadline_ns;
}

static bool has_session(const struct tandem_primary *primary)
{
	return primary->phase >= TANDEM_PRIMARY_GREETING && primary->phase <= TANDEM_PRIMARY_SEALED;
}

static bool is_capturing(const struct tandem_primary *primary)
{
	return primary->phase >= TANDEM_PRIMARY_SCANNING &&
	       primary->phase <= TANDEM_PRIMARY_SETTLING;
}

/* R7: output of later epochs is held from the capture of a copy until the register's word. */
static bool is_copy_captured(const struct tandem_primary *primary)
{
	return primary->is_copying && primary->phase > TANDEM_PRIMARY_COPYING;
}

static void drop(struct tandem_primary *primary, struct tandem_primary_actions *actions, int code,
                 const char *reason)
{
	struct tandem_primary_action *action = act(actions, TANDEM_PRIMARY_DO_DROP_SESSION);

	action->code = code;
	action->reason = reason;
	primary->deadline_ns = UINT64_MAX;
}

static void resume(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (!primary->is_held)
		return;
	primary->is_held = false;
	primary->is_waiting = false;
	act(actions, TANDEM_PRIMARY_DO_RESUME);
}

/* [C8] */
static void ping(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                 uint64_t now_ns)
{
	struct tandem_primary_action *action = act(actions, TANDEM_PRIMARY_DO_SEND);

	action->message.type = TANDEM_WIRE_PING;
	action->message.generation = primary->generation;
	action->message.number = ++primary->last_ping;
	primary->ping_at_ns = now_ns + primary->options.ping_interval_ns;
}

/* [C1] */
static void hello(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                  uint64_t now_ns)
{
	struct tandem_wire_message *message = &act(actions, TANDEM_PRIMARY_DO_SEND)->message;

	message->type = TANDEM_WIRE_HELLO;
	message->generation = primary->generation;
	memcpy(message->pair, primary->options.pair, sizeof message->pair);
	message->primary_incarnation = primary->options.incarnation;
	message->secondary_incarnation = primary->peer_incarnation;
	message->epoch = primary->committed;
	message->channel_count = primary->options.channel_count;
	message->state_bytes_max = primary->options.state_bytes_max;
	message->regions = primary->options.regions;
	primary->session_generation = primary->generation;
	enter(primary, TANDEM_PRIMARY_GREETING,
	      now_ns + primary->options.connect_timeout_ns + primary->options.commit_timeout_ns);
	primary->heard_ns = now_ns;
	primary->ping_at_ns = UINT64_MAX;
}

/* The program is quiescent: find, push, seal. In a copy the gate closes here, until the register
 * says PAIR (R7). */
static void capture(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	primary->is_waiting = false;
	primary->captured = primary->next_epoch++; /* output from here on belongs to the next one */
	enter(primary, TANDEM_PRIMARY_SCANNING, UINT64_MAX);
	act(actions, TANDEM_PRIMARY_DO_SCAN);
}

static void open_epoch(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	enter(primary, TANDEM_PRIMARY_OPEN, UINT64_MAX);
	if (primary->is_waiting)
		capture(primary, actions);
}

static void copy_is_ready(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	primary->is_copy_ready = true;
	if (primary->is_waiting)
		capture(primary, actions);
}

static void start_copy(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                       bool is_full)
{
	enter(primary, TANDEM_PRIMARY_COPYING, UINT64_MAX);
	primary->is_copying = true;
	primary->is_copy_ready = false;
	primary->copy_pass = 0;
	if (is_full) {
		act(actions, TANDEM_PRIMARY_DO_MARK_ALL)->is_fresh = primary->is_fresh;
		primary->peer_incarnation = 0;
	}
	if (primary->options.copy_passes_max == 0)
		copy_is_ready(primary, actions);
	else
		act(actions, TANDEM_PRIMARY_DO_SCAN);
}

static void seal(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	struct tandem_primary_action *action = act(actions, TANDEM_PRIMARY_DO_SEAL);

	action->epoch = primary->captured;
	action->base = primary->base;
	/* A trailer carries the new generation once the secondary knows it. */
	action->generation = primary->peer_generation == primary->generation
	                             ? primary->generation
	                             : primary->session_generation;
	primary->session_generation = action->generation;
	primary->sealed = primary->captured;
}

static void acknowledge(struct tandem_primary *primary, const struct tandem_wire_message *message)
{
	uint64_t epoch = message->epoch < primary->committed ? message->epoch : primary->committed;

	tandem_gate_acknowledge(&primary->gate, message->generation, epoch,
	                        message->type == TANDEM_WIRE_PONG ? message->number : 0);
}

static void on_lead(struct tandem_primary *primary, const struct tandem_primary_event *event,
                    struct tandem_primary_actions *actions)
{
	bool was_pair = primary->is_pair;

	if (event->generation < primary->generation)
		return;
	if (event->generation != primary->generation)
		primary->generation_ns = event->now_ns;
	primary->generation = event->generation;
	primary->is_pair = event->is_pair;
	primary->is_copy_told = false;
	tandem_gate_lead(&primary->gate, event->generation,
	                 event->is_pair              ? TANDEM_GATE_PAIR
	                 : is_copy_captured(primary) ? TANDEM_GATE_HOLD
	                                             : TANDEM_GATE_OPEN);
	if (primary->phase == TANDEM_PRIMARY_IDLE) {
		enter(primary, TANDEM_PRIMARY_DOWN, UINT64_MAX);
		primary->reconnect_at_ns = event->now_ns;
	} else if (!event->is_pair && primary->phase == TANDEM_PRIMARY_HELD) {
		start_copy(primary, actions, true);
	} else if (event->is_pair && primary->is_copying) {
		drop(primary, actions, TANDEM_E_PEER_LOST,
		     "the register says PAIR: the copy of another session counts");
	} else if (!event->is_pair && has_session(primary) && (was_pair || primary->has_copied)) {
		drop(primary, actions, TANDEM_E_PEER_LOST,
		     "the register says SOLO: the peer's copy counts no more");
	} else if (event->is_pair && has_session(primary)) {
		ping(primary, actions, event->now_ns);
	}
}

static void on_halt(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	tandem_gate_shut(&primary->gate);
	if (primary->phase >= TANDEM_PRIMARY_JOINING && primary->phase <= TANDEM_PRIMARY_SEALED)
		drop(primary, actions, TANDEM_E_NOT_LEADER, "halted by the controller");
	resume(primary, actions);
	enter(primary, TANDEM_PRIMARY_HALTED, UINT64_MAX);
}

static void on_checkpoint(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	primary->is_held = true;
	switch (primary->phase) {
	case TANDEM_PRIMARY_OPEN:
		capture(primary, actions);
		return;
	case TANDEM_PRIMARY_COPYING:
		if (primary->is_copy_ready)
			capture(primary, actions);
		else
			resume(primary, actions);
		return;
	case TANDEM_PRIMARY_UNSEALED:
	case TANDEM_PRIMARY_SEALED:
		primary->is_waiting = true;
		return;
	case TANDEM_PRIMARY_IDLE:
	case TANDEM_PRIMARY_DOWN:
	case TANDEM_PRIMARY_JOINING:
	case TANDEM_PRIMARY_GREETING:
	case TANDEM_PRIMARY_HELD:
	case TANDEM_PRIMARY_SCANNING:
	case TANDEM_PRIMARY_PUSHING:
	case TANDEM_PRIMARY_BLOCKED:
	case TANDEM_PRIMARY_SETTLING:
	case TANDEM_PRIMARY_HALTED:
		resume(primary, actions);
		return;
	}
}

static void on_session_lost(struct tandem_primary *primary,
                            const struct tandem_primary_event *event,
                            struct tandem_primary_actions *actions)
{
	bool was_up =
	        primary->phase >= TANDEM_PRIMARY_HELD && primary->phase <= TANDEM_PRIMARY_SEALED;

	if (primary->phase == TANDEM_PRIMARY_HALTED)
		return;
	/* Nobody was told of the copy that closed the gate, so nobody will speak to open it. */
	if (is_copy_captured(primary) && !primary->is_copy_told && !primary->is_pair)
		tandem_gate_lead(&primary->gate, primary->generation, TANDEM_GATE_OPEN);
	act(actions, TANDEM_PRIMARY_DO_MERGE_MAPS);
	resume(primary, actions);
	if (was_up)
		act(actions, TANDEM_PRIMARY_DO_REPORT_LOST);
	primary->is_copying = false;
	primary->is_copy_ready = false;
	primary->has_copied = false;
	primary->session_incarnation = 0;
	primary->ping_at_ns = UINT64_MAX;
	primary->reconnect_at_ns = event->now_ns + primary->options.reconnect_interval_ns;
	enter(primary, TANDEM_PRIMARY_DOWN, UINT64_MAX);
}

/* [C6]: whether the peer still holds our copy and only what we know to be missing must travel
 * (4.15). */
static bool can_resume(const struct tandem_primary *primary,
                       const struct tandem_wire_message *message)
{
	if (primary->peer_incarnation == 0 ||
	    message->secondary_incarnation != primary->peer_incarnation)
		return false;
	if (message->primary_incarnation != primary->options.incarnation)
		return false;
	return message->epoch == primary->committed ||
	       (primary->sealed != 0 && message->epoch == primary->sealed);
}

static void on_welcome(struct tandem_primary *primary, const struct tandem_primary_event *event,
                       struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;
	bool is_resumed = can_resume(primary, message);

	if (message->generation != primary->generation) {
		drop(primary, actions, TANDEM_E_PROTOCOL,
		     "the answer to HELLO is of another generation");
		return;
	}
	/* Believed, it would take away the numbers between, or all of them. */
	if (message->epoch >= primary->next_epoch) {
		drop(primary, actions, TANDEM_E_PROTOCOL,
		     "WELCOME names an epoch that was never sealed");
		return;
	}
	/* [C5] */
	if (is_resumed && message->epoch == primary->sealed) {
		primary->committed = primary->sealed;
		act(actions, TANDEM_PRIMARY_DO_REPORT_COMMITTED)->epoch = primary->committed;
	}
	primary->sealed = 0;
	primary->is_applied = true;
	primary->base = message->epoch;
	primary->is_fresh = message->is_fresh;
	primary->session_incarnation = message->secondary_incarnation;
	primary->peer_generation = message->generation;
	act(actions, TANDEM_PRIMARY_DO_REPORT_UP)->peer_incarnation =
	        message->secondary_incarnation;
	ping(primary, actions, event->now_ns);
	if (is_resumed)
		acknowledge(primary, message);
	if (is_resumed && primary->is_pair)
		open_epoch(primary, actions);
	else if (primary->is_pair)
		enter(primary, TANDEM_PRIMARY_HELD, UINT64_MAX); /* [C7] */
	else
		start_copy(primary, actions, !is_resumed);
}

static void on_committed(struct tandem_primary *primary, const struct tandem_primary_event *event,
                         struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;

	if (primary->phase != TANDEM_PRIMARY_SEALED || message->epoch != primary->sealed) {
		drop(primary, actions, TANDEM_E_PROTOCOL,
		     "COMMITTED of an epoch that is not sealed");
		return;
	}
	primary->committed = primary->sealed;
	primary->base = primary->sealed;
	primary->sealed = 0;
	primary->is_applied = false;
	act(actions, TANDEM_PRIMARY_DO_REPORT_COMMITTED)->epoch = primary->committed;
	acknowledge(primary, message);
	open_epoch(primary, actions);
	if (primary->phase == TANDEM_PRIMARY_OPEN) /* APPLIED is waited for, capture or not */
		primary->deadline_ns =
		        event->now_ns + APPLY_TIMEOUT_FACTOR * primary->options.commit_timeout_ns;
}

static void copy_is_applied(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	struct tandem_primary_action *action = act(actions, TANDEM_PRIMARY_DO_REPORT_COPIED);

	action->epoch = primary->committed;
	action->peer_incarnation = primary->session_incarnation;
	primary->is_copying = false;
	primary->has_copied = true;
	primary->is_copy_told = true;
	primary->peer_incarnation = primary->session_incarnation;
}

static void on_applied(struct tandem_primary *primary, const struct tandem_primary_event *event,
                       struct tandem_primary_actions *actions)
{
	if (primary->is_applied || event->message->epoch != primary->committed) {
		drop(primary, actions, TANDEM_E_PROTOCOL,
		     "APPLIED of an epoch that is not the last committed one");
		return;
	}
	primary->is_applied = true;
	act(actions, TANDEM_PRIMARY_DO_FORGET_MAP);
	if (primary->is_copying)
		copy_is_applied(primary, actions);
	if (primary->phase == TANDEM_PRIMARY_OPEN) {
		primary->deadline_ns = UINT64_MAX;
	} else if (primary->phase == TANDEM_PRIMARY_BLOCKED) {
		enter(primary, TANDEM_PRIMARY_PUSHING, UINT64_MAX);
		act(actions, TANDEM_PRIMARY_DO_PUSH);
	} else if (primary->phase == TANDEM_PRIMARY_UNSEALED) {
		seal(primary, actions);
		enter(primary, TANDEM_PRIMARY_SEALED,
		      event->now_ns + primary->options.commit_timeout_ns);
	}
}

static void on_message(struct tandem_primary *primary, const struct tandem_primary_event *event,
                       struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;

	if (!has_session(primary) ||
	    (primary->phase == TANDEM_PRIMARY_GREETING) != (message->type == TANDEM_WIRE_WELCOME ||
	                                                    message->type == TANDEM_WIRE_REFUSED)) {
		drop(primary, actions, TANDEM_E_PROTOCOL, "a message out of turn");
		return;
	}
	primary->heard_ns = event->now_ns;
	primary->peer_generation = message->generation;
	switch (message->type) {
	case TANDEM_WIRE_WELCOME:
		on_welcome(primary, event, actions);
		return;
	case TANDEM_WIRE_REFUSED:
		drop(primary, actions, TANDEM_E_REFUSED, "the secondary refused the session");
		return;
	case TANDEM_WIRE_PONG:
		if (message->number > primary->last_ping) /* it would release reads not yet asked */
			drop(primary, actions, TANDEM_E_PROTOCOL,
			     "PONG to a ping that was never sent");
		else
			acknowledge(primary, message);
		return;
	case TANDEM_WIRE_COMMITTED:
		on_committed(primary, event, actions);
		return;
	case TANDEM_WIRE_APPLIED:
		on_applied(primary, event, actions);
		return;
	case TANDEM_WIRE_HELLO:
	case TANDEM_WIRE_PING:
		drop(primary, actions, TANDEM_E_PROTOCOL, "a primary's message from the secondary");
		return;
	}
}

static void on_scanned(struct tandem_primary *primary, const struct tandem_primary_event *event,
                       struct tandem_primary_actions *actions)
{
	if (primary->phase == TANDEM_PRIMARY_SCANNING) {
		if (primary->is_copying)
			tandem_gate_hold(&primary->gate); /* [C20] */
		enter(primary, TANDEM_PRIMARY_PUSHING, UINT64_MAX);
		act(actions, TANDEM_PRIMARY_DO_PUSH);
	} else if (primary->phase == TANDEM_PRIMARY_COPYING && !primary->is_copy_ready) {
		if (event->is_small || primary->copy_pass >= primary->options.copy_passes_max)
			copy_is_ready(primary, actions);
		else
			act(actions, TANDEM_PRIMARY_DO_SLICE);
	}
}

static void on_sliced(struct tandem_primary *primary, const struct tandem_primary_event *event,
                      struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_COPYING || primary->is_copy_ready)
		return;
	if (!event->is_done) {
		act(actions, TANDEM_PRIMARY_DO_SLICE);
		return;
	}
	primary->copy_pass++;
	act(actions, TANDEM_PRIMARY_DO_SCAN);
}

static void on_pushed(struct tandem_primary *primary, const struct tandem_primary_event *event,
                      struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_PUSHING)
		return;
	if (!event->is_done) {
		enter(primary, TANDEM_PRIMARY_BLOCKED,
		      event->now_ns + APPLY_TIMEOUT_FACTOR * primary->options.commit_timeout_ns);
		return;
	}
	if (primary->is_applied)
		seal(primary, actions);
	enter(primary, TANDEM_PRIMARY_SETTLING, UINT64_MAX);
	act(actions, TANDEM_PRIMARY_DO_SETTLE);
}

static void on_settled(struct tandem_primary *primary, const struct tandem_primary_event *event,
                       struct tandem_primary_actions *actions)
{
	uint64_t timeout_ns = primary->options.commit_timeout_ns;

	if (primary->phase != TANDEM_PRIMARY_SETTLING)
		return;
	primary->heard_ns = event->now_ns; /* completions are the peer's life sign too */
	resume(primary, actions);
	if (primary->sealed != 0)
		enter(primary, TANDEM_PRIMARY_SEALED, event->now_ns + timeout_ns);
	else
		enter(primary, TANDEM_PRIMARY_UNSEALED,
		      event->now_ns + APPLY_TIMEOUT_FACTOR * timeout_ns);
}

static const char *missed_answer(enum tandem_primary_phase phase)
{
	if (phase == TANDEM_PRIMARY_JOINING)
		return "the session did not come up in time";
	if (phase == TANDEM_PRIMARY_GREETING)
		return "HELLO was not answered in time";
	return phase == TANDEM_PRIMARY_SEALED ? "the seal was not answered by COMMITTED in time"
	                                      : "COMMITTED was not followed by APPLIED in time";
}

/* [C19]: what it acknowledges in an older generation releases nothing. */
static uint64_t ignorance_deadline_ns(const struct tandem_primary *primary)
{
	if (!primary->is_pair || primary->peer_generation == primary->generation)
		return UINT64_MAX;
	return primary->generation_ns + primary->options.commit_timeout_ns;
}

/* [C9] */
static void on_tick(struct tandem_primary *primary, const struct tandem_primary_event *event,
                    struct tandem_primary_actions *actions)
{
	if (primary->phase == TANDEM_PRIMARY_DOWN && event->now_ns >= primary->reconnect_at_ns) {
		act(actions, TANDEM_PRIMARY_DO_CONNECT);
		enter(primary, TANDEM_PRIMARY_JOINING,
		      event->now_ns + 2 * primary->options.connect_timeout_ns);
		return;
	}
	if (event->now_ns >= primary->deadline_ns) {
		drop(primary, actions, TANDEM_E_TIMEOUT, missed_answer(primary->phase));
		return;
	}
	if (!has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING)
		return;
	bool is_pushing = is_capturing(primary) && primary->phase != TANDEM_PRIMARY_BLOCKED;
	if (!is_pushing &&
	    event->now_ns >= primary->heard_ns + primary->options.commit_timeout_ns) {
		drop(primary, actions, TANDEM_E_TIMEOUT, "the secondary is silent");
		primary->heard_ns = event->now_ns;
		return;
	}
	if (!is_pushing && event->now_ns >= ignorance_deadline_ns(primary)) {
		drop(primary, actions, TANDEM_E_TIMEOUT,
		     "the secondary does not learn the generation of the register");
		return;
	}
	if (event->now_ns >= primary->ping_at_ns || tandem_primary_wants_ping(primary))
		ping(primary, actions, event->now_ns);
}

void tandem_primary_step(struct tandem_primary *primary, const struct tandem_primary_event *event,
                         struct tandem_primary_actions *ret_actions)
{
	ret_actions->count = 0;
	if (primary->phase == TANDEM_PRIMARY_HALTED && event->type != TANDEM_PRIMARY_ON_CHECKPOINT)
		return;
	switch (event->type) {
	case TANDEM_PRIMARY_ON_LEAD:
		on_lead(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_HALT:
		on_halt(primary, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_CHECKPOINT:
		on_checkpoint(primary, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SESSION_UP:
		hello(primary, ret_actions, event->now_ns);
		return;
	case TANDEM_PRIMARY_ON_SESSION_LOST:
		on_session_lost(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_MESSAGE:
		on_message(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SCANNED:
		on_scanned(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SLICED:
		on_sliced(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_PUSHED:
		on_pushed(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SETTLED:
		on_settled(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_TICK:
		on_tick(primary, event, ret_actions);
		return;
	}
}

void tandem_primary_keep_alive(struct tandem_primary *primary, uint64_t now_ns,
                               struct tandem_primary_actions *ret_actions)
{
	ret_actions->count = 0;
	if (has_session(primary) && now_ns >= primary->ping_at_ns)
		ping(primary, ret_actions, now_ns);
}

bool tandem_primary_skips_checkpoint(const struct tandem_primary *primary)
{
	if (primary->phase == TANDEM_PRIMARY_COPYING)
		return !primary->is_copy_ready;
	return primary->phase < TANDEM_PRIMARY_COPYING || primary->phase == TANDEM_PRIMARY_HALTED;
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

uint64_t tandem_primary_deadline_ns(const struct tandem_primary *primary)
{
	uint64_t deadline_ns = primary->deadline_ns;

	if (primary->phase == TANDEM_PRIMARY_DOWN)
		return earlier(deadline_ns, primary->reconnect_at_ns);
	if (!has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING)
		return deadline_ns;
	deadline_ns = earlier(deadline_ns, primary->ping_at_ns);
	deadline_ns = earlier(deadline_ns, ignorance_deadline_ns(primary));
	return earlier(deadline_ns, primary->heard_ns + primary->options.commit_timeout_ns);
}

uint64_t tandem_primary_checkpoint_ticket(struct tandem_primary *primary)
{
	return tandem_gate_ticket(&primary->gate, primary->next_epoch, 0);
}

uint64_t tandem_primary_confirm_ticket(struct tandem_primary *primary)
{
	return tandem_gate_ticket(&primary->gate, primary->next_epoch, primary->last_ping + 1);
}

bool tandem_primary_can_checkpoint(const struct tandem_primary *primary)
{
	return !is_capturing(primary) && primary->phase != TANDEM_PRIMARY_UNSEALED &&
	       primary->phase != TANDEM_PRIMARY_SEALED;
}

bool tandem_primary_wants_checkpoint(const struct tandem_primary *primary)
{
	const struct tandem_gate *gate = &primary->gate;

	if (primary->phase == TANDEM_PRIMARY_COPYING)
		return primary->is_copy_ready;
	if (primary->phase != TANDEM_PRIMARY_OPEN)
		return false;
	for (unsigned index = 0; index < gate->pending_count; index++) {
		if (gate->pending[index].ping == 0 &&
		    gate->pending[index].epoch > primary->committed)
			return true;
	}
	return false;
}

bool tandem_primary_wants_ping(const struct tandem_primary *primary)
{
	const struct tandem_gate *gate = &primary->gate;

	if (!has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING ||
	    gate->pending_count == 0)
		return false;
	return gate->mode == TANDEM_GATE_PAIR &&
	       gate->pending[gate->pending_count - 1].ping > primary->last_ping;
}
