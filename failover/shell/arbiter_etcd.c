#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tandem/memory.h>

#include "shell/arbiter_engine.h"
#include "shell/etcd_http.h"
#include "shell/etcd_text.h"
#include "shell/seen.h"

/* A key of an etcd cluster. Each question is one transaction, asked of one endpoint after the other
 * until one answers; each endpoint once. A CAS may be asked of the next one although the last may
 * still carry it out: it names the bytes that it replaces, which never come back, and its own
 * decision number, by which a late success is known. */
#define QUEUE_MAX 4

struct job {
	bool is_cas;
	uint64_t request;
	struct tandem_record expected; /* generation 0: no key */
	struct tandem_record desired;
};

struct etcd_engine {
	struct tandem_arbiter_engine engine; /* first */
	tandem_arbiter_answer_fn on_answer;
	void *context;
	struct tandem_arbiter_report *report;
	struct tandem_controller_etcd etcd;
	struct tandem_etcd_http *http;
	struct event *turn; /* begins a job, from the loop */
	char pair[TANDEM_NAME_BYTES];
	char key[TANDEM_ETCD_KEY_BYTES];
	struct tandem_seen seen;
	uint64_t cluster_id; /* the one that is believed in this life; 0: none answered yet */
	size_t endpoint;     /* that answered last, or is to be tried next */
	size_t job_count;
	struct job jobs[QUEUE_MAX]; /* the first one runs, if any */
	bool is_running;
	bool is_write; /* it asks for a CAS */
	size_t tried_count;
	bool is_doubtful; /* the CAS may have reached an endpoint that did not answer */
	char request[TANDEM_ETCD_REQUEST_BYTES];
	struct tandem_error failure; /* of the job that runs: each endpoint's reason */
};

static void begin_later(struct etcd_engine *engine)
{
	struct timeval at_once = {0};
	if (!engine->is_running && engine->job_count > 0)
		event_add(engine->turn, &at_once);
}

static void give_answer(struct etcd_engine *engine, struct tandem_arbiter_answer *answer)
{
	answer->request = engine->jobs[0].request;
	engine->job_count--;
	memmove(&engine->jobs[0], &engine->jobs[1], engine->job_count * sizeof(engine->jobs[0]));
	engine->is_running = false;
	engine->on_answer(engine->context, answer);
	begin_later(engine);
}

static void give_failure(struct etcd_engine *engine)
{
	struct tandem_arbiter_answer answer = {.type = TANDEM_EVENT_READ_FAILED,
	                                       .error = engine->failure};
	if (engine->jobs[0].is_cas)
		answer.type =
		        engine->is_doubtful ? TANDEM_EVENT_CAS_DOUBT : TANDEM_EVENT_CAS_FAILED;
	give_answer(engine, &answer);
}

static const char *host_of(const char *endpoint)
{
	const char *mark = strstr(endpoint, "://");
	return mark ? mark + 3 : endpoint;
}

static void add_failure(struct etcd_engine *engine, const char *reason)
{
	struct tandem_error *failure = &engine->failure;
	size_t length = failure->code != 0 ? strlen(failure->detail) : 0;
	failure->code = TANDEM_E_PEER_LOST;
	snprintf(failure->operation, sizeof(failure->operation), "etcd");
	snprintf(failure->detail + length, sizeof(failure->detail) - length, "%s%.40s: %.90s",
	         length > 0 ? "; " : "", host_of(engine->etcd.endpoints[engine->endpoint]), reason);
	engine->endpoint = (engine->endpoint + 1) % engine->etcd.endpoint_count;
	engine->tried_count++;
}

static void try_endpoints(struct etcd_engine *engine)
{
	struct tandem_error error;
	while (engine->tried_count < engine->etcd.endpoint_count) {
		if (tandem_etcd_http_post(engine->http, engine->etcd.endpoints[engine->endpoint],
		                          engine->request, &error) == 0)
			return;
		add_failure(engine, error.detail);
	}
	give_failure(engine);
}

