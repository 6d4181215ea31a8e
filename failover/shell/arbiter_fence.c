#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/clock.h>
#include <tandem/memory.h>

#include "core/fencing.h"
#include "shell/arbiter_engine.h"
#include "shell/fence_process.h"

/* A register of this node's own, and an ordered list of commands that switch the other node off. A
 * CAS that needs it is written only after one of them succeeded, and each success is good for that
 * one CAS: what it said may be untrue a moment later. */
#define STATUS_ON  0 /* exit statuses of action=status */
#define STATUS_OFF 2
/* The machine asks again at once, as often as it may; boards lock out whoever knocks too often. */
#define PAUSE_NS     TANDEM_NS_PER_S
#define PAUSE_MAX_NS (30 * TANDEM_NS_PER_S)
/* A word that came to nothing must not be kept for another day. */
#define WORD_NS (60 * TANDEM_NS_PER_S)

struct fence_engine {
	struct tandem_arbiter_engine engine; /* first */
	struct tandem_arbiter_engine *directory;
	tandem_arbiter_answer_fn on_answer;
	void *context;
	struct tandem_arbiter_report *report;
	struct event_base *base;
	struct event *turn; /* begins a fencing, from the loop */
	struct tandem_controller_fence_agent agents[TANDEM_CONTROLLER_FENCE_AGENTS_MAX];
	size_t agent_count;
	/* The CAS that waits. */
	bool is_fencing;
	uint64_t request;
	struct tandem_record expected;
	struct tandem_record desired;
	size_t agent;
	uint64_t agent_end_ns;
	bool is_verifying;
	bool is_acknowledged;
	struct tandem_fence_process *process;
	struct tandem_error failure; /* each agent's reason */
	bool has_failed;             /* the last fencing, for failed_generation */
	uint64_t failed_generation;
	uint64_t pause_ns; /* before it is tried again */
	uint64_t next_try_ns;
	uint64_t word_until_ns; /* the operator's, for the next one of that generation; 0: none */
};

static void try_agents(struct fence_engine *engine);

static void count(struct fence_engine *engine, enum tandem_fence_result result)
{
	engine->report->fence_counts[result]++;
}

/* This generation's last try failed. */
static bool is_tried_again(const struct fence_engine *engine)
{
	return engine->has_failed && engine->failed_generation == engine->expected.generation;
}

static void set_pause(struct fence_engine *engine)
{
	engine->pause_ns = is_tried_again(engine) ? 2 * engine->pause_ns : PAUSE_NS;
	if (engine->pause_ns > PAUSE_MAX_NS)
		engine->pause_ns = PAUSE_MAX_NS;
	engine->next_try_ns = tandem_clock_now_ns() + engine->pause_ns;
	engine->has_failed = true;
	engine->failed_generation = engine->expected.generation;
}

static void give_up(struct fence_engine *engine)
{
	struct tandem_arbiter_answer answer = {.type = TANDEM_EVENT_CAS_FAILED,
	                                       .request = engine->request,
	                                       .error = engine->failure};
	engine->is_fencing = false;
	set_pause(engine);
	snprintf(engine->report->fence_last, sizeof(engine->report->fence_last), "%s",
	         engine->failure.detail);
	engine->on_answer(engine->context, &answer);
}

static void write_record(struct fence_engine *engine, const char *how)
{
	engine->is_fencing = false;
	engine->has_failed = false;
	engine->word_until_ns = 0;
	snprintf(engine->report->fence_last, sizeof(engine->report->fence_last), "%s", how);
	engine->directory->type->cas(engine->directory, engine->request, &engine->expected,
	                             &engine->desired, false);
}

static void accept_word(struct fence_engine *engine)
{
	count(engine, TANDEM_FENCE_ACKNOWLEDGED);
	write_record(engine, "the operator said that the other node is off");
}

