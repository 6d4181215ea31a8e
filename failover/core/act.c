#include "core/rules.h"

#include <string.h>
#include <tandem/assert.h>
#include <tandem/error.h>
#include <tandem/random.h>

struct tandem_action *tandem_act_add(struct tandem_machine *machine, enum tandem_action_type type)
{
	struct tandem_actions *actions = machine->actions;
	TANDEM_ASSERT(actions->count < TANDEM_ACTIONS_MAX);
	struct tandem_action *action = &actions->list[actions->count++];
	memset(action, 0, sizeof(*action));
	action->type = type;
	return action;
}

struct tandem_control_message *tandem_act_send(struct tandem_machine *machine,
                                               const struct tandem_plane *plane,
                                               enum tandem_control_type type, const char *text)
{
	if (plane->connection == 0)
		return NULL;
	const struct tandem_record *record = &machine->view.record;
	struct tandem_action *action = tandem_act_add(machine, TANDEM_ACTION_SEND);
	struct tandem_control_message *message = &action->message;
	action->connection = plane->connection;
	action->text = text;
	message->type = type;
	message->generation = record->generation;
	message->incarnation = plane->incarnation;
	message->is_pair = record->is_pair;
	message->peer_incarnation =
	        plane == &machine->standby ? record->owner_incarnation : record->copy_incarnation;
	memcpy(message->pair, machine->config.pair.name, sizeof(message->pair));
	for (size_t i = 0; text && text[i] != 0 && i + 1 < sizeof(message->text); i++)
		message->text[i] = text[i];
	return message;
}

void tandem_act_note(struct tandem_machine *machine, enum tandem_state to, const char *reason)
{
	uint64_t now_ns = machine->event->now_ns;
	struct tandem_action *action = tandem_act_add(machine, TANDEM_ACTION_NOTE);
	uint64_t since_ns = tandem_detector_silent_since_ns(&machine->detector);
	const struct tandem_plane *plane =
	        machine->program.connection != 0 ? &machine->program : &machine->standby;
	action->note = (struct tandem_note){
	        .from = machine->state,
	        .to = to,
	        .reason = reason,
	        .now_ns = now_ns,
	        .wall_ns = machine->event->wall_ns,
	        .generation = machine->view.record.generation,
	        .silent_ns = now_ns > since_ns ? now_ns - since_ns : 0,
	};
	action->note.in_state_ns = now_ns - machine->state_ns;
	action->note.window_ns = machine->detector.window_ns;
	action->note.link_count = machine->detector.link_count;
	for (size_t i = 0; i < machine->detector.link_count; i++)
		action->note.link_heard_ns[i] = machine->detector.heard_ns[i];
	action->note.has_session = plane->has_session;
	action->note.record = machine->view.record;
	action->note.peer_was_heard = tandem_detector_heard_ns(&machine->detector) != 0;
	action->note.peer = machine->peer;
	if (plane->session_heard_ns != 0 && plane->session_heard_ns < now_ns)
		action->note.session_silent_ns = now_ns - plane->session_heard_ns;
	uint64_t beat_ns;
	action->note.peer_beat = tandem_machine_peer_beat(machine, now_ns, &beat_ns);
	if (beat_ns != 0 && beat_ns < now_ns)
		action->note.beat_age_ns = now_ns - beat_ns;
}

static uint64_t draw(struct tandem_machine *machine)
{
	uint64_t number;
	do
		number = tandem_random_next(&machine->random);
	while (number == 0);
	return number;
}

void tandem_act_read(struct tandem_machine *machine)
{
	struct tandem_register_view *view = &machine->view;
	view->read_request = ++view->request_last;
	view->read_asked_ns = machine->event->now_ns;
	view->read_next_ns = machine->event->now_ns + machine->config.pair.arbiter_poll_ns;
	tandem_act_add(machine, TANDEM_ACTION_READ)->request = view->read_request;
}

/* Asked again after a doubt, a CAS keeps its name, so that an earlier try that is applied late is
 * recognised as this one. */
