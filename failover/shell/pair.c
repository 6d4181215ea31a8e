#include "shell/service.h"

#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/random.h>

static void record_note(struct tandem_pair *pair, const struct tandem_note *note)
{
	struct tandem_controller *controller = pair->controller;
	char detail[200] = "";
	char line[800];
	if (!note->is_alarm)
		memcpy(detail, pair->plane_detail, sizeof(detail));
	else if (note->is_raised)
		tandem_pair_spell_alarm(pair, note->alarm, detail, sizeof(detail));
	const struct tandem_history_entry *entry = tandem_history_add(
	        &controller->history, pair->machine.config.pair.name, note, detail);
	tandem_hooks_note(&pair->hooks, note);
	tandem_history_spell(entry, line, sizeof(line));
	if (controller->options.on_decision)
		controller->options.on_decision(controller->options.context,
		                                note->is_alarm && note->is_raised, line);
}

static void refuse(struct tandem_pair *pair, const struct tandem_action *action)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_HALT};
	char line[400];
	memcpy(message.pair, pair->machine.config.pair.name, sizeof(message.pair));
	snprintf(message.text, sizeof(message.text), "%s", action->text);
	tandem_planes_send(pair, action->connection, &message);
	tandem_planes_drop(pair->controller, action->connection);
	pair->was_refused = true;
	snprintf(line, sizeof(line), "pair %s: a data plane was refused: %s", message.pair,
	         action->text);
	tandem_service_complain(pair->controller, line);
}

/* Where a test ends a controller: before and after what is hard to undo. */
static void pass_failpoint(const struct tandem_action *action, bool is_done)
{
	enum tandem_control_type type = action->message.type;
	if (action->type == TANDEM_ACTION_CAS)
		(void)tandem_failpoint_pass(is_done ? "cas_asked" : "cas");
	if (action->type != TANDEM_ACTION_SEND)
		return;
	if (type == TANDEM_CONTROL_FENCE)
		(void)tandem_failpoint_pass(is_done ? "fence_sent" : "fence");
	if (type == TANDEM_CONTROL_ACTIVATE)
		(void)tandem_failpoint_pass(is_done ? "activate_sent" : "activate");
	if (type == TANDEM_CONTROL_LEAD)
		(void)tandem_failpoint_pass(is_done ? "lead_sent" : "lead");
}

static void send_message(struct tandem_pair *pair, const struct tandem_action *action)
{
	struct tandem_control_message message = action->message;
	if (message.type == TANDEM_CONTROL_WELCOME) {
		message.settings = pair->machine.config.pair.settings;
		memcpy(message.settings.node, pair->machine.config.node,
		       sizeof(message.settings.node));
	}
	tandem_planes_send(pair, action->connection, &message);
}

static void carry_out(struct tandem_pair *pair, const struct tandem_action *action)
{
	switch (action->type) {
	case TANDEM_ACTION_SEND:
		send_message(pair, action);
		return;
	case TANDEM_ACTION_REFUSE:
		refuse(pair, action);
		return;
	case TANDEM_ACTION_CLOSE:
		tandem_planes_drop(pair->controller, action->connection);
		return;
	case TANDEM_ACTION_READ:
		tandem_arbiter_read(pair->arbiter, action->request);
		return;
	case TANDEM_ACTION_CAS:
		tandem_arbiter_cas(pair->arbiter, action->request, &action->expected,
		                   &action->desired, action->needs_fence);
		return;
	case TANDEM_ACTION_ACKNOWLEDGE:
		tandem_arbiter_acknowledge(pair->arbiter);
		return;
	case TANDEM_ACTION_BEAT:
		tandem_links_publish(pair, true);
		return;
	case TANDEM_ACTION_REPLY:
		pair->reply_status = action->status;
		pair->reply_text = action->text;
		return;
	case TANDEM_ACTION_NOTE:
		record_note(pair, &action->note);
		return;
	}
}

static void carry_out_at_failpoints(struct tandem_pair *pair, const struct tandem_action *action)
{
	if (tandem_failpoint_armed)
		pass_failpoint(action, false);
	carry_out(pair, action);
	if (tandem_failpoint_armed)
		pass_failpoint(action, true);
}

static void arm_timer(struct tandem_pair *pair)
{
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t at_ns = tandem_machine_deadline_ns(&pair->machine, now_ns);
	pair->timer_due_ns = at_ns;
	uint64_t wait_ns = at_ns > now_ns ? at_ns - now_ns : 0;
	/* No earlier: at the next microsecond. */
	struct timeval wait = tandem_clock_timeval(wait_ns + TANDEM_NS_PER_US);
	evtimer_add(pair->timer, &wait);
}

