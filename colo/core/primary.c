#include "primary_internal.h"

#include <string.h>

#include <tandem/error.h>

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
	struct tandem_layout layout;

	memset(primary, 0, sizeof *primary);
	primary->options = *options;
	primary->next_epoch = options->first_epoch;
	primary->committed = options->first_epoch - 1;
	primary->is_applied = true;
	primary->deadline_ns = UINT64_MAX;
	primary->apply_deadline_ns = UINT64_MAX;
	primary->backoff =
	        (struct tandem_backoff){.interval_ns = options->reconnect_interval_ns,
	                                .interval_max_ns = options->reconnect_interval_max_ns,
	                                .random = options->random};
	primary->lease.length_ns = options->lease_ns;
	primary->beside_at_ns = UINT64_MAX;
	tandem_pace_init(&primary->pace, &options->pace);
	tandem_repair_reset(&primary->repair);
	tandem_resync_reset(&primary->resync);
	if (tandem_layout_init(&layout, &options->regions, options->channel_count,
	                       options->stripe_pages, options->state_bytes_max))
		primary->page_count = layout.page_count;
	tandem_gate_init(&primary->gate);
}

struct tandem_primary_action *tandem_primary_act(struct tandem_primary_actions *actions,
                                                 enum tandem_primary_action_type type)
{
	struct tandem_primary_action *action = &actions->items[actions->count++];

	memset(action, 0, offsetof(struct tandem_primary_action, message) + TANDEM_WIRE_HEAD_BYTES);
	action->type = type;
	return action;
}

void tandem_primary_enter(struct tandem_primary *primary, enum tandem_primary_phase phase,
                          uint64_t deadline_ns)
{
	primary->phase = phase;
	primary->deadline_ns = deadline_ns;
}

void tandem_primary_drop(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                         int code, const char *reason)
{
	struct tandem_primary_action *action =
	        tandem_primary_act(actions, TANDEM_PRIMARY_DO_DROP_SESSION);

	action->code = code;
	action->reason = reason;
	primary->deadline_ns = UINT64_MAX;
}

void tandem_primary_resume(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (!primary->is_held)
		return;
	primary->is_held = false;
	primary->is_waiting = false;
	primary->is_slowing = false;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_RESUME);
}

/* R7: output of later epochs is held from the capture of a copy until the register's word. [L10] */
static enum tandem_gate_mode gate_mode(const struct tandem_primary *primary)
{
	if (primary->is_pair && primary->lease.length_ns != 0)
		return primary->is_leased ? TANDEM_GATE_OPEN : TANDEM_GATE_HOLD;
	if (primary->is_pair)
		return TANDEM_GATE_PAIR;
	return primary->is_copy_captured || primary->holds_output ? TANDEM_GATE_HOLD
	                                                          : TANDEM_GATE_OPEN;
}

void tandem_primary_release_copy(struct tandem_primary *primary)
{
	bool opens = primary->is_copy_captured && !primary->is_copy_told && !primary->is_pair;

	primary->is_copy_captured = false;
	if (opens)
		tandem_gate_lead(&primary->gate, primary->generation, gate_mode(primary));
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
	primary->holds_output = event->holds_output;
	primary->is_quiescing = false;
	primary->is_quiet = false;
	primary->is_leased = false;
	primary->is_copy_told = false;
	if (primary->lease.length_ns != 0 && !event->is_pair)
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_END_LEASE);
	tandem_gate_lead(&primary->gate, event->generation, gate_mode(primary));
	if (primary->phase == TANDEM_PRIMARY_IDLE) {
		tandem_primary_enter(primary, TANDEM_PRIMARY_DOWN, UINT64_MAX);
		primary->reconnect_at_ns = event->now_ns;
	} else if (!event->is_pair && primary->phase == TANDEM_PRIMARY_HELD) {
		tandem_primary_start_copy(primary, event->now_ns, true, actions);
	} else if (event->is_pair && primary->is_copying) {
		tandem_primary_drop(primary, actions, TANDEM_E_PEER_LOST,
		                    "the register says PAIR: the copy of another session counts");
	} else if (!event->is_pair && tandem_primary_has_session(primary) &&
	           (was_pair || primary->has_copied)) {
		tandem_primary_drop(primary, actions, TANDEM_E_PEER_LOST,
		                    "the register says SOLO: the peer's copy counts no more");
	} else if (event->is_pair && tandem_primary_has_session(primary)) {
		tandem_primary_ping(primary, actions, event->now_ns);
	}
}

