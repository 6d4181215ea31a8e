#include <string.h>

#include <tandem/memory.h>

#include "doctor.h"
#include "tandemctl.h"

#define DOCTOR_UNKNOWN 3 /* exit status: nothing wrong was found, not all could be seen */

/* One pair that was looked at. */
struct visit {
	struct tandem_doctor_facts facts;
	struct tandem_doctor_report report;
};

static uint64_t count_of(struct json_object *object, const char *key)
{
	return json_object_get_uint64(json_object_object_get(object, key));
}

/* What the controller knows of the pair: its state, the attached process, how large the first copy
 * was. */
static void take_status(struct json_object *pair, struct tandem_doctor_facts *facts)
{
	struct json_object *plane = json_object_object_get(pair, "data_plane");
	struct json_object *stats = json_object_object_get(pair, "stats");
	const char *headline = json_object_get_string(json_object_object_get(pair, "headline"));
	uint64_t copied = stats ? count_of(stats, "copy_bytes_total") : 0;
	snprintf(facts->controller_text, sizeof(facts->controller_text), "%s",
	         headline ? headline : "it does not say how the pair is");
	if (plane && count_of(plane, "process_id") > 0)
		tandem_doctor_look_at((uint32_t)count_of(plane, "process_id"), &facts->plane);
	if (copied > facts->region_bytes)
		facts->region_bytes = copied;
}

static void ask_controller(const struct tandemctl *tandemctl, struct tandem_doctor_facts *facts)
{
	struct json_object *request = json_object_new_object(), *answer = NULL;
	struct tandem_error error = {.code = 0};
	json_object_object_add(request, "command", json_object_new_string("status"));
	json_object_object_add(request, "pair", json_object_new_string(facts->pair));
	if (tandemctl_ask(tandemctl, request, &answer, &error) == 0) {
		struct json_object *pairs = json_object_object_get(answer, "pairs");
		facts->has_controller = true;
		if (json_object_is_type(pairs, json_type_array))
			take_status(json_object_array_get_idx(pairs, 0), facts);
	} else {
		snprintf(facts->controller_text, sizeof(facts->controller_text), "%s",
		         error.detail);
	}
	json_object_put(request);
	json_object_put(answer);
}

/* ---- for people ---- */

void tandemctl_finding_print(const struct tandem_doctor_finding *finding)
{
	printf("  %-8s %-12s %s\n", tandem_doctor_level_text(finding->level), finding->topic,
	       finding->text);
	if (finding->seen[0] || finding->needed[0])
		printf("  %-8s %-12s seen: %s; needed: %s\n", "", "",
		       finding->seen[0] ? finding->seen : "-",
		       finding->needed[0] ? finding->needed : "-");
	if (finding->fix[0])
		printf("  %-8s %-12s fix: %s\n", "", "", finding->fix);
}

static const char *verdict_text(enum tandem_doctor_level level)
{
	if (level == TANDEM_DOCTOR_FAILURE)
		return "cannot run like this";
	if (level == TANDEM_DOCTOR_UNKNOWN)
		return "nothing wrong here, but the peer was not seen on every address";
	return level == TANDEM_DOCTOR_WARNING ? "can run; see the warnings" : "can run";
}

static void visit_print(const struct visit *visit)
{
	const struct tandem_doctor_facts *facts = &visit->facts;
	printf("pair %s, from node %s to node %s\n", facts->pair, facts->node, facts->peer);
	for (size_t i = 0; i < visit->report.count; i++)
		tandemctl_finding_print(&visit->report.findings[i]);
	printf("pair %s: %s\n", facts->pair, verdict_text(tandem_doctor_verdict(&visit->report)));
}

/* ---- for programs ---- */

