#include "qemu_match.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "file_mark.h"

#define FAILURES     3 /* one after the other, before they count: a package may just be unpacked */
#define ANSWER_BYTES (PATH_MAX + 1024)
#define TEXT_BYTES   200
#define WAIT_NS_MAX  (60 * TANDEM_NS_PER_S)

struct tandem_qemu_match {
	struct tandem_qemu_match_options options;
	struct event_base *base;
	struct event *timer;
	/* of the question that is asked */
	struct event *reading; /* NULL: none is */
	pid_t process;
	size_t length;
	char answer[ANSWER_BYTES];
	/* of the answer */
	unsigned failure_count;
	uint64_t wait_ns; /* from a failure to the next question */
	uint64_t ask_at_ns;

	pthread_mutex_t lock; /* written by the loop's thread only, but for is_stale */
	char program[PATH_MAX];
	char program_mark[TANDEM_FILE_MARK_BYTES]; /* before it was asked */
	char config_mark[TANDEM_FILE_MARK_BYTES];
	bool is_known;
	bool is_stale; /* a file was seen to be another one, and the answer is still the old one */
	char identity[TEXT_BYTES]; /* "": there is none */
	char error[TEXT_BYTES];    /* why */
};

static bool is_as_asked(const struct tandem_qemu_match *match)
{
	return tandem_file_has_mark(match->program, match->program_mark) &&
	       tandem_file_has_mark(match->options.places.config_path, match->config_mark);
}

/* Under the lock. Until the next answer: who was told AGAIN waits for on_change, even if the old
 * file is back by then. */
static void look_whether_stale(struct tandem_qemu_match *match)
{
	match->is_stale = match->is_stale || (match->is_known && !is_as_asked(match));
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *text = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &text) ||
	    !json_object_is_type(text, json_type_string))
		return "";
	return json_object_get_string(text);
}

/* True: it is another one than before. */
static bool keep(struct tandem_qemu_match *match, const char *identity, const char *error,
                 bool *ret_was_stale)
{
	pthread_mutex_lock(&match->lock);
	const bool is_other = !match->is_known || strcmp(match->identity, identity) != 0;
	*ret_was_stale = match->is_stale;
	match->is_known = true;
	match->is_stale = false;
	snprintf(match->identity, sizeof(match->identity), "%s", identity);
	snprintf(match->error, sizeof(match->error), "%s", error);
	pthread_mutex_unlock(&match->lock);
	return is_other;
}

static void tell(struct tandem_qemu_match *match, const char *identity, const char *error)
{
	bool was_stale;

	match->failure_count = identity[0] ? 0 : match->failure_count + 1;
	if (match->failure_count > FAILURES)
		match->wait_ns =
		        match->wait_ns < WAIT_NS_MAX / 2 ? 2 * match->wait_ns : WAIT_NS_MAX;
	match->ask_at_ns = tandem_clock_now_ns() + match->wait_ns;
	if (identity[0] == 0 && match->failure_count < FAILURES)
		return;
	const bool is_other = keep(match, identity, error, &was_stale);
	if (is_other)
		tandem_log(identity[0] ? TANDEM_LOG_INFO : TANDEM_LOG_ERROR,
		           "pair %s: a guest would go on here in %s%s", match->options.places.pair,
		           identity[0] ? identity : "nothing: ", identity[0] ? "" : error);
	if (is_other || was_stale)
		match->options.on_change(match->options.argument);
}

static void take_answer(struct tandem_qemu_match *match)
{
	struct json_object *object = NULL;

	match->answer[match->length] = 0;
	object = json_tokener_parse(match->answer);
	const char *identity = text_of(object, "identity"), *error = text_of(object, "error");
	pthread_mutex_lock(&match->lock);
	if (text_of(object, "program")[0]) {
		snprintf(match->program, sizeof(match->program), "%s", text_of(object, "program"));
		snprintf(match->program_mark, sizeof(match->program_mark), "%s",
		         text_of(object, "file"));
	}
	pthread_mutex_unlock(&match->lock);
	tell(match, identity, error[0] ? error : "tandem-qemu --identity has said nothing");
	json_object_put(object);
}

static void end_question(struct tandem_qemu_match *match)
{
	close(event_get_fd(match->reading));
	event_free(match->reading);
	match->reading = NULL;
	waitpid(match->process, NULL, 0);
}

