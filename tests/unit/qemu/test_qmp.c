#include <criterion/criterion.h>

#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "shell/qmp.h"

#define TRACE_BYTES 1024
#define LONG_NS     (60 * TANDEM_NS_PER_S)
#define SHORT_NS    (20 * TANDEM_NS_PER_MS)
#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "         \
	"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define CAPABILITIES                                                                               \
	"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":1}\n"

/* A client, the server's end of its socket, and what the client told: a word for each. */
struct bed {
	struct event_base *base;
	struct event *guard;
	struct tandem_qmp *qmp;
	int server;
	char trace[TRACE_BYTES];
	int end_code;
	const char *closes_at; /* the word at which the client is closed */
};

static void add(struct bed *bed, const char *word)
{
	const size_t length = strlen(bed->trace);

	snprintf(bed->trace + length, TRACE_BYTES - length, "%s%s", length > 0 ? " " : "", word);
	if (bed->closes_at && strcmp(bed->closes_at, word) == 0) {
		tandem_qmp_close(bed->qmp);
		bed->qmp = NULL;
	}
}

static void on_ready(void *context, const struct tandem_qemu_numbers *version)
{
	char word[64];

	snprintf(word, sizeof(word), "ready-%u.%u.%u", version->major, version->minor,
	         version->micro);
	add(context, word);
}

static void on_event(void *context, const char *name, struct json_object *data)
{
	char word[128];

	snprintf(word, sizeof(word), "%s%s", name, data ? json_object_get_string(data) : "");
	add(context, word);
}

static void on_end(void *context, const struct tandem_error *error)
{
	struct bed *bed = context;

	cr_assert_gt(strlen(error->detail), 0);
	bed->end_code = error->code;
	add(bed, "end");
}

static void on_answer(void *context, struct json_object *value, const struct tandem_error *error)
{
	char word[128];

	snprintf(word, sizeof(word), "%s",
	         error ? tandem_error_name(error->code) : json_object_get_string(value));
	add(context, word);
}

static void on_guard(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	cr_assert_fail("nothing happened for 30 s; so far: %s", ((struct bed *)context)->trace);
}

static void begin(struct bed *bed)
{
	const struct tandem_qmp_handler handler = {on_ready, on_event, on_end, bed};
	const struct timeval guard = {.tv_sec = 30};
	int sockets[2];

	signal(SIGPIPE, SIG_IGN); /* as the programs do */
	*bed = (struct bed){.base = event_base_new()};
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	bed->server = sockets[1];
	bed->guard = evtimer_new(bed->base, on_guard, bed);
	event_add(bed->guard, &guard);
	cr_assert_eq(tandem_qmp_open(bed->base, sockets[0], LONG_NS, &handler, &bed->qmp, NULL), 0);
}

static void finish(struct bed *bed)
{
	tandem_qmp_close(bed->qmp);
	event_free(bed->guard);
	event_base_free(bed->base);
	close(bed->server);
}

/* The server's turn. */
static void say(const struct bed *bed, const char *text)
{
	cr_assert_eq(write(bed->server, text, strlen(text)), (ssize_t)strlen(text));
}

/* The client's turn, until it has told `trace`. */
static void expect(struct bed *bed, const char *trace)
{
	while (strlen(bed->trace) < strlen(trace))
		cr_assert_eq(event_base_loop(bed->base, EVLOOP_ONCE), 0);
	cr_assert_str_eq(bed->trace, trace, "told: %s", bed->trace);
}

static void expect_sent(struct bed *bed, const char *text)
{
	char sent[512] = "";
	size_t length = 0;

	while (length < strlen(text)) {
		event_base_loop(bed->base, EVLOOP_NONBLOCK);
		const ssize_t got =
		        recv(bed->server, sent + length, sizeof(sent) - 1 - length, MSG_DONTWAIT);
		length += got > 0 ? (size_t)got : 0;
	}
	cr_assert_str_eq(sent, text, "sent: %s", sent);
}

static int execute(struct bed *bed, const char *command, uint64_t timeout_ns)
{
	return tandem_qmp_execute(bed->qmp, command, NULL, timeout_ns, on_answer, bed, NULL);
}

