#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/qemu_watch.h>
#include <unistd.h>

#define LIMIT_NS   (100 * TANDEM_NS_PER_MS)
#define LONG_NS    (30 * TANDEM_NS_PER_S)
#define LINE_BYTES 512
#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 1, \"major\": 11}, "         \
	"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"

/* The watch in a process of its own, as it is used, and we are QEMU. It ends with 10 and how often
 * it let the guest go. */
struct bed {
	char path[64];
	int listener;
	int watch; /* our end of its socket */
	pid_t process;
	FILE *lines;
};

static unsigned refusals_left;

static bool on_release(void *context, uint64_t stood_ns)
{
	unsigned *release_count = context;

	if (refusals_left > 0) {
		refusals_left--;
		return false;
	}
	if (stood_ns >= LIMIT_NS)
		++*release_count;
	return true;
}

static void be_watch(const char *path)
{
	unsigned release_count = 0;

	signal(SIGPIPE, SIG_IGN);
	const int code = tandem_qemu_watch_run(
	        &(struct tandem_qemu_watch_options){.qmp_path = path,
	                                            .pause_timeout_ns = LIMIT_NS,
	                                            .start_timeout_ns = LONG_NS,
	                                            .command_timeout_ns = LONG_NS,
	                                            .on_release = on_release,
	                                            .context = &release_count},
	        NULL);
	_exit(code == 0 ? 10 + (int)release_count : 1);
}

static void say(struct bed *bed, const char *line)
{
	cr_assert_eq(write(bed->watch, line, strlen(line)), (ssize_t)strlen(line));
}

/* The next line that it says has this in it; answered as what it names is. */
static void expect_and_answer(struct bed *bed, const char *part, const char *answer)
{
	char line[LINE_BYTES], text[LINE_BYTES];

	cr_assert(fgets(line, sizeof(line), bed->lines) != NULL, "it says nothing instead of %s",
	          part);
	cr_assert(strstr(line, part) != NULL, "it says %s instead of %s", line, part);
	const char *id = strstr(line, "\"id\":");
	cr_assert(id != NULL);
	snprintf(text, sizeof(text), "{\"return\": %s, \"id\": %d}\r\n", answer, atoi(id + 5));
	say(bed, text);
}

static void begin(struct bed *bed)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(bed->path, sizeof(bed->path), "/tmp/tandem-watch-%d", (int)getpid());
	memcpy(address.sun_path, bed->path, sizeof(bed->path));
	unlink(bed->path);
	bed->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(bed->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(bed->listener, 1), 0);
	bed->process = fork();
	if (bed->process == 0)
		be_watch(bed->path);
	bed->watch = accept(bed->listener, NULL, NULL);
	bed->lines = fdopen(dup(bed->watch), "r");
	say(bed, GREETING);
	expect_and_answer(bed, "qmp_capabilities", "{}");
}

/* QEMU ends. What the watch did about the guest. */
static int end(struct bed *bed)
{
	int status = 0;

	fclose(bed->lines);
	shutdown(bed->watch, SHUT_RDWR);
	close(bed->watch);
	close(bed->listener);
	cr_assert_eq(waitpid(bed->process, &status, 0), bed->process);
	unlink(bed->path);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void be_silent_for(struct bed *bed, uint64_t time_ns)
{
	const struct timeval time = {.tv_usec = (suseconds_t)(time_ns / TANDEM_NS_PER_US)};
	char byte;

	setsockopt(bed->watch, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	cr_assert_lt(recv(bed->watch, &byte, 1, MSG_PEEK), 0, "it says something");
	setsockopt(bed->watch, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0},
	           sizeof(struct timeval));
}

#define EVENT(name)                                                                                \
	"{\"event\": \"" name "\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\r\n"

Test(watch, a_guest_that_waits_for_a_checkpoint_is_let_go)
{
	struct bed bed;

	begin(&bed);
	say(&bed, EVENT("STOP"));
	expect_and_answer(&bed, "query-status", "{\"status\": \"colo\", \"running\": false}");
	expect_and_answer(&bed, "\"exec-oob\":\"yank\"", "{}");
	expect_and_answer(&bed, "x-colo-lost-heartbeat", "{}");
	say(&bed, EVENT("RESUME"));
	cr_assert_eq(end(&bed), 11);
}

Test(watch, a_main_loop_that_is_silent_is_one_that_sends_to_nobody)
{
	struct bed bed;
	char line[LINE_BYTES];

	begin(&bed);
	say(&bed, EVENT("STOP"));
	cr_assert(fgets(line, sizeof(line), bed.lines) && strstr(line, "query-status"));
	expect_and_answer(&bed, "\"exec-oob\":\"yank\"", "{}");
	expect_and_answer(&bed, "x-colo-lost-heartbeat", "{}");
	cr_assert_eq(end(&bed), 11);
}

Test(watch, a_guest_that_its_operator_stopped_stays_stopped)
{
	struct bed bed;

	begin(&bed);
	say(&bed, EVENT("STOP"));
	expect_and_answer(&bed, "query-status", "{\"status\": \"paused\", \"running\": false}");
	be_silent_for(&bed, 4 * LIMIT_NS);
	cr_assert_eq(end(&bed), 10);
}

Test(watch, checkpoints_that_end_in_time_are_none_of_its_business)
{
	struct bed bed;

	begin(&bed);
	for (unsigned i = 0; i < 100; i++)
		say(&bed, EVENT("STOP") EVENT("RESUME"));
	be_silent_for(&bed, 4 * LIMIT_NS);
	cr_assert_eq(end(&bed), 10);
}

Test(watch, a_guest_that_may_not_go_now_is_let_go_when_it_may)
{
	struct bed bed;

	refusals_left = 3;
	begin(&bed);
	say(&bed, EVENT("STOP"));
	expect_and_answer(&bed, "query-status", "{\"status\": \"colo\", \"running\": false}");
	expect_and_answer(&bed, "\"exec-oob\":\"yank\"", "{}");
	expect_and_answer(&bed, "x-colo-lost-heartbeat", "{}");
	say(&bed, EVENT("RESUME"));
	cr_assert_eq(end(&bed), 11);
}