static bool is_asked_again(const struct tandem_machine *machine, enum tandem_cas_kind kind,
                           const struct tandem_record *desired)
{
	const struct tandem_register_view *view = &machine->view;
	bool is_owner_same =
	        desired->owner_incarnation == 0
	                ? !machine->take_over.has_program
	                : view->cas_desired.owner_incarnation == desired->owner_incarnation;
	return view->cas_kind == kind &&
	       tandem_record_is_same(&view->cas_expected, &view->record) &&
	       view->cas_desired.is_pair == desired->is_pair &&
	       view->cas_desired.copy_incarnation == desired->copy_incarnation && is_owner_same;
}

/* Where each node keeps records of its own, the other one may have taken an offered hand-over that
 * this one has not heard of. What the owner, a word or a fencing puts over that must win when both
 * are compared, whichever comes back with it. That a program leaves must lose to all of them:
 * nobody leads by it, and it counts for nothing until the other node has it, too. */
static uint64_t next_generation(const struct tandem_machine *machine, enum tandem_cas_kind kind)
{
	bool is_own = tandem_record_is_kept_by_node(machine->config.pair.arbiter_type);
	bool is_blind = machine->has_word || kind == TANDEM_CAS_FORCE || kind == TANDEM_CAS_SOLO ||
	                tandem_machine_needs_fence(machine, kind, machine->event->now_ns);
	bool is_to_win = is_blind && kind != TANDEM_CAS_LEAVE;
	return machine->view.record.generation + (is_own && is_to_win ? 2 : 1);
}

/* An owner incarnation of 0 becomes the heir of the standby. Returns true for a new CAS, false for
 * one asked again.
 */
static bool ask(struct tandem_machine *machine, enum tandem_cas_kind kind,
                uint64_t owner_incarnation, uint64_t copy_incarnation)
{
	struct tandem_register_view *view = &machine->view;
	struct tandem_record desired = {.generation = next_generation(machine, kind),
	                                .owner_incarnation = owner_incarnation,
	                                .copy_incarnation = copy_incarnation,
	                                .is_pair = copy_incarnation != 0,
	                                .is_left = kind == TANDEM_CAS_LEAVE};
	bool is_new = !is_asked_again(machine, kind, &desired);
	if (is_new) {
		memcpy(desired.pair, machine->config.pair.name, sizeof(desired.pair));
		memcpy(desired.owner, machine->config.node, sizeof(desired.owner));
		desired.decision = draw(machine);
		desired.is_handed_over = kind == TANDEM_CAS_TAKE_OVER &&
		                         tandem_machine_is_offered(machine, machine->event->now_ns);
		if (owner_incarnation == 0)
			desired.owner_incarnation =
			        tandem_record_heir(machine->standby.incarnation, desired.decision);
		view->cas_expected = view->record;
		view->cas_desired = desired;
		view->cas_kind = kind;
	}
	view->cas_needs_fence = tandem_machine_needs_fence(machine, kind, machine->event->now_ns);
	view->cas_request = ++view->request_last;
	view->cas_asked_ns = machine->event->now_ns;
	struct tandem_action *action = tandem_act_add(machine, TANDEM_ACTION_CAS);
	action->request = view->cas_request;
	action->expected = view->cas_expected;
	action->desired = view->cas_desired;
	action->needs_fence = view->cas_needs_fence;
	return is_new;
}

static uint64_t last_life_ns(const struct tandem_machine *machine)
{
	uint64_t heard_ns = tandem_detector_heard_ns(&machine->detector);
	uint64_t session_ns = machine->standby.session_heard_ns;
	return heard_ns > session_ns ? heard_ns : session_ns;
}

