#include "core/rules.h"

const char *tandem_state_name(enum tandem_state state)
{
	static const char *const names[TANDEM_STATE_COUNT] = {
#define X(name) [TANDEM_STATE_##name] = #name,
	        TANDEM_STATE_TABLE(X)
#undef X
	};
	return state < TANDEM_STATE_COUNT ? names[state] : "unknown";
}

const char *tandem_event_name(enum tandem_event_type event)
{
	static const char *const names[TANDEM_EVENT_COUNT] = {
#define X(name) [TANDEM_EVENT_##name] = #name,
	        TANDEM_EVENT_TABLE(X)
#undef X
	};
	return event < TANDEM_EVENT_COUNT ? names[event] : "unknown";
}

const char *tandem_verb_name(enum tandem_verb verb)
{
	static const char *const names[TANDEM_VERB_COUNT] = {[TANDEM_VERB_NOTHING] = "",
#define X(name) [TANDEM_VERB_##name] = #name,
	                                                     TANDEM_VERB_TABLE(X)
#undef X
	};
	return verb < TANDEM_VERB_COUNT ? names[verb] : "unknown";
}

const char *tandem_alarm_text(enum tandem_alarm alarm)
{
	static const char *const texts[TANDEM_ALARM_COUNT] = {
#define X(name, text) [TANDEM_ALARM_##name] = (text),
	        TANDEM_ALARM_TABLE(X)
#undef X
	};
	return alarm < TANDEM_ALARM_COUNT ? texts[alarm] : "unknown";
}

/* What is missing, the command that ends the wait. */
struct advice {
	const char *waiting_for;
	const char *unblock;
};

static bool has_program(const struct tandem_machine *machine)
{
	return machine->program.connection != 0 && !machine->program.was_halted;
}

static struct advice advise_empty(const struct tandem_machine *machine, uint64_t now_ns)
{
	(void)now_ns;
	if (has_program(machine) && !machine->program.is_ready)
		return (struct advice){"the program to attach its regions", ""};
	if (!has_program(machine))
		return (struct advice){"the program to start on the node that leads first", ""};
	if (tandem_machine_needs_word(machine))
		return (struct advice){
		        "the operator's word that this node leads first, or the peer's that its "
		        "register is empty too",
		        "promote"};
	return (struct advice){"the first owner's program, on the other node, to lead", ""};
}

static struct advice advise_owner(const struct tandem_machine *machine)
{
	if (tandem_machine_owns(machine))
		return (struct advice){"the program to attach its regions, and the arbiter", ""};
	if (machine->view.record.is_pair)
		return (struct advice){
		        "the peer, which holds the copy, to take over: the program that led on "
		        "this node has ended",
		        "force-primary"};
	return (struct advice){"the program that led alone, and has ended with its memory: to "
	                       "lead with another one loses what only it held",
	                       "force-primary"};
}

static struct advice advise_joining(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_record *record = &machine->view.record;
	if (record->generation == 0)
		return advise_empty(machine, now_ns);
	bool is_own = true;
	for (size_t i = 0; i < sizeof(record->owner) && is_own; i++) {
		is_own = record->owner[i] == machine->config.node[i];
		if (record->owner[i] == 0)
			break;
	}
	if (is_own)
		return advise_owner(machine);
	if (tandem_guard_resync_is_awaited(machine, now_ns))
		return (struct advice){"the operator's word that what this node led, and no other "
		                       "node holds, may be thrown away",
		                       "resync"};
	if (machine->standby.connection == 0)
		return (struct advice){"tandemd of this node to attach", ""};
	return (struct advice){"the primary to copy its memory to this node", ""};
}

