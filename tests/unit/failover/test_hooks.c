#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "directory.h"
#include "shell/hooks.h"

#define WAIT_NS   (60 * TANDEM_NS_PER_S)
#define LINES_MAX 64

static struct event_base *base;
static struct tandem_machine machine;
static struct tandem_hooks hooks;
static char directory[DIRECTORY_BYTES];
static char lines[LINES_MAX][600];
static size_t line_count, failure_count;

static void on_end(void *context, bool is_failure, const char *line)
{
	(void)context;
	cr_assert_lt(line_count, LINES_MAX);
	failure_count += is_failure;
	snprintf(lines[line_count++], sizeof(lines[0]), "%s", line);
}

static void begin(const char *lead, const char *stop, const char *state, const char *alarm)
{
	struct tandem_machine_config config = {.node = "alpha"};
	config.pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	snprintf(config.pair.name, sizeof(config.pair.name), "kv");
	snprintf(config.pair.peer_node, sizeof(config.pair.peer_node), "beta");
	config.pair.hooks = (struct tandem_controller_hooks){.commands = {lead, stop, state, alarm},
	                                                     .timeout_ns = WAIT_NS};
	directory_make(directory);
	setenv("HOOK_DIRECTORY", directory, 1);
	setenv("TANDEM_EPOCH", "must not be handed on", 1);
	tandem_machine_init(&machine, &config, 1, 1);
	base = event_base_new();
	line_count = failure_count = 0;
	struct tandem_hooks_options options = {
	        .base = base, .config = &machine.config, .on_end = on_end};
	cr_assert_eq(tandem_hooks_open(&hooks, &options, NULL), 0);
}

static void end(void)
{
	tandem_hooks_close(&hooks);
	event_base_free(base);
	directory_remove(directory);
}

