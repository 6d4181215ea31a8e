#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bed_pair.h"
#include "shell/service.h"

/* The whole service over real sockets: what the simulated cluster cannot show. */
TestSuite(service, .init = bed_begin, .fini = bed_end);

static struct json_object *pair_of(struct json_object *answer)
{
	return json_object_array_get_idx(json_object_object_get(answer, "pairs"), 0);
}

static double number_at(struct json_object *object, const char *key)
{
	return json_object_get_double(json_object_object_get(object, key));
}

static void expect_failover_told(void)
{
	struct json_object *answer = bed_ask(1, "{\"command\":\"status\",\"pair\":\"kv\"}");
	struct json_object *told = json_object_object_get(pair_of(answer), "last_failover");
	cr_assert(told != NULL);
	cr_expect(number_at(told, "detect_ms") > 0);
	cr_expect(number_at(told, "decide_ms") > 0);
	cr_expect(number_at(told, "fence_ms") >= 0);
	cr_expect(number_at(told, "drain_ms") > 0);
	cr_expect(json_object_get_uint64(json_object_object_get(told, "suspected_wall_ns")) <=
	          json_object_get_uint64(json_object_object_get(told, "decided_wall_ns")));
	cr_expect(json_object_get_uint64(json_object_object_get(told, "fenced_wall_ns")) <=
	          json_object_get_uint64(json_object_object_get(told, "activated_wall_ns")));
	json_object_put(answer);
	answer = bed_ask(1, "{\"command\":\"events\"}");
	cr_expect(json_object_array_length(json_object_object_get(answer, "events")) > 3);
	json_object_put(answer);
}

Test(service, starts_pairs_and_takes_over)
{
	struct tandem_control_message fenced = {
	        .type = TANDEM_CONTROL_FENCED, .generation = 3, .epoch = 77, .drain_ns = 5000};
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};
	bed_make_pair();
	bed_end_controller(0);
	bed_hang_up(bed_program);
	bed_say_session(false);
	const struct tandem_control_message *order = bed_wait(bed_standby, TANDEM_CONTROL_FENCE);
	cr_expect(order->generation == 3);
	bed_say(bed_standby, fenced);
	order = bed_wait(bed_standby, TANDEM_CONTROL_ACTIVATE);
	cr_expect(order->generation == 3);
	cr_expect(order->epoch == 77);
	struct bed_plane *stranger = bed_attach(1, TANDEM_CONTROL_KIND_PROGRAM, 0x3333);
	bed_wait(stranger, TANDEM_CONTROL_HALT);
	bed_hang_up(stranger);
	struct bed_plane *promoted = bed_attach(1, TANDEM_CONTROL_KIND_PROGRAM, order->incarnation);
	bed_wait(promoted, TANDEM_CONTROL_WELCOME);
	bed_say(promoted, ready);
	order = bed_wait(promoted, TANDEM_CONTROL_LEAD);
	cr_expect(order->generation == 3);
	cr_expect(!order->is_pair);
	bed_wait_state(1, "PRIMARY_SOLO");
	expect_failover_told();
}

static unsigned pidfd_count(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 1024; fd++) {
		char path[32], target[64] = "";
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0)
			count += strstr(target, "pidfd") != NULL;
	}
	return count;
}

/* Each promotion, and each loss of a copy, begins another life of the standby in one process. */
Test(service, the_end_of_a_process_is_watched_however_many_lives_it_has_had)
{
	for (uint64_t life = 1; life <= 3 * TANDEM_WATCHES_MAX; life++) {
		struct bed_plane *plane = bed_attach(0, TANDEM_CONTROL_KIND_STANDBY, life);
		bed_wait(plane, TANDEM_CONTROL_WELCOME);
		cr_expect_eq(pidfd_count(), 1);
		bed_hang_up(plane);
	}
}

static bool hook_was_run(const char *node)
{
	char path[DIRECTORY_BYTES + 16];
	snprintf(path, sizeof(path), "%s/hook-%s", bed.directory, node);
	return access(path, F_OK) == 0;
}

static bool both_hooks_were_run(void)
{
	return hook_was_run("a") && hook_was_run("b");
}

Test(service, hooks_say_who_leads)
{
	char command[200];
	struct tandem_error error = {0};
	snprintf(command, sizeof(command), "touch %s/hook-$TANDEM_NODE", bed.directory);
	for (unsigned node = 0; node < 2; node++) {
		bed_end_controller(node);
		bed.pairs[node].hooks.commands[node == 0 ? TANDEM_HOOK_LEAD : TANDEM_HOOK_STOP] =
		        command;
		cr_assert(bed_start_controller(node, &error) == 0, "%s", error.detail);
	}
	bed_make_pair();
	bed_wait_until(both_hooks_were_run, "on_lead on node a and on_stop on node b");
}