static int execute_out_of_band(struct bed *bed, const char *command)
{
	return tandem_qmp_execute_out_of_band(bed->qmp, command, NULL, LONG_NS, on_answer, bed,
	                                      NULL);
}

/* Of what the client sends next; it counts on from one conversation to the next. */
static int read_id(struct bed *bed)
{
	char sent[512] = "";

	for (size_t length = 0; !strchr(sent, '\n');) {
		event_base_loop(bed->base, EVLOOP_NONBLOCK);
		const ssize_t got =
		        recv(bed->server, sent + length, sizeof(sent) - 1 - length, MSG_DONTWAIT);
		length += got > 0 ? (size_t)got : 0;
	}
	return atoi(strstr(sent, "\"id\":") + 5);
}

static void answer(const struct bed *bed, int id, const char *value)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"return\": %s, \"id\": %d}\r\n", value, id);
	say(bed, line);
}

static void begin_ready(struct bed *bed)
{
	begin(bed);
	say(bed, GREETING);
	answer(bed, read_id(bed), "{}");
	expect(bed, "ready-7.2.22");
}

Test(qmp, a_conversation_begins_with_commands_out_of_band)
{
	struct bed bed;

	begin_ready(&bed);
	finish(&bed);
}

Test(qmp, what_comes_in_pieces_is_one_line)
{
	struct bed bed;
	const char greeting[] = GREETING;

	begin(&bed);
	for (size_t i = 0; i < strlen(greeting); i++) {
		cr_assert_eq(write(bed.server, greeting + i, 1), 1);
		event_base_loop(bed.base, EVLOOP_NONBLOCK);
	}
	expect_sent(&bed, CAPABILITIES);
	finish(&bed);
}

Test(qmp, answers_find_their_commands_in_any_order)
{
	struct bed bed;
	struct json_object *arguments = json_object_new_object();

	begin_ready(&bed);
	json_object_object_add(arguments, "uri", json_object_new_string("unix:/run/x"));
	cr_assert_eq(
	        tandem_qmp_execute(bed.qmp, "migrate", arguments, LONG_NS, on_answer, &bed, NULL),
	        0);
	cr_assert_eq(execute_out_of_band(&bed, "yank"), 0);
	expect_sent(&bed, "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"unix:\\/run\\/x\"},"
	                  "\"id\":2}\n{\"exec-oob\":\"yank\",\"id\":3}\n");
	say(&bed, "{\"return\": \"second\", \"id\": 3}\r\n{\"return\": \"first\", \"id\": 2}\r\n");
	expect(&bed, "ready-7.2.22 second first");
	finish(&bed);
}

Test(qmp, an_answer_to_the_conversation_before_is_for_nobody)
{
	struct bed before, bed;

	begin_ready(&before);
	cr_assert_eq(execute(&before, "cont", LONG_NS), 0);
	finish(&before);
	begin(&bed);
	say(&bed, "{\"return\": {}, \"id\": 2}\r\n" GREETING);
	expect_sent(&bed, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},"
	                  "\"id\":3}\n");
	say(&bed, "{\"return\": {}, \"id\": 3}\r\n");
	expect(&bed, "ready-7.2.22");
	finish(&bed);
}

Test(qmp, a_refusal_says_why)
{
	struct bed bed;

	begin_ready(&bed);
	cr_assert_eq(execute(&bed, "x-colo-lost-heartbeat", LONG_NS), 0);
	say(&bed, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no COLO\"}}\n");
	expect(&bed, "ready-7.2.22 REFUSED");
	finish(&bed);
}

Test(qmp, events_are_told_once_it_is_ready)
{
	struct bed bed;

	begin(&bed);
	say(&bed, "{\"event\": \"EARLY\"}\r\n" GREETING);
	expect_sent(&bed, CAPABILITIES);
	say(&bed, "{\"return\": {}, \"id\": 1}\r\n"
	          "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n"
	          "{\"event\": \"COLO_EXIT\", \"data\": {\"reason\": \"error\"}}\r\n");
	expect(&bed, "ready-7.2.22 STOP COLO_EXIT{ \"reason\": \"error\" }");
	finish(&bed);
}

