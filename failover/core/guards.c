#include "core/view.h"

/* Who leads, who holds a copy, and when a pair is made or ends. */

/* A record that was left is nobody's to lead by. */
static bool owns_alone(const struct tandem_machine *machine)
{
	const struct tandem_record *record = record_of(machine);
	return tandem_machine_owns(machine) && !record->is_pair && !record->is_left;
}

static bool word_allows(const struct tandem_machine *machine)
{
	return !tandem_machine_needs_word(machine) || has_word(machine);
}

static bool record_is_written_here(const struct tandem_machine *machine)
{
	return machine->view.own_decision != 0 &&
	       machine->view.own_decision == record_of(machine)->decision;
}

/* R4: this life of the controller wrote the record, nothing can replace it unseen, and no program
 * was told to lead by it yet. */
static bool solo_is_usable(const struct tandem_machine *machine)
{
	return record_is_written_here(machine) && record_is_settled(machine) &&
	       record_of(machine)->generation > machine->led_solo_last;
}

GUARD(record_is_known)
{
	UNTIMED;
	return machine->view.is_known;
}

/* An empty register may be storage that is not mounted, so a peer that knows of a record is
 * believed more, and waited for a moment. A register of the node's own says nothing about the
 * peer's. */
static bool emptiness_is_certain(const struct tandem_machine *machine, uint64_t now_ns)
{
	bool peer_is_heard = tandem_machine_peer_is_heard(machine, now_ns);
	if (peer_is_heard && machine->peer.record.generation > 0)
		return false;
	if (has_word(machine))
		return true;
	if (tandem_record_is_kept_by_node(machine->config.pair.arbiter_type))
		return peer_is_heard && machine->peer.is_settled;
	return peer_is_heard || tandem_machine_is_settled(machine, now_ns);
}

GUARD(register_is_empty_for_us)
{
	return reading_is_fresh(machine) && record_of(machine)->generation == 0 &&
	       (strcmp(machine->config.pair.first_owner, machine->config.node) == 0 ||
	        has_word(machine)) &&
	       program_can_lead(machine) && tandem_machine_cas_is_idle(machine, now_ns) &&
	       emptiness_is_certain(machine, now_ns);
}

GUARD(record_is_foreign)
{
	UNTIMED;
	return record_of(machine)->generation > 0 && !tandem_machine_owns(machine);
}

GUARD(record_is_solo)
{
	UNTIMED;
	return owns_alone(machine);
}

GUARD(record_is_pair)
{
	UNTIMED;
	return tandem_machine_owns(machine) && record_of(machine)->is_pair;
}

/* A program that attached anew has not been told to lead and is not believed to. */
GUARD(program_is_gone)
{
	UNTIMED;
	return machine->program.connection == 0 || machine->led_generation == 0;
}

GUARD(program_is_silent)
{
	const struct tandem_plane *program = &machine->program;
	uint64_t since_ns = later(program->report_ns, machine->detector.restart_ns);
	return program->connection != 0 &&
	       now_ns >= since_ns + tandem_machine_plane_window_ns(machine);
}

GUARD(program_must_halt)
{
	UNTIMED;
	return machine->program.connection != 0 && !machine->program.was_halted &&
	       owner_is_peer(machine) && !tandem_machine_next_is_forced(machine);
}

GUARD(forced_program_may_lead)
{
	return tandem_machine_next_is_forced(machine) && program_can_lead(machine) &&
	       reading_is_fresh(machine) && tandem_machine_cas_is_idle(machine, now_ns);
}

/* An earlier life of this controller may have asked for SOLO to PAIR without learning the answer.
 * Leading alone on a record that a late CAS can still turn into PAIR would give two leaders. */
GUARD(owner_may_refresh)
{
	return owns_alone(machine) && program_can_lead(machine) && reading_is_fresh(machine) &&
	       !solo_is_usable(machine) && tandem_machine_cas_is_idle(machine, now_ns);
}

GUARD(owner_may_lead_solo)
{
	UNTIMED;
	return owns_alone(machine) && program_can_lead(machine) && solo_is_usable(machine);
}

GUARD(owner_may_lead_pair)
{
	UNTIMED;
	return tandem_machine_owns(machine) && record_of(machine)->is_pair &&
	       program_can_lead(machine) && reading_is_fresh(machine) && !cas_is_out(machine);
}

/* Two records may be of one generation where each node keeps its own. */
GUARD(standby_must_be_told)
{
	return machine->standby.connection != 0 && owner_is_peer(machine) &&
	       machine->standby.told_decision != record_of(machine)->decision &&
	       !tandem_guard_resync_is_awaited(machine, now_ns);
}

/* R5: the copy is this standby's own, alive now. */
GUARD(standby_holds_copy)
{
	UNTIMED;
	return machine->standby.connection != 0 && owner_is_peer(machine) &&
	       record_of(machine)->is_pair &&
	       record_of(machine)->copy_incarnation == machine->standby.incarnation;
}

GUARD(standby_lost_copy)
{
	return !tandem_guard_standby_holds_copy(machine, now_ns);
}

/* [C35] A program that can lead here needs nothing of it. */
GUARD(standby_is_misfit)
{
	UNTIMED;
	return machine->standby.connection != 0 && machine->standby.is_misfit &&
	       !program_can_lead(machine);
}

