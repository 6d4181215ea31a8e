#include "core/machine.h"

#include <string.h>

#include "core/rules.h"

/* A rule's verbs make its guard false, so the lists end; the bound is for our own mistakes. */
#define ROUNDS_MAX 6

void tandem_machine_init(struct tandem_machine *machine, const struct tandem_machine_config *config,
                         uint64_t seed, uint64_t now_ns)
{
	memset(machine, 0, sizeof(*machine));
	machine->config = *config;
	machine->state = TANDEM_STATE_INIT;
	machine->state_ns = now_ns;
	machine->start_ns = now_ns;
	machine->random = seed;
	machine->view.is_reachable = true;
	tandem_agreement_of(&config->pair, &machine->agreement);
	tandem_detector_init(&machine->detector, config->pair.heartbeat_interval_ns,
	                     config->pair.heartbeat_miss_count, config->pair.link_count, now_ns);
}

static bool is_asked_again(struct tandem_machine *machine, const struct tandem_rule *rule)
{
	bool is_cas =
	        rule->verbs[0] >= TANDEM_VERB_CAS_CREATE && rule->verbs[0] <= TANDEM_VERB_CAS_FORCE;
	bool was_noted = is_cas && machine->asked_reason == rule->reason;
	if (is_cas)
		machine->asked_reason = rule->reason;
	return was_noted;
}

static void take(struct tandem_machine *machine, const struct tandem_rule *rule)
{
	for (size_t i = 0; i < TANDEM_RULE_VERBS_MAX; i++)
		tandem_act_carry_out(machine, rule->verbs[i], rule->reason);
	enum tandem_state next = rule->next == TANDEM_RULE_STAY ? machine->state : rule->next;
	if (rule->reason && rule->verbs[0] != TANDEM_VERB_REFUSE && !is_asked_again(machine, rule))
		tandem_act_note(machine, next, rule->reason);
	if (next == machine->state)
		return;
	machine->state = next;
	machine->state_ns = machine->event->now_ns;
	if (next == TANDEM_STATE_SECONDARY) {
		machine->led_last = 0; /* what was led is thrown away */
		machine->has_resync_word = false;
	}
	if (machine->view.cas_request == 0) {
		machine->view.cas_needs_fence = false;
		machine->view.has_fencing_failed = false;
	}
	machine->asked_reason = NULL;
}

/* True when a rule with something to do was taken. */
static bool apply(struct tandem_machine *machine, const struct tandem_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct tandem_rule *rule = &rules->list[i];
		if (rule->guard && !rule->guard(machine, machine->event->now_ns))
			continue;
		take(machine, rule);
		return rule->guard != NULL;
	}
	return false;
}

static void feel_gap(struct tandem_machine *machine)
{
	uint64_t gap_ns = tandem_detector_tick(&machine->detector, machine->event->now_ns,
	                                       machine->event->deaf_ns);
	if (gap_ns == 0)
		return;
	machine->unscheduled_ns = gap_ns;
	machine->unscheduled_told_ns = machine->event->now_ns;
}

static void read_when_due(struct tandem_machine *machine)
{
	struct tandem_register_view *view = &machine->view;
	uint64_t now_ns = machine->event->now_ns;
	if (view->read_request != 0 || view->cas_request != 0)
		return;
	if (machine->event->type == TANDEM_EVENT_READ_FAILED)
		view->read_next_ns = now_ns + TANDEM_RETRY_NS;
	if (now_ns >= view->read_next_ns)
		tandem_act_read(machine);
}

static bool plane_differs(const struct tandem_plane_statement *one,
                          const struct tandem_plane_statement *other)
{
	return one->status != other->status || one->incarnation != other->incarnation ||
	       one->dead_incarnation != other->dead_incarnation;
}

static void tell_peer_of_news(struct tandem_machine *machine, const struct tandem_statement *before)
{
	struct tandem_statement after;
	tandem_machine_statement(machine, machine->event->now_ns, &after);
	if (plane_differs(&before->program, &after.program) ||
	    plane_differs(&before->standby, &after.standby) ||
	    before->in_maintenance != after.in_maintenance ||
	    before->offered_generation != after.offered_generation ||
	    !tandem_record_is_same(&before->record, &after.record))
		tandem_act_add(machine, TANDEM_ACTION_BEAT);
}

static void meet_owner(struct tandem_machine *machine)
{
	if (tandem_machine_owns(machine))
		machine->met_owner = machine->program.incarnation;
}