static void ask_to_lead(struct tandem_machine *machine, enum tandem_cas_kind kind,
                        uint64_t owner_incarnation)
{
	bool is_new = ask(machine, kind, owner_incarnation, 0);
	/* The standby of this moment: one that attaches until the answer holds no copy. */
	machine->take_over.connection = machine->standby.connection;
	if (!is_new)
		return;
	bool is_forced = kind == TANDEM_CAS_FORCE;
	machine->take_over =
	        (struct tandem_take_over){.decision = machine->view.cas_desired.decision,
	                                  .connection = machine->standby.connection,
	                                  .is_forced = is_forced,
	                                  .old_owner = machine->view.cas_expected.owner_incarnation,
	                                  .is_automatic = !is_forced && !machine->has_word,
	                                  .has_program = owner_incarnation != 0};
	machine->times =
	        (struct tandem_failover_times){.life_ns = last_life_ns(machine),
	                                       .suspected_ns = machine->event->now_ns,
	                                       .suspected_wall_ns = machine->event->wall_ns};
}

static void begin_take_over(struct tandem_machine *machine)
{
	struct tandem_take_over *take_over = &machine->take_over;
	take_over->is_begun = true;
	if (take_over->has_program)
		take_over->connection = machine->standby.connection;
	machine->view.own_decision = take_over->decision;
	machine->times.decided_ns = machine->event->now_ns;
	machine->times.decided_wall_ns = machine->event->wall_ns;
	if (take_over->is_automatic)
		machine->damper_ns[machine->damper_count++ % TANDEM_DAMPER_MAX] =
		        machine->event->now_ns;
}

/* What the earlier life had ordered already is answered again. */
static void resume_take_over(struct tandem_machine *machine)
{
	const struct tandem_event *event = machine->event;
	machine->failed_decision = 0;
	machine->take_over = (struct tandem_take_over){.decision = machine->view.record.decision,
	                                               .connection = machine->standby.connection,
	                                               .is_begun = true,
	                                               .is_resumed = true};
	machine->times = (struct tandem_failover_times){.life_ns = last_life_ns(machine),
	                                                .suspected_ns = event->now_ns,
	                                                .suspected_wall_ns = event->wall_ns,
	                                                .decided_ns = event->now_ns,
	                                                .decided_wall_ns = event->wall_ns};
}

static void lead(struct tandem_machine *machine)
{
	struct tandem_control_message *message =
	        tandem_act_send(machine, &machine->program, TANDEM_CONTROL_LEAD, NULL);
	TANDEM_ASSERT(message != NULL);
	machine->led_generation = machine->view.record.generation;
	machine->led_is_pair = machine->view.record.is_pair;
	if (machine->led_is_pair)
		machine->may_answer_alone = false;
	message->holds_output = !machine->led_is_pair && tandem_machine_holds_output(machine);
	machine->led_last = machine->led_generation;
	machine->quiet_generation = 0;
	machine->hand_over = (struct tandem_hand_over){.is_asked = false};
	if (!machine->led_is_pair)
		machine->led_solo_last = machine->led_generation;
	machine->program.copied_incarnation = 0;
	machine->program.is_held = false;
}

static void halt(struct tandem_machine *machine, const char *reason)
{
	tandem_act_send(machine, &machine->program, TANDEM_CONTROL_HALT, reason);
	machine->program.was_halted = machine->program.connection != 0;
	machine->led_generation = 0;
	machine->hand_over = (struct tandem_hand_over){.is_asked = false};
}

/* What was pending on the session is over; only a session that comes up after it counts. */
static void yank(struct tandem_machine *machine, struct tandem_plane *plane)
{
	tandem_act_send(machine, plane, TANDEM_CONTROL_YANK, NULL);
	plane->awaits_session = plane->has_session;
	plane->has_session = false;
	plane->copied_incarnation = 0;
}

static void fence(struct tandem_machine *machine)
{
	tandem_act_send(machine, &machine->standby, TANDEM_CONTROL_FENCE, NULL);
	machine->take_over.fence_sent_ns = machine->event->now_ns;
	machine->standby.has_session = false;
}

static void activate(struct tandem_machine *machine)
{
	struct tandem_control_message *message =
	        tandem_act_send(machine, &machine->standby, TANDEM_CONTROL_ACTIVATE, NULL);
	TANDEM_ASSERT(message != NULL);
	message->epoch = machine->take_over.epoch;
	message->incarnation = machine->view.record.owner_incarnation;
	machine->take_over.activate_sent_ns = machine->event->now_ns;
}