static void wake(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

static void run_until_lines(size_t count)
{
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	struct timeval interval = {.tv_usec = 100000};
	struct event *beat = event_new(base, -1, EV_PERSIST, wake, NULL);
	event_add(beat, &interval);
	while (line_count < count) {
		cr_assert_lt(tandem_clock_now_ns(), end_ns, "%zu of %zu ended", line_count, count);
		event_base_loop(base, EVLOOP_ONCE);
	}
	event_free(beat);
}

static void expect_line(size_t index, const char *start, const char *rest)
{
	cr_expect_eq(strncmp(lines[index], start, strlen(start)), 0, "%s", lines[index]);
	cr_expect_not_null(strstr(lines[index], rest), "%s", lines[index]);
}

static void change(enum tandem_state to)
{
	struct tandem_note note = {
	        .from = machine.state, .to = to, .reason = "the test says so", .generation = 7};
	machine.view.record.generation = 7;
	machine.state = to;
	tandem_hooks_note(&hooks, &note);
	tandem_hooks_follow(&hooks, &machine);
}

Test(hooks, they_are_told_what_happened)
{
	const char *say = "env | grep ^TANDEM_ | sort | tr '\\n' ' '; echo";
	struct tandem_note alarm = {.is_alarm = true,
	                            .is_raised = true,
	                            .alarm = TANDEM_ALARM_LINK_DOWN,
	                            .from = TANDEM_STATE_PRIMARY_SOLO,
	                            .to = TANDEM_STATE_PRIMARY_SOLO,
	                            .reason = "a link"};
	char expected[300];
	begin(say, NULL, NULL, "test \"$TANDEM_ALARM $TANDEM_ALARM_STATE\" = 'LINK_DOWN raised'");
	change(TANDEM_STATE_PRIMARY_SOLO);
	tandem_hooks_note(&hooks, &alarm);
	run_until_lines(2);
	snprintf(expected, sizeof(expected),
	         "last line: TANDEM_ALARM= TANDEM_ALARM_STATE= TANDEM_GENERATION=7 "
	         "TANDEM_HOOK=on_lead TANDEM_NODE=alpha TANDEM_OLD_STATE=INIT TANDEM_PAIR=kv "
	         "TANDEM_PEER=beta TANDEM_REASON=the test says so");
	expect_line(0, "pair kv: hook on_lead done, after ", expected);
	expect_line(1, "pair kv: hook on_alarm done, after ", " ms");
	cr_expect_eq(failure_count, 0);
	end();
}

Test(hooks, one_after_the_other_in_order)
{
	begin("sleep 0.2; echo lead", "echo stop", "echo $TANDEM_OLD_STATE $TANDEM_STATE", NULL);
	change(TANDEM_STATE_JOINING);
	change(TANDEM_STATE_PRIMARY_SOLO);
	change(TANDEM_STATE_GATED);
	change(TANDEM_STATE_HALTED);
	cr_expect_eq(line_count, 0, "none runs before the step is over");
	run_until_lines(6);
	expect_line(0, "pair kv: hook on_state done", "last line: INIT JOINING");
	expect_line(1, "pair kv: hook on_state done", "last line: JOINING PRIMARY_SOLO");
	expect_line(2, "pair kv: hook on_lead done", "last line: lead");
	expect_line(3, "pair kv: hook on_state done", "last line: PRIMARY_SOLO GATED");
	expect_line(4, "pair kv: hook on_state done", "last line: GATED HALTED");
	expect_line(5, "pair kv: hook on_stop done", "last line: stop");
	end();
}

Test(hooks, failures_are_told_with_their_last_line)
{
	begin("echo first; printf 'cause\\001é' >&2; exit 3", "kill -9 $$", NULL, NULL);
	change(TANDEM_STATE_PRIMARY_SOLO);
	change(TANDEM_STATE_HALTED);
	run_until_lines(2);
	expect_line(0, "pair kv: hook on_lead failed: exit status 3, after ",
	            "; last line: cause???");
	expect_line(1, "pair kv: hook on_stop failed: signal 9, after ", " ms");
	cr_expect_eq(failure_count, 2);
	cr_expect_eq(hooks.counts[TANDEM_HOOK_LEAD][TANDEM_HOOK_FAILED], 1);
	end();
}

static bool is_running(const char *path)
{
	char text[32] = "", name[64];
	int fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	snprintf(name, sizeof(name), "/proc/%d/stat", atoi(text));
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return false;
	char stat[512] = "";
	ssize_t length = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	return length > 0 && !strstr(stat, ") Z ");
}

Test(hooks, one_that_hangs_is_killed_with_what_it_started)
{
	char path[DIRECTORY_BYTES + 16];
	begin("sleep 1000 & echo $! > $HOOK_DIRECTORY/child; echo waiting; wait", "echo next", NULL,
	      NULL);
	machine.config.pair.hooks.timeout_ns = 5 * TANDEM_NS_PER_S; /* it has to begin in it */
	change(TANDEM_STATE_PRIMARY_SOLO);
	change(TANDEM_STATE_HALTED);
	run_until_lines(2);
	expect_line(0, "pair kv: hook on_lead failed: it was killed when its time was over, after ",
	            "; last line: waiting");
	expect_line(1, "pair kv: hook on_stop done", "last line: next");
	snprintf(path, sizeof(path), "%s/child", directory);
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	while (is_running(path))
		cr_assert_lt(tandem_clock_now_ns(), end_ns, "its child lives on");
	end();
}

Test(hooks, one_that_floods_is_cut_off)
{
	begin("yes a long line of no interest", "echo next", NULL, NULL);
	change(TANDEM_STATE_PRIMARY_SOLO);
	change(TANDEM_STATE_HALTED);
	run_until_lines(2);
	expect_line(0, "pair kv: hook on_lead failed: its output was closed after 256 KiB",
	            "; last line: a long line of no interest");
	expect_line(1, "pair kv: hook on_stop done", "last line: next");
	end();
}

Test(hooks, the_queue_is_bounded_and_keeps_the_last_word_on_who_leads)
{
	begin("echo lead", "echo stop", "sleep 0.01", NULL);
	change(TANDEM_STATE_PRIMARY_SOLO);
	change(TANDEM_STATE_HALTED);
	for (unsigned i = 0; i < TANDEM_HOOKS_PENDING_MAX; i++)
		change(i % 2 == 0 ? TANDEM_STATE_JOINING : TANDEM_STATE_HALTED);
	cr_expect_eq(hooks.pending_count, TANDEM_HOOKS_PENDING_MAX);
	cr_expect_eq(line_count, 4);
	expect_line(0, "pair kv: hook on_state is left out", "32 others wait");
	run_until_lines(4 + TANDEM_HOOKS_PENDING_MAX);
	expect_line(4, "pair kv: hook on_lead done", "last line: lead");
	expect_line(5, "pair kv: hook on_stop done", "last line: stop");
	end();
}

Test(hooks, whether_it_leads_after_a_restart)
{
	begin("echo lead", "echo stop", NULL, NULL);
	machine.view.is_known = true;
	snprintf(machine.view.record.owner, sizeof(machine.view.record.owner), "alpha");
	change(TANDEM_STATE_JOINING);
	cr_expect_eq(hooks.pending_count, 0, "its program may attach yet");
	change(TANDEM_STATE_PRIMARY_PAIR);
	change(TANDEM_STATE_MAINTENANCE);
	change(TANDEM_STATE_GATED);
	change(TANDEM_STATE_PRIMARY_PAIR);
	run_until_lines(1);
	expect_line(0, "pair kv: hook on_lead done", "lead");
	end();
	begin("echo lead", "echo stop", NULL, NULL);
	machine.view.is_known = true;
	snprintf(machine.view.record.owner, sizeof(machine.view.record.owner), "beta");
	change(TANDEM_STATE_JOINING);
	change(TANDEM_STATE_SECONDARY);
	run_until_lines(1);
	expect_line(0, "pair kv: hook on_stop done", "stop");
	end();
}

Test(hooks, what_runs_ends_with_the_controller)
{
	char path[DIRECTORY_BYTES + 16];
	struct stat file;
	begin("echo $$ > $HOOK_DIRECTORY/child.new; mv $HOOK_DIRECTORY/child.new "
	      "$HOOK_DIRECTORY/child; sleep 1000",
	      NULL, NULL, NULL);
	change(TANDEM_STATE_PRIMARY_SOLO);
	snprintf(path, sizeof(path), "%s/child", directory);
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	while (stat(path, &file) != 0) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		cr_assert_lt(tandem_clock_now_ns(), end_ns);
	}
	/* The loop learns of the start on its next turns. */
	while (!hooks.script)
		event_base_loop(base, EVLOOP_NONBLOCK);
	for (unsigned i = 0; i < 100; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	tandem_hooks_close(&hooks);
	while (is_running(path))
		cr_assert_lt(tandem_clock_now_ns(), end_ns, "it lives on");
	cr_expect_eq(line_count, 0);
	end();
}