static bool prepare_cas(struct etcd_engine *engine, const struct job *job)
{
	uint8_t old[TANDEM_ETCD_VALUE_BYTES], new[TANDEM_ETCD_VALUE_BYTES];
	bool has_old = job->expected.generation > 0;
	if (engine->cluster_id == 0) {
		tandem_error_set(&engine->failure, TANDEM_E_USAGE, "etcd",
		                 "a record is only replaced after it was read");
		return false;
	}
	/* It is lost, or was won before; a cluster that went back would have it won now. */
	engine->is_write = job->expected.generation >= engine->seen.generation;
	if (!engine->is_write) {
		tandem_etcd_spell_read(engine->key, engine->request);
		return true;
	}
	if (tandem_seen_prove(&engine->seen, &job->expected, &job->desired, &engine->failure) != 0)
		return false;
	if (has_old)
		tandem_etcd_value_encode(&job->expected, engine->cluster_id, old);
	tandem_etcd_value_encode(&job->desired, engine->cluster_id, new);
	tandem_etcd_spell_cas(engine->key, has_old ? old : NULL, new, engine->request);
	return true;
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	struct etcd_engine *engine = context;
	const struct job *job = &engine->jobs[0];
	bool is_ready = true;
	(void)fd;
	(void)what;
	engine->is_running = true;
	engine->tried_count = 0;
	engine->is_doubtful = false;
	engine->failure.code = 0;
	engine->is_write = false;
	if (job->is_cas)
		is_ready = prepare_cas(engine, job);
	else
		tandem_etcd_spell_read(engine->key, engine->request);
	if (is_ready)
		try_endpoints(engine);
	else
		give_failure(engine);
}

static const char *objection_to(enum tandem_etcd_finding finding)
{
	switch (finding) {
	case TANDEM_ETCD_NO_RECORD:
		return "holds something that is no record of this version";
	case TANDEM_ETCD_OTHER_PAIR:
		return "holds the record of another pair: give each cluster of pairs a prefix";
	case TANDEM_ETCD_OTHER_CLUSTER:
		return "was written in another etcd cluster: restored from a backup? A pair that "
		       "is "
		       "to begin anew: delete the key";
	case TANDEM_ETCD_WON:
	case TANDEM_ETCD_RECORD:
		break;
	}
	return NULL;
}

static int believe(struct etcd_engine *engine, const struct tandem_etcd_answer *said,
                   struct tandem_arbiter_answer *answer)
{
	const struct job *job = &engine->jobs[0];
	enum tandem_etcd_finding finding =
	        engine->is_write ? tandem_etcd_judge(said, &job->desired, &answer->record)
	                         : tandem_etcd_find(said, engine->pair, &answer->record);
	const char *objection = objection_to(finding);
	if (objection)
		return tandem_error_set(&engine->failure, TANDEM_E_PROTOCOL, "etcd",
		                        "the key '%.60s' %s", engine->key, objection);
	if (finding == TANDEM_ETCD_WON) {
		answer->type = TANDEM_EVENT_CAS_WON;
		return tandem_seen_check(&engine->seen, job->desired.generation, engine->key,
		                         &engine->failure);
	}
	answer->type = job->is_cas ? TANDEM_EVENT_CAS_LOST : TANDEM_EVENT_RECORD;
	if (job->is_cas && tandem_record_is_same(&answer->record, &job->desired))
		answer->type = TANDEM_EVENT_CAS_WON;
	return tandem_seen_check(&engine->seen, answer->record.generation, engine->key,
	                         &engine->failure);
}

static void conclude(struct etcd_engine *engine, const struct tandem_etcd_answer *said)
{
	struct tandem_arbiter_answer answer = {.request = 0};
	snprintf(engine->report->endpoint, sizeof(engine->report->endpoint), "%s",
	         engine->etcd.endpoints[engine->endpoint]);
	if (believe(engine, said, &answer) != 0) {
		give_failure(engine);
		return;
	}
	engine->cluster_id = said->cluster_id;
	give_answer(engine, &answer);
}

/* What was refused before it became a proposal. An answer between (a proxy's, a leader's that was
 * lost) proves nothing. */
static bool is_refusal(long http_status)
{
	return http_status == 400 || http_status == 401 || http_status == 403 ||
	       http_status == 404 || http_status == 405;
}

