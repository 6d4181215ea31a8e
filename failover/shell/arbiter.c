#include "shell/arbiter.h"

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>

#include "shell/arbiter_engine.h"

/* The machine has one reading and one CAS outstanding at most. */
enum { QUESTION_READ, QUESTION_CAS, QUESTION_COUNT };

struct question {
	uint64_t request; /* 0: none */
	uint64_t asked_ns;
};

struct tandem_arbiter {
	struct tandem_arbiter_engine *engine;
	tandem_arbiter_answer_fn on_answer;
	void *context;
	struct question questions[QUESTION_COUNT];
	struct tandem_arbiter_report report;
};

/* What failed says nothing about the round trip, and a fencing takes its own time. */
static void measure(struct tandem_arbiter *arbiter, const struct tandem_arbiter_answer *answer)
{
	bool is_answered = answer->type == TANDEM_EVENT_RECORD ||
	                   answer->type == TANDEM_EVENT_CAS_WON ||
	                   answer->type == TANDEM_EVENT_CAS_LOST;
	for (unsigned i = 0; i < QUESTION_COUNT; i++) {
		struct question *question = &arbiter->questions[i];
		if (question->request == 0 || question->request != answer->request)
			continue;
		if (is_answered)
			tandem_histogram_add(&arbiter->report.round_trips_ns,
			                     tandem_clock_now_ns() - question->asked_ns);
		question->request = 0;
	}
}

static void on_engine_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	struct tandem_arbiter *arbiter = context;
	measure(arbiter, answer);
	if (answer->type == TANDEM_EVENT_CAS_WON)
		TANDEM_FAILPOINT("cas_won");
	arbiter->on_answer(arbiter->context, answer);
}

void tandem_arbiter_read(struct tandem_arbiter *arbiter, uint64_t request)
{
	arbiter->questions[QUESTION_READ] = (struct question){request, tandem_clock_now_ns()};
	arbiter->engine->type->read(arbiter->engine, request);
}

void tandem_arbiter_cas(struct tandem_arbiter *arbiter, uint64_t request,
                        const struct tandem_record *expected, const struct tandem_record *desired,
                        bool needs_fence)
{
	arbiter->questions[QUESTION_CAS] =
	        (struct question){needs_fence ? 0 : request, tandem_clock_now_ns()};
	arbiter->engine->type->cas(arbiter->engine, request, expected, desired, needs_fence);
}

void tandem_arbiter_acknowledge(struct tandem_arbiter *arbiter)
{
	if (arbiter->engine->type->acknowledge)
		arbiter->engine->type->acknowledge(arbiter->engine);
}

void tandem_arbiter_adopt(struct tandem_arbiter *arbiter, const struct tandem_record *record)
{
	if (arbiter->engine->type->adopt)
		arbiter->engine->type->adopt(arbiter->engine, record);
}

const struct tandem_arbiter_report *tandem_arbiter_report(const struct tandem_arbiter *arbiter)
{
	return &arbiter->report;
}

static tandem_arbiter_engine_new *maker_of(enum tandem_arbiter_type type)
{
	switch (type) {
	case TANDEM_ARBITER_FILE:
	case TANDEM_ARBITER_MANUAL:
	case TANDEM_ARBITER_EXTERNAL:
	case TANDEM_ARBITER_FENCE:
		return tandem_arbiter_fence_new;
	case TANDEM_ARBITER_ETCD:
		return tandem_arbiter_etcd_new;
	}
	return tandem_arbiter_file_new;
}

int tandem_arbiter_new(struct event_base *base, const struct tandem_controller_pair *pair,
                       const char *run_directory, tandem_arbiter_answer_fn on_answer, void *context,
                       struct tandem_arbiter **ret_arbiter, struct tandem_error *reterr_error)
{
	struct tandem_arbiter *arbiter = tandem_memory_alloc(sizeof(*arbiter));
	if (!arbiter)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter", "pair '%s'",
		                        pair->name);
	arbiter->on_answer = on_answer;
	arbiter->context = context;
	const struct tandem_arbiter_setup setup = {.base = base,
	                                           .pair = pair,
	                                           .run_directory = run_directory,
	                                           .on_answer = on_engine_answer,
	                                           .context = arbiter,
	                                           .report = &arbiter->report};
	int status = maker_of(pair->arbiter_type)(&setup, &arbiter->engine, reterr_error);
	if (status != 0) {
		tandem_arbiter_free(arbiter);
		return status;
	}
	*ret_arbiter = arbiter;
	return 0;
}

void tandem_arbiter_free(struct tandem_arbiter *arbiter)
{
	if (!arbiter)
		return;
	if (arbiter->engine)
		arbiter->engine->type->free(arbiter->engine);
	tandem_memory_free(arbiter);
}
