#include <criterion/criterion.h>

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "ahead.h"
#include "qemu_ahead.h"

/* With a tandem-qemu that says that it waits, and writes down what it is told. */

#define LOOK_NS    (10 * TANDEM_NS_PER_MS)
#define SURE_NS    (20 * TANDEM_NS_PER_S)
#define PATH_BYTES 96
#define WAITS                                                                                      \
	"printf w >&3; echo >>\"$here/waits\"; cat <&3 >\"$here/order\"; echo >>\"$here/over\""

static struct {
	char folder[40];
	struct event_base *base;
	struct tandem_ahead *ahead;
	bool is_wanted;
	unsigned failure_count;
	uint64_t linger_ns; /* 0: SURE_NS */
} bed;

static bool is_wanted(void *argument)
{
	(void)argument;
	return bed.is_wanted;
}

static void on_failure(void *argument)
{
	(void)argument;
	bed.failure_count++;
}

static void path_of(const char *name, char ret_path[PATH_BYTES])
{
	snprintf(ret_path, PATH_BYTES, "%s/%s", bed.folder, name);
}

static void begin(const char *command)
{
	const struct tandem_ahead_options options = {
	        .places = {.pair = "vm1",
	                   .config_path = "/none",
	                   .node = "b",
	                   .run_directory = "/run/b",
	                   .bin_directory = bed.folder},
	        .look_ns = LOOK_NS,
	        .linger_ns = bed.linger_ns ? bed.linger_ns : SURE_NS,
	        .is_wanted = is_wanted,
	        .on_failure = on_failure,
	};
	char program[PATH_BYTES];
	struct tandem_error error;

	signal(SIGPIPE, SIG_IGN);
	snprintf(bed.folder, sizeof(bed.folder), "/tmp/tandem-ahead-XXXXXX");
	cr_assert_not_null(mkdtemp(bed.folder));
	path_of("tandem-qemu", program);
	FILE *file = fopen(program, "w");
	cr_assert_not_null(file);
	fprintf(file, "#!/bin/sh\nhere=%s\ncat \"$TANDEM_STATE_FILE\" >\"$here/state\"\n%s\n",
	        bed.folder, command);
	cr_assert(fclose(file) == 0 && chmod(program, 0700) == 0);
	bed.base = event_base_new();
	cr_assert_eq(tandem_ahead_new(bed.base, &options, &bed.ahead, &error), 0);
	bed.is_wanted = true;
}

static void end(void)
{
	char command[PATH_BYTES];

	tandem_ahead_free(bed.ahead);
	event_base_free(bed.base);
	snprintf(command, sizeof(command), "rm -r '%s'", bed.folder);
	cr_expect_eq(system(command), 0);
}

static void run_for(uint64_t ns)
{
	const struct timeval interval = tandem_clock_timeval(ns);

	event_base_loopexit(bed.base, &interval);
	event_base_dispatch(bed.base);
}

static size_t read_file(const char *name, char *ret_text, size_t text_bytes)
{
	char path[PATH_BYTES];

	path_of(name, path);
	FILE *file = fopen(path, "r");
	const size_t length = file ? fread(ret_text, 1, text_bytes, file) : 0;
	if (file)
		fclose(file);
	return length;
}

static void wait_bytes(const char *name, size_t count)
{
	const uint64_t until_ns = tandem_clock_now_ns() + SURE_NS;
	char text[256];

	while (read_file(name, text, sizeof(text)) < count && tandem_clock_now_ns() < until_ns)
		run_for(LOOK_NS);
	cr_assert_geq(read_file(name, text, sizeof(text)), count, "%s", name);
}

static size_t count_of(const char *name)
{
	char text[256];

	return read_file(name, text, sizeof(text));
}

Test(ahead, there_is_one_while_there_is_a_copy_and_it_is_wanted)
{
	char state[8] = "";

	begin(WAITS);
	run_for(5 * LOOK_NS);
	cr_expect_eq(count_of("waits"), 0, "there is no copy");
	bed.is_wanted = false;
	tandem_ahead_take_copy(bed.ahead, "/image", "blob", 4);
	run_for(5 * LOOK_NS);
	cr_expect_eq(count_of("waits"), 0, "it is not wanted");
	bed.is_wanted = true;
	wait_bytes("waits", 1);
	cr_assert_eq(read_file("state", state, sizeof(state)), 4);
	cr_expect_str_eq(state, "blob");
	tandem_ahead_drop_copy(bed.ahead);
	run_for(20 * LOOK_NS);
	cr_expect_eq(count_of("waits"), 1);
	cr_expect_eq(bed.failure_count, 0);
	end();
}

