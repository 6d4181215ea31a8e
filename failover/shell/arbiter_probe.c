#include <tandem/arbiter_probe.h>

#include <event2/event.h>
#include <stdio.h>
#include <tandem/clock.h>

#include "shell/arbiter.h"
#include "shell/fence_process.h"

#define NO_DIRECTORY "/dev/null" /* what was seen before is not asked for, and not kept */

struct waiting {
	struct event_base *base;
	bool is_over;
	bool is_late;
	struct tandem_arbiter_answer answer;
	int status;
	struct tandem_error *error;
	const char *agent;
};

static void on_time(evutil_socket_t fd, short what, void *context)
{
	struct waiting *waiting = context;
	(void)fd;
	(void)what;
	waiting->is_late = true;
	event_base_loopbreak(waiting->base);
}

/* False when the time was over. */
static bool wait_for(struct waiting *waiting, uint64_t timeout_ns)
{
	struct timeval timeout = tandem_clock_timeval(timeout_ns);
	struct event *timer = evtimer_new(waiting->base, on_time, waiting);
	bool is_armed = timer && evtimer_add(timer, &timeout) == 0;
	while (is_armed && !waiting->is_over && !waiting->is_late)
		event_base_loop(waiting->base, EVLOOP_ONCE);
	if (timer)
		event_free(timer);
	return waiting->is_over;
}

static void on_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	struct waiting *waiting = context;
	waiting->answer = *answer;
	waiting->is_over = true;
}

int tandem_arbiter_probe(const struct tandem_controller_pair *pair, uint64_t *ret_generation,
                         struct tandem_error *reterr_error)
{
	struct waiting waiting = {.base = event_base_new()};
	struct tandem_arbiter *arbiter = NULL;
	if (!waiting.base)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "probe", "no memory");
	int status = tandem_arbiter_new(waiting.base, pair, NO_DIRECTORY, on_answer, &waiting,
	                                &arbiter, reterr_error);
	if (status == 0) {
		tandem_arbiter_read(arbiter, 1);
		if (!wait_for(&waiting, pair->arbiter_timeout_ns))
			status = tandem_error_set(
			        reterr_error, TANDEM_E_TIMEOUT, "read", "no answer within %llu ms",
			        (unsigned long long)(pair->arbiter_timeout_ns / TANDEM_NS_PER_MS));
		else if (waiting.answer.type != TANDEM_EVENT_RECORD)
			status = tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "read", "%s",
			                          waiting.answer.error.detail);
		else
			*ret_generation = waiting.answer.record.generation;
	}
	tandem_arbiter_free(arbiter);
	event_base_free(waiting.base);
	return status;
}

static void on_end(void *context, const struct tandem_fence_end *end)
{
	struct waiting *waiting = context;
	const char *line = end->line[0] ? end->line : "it says nothing";
	waiting->is_over = true;
	if (end->is_late)
		waiting->status = tandem_error_set(waiting->error, TANDEM_E_TIMEOUT, "monitor",
		                                   "%.80s: it did not end in time", waiting->agent);
	else if (end->signal != 0)
		waiting->status = tandem_error_set(waiting->error, TANDEM_E_SYSTEM, "monitor",
		                                   "%.80s: signal %d", waiting->agent, end->signal);
	else if (end->status != 0)
		waiting->status = tandem_error_set(waiting->error, TANDEM_E_SYSTEM, "monitor",
		                                   "%.80s: exit status %d: %.120s", waiting->agent,
		                                   end->status, line);
}

int tandem_fence_agent_probe(const struct tandem_controller_fence_agent *agent, uint64_t timeout_ns,
                             struct tandem_error *reterr_error)
{
	struct waiting waiting = {
	        .base = event_base_new(), .error = reterr_error, .agent = agent->agent};
	struct tandem_fence_process *process = NULL;
	char path[TANDEM_CONTROLLER_PATH_BYTES + sizeof("/usr/sbin/")];
	snprintf(path, sizeof(path), "%s%s", agent->agent[0] == '/' ? "" : "/usr/sbin/",
	         agent->agent);
	if (!waiting.base)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "probe", "no memory");
	int status =
	        tandem_fence_process_start(waiting.base, path, agent->parameters, "monitor",
	                                   timeout_ns, on_end, &waiting, &process, reterr_error);
	/* The process tells its end by itself, a second later at the latest. */
	if (status == 0 && wait_for(&waiting, timeout_ns + 2 * TANDEM_NS_PER_S)) {
		status = waiting.status;
	} else if (status == 0) {
		tandem_fence_process_free(process);
		status = tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "monitor",
		                          "%.80s: it cannot be ended", agent->agent);
	}
	event_base_free(waiting.base);
	return status;
}