/* A data plane's text may hold its peer's; the history is read as JSON and on terminals. */
static void keep_detail(struct tandem_pair *pair, const char *text)
{
	snprintf(pair->plane_detail, sizeof(pair->plane_detail), "%.199s", text);
	for (char *at = pair->plane_detail; *at != 0; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
}

/* [L16] Before the machine has its say, which may be an alarm. */
static void keep_fit(struct tandem_pair *pair, const struct tandem_event *event)
{
	const struct tandem_control_message *message = &event->message;
	if (event->type != TANDEM_EVENT_REPORT || message->kind != TANDEM_CONTROL_KIND_STANDBY)
		return;
	memcpy(pair->fit_detail, pair->plane_detail, sizeof(pair->fit_detail));
	if (message->status != TANDEM_E_UNSUPPORTED && message->status != TANDEM_E_AGAIN)
		pair->fit_detail[0] = 0;
}

static void step(struct tandem_pair *pair, struct tandem_event *event)
{
	struct tandem_actions *actions = &pair->controller->actions;
	event->wall_ns = tandem_clock_wall_ns();
	pair->was_refused = false;
	pair->reply_text = NULL;
	keep_detail(pair, event->message.text);
	keep_fit(pair, event);
	tandem_machine_step(&pair->machine, event, actions);
	for (size_t i = 0; i < actions->count; i++)
		carry_out_at_failpoints(pair, &actions->list[i]);
	tandem_hooks_follow(&pair->hooks, &pair->machine);
	tandem_tally_look(&pair->tally, &pair->machine);
}

static void feel_lateness(struct tandem_pair *pair, uint64_t due_ns, uint64_t now_ns)
{
	if (due_ns != 0)
		tandem_histogram_add(&pair->controller->late_ns,
		                     now_ns > due_ns ? now_ns - due_ns : 0);
}

/* The clock is read before the mailbox: a heartbeat that waits there is a sign of life that came
 * before the event, and a loop that loses the processor in between must not miss it. */
void tandem_pair_feed(struct tandem_pair *pair, struct tandem_event *event)
{
	struct tandem_links_events heard;
	uint64_t now_ns = tandem_clock_now_ns();
	tandem_links_take(pair, &heard);
	feel_lateness(pair, heard.since_ns, now_ns);
	for (size_t i = 0; i < heard.count; i++) {
		heard.list[i].now_ns = now_ns;
		heard.list[i].deaf_ns = heard.deaf_ns;
		step(pair, &heard.list[i]);
	}
	event->now_ns = now_ns;
	event->deaf_ns = heard.count == 0 ? heard.deaf_ns : 0;
	step(pair, event);
	tandem_links_publish(pair, false);
	arm_timer(pair);
}

void tandem_pair_listen(struct tandem_pair *pair)
{
	struct tandem_event event = {.type = TANDEM_EVENT_TICK};
	tandem_links_complain(pair);
	tandem_pair_feed(pair, &event);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct tandem_pair *pair = context;
	(void)fd;
	(void)what;
	feel_lateness(pair, pair->timer_due_ns, tandem_clock_now_ns());
	tandem_pair_listen(pair);
}

static void on_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	struct tandem_pair *pair = context;
	struct tandem_event event = {
	        .type = answer->type, .request = answer->request, .record = answer->record};
	bool has_failed = answer->type == TANDEM_EVENT_READ_FAILED ||
	                  answer->type == TANDEM_EVENT_CAS_FAILED ||
	                  answer->type == TANDEM_EVENT_CAS_DOUBT;
	snprintf(pair->arbiter_detail, sizeof(pair->arbiter_detail), "%.199s",
	         has_failed ? answer->error.detail : "");
	tandem_pair_feed(pair, &event);
}

static void on_hook_end(void *context, bool is_failure, const char *line)
{
	const struct tandem_controller_options *options = context;
	if (options->on_decision)
		options->on_decision(options->context, is_failure, line);
}

static int open_hooks(struct tandem_pair *pair, struct tandem_error *reterr_error)
{
	struct tandem_hooks_options options = {.base = pair->controller->base,
	                                       .config = &pair->machine.config,
	                                       .on_end = on_hook_end,
	                                       .context = &pair->controller->options};
	return tandem_hooks_open(&pair->hooks, &options, reterr_error);
}

int tandem_pair_open(struct tandem_pair *pair, struct tandem_controller *controller,
                     const struct tandem_controller_pair *options,
                     struct tandem_error *reterr_error)
{
	struct tandem_machine_config config = {.pair = *options};
	memcpy(config.node, controller->options.node, sizeof(config.node));
	pair->controller = controller;
	tandem_machine_init(&pair->machine, &config, tandem_random_unique(), tandem_clock_now_ns());
	int status = open_hooks(pair, reterr_error);
	if (status != 0)
		return status;
	pair->timer = evtimer_new(controller->base, on_timer, pair);
	struct timeval at_once = {0};
	if (!pair->timer || evtimer_add(pair->timer, &at_once) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "timer", "pair '%s'",
		                        options->name);
	return tandem_arbiter_new(controller->base, options, controller->options.run_directory,
	                          on_answer, pair, &pair->arbiter, reterr_error);
}

void tandem_pair_close(struct tandem_pair *pair)
{
	tandem_watch_close(pair);
	tandem_hooks_close(&pair->hooks);
	if (pair->timer)
		event_free(pair->timer);
	tandem_arbiter_free(pair->arbiter);
}

struct tandem_pair *tandem_pair_find(struct tandem_controller *controller, const char *name)
{
	for (size_t i = 0; i < controller->pair_count; i++) {
		if (strcmp(controller->pairs[i].machine.config.pair.name, name) == 0)
			return &controller->pairs[i];
	}
	return NULL;
}