Test(qmp, a_command_has_a_deadline_and_its_late_answer_is_for_nobody)
{
	struct bed bed;

	begin_ready(&bed);
	cr_assert_eq(execute(&bed, "query-status", SHORT_NS), 0);
	expect(&bed, "ready-7.2.22 TIMEOUT");
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
	say(&bed, "{\"return\": \"late\", \"id\": 2}\r\n{\"return\": \"now\", \"id\": 3}\r\n");
	expect(&bed, "ready-7.2.22 TIMEOUT now");
	finish(&bed);
}

/* A full queue would keep QEMU from reading what comes out of band. */
Test(qmp, few_commands_wait_and_those_out_of_band_have_their_own_room)
{
	struct bed bed;

	begin_ready(&bed);
	for (unsigned i = 0; i < TANDEM_QMP_COMMANDS_MAX; i++)
		cr_assert_eq(execute(&bed, "query-status", SHORT_NS), 0);
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), TANDEM_E_AGAIN);
	expect(&bed, "ready-7.2.22 TIMEOUT TIMEOUT TIMEOUT TIMEOUT");
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), TANDEM_E_AGAIN,
	             "QEMU still has them in its queue");
	for (unsigned i = 0; i < TANDEM_QMP_OUT_OF_BAND_COMMANDS_MAX; i++)
		cr_assert_eq(execute_out_of_band(&bed, "yank"), 0);
	cr_assert_eq(execute_out_of_band(&bed, "yank"), TANDEM_E_AGAIN);
	say(&bed, "{\"return\": {}, \"id\": 2}\r\n{\"return\": \"yanked\", \"id\": 6}\r\n");
	expect(&bed, "ready-7.2.22 TIMEOUT TIMEOUT TIMEOUT TIMEOUT yanked");
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
	finish(&bed);
}

Test(qmp, its_end_is_told_behind_that_of_its_commands)
{
	struct bed bed;

	begin_ready(&bed);
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
	cr_assert_eq(execute_out_of_band(&bed, "yank"), 0);
	cr_assert_eq(shutdown(bed.server, SHUT_RDWR), 0);
	expect(&bed, "ready-7.2.22 PEER_LOST PEER_LOST end");
	cr_assert_eq(bed.end_code, TANDEM_E_PEER_LOST);
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), TANDEM_E_USAGE);
	finish(&bed);
}

Test(qmp, a_socket_that_says_nothing_has_a_deadline)
{
	struct bed bed;
	const struct tandem_qmp_handler handler = {on_ready, on_event, on_end, &bed};
	int sockets[2];

	begin(&bed);
	tandem_qmp_close(bed.qmp);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	cr_assert_eq(tandem_qmp_open(bed.base, sockets[0], SHORT_NS, &handler, &bed.qmp, NULL), 0);
	cr_assert_eq(execute(&bed, "query-status", LONG_NS), TANDEM_E_USAGE);
	expect(&bed, "end");
	cr_assert_eq(bed.end_code, TANDEM_E_TIMEOUT);
	finish(&bed);
	close(sockets[1]);
}

Test(qmp, without_commands_out_of_band_it_does_not_begin)
{
	struct bed bed;

	begin(&bed);
	say(&bed, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 9}}, "
	          "\"capabilities\": []}}\n");
	expect(&bed, "end");
	cr_assert_eq(bed.end_code, TANDEM_E_UNSUPPORTED);
	finish(&bed);
}

static const char *const strange_lines[] = {
        "\n",
        "QEMU 7.2.22 monitor - type 'help' for more information\n",
        "[]\n",
        "{}\n",
        "7\n",
        "{\"return\": {}}\n",
        "{\"return\": {}, \"id\": 99}\n",
        "{\"return\": {}, \"id\": -1}\n",
        "{\"return\": {}, \"id\": \"2\"}\n",
        "{\"id\": 2}\n",
        "{\"error\": {\"class\": \"GenericError\"}, \"id\": 2}\n",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid JSON\"}}\n",
        "{\"event\": \"STOP\"} {\"event\": \"STOP\"}\n",
        "{\"event\": \"ST\xff\"}\n",
        "{\"QMP\": {}}\n",
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": -1, \"minor\": 2, \"major\": 9}}, "
        "\"capabilities\": []}}\n",
        GREETING,
};