Test(service, a_restarted_controller_goes_on_with_the_pair)
{
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};
	struct tandem_error error = {0};
	bed_make_pair();
	bed_end_controller(0);
	bed_hang_up(bed_program);
	cr_assert(bed_start_controller(0, &error) == 0, "%s", error.detail);
	bed_program = bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, BED_PROGRAM);
	bed_say(bed_program, ready);
	bed_say_session(true);
	const struct tandem_control_message *lead = bed_wait(bed_program, TANDEM_CONTROL_LEAD);
	cr_expect(lead->generation == 2);
	cr_expect(lead->is_pair);
	bed_wait_state(0, "PRIMARY_PAIR");
}

Test(service, one_controller_a_run_directory)
{
	struct tandem_controller *second = NULL;
	struct tandem_error error = {0};
	cr_expect(tandem_controller_new(bed.base, &bed.options[0], &second, &error) ==
	          TANDEM_E_SYSTEM);
	cr_expect(strstr(error.detail, "another controller") != NULL, "%s", error.detail);
}

static struct json_object *timing;

/* Both links have been heard several times. */
static bool has_gaps(void)
{
	json_object_put(timing);
	timing = bed_ask(0, "{\"command\":\"status\"}");
	struct json_object *peer = json_object_object_get(pair_of(timing), "peer");
	struct json_object *link =
	        json_object_array_get_idx(json_object_object_get(peer, "links"), 0);
	struct json_object *gaps = json_object_object_get(link, "gaps");
	return json_object_get_int64(json_object_object_get(gaps, "count")) >= 5 &&
	       number_at(gaps, "p50_ms") > 0 &&
	       number_at(gaps, "p99_ms") >= number_at(gaps, "p50_ms") &&
	       number_at(gaps, "max_ms") >= number_at(gaps, "p99_ms");
}

static void expect_refusal_unless(const char *flag, const char *reason)
{
	bool is_set = json_object_get_boolean(json_object_object_get(timing, flag));
	const char *text = json_object_get_string(json_object_object_get(timing, reason));
	cr_expect(is_set == (text[0] == 0), "%s: %s", flag, text);
}

Test(service, the_operator_sees_what_its_timing_rests_on)
{
	timing = NULL;
	bed_wait_until(has_gaps, "the gaps between heartbeats");
	struct json_object *lateness = json_object_object_get(timing, "lateness");
	cr_expect(number_at(json_object_object_get(lateness, "heartbeats"), "count") > 0);
	cr_expect(number_at(json_object_object_get(lateness, "loop"), "count") > 0);
	expect_refusal_unless("realtime", "realtime_refusal");
	expect_refusal_unless("memory_locked", "memory_lock_refusal");
	json_object_put(timing);
}

static bool has_alarm_with(const char *words)
{
	json_object_put(timing);
	timing = bed_ask(1, "{\"command\":\"status\"}");
	const char *alarms =
	        json_object_to_json_string(json_object_object_get(pair_of(timing), "alarms"));
	return strstr(alarms, words) != NULL;
}

static bool has_told_difference(void)
{
	return has_alarm_with("heartbeat_misses is 10 here and 12 on node a");
}

static bool has_agreed(void)
{
	return !has_alarm_with("here and");
}

Test(service, the_operator_sees_which_timer_differs)
{
	struct tandem_error error = {0};
	timing = NULL;
	bed_end_controller(0);
	bed.pairs[0].heartbeat_miss_count = 12;
	cr_assert(bed_start_controller(0, &error) == 0, "%s", error.detail);
	bed_wait_until(has_told_difference, "the difference");
	/* A node that was not scheduled meanwhile says so, too, and perhaps last. */
	cr_expect(strstr(bed.complaints, "heartbeat_misses is 10 here") ||
	                  strstr(bed.complaints, "heartbeat_misses is 12 here"),
	          "%s", bed.complaints);
	bed_end_controller(0);
	bed.pairs[0].heartbeat_miss_count = 10;
	cr_assert(bed_start_controller(0, &error) == 0, "%s", error.detail);
	bed_wait_until(has_agreed, "agreement");
	bed_wait_state(0, "JOINING");
	json_object_put(timing);
}

static mode_t mode_of(const char *name)
{
	char path[160];
	struct stat status;
	snprintf(path, sizeof(path), "%s/run-a/%s", bed.directory, name);
	cr_assert(stat(path, &status) == 0);
	return status.st_mode & 0777;
}

