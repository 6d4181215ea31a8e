#include "bench_status.h"

#include <string.h>

#include <tandem/clock.h>

#include "tandemctl.h"

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

/* A span that is not known yet is null: 0. */
static uint64_t span_ns(struct json_object *object, const char *key)
{
	const double milliseconds = json_object_get_double(get(object, key));

	return milliseconds > 0 ? (uint64_t)(milliseconds * (double)TANDEM_NS_PER_MS + 0.5) : 0;
}

static void read_take_over(struct json_object *object, struct tandem_bench_status *status)
{
	const uint64_t drain_ns = span_ns(object, "drain_ms");
	const uint64_t fence_ns = span_ns(object, "fence_ms");

	status->has_take_over = get(object, "activate_ms") != NULL;
	status->suspected_ns = json_object_get_uint64(get(object, "suspected_monotonic_ns"));
	status->decide_ns = span_ns(object, "decide_ms");
	status->drain_ns = drain_ns;
	status->fence_ns = fence_ns;
	status->activate_ns = span_ns(object, "activate_ms");
}

static void read_pair(struct json_object *answer, struct tandem_bench_status *ret_status)
{
	struct json_object *pair = json_object_array_get_idx(get(answer, "pairs"), 0);
	const char *state = json_object_get_string(get(pair, "state"));
	const char *headline = json_object_get_string(get(pair, "headline"));
	struct json_object *plane = get(pair, "data_plane");
	const char *kind = json_object_get_string(get(plane, "kind"));

	*ret_status = (struct tandem_bench_status){
	        .is_primary_pair = state != NULL && strcmp(state, "PRIMARY_PAIR") == 0,
	        .is_secondary = state != NULL && strcmp(state, "SECONDARY") == 0,
	        .is_real_time = json_object_get_boolean(get(answer, "realtime")),
	        .generation = json_object_get_uint64(get(pair, "generation")),
	};
	if (kind != NULL && strcmp(kind, "program") == 0)
		ret_status->program = (uint32_t)json_object_get_int64(get(plane, "process_id"));
	snprintf(ret_status->headline, sizeof ret_status->headline, "%s",
	         headline != NULL ? headline : "no status");
	read_take_over(get(pair, "last_failover"), ret_status);
}

int tandem_bench_status_ask(const char *run_directory, const char *pair,
                            struct tandem_bench_status *ret_status,
                            struct tandem_error *reterr_error)
{
	const struct tandemctl tandemctl = {.run_directory = run_directory};
	struct json_object *request = json_object_new_object();
	struct json_object *answer = NULL;
	int code;

	json_object_object_add(request, "command", json_object_new_string("status"));
	json_object_object_add(request, "pair", json_object_new_string(pair));
	code = tandemctl_ask(&tandemctl, request, &answer, reterr_error);
	json_object_put(request);
	if (code < 0)
		return code;
	read_pair(answer, ret_status);
	json_object_put(answer);
	return 0;
}
