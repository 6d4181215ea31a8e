#include "core/rules.h"

#include <string.h>
#include <tandem/error.h>

/* Events become facts here. What does not come from the attached data plane or does not answer an
 * outstanding request is dropped: it is late, doubled, or from a process that was replaced. */

static void refuse(struct tandem_machine *machine, uint64_t connection, const char *text)
{
	struct tandem_action *action = tandem_act_add(machine, TANDEM_ACTION_REFUSE);
	action->connection = connection;
	action->text = text;
}

static struct tandem_plane *plane_of(struct tandem_machine *machine, uint64_t connection)
{
	if (connection == 0)
		return NULL;
	if (machine->program.connection == connection)
		return &machine->program;
	return machine->standby.connection == connection ? &machine->standby : NULL;
}

static const char *attach_objection(const struct tandem_machine *machine,
                                    const struct tandem_plane *plane,
                                    const struct tandem_control_message *message)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	bool is_program = message->kind == TANDEM_CONTROL_KIND_PROGRAM;
	if (message->incarnation == 0 || message->process_id == 0)
		return "an attaching data plane must name its incarnation";
	if (message->incarnation == plane->dead_incarnation)
		return "the process of this incarnation has ended";
	if (plane->connection != 0 && !plane->was_halted &&
	    (plane->incarnation != message->incarnation ||
	     plane->process_id != message->process_id))
		return "another process is attached for this pair";
	if (!is_program || !take_over->is_begun)
		return NULL;
	bool is_activated = (take_over->activate_sent_ns != 0 || take_over->is_resumed) &&
	                    machine->view.record.owner_incarnation == message->incarnation;
	if (machine->state == TANDEM_STATE_TAKING_OVER && !take_over->has_program && !is_activated)
		return "a take-over is under way and this is not the program that it started";
	if (is_activated && take_over->process_id != 0 &&
	    take_over->process_id != message->process_id)
		return "the promoted program's incarnation was given to another process";
	return NULL;
}

static bool attach(struct tandem_machine *machine, const struct tandem_event *event)
{
	const struct tandem_control_message *message = &event->message;
	bool is_program = message->kind == TANDEM_CONTROL_KIND_PROGRAM;
	struct tandem_plane *plane = is_program ? &machine->program : &machine->standby;
	const char *objection = attach_objection(machine, plane, message);
	if (objection) {
		refuse(machine, event->connection, objection);
		return false;
	}
	if (plane->connection != 0)
		tandem_act_add(machine, TANDEM_ACTION_CLOSE)->connection = plane->connection;
	uint64_t dead_incarnation = plane->dead_incarnation;
	*plane = (struct tandem_plane){.connection = event->connection,
	                               .incarnation = message->incarnation,
	                               .process_id = message->process_id,
	                               .report_ns = event->now_ns,
	                               .dead_incarnation = dead_incarnation};
	if (is_program) {
		machine->led_generation = 0;
		machine->hand_over = (struct tandem_hand_over){.is_asked = false};
		if ((machine->take_over.activate_sent_ns != 0 || machine->take_over.is_resumed) &&
		    message->incarnation == machine->view.record.owner_incarnation)
			machine->take_over.process_id = message->process_id;
	}
	tandem_act_send(machine, plane, TANDEM_CONTROL_WELCOME, NULL);
	return true;
}

static void detach(struct tandem_machine *machine, struct tandem_plane *plane)
{
	uint64_t dead_incarnation = plane->dead_incarnation;
	if (plane == &machine->program) {
		machine->led_generation = 0;
		machine->hand_over = (struct tandem_hand_over){.is_asked = false};
	}
	*plane = (struct tandem_plane){.dead_incarnation = dead_incarnation};
}

/* The process may have been replaced on its connection, so the incarnation says whose end it was.
 */
static bool end_process(struct tandem_machine *machine, const struct tandem_event *event)
{
	const struct tandem_control_message *message = &event->message;
	bool is_program = message->kind == TANDEM_CONTROL_KIND_PROGRAM;
	struct tandem_plane *plane = is_program ? &machine->program : &machine->standby;
	plane->dead_incarnation = message->incarnation;
	if (is_program && message->incarnation == machine->view.record.owner_incarnation)
		machine->ended_owner = message->incarnation;
	if (plane->connection != 0 && plane->incarnation == message->incarnation)
		detach(machine, plane);
	return true;
}