static void reply(struct tandem_machine *machine, int status, const char *text)
{
	struct tandem_action *action = tandem_act_add(machine, TANDEM_ACTION_REPLY);
	action->status = status;
	action->text = text;
}

static void force(struct tandem_machine *machine)
{
	const struct tandem_plane *program = &machine->program;
	bool leads_program = program->connection != 0 && program->is_ready && !program->was_halted;
	ask_to_lead(machine, TANDEM_CAS_FORCE, leads_program ? program->incarnation : 0);
}

static void ask_for(struct tandem_machine *machine, enum tandem_verb verb)
{
	uint64_t incarnation = machine->program.incarnation;
	if (verb == TANDEM_VERB_CAS_CREATE)
		ask(machine, TANDEM_CAS_CREATE, incarnation, 0);
	if (verb == TANDEM_VERB_CAS_SOLO)
		ask(machine, TANDEM_CAS_SOLO, incarnation, 0);
	if (verb == TANDEM_VERB_CAS_REFRESH)
		ask(machine, TANDEM_CAS_REFRESH, incarnation, 0);
	if (verb == TANDEM_VERB_CAS_LEAVE)
		ask(machine, TANDEM_CAS_LEAVE, incarnation, 0);
	if (verb == TANDEM_VERB_CAS_PAIR)
		ask(machine, TANDEM_CAS_PAIR, incarnation, machine->program.copied_incarnation);
	if (verb == TANDEM_VERB_CAS_TAKE_OVER)
		ask_to_lead(machine, TANDEM_CAS_TAKE_OVER, 0);
	if (verb == TANDEM_VERB_CAS_FORCE)
		force(machine);
}

static void stand_by(struct tandem_machine *machine)
{
	struct tandem_control_message *message =
	        tandem_act_send(machine, &machine->standby, TANDEM_CONTROL_STAND_BY, NULL);
	TANDEM_ASSERT(message != NULL);
	message->keeps_old = machine->config.pair.rejoin == TANDEM_REJOIN_KEEP_AND_RESYNC &&
	                     tandem_machine_is_diverged(machine);
	machine->standby.told_decision = machine->view.record.decision;
}

static void read_anew(struct tandem_machine *machine)
{
	machine->view.is_known = false;
	machine->view.read_next_ns = machine->event->now_ns;
}

/* What the operator's words allow. */
static void take_word(struct tandem_machine *machine, enum tandem_verb verb)
{
	if (verb == TANDEM_VERB_TAKE_WORD) {
		machine->has_word = true;
		machine->word_generation = machine->event->generation;
	}
	if (verb == TANDEM_VERB_FORCE_NEXT)
		machine->forced_generation = machine->view.record.generation;
	if (verb == TANDEM_VERB_ALLOW_ALONE)
		machine->may_answer_alone = true;
	if (verb == TANDEM_VERB_ALLOW_RESYNC)
		machine->has_resync_word = true;
	if (verb == TANDEM_VERB_ACKNOWLEDGE_FENCE)
		tandem_act_add(machine, TANDEM_ACTION_ACKNOWLEDGE);
}

static void quiesce(struct tandem_machine *machine)
{
	tandem_act_send(machine, &machine->program, TANDEM_CONTROL_QUIESCE, NULL);
	machine->hand_over =
	        (struct tandem_hand_over){.is_asked = true, .asked_ns = machine->event->now_ns};
}

/* Nobody leads from now on: no LEAD of the past is followed by another. */
static void release(struct tandem_machine *machine)
{
	tandem_act_send(machine, &machine->program, TANDEM_CONTROL_RELEASE, NULL);
	machine->program.was_released = true;
	machine->led_generation = 0;
	machine->led_last = 0; /* nothing of it is to be kept */
}

