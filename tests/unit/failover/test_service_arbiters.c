#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bed_pair.h"
#include "etcd_bed.h"

/* A take-over with each arbiter that is not a directory, by two real controllers. */
static struct etcd_cluster cluster;

static void restart_with(void (*change)(unsigned node, struct tandem_controller_pair *pair))
{
	struct tandem_error error = {0};
	for (unsigned node = 0; node < 2; node++) {
		bed_end_controller(node);
		change(node, &bed.pairs[node]);
	}
	for (unsigned node = 0; node < 2; node++)
		cr_assert(bed_start_controller(node, &error) == 0, "%s", error.detail);
}

static void spell(char *ret_text, size_t size, const char *place)
{
	char directory[DIRECTORY_BYTES];
	memcpy(directory, bed.directory, sizeof(directory));
	snprintf(ret_text, size, "%s/%s", directory, place);
}

static void write_agent(int status)
{
	char path[128], text[256];
	spell(path, sizeof(path), "agent");
	spell(text, sizeof(text), "fenced");
	FILE *file = fopen(path, "w");
	fprintf(file, "#!/bin/sh\ncat >> %s\necho no power >&2\nexit %d\n", text, status);
	fclose(file);
	cr_assert(chmod(path, 0700) == 0);
}

static const char *what_agents_were_told(void)
{
	static char text[4096];
	char path[128];
	spell(path, sizeof(path), "fenced");
	FILE *file = fopen(path, "r");
	size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[length] = 0;
	if (file)
		fclose(file);
	return text;
}

static void use_fence(unsigned node, struct tandem_controller_pair *pair)
{
	struct tandem_controller_fence_agent *agent = &pair->fence_agents[0];
	pair->arbiter_type = TANDEM_ARBITER_FENCE;
	spell(pair->arbiter_path, sizeof(pair->arbiter_path), node == 0 ? "own-a" : "own-b");
	spell(agent->agent, sizeof(agent->agent), "agent");
	snprintf(agent->parameters, sizeof(agent->parameters), "plug=%u", 1 - node);
	agent->timeout_ns = UINT64_C(20000000000);
	pair->fence_agent_count = 1;
	pair->fence_delay_ns = UINT64_C(100000000);
}

static void lose_the_primary(void)
{
	bed_end_controller(0);
	bed_hang_up(bed_program);
	bed_say_session(false);
}

static struct json_object *arbiter_of(struct json_object *answer)
{
	struct json_object *pairs = json_object_object_get(answer, "pairs");
	return json_object_object_get(json_object_array_get_idx(pairs, 0), "arbiter");
}

static int64_t attempts(const char *result)
{
	struct json_object *answer = bed_ask(1, "{\"command\":\"status\"}");
	struct json_object *fence = json_object_object_get(arbiter_of(answer), "fence");
	struct json_object *counts = json_object_object_get(fence, "attempts");
	int64_t count = json_object_get_int64(json_object_object_get(counts, result));
	json_object_put(answer);
	return count;
}

static bool has_failed_twice(void)
{
	return attempts("failed") >= 2;
}

TestSuite(service_fence, .init = bed_begin, .fini = bed_end);

Test(service_fence, the_peer_is_switched_off_before_the_standby_is_told)
{
	write_agent(0);
	restart_with(use_fence);
	bed_make_pair();
	cr_expect_str_eq(what_agents_were_told(), "", "nobody is lost");
	lose_the_primary();
	cr_expect(bed_wait(bed_standby, TANDEM_CONTROL_FENCE)->generation == 4);
	cr_expect_str_eq(what_agents_were_told(), "plug=0\naction=off\n");
	cr_expect(attempts("succeeded") == 1);
}

Test(service_fence, while_every_agent_fails_nobody_leads_but_by_the_operators_word)
{
	write_agent(1);
	restart_with(use_fence);
	bed_make_pair();
	lose_the_primary();
	bed_wait_until(has_failed_twice, "two failures");
	bed_wait_state(1, "SECONDARY");
	struct json_object *answer = bed_ask(1, "{\"command\":\"status\"}");
	struct json_object *arbiter = arbiter_of(answer);
	struct json_object *reachable = json_object_object_get(arbiter, "reachable");
	cr_expect_str_eq(json_object_get_string(json_object_object_get(arbiter, "type")), "fence");
	cr_expect(json_object_get_boolean(reachable), "the register is this node's own");
	/* A node that was not scheduled meanwhile says so, too, and perhaps last. */
	cr_expect(strstr(bed.complaints, "could not be switched off") &&
	                  strstr(bed.complaints, "agent: exit status 1: no power"),
	          "%s", bed.complaints);
	json_object_put(answer);
	answer = bed_ask(1, "{\"command\":\"fence-ack\",\"pair\":\"kv\"}");
	cr_expect(json_object_get_boolean(json_object_object_get(answer, "ok")), "%s",
	          json_object_to_json_string(answer));
	json_object_put(answer);
	cr_expect(bed_wait(bed_standby, TANDEM_CONTROL_FENCE)->generation == 4);
	cr_expect(attempts("acknowledged") == 1);
}

static void begin_etcd(void)
{
	etcd_bed_begin();
	bed_begin();
}

static void end_etcd(void)
{
	bed_end();
	etcd_bed_end();
}

static void use_etcd(unsigned node, struct tandem_controller_pair *pair)
{
	(void)node;
	pair->arbiter_type = TANDEM_ARBITER_ETCD;
	snprintf(pair->etcd.prefix, sizeof(pair->etcd.prefix), "tandem");
	etcd_pair_add(pair, cluster.urls[0]);
}

static bool is_unreachable(void)
{
	struct json_object *answer = bed_ask(1, "{\"command\":\"status\"}");
	struct json_object *flag = json_object_object_get(arbiter_of(answer), "reachable");
	bool is_set = json_object_get_boolean(flag);
	json_object_put(answer);
	return !is_set;
}

TestSuite(service_etcd, .init = begin_etcd, .fini = end_etcd);

Test(service_etcd, decides_a_take_over_and_its_loss_is_told)
{
	etcd_start(&cluster, 1, "http", NULL);
	restart_with(use_etcd);
	bed_make_pair();
	lose_the_primary();
	cr_expect(bed_wait(bed_standby, TANDEM_CONTROL_FENCE)->generation == 3);
	struct json_object *answer = bed_ask(1, "{\"command\":\"status\"}");
	struct json_object *arbiter = arbiter_of(answer);
	struct json_object *spread = json_object_object_get(arbiter, "round_trip");
	cr_expect_str_eq(json_object_get_string(json_object_object_get(arbiter, "type")), "etcd");
	cr_expect_str_eq(json_object_get_string(json_object_object_get(arbiter, "endpoint")),
	                 cluster.urls[0]);
	cr_expect_str_eq(json_object_get_string(json_object_object_get(arbiter, "key")),
	                 "tandem/kv");
	cr_expect(json_object_get_int64(json_object_object_get(spread, "count")) > 1);
	cr_expect(json_object_get_double(json_object_object_get(spread, "p50_ms")) > 0);
	json_object_put(answer);
	etcd_kill(&cluster, 0);
	bed_wait_until(is_unreachable, "the alarm");
}