Test(service, sockets_are_the_owners_alone)
{
	cr_expect(mode_of("") == 0700);
	cr_expect(mode_of(TANDEM_CONTROL_SOCKET) == 0600);
	cr_expect(mode_of(TANDEM_ADMIN_SOCKET) == 0600);
}

static void expect_refused(const char *line, const char *word)
{
	struct json_object *answer = bed_ask(0, line);
	const char *error = json_object_get_string(json_object_object_get(answer, "error"));
	cr_expect(!json_object_get_boolean(json_object_object_get(answer, "ok")), "%s", line);
	cr_expect(error && strstr(error, word), "'%s' is not in '%s'", word, error ? error : "");
	json_object_put(answer);
}

Test(service, the_operator_is_told_why_not)
{
	expect_refused("{\"command\":\"yank\"}", "pair");
	expect_refused("{\"command\":\"yank\",\"pair\":\"db\"}", "no such pair");
	expect_refused("{\"command\":\"yank\",\"pair\":\"kv\"}", "no session");
	expect_refused("{\"command\":\"promote\",\"pair\":\"kv\"}", "generation");
	expect_refused("{\"command\":\"force-primary\",\"pair\":\"kv\"}", "accept_data_loss");
	expect_refused("{\"command\":\"maintenance\",\"pair\":\"kv\"}", "on");
	expect_refused("{\"command\":\"maintenance\",\"pair\":\"kv\",\"on\":false}", "not in");
	expect_refused("{\"command\":\"fence-ack\",\"pair\":\"kv\"}", "no fencing");
	expect_refused("hello", "JSON");
}

Test(service, the_operators_yank_reaches_the_program)
{
	bed_make_pair();
	struct json_object *answer = bed_ask(0, "{\"command\":\"yank\",\"pair\":\"kv\"}");
	cr_expect(json_object_get_boolean(json_object_object_get(answer, "ok")));
	json_object_put(answer);
	bed_wait(bed_program, TANDEM_CONTROL_YANK);
}

static bool has_told_misfit(void)
{
	if (!has_alarm_with("until it has: QEMU 1 seen, QEMU 2 needed"))
		return false;
	struct json_object *plane = json_object_object_get(pair_of(timing), "data_plane");
	return strcmp(json_object_get_string(json_object_object_get(plane, "misfit")),
	              "QEMU 1 seen, QEMU 2 needed") == 0;
}

static bool is_fit(void)
{
	return !has_alarm_with("until it has");
}

static void report(int status, const char *text)
{
	struct tandem_control_message *message = &bed_standby->report;

	message->status = status;
	snprintf(message->text, sizeof(message->text), "%s", text);
}

/* [L16] */
Test(service, the_operator_sees_what_a_standby_lacks)
{
	timing = NULL;
	bed_make_pair();
	report(TANDEM_E_UNSUPPORTED, "QEMU 1 seen, QEMU 2 needed");
	bed_wait_until(has_told_misfit, "what it lacks");
	report(0, "");
	bed_wait_until(is_fit, "that it is there");
	json_object_put(timing);
}

static bool has_told_unjudged(void)
{
	json_object_put(timing);
	timing = bed_ask(1, "{\"command\":\"status\"}");
	struct json_object *plane = json_object_object_get(pair_of(timing), "data_plane");
	return strcmp(json_object_get_string(json_object_object_get(plane, "unjudged")),
	              "its QEMU is not tried yet: process 7 (nc)") == 0 &&
	       json_object_get_string_len(json_object_object_get(plane, "misfit")) == 0;
}

/* [L16] */
Test(service, the_operator_sees_why_it_is_not_known_whether_a_standby_lacks_something)
{
	timing = NULL;
	bed_make_pair();
	report(TANDEM_E_AGAIN, "its QEMU is not tried yet: process 7 (nc)");
	bed_wait_until(has_told_unjudged, "why it is not known");
	json_object_put(timing);
}

static bool has_reason(void)
{
	struct json_object *answer = bed_ask(0, "{\"command\":\"status\"}");
	const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	const bool is_there = strstr(text, "\"session_detail\":\"another QEMU\"") != NULL;
	json_object_put(answer);
	return is_there;
}

Test(service, a_program_that_is_refused_leaves_the_leading_ones_reason)
{
	struct tandem_control_message lost = {.type = TANDEM_CONTROL_SESSION_LOST,
	                                      .peer_incarnation = BED_STANDBY,
	                                      .text = "another QEMU"};
	bed_make_pair();
	bed_program->report.has_session = false;
	bed_say(bed_program, lost);
	bed_wait_until(has_reason, "the reason");
	bed_wait(bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, 0x3333), TANDEM_CONTROL_HALT);
	cr_expect(has_reason());
}