static void hear_session(struct tandem_plane *plane, uint64_t now_ns, uint64_t age_ns)
{
	uint64_t heard_ns = age_ns < now_ns ? now_ns - age_ns : 0;
	if (heard_ns > plane->session_heard_ns)
		plane->session_heard_ns = heard_ns;
}

static void forget_beat(struct tandem_plane *plane)
{
	plane->peer_beat = TANDEM_PEER_BEAT_UNKNOWN;
	plane->beat_ns = 0;
}

static void lose_session(struct tandem_plane *plane)
{
	plane->has_session = false;
	plane->awaits_session = false;
	plane->copied_incarnation = 0;
	forget_beat(plane);
}

static void gain_session(struct tandem_plane *plane, uint64_t peer_incarnation)
{
	/* Another incarnation is another session, and a copy belongs to one session (R8). */
	if (peer_incarnation != plane->session_peer_incarnation)
		plane->copied_incarnation = 0;
	plane->has_session = true;
	plane->session_peer_incarnation = peer_incarnation;
}

/* [L13] What is not known says neither that the peer lives nor that it does not. */
static void absorb_beat(struct tandem_plane *plane, const struct tandem_control_message *report,
                        uint64_t now_ns)
{
	bool is_known = report->peer_beat != TANDEM_PEER_BEAT_UNKNOWN;
	plane->peer_beat = report->peer_beat;
	plane->beat_ns =
	        is_known && report->beat_age_ns < now_ns ? now_ns - report->beat_age_ns : 0;
}

static void absorb_report(struct tandem_plane *plane, const struct tandem_event *event,
                          uint64_t led_generation)
{
	const struct tandem_control_message *message = &event->message;
	uint64_t age_ns = event->message.behind_age_ns;
	plane->has_reported = true;
	plane->behind_since_ns = age_ns != 0 && age_ns < event->now_ns ? event->now_ns - age_ns : 0;
	plane->report_ns = event->now_ns;
	plane->epoch = message->epoch;
	plane->has_copy = message->has_copy;
	plane->is_misfit = message->status == TANDEM_E_UNSUPPORTED;
	plane->is_unjudged = message->status == TANDEM_E_AGAIN;
	plane->has_lease = message->has_lease;
	plane->is_leaving = message->leaves;
	plane->is_held = message->has_copy && message->generation == led_generation;
	if (!message->has_session) {
		lose_session(plane);
		return;
	}
	hear_session(plane, event->now_ns, message->heard_age_ns);
	absorb_beat(plane, message, event->now_ns);
	if (!plane->awaits_session && message->peer_incarnation != 0)
		gain_session(plane, message->peer_incarnation);
}

static void absorb_fenced(struct tandem_machine *machine, const struct tandem_plane *plane,
                          const struct tandem_control_message *message, uint64_t now_ns)
{
	struct tandem_take_over *take_over = &machine->take_over;
	bool is_answer = take_over->is_begun && take_over->fence_sent_ns != 0 &&
	                 take_over->connection == plane->connection && !take_over->is_fenced;
	bool is_this =
	        message->generation == 0 || message->generation == machine->view.record.generation;
	if (!is_answer || !is_this)
		return;
	take_over->is_fenced = true;
	if (take_over->has_failed)
		machine->view.read_next_ns = now_ns;
	take_over->lease_end_ns = message->lease_left_ns == 0 ? 0 : now_ns + message->lease_left_ns;
	take_over->epoch = message->epoch;
	machine->times.fenced_ns = now_ns;
	machine->times.fenced_wall_ns = machine->event->wall_ns;
	machine->times.drain_ns = message->drain_ns;
}

/* A FENCE that failed has ended the session, too; what it found is that there is nothing to start a
 * program from, and a take-over with a program of its own needs nothing. Where FENCED has come
 * after all, it is over. */
static void absorb_failed(struct tandem_machine *machine, const struct tandem_plane *plane,
                          const struct tandem_control_message *message)
{
	struct tandem_take_over *take_over = &machine->take_over;
	bool is_fence = message->answers == TANDEM_CONTROL_FENCE;
	bool is_order = is_fence || message->answers == TANDEM_CONTROL_ACTIVATE;
	if (!is_order || !take_over->is_begun || take_over->connection != plane->connection ||
	    (is_fence && take_over->is_fenced))
		return;
	if (is_fence && take_over->has_program && take_over->fence_sent_ns != 0)
		take_over->is_fenced = true;
	else
		take_over->has_failed = true;
}