struct json_object *tandemctl_finding_object(const struct tandem_doctor_finding *finding)
{
	struct json_object *object = json_object_new_object();
	const struct {
		const char *key;
		const char *text;
	} rows[] = {{"level", tandem_doctor_level_text(finding->level)},
	            {"topic", finding->topic},
	            {"text", finding->text},
	            {"seen", finding->seen},
	            {"needed", finding->needed},
	            {"fix", finding->fix}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_object_add(object, rows[i].key, json_object_new_string(rows[i].text));
	return object;
}

static struct json_object *rail_object(const struct tandem_doctor_rail *rail)
{
	struct json_object *object = json_object_new_object();
	bool has_answered = rail->is_probed && rail->probe_code == 0;
	json_object_object_add(object, "address", json_object_new_string(rail->address));
	json_object_object_add(object, "peer_address", json_object_new_string(rail->peer_address));
	json_object_object_add(object, "rdma", json_object_new_boolean(rail->has_rdma));
	json_object_object_add(object, "answered", json_object_new_boolean(has_answered));
	if (!has_answered)
		return object;
	json_object_object_add(object, "transport", json_object_new_string(rail->probe_text));
	json_object_object_add(object, "round_trip_min_ns",
	                       json_object_new_uint64(rail->probe.echo_min_ns));
	json_object_object_add(object, "round_trip_median_ns",
	                       json_object_new_uint64(rail->probe.echo_median_ns));
	json_object_object_add(object, "sample_bytes",
	                       json_object_new_uint64(rail->probe.sample_bytes));
	json_object_object_add(object, "sample_ns", json_object_new_uint64(rail->probe.sample_ns));
	return object;
}

static struct json_object *visit_object(const struct visit *visit)
{
	enum tandem_doctor_level level = tandem_doctor_verdict(&visit->report);
	struct json_object *object = json_object_new_object(), *rails = json_object_new_array();
	struct json_object *findings = json_object_new_array();
	json_object_object_add(object, "pair", json_object_new_string(visit->facts.pair));
	json_object_object_add(object, "node", json_object_new_string(visit->facts.node));
	json_object_object_add(object, "peer", json_object_new_string(visit->facts.peer));
	json_object_object_add(object, "verdict",
	                       json_object_new_string(tandem_doctor_level_text(level)));
	for (unsigned i = 0; i < visit->facts.rail_count; i++)
		json_object_array_add(rails, rail_object(&visit->facts.rails[i]));
	json_object_object_add(object, "rails", rails);
	for (size_t i = 0; i < visit->report.count; i++)
		json_object_array_add(findings,
		                      tandemctl_finding_object(&visit->report.findings[i]));
	json_object_object_add(object, "findings", findings);
	return object;
}

/* ---- the command ---- */

struct round {
	const struct tandemctl *tandemctl;
	struct tandem_config *config;
	const struct tandem_config_node *node;
	struct visit *visit;
	struct json_object *pairs; /* with --json */
	enum tandem_doctor_level worst;
	unsigned count;
};

static void visit_pair(struct round *round, const struct tandem_config_pair *pair)
{
	struct visit *visit = round->visit;
	tandem_doctor_gather(round->config, round->node, pair, &visit->facts);
	ask_controller(round->tandemctl, &visit->facts);
	tandem_doctor_probe(pair, &visit->facts);
	tandem_doctor_judge(&visit->facts, &visit->report);
	enum tandem_doctor_level level = tandem_doctor_verdict(&visit->report);
	round->worst = level > round->worst ? level : round->worst;
	if (round->tandemctl->is_json)
		json_object_array_add(round->pairs, visit_object(visit));
	else
		visit_print(visit);
	round->count++;
}

static int visit_pairs(struct round *round, struct tandem_error *reterr_error)
{
	const char *wanted = round->tandemctl->pair;
	for (size_t i = 0; i < round->config->pair_count; i++) {
		const struct tandem_config_pair *pair = &round->config->pairs[i];
		if (tandem_config_serves(round->node, pair) &&
		    (!wanted || strcmp(pair->name, wanted) == 0))
			visit_pair(round, pair);
	}
	if (round->count > 0)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "doctor",
	                        "%s: node %s serves no pair%s%s", round->config->path,
	                        round->node->name, wanted ? " " : "", wanted ? wanted : "");
}

static int exit_status(const struct round *round)
{
	if (round->worst == TANDEM_DOCTOR_FAILURE)
		return TANDEMCTL_FAILED;
	return round->worst == TANDEM_DOCTOR_UNKNOWN ? DOCTOR_UNKNOWN : TANDEMCTL_OK;
}

static int run(struct round *round, struct tandem_error *reterr_error)
{
	const struct tandemctl *tandemctl = round->tandemctl;
	const char *path = tandemctl->path ? tandemctl->path : TANDEM_CONFIG_PATH_DEFAULT;
	int rc = tandem_config_load(path, &round->config, NULL, reterr_error);
	if (rc == 0)
		rc = tandem_config_node(round->config, tandemctl->node, &round->node, reterr_error);
	return rc < 0 ? rc : visit_pairs(round, reterr_error);
}

int tandemctl_doctor(struct tandemctl *tandemctl)
{
	struct round round = {.tandemctl = tandemctl,
	                      .visit = tandem_memory_alloc(sizeof(struct visit))};
	struct json_object *object = json_object_new_object();
	struct tandem_error error = {.code = 0};
	round.pairs = json_object_new_array();
	int rc = round.visit ? run(&round, &error)
	                     : tandem_error_set(&error, TANDEM_E_MEMORY, "doctor", "no memory");
	int status = rc < 0 ? tandemctl_fail(tandemctl, &error) : exit_status(&round);
	json_object_object_add(object, "ok", json_object_new_boolean(status == TANDEMCTL_OK));
	json_object_object_add(object, "verdict",
	                       json_object_new_string(tandem_doctor_level_text(round.worst)));
	json_object_object_add(object, "pairs", round.pairs);
	if (rc == 0 && tandemctl->is_json)
		puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	tandem_config_free(round.config);
	tandem_memory_free(round.visit);
	return status;
}