static void lead_or_leave(struct tandem_machine *machine, enum tandem_verb verb)
{
	bool is_pair = verb == TANDEM_VERB_LEAD_PAIR;
	if (is_pair || verb == TANDEM_VERB_LEAD_SOLO) {
		TANDEM_ASSERT(machine->view.record.is_pair == is_pair);
		lead(machine);
	}
	if (verb == TANDEM_VERB_ASK_TO_LEAVE)
		tandem_act_send(machine, &machine->program, TANDEM_CONTROL_LEAVE, NULL);
	if (verb == TANDEM_VERB_RELEASE)
		release(machine);
	if (verb == TANDEM_VERB_PROTECT) {
		tandem_act_send(machine, &machine->standby, TANDEM_CONTROL_PROTECT, NULL);
		machine->protect_generation = machine->view.record.generation;
	}
}

static void end_take_over(struct tandem_machine *machine, enum tandem_verb verb)
{
	if (verb != TANDEM_VERB_END_TAKE_OVER) {
		machine->take_over.has_failed = verb == TANDEM_VERB_FAIL_TAKE_OVER;
		machine->failed_decision =
		        machine->take_over.has_failed ? machine->take_over.decision : 0;
		return;
	}
	machine->times.activated_ns = machine->event->now_ns;
	machine->times.activated_wall_ns = machine->event->wall_ns;
}

void tandem_act_carry_out(struct tandem_machine *machine, enum tandem_verb verb, const char *reason)
{
	switch (verb) {
	case TANDEM_VERB_STAND_BY:
		stand_by(machine);
		return;
	case TANDEM_VERB_HALT:
		halt(machine, reason);
		return;
	case TANDEM_VERB_YANK_PROGRAM:
	case TANDEM_VERB_YANK_STANDBY:
		yank(machine,
		     verb == TANDEM_VERB_YANK_PROGRAM ? &machine->program : &machine->standby);
		return;
	case TANDEM_VERB_FENCE:
		fence(machine);
		return;
	case TANDEM_VERB_ACTIVATE:
		activate(machine);
		return;
	case TANDEM_VERB_BEGIN_TAKE_OVER:
		begin_take_over(machine);
		return;
	case TANDEM_VERB_RESUME_TAKE_OVER:
		resume_take_over(machine);
		return;
	case TANDEM_VERB_END_TAKE_OVER:
	case TANDEM_VERB_FAIL_TAKE_OVER:
	case TANDEM_VERB_FORGIVE_TAKE_OVER:
		end_take_over(machine, verb);
		return;
	case TANDEM_VERB_CAS_CREATE:
	case TANDEM_VERB_CAS_PAIR:
	case TANDEM_VERB_CAS_SOLO:
	case TANDEM_VERB_CAS_REFRESH:
	case TANDEM_VERB_CAS_LEAVE:
	case TANDEM_VERB_CAS_TAKE_OVER:
	case TANDEM_VERB_CAS_FORCE:
		ask_for(machine, verb);
		return;
	case TANDEM_VERB_READ_ANEW:
		read_anew(machine);
		return;
	case TANDEM_VERB_QUIESCE:
		quiesce(machine);
		return;
	case TANDEM_VERB_WITHDRAW:
		machine->hand_over = (struct tandem_hand_over){.is_asked = false};
		return;
	case TANDEM_VERB_LEAD_SOLO:
	case TANDEM_VERB_LEAD_PAIR:
	case TANDEM_VERB_ASK_TO_LEAVE:
	case TANDEM_VERB_RELEASE:
	case TANDEM_VERB_PROTECT:
		lead_or_leave(machine, verb);
		return;
	case TANDEM_VERB_TAKE_WORD:
	case TANDEM_VERB_FORCE_NEXT:
	case TANDEM_VERB_ALLOW_ALONE:
	case TANDEM_VERB_ALLOW_RESYNC:
	case TANDEM_VERB_ACKNOWLEDGE_FENCE:
		take_word(machine, verb);
		return;
	case TANDEM_VERB_ACCEPT:
	case TANDEM_VERB_REFUSE:
		reply(machine, verb == TANDEM_VERB_ACCEPT ? 0 : TANDEM_E_REFUSED, reason);
		return;
	case TANDEM_VERB_NOTHING:
	case TANDEM_VERB_COUNT:
		return;
	}
}
