#include "primary_internal.h"

#include <string.h>

#include <tandem/error.h>

bool tandem_primary_has_session(const struct tandem_primary *primary)
{
	return primary->phase >= TANDEM_PRIMARY_GREETING && primary->phase <= TANDEM_PRIMARY_SEALED;
}

/* [C8] */
void tandem_primary_ping(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                         uint64_t now_ns)
{
	struct tandem_primary_action *action = tandem_primary_act(actions, TANDEM_PRIMARY_DO_SEND);

	action->message.type = TANDEM_WIRE_PING;
	action->message.generation = primary->generation;
	action->message.number = ++primary->last_ping;
	tandem_lease_note(&primary->lease, primary->last_ping, now_ns);
	primary->ping_at_ns = now_ns + primary->options.ping_interval_ns;
}

void tandem_primary_acknowledge(struct tandem_primary *primary,
                                const struct tandem_wire_message *message)
{
	uint64_t epoch = message->epoch < primary->committed ? message->epoch : primary->committed;

	tandem_gate_acknowledge(&primary->gate, message->generation, epoch,
	                        message->type == TANDEM_WIRE_PONG ? message->number : 0);
}

/* [C1] */
void tandem_primary_on_session_up(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions)
{
	uint64_t now_ns = event->now_ns;
	struct tandem_wire_message *message =
	        &tandem_primary_act(actions, TANDEM_PRIMARY_DO_SEND)->message;

	message->type = TANDEM_WIRE_HELLO;
	message->generation = primary->generation;
	memcpy(message->pair, primary->options.pair, sizeof message->pair);
	message->primary_incarnation = primary->options.incarnation;
	message->secondary_incarnation = primary->peer_incarnation;
	message->epoch = primary->committed;
	message->channel_count = primary->options.channel_count;
	message->stripe_pages = primary->options.stripe_pages;
	message->state_bytes_max = primary->options.state_bytes_max;
	message->regions = primary->options.regions;
	memcpy(message->needs, primary->options.needs, sizeof message->needs);
	primary->session_generation = primary->generation;
	/* What could not join may have joined at the other end. */
	tandem_repair_reset(&primary->repair);
	primary->repair.lost_mask =
	        ((1u << primary->options.channel_count) - 1) & ~event->channel_mask;
	tandem_primary_enter(primary, TANDEM_PRIMARY_GREETING,
	                     now_ns + primary->options.connect_timeout_ns +
	                             primary->options.commit_timeout_ns);
	primary->heard_ns = now_ns;
	primary->ping_at_ns = UINT64_MAX;
}

void tandem_primary_on_session_lost(struct tandem_primary *primary,
                                    const struct tandem_primary_event *event,
                                    struct tandem_primary_actions *actions)
{
	bool was_up =
	        primary->phase >= TANDEM_PRIMARY_HELD && primary->phase <= TANDEM_PRIMARY_SEALED;

