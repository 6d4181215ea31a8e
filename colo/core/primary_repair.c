#include "primary_internal.h"

#include <tandem/error.h>

/* [C23]. A second FENCE waits for the answer to the first. */
void tandem_primary_ask(struct tandem_primary *primary, uint64_t now_ns,
                        struct tandem_primary_actions *actions)
{
	struct tandem_wire_message *message;

	if (!tandem_repair_is_due(&primary->repair))
		return;
	message = &tandem_primary_act(actions, TANDEM_PRIMARY_DO_SEND)->message;
	message->type = TANDEM_WIRE_FENCE;
	message->generation = primary->generation;
	message->epoch = primary->last_sealed;
	message->channel_mask =
	        tandem_repair_ask(&primary->repair, now_ns + primary->options.commit_timeout_ns);
}

/* 4.7: what the healthy channels carried stays recorded and carried; the program is asked for its
 * checkpoint again. One that waits for the next capture anyway goes on waiting for it. */
void tandem_primary_give_up(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (primary->is_copying && primary->is_applied) /* else the copy is committed already */
		tandem_primary_release_copy(primary);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_UNSTAGE);
	if (primary->phase == TANDEM_PRIMARY_DRAINING || primary->phase == TANDEM_PRIMARY_UNSEALED)
		return;
	if (primary->is_held)
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_SETTLE); /* [C17] */
	tandem_primary_resume(primary, actions);
}

void tandem_primary_on_channel_lost(struct tandem_primary *primary,
                                    const struct tandem_primary_event *event,
                                    struct tandem_primary_actions *actions)
{
	bool is_under_way = tandem_primary_is_capturing(primary) ||
	                    primary->phase == TANDEM_PRIMARY_DRAINING ||
	                    primary->phase == TANDEM_PRIMARY_UNSEALED ||
	                    primary->phase == TANDEM_PRIMARY_SEALED;

	if (!tandem_primary_has_session(primary))
		return;
	primary->repair.lost_mask |= event->channel_mask;
	if (primary->phase == TANDEM_PRIMARY_GREETING)
		return; /* asked when the secondary has answered */
	if (is_under_way && event->is_unused)
		return; /* asked when the epoch is decided: it has no part in it */
	if (primary->phase == TANDEM_PRIMARY_HELD) {
		tandem_primary_ask(primary, event->now_ns, actions);
	} else if (primary->sealed != 0) {
		primary->deadline_ns = UINT64_MAX; /* FENCED decides it too, and has its own */
		tandem_primary_ask(primary, event->now_ns, actions);
	} else {
		if (is_under_way)
			tandem_primary_give_up(primary, actions);
		tandem_primary_go_on(primary, event->now_ns, actions);
	}
}

/* [C24]: the committed number in the answer counts as COMMITTED (3.3). */
void tandem_primary_on_fenced(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;
	bool is_decided = primary->sealed != 0;

	if (!tandem_repair_answer(&primary->repair, message->channel_mask)) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "FENCED of channels that FENCE did not name");
		return;
	}
	if (message->epoch != primary->base &&
	    (primary->sealed == 0 || message->epoch != primary->sealed)) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "FENCED names an epoch that is neither committed nor sealed");
		return;
	}
	if (is_decided && message->epoch == primary->sealed)
		tandem_primary_commit(primary, event->now_ns, actions);
	else if (is_decided)
		tandem_primary_abort(primary, actions);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPUSH)->channel_mask = message->channel_mask;
	tandem_primary_acknowledge(primary, message);
	if (primary->phase == TANDEM_PRIMARY_HELD)
		tandem_primary_ask(primary, event->now_ns, actions);
	else
		tandem_primary_go_on(primary, event->now_ns, actions);
}
