#include "core/view.h"

/* From suspicion to a program that leads. */

/* [H7]: the peer has told of a later record of the register that both share. */
static bool is_outdated(const struct tandem_machine *machine)
{
	return !tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) &&
	       machine->heard_generation > record_of(machine)->generation;
}

GUARD(take_over_is_won)
{
	UNTIMED;
	return machine->take_over.decision != 0 && !machine->take_over.is_begun &&
	       machine->take_over.decision == record_of(machine)->decision;
}

bool tandem_machine_is_offered(const struct tandem_machine *machine, uint64_t now_ns)
{
	return tandem_machine_peer_is_heard(machine, now_ns) && record_of(machine)->is_pair &&
	       machine->peer.offered_generation == record_of(machine)->generation;
}

/* The peer's own controller, which knows no newer record, says that its process has ended: it
 * cannot lead with that memory again (R5). */
static bool peer_certifies_end(const struct tandem_machine *machine,
                               const struct tandem_plane_statement *plane, uint64_t incarnation,
                               uint64_t now_ns)
{
	return tandem_machine_peer_is_heard(machine, now_ns) &&
	       machine->peer.record.generation <= record_of(machine)->generation &&
	       plane->dead_incarnation == incarnation;
}

bool tandem_machine_needs_fence(const struct tandem_machine *machine, enum tandem_cas_kind kind,
                                uint64_t now_ns)
{
	const struct tandem_record *record = record_of(machine);
	if (machine->config.pair.arbiter_type != TANDEM_ARBITER_FENCE || !record->is_pair)
		return false;
	if (kind == TANDEM_CAS_SOLO)
		return !peer_certifies_end(machine, &machine->peer.standby,
		                           record->copy_incarnation, now_ns);
	return kind == TANDEM_CAS_TAKE_OVER && !tandem_machine_is_offered(machine, now_ns) &&
	       !peer_certifies_end(machine, &machine->peer.program, record->owner_incarnation,
	                           now_ns);
}

static bool peer_program_is_gone(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_plane_statement *program = &machine->peer.program;
	uint64_t owner = record_of(machine)->owner_incarnation;
	if (!tandem_machine_peer_is_heard(machine, now_ns))
		return false;
	if (program->status == TANDEM_PLANE_ABSENT)
		return machine->peer.is_settled;
	return program->incarnation != owner || program->status == TANDEM_PLANE_SILENT;
}

/* Arbiter `fence`: both nodes may suspect each other at once, and the one that holds newer memory
 * should win. A peer that says that its program is gone suspects nobody. */
static bool head_start_is_over(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_detector *detector = &machine->detector;
	return !tandem_machine_needs_fence(machine, TANDEM_CAS_TAKE_OVER, now_ns) ||
	       peer_program_is_gone(machine, now_ns) ||
	       now_ns >= tandem_detector_silent_since_ns(detector) + detector->window_ns +
	                         machine->config.pair.fence_delay_ns;
}

/* Whatever of the session of a program that has ended still arrives was sent before. */
bool tandem_machine_primary_is_lost(const struct tandem_machine *machine, uint64_t now_ns)
{
	if (peer_certifies_end(machine, &machine->peer.program,
	                       record_of(machine)->owner_incarnation, now_ns))
		return true;
	return !tandem_machine_session_is_fresh(machine, &machine->standby, now_ns) &&
	       (tandem_detector_is_silent(&machine->detector, now_ns) ||
	        peer_program_is_gone(machine, now_ns));
}

static bool take_over_is_automatic(const struct tandem_machine *machine, uint64_t now_ns)
{
	return !tandem_machine_needs_word(machine) && !machine->peer.in_maintenance &&
	       !tandem_machine_damper_holds(machine, now_ns) &&
	       tandem_machine_difference(machine) == TANDEM_AGREEMENT_COUNT &&
	       head_start_is_over(machine, now_ns) &&
	       tandem_machine_primary_is_lost(machine, now_ns);
}

/* [L16] A take-over that can start nothing would only end what the other node may go on with. */
static bool may_ask_to_take_over(const struct tandem_machine *machine, uint64_t now_ns)
{
	return tandem_guard_standby_holds_copy(machine, now_ns) && !machine->standby.is_misfit &&
	       !machine->standby.is_unjudged &&
	       tandem_machine_plane_reports(machine, &machine->standby, now_ns) &&
	       tandem_machine_cas_is_idle(machine, now_ns);
}

/* R9. With the arbiter `external` the cluster manager says when. */
GUARD(take_over_is_offered)
{
	return machine->config.pair.arbiter_type != TANDEM_ARBITER_EXTERNAL &&
	       may_ask_to_take_over(machine, now_ns) && tandem_machine_is_offered(machine, now_ns);
}

