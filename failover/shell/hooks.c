#include "shell/hooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <tandem/clock.h>

const char *tandem_hook_name(enum tandem_hook hook)
{
	static const char *const names[TANDEM_HOOK_COUNT] = {
#define X(name, text) [TANDEM_HOOK_##name] = (text),
	        TANDEM_HOOK_TABLE(X)
#undef X
	};
	return names[hook];
}

/* ---- the queue ---- */

static const char *command_of(const struct tandem_hooks *hooks, enum tandem_hook hook)
{
	const char *command = hooks->options.config->pair.hooks.commands[hook];
	return command && command[0] ? command : NULL;
}

static void start_soon(struct tandem_hooks *hooks)
{
	struct timeval at_once = {0};
	if (!hooks->script && hooks->pending_count > 0)
		evtimer_add(hooks->start, &at_once);
}

static void take_out(struct tandem_hooks *hooks, size_t index)
{
	hooks->pending_count--;
	memmove(&hooks->pending[index], &hooks->pending[index + 1],
	        (hooks->pending_count - index) * sizeof(hooks->pending[0]));
}

/* Whoever waits longest gives way, but who leads is worth more than what is told: the last word on
 * it is always carried out. */
static void make_room(struct tandem_hooks *hooks)
{
	size_t index = 0;
	char line[200];
	while (index < hooks->pending_count && (hooks->pending[index].hook == TANDEM_HOOK_LEAD ||
	                                        hooks->pending[index].hook == TANDEM_HOOK_STOP))
		index++;
	index = index < hooks->pending_count ? index : 0;
	snprintf(line, sizeof(line), "pair %s: hook %s is left out: %d others wait",
	         hooks->options.config->pair.name, tandem_hook_name(hooks->pending[index].hook),
	         TANDEM_HOOKS_PENDING_MAX);
	hooks->counts[hooks->pending[index].hook][TANDEM_HOOK_FAILED]++;
	take_out(hooks, index);
	hooks->options.on_end(hooks->options.context, true, line);
}

static void put(struct tandem_hooks *hooks, const struct tandem_hook_call *call)
{
	if (!command_of(hooks, call->hook))
		return;
	if (hooks->pending_count == TANDEM_HOOKS_PENDING_MAX)
		make_room(hooks);
	hooks->pending[hooks->pending_count++] = *call;
	start_soon(hooks);
}

void tandem_hooks_note(struct tandem_hooks *hooks, const struct tandem_note *note)
{
	struct tandem_hook_call call = {.hook = note->is_alarm ? TANDEM_HOOK_ALARM
	                                                       : TANDEM_HOOK_STATE,
	                                .from = note->from,
	                                .to = note->to,
	                                .generation = note->generation,
	                                .reason = note->reason,
	                                .alarm = note->alarm,
	                                .is_raised = note->is_raised};
	if (!note->is_alarm && note->from == note->to)
		return;
	if (!note->is_alarm)
		hooks->last = call;
	put(hooks, &call);
}

/* False while it is not known, or as before. JOINING with a record of this node may be a leader
 * whose program has not attached to this life of the controller yet. */
static bool find_lead(const struct tandem_hooks *hooks, const struct tandem_machine *machine,
                      bool *ret_is_leading)
{
	const struct tandem_record *record = &machine->view.record;
	bool is_foreign = machine->view.is_known && record->generation > 0 &&
	                  strcmp(record->owner, machine->config.node) != 0;
	switch (machine->state) {
	case TANDEM_STATE_PRIMARY_PAIR:
	case TANDEM_STATE_PRIMARY_SOLO:
		*ret_is_leading = true;
		return true;
	case TANDEM_STATE_SECONDARY:
	case TANDEM_STATE_TAKING_OVER:
	case TANDEM_STATE_HALTED:
		*ret_is_leading = false;
		return true;
	case TANDEM_STATE_JOINING:
		*ret_is_leading = false;
		return is_foreign || hooks->is_lead_known;
	case TANDEM_STATE_INIT:
	case TANDEM_STATE_GATED:
	case TANDEM_STATE_MAINTENANCE:
	case TANDEM_STATE_COUNT:
		break;
	}
	return false;
}

void tandem_hooks_follow(struct tandem_hooks *hooks, const struct tandem_machine *machine)
{
	bool is_leading = false;
	if (!find_lead(hooks, machine, &is_leading) ||
	    (hooks->is_lead_known && hooks->is_leading == is_leading))
		return;
	struct tandem_hook_call call = hooks->last;
	hooks->is_lead_known = true;
	hooks->is_leading = is_leading;
	call.hook = is_leading ? TANDEM_HOOK_LEAD : TANDEM_HOOK_STOP;
	call.generation = machine->view.record.generation;
	put(hooks, &call);
}

/* ---- one command ---- */

static void on_end(void *context, const struct tandem_script_end *end);