/* [C26] */
static void on_leased(struct tandem_primary *primary)
{
	if (!primary->is_pair || primary->is_quiet)
		return;
	primary->is_leased = true;
	tandem_gate_lead(&primary->gate, primary->generation, gate_mode(primary));
}

/* [L14]. No PONG moves a lease on that has no length. */
static void on_release(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (primary->lease.length_ns == 0)
		return;
	primary->lease.length_ns = 0;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_END_LEASE);
}

/* R9, [L9]. The program is not held: what it does from now on leaves with no epoch and no output.
 */
static void on_quiesce(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (!primary->is_pair)
		return;
	primary->is_quiescing = true;
	primary->is_slowing = false;
	if (primary->is_waiting)
		tandem_primary_resume(primary, actions);
}

static void tell_quiet(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (!primary->is_quiescing || primary->is_quiet || primary->phase != TANDEM_PRIMARY_OPEN ||
	    !primary->is_applied)
		return;
	primary->is_quiet = true;
	tandem_gate_hold(&primary->gate);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_QUIESCED)->epoch = primary->committed;
}

static void on_halt(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	tandem_gate_shut(&primary->gate);
	if (primary->phase >= TANDEM_PRIMARY_JOINING && primary->phase <= TANDEM_PRIMARY_SEALED)
		tandem_primary_drop(primary, actions, TANDEM_E_NOT_LEADER,
		                    "halted by the controller");
	tandem_primary_resume(primary, actions);
	tandem_primary_enter(primary, TANDEM_PRIMARY_HALTED, UINT64_MAX);
}

/* Of what the phase waits for. */
static const char *missed_answer(enum tandem_primary_phase phase)
{
	if (phase == TANDEM_PRIMARY_JOINING)
		return "the session did not come up in time";
	if (phase == TANDEM_PRIMARY_GREETING)
		return "HELLO was not answered in time";
	return "the seal was not answered by COMMITTED in time";
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
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_CONNECT);
		tandem_primary_enter(primary, TANDEM_PRIMARY_JOINING,
		                     event->now_ns + 2 * primary->options.connect_timeout_ns);
		return;
	}
	if (event->now_ns >= primary->deadline_ns) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT,
		                    missed_answer(primary->phase));
		return;
	}
	if (!tandem_primary_has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING)
		return;
	bool is_pushing =
	        tandem_primary_is_capturing(primary) && primary->phase != TANDEM_PRIMARY_BLOCKED;
	if (event->now_ns >= primary->repair.deadline_ns) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT,
		                    "FENCE was not answered by FENCED in time");
		primary->repair.deadline_ns = UINT64_MAX;
		return;
	}
	if (event->now_ns >= primary->resync.deadline_ns) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT,
		                    "COMPARE was not answered by DIGESTS in time");
		primary->resync.deadline_ns = UINT64_MAX;
		return;
	}
	if (!is_pushing && event->now_ns >= primary->apply_deadline_ns) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT,
		                    "COMMITTED was not followed by APPLIED in time");
		primary->apply_deadline_ns = UINT64_MAX;
		return;
	}
	if (!is_pushing &&
	    event->now_ns >= primary->heard_ns + primary->options.commit_timeout_ns) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT, "the secondary is silent");
		primary->heard_ns = event->now_ns;
		return;
	}
	if (!is_pushing && event->now_ns >= ignorance_deadline_ns(primary)) {
		tandem_primary_drop(primary, actions, TANDEM_E_TIMEOUT,
		                    "the secondary does not learn the generation of the register");
		return;
	}
	if (event->now_ns >= primary->ping_at_ns || tandem_primary_wants_ping(primary))
		tandem_primary_ping(primary, actions, event->now_ns);
	tandem_primary_tick_beside(primary, event->now_ns, actions);
}