Test(ahead, it_is_told_what_to_take_over_with_and_is_a_child_then)
{
	static struct tandem_environment environment;
	const struct tandem_places places = {"vm1", "/none", "b", "/run/b", "/bin"};
	char order[512];

	begin(WAITS);
	tandem_environment_init(&environment, &places);
	cr_expect_eq(tandem_ahead_go(bed.ahead, &environment), 0, "there is none");
	tandem_ahead_take_copy(bed.ahead, "/image", "blob", 4);
	wait_bytes("waits", 1);
	tandem_environment_add(&environment, "TANDEM_EPOCH=%d", 7);
	const pid_t process = tandem_ahead_go(bed.ahead, &environment);
	cr_assert_gt(process, 0);
	wait_bytes("over", 1);
	const size_t length = read_file("order", order, sizeof(order));
	static const char last[] = "TANDEM_EPOCH=7\0";
	cr_assert_gt(length, sizeof(last));
	cr_expect_eq(memcmp(order + length - sizeof(last), last, sizeof(last)), 0);
	run_for(20 * LOOK_NS);
	cr_expect_eq(count_of("waits"), 1, "no second one has its files");
	end();
}

/* As long as a QEMU of one that was killed has the files of a copy, nobody else gets them. */
Test(ahead, there_is_no_second_one_before_the_first_has_ended_with_all_that_it_started)
{
	char path[PATH_BYTES];

	begin("echo >>\"$here/waits\"; "
	      "(for i in $(seq 1200); do [ -e \"$here/end\" ] && exit; sleep 0.05; done) & wait");
	tandem_ahead_take_copy(bed.ahead, "/image", "blob", 4);
	wait_bytes("waits", 1);
	bed.is_wanted = false;
	run_for(5 * LOOK_NS);
	bed.is_wanted = true;
	run_for(1500 * TANDEM_NS_PER_MS);
	cr_expect_eq(count_of("waits"), 1);
	path_of("end", path);
	FILE *file = fopen(path, "w");
	cr_assert(file && fclose(file) == 0);
	wait_bytes("waits", 2);
	end();
}

/* Such as a helper that goes on behind QEMU, with all that it was given. */
Test(ahead, what_it_started_does_not_keep_others_away_for_ever)
{
	bed.linger_ns = 20 * LOOK_NS;
	begin("echo >>\"$here/waits\"; "
	      "(for i in $(seq 1200); do [ -e \"$here/waits\" ] || exit; sleep 0.05; done) & exit "
	      "1");
	tandem_ahead_take_copy(bed.ahead, "/image", "blob", 4);
	wait_bytes("waits", 1);
	run_for(10 * LOOK_NS);
	cr_expect_eq(count_of("waits"), 1);
	wait_bytes("waits", 3);
	cr_expect_geq(bed.failure_count, 2);
	end();
}

Test(ahead, one_that_ends_is_told_and_started_again_ever_later)
{
	begin("echo >>\"$here/waits\"");
	tandem_ahead_take_copy(bed.ahead, "/image", "blob", 4);
	run_for(50 * LOOK_NS);
	cr_expect_geq(bed.failure_count, 2);
	cr_expect_leq(bed.failure_count, 7);
	end();
}

/* The order may come before it waits, and nobody is there any more then. */
Test(ahead, an_order_that_came_early_is_one)
{
	static const char order[] = "TANDEM_EPOCH=7\0TANDEM_GENERATION=3\0";
	int link[2], qemu[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, qemu), 0);
	cr_assert_eq(write(link[0], order, sizeof(order)), (ssize_t)sizeof(order));
	close(link[0]);
	cr_assert(tandem_qemu_ahead_wait(link[1], qemu[0]));
	cr_expect_str_eq(getenv("TANDEM_EPOCH"), "7");
	cr_expect_str_eq(getenv("TANDEM_GENERATION"), "3");
}

Test(ahead, it_does_not_wait_for_a_node_or_a_qemu_that_has_ended)
{
	int link[2], qemu[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, qemu), 0);
	close(qemu[1]);
	cr_expect_not(tandem_qemu_ahead_wait(link[1], qemu[0]));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, qemu), 0);
	close(link[0]);
	cr_expect_not(tandem_qemu_ahead_wait(link[1], qemu[0]));
}