Test(qmp, what_is_no_qmp_ends_it)
{
	for (size_t i = 0; i < sizeof(strange_lines) / sizeof(strange_lines[0]); i++) {
		struct bed bed;

		begin_ready(&bed);
		cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
		say(&bed, strange_lines[i]);
		say(&bed, "{\"event\": \"STOP\"}\n");
		expect(&bed, "ready-7.2.22 PROTOCOL end");
		cr_expect_eq(bed.end_code, TANDEM_E_PROTOCOL, "%s", strange_lines[i]);
		finish(&bed);
	}
}

Test(qmp, a_line_has_an_end)
{
	struct bed bed;
	static char piece[4096];

	begin_ready(&bed);
	memset(piece, ' ', sizeof(piece));
	for (size_t i = 0; i < TANDEM_QMP_LINE_BYTES_MAX + sizeof(piece); i += sizeof(piece)) {
		(void)!send(bed.server, piece, sizeof(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
		event_base_loop(bed.base, EVLOOP_NONBLOCK);
	}
	expect(&bed, "ready-7.2.22 end");
	cr_assert_eq(bed.end_code, TANDEM_E_PROTOCOL);
	finish(&bed);
}

Test(qmp, a_line_with_a_zero_or_too_deep_is_refused)
{
	struct tandem_qmp_message message;
	char deep[256] = "{\"return\": ";

	cr_assert_eq(tandem_qmp_message_parse("{\"event\": \"A\"}\0", 15, &message, NULL),
	             TANDEM_E_PROTOCOL);
	memset(deep + strlen(deep), '[', 100);
	memset(deep + strlen(deep), ']', 100);
	strcat(deep, "}");
	cr_assert_eq(tandem_qmp_message_parse(deep, strlen(deep), &message, NULL),
	             TANDEM_E_PROTOCOL);
}

static const char *const closing_words[] = {"ready-7.2.22", "STOP", "done", "PEER_LOST", "end"};

Test(qmp, it_may_be_closed_from_within_whatever_it_tells)
{
	for (size_t i = 0; i < sizeof(closing_words) / sizeof(closing_words[0]); i++) {
		struct bed bed;
		size_t length;

		begin(&bed);
		bed.closes_at = closing_words[i];
		say(&bed, GREETING);
		const int id = read_id(&bed);
		answer(&bed, id, "{}");
		while (strlen(bed.trace) == 0)
			event_base_loop(bed.base, EVLOOP_ONCE);
		if (bed.qmp) {
			cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
			cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
			cr_assert_eq(execute(&bed, "query-status", LONG_NS), 0);
			say(&bed, "{\"event\": \"STOP\"}\n");
			answer(&bed, id + 1, "\"done\"");
			shutdown(bed.server, SHUT_WR);
		}
		while (bed.qmp)
			event_base_loop(bed.base, EVLOOP_ONCE);
		length = strlen(closing_words[i]);
		cr_expect_str_eq(bed.trace + strlen(bed.trace) - length, closing_words[i],
		                 "it told more: %s", bed.trace);
		event_base_loop(bed.base, EVLOOP_NONBLOCK);
		finish(&bed);
	}
}

Test(qmp, a_path_is_checked_and_named)
{
	struct tandem_error error = {0};
	struct tandem_qmp *qmp = NULL;
	struct event_base *base = event_base_new();
	const struct tandem_qmp_handler handler = {on_ready, on_event, on_end, NULL};
	char path[200];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	cr_assert_eq(tandem_qmp_connect(base, path, LONG_NS, &handler, &qmp, &error),
	             TANDEM_E_CONFIG);
	cr_assert_eq(tandem_qmp_connect(base, "/nonexistent/qmp", LONG_NS, &handler, &qmp, &error),
	             TANDEM_E_SYSTEM);
	cr_assert(strstr(error.detail, "/nonexistent/qmp"), "%s", error.detail);
	cr_assert_null(qmp);
	event_base_free(base);
}
