#include <criterion/criterion.h>

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "file_mark.h"
#include "qemu_match.h"

/* With a tandem-qemu that says what the test wants, and writes down that it was asked. */

#define NEEDED     "QEMU 11.1.3, machine pc"
#define OTHER      "QEMU 11.1.4, machine pc"
#define LOOK_NS    (20 * TANDEM_NS_PER_MS)
#define SURE_NS    (20 * TANDEM_NS_PER_S)
#define PATH_BYTES 96

static struct {
	char folder[32];
	char program[PATH_BYTES], config[PATH_BYTES], qemu[PATH_BYTES], asked[PATH_BYTES];
	char trial[PATH_BYTES], tried[PATH_BYTES];
	bool tries;
	uint64_t look_ns;           /* 0: LOOK_NS */
	uint64_t trial_wait_ns_max; /* 0: SURE_NS */
	struct event_base *base;
	struct tandem_qemu_match *match;
	unsigned change_count;
	char reason[200];
} bed;

static void put(const char *path, const char *format, ...) TANDEM_PRINTF(2, 3);
static void put(const char *path, const char *format, ...)
{
	char new_path[PATH_BYTES + 8];
	va_list arguments;

	snprintf(new_path, sizeof(new_path), "%s.new", path);
	FILE *file = fopen(new_path, "w");
	cr_assert_not_null(file);
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	cr_assert(fclose(file) == 0 && chmod(new_path, 0700) == 0 && rename(new_path, path) == 0);
}

/* What is said from now on, of the QEMU that is there now. */
static void answer(const char *key, const char *value)
{
	char mark[TANDEM_FILE_MARK_BYTES];

	tandem_file_mark(bed.qemu, mark);
	put(bed.program,
	    "#!/bin/sh\ncase \"$*\" in *--trial) . %s; exit;; esac\nenv | grep ^TANDEM_ | sort "
	    ">%s.env\necho >>%s\n"
	    "echo '{\"%s\":\"%s\",\"program\":\"%s\",\"file\":\"%s\"}'\n",
	    bed.trial, bed.asked, bed.asked, key, value, bed.qemu, mark);
}

/* What a trial does from now on. */
static void answer_trial(const char *command)
{
	put(bed.trial, "echo >>%s\n%s\n", bed.tried, command);
}

static void on_change(void *argument)
{
	(void)argument;
	bed.change_count++;
}

static void make_folder(void)
{
	snprintf(bed.folder, sizeof(bed.folder), "/tmp/tandem-match-XXXXXX");
	cr_assert_not_null(mkdtemp(bed.folder));
	snprintf(bed.program, PATH_BYTES, "%s/tandem-qemu", bed.folder);
	snprintf(bed.config, PATH_BYTES, "%s/conf", bed.folder);
	snprintf(bed.qemu, PATH_BYTES, "%s/qemu-kvm", bed.folder);
	snprintf(bed.asked, PATH_BYTES, "%s/asked", bed.folder);
	snprintf(bed.trial, PATH_BYTES, "%s/trial", bed.folder);
	snprintf(bed.tried, PATH_BYTES, "%s/tried", bed.folder);
	put(bed.config, "a");
	put(bed.qemu, "a");
}

static void begin(uint64_t patience_ns)
{
	const struct tandem_qemu_match_options options = {
	        .places = {.pair = "vm1",
	                   .config_path = bed.config,
	                   .node = "b",
	                   .run_directory = "/run/b",
	                   .bin_directory = bed.folder},
	        .tries = bed.tries,
	        .look_ns = bed.look_ns ? bed.look_ns : LOOK_NS,
	        .patience_ns = patience_ns,
	        .trial_wait_ns_max = bed.trial_wait_ns_max ? bed.trial_wait_ns_max : SURE_NS,
	        .on_change = on_change,
	};
	struct tandem_error error;

	bed.base = event_base_new();
	cr_assert_eq(tandem_qemu_match_new(bed.base, &options, &bed.match, &error), 0);
}

static void end(void)
{
	char command[PATH_BYTES];

	tandem_qemu_match_free(bed.match);
	event_base_free(bed.base);
	snprintf(command, sizeof(command), "rm -r '%s'", bed.folder);
	cr_expect_eq(system(command), 0);
}

static int judge(void)
{
	return tandem_qemu_match_judge(bed.match, NEEDED, bed.reason, sizeof(bed.reason));
}

/* The file has a line for each question. */
static unsigned count_lines(const char *path)
{
	struct stat file;

	return stat(path, &file) == 0 ? (unsigned)file.st_size : 0;
}

static unsigned asked_count(void)
{
	return count_lines(bed.asked);
}

static void run_for(uint64_t ns)
{
	const struct timeval interval = tandem_clock_timeval(ns);

	event_base_loopexit(bed.base, &interval);
	event_base_dispatch(bed.base);
}

