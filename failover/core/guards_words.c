#include "core/view.h"

/* What the operator's words, and a program that leaves, may do. */

GUARD(resync_is_awaited)
{
	UNTIMED;
	return machine->config.pair.rejoin == TANDEM_REJOIN_MANUAL && !machine->has_resync_word &&
	       tandem_machine_is_diverged(machine);
}

GUARD(solo_is_held)
{
	return tandem_machine_holds_output(machine) && tandem_guard_may_promote(machine, now_ns);
}

/* Where each node keeps records of its own, the peer may not have heard of the last one, and could
 * take over by the one before when the operator says so, or this node is switched off. */
static bool peer_knows_record(const struct tandem_machine *machine, uint64_t now_ns)
{
	return !tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) ||
	       has_word(machine) ||
	       (tandem_machine_peer_is_heard(machine, now_ns) &&
	        tandem_record_is_same(&machine->peer.record, record_of(machine)));
}

/* The program goes on unprotected, and its copy never may: as going on alone, R4 and R5. */
GUARD(may_leave)
{
	return machine->program.is_leaving && tandem_machine_owns(machine) &&
	       !record_of(machine)->is_left && !machine->hand_over.is_asked &&
	       tandem_machine_cas_is_idle(machine, now_ns) &&
	       (!record_of(machine)->is_pair || peer_knows_record(machine, now_ns));
}

static bool program_is_to_be_released(const struct tandem_machine *machine)
{
	return tandem_machine_owns(machine) && record_of(machine)->is_left &&
	       !machine->program.was_released;
}

GUARD(program_has_left)
{
	bool led_alone = machine->led_generation != 0 && !machine->led_is_pair;
	return program_is_to_be_released(machine) && record_is_settled(machine) &&
	       (led_alone || peer_knows_record(machine, now_ns));
}

bool tandem_machine_leave_is_untold(const struct tandem_machine *machine)
{
	return tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) &&
	       program_is_to_be_released(machine);
}

GUARD(leave_may_be_told)
{
	return tandem_machine_leave_is_untold(machine) && tandem_guard_may_promote(machine, now_ns);
}

/* No copy of a SOLO record ever may lead, nor one that has ended (R5). */
static bool nobody_else_may_lead(const struct tandem_machine *machine, uint64_t now_ns)
{
	return owner_is_this_node(machine) &&
	       (!record_of(machine)->is_pair || tandem_guard_peer_standby_is_gone(machine, now_ns));
}

/* What led here has left in order, or has ended and the operator knows: nobody leads. Where each
 * node keeps records of its own, the other one may have been forced to lead meanwhile. */
GUARD(next_may_lead)
{
	const struct tandem_record *record = record_of(machine);
	bool is_free = record->is_left || machine->protect_generation == record->generation;
	return nobody_else_may_lead(machine, now_ns) && is_free && program_can_lead(machine) &&
	       machine->program.incarnation != record->owner_incarnation &&
	       reading_is_fresh(machine) && tandem_machine_cas_is_idle(machine, now_ns) &&
	       peer_knows_record(machine, now_ns);
}

GUARD(may_ask_to_leave)
{
	return machine->led_generation != 0 && tandem_machine_owns(machine) &&
	       !machine->hand_over.is_asked &&
	       (!record_of(machine)->is_pair || peer_knows_record(machine, now_ns));
}

/* One whose connection was lost attaches again. Of one that led before this life of the controller
 * began no end is seen, but it would be here by now. */
static bool led_program_is_gone(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_record *record = record_of(machine);
	bool is_of_before = machine->met_owner != record->owner_incarnation &&
	                    tandem_machine_is_settled(machine, now_ns);
	return machine->program.connection == 0 &&
	       (record->is_left || machine->ended_owner == record->owner_incarnation ||
	        is_of_before);
}

static bool this_node_led_last(const struct tandem_machine *machine, uint64_t now_ns)
{
	return nobody_else_may_lead(machine, now_ns) && led_program_is_gone(machine, now_ns);
}

GUARD(may_protect)
{
	const struct tandem_record *record = record_of(machine);
	bool is_first = record->generation == 0 && machine->program.connection == 0 &&
	                strcmp(machine->config.pair.first_owner, machine->config.node) == 0;
	bool is_forced = tandem_machine_next_is_forced(machine) && machine->program.connection == 0;
	return machine->view.is_known && machine->standby.connection != 0 &&
	       (is_first || is_forced || this_node_led_last(machine, now_ns));
}

/* R9: only while the copy that the register names is there and would take over at once. */
GUARD(may_hand_over)
{
	const struct tandem_plane_statement *standby = &machine->peer.standby;
	return tandem_guard_record_is_pair(machine, now_ns) &&
	       tandem_machine_cas_is_idle(machine, now_ns) &&
	       tandem_machine_session_is_fresh(machine, &machine->program, now_ns) &&
	       !tandem_guard_session_is_renewed(machine, now_ns) &&
	       tandem_machine_peer_is_heard(machine, now_ns) && !machine->peer.in_maintenance &&
	       standby->status == TANDEM_PLANE_ALIVE &&
	       standby->incarnation == record_of(machine)->copy_incarnation;
}

/* The peer did not take over, or cannot any more: nothing has changed hands, as after a suspicion
 * that was false. A lost session alone may be the peer's fence. */
GUARD(hand_over_is_over)
{
	bool is_dark = !machine->program.has_session &&
	               tandem_detector_is_silent(&machine->detector, now_ns);
	return machine->hand_over.is_asked &&
	       (now_ns >= tandem_machine_hand_over_end_ns(machine) || is_dark ||
	        tandem_guard_session_is_renewed(machine, now_ns) ||
	        tandem_guard_peer_standby_is_gone(machine, now_ns));
}

GUARD(may_promote)
{
	UNTIMED;
	return machine->view.is_known &&
	       machine->event->generation == record_of(machine)->generation;
}

GUARD(may_promote_first)
{
	return tandem_guard_may_promote(machine, now_ns) && record_of(machine)->generation == 0;
}

GUARD(may_force)
{
	bool has_copy = machine->standby.connection != 0 && machine->standby.has_copy;
	return machine->view.is_known && tandem_machine_cas_is_idle(machine, now_ns) &&
	       (program_can_lead(machine) || has_copy);
}

/* The copy is all that would lead, and it can start nothing yet. */
GUARD(may_force_misfit)
{
	return tandem_guard_may_force(machine, now_ns) &&
	       tandem_guard_standby_is_misfit(machine, now_ns);
}

/* The memory of the node that led is lost, and nothing here holds another: a program that starts
 * from nothing may lead, unless the old one comes back before it. */
GUARD(may_force_next)
{
	return machine->view.is_known && tandem_machine_cas_is_idle(machine, now_ns) &&
	       record_of(machine)->generation > 0 &&
	       (tandem_detector_is_silent(&machine->detector, now_ns) ||
	        this_node_led_last(machine, now_ns));
}

GUARD(may_maintain)
{
	UNTIMED;
	return !cas_is_out(machine);
}

GUARD(fence_is_awaited)
{
	UNTIMED;
	return machine->view.cas_needs_fence;
}

GUARD(plane_has_session)
{
	UNTIMED;
	return machine->program.has_session || machine->standby.has_session;
}