static struct advice advise_gated(const struct tandem_machine *machine, uint64_t now_ns)
{
	if (machine->hand_over.is_asked && !machine->hand_over.is_quiet)
		return (struct advice){"the program to become quiet, before the hand-over", ""};
	if (machine->hand_over.is_asked)
		return (struct advice){"the other node to take over", ""};
	if (tandem_guard_copy_is_complete(machine, now_ns))
		return (struct advice){"the arbiter to record the copy", ""};
	if (!tandem_machine_plane_reports(machine, &machine->program, now_ns))
		return (struct advice){"the leading program, whose reports have stopped", ""};
	if (machine->view.cas_needs_fence)
		return (struct advice){"the fencing of the other node; when it is seen to be off:",
		                       "fence-ack"};
	bool needs_word = tandem_machine_needs_word(machine) || machine->config.pair.is_strict;
	if (needs_word && !machine->has_word)
		return (struct advice){"the operator's word to go on without the peer, or the "
		                       "session with it",
		                       "promote"};
	return (struct advice){"the session with the peer, or the arbiter to let this node go on "
	                       "alone",
	                       ""};
}

static struct advice advise_secondary(const struct tandem_machine *machine, uint64_t now_ns)
{
	if (!tandem_machine_primary_is_lost(machine, now_ns))
		return (struct advice){"nothing: the copy is in sync", ""};
	if (machine->view.cas_needs_fence)
		return (struct advice){"the fencing of the other node; when it is seen to be off:",
		                       "fence-ack"};
	if (tandem_machine_needs_word(machine))
		return (struct advice){"the operator's word that the lost primary is off",
		                       "promote"};
	if (tandem_machine_damper_holds(machine, now_ns))
		return (struct advice){"the operator: too many take-overs in a short time",
		                       "promote"};
	if (tandem_machine_difference(machine) != TANDEM_AGREEMENT_COUNT)
		return (struct advice){"the operator: the two nodes are configured differently",
		                       "promote"};
	if (machine->peer.in_maintenance)
		return (struct advice){"the operator: the lost primary was in maintenance",
		                       "promote"};
	return (struct advice){"the arbiter to let this node take over", ""};
}

static struct advice advise_taking_over(const struct tandem_machine *machine, uint64_t now_ns)
{
	if (!machine->take_over.is_fenced)
		return (struct advice){"the standby to fence the old primary", ""};
	if (machine->take_over.activate_sent_ns == 0 &&
	    tandem_guard_hand_over_awaits_peer(machine, now_ns))
		return (struct advice){"the old primary, which handed over, to say that it knows; "
		                       "when it is seen to be off:",
		                       "promote"};
	if (machine->take_over.activate_sent_ns == 0)
		return (struct advice){"the old primary's lease to run out", ""};
	return (struct advice){"the promoted program to attach and be ready", ""};
}

static struct advice advise_halted(const struct tandem_machine *machine)
{
	if (machine->program.was_halted)
		return (struct advice){"the superseded program to end", ""};
	return (struct advice){"the failed standby to end, and a node to lead", "force-primary"};
}

static struct advice advise(const struct tandem_machine *machine, uint64_t now_ns)
{
	switch (machine->state) {
	case TANDEM_STATE_INIT:
		return (struct advice){"the arbiter to be read", ""};
	case TANDEM_STATE_JOINING:
		return advise_joining(machine, now_ns);
	case TANDEM_STATE_SECONDARY:
		return advise_secondary(machine, now_ns);
	case TANDEM_STATE_PRIMARY_PAIR:
		return (struct advice){"nothing: the pair is in sync", ""};
	case TANDEM_STATE_PRIMARY_SOLO:
		if (tandem_machine_holds_output(machine))
			return (struct advice){"the peer's standby to take a copy; until then no "
			                       "output leaves (mode strict)",
			                       "promote"};
		return (struct advice){"the peer's standby to take a copy", ""};
	case TANDEM_STATE_GATED:
		return advise_gated(machine, now_ns);
	case TANDEM_STATE_TAKING_OVER:
		return advise_taking_over(machine, now_ns);
	case TANDEM_STATE_HALTED:
		return advise_halted(machine);
	case TANDEM_STATE_MAINTENANCE:
		return (struct advice){"the operator to end the maintenance", "maintenance off"};
	case TANDEM_STATE_COUNT:
		break;
	}
	return (struct advice){"unknown", ""};
}

const char *tandem_machine_waiting_for(const struct tandem_machine *machine, uint64_t now_ns)
{
	return advise(machine, now_ns).waiting_for;
}

const char *tandem_machine_unblock(const struct tandem_machine *machine, uint64_t now_ns)
{
	return advise(machine, now_ns).unblock;
}