/* Until it is known, and was told. */
static void wait_judged(int code)
{
	const uint64_t until_ns = tandem_clock_now_ns() + SURE_NS;
	const unsigned count = bed.change_count;

	while ((bed.change_count == count || judge() != code) && tandem_clock_now_ns() < until_ns)
		run_for(LOOK_NS / 4);
	cr_assert_eq(judge(), code, "%s", bed.reason);
	cr_assert_gt(bed.change_count, count);
}

static bool has_line(const char *line)
{
	char path[PATH_BYTES + 8], got[200];
	bool is_there = false;

	snprintf(path, sizeof(path), "%s.env", bed.asked);
	FILE *file = fopen(path, "r");
	while (file && !is_there && fgets(got, sizeof(got), file)) {
		got[strcspn(got, "\n")] = 0;
		is_there = strcmp(got, line) == 0;
	}
	if (file)
		fclose(file);
	return is_there;
}

Test(qemu_match, it_is_asked_again_when_a_file_is_another_one)
{
	make_folder();
	answer("identity", NEEDED);
	begin(SURE_NS);
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	wait_judged(0);
	run_for(5 * LOOK_NS);
	cr_expect_eq(asked_count(), 1);

	put(bed.qemu, "other");
	answer("identity", OTHER);
	cr_expect_eq(judge(), TANDEM_E_AGAIN, "the answer was of another one");
	wait_judged(TANDEM_E_UNSUPPORTED);
	cr_expect_str_eq(bed.reason,
	                 OTHER " seen, " NEEDED " needed: install the same QEMU on both nodes");
	answer("identity", NEEDED);
	put(bed.config, "other");
	wait_judged(0);
	end();
}

/* A hand-over waits for it. */
Test(qemu_match, whoever_finds_a_file_exchanged_does_not_wait_for_the_next_look)
{
	make_folder();
	bed.look_ns = 2 * SURE_NS;
	answer("identity", NEEDED);
	begin(SURE_NS);
	wait_judged(0);
	put(bed.qemu, "other");
	answer("identity", OTHER);
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	wait_judged(TANDEM_E_UNSUPPORTED);
	end();
}

/* Who was told to ask again is called, although no look at the files has found another one. */
Test(qemu_match, one_that_was_away_between_two_looks_is_asked_again)
{
	char kept[PATH_BYTES + 8];

	make_folder();
	answer("identity", NEEDED);
	begin(SURE_NS);
	wait_judged(0);
	snprintf(kept, sizeof(kept), "%s.kept", bed.qemu);
	cr_assert_eq(rename(bed.qemu, kept), 0);
	put(bed.qemu, "other");
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	cr_assert_eq(rename(kept, bed.qemu), 0);
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	wait_judged(0);
	end();
}

/* One that is exchanged while it is asked: the answer is of the old one. */
Test(qemu_match, the_mark_is_of_before_the_question)
{
	make_folder();
	answer("identity", OTHER);
	put(bed.qemu, "other");
	begin(SURE_NS);
	wait_judged(TANDEM_E_AGAIN);
	answer("identity", NEEDED);
	wait_judged(0);
	end();
}

Test(qemu_match, failures_count_from_the_third_on_and_are_asked_for_ever_later)
{
	make_folder();
	answer("identity", NEEDED);
	begin(SURE_NS);
	wait_judged(0);
	put(bed.qemu, "other");
	answer("error", "QEMU 11.1.4 knows no machine x");
	wait_judged(TANDEM_E_UNSUPPORTED);
	cr_expect_geq(asked_count(), 1 + 3);
	cr_expect_str_eq(bed.reason, "QEMU 11.1.4 knows no machine x; " NEEDED
	                             " needed: install that, or correct protect.command");
	const unsigned count = asked_count();
	run_for(40 * LOOK_NS);
	cr_expect_leq(asked_count(), count + 6, "%u after %u", asked_count(), count);
	/* A file that is another one is asked at once. */
	put(bed.qemu, "right");
	answer("identity", NEEDED);
	wait_judged(0);
	end();
}

Test(qemu_match, one_that_hangs_is_a_failure)
{
	make_folder();
	put(bed.program, "#!/bin/sh\nexec sleep 60\n");
	begin(5 * LOOK_NS);
	wait_judged(TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(bed.reason, "hangs"), "%s", bed.reason);
	end();
}

Test(qemu_match, the_question_has_the_environment_of_a_take_over)
{
	char line[PATH_BYTES];

	make_folder();
	setenv("TANDEM_FOREIGN", "1", 1);
	answer("identity", NEEDED);
	begin(SURE_NS);
	wait_judged(0);
	snprintf(line, sizeof(line), "TANDEM_BIN_DIR=%s", bed.folder);
	cr_expect(has_line(line));
	cr_expect(has_line("TANDEM_NODE=b"));
	cr_expect(has_line("TANDEM_RUN_DIR=/run/b"));
	cr_expect(!has_line("TANDEM_FOREIGN=1"));
	end();
}

