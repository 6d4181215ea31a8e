#include "core/rules.h"

#include <string.h>

#define GUARD(name) bool tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns)
#define UNTIMED     (void)now_ns

static uint64_t later(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

static const struct tandem_record *record_of(const struct tandem_machine *machine)
{
	return &machine->view.record;
}

static bool owner_is_this_node(const struct tandem_machine *machine)
{
	const struct tandem_record *record = record_of(machine);
	return record->generation > 0 && strcmp(record->owner, machine->config.node) == 0;
}

static bool owner_is_peer(const struct tandem_machine *machine)
{
	return record_of(machine)->generation > 0 && !owner_is_this_node(machine);
}

static bool program_can_lead(const struct tandem_machine *machine)
{
	const struct tandem_plane *program = &machine->program;
	return program->connection != 0 && program->is_ready && !program->was_halted;
}

/* R5: the owner is this program's incarnation, not only this node. */
bool tandem_machine_owns(const struct tandem_machine *machine)
{
	return owner_is_this_node(machine) && machine->program.connection != 0 &&
	       record_of(machine)->owner_incarnation == machine->program.incarnation;
}

/* A record that was left is nobody's to lead by. */
static bool owns_alone(const struct tandem_machine *machine)
{
	const struct tandem_record *record = record_of(machine);
	return tandem_machine_owns(machine) && !record->is_pair && !record->is_left;
}

bool tandem_machine_needs_word(const struct tandem_machine *machine)
{
	return machine->config.pair.arbiter_type == TANDEM_ARBITER_MANUAL ||
	       machine->config.pair.arbiter_type == TANDEM_ARBITER_EXTERNAL;
}

static bool has_word(const struct tandem_machine *machine)
{
	return machine->has_word && machine->word_generation == record_of(machine)->generation;
}

static bool word_allows(const struct tandem_machine *machine)
{
	return !tandem_machine_needs_word(machine) || has_word(machine);
}

bool tandem_machine_holds_output(const struct tandem_machine *machine)
{
	return machine->config.pair.is_strict && !machine->may_answer_alone;
}

bool tandem_machine_is_diverged(const struct tandem_machine *machine)
{
	return machine->led_last != 0 && machine->led_last != machine->quiet_generation &&
	       owner_is_peer(machine) && record_of(machine)->generation > machine->led_last;
}

uint64_t tandem_machine_hand_over_end_ns(const struct tandem_machine *machine)
{
	return machine->hand_over.asked_ns + machine->config.pair.arbiter_timeout_ns +
	       machine->config.pair.fence_timeout_ns;
}

static bool cas_is_out(const struct tandem_machine *machine)
{
	return machine->view.cas_request != 0 || machine->view.in_doubt;
}

bool tandem_machine_cas_is_idle(const struct tandem_machine *machine, uint64_t now_ns)
{
	return !cas_is_out(machine) && now_ns >= machine->view.cas_next_ns;
}

/* Nothing asked earlier can still replace the record that is seen. */
static bool record_is_settled(const struct tandem_machine *machine)
{
	return !cas_is_out(machine) &&
	       machine->view.contested_generation != record_of(machine)->generation;
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

/* [H7]: the peer has told of a later record of the register that both share. */
static bool is_outdated(const struct tandem_machine *machine)
{
	return !tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) &&
	       machine->heard_generation > record_of(machine)->generation;
}

/* The register was read after the program said that it could lead. */
static bool reading_is_fresh(const struct tandem_machine *machine)
{
	return machine->view.is_known && machine->view.asked_ns >= machine->program.ready_ns;
}

static uint64_t report_window_ns(const struct tandem_machine *machine)
{
	return later(machine->detector.window_ns,
	             4 * machine->config.pair.settings.report_interval_ns);
}

/* A process that a busy host lets wait looks hung, and is not: the end of a process and of a host
 * are seen in other ways, and sooner. */
uint64_t tandem_machine_plane_window_ns(const struct tandem_machine *machine)
{
	return later(report_window_ns(machine), machine->config.pair.hung_after_ns);
}

/* Heard so lately that what it said may be used against the peer. */
bool tandem_machine_plane_reports(const struct tandem_machine *machine,
                                  const struct tandem_plane *plane, uint64_t now_ns)
{
	return plane->connection != 0 && plane->has_reported &&
	       now_ns < plane->report_ns + report_window_ns(machine) / 2;
}

/* A word that moves is a sign of life, whatever is lost on the way of messages and heartbeats. */
bool tandem_machine_session_is_fresh(const struct tandem_machine *machine,
                                     const struct tandem_plane *plane, uint64_t now_ns)
{
	uint64_t since_ns =
	        later(later(plane->session_heard_ns, plane->beat_ns), machine->detector.restart_ns);
	return plane->has_session && now_ns < since_ns + machine->detector.window_ns;
}

enum tandem_peer_beat tandem_machine_peer_beat(const struct tandem_machine *machine,
                                               uint64_t now_ns, uint64_t *ret_beat_ns)
{
	const struct tandem_plane *plane =
	        machine->program.connection != 0 ? &machine->program : &machine->standby;
	bool is_known = plane->has_session && tandem_machine_plane_reports(machine, plane, now_ns);
	*ret_beat_ns = is_known ? plane->beat_ns : 0;
	return is_known ? plane->peer_beat : TANDEM_PEER_BEAT_UNKNOWN;
}

bool tandem_machine_peer_is_heard(const struct tandem_machine *machine, uint64_t now_ns)
{
	uint64_t heard_ns = tandem_detector_heard_ns(&machine->detector);
	return heard_ns != 0 && now_ns < heard_ns + machine->detector.window_ns;
}

bool tandem_machine_is_settled(const struct tandem_machine *machine, uint64_t now_ns)
{
	return machine->view.is_known && now_ns >= machine->start_ns + TANDEM_SETTLE_NS;
}

bool tandem_machine_damper_holds(const struct tandem_machine *machine, uint64_t now_ns)
{
	uint64_t window_ns = machine->config.pair.damper_window_ns;
	uint32_t count = 0;
	for (size_t i = 0; i < TANDEM_DAMPER_MAX; i++) {
		uint64_t at_ns = machine->damper_ns[i];
		count += at_ns != 0 && now_ns < at_ns + window_ns;
	}
	return count >= machine->config.pair.damper_take_over_count;
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

GUARD(take_over_is_won)
{
	UNTIMED;
	return machine->take_over.decision != 0 && !machine->take_over.is_begun &&
	       machine->take_over.decision == record_of(machine)->decision;
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

bool tandem_machine_next_is_forced(const struct tandem_machine *machine)
{
	return machine->forced_generation != 0 &&
	       machine->forced_generation == record_of(machine)->generation;
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

GUARD(resync_is_awaited)
{
	UNTIMED;
	return machine->config.pair.rejoin == TANDEM_REJOIN_MANUAL && !machine->has_resync_word &&
	       tandem_machine_is_diverged(machine);
}

GUARD(standby_must_be_told)
{
	return machine->standby.connection != 0 && owner_is_peer(machine) &&
	       machine->standby.told_generation != record_of(machine)->generation &&
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