void tandem_machine_step(struct tandem_machine *machine, const struct tandem_event *event,
                         struct tandem_actions *ret_actions)
{
	struct tandem_statement before;
	tandem_machine_statement(machine, event->now_ns, &before);
	ret_actions->count = 0;
	machine->event = event;
	machine->actions = ret_actions;
	feel_gap(machine);
	bool is_heeded = tandem_facts_absorb(machine, event);
	meet_owner(machine);
	if (is_heeded) {
		apply(machine, tandem_table[machine->state][event->type]);
		for (unsigned i = 0; i < ROUNDS_MAX; i++) {
			if (!apply(machine, tandem_table_own[machine->state]))
				break;
		}
	}
	read_when_due(machine);
	tandem_alarms_update(machine);
	tell_peer_of_news(machine, &before);
	machine->event = NULL;
	machine->actions = NULL;
}

static void state_plane(const struct tandem_machine *machine, const struct tandem_plane *plane,
                        uint64_t now_ns, struct tandem_plane_statement *ret_statement)
{
	uint64_t since_ns = plane->report_ns > machine->detector.restart_ns
	                            ? plane->report_ns
	                            : machine->detector.restart_ns;
	bool is_silent = now_ns >= since_ns + tandem_machine_plane_window_ns(machine);
	*ret_statement = (struct tandem_plane_statement){
	        .status = TANDEM_PLANE_ABSENT, .dead_incarnation = plane->dead_incarnation};
	if (plane->connection == 0)
		return;
	ret_statement->status = is_silent ? TANDEM_PLANE_SILENT : TANDEM_PLANE_ALIVE;
	ret_statement->incarnation = plane->incarnation;
}

/* An empty register about which this node has been given the operator's word, which it has asked to
 * write in this life (an answer says little about a write that comes late), or which lacks what the
 * peer told of, is not empty for the peer. */
static bool is_to_create(const struct tandem_machine *machine)
{
	const struct tandem_register_view *view = &machine->view;
	return view->record.generation == 0 &&
	       (machine->has_word || view->cas_desired.generation != 0 ||
	        machine->heard_generation != 0);
}

void tandem_machine_statement(const struct tandem_machine *machine, uint64_t now_ns,
                              struct tandem_statement *ret_statement)
{
	*ret_statement = (struct tandem_statement){
	        .is_settled = tandem_machine_is_settled(machine, now_ns) && !is_to_create(machine),
	        .in_maintenance = machine->state == TANDEM_STATE_MAINTENANCE,
	        .state = (uint8_t)machine->state,
	        .record = machine->view.record,
	        .agreement = machine->agreement,
	        .offered_generation = machine->hand_over.is_quiet ? machine->led_generation : 0,
	};
	state_plane(machine, &machine->program, now_ns, &ret_statement->program);
	state_plane(machine, &machine->standby, now_ns, &ret_statement->standby);
}

/* A program that left is not told before this node says that it knows, so a take-over that names
 * the record of before comes first. */
bool tandem_machine_adopts(const struct tandem_machine *machine, const struct tandem_record *record)
{
	const struct tandem_register_view *view = &machine->view;
	bool is_untold_leave = record->is_left && view->record.is_pair &&
	                       record->generation == view->record.generation + 1;
	return tandem_record_is_kept_by_node(machine->config.pair.arbiter_type) &&
	       tandem_record_is_newer(record, &view->record) &&
	       !(is_untold_leave && view->cas_request != 0);
}

enum tandem_agreement_item tandem_machine_difference(const struct tandem_machine *machine)
{
	return tandem_agreement_difference(&machine->agreement, &machine->peer.agreement);
}

static void sooner(uint64_t *deadline_ns, uint64_t at_ns, uint64_t now_ns)
{
	if (at_ns > now_ns && at_ns < *deadline_ns)
		*deadline_ns = at_ns;
}

uint64_t tandem_machine_deadline_ns(const struct tandem_machine *machine, uint64_t now_ns)
{
	const struct tandem_controller_pair *pair = &machine->config.pair;
	const struct tandem_detector *detector = &machine->detector;
	uint64_t deadline_ns = now_ns + tandem_detector_pace_ns(pair->heartbeat_interval_ns,
	                                                        pair->heartbeat_miss_count);
	uint64_t silent_ns = tandem_detector_silent_since_ns(detector) + detector->window_ns;
	sooner(&deadline_ns, silent_ns, now_ns);
	sooner(&deadline_ns, machine->program.session_heard_ns + detector->window_ns, now_ns);
	sooner(&deadline_ns, machine->standby.session_heard_ns + detector->window_ns, now_ns);
	sooner(&deadline_ns, machine->view.read_next_ns, now_ns);
	sooner(&deadline_ns, machine->view.cas_next_ns, now_ns);
	sooner(&deadline_ns, machine->take_over.lease_end_ns, now_ns);
	if (machine->hand_over.is_asked)
		sooner(&deadline_ns, tandem_machine_hand_over_end_ns(machine), now_ns);
	if (machine->state == TANDEM_STATE_GATED)
		sooner(&deadline_ns, machine->state_ns + pair->solo_after_ns, now_ns);
	return deadline_ns;
}