static void wait_tried(unsigned count)
{
	const uint64_t until_ns = tandem_clock_now_ns() + SURE_NS;

	while (count_lines(bed.tried) < count && tandem_clock_now_ns() < until_ns)
		run_for(LOOK_NS / 4);
	cr_assert_geq(count_lines(bed.tried), count);
}

static int wait_known(void)
{
	const uint64_t until_ns = tandem_clock_now_ns() + SURE_NS;

	while (judge() == TANDEM_E_AGAIN && tandem_clock_now_ns() < until_ns)
		run_for(LOOK_NS / 4);
	return judge();
}

static void begin_with_trials(const char *command)
{
	make_folder();
	bed.tries = true;
	answer("identity", NEEDED);
	answer_trial(command);
	begin(SURE_NS);
}

Test(qemu_match, it_is_tried_once_when_this_node_is_asked)
{
	begin_with_trials("echo '{\"trial\":\"well\"}'");
	while (bed.change_count == 0 && asked_count() < 2)
		run_for(LOOK_NS);
	run_for(5 * LOOK_NS);
	cr_expect_eq(count_lines(bed.tried), 0, "a guest may run here");
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	cr_expect_str_eq(bed.reason, "its QEMU is started on trial");
	wait_judged(0);
	run_for(5 * LOOK_NS);
	cr_expect_eq(count_lines(bed.tried), 1);
	end();
}

Test(qemu_match, one_that_does_not_start_is_tried_again_ever_later)
{
	begin_with_trials("echo '{\"trial\":\"failed\",\"error\":\"no firmware\"}'");
	wait_judged(TANDEM_E_UNSUPPORTED);
	cr_expect_str_eq(bed.reason,
	                 "its QEMU does not start: no firmware; mend that: it is tried again "
	                 "within 20 s");
	run_for(40 * LOOK_NS);
	cr_expect_leq(count_lines(bed.tried), 7);
	wait_tried(2);
	answer_trial("echo '{\"trial\":\"well\"}'");
	wait_judged(0);
	end();
}

/* What it lacks is put there without anybody telling. */
Test(qemu_match, one_that_does_not_start_is_not_tried_ever_later_than_is_said)
{
	bed.trial_wait_ns_max = 2 * LOOK_NS;
	begin_with_trials("echo '{\"trial\":\"failed\",\"error\":\"no firmware\"}'");
	wait_judged(TANDEM_E_UNSUPPORTED);
	wait_tried(12); /* with waits that double without end that would be 80 s */
	end();
}

/* A take-over that comes meanwhile waits for it. */
Test(qemu_match, one_that_went_well_is_tried_again_at_once_when_it_is_doubted)
{
	begin_with_trials("echo '{\"trial\":\"failed\",\"error\":\"no firmware\"}'");
	wait_judged(TANDEM_E_UNSUPPORTED);
	wait_tried(7);
	answer_trial("echo '{\"trial\":\"well\"}'");
	wait_judged(0);
	const unsigned count = count_lines(bed.tried);
	tandem_qemu_match_doubt(bed.match);
	wait_tried(count + 1);
	cr_expect_eq(wait_known(), 0);
	end();
}

/* A copy that is held already is not held in vain. */
Test(qemu_match, what_was_exchanged_is_tried_again_without_being_asked)
{
	begin_with_trials("echo '{\"trial\":\"well\"}'");
	wait_judged(0);
	answer_trial("echo '{\"trial\":\"failed\",\"error\":\"no firmware\"}'");
	put(bed.config, "other");
	wait_tried(2);
	cr_expect_eq(wait_known(), TANDEM_E_UNSUPPORTED);
	end();
}

Test(qemu_match, none_is_tried_beside_a_guest)
{
	begin_with_trials("exec sleep 60");
	while (bed.change_count == 0)
		run_for(LOOK_NS);
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	wait_tried(1);
	tandem_qemu_match_forget_trial(bed.match);
	run_for(10 * LOOK_NS);
	cr_expect_eq(count_lines(bed.tried), 1, "the guest is here now");
	answer_trial("echo '{\"trial\":\"busy\",\"error\":\"process 7 (nc) has to end, it listens "
	             "at /run/b/vm1.qmp\"}'");
	cr_expect_eq(judge(), TANDEM_E_AGAIN);
	wait_tried(3);
	cr_expect_eq(judge(), TANDEM_E_AGAIN, "the other one ends first");
	cr_expect_str_eq(bed.reason, "its QEMU is not tried yet: process 7 (nc) has to end, it "
	                             "listens at /run/b/vm1.qmp");
	answer_trial("echo '{\"trial\":\"well\"}'");
	wait_judged(0);
	end();
}
