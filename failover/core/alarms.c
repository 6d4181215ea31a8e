#include "core/rules.h"

#define SEEN_FOR_NS UINT64_C(2000000000) /* how long a gap stays an alarm after it */

static bool some_link_is_down(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_detector *detector = &machine->detector;
	/* After a break of all links each has a window to come back. */
	if (now_ns < detector->restart_ns + detector->window_ns ||
	    now_ns < detector->back_ns + detector->window_ns)
		return false;
	for (size_t i = 0; i < detector->link_count; i++) {
		if (!tandem_detector_link_is_up(detector, i, now_ns))
			return !tandem_detector_is_silent(detector, now_ns);
	}
	return false;
}

static bool arbiter_is_unreachable(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_register_view *view = &machine->view;
	uint64_t timeout_ns = machine->config.pair.arbiter_timeout_ns;
	uint64_t cas_timeout_ns =
	        view->cas_needs_fence ? machine->config.pair.fencing_timeout_ns : timeout_ns;
	/* Readings that succeed between the attempts to write do not end it. */
	bool has_failed = view->cas_failed_ns != 0 && now_ns < view->cas_failed_ns + SEEN_FOR_NS;
	return !view->is_reachable || has_failed ||
	       (view->read_request != 0 && now_ns >= view->read_asked_ns + timeout_ns) ||
	       (view->cas_request != 0 && now_ns >= view->cas_asked_ns + cas_timeout_ns);
}

/* What was to be fenced may be back, and then nobody wants it off any more. */
static bool fencing_has_failed(const struct tandem_machine *machine, uint64_t now_ns)
{
	return machine->view.has_fencing_failed &&
	       (machine->state != TANDEM_STATE_SECONDARY ||
	        tandem_machine_primary_is_lost(machine, now_ns));
}

static bool plane_is_silent(const struct tandem_machine *machine, const struct tandem_plane *plane,
                            uint64_t now_ns)
{
	uint64_t since_ns = plane->report_ns > machine->detector.restart_ns
	                            ? plane->report_ns
	                            : machine->detector.restart_ns;
	return plane->connection != 0 && !plane->was_halted &&
	       now_ns >= since_ns + tandem_machine_plane_window_ns(machine);
}

/* Before a silence of it makes suspect, so that the evidence is there when something is decided. */
static bool peer_is_hung(const struct tandem_machine *machine, uint64_t now_ns)
{
	uint64_t beat_ns;
	return tandem_machine_peer_beat(machine, now_ns, &beat_ns) == TANDEM_PEER_BEAT_STILL &&
	       now_ns >= beat_ns + machine->detector.window_ns / 2;
}

/* An idle program has nothing that waits, however long ago its last commit was. */
static bool commit_is_stale(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_plane *program = &machine->program;
	return program->behind_since_ns != 0 && !program->was_halted &&
	       now_ns >= program->behind_since_ns +
	                         2 * machine->config.pair.settings.commit_timeout_ns;
}

static bool is_on(const struct tandem_machine *machine, enum tandem_alarm alarm, uint64_t now_ns)
{
	switch (alarm) {
	case TANDEM_ALARM_HEARTBEATS_CUT:
		return tandem_detector_is_silent(&machine->detector, now_ns) &&
		       (tandem_machine_session_is_fresh(machine, &machine->program, now_ns) ||
		        tandem_machine_session_is_fresh(machine, &machine->standby, now_ns));
	case TANDEM_ALARM_LINK_DOWN:
		return some_link_is_down(machine, now_ns);
	case TANDEM_ALARM_ARBITER_UNREACHABLE:
		return arbiter_is_unreachable(machine, now_ns);
	case TANDEM_ALARM_FENCING_FAILED:
		return fencing_has_failed(machine, now_ns);
	case TANDEM_ALARM_DAMPER_HOLDS:
		return machine->state == TANDEM_STATE_SECONDARY &&
		       tandem_machine_damper_holds(machine, now_ns);
	case TANDEM_ALARM_NOT_SCHEDULED:
		return machine->unscheduled_told_ns != 0 &&
		       now_ns < machine->unscheduled_told_ns + SEEN_FOR_NS;
	case TANDEM_ALARM_TIMERS_DIFFER:
		return tandem_machine_difference(machine) != TANDEM_AGREEMENT_COUNT;
	case TANDEM_ALARM_SELF_FENCE_UNARMED:
		return machine->config.pair.settings.lease_ns != 0 &&
		       machine->state == TANDEM_STATE_PRIMARY_PAIR && !machine->program.has_lease &&
		       now_ns >= machine->state_ns + tandem_machine_plane_window_ns(machine);
	case TANDEM_ALARM_COMMIT_STALE:
		return commit_is_stale(machine, now_ns);
	case TANDEM_ALARM_PEER_HUNG:
		return peer_is_hung(machine, now_ns);
	case TANDEM_ALARM_UNPROTECTED:
		return machine->state == TANDEM_STATE_PRIMARY_SOLO &&
		       now_ns >= machine->state_ns + machine->config.pair.unprotected_after_ns;
	case TANDEM_ALARM_TAKE_OVER_FAILED:
		return machine->failed_decision != 0 &&
		       machine->state != TANDEM_STATE_PRIMARY_SOLO &&
		       machine->failed_decision == machine->view.record.decision;
	case TANDEM_ALARM_STANDBY_MISFIT:
		return tandem_guard_standby_is_misfit(machine, now_ns);
	case TANDEM_ALARM_DATA_PLANE_SILENT:
		return plane_is_silent(machine, &machine->program, now_ns) ||
		       plane_is_silent(machine, &machine->standby, now_ns);
	case TANDEM_ALARM_COUNT:
		return false;
	}
	return false;
}

static void tell(struct tandem_machine *machine, enum tandem_alarm alarm, bool is_raised)
{
	tandem_act_note(machine, machine->state, tandem_alarm_text(alarm));
	struct tandem_note *note = &machine->actions->list[machine->actions->count - 1].note;
	note->is_alarm = true;
	note->is_raised = is_raised;
	note->alarm = alarm;
	if (alarm == TANDEM_ALARM_NOT_SCHEDULED)
		note->unscheduled_ns = machine->unscheduled_ns;
}

void tandem_alarms_update(struct tandem_machine *machine)
{
	for (enum tandem_alarm alarm = 0; alarm < TANDEM_ALARM_COUNT; alarm++) {
		uint32_t bit = UINT32_C(1) << alarm;
		bool was_on = (machine->alarms & bit) != 0;
		if (is_on(machine, alarm, machine->event->now_ns) == was_on)
			continue;
		machine->alarms ^= bit;
		tell(machine, alarm, !was_on);
	}
}