static void absorb_ready(struct tandem_machine *machine, struct tandem_plane *plane,
                         uint64_t now_ns)
{
	if (plane != &machine->program || plane->is_ready)
		return;
	plane->is_ready = true;
	plane->ready_ns = now_ns;
	machine->view.read_next_ns = now_ns;
}

/* R7, R8: the program has held its output since this copy only if it said so after it was told to
 * lead in the generation that it names; a LEAD on its way would open the gate behind the copy. */
static void absorb_copied(const struct tandem_machine *machine, struct tandem_plane *program,
                          const struct tandem_control_message *message)
{
	if (machine->led_generation == 0 || machine->led_is_pair ||
	    message->generation != machine->led_generation)
		return;
	if (program->has_session && message->peer_incarnation == program->session_peer_incarnation)
		program->copied_incarnation = message->peer_incarnation;
}

/* R9 */
static void absorb_quiesced(struct tandem_machine *machine,
                            const struct tandem_control_message *message)
{
	if (!machine->hand_over.is_asked || message->generation != machine->led_generation)
		return;
	machine->hand_over.is_quiet = true;
	machine->quiet_generation = machine->led_generation;
}

static bool absorb_plane(struct tandem_machine *machine, const struct tandem_event *event)
{
	struct tandem_plane *plane = plane_of(machine, event->connection);
	const struct tandem_control_message *message = &event->message;
	if (!plane)
		return false;
	if (event->type == TANDEM_EVENT_DETACHED) {
		detach(machine, plane);
		return true;
	}
	plane->report_ns = event->now_ns;
	if (event->type == TANDEM_EVENT_READY)
		absorb_ready(machine, plane, event->now_ns);
	if (event->type == TANDEM_EVENT_REPORT)
		absorb_report(plane, event, machine->led_generation);
	if (event->type == TANDEM_EVENT_SESSION_LOST)
		lose_session(plane);
	if (event->type == TANDEM_EVENT_SESSION_UP) {
		plane->awaits_session = false;
		plane->copied_incarnation = 0;
		forget_beat(plane);
		gain_session(plane, message->peer_incarnation);
		hear_session(plane, event->now_ns, 0);
		machine->view.read_next_ns = event->now_ns;
	}
	if (event->type == TANDEM_EVENT_COPIED && plane == &machine->program)
		absorb_copied(machine, plane, message);
	if (event->type == TANDEM_EVENT_QUIESCED && plane == &machine->program)
		absorb_quiesced(machine, message);
	if (event->type == TANDEM_EVENT_FENCED)
		absorb_fenced(machine, plane, message, event->now_ns);
	if (event->type == TANDEM_EVENT_FAILED)
		absorb_failed(machine, plane, message);
	return true;
}

static void absorb_heartbeat(struct tandem_machine *machine, const struct tandem_event *event)
{
	tandem_detector_hear(&machine->detector, event->link,
	                     event->heard_ns != 0 ? event->heard_ns : event->now_ns);
	if (!event->has_news)
		return;
	/* What the peer led may still be there. */
	if (strcmp(machine->view.record.owner, machine->config.node) != 0)
		machine->forced_generation = 0;
	machine->peer = event->statement;
	if (machine->heard_generation < machine->peer.record.generation)
		machine->heard_generation = machine->peer.record.generation;
	if (machine->peer.record.generation > machine->view.record.generation)
		machine->view.read_next_ns = event->now_ns;
}

static void see_record(struct tandem_machine *machine, const struct tandem_record *record)
{
	struct tandem_register_view *view = &machine->view;
	view->is_known = true;
	if (record->generation >= view->record.generation)
		view->record = *record;
	if (machine->has_word && machine->word_generation < view->record.generation)
		machine->has_word = false;
}

/* What the reading says about a CAS whose answer was lost. An unchanged record does not prove that
 * the CAS will never be applied, so the generation stays contested until another CAS wins it. */
