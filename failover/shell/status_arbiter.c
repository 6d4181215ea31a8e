#include <stdio.h>

#include "core/record.h"
#include "shell/status.h"

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_etcd(struct json_object *object, const struct tandem_controller_pair *pair,
                     const struct tandem_arbiter_report *report)
{
	struct json_object *list = json_object_new_array();
	char key[TANDEM_CONTROLLER_PATH_BYTES + TANDEM_NAME_BYTES + 1];
	for (size_t i = 0; i < pair->etcd.endpoint_count; i++)
		json_object_array_add(list, json_object_new_string(pair->etcd.endpoints[i]));
	json_object_object_add(object, "endpoints", list);
	json_object_object_add(object, "endpoint",
	                       report->endpoint[0] ? json_object_new_string(report->endpoint)
	                                           : NULL);
	snprintf(key, sizeof(key), "%s/%s", pair->etcd.prefix, pair->name);
	add_text(object, "key", key);
}

/* Parameters may hold secrets. */
static void add_fence(struct json_object *object, const struct tandem_controller_pair *pair,
                      const struct tandem_arbiter_report *report)
{
	static const char *const names[] = {
#define X(name, text) [TANDEM_FENCE_##name] = (text),
	        TANDEM_FENCE_RESULT_TABLE(X)
#undef X
	};
	struct json_object *fence = json_object_new_object();
	struct json_object *agents = json_object_new_array();
	struct json_object *attempts = json_object_new_object();
	for (size_t i = 0; i < pair->fence_agent_count; i++)
		json_object_array_add(agents, json_object_new_string(pair->fence_agents[i].agent));
	for (size_t i = 0; i < TANDEM_FENCE_RESULT_COUNT; i++)
		json_object_object_add(attempts, names[i],
		                       json_object_new_uint64(report->fence_counts[i]));
	json_object_object_add(fence, "agents", agents);
	json_object_object_add(fence, "attempts", attempts);
	add_text(fence, "last", report->fence_last);
	json_object_object_add(object, "fence", fence);
}

struct json_object *tandem_status_of_arbiter(const struct tandem_pair *pair)
{
	const struct tandem_machine *machine = &pair->machine;
	const struct tandem_controller_pair *options = &machine->config.pair;
	const struct tandem_arbiter_report *report = tandem_arbiter_report(pair->arbiter);
	bool is_lost = machine->alarms & UINT32_C(1) << TANDEM_ALARM_ARBITER_UNREACHABLE;
	struct json_object *object = json_object_new_object();
	add_text(object, "type", tandem_agreement_arbiter(options->arbiter_type));
	if (options->arbiter_type == TANDEM_ARBITER_ETCD)
		add_etcd(object, options, report);
	else
		add_text(object, "path", options->arbiter_path);
	if (options->arbiter_type == TANDEM_ARBITER_FENCE)
		add_fence(object, options, report);
	json_object_object_add(object, "reachable",
	                       json_object_new_boolean(machine->view.is_known && !is_lost));
	add_text(object, "detail", pair->arbiter_detail);
	json_object_object_add(object, "round_trip", tandem_status_spread(&report->round_trips_ns));
	return object;
}
