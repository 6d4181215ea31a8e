#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "core/fencing.h"
#include "directory.h"
#include "shell/arbiter.h"

/* Scripts as agents; each appends what it is told to `log`. */
static char directory[DIRECTORY_BYTES];
static struct event_base *base;
static struct tandem_arbiter *arbiter;
static struct tandem_controller_pair pair;
static struct tandem_arbiter_answer last;
static unsigned answer_count, wanted_count;
static const struct tandem_record nothing;

static void on_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	(void)context;
	last = *answer;
	if (++answer_count == wanted_count)
		event_base_loopbreak(base);
}

static void begin(void)
{
	pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	directory_make(directory);
	snprintf(pair.name, sizeof(pair.name), "kv");
	snprintf(pair.arbiter_path, sizeof(pair.arbiter_path), "%s/own", directory);
	pair.arbiter_type = TANDEM_ARBITER_FENCE;
	base = event_base_new();
}

static void end(void)
{
	tandem_arbiter_free(arbiter);
	event_base_free(base);
	directory_remove(directory);
}

TestSuite(fence, .init = begin, .fini = end);

/* `off` and `status` are shell commands for the two actions. */
static void add_agent(const char *name, const char *off, const char *status, uint64_t timeout_ms)
{
	struct tandem_controller_fence_agent *agent = &pair.fence_agents[pair.fence_agent_count++];
	snprintf(agent->agent, sizeof(agent->agent), "%s/%s", directory, name);
	snprintf(agent->parameters, sizeof(agent->parameters), "ip=10.0.0.9 plug=%s", name);
	agent->timeout_ns = timeout_ms * TANDEM_NS_PER_MS;
	agent->is_verified = status != NULL;
	FILE *file = fopen(agent->agent, "w");
	fprintf(file,
	        "#!/bin/sh\ncd %s\ninput=$(cat)\n"
	        "printf '%%s\\n' \"$input\" >> log\n"
	        "case $input in *action=off*) %s ;; *action=status*) %s ;; esac\n",
	        directory, off, status ? status : "exit 9");
	fclose(file);
	cr_assert(chmod(agent->agent, 0700) == 0);
}

static void open_arbiter(void)
{
	struct tandem_error error;
	int status = tandem_arbiter_new(base, &pair, directory, on_answer, NULL, &arbiter, &error);
	cr_assert(status == 0, "%s", error.detail);
}

static void wait_for(unsigned count)
{
	struct timeval deadline = {.tv_sec = 60};
	wanted_count = count;
	event_base_loopexit(base, &deadline);
	if (answer_count < count)
		event_base_dispatch(base);
	cr_assert(answer_count == count, "the arbiter did not answer");
}

static struct tandem_record make_record(uint64_t generation, uint64_t decision)
{
	return (struct tandem_record){.generation = generation,
	                              .owner_incarnation = 1,
	                              .decision = decision,
	                              .pair = "kv",
	                              .owner = "a"};
}

static enum tandem_event_type cas(const struct tandem_record *expected,
                                  const struct tandem_record *desired, bool needs_fence)
{
	unsigned count = answer_count + 1;
	tandem_arbiter_cas(arbiter, 100 + count, expected, desired, needs_fence);
	wait_for(count);
	cr_assert(last.request == 100 + count);
	return last.type;
}

static uint64_t read_generation(void)
{
	unsigned count = answer_count + 1;
	tandem_arbiter_read(arbiter, count);
	wait_for(count);
	cr_assert(last.type == TANDEM_EVENT_RECORD);
	return last.record.generation;
}

static const char *slurp(const char *name)
{
	static char text[4096];
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "r");
	size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[length] = 0;
	if (file)
		fclose(file);
	return text;
}

static void forget(const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	cr_assert(unlink(path) == 0);
}

static void expect_counts(unsigned succeeded, unsigned acknowledged, unsigned refuted,
                          unsigned failed, unsigned late)
{
	const uint64_t *counts = tandem_arbiter_report(arbiter)->fence_counts;
	cr_expect(counts[TANDEM_FENCE_SUCCEEDED] == succeeded);
	cr_expect(counts[TANDEM_FENCE_ACKNOWLEDGED] == acknowledged);
	cr_expect(counts[TANDEM_FENCE_REFUTED] == refuted);
	cr_expect(counts[TANDEM_FENCE_FAILED] == failed);
	cr_expect(counts[TANDEM_FENCE_LATE] == late);
}

Test(fence, the_record_is_written_after_the_agent_and_its_status)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("good", "exit 0", "exit 2", 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_WON);
	cr_expect_str_eq(slurp("log"), "ip=10.0.0.9\nplug=good\naction=off\n"
	                               "ip=10.0.0.9\nplug=good\naction=status\n");
	cr_expect(read_generation() == 1);
	expect_counts(1, 0, 0, 0, 0);
}