static void settle_doubt(struct tandem_register_view *view, const struct tandem_record *record)
{
	if (!view->in_doubt || view->cas_request != 0 || view->read_asked_ns < view->doubt_ns)
		return;
	view->in_doubt = false;
	view->cas_next_ns = 0;
	if (tandem_record_is_same(record, &view->cas_desired))
		view->own_decision = record->decision;
}

static bool absorb_read(struct tandem_machine *machine, const struct tandem_event *event)
{
	struct tandem_register_view *view = &machine->view;
	if (view->read_request == 0 || event->request != view->read_request)
		return false;
	view->read_request = 0;
	view->is_reachable = event->type == TANDEM_EVENT_RECORD;
	if (!view->is_reachable)
		return true;
	settle_doubt(view, &event->record);
	view->asked_ns = view->read_asked_ns;
	see_record(machine, &event->record);
	return true;
}

static bool absorb_cas(struct tandem_machine *machine, const struct tandem_event *event)
{
	struct tandem_register_view *view = &machine->view;
	if (view->cas_request == 0 || event->request != view->cas_request)
		return false;
	view->cas_request = 0;
	bool is_answered =
	        event->type == TANDEM_EVENT_CAS_WON || event->type == TANDEM_EVENT_CAS_LOST;
	/* A fencing that failed says nothing about the register. */
	if (event->type == TANDEM_EVENT_CAS_FAILED && view->cas_needs_fence) {
		view->has_fencing_failed = true;
	} else {
		view->is_reachable = is_answered;
		view->cas_failed_ns = is_answered ? 0 : event->now_ns;
	}
	if (event->type == TANDEM_EVENT_CAS_WON) {
		view->own_decision = view->cas_desired.decision;
		see_record(machine, &view->cas_desired);
	}
	if (event->type == TANDEM_EVENT_CAS_LOST) {
		if (tandem_record_is_same(&event->record, &view->cas_desired))
			view->own_decision = event->record.decision;
		see_record(machine, &event->record);
	}
	if (event->type == TANDEM_EVENT_CAS_DOUBT) {
		view->in_doubt = true;
		view->doubt_ns = event->now_ns;
		view->contested_generation = view->cas_expected.generation;
		view->read_next_ns = event->now_ns;
	}
	if (is_answered) {
		view->cas_needs_fence = false;
		view->has_fencing_failed = false;
	}
	view->cas_next_ns = is_answered ? 0 : event->now_ns + TANDEM_RETRY_NS;
	return true;
}

bool tandem_facts_absorb(struct tandem_machine *machine, const struct tandem_event *event)
{
	switch (event->type) {
	case TANDEM_EVENT_ATTACHED:
		return attach(machine, event);
	case TANDEM_EVENT_ENDED:
		return end_process(machine, event);
	case TANDEM_EVENT_DETACHED:
	case TANDEM_EVENT_READY:
	case TANDEM_EVENT_REPORT:
	case TANDEM_EVENT_SESSION_UP:
	case TANDEM_EVENT_SESSION_LOST:
	case TANDEM_EVENT_COPIED:
	case TANDEM_EVENT_FENCED:
	case TANDEM_EVENT_FAILED:
	case TANDEM_EVENT_QUIESCED:
		return absorb_plane(machine, event);
	case TANDEM_EVENT_HEARTBEAT:
		absorb_heartbeat(machine, event);
		return true;
	case TANDEM_EVENT_RECORD:
	case TANDEM_EVENT_READ_FAILED:
		return absorb_read(machine, event);
	case TANDEM_EVENT_CAS_WON:
	case TANDEM_EVENT_CAS_LOST:
	case TANDEM_EVENT_CAS_FAILED:
	case TANDEM_EVENT_CAS_DOUBT:
		return absorb_cas(machine, event);
	case TANDEM_EVENT_TICK:
	case TANDEM_EVENT_PROMOTE:
	case TANDEM_EVENT_FORCE:
	case TANDEM_EVENT_YANK:
	case TANDEM_EVENT_SWITCHOVER:
	case TANDEM_EVENT_RESYNC:
	case TANDEM_EVENT_FENCE_ACK:
	case TANDEM_EVENT_PROTECT:
	case TANDEM_EVENT_UNPROTECT:
	case TANDEM_EVENT_MAINTENANCE_ON:
	case TANDEM_EVENT_MAINTENANCE_OFF:
	case TANDEM_EVENT_COUNT:
		return true;
	}
	return true;
}