GUARD(take_over_is_due)
{
	return may_ask_to_take_over(machine, now_ns) &&
	       (has_word(machine) || take_over_is_automatic(machine, now_ns));
}

/* Both nodes keep records of their own, and the old owner led until it learns this one: only when
 * it has said so can it never lead in the generation before. */
GUARD(hand_over_awaits_peer)
{
	const struct tandem_record *record = record_of(machine);
	bool is_known = tandem_machine_peer_is_heard(machine, now_ns) &&
	                tandem_record_is_same(&machine->peer.record, record);
	return tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) &&
	       record->is_handed_over && !is_known && !has_word(machine);
}

/* Lease mode: output that nothing gates ends with the old primary's process. */
static bool lease_is_over(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	return now_ns >= take_over->lease_end_ns ||
	       (take_over->old_owner != 0 &&
	        peer_certifies_end(machine, &machine->peer.program, take_over->old_owner, now_ns));
}

/* The controller that won it is gone, or left it for another state, and the standby it was won with
 * has not started a program: a record names the heir of one standby's copy, and a new life of the
 * standby is another one. */
GUARD(take_over_is_interrupted)
{
	UNTIMED;
	const struct tandem_record *record = record_of(machine);
	const struct tandem_plane *standby = &machine->standby;
	return owner_is_this_node(machine) && !record->is_pair && !tandem_machine_owns(machine) &&
	       standby->connection != 0 && standby->has_copy &&
	       record->owner_incarnation ==
	               tandem_record_heir(standby->incarnation, record->decision);
}

GUARD(take_over_is_superseded)
{
	UNTIMED;
	return machine->take_over.decision != record_of(machine)->decision;
}

GUARD(take_over_may_lead)
{
	UNTIMED;
	const struct tandem_take_over *take_over = &machine->take_over;
	return tandem_machine_owns(machine) && program_can_lead(machine) &&
	       (take_over->is_fenced || take_over->connection == 0) && !is_outdated(machine);
}

GUARD(take_over_lost_program)
{
	UNTIMED;
	return machine->take_over.has_program && !tandem_machine_owns(machine);
}

GUARD(take_over_lost_standby)
{
	UNTIMED;
	const struct tandem_take_over *take_over = &machine->take_over;
	bool is_needed = take_over->connection != 0 || !take_over->has_program;
	bool is_done = take_over->is_fenced &&
	               (take_over->activate_sent_ns != 0 || take_over->has_program);
	return is_needed && !is_done &&
	       (take_over->connection == 0 || machine->standby.connection != take_over->connection);
}

GUARD(order_has_failed)
{
	UNTIMED;
	return machine->take_over.has_failed;
}

GUARD(fence_is_due)
{
	UNTIMED;
	return machine->take_over.connection != 0 && machine->take_over.fence_sent_ns == 0;
}

GUARD(fence_is_late)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	return take_over->fence_sent_ns != 0 && !take_over->is_fenced &&
	       now_ns >= take_over->fence_sent_ns + machine->config.pair.fence_timeout_ns;
}

/* The standby, or this whole node, was only stopped: nothing else happened to the copy. Meanwhile
 * the operator may have had the other node lead, so the register is asked first [L17]. */
GUARD(late_fence_came)
{
	UNTIMED;
	const struct tandem_take_over *take_over = &machine->take_over;
	return take_over->has_failed && machine->view.asked_ns >= machine->times.fenced_ns &&
	       take_over->is_fenced && take_over->activate_sent_ns == 0 &&
	       take_over->connection != 0 && machine->standby.connection == take_over->connection &&
	       take_over->decision == record_of(machine)->decision;
}

/* R2, R3: the old primary is fenced, and the epoch is what FENCED named after that. */
GUARD(activation_is_due)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	return take_over->is_fenced && !take_over->has_program &&
	       take_over->activate_sent_ns == 0 && lease_is_over(machine, now_ns) &&
	       !is_outdated(machine) && !tandem_guard_hand_over_awaits_peer(machine, now_ns);
}

GUARD(activation_is_late)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	return take_over->activate_sent_ns != 0 &&
	       now_ns >= take_over->activate_sent_ns + machine->config.pair.activate_timeout_ns;
}

/* [L17] A standby that failed is waited for while the record is the one that it failed for: once
 * another leads it may be told to stand by, and begins a new life by that [L11]. */
GUARD(halted_are_gone)
{
	UNTIMED;
	const struct tandem_take_over *take_over = &machine->take_over;
	bool standby_is_void = take_over->has_failed && take_over->connection != 0 &&
	                       machine->standby.connection == take_over->connection &&
	                       take_over->decision == record_of(machine)->decision;
	return !machine->program.was_halted && !standby_is_void;
}