Test(fence, a_success_is_good_for_one_cas_and_others_need_none)
{
	struct tandem_record first = make_record(1, 10), second = make_record(2, 20);
	struct tandem_record third = make_record(3, 30);
	add_agent("good", "exit 0", NULL, 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, false) == TANDEM_EVENT_CAS_WON);
	cr_expect_str_eq(slurp("log"), "");
	cr_expect(cas(&first, &second, true) == TANDEM_EVENT_CAS_WON);
	cr_expect(cas(&second, &third, true) == TANDEM_EVENT_CAS_WON);
	expect_counts(2, 0, 0, 0, 0);
}

Test(fence, the_next_agent_is_tried)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("bad", "exit 1", NULL, 20000);
	add_agent("good", "exit 0", NULL, 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_WON);
	expect_counts(1, 0, 0, 1, 0);
}

Test(fence, when_all_fail_nothing_is_written_and_each_reason_is_told)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("bad", "echo first >&2; printf 'no \\033 power\\n' >&2; exit 3", NULL, 20000);
	add_agent("worse", "kill -9 $$", NULL, 20000);
	pair.fence_agents[pair.fence_agent_count++] = (struct tandem_controller_fence_agent){
	        .agent = "fence_that_is_not_there", .timeout_ns = TANDEM_NS_PER_S};
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_FAILED);
	cr_expect(strstr(last.error.detail, "bad: exit status 3: no ? power;") != NULL, "%s",
	          last.error.detail);
	cr_expect(strstr(last.error.detail, "worse: was ended by signal 9;") != NULL, "%s",
	          last.error.detail);
	cr_expect(strstr(last.error.detail, "/usr/sbin/fence_that_is_not_there") != NULL, "%s",
	          last.error.detail);
	expect_counts(0, 0, 0, 3, 0);
	cr_expect(read_generation() == 0);
}

Test(fence, after_a_failure_comes_a_pause_which_the_operators_word_ends)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("bad", "exit 1", NULL, 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_FAILED);
	uint64_t start_ns = tandem_clock_now_ns();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_FAILED);
	cr_expect(tandem_clock_now_ns() - start_ns > 900 * TANDEM_NS_PER_MS);
	expect_counts(0, 0, 0, 2, 0);
	tandem_arbiter_cas(arbiter, 9, &nothing, &first, true);
	tandem_arbiter_acknowledge(arbiter);
	wait_for(3);
	cr_expect(last.type == TANDEM_EVENT_CAS_WON);
	expect_counts(0, 1, 0, 2, 0);
}

Test(fence, an_agent_that_lies_is_refuted_by_its_status)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("liar", "exit 0", "exit 0", 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_FAILED);
	cr_expect(strstr(last.error.detail, "liar: ") != NULL, "%s", last.error.detail);
	expect_counts(0, 0, 1, 0, 0);
}

Test(fence, a_status_that_cannot_be_had_refutes_nothing)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("deaf", "exit 0", "exit 1", 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_WON);
	cr_expect(strstr(tandem_arbiter_report(arbiter)->fence_last, "could not be had") != NULL);
}

static bool is_gone(const char *name)
{
	pid_t process = (pid_t)strtol(slurp(name), NULL, 10);
	cr_assert(process > 0, "%s", name);
	return kill(process, 0) != 0 && errno == ESRCH;
}

/* What is killed may be a zombie of the machine's first process for a moment. */
static void expect_gone(const char *name)
{
	uint64_t end_ns = tandem_clock_now_ns() + 20 * TANDEM_NS_PER_S;
	while (!is_gone(name))
		cr_assert(tandem_clock_now_ns() < end_ns, "%s still runs", name);
}

Test(fence, one_that_hangs_is_killed_with_its_children)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("hanging", "sleep 1000 & echo $! > child; echo $$ > self; echo slow >&2; wait",
	          NULL, 5000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_FAILED);
	cr_expect(strstr(last.error.detail, "hanging: did not end in time: slow") != NULL, "%s",
	          last.error.detail);
	expect_counts(0, 0, 0, 0, 1);
	expect_gone("self");
	expect_gone("child");
}

#define TICKS 10

static unsigned tick_count;

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	char path[128];
	snprintf(path, sizeof(path), "%s/ticked", directory);
	if (++tick_count == TICKS)
		fclose(fopen(path, "w"));
}

Test(fence, a_slow_or_chatty_one_does_not_hold_the_loop)
{
	struct tandem_record first = make_record(1, 10);
	struct timeval often = {.tv_usec = 10000};
	struct event *timer = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	event_add(timer, &often);
	add_agent("slow",
	          "yes talk >&2 & until [ -e ticked ]; do sleep 0.01; done; kill $!; exit 0", NULL,
	          20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_WON);
	event_free(timer);
}

static void on_started(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	if (slurp("self")[0] != 0)
		event_base_loopbreak(base);
}

/* Runs the loop until the agent `hanging` has told its number. */
static void wait_until_it_hangs(void)
{
	struct timeval often = {.tv_usec = 10000};
	struct event *timer = event_new(base, -1, EV_PERSIST, on_started, NULL);
	event_add(timer, &often);
	event_base_dispatch(base);
	event_free(timer);
}

