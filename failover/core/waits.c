#include "core/waits.h"

#include <string.h>

#include "core/rules.h"

/* What holds, one question each; a row is for its state only. */

#define WHEN(name) static bool name(const struct tandem_machine *machine, uint64_t now_ns)

#define UNTIMED (void)now_ns

WHEN(register_is_empty)
{
	UNTIMED;
	return machine->view.record.generation == 0;
}

WHEN(program_is_here)
{
	UNTIMED;
	return machine->program.connection != 0 && !machine->program.was_halted;
}

WHEN(first_program_is_not_ready)
{
	return register_is_empty(machine, now_ns) && program_is_here(machine, now_ns) &&
	       !machine->program.is_ready;
}

WHEN(first_program_is_missing)
{
	return register_is_empty(machine, now_ns) && !program_is_here(machine, now_ns);
}

WHEN(first_leader_needs_word)
{
	return register_is_empty(machine, now_ns) &&
	       tandem_record_is_kept_by_node(machine->config.pair.arbiter_type);
}

WHEN(program_is_owner)
{
	UNTIMED;
	return tandem_machine_owns(machine);
}

WHEN(owner_ended)
{
	UNTIMED;
	return machine->view.record.generation > 0 &&
	       strcmp(machine->view.record.owner, machine->config.node) == 0;
}

WHEN(owner_has_left)
{
	return owner_ended(machine, now_ns) && machine->view.record.is_left;
}

WHEN(leave_is_untold)
{
	UNTIMED;
	return tandem_machine_leave_is_untold(machine);
}

WHEN(peer_has_left)
{
	UNTIMED;
	return machine->view.record.is_left;
}

WHEN(peer_has_left_a_copy)
{
	return peer_has_left(machine, now_ns) && machine->standby.connection != 0 &&
	       machine->standby.has_copy;
}

WHEN(owner_of_pair_ended)
{
	return owner_ended(machine, now_ns) && machine->view.record.is_pair &&
	       !tandem_guard_peer_standby_is_gone(machine, now_ns);
}

WHEN(leader_is_silent)
{
	return machine->view.record.generation > 0 &&
	       tandem_detector_is_silent(&machine->detector, now_ns);
}

WHEN(next_program_is_forced)
{
	UNTIMED;
	return tandem_machine_next_is_forced(machine);
}

WHEN(standby_is_missing)
{
	UNTIMED;
	return machine->standby.connection == 0;
}

/* [L16] Nobody asks for what would start nothing. */
WHEN(standby_is_unjudged)
{
	return machine->standby.is_unjudged && (tandem_machine_primary_is_lost(machine, now_ns) ||
	                                        tandem_machine_is_offered(machine, now_ns));
}

WHEN(failed_as_misfit)
{
	return tandem_guard_standby_is_misfit(machine, now_ns) &&
	       machine->take_over.decision == machine->view.record.decision;
}

WHEN(primary_is_well)
{
	return !tandem_machine_primary_is_lost(machine, now_ns);
}

WHEN(fencing_is_under_way)
{
	UNTIMED;
	return machine->view.cas_needs_fence;
}

WHEN(word_is_needed)
{
	UNTIMED;
	return tandem_machine_needs_word(machine);
}

WHEN(nodes_differ)
{
	UNTIMED;
	return tandem_machine_difference(machine) != TANDEM_AGREEMENT_COUNT;
}

WHEN(peer_was_in_maintenance)
{
	UNTIMED;
	return machine->peer.in_maintenance;
}

WHEN(damper_holds)
{
	return tandem_machine_damper_holds(machine, now_ns);
}

WHEN(output_is_held)
{
	UNTIMED;
	return tandem_machine_holds_output(machine);
}

WHEN(program_is_to_be_quiet)
{
	UNTIMED;
	return machine->hand_over.is_asked && !machine->hand_over.is_quiet;
}

WHEN(hand_over_is_offered)
{
	UNTIMED;
	return machine->hand_over.is_asked;
}

WHEN(program_is_silent)
{
	return !tandem_machine_plane_reports(machine, &machine->program, now_ns);
}

WHEN(word_to_go_on_is_needed)
{
	return (word_is_needed(machine, now_ns) || machine->config.pair.is_strict) &&
	       !machine->has_word;
}

WHEN(old_primary_is_not_fenced)
{
	UNTIMED;
	return !machine->take_over.is_fenced;
}

WHEN(old_primary_must_know)
{
	return machine->take_over.activate_sent_ns == 0 &&
	       tandem_guard_hand_over_awaits_peer(machine, now_ns);
}

WHEN(lease_runs)
{
	UNTIMED;
	return machine->take_over.activate_sent_ns == 0;
}

WHEN(program_was_halted)
{
	UNTIMED;
	return machine->program.was_halted;
}

#undef WHEN
#define STATE(name) TANDEM_STATE_##name