GUARD(session_is_lost)
{
	UNTIMED;
	return !machine->program.has_session;
}

GUARD(session_is_renewed)
{
	UNTIMED;
	return machine->program.has_session &&
	       machine->program.session_peer_incarnation != record_of(machine)->copy_incarnation;
}

/* [H6]: what a controller that was stopped left unread may be of before the copy was taken, and
 * names the standby of then. */
GUARD(peer_standby_is_gone)
{
	const struct tandem_plane_statement *standby = &machine->peer.standby;
	const struct tandem_record *record = record_of(machine);
	bool is_replaced = machine->peer.record.generation >= record->generation &&
	                   standby->status != TANDEM_PLANE_ABSENT &&
	                   standby->incarnation != record->copy_incarnation;
	return tandem_machine_peer_is_heard(machine, now_ns) && record->is_pair &&
	       (standby->dead_incarnation == record->copy_incarnation || is_replaced);
}

GUARD(peer_is_suspect)
{
	return tandem_detector_is_silent(&machine->detector, now_ns) &&
	       !tandem_machine_session_is_fresh(machine, &machine->program, now_ns);
}

/* R6, R8: a full copy was told; copy, session and CAS name one incarnation of the peer. */
GUARD(copy_is_complete)
{
	UNTIMED;
	const struct tandem_plane *program = &machine->program;
	return program->has_session && program->copied_incarnation != 0 &&
	       program->copied_incarnation == program->session_peer_incarnation;
}

/* The program holds its output since a copy that was told and never arrived here, or arrived when
 * no session was known: only another LEAD opens its gate. */
GUARD(copy_was_missed)
{
	return machine->program.is_held && !tandem_guard_copy_is_complete(machine, now_ns);
}

GUARD(copy_may_be_recorded)
{
	return tandem_guard_record_is_solo(machine, now_ns) &&
	       tandem_guard_copy_is_complete(machine, now_ns) &&
	       tandem_machine_cas_is_idle(machine, now_ns);
}

GUARD(pair_was_won)
{
	return tandem_guard_record_is_pair(machine, now_ns) && !cas_is_out(machine) &&
	       machine->led_generation != record_of(machine)->generation;
}

GUARD(session_is_restored)
{
	return !machine->hand_over.is_asked && tandem_guard_record_is_pair(machine, now_ns) &&
	       record_is_settled(machine) &&
	       machine->led_generation == record_of(machine)->generation &&
	       !tandem_guard_session_is_renewed(machine, now_ns) &&
	       tandem_machine_session_is_fresh(machine, &machine->program, now_ns) &&
	       tandem_machine_plane_reports(machine, &machine->program, now_ns) &&
	       !tandem_guard_peer_standby_is_gone(machine, now_ns);
}

static bool pair_is_broken(const struct tandem_machine *machine, uint64_t now_ns)
{
	return machine->view.contested_generation == record_of(machine)->generation ||
	       has_word(machine) || tandem_guard_session_is_renewed(machine, now_ns) ||
	       tandem_guard_peer_standby_is_gone(machine, now_ns) ||
	       tandem_detector_is_silent(&machine->detector, now_ns) ||
	       now_ns >= machine->state_ns + machine->config.pair.solo_after_ns;
}

/* A copy that has ended cannot take over any more, whoever gives a word for it (R5). In mode strict
 * nothing else lets the record go: the peer's copy holds all that was answered. */
static bool solo_is_allowed(const struct tandem_machine *machine, uint64_t now_ns)
{
	bool has_permission =
	        machine->config.pair.is_strict ? has_word(machine) : word_allows(machine);
	return has_permission || tandem_guard_peer_standby_is_gone(machine, now_ns);
}

/* A program that does not report could not serve: then the secondary is the better choice. */
GUARD(may_go_solo)
{
	return tandem_guard_record_is_pair(machine, now_ns) && !machine->hand_over.is_asked &&
	       tandem_machine_cas_is_idle(machine, now_ns) &&
	       tandem_machine_plane_reports(machine, &machine->program, now_ns) &&
	       solo_is_allowed(machine, now_ns) && pair_is_broken(machine, now_ns);
}

GUARD(solo_may_reopen)
{
	return tandem_guard_record_is_solo(machine, now_ns) && solo_is_usable(machine) &&
	       !tandem_guard_copy_is_complete(machine, now_ns);
}

GUARD(solo_must_refresh)
{
	return tandem_guard_record_is_solo(machine, now_ns) &&
	       tandem_machine_cas_is_idle(machine, now_ns) && !solo_is_usable(machine) &&
	       !tandem_guard_copy_is_complete(machine, now_ns);
}

GUARD(copy_waits_in_maintenance)
{
	return machine->led_generation != 0 && !machine->led_is_pair &&
	       tandem_guard_copy_is_complete(machine, now_ns) &&
	       tandem_guard_record_is_solo(machine, now_ns) &&
	       tandem_machine_cas_is_idle(machine, now_ns) && !solo_is_usable(machine);
}

GUARD(maintenance_may_reopen)
{
	return machine->led_generation != 0 && tandem_guard_record_is_solo(machine, now_ns) &&
	       solo_is_usable(machine);
}

GUARD(maintenance_is_superseded)
{
	return machine->led_generation != 0 && tandem_guard_record_is_foreign(machine, now_ns);
}