static void give_up(struct tandem_qemu_match *match)
{
	kill(match->process, SIGKILL);
	end_question(match);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_match *match = context;
	const size_t room = sizeof(match->answer) - 1 - match->length;

	if (what & EV_TIMEOUT) {
		give_up(match);
		tell(match, "", "tandem-qemu --identity hangs");
		return;
	}
	const ssize_t got = room > 0 ? read(fd, match->answer + match->length, room) : 0;
	if (got > 0) {
		match->length += (size_t)got;
		return;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end_question(match);
	take_answer(match);
}

static bool spawn(struct tandem_qemu_match *match, int answer_fd)
{
	const struct tandem_places *places = &match->options.places;
	char path[PATH_MAX], *variables[TANDEM_ENVIRONMENT_MAX];
	const char *words[] = {path,     "--config",   places->config_path, "--node", places->node,
	                       "--pair", places->pair, "--identity",        NULL};
	struct tandem_environment environment;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;

	snprintf(path, sizeof(path), "%.4000s/tandem-qemu", places->bin_directory);
	tandem_environment_init(&environment, places);
	tandem_environment_list(&environment, variables);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, answer_fd, STDOUT_FILENO);
	const int failure = posix_spawn(&match->process, path, &actions, &attributes,
	                                (char *const *)(uintptr_t)words, variables);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return failure == 0;
}

static struct timeval interval_of(uint64_t ns)
{
	return (struct timeval){.tv_sec = (time_t)(ns / TANDEM_NS_PER_S),
	                        .tv_usec = (suseconds_t)(ns % TANDEM_NS_PER_S / 1000)};
}

static bool await_answer(struct tandem_qemu_match *match, int fd)
{
	const struct timeval patience = interval_of(match->options.patience_ns);

	match->reading = event_new(match->base, fd, EV_READ | EV_PERSIST, on_readable, match);
	return match->reading && event_add(match->reading, &patience) == 0;
}

static void ask(struct tandem_qemu_match *match)
{
	int ends[2];

	match->length = 0;
	pthread_mutex_lock(&match->lock);
	look_whether_stale(match);
	tandem_file_mark(match->options.places.config_path, match->config_mark);
	tandem_file_mark(match->program, match->program_mark);
	pthread_mutex_unlock(&match->lock);
	if (pipe2(ends, O_CLOEXEC) != 0) {
		tell(match, "", "tandem-qemu --identity cannot be asked: no pipe");
		return;
	}
	const bool is_asked = spawn(match, ends[1]);
	close(ends[1]);
	if (is_asked && await_answer(match, ends[0]))
		return;
	if (match->reading)
		event_free(match->reading);
	match->reading = NULL;
	close(ends[0]);
	if (is_asked) {
		kill(match->process, SIGKILL);
		waitpid(match->process, NULL, 0);
	}
	tell(match, "", "tandem-qemu --identity cannot be started");
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_match *match = context;

	(void)fd;
	(void)what;
	pthread_mutex_lock(&match->lock);
	const bool is_other = match->is_stale || !is_as_asked(match);
	pthread_mutex_unlock(&match->lock);
	if (is_other || match->failure_count == 0)
		match->wait_ns = match->options.look_ns;
	if (!match->reading &&
	    (is_other || (match->failure_count > 0 && tandem_clock_now_ns() >= match->ask_at_ns)))
		ask(match);
}

int tandem_qemu_match_new(struct event_base *base, const struct tandem_qemu_match_options *options,
                          struct tandem_qemu_match **ret_match, struct tandem_error *reterr_error)
{
	const struct timeval interval = interval_of(options->look_ns);
	struct tandem_qemu_match *match = tandem_memory_alloc(sizeof(*match));

	if (match) {
		pthread_mutex_init(&match->lock, NULL);
		match->base = base;
		match->options = *options;
		match->wait_ns = options->look_ns;
		match->timer = event_new(base, -1, EV_PERSIST, on_timer, match);
	}
	if (!match || !match->timer || event_add(match->timer, &interval) != 0) {
		tandem_qemu_match_free(match);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	}
	ask(match);
	*ret_match = match;
	return 0;
}

int tandem_qemu_match_judge(struct tandem_qemu_match *match, const char *needs, char *ret_reason,
                            size_t reason_bytes)
{
	int code = 0;

	pthread_mutex_lock(&match->lock);
	look_whether_stale(match);
	if (!match->is_known || match->is_stale) {
		code = TANDEM_E_AGAIN;
		snprintf(ret_reason, reason_bytes, "its QEMU is asked for its version");
	} else if (strcmp(match->identity, needs) != 0) {
		code = TANDEM_E_UNSUPPORTED;
		if (match->identity[0])
			snprintf(ret_reason, reason_bytes,
			         "%.60s seen, %.60s needed: install the same QEMU on both nodes",
			         match->identity, needs);
		else
			snprintf(ret_reason, reason_bytes,
			         "%.60s; %.50s needed: install that, or correct protect.command",
			         match->error, needs);
	}
	pthread_mutex_unlock(&match->lock);
	return code;
}

void tandem_qemu_match_free(struct tandem_qemu_match *match)
{
	if (!match)
		return;
	if (match->reading)
		give_up(match);
	if (match->timer)
		event_free(match->timer);
	pthread_mutex_destroy(&match->lock);
	tandem_memory_free(match);
}