/* clang-format off */
const struct tandem_wait tandem_waits[] = {
	{STATE(INIT), NULL, "the arbiter to be read", ""},
	{STATE(JOINING), first_program_is_not_ready, "the program to attach its regions", ""},
	{STATE(JOINING), first_program_is_missing, "the program to start on the node that leads first", ""},
	{STATE(JOINING), first_leader_needs_word, "the operator's word that this node leads first, or the peer's that its register is empty too", "promote"},
	{STATE(JOINING), register_is_empty, "the first owner's program, on the other node, to lead", ""},
	{STATE(JOINING), next_program_is_forced, "the program to start on this node: it will lead, by the operator's word", ""},
	{STATE(JOINING), leave_is_untold, "the other node to say that it knows that the program left; when it is seen to be off:", "promote"},
	{STATE(JOINING), owner_has_left, "the next program on this node: the last one has left and goes on unprotected", ""},
	{STATE(JOINING), peer_has_left_a_copy, "the next program on the other node: the last one there has left and goes on unprotected; if it ended before it was told so, 'force-primary' goes on with the copy on this node", ""},
	{STATE(JOINING), peer_has_left, "the next program on the other node: the last one there has left and goes on unprotected", ""},
	{STATE(JOINING), program_is_owner, "the program to attach its regions, and the arbiter", ""},
	{STATE(JOINING), owner_of_pair_ended, "the peer, which holds the copy, to take over: the program that led on this node has ended", "force-primary"},
	{STATE(JOINING), owner_ended, "the program that led on this node, and has ended with its memory, of which there is no copy: to lead with another one loses what only it held", "force-primary"},
	{STATE(JOINING), tandem_guard_resync_is_awaited, "the operator's word that what this node led, and no other node holds, may be thrown away", "resync"},
	{STATE(JOINING), leader_is_silent, "the node that leads, which is silent: to lead without it loses what only it holds", "force-primary"},
	{STATE(JOINING), standby_is_missing, "tandemd of this node to attach", ""},
	{STATE(JOINING), tandem_guard_standby_is_misfit, "this node to have what the program needs to go on; until then it takes no copy: the alarm says what to install", ""},
	{STATE(JOINING), NULL, "the primary to copy its memory to this node", ""},
	{STATE(SECONDARY), tandem_guard_standby_is_misfit, "this node to have what the program needs to go on; until then it does not take over: the alarm says what to install", ""},
	{STATE(SECONDARY), standby_is_unjudged, "this node to say whether it has what the program needs; then it takes over", ""},
	{STATE(SECONDARY), primary_is_well, "nothing: the copy is in sync", ""},
	{STATE(SECONDARY), fencing_is_under_way, "the fencing of the other node; when it is seen to be off:", "fence-ack"},
	{STATE(SECONDARY), word_is_needed, "the operator's word that the lost primary is off", "promote"},
	{STATE(SECONDARY), damper_holds, "the operator: too many take-overs in a short time", "promote"},
	{STATE(SECONDARY), nodes_differ, "the operator: the two nodes are configured differently", "promote"},
	{STATE(SECONDARY), peer_was_in_maintenance, "the operator: the lost primary was in maintenance", "promote"},
	{STATE(SECONDARY), NULL, "the arbiter to let this node take over", ""},
	{STATE(PRIMARY_PAIR), NULL, "nothing: the pair is in sync", ""},
	{STATE(PRIMARY_SOLO), output_is_held, "the peer's standby to take a copy; until then no output leaves (mode strict)", "promote"},
	{STATE(PRIMARY_SOLO), NULL, "the peer's standby to take a copy", ""},
	{STATE(GATED), leave_is_untold, "the other node to say that it knows that the program left; when it is seen to be off:", "promote"},
	{STATE(GATED), program_is_to_be_quiet, "the program to become quiet, before the hand-over", ""},
	{STATE(GATED), hand_over_is_offered, "the other node to take over", ""},
	{STATE(GATED), tandem_guard_copy_is_complete, "the arbiter to record the copy", ""},
	{STATE(GATED), program_is_silent, "the leading program, whose reports have stopped", ""},
	{STATE(GATED), fencing_is_under_way, "the fencing of the other node; when it is seen to be off:", "fence-ack"},
	{STATE(GATED), word_to_go_on_is_needed, "the operator's word to go on without the peer, or the session with it", "promote"},
	{STATE(GATED), NULL, "the session with the peer, or the arbiter to let this node go on alone", ""},
	{STATE(TAKING_OVER), old_primary_is_not_fenced, "the standby to fence the old primary", ""},
	{STATE(TAKING_OVER), old_primary_must_know, "the old primary, which handed over, to say that it knows; when it is seen to be off:", "promote"},
	{STATE(TAKING_OVER), lease_runs, "the old primary's lease to run out", ""},
	{STATE(TAKING_OVER), NULL, "the promoted program to attach and be ready", ""},
	{STATE(HALTED), program_was_halted, "the superseded program to end", ""},
	{STATE(HALTED), failed_as_misfit, "this node to have what the program needs to go on, then the take-over goes on: the alarm says what to install", ""},
	{STATE(HALTED), NULL, "the failed standby to end, and a node to lead", "force-primary"},
	{STATE(MAINTENANCE), NULL, "the operator to end the maintenance", "maintenance off"},
};
/* clang-format on */

const size_t tandem_wait_count = sizeof(tandem_waits) / sizeof(tandem_waits[0]);

static const struct tandem_wait *find(const struct tandem_machine *machine, uint64_t now_ns)
{
	static const struct tandem_wait unknown = {.waiting_for = "unknown", .unblock = ""};
	for (size_t i = 0; i < tandem_wait_count; i++) {
		const struct tandem_wait *wait = &tandem_waits[i];
		if (wait->state == machine->state && (!wait->holds || wait->holds(machine, now_ns)))
			return wait;
	}
	return &unknown;
}

const char *tandem_machine_waiting_for(const struct tandem_machine *machine, uint64_t now_ns)
{
	return find(machine, now_ns)->waiting_for;
}

const char *tandem_machine_unblock(const struct tandem_machine *machine, uint64_t now_ns)
{
	return find(machine, now_ns)->unblock;
}