static void take(struct tandem_primary *primary, const struct tandem_primary_event *event,
                 struct tandem_primary_actions *ret_actions)
{
	switch (event->type) {
	case TANDEM_PRIMARY_ON_LEAD:
		on_lead(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_LEASED:
		on_leased(primary);
		return;
	case TANDEM_PRIMARY_ON_QUIESCE:
		on_quiesce(primary, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_HALT:
		on_halt(primary, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_RELEASE:
		on_release(primary, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_CHECKPOINT:
		tandem_primary_on_checkpoint(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_WITHDRAW:
		tandem_primary_on_withdraw(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SESSION_UP:
		tandem_primary_on_session_up(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_CHANNEL_LOST:
		tandem_primary_on_channel_lost(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SESSION_LOST:
		tandem_primary_on_session_lost(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_MESSAGE:
		tandem_primary_on_message(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SCANNED:
		tandem_primary_on_scanned(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_STAGED:
		tandem_primary_on_staged(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_DRAINED:
		tandem_primary_on_drained(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SLICED:
		tandem_primary_on_sliced(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_PUSHED:
		tandem_primary_on_pushed(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_SETTLED:
		tandem_primary_on_settled(primary, event, ret_actions);
		return;
	case TANDEM_PRIMARY_ON_TICK:
		on_tick(primary, event, ret_actions);
		return;
	}
}

void tandem_primary_step(struct tandem_primary *primary, const struct tandem_primary_event *event,
                         struct tandem_primary_actions *ret_actions)
{
	ret_actions->count = 0;
	if (primary->phase == TANDEM_PRIMARY_HALTED && event->type != TANDEM_PRIMARY_ON_CHECKPOINT)
		return;
	take(primary, event, ret_actions);
	tell_quiet(primary, ret_actions);
}

void tandem_primary_keep_alive(struct tandem_primary *primary, uint64_t now_ns,
                               struct tandem_primary_actions *ret_actions)
{
	ret_actions->count = 0;
	if (tandem_primary_has_session(primary) && now_ns >= primary->ping_at_ns)
		tandem_primary_ping(primary, ret_actions, now_ns);
}

bool tandem_primary_skips_checkpoint(const struct tandem_primary *primary)
{
	if (primary->is_quiescing)
		return true;
	if (primary->phase == TANDEM_PRIMARY_COPYING)
		return !primary->is_copy_ready;
	if (primary->phase == TANDEM_PRIMARY_REPAIRING)
		return primary->is_copying && !primary->is_copy_captured;
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
	if (!tandem_primary_has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING)
		return deadline_ns;
	deadline_ns = earlier(deadline_ns, primary->ping_at_ns);
	deadline_ns = earlier(deadline_ns, primary->repair.deadline_ns);
	deadline_ns = earlier(deadline_ns, primary->resync.deadline_ns);
	deadline_ns = earlier(deadline_ns, primary->apply_deadline_ns);
	deadline_ns = earlier(deadline_ns, ignorance_deadline_ns(primary));
	deadline_ns = earlier(deadline_ns, tandem_primary_beside_deadline_ns(primary));
	return earlier(deadline_ns, primary->heard_ns + primary->options.commit_timeout_ns);
}

uint64_t tandem_primary_checkpoint_ticket(struct tandem_primary *primary, uint64_t now_ns)
{
	return tandem_gate_ticket(&primary->gate, primary->next_epoch, 0, now_ns);
}

uint64_t tandem_primary_confirm_ticket(struct tandem_primary *primary, uint64_t now_ns)
{
	return tandem_gate_ticket(&primary->gate, primary->next_epoch, primary->last_ping + 1,
	                          now_ns);
}

bool tandem_primary_can_checkpoint(const struct tandem_primary *primary, uint64_t now_ns)
{
	return !primary->is_quiescing && !tandem_primary_is_capturing(primary) &&
	       primary->phase != TANDEM_PRIMARY_DRAINING &&
	       primary->phase != TANDEM_PRIMARY_UNSEALED &&
	       primary->phase != TANDEM_PRIMARY_SEALED &&
	       primary->phase != TANDEM_PRIMARY_REPAIRING &&
	       (primary->phase != TANDEM_PRIMARY_OPEN || tandem_primary_has_room(primary, now_ns));
}

bool tandem_primary_wants_checkpoint(const struct tandem_primary *primary)
{
	const struct tandem_gate *gate = &primary->gate;

	if (primary->phase == TANDEM_PRIMARY_COPYING)
		return primary->is_copy_ready;
	if (primary->phase != TANDEM_PRIMARY_OPEN || primary->is_quiescing)
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

	if (!tandem_primary_has_session(primary) || primary->phase == TANDEM_PRIMARY_GREETING ||
	    gate->pending_count == 0)
		return false;
	return gate->mode == TANDEM_GATE_PAIR &&
	       gate->pending[gate->pending_count - 1].ping > primary->last_ping;
}