	if (primary->phase == TANDEM_PRIMARY_HALTED)
		return;
	tandem_primary_release_copy(primary);
	primary->is_quiet = false; /* the next session's epochs are another end to tell of */
	tandem_repair_reset(&primary->repair);
	tandem_resync_reset(&primary->resync);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_MERGE_MAPS);
	tandem_primary_resume(primary, actions);
	if (was_up)
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_LOST);
	primary->is_copying = false;
	primary->is_copy_ready = false;
	primary->is_beside_pass = false;
	primary->is_slowing = false;
	primary->has_copied = false;
	primary->session_incarnation = 0;
	primary->ping_at_ns = UINT64_MAX;
	primary->apply_deadline_ns = UINT64_MAX;
	primary->reconnect_at_ns = event->now_ns + tandem_backoff_next(&primary->backoff);
	tandem_primary_enter(primary, TANDEM_PRIMARY_DOWN, UINT64_MAX);
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
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "the answer to HELLO is of another generation");
		return;
	}
	/* Believed, it would take away the numbers between, or all of them. */
	if (message->epoch >= primary->next_epoch) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "WELCOME names an epoch that was never sealed");
		return;
	}
	/* [C5] */
	if (is_resumed && message->epoch == primary->sealed) {
		primary->committed = primary->sealed;
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_COMMITTED)->epoch =
		        primary->committed;
	}
	primary->sealed = 0;
	primary->is_applied = true;
	primary->base = message->epoch;
	primary->last_sealed = message->epoch;
	primary->is_fresh = message->is_fresh;
	primary->session_incarnation = message->secondary_incarnation;
	primary->peer_generation = message->generation;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_UP)->peer_incarnation =
	        message->secondary_incarnation;
	tandem_primary_ping(primary, actions, event->now_ns);
	tandem_primary_ask(primary, event->now_ns, actions);
	tandem_backoff_reset(&primary->backoff);
	if (is_resumed)
		tandem_primary_acknowledge(primary, message);
	primary->deadline_ns = UINT64_MAX;
	if (is_resumed && primary->is_pair)
		tandem_primary_go_on(primary, event->now_ns, actions);
	else if (primary->is_pair)
		tandem_primary_enter(primary, TANDEM_PRIMARY_HELD, UINT64_MAX); /* [C7] */
	else
		tandem_primary_start_copy(primary, event->now_ns, !is_resumed, actions);
}

static void on_committed(struct tandem_primary *primary, const struct tandem_primary_event *event,
                         struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;

	if (primary->phase != TANDEM_PRIMARY_SEALED || message->epoch != primary->sealed) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "COMMITTED of an epoch that is not sealed");
		return;
	}
	tandem_primary_commit(primary, event->now_ns, actions);
	tandem_primary_acknowledge(primary, message);
	tandem_primary_go_on(primary, event->now_ns, actions);
}

/* [C26]: only in the generation of PAIR, for in another one the secondary may not know that it
 * could take over. */
static void on_pong(struct tandem_primary *primary, const struct tandem_wire_message *message,
                    struct tandem_primary_actions *actions)
{
	uint64_t end_ns = tandem_lease_end_ns(&primary->lease, message->number);

	tandem_primary_acknowledge(primary, message);
	if (primary->is_pair && message->generation == primary->generation && end_ns != 0)
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_RENEW_LEASE)->end_ns = end_ns;
}

void tandem_primary_on_message(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;

	if (!tandem_primary_has_session(primary) ||
	    (primary->phase == TANDEM_PRIMARY_GREETING) != (message->type == TANDEM_WIRE_WELCOME ||
	                                                    message->type == TANDEM_WIRE_REFUSED)) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL, "a message out of turn");
		return;
	}
	primary->heard_ns = event->now_ns;
	primary->peer_generation = message->generation;
	switch (message->type) {
	case TANDEM_WIRE_WELCOME:
		on_welcome(primary, event, actions);
		return;
	case TANDEM_WIRE_REFUSED:
		tandem_primary_drop(primary, actions, TANDEM_E_REFUSED,
		                    "the secondary refused the session");
		return;
	case TANDEM_WIRE_PONG:
		if (message->number > primary->last_ping) /* it would release reads not yet asked */
			tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
			                    "PONG to a ping that was never sent");
		else
			on_pong(primary, message, actions);
		return;
	case TANDEM_WIRE_COMMITTED:
		on_committed(primary, event, actions);
		return;
	case TANDEM_WIRE_APPLIED:
		tandem_primary_on_applied(primary, event, actions);
		return;
	case TANDEM_WIRE_FENCED:
		tandem_primary_on_fenced(primary, event, actions);
		return;
	case TANDEM_WIRE_DIGESTS:
		tandem_primary_on_digests(primary, event, actions);
		return;
	case TANDEM_WIRE_HELLO:
	case TANDEM_WIRE_PING:
	case TANDEM_WIRE_FENCE:
	case TANDEM_WIRE_COMPARE:
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "a primary's message from the secondary");
		return;
	}
}