Test(fence, the_operators_word_ends_the_one_that_runs)
{
	struct tandem_record first = make_record(1, 10), second = make_record(2, 20);
	add_agent("hanging", "echo $$ > self; sleep 1000", NULL, 600000);
	open_arbiter();
	tandem_arbiter_cas(arbiter, 7, &nothing, &first, true);
	wait_until_it_hangs();
	tandem_arbiter_acknowledge(arbiter);
	wait_for(1);
	cr_expect(last.type == TANDEM_EVENT_CAS_WON);
	expect_gone("self");
	expect_counts(0, 1, 0, 0, 0);
	/* It was for that one only. */
	forget("self");
	tandem_arbiter_cas(arbiter, 8, &first, &second, true);
	wait_until_it_hangs();
	cr_expect(answer_count == 1);
}

Test(fence, the_operators_word_holds_for_the_next_try_of_that_generation)
{
	struct tandem_record first = make_record(1, 10), second = make_record(2, 20);
	add_agent("bad", "exit 1", NULL, 20000);
	open_arbiter();
	cr_expect(cas(&nothing, &first, false) == TANDEM_EVENT_CAS_WON);
	tandem_arbiter_acknowledge(arbiter); /* of what? nothing failed */
	cr_expect(cas(&first, &second, true) == TANDEM_EVENT_CAS_FAILED);
	tandem_arbiter_acknowledge(arbiter);
	cr_expect(cas(&first, &second, true) == TANDEM_EVENT_CAS_WON);
	struct tandem_record third = make_record(3, 30);
	cr_expect(cas(&second, &third, true) == TANDEM_EVENT_CAS_FAILED);
	expect_counts(0, 1, 0, 2, 0);
}

Test(fence, the_operators_word_is_not_for_another_generation)
{
	struct tandem_record first = make_record(1, 10), second = make_record(2, 20);
	struct tandem_record third = make_record(3, 30);
	add_agent("bad", "exit 1", NULL, 20000);
	open_arbiter();
	cas(&nothing, &first, false);
	cr_expect(cas(&first, &second, true) == TANDEM_EVENT_CAS_FAILED);
	tandem_arbiter_acknowledge(arbiter);
	cr_expect(cas(&first, &second, false) == TANDEM_EVENT_CAS_WON);
	cr_expect(cas(&second, &third, true) == TANDEM_EVENT_CAS_FAILED);
}

Test(fence, what_the_peer_wrote_meanwhile_wins)
{
	struct tandem_record first = make_record(1, 10), its = make_record(1, 20);
	add_agent("good", "exit 0", NULL, 20000);
	open_arbiter();
	cr_expect(read_generation() == 0);
	tandem_arbiter_cas(arbiter, 1, &nothing, &first, true);
	tandem_arbiter_adopt(arbiter, &its);
	wait_for(2);
	cr_expect(last.type == TANDEM_EVENT_CAS_LOST);
	cr_expect(last.record.decision == 20);
}

Test(fence, it_ends_while_an_agent_runs)
{
	struct tandem_record first = make_record(1, 10);
	add_agent("hanging", "echo $$ > self; sleep 1000", NULL, 600000);
	open_arbiter();
	tandem_arbiter_cas(arbiter, 1, &nothing, &first, true);
	wait_until_it_hangs();
	tandem_arbiter_free(arbiter);
	arbiter = NULL;
	expect_gone("self");
}

/* The agent of the package fence-agents that plays a machine in a file. */
Test(fence, an_agent_as_packaged)
{
	struct tandem_record first = make_record(1, 10);
	struct tandem_controller_fence_agent *agent = &pair.fence_agents[pair.fence_agent_count++];
	snprintf(agent->agent, sizeof(agent->agent), "fence_dummy");
	snprintf(agent->parameters, sizeof(agent->parameters), "type=file status_file=%s/power",
	         directory);
	agent->timeout_ns = 60 * TANDEM_NS_PER_S;
	agent->is_verified = true;
	char path[128];
	snprintf(path, sizeof(path), "%s/power", directory);
	FILE *file = fopen(path, "w");
	fputs("on", file);
	fclose(file);
	open_arbiter();
	cr_expect(cas(&nothing, &first, true) == TANDEM_EVENT_CAS_WON, "%s", last.error.detail);
	cr_expect(strncmp(slurp("power"), "off", 3) == 0);
	cr_expect(strstr(tandem_arbiter_report(arbiter)->fence_last, "says so too") != NULL, "%s",
	          tandem_arbiter_report(arbiter)->fence_last);
}

Test(fence, the_longest_time_counts_every_agent)
{
	add_agent("one", "exit 0", NULL, 2000);
	add_agent("other", "exit 0", NULL, 3000);
	cr_expect(tandem_fencing_total_ns(&pair) == 7 * TANDEM_NS_PER_S);
	pair.arbiter_type = TANDEM_ARBITER_MANUAL;
	cr_expect(tandem_fencing_total_ns(&pair) == 0);
}