static const char *name_of(const struct fence_engine *engine)
{
	const char *path = engine->agents[engine->agent].agent;
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void note_failure(struct fence_engine *engine, enum tandem_fence_result result,
                         const char *reason)
{
	struct tandem_error *failure = &engine->failure;
	size_t length = failure->code != 0 ? strlen(failure->detail) : 0;
	count(engine, result);
	failure->code = TANDEM_E_FENCE;
	snprintf(failure->operation, sizeof(failure->operation), "fence");
	snprintf(failure->detail + length, sizeof(failure->detail) - length, "%s%.40s: %.150s",
	         length > 0 ? "; " : "", name_of(engine), reason);
	engine->agent++;
	engine->is_verifying = false;
}

static void succeed(struct fence_engine *engine, const char *evidence)
{
	char text[120];
	snprintf(text, sizeof(text), "%.40s switched the other node off%s", name_of(engine),
	         evidence);
	count(engine, TANDEM_FENCE_SUCCEEDED);
	write_record(engine, text);
}

static void spell_end(const struct tandem_fence_end *end, char *ret_text, size_t size)
{
	const char *mark = end->line[0] ? ": " : "";
	if (end->is_late)
		snprintf(ret_text, size, "did not end in time%s%s", mark, end->line);
	else if (end->signal != 0)
		snprintf(ret_text, size, "was ended by signal %d%s%s", end->signal, mark,
		         end->line);
	else
		snprintf(ret_text, size, "exit status %d%s%s", end->status, mark, end->line);
}

static void judge_off(struct fence_engine *engine, const struct tandem_fence_end *end)
{
	char text[200];
	bool is_done = !end->is_late && end->signal == 0 && end->status == 0;
	if (is_done && !engine->agents[engine->agent].is_verified) {
		succeed(engine, "");
		return;
	}
	engine->is_verifying = is_done;
	if (!is_done) {
		spell_end(end, text, sizeof(text));
		note_failure(engine, end->is_late ? TANDEM_FENCE_LATE : TANDEM_FENCE_FAILED, text);
	}
	try_agents(engine);
}

/* A status that cannot be had refutes nothing: a switched-off node may have taken its board along.
 */
static void judge_status(struct fence_engine *engine, const struct tandem_fence_end *end)
{
	bool has_answered = !end->is_late && end->signal == 0;
	if (has_answered && end->status == STATUS_ON) {
		note_failure(engine, TANDEM_FENCE_REFUTED,
		             "says that it is done, but its status says that the node is on");
		try_agents(engine);
		return;
	}
	bool is_off = has_answered && end->status == STATUS_OFF;
	succeed(engine, is_off ? ", its status says so too" : ", its status could not be had");
}

static void on_agent_end(void *context, const struct tandem_fence_end *end)
{
	struct fence_engine *engine = context;
	engine->process = NULL;
	if (engine->is_acknowledged)
		accept_word(engine);
	else if (engine->is_verifying)
		judge_status(engine, end);
	else
		judge_off(engine, end);
}

static int start_agent(struct fence_engine *engine, struct tandem_error *reterr_error)
{
	const struct tandem_controller_fence_agent *agent = &engine->agents[engine->agent];
	char path[TANDEM_CONTROLLER_PATH_BYTES + sizeof("/usr/sbin/")];
	uint64_t now_ns = tandem_clock_now_ns();
	snprintf(path, sizeof(path), "%s%s", agent->agent[0] == '/' ? "" : "/usr/sbin/",
	         agent->agent);
	if (!engine->is_verifying)
		engine->agent_end_ns = now_ns + agent->timeout_ns;
	snprintf(engine->report->fence_last, sizeof(engine->report->fence_last), "%.40s is running",
	         name_of(engine));
	uint64_t left_ns = engine->agent_end_ns > now_ns ? engine->agent_end_ns - now_ns : 0;
	return tandem_fence_process_start(engine->base, path, agent->parameters,
	                                  engine->is_verifying ? "status" : "off", left_ns,
	                                  on_agent_end, engine, &engine->process, reterr_error);
}

static void try_agents(struct fence_engine *engine)
{
	struct tandem_error error;
	while (engine->agent < engine->agent_count) {
		if (start_agent(engine, &error) == 0)
			return;
		if (engine->is_verifying) {
			succeed(engine, ", its status could not be had");
			return;
		}
		note_failure(engine, TANDEM_FENCE_FAILED, error.detail);
	}
	give_up(engine);
}

static bool has_word(const struct fence_engine *engine)
{
	return tandem_clock_now_ns() < engine->word_until_ns && is_tried_again(engine);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	struct fence_engine *engine = context;
	(void)fd;
	(void)what;
	engine->agent = 0;
	engine->is_verifying = false;
	engine->failure.code = 0;
	if (engine->is_acknowledged || has_word(engine))
		accept_word(engine);
	else
		try_agents(engine);
}

static void begin_in(struct fence_engine *engine, uint64_t wait_ns)
{
	struct timeval wait = tandem_clock_timeval(wait_ns);
	event_add(engine->turn, &wait);
}

static uint64_t pause_left_ns(const struct fence_engine *engine)
{
	uint64_t now_ns = tandem_clock_now_ns();
	if (!is_tried_again(engine) || has_word(engine) || now_ns >= engine->next_try_ns)
		return 0;
	return engine->next_try_ns - now_ns;
}

static void read_fence(struct tandem_arbiter_engine *base, uint64_t request)
{
	struct fence_engine *engine = (struct fence_engine *)base;
	engine->directory->type->read(engine->directory, request);
}

static void cas_fence(struct tandem_arbiter_engine *base, uint64_t request,
                      const struct tandem_record *expected, const struct tandem_record *desired,
                      bool needs_fence)
{
	struct fence_engine *engine = (struct fence_engine *)base;
	if (!needs_fence) {
		engine->directory->type->cas(engine->directory, request, expected, desired, false);
		return;
	}
	TANDEM_ASSERT(!engine->is_fencing);
	engine->is_fencing = true;
	engine->is_acknowledged = false;
	engine->request = request;
	engine->expected = *expected;
	engine->desired = *desired;
	begin_in(engine, pause_left_ns(engine));
}

static void acknowledge_fence(struct tandem_arbiter_engine *base)
{
	struct fence_engine *engine = (struct fence_engine *)base;
	if (engine->is_fencing) {
		engine->is_acknowledged = true;
		if (engine->process)
			tandem_fence_process_kill(engine->process);
		else
			begin_in(engine, 0);
	} else if (engine->has_failed) {
		engine->word_until_ns = tandem_clock_now_ns() + WORD_NS;
	}
}

static void adopt_fence(struct tandem_arbiter_engine *base, const struct tandem_record *record)
{
	struct fence_engine *engine = (struct fence_engine *)base;
	engine->directory->type->adopt(engine->directory, record);
}

static void free_fence(struct tandem_arbiter_engine *base)
{
	struct fence_engine *engine = (struct fence_engine *)base;
	tandem_fence_process_free(engine->process);
	if (engine->turn)
		event_free(engine->turn);
	if (engine->directory)
		engine->directory->type->free(engine->directory);
	tandem_memory_free(engine);
}

static const struct tandem_arbiter_engine_type fence_type = {
        .read = read_fence,
        .cas = cas_fence,
        .acknowledge = acknowledge_fence,
        .adopt = adopt_fence,
        .free = free_fence,
};

int tandem_arbiter_fence_new(const struct tandem_arbiter_setup *setup,
                             struct tandem_arbiter_engine **ret_engine,
                             struct tandem_error *reterr_error)
{
	struct fence_engine *engine = tandem_memory_alloc(sizeof(*engine));
	if (!engine)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter", "pair '%s'",
		                        setup->pair->name);
	engine->engine.type = &fence_type;
	engine->on_answer = setup->on_answer;
	engine->context = setup->context;
	engine->report = setup->report;
	engine->base = setup->base;
	engine->agent_count = setup->pair->fence_agent_count;
	memcpy(engine->agents, setup->pair->fence_agents, sizeof(engine->agents));
	engine->turn = evtimer_new(setup->base, on_turn, engine);
	int status = engine->turn ? 0
	                          : tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter",
	                                             "pair '%s': no event", setup->pair->name);
	if (status == 0)
		status = tandem_arbiter_file_new(setup, &engine->directory, reterr_error);
	if (status != 0) {
		free_fence(&engine->engine);
		return status;
	}
	*ret_engine = &engine->engine;
	return 0;
}