static void try_next(struct etcd_engine *engine, bool may_be_done, const char *reason)
{
	engine->is_doubtful = engine->is_doubtful || (engine->is_write && may_be_done);
	add_failure(engine, reason);
	try_endpoints(engine);
}

static void on_reply(void *context, const struct tandem_etcd_reply *reply)
{
	struct etcd_engine *engine = context;
	struct tandem_etcd_answer said;
	struct tandem_error error;
	char text[160], why[100];
	if (reply->http_status == 0) {
		try_next(engine, reply->was_sent, reply->error);
		return;
	}
	if (reply->http_status != 200) {
		tandem_etcd_read_refusal(reply->body, reply->length, why, sizeof(why));
		snprintf(text, sizeof(text), "HTTP status %ld %s", reply->http_status, why);
		try_next(engine, !is_refusal(reply->http_status), text);
		return;
	}
	if (tandem_etcd_read_answer(reply->body, reply->length, engine->is_write, &said, &error) !=
	    0) {
		try_next(engine, true, error.detail);
		return;
	}
	/* What another cluster did with a CAS is believed by nobody: it names this one. */
	if (engine->cluster_id != 0 && said.cluster_id != engine->cluster_id) {
		snprintf(text, sizeof(text), "is of cluster %" PRIx64 ", the others of %" PRIx64,
		         said.cluster_id, engine->cluster_id);
		try_next(engine, false, text);
		return;
	}
	conclude(engine, &said);
}

static void add_job(struct tandem_arbiter_engine *base, const struct job *job)
{
	struct etcd_engine *engine = (struct etcd_engine *)base;
	if (engine->job_count == QUEUE_MAX)
		return;
	engine->jobs[engine->job_count++] = *job;
	begin_later(engine);
}

static void read_etcd(struct tandem_arbiter_engine *base, uint64_t request)
{
	const struct job job = {.request = request};
	add_job(base, &job);
}

static void cas_etcd(struct tandem_arbiter_engine *base, uint64_t request,
                     const struct tandem_record *expected, const struct tandem_record *desired,
                     bool needs_fence)
{
	const struct job job = {
	        .is_cas = true, .request = request, .expected = *expected, .desired = *desired};
	(void)needs_fence;
	add_job(base, &job);
}

static void free_etcd(struct tandem_arbiter_engine *base)
{
	struct etcd_engine *engine = (struct etcd_engine *)base;
	tandem_etcd_http_free(engine->http);
	if (engine->turn)
		event_free(engine->turn);
	tandem_memory_free(engine);
}

static const struct tandem_arbiter_engine_type etcd_type = {
        .read = read_etcd,
        .cas = cas_etcd,
        .free = free_etcd,
};

int tandem_arbiter_etcd_new(const struct tandem_arbiter_setup *setup,
                            struct tandem_arbiter_engine **ret_engine,
                            struct tandem_error *reterr_error)
{
	const struct tandem_controller_pair *pair = setup->pair;
	struct etcd_engine *engine = tandem_memory_alloc(sizeof(*engine));
	if (!engine)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter", "pair '%s'",
		                        pair->name);
	engine->engine.type = &etcd_type;
	engine->on_answer = setup->on_answer;
	engine->context = setup->context;
	engine->report = setup->report;
	engine->etcd = pair->etcd;
	memcpy(engine->pair, pair->name, sizeof(engine->pair));
	snprintf(engine->key, sizeof(engine->key), "%s/%s", pair->etcd.prefix, pair->name);
	tandem_seen_open(&engine->seen, setup->run_directory, pair->name);
	engine->turn = evtimer_new(setup->base, on_turn, engine);
	int status = engine->turn ? 0
	                          : tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter",
	                                             "pair '%s': no event", pair->name);
	if (status == 0)
		status = tandem_etcd_http_new(setup->base, &engine->etcd, on_reply, engine,
		                              &engine->http, reterr_error);
	if (status != 0) {
		free_etcd(&engine->engine);
		return status;
	}
	*ret_engine = &engine->engine;
	return 0;
}
