#include "core/view.h"

/* R5: the owner is this program's incarnation, not only this node. */
bool tandem_machine_owns(const struct tandem_machine *machine)
{
	return owner_is_this_node(machine) && machine->program.connection != 0 &&
	       record_of(machine)->owner_incarnation == machine->program.incarnation;
}

bool tandem_machine_needs_word(const struct tandem_machine *machine)
{
	return machine->config.pair.arbiter_type == TANDEM_ARBITER_MANUAL ||
	       machine->config.pair.arbiter_type == TANDEM_ARBITER_EXTERNAL;
}

bool tandem_machine_holds_output(const struct tandem_machine *machine)
{
	return machine->config.pair.is_strict && !machine->may_answer_alone;
}

bool tandem_machine_is_diverged(const struct tandem_machine *machine)
{
	return machine->led_last != 0 && machine->led_last != machine->quiet_generation &&
	       owner_is_peer(machine);
}

uint64_t tandem_machine_hand_over_end_ns(const struct tandem_machine *machine)
{
	return machine->hand_over.asked_ns + machine->config.pair.arbiter_timeout_ns +
	       machine->config.pair.fence_timeout_ns;
}

bool tandem_machine_cas_is_idle(const struct tandem_machine *machine, uint64_t now_ns)
{
	return !cas_is_out(machine) && now_ns >= machine->view.cas_next_ns;
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

bool tandem_machine_next_is_forced(const struct tandem_machine *machine)
{
	return machine->forced_generation != 0 &&
	       machine->forced_generation == record_of(machine)->generation;
}