static void spell_end(const struct tandem_script_end *end, char *ret_text, size_t size)
{
	if (end->failure != 0)
		snprintf(ret_text, size, "failed: it could not be started: %s",
		         strerror(end->failure));
	else if (end->is_late)
		snprintf(ret_text, size, "failed: it was killed when its time was over");
	else if (end->is_flood)
		snprintf(ret_text, size, "failed: its output was closed after %u KiB",
		         TANDEM_SCRIPT_OUTPUT_MAX / 1024);
	else if (WIFSIGNALED(end->status))
		snprintf(ret_text, size, "failed: signal %d", WTERMSIG(end->status));
	else if (WEXITSTATUS(end->status) != 0)
		snprintf(ret_text, size, "failed: exit status %d", WEXITSTATUS(end->status));
	else
		snprintf(ret_text, size, "done");
}

static void tell(struct tandem_hooks *hooks, const struct tandem_script_end *end)
{
	char how[160], line[600];
	bool is_failure = end->failure != 0 || end->is_late || end->is_flood || end->status != 0;
	spell_end(end, how, sizeof(how));
	snprintf(line, sizeof(line), "pair %s: hook %s %s, after %" PRIu64 " ms%s%s",
	         hooks->options.config->pair.name, tandem_hook_name(hooks->call.hook), how,
	         end->took_ns / TANDEM_NS_PER_MS, end->last_line[0] ? "; last line: " : "",
	         end->last_line);
	hooks->counts[hooks->call.hook][is_failure ? TANDEM_HOOK_FAILED : TANDEM_HOOK_DONE]++;
	hooks->options.on_end(hooks->options.context, is_failure, line);
}

static void fill(struct tandem_script_variable *variable, const char *name, const char *value)
{
	snprintf(variable->name, sizeof(variable->name), "%s", name);
	snprintf(variable->value, sizeof(variable->value), "%s", value);
}

static size_t fill_variables(const struct tandem_hooks *hooks,
                             struct tandem_script_variable *variables)
{
	const struct tandem_machine_config *config = hooks->options.config;
	const struct tandem_hook_call *call = &hooks->call;
	bool is_alarm = call->hook == TANDEM_HOOK_ALARM;
	size_t count = 0;
	char generation[24];
	snprintf(generation, sizeof(generation), "%" PRIu64, call->generation);
	fill(&variables[count++], "TANDEM_HOOK", tandem_hook_name(call->hook));
	fill(&variables[count++], "TANDEM_PAIR", config->pair.name);
	fill(&variables[count++], "TANDEM_NODE", config->node);
	fill(&variables[count++], "TANDEM_PEER", config->pair.peer_node);
	fill(&variables[count++], "TANDEM_STATE", tandem_state_name(call->to));
	fill(&variables[count++], "TANDEM_OLD_STATE", tandem_state_name(call->from));
	fill(&variables[count++], "TANDEM_GENERATION", generation);
	fill(&variables[count++], "TANDEM_REASON", call->reason ? call->reason : "");
	fill(&variables[count++], "TANDEM_ALARM", is_alarm ? tandem_alarm_name(call->alarm) : "");
	fill(&variables[count++], "TANDEM_ALARM_STATE",
	     is_alarm ? (call->is_raised ? "raised" : "cleared") : "");
	return count;
}

static void on_start(evutil_socket_t fd, short what, void *context)
{
	struct tandem_hooks *hooks = context;
	struct tandem_script_variable variables[TANDEM_SCRIPT_VARIABLES_MAX];
	struct tandem_error error;
	(void)fd;
	(void)what;
	if (hooks->script || hooks->pending_count == 0)
		return;
	hooks->call = hooks->pending[0];
	take_out(hooks, 0);
	struct tandem_script_options options = {
	        .base = hooks->options.base,
	        .text = command_of(hooks, hooks->call.hook),
	        .variables = variables,
	        .variable_count = fill_variables(hooks, variables),
	        .timeout_ns = hooks->options.config->pair.hooks.timeout_ns,
	        .on_end = on_end,
	        .context = hooks};
	if (tandem_script_start(&options, &hooks->script, &error) == 0)
		return;
	tell(hooks, &(struct tandem_script_end){.failure = error.os_errno, .last_line = ""});
	start_soon(hooks);
}

static void on_end(void *context, const struct tandem_script_end *end)
{
	struct tandem_hooks *hooks = context;
	hooks->script = NULL;
	tell(hooks, end);
	start_soon(hooks);
}

int tandem_hooks_open(struct tandem_hooks *hooks, const struct tandem_hooks_options *options,
                      struct tandem_error *reterr_error)
{
	*hooks = (struct tandem_hooks){.options = *options};
	hooks->start = evtimer_new(options->base, on_start, hooks);
	if (hooks->start)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "hooks", "no memory for a timer");
}

void tandem_hooks_close(struct tandem_hooks *hooks)
{
	tandem_script_free(hooks->script);
	hooks->script = NULL;
	if (hooks->start)
		event_free(hooks->start);
	hooks->start = NULL;
}
