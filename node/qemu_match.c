#include "qemu_match.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "file_mark.h"
#include "json_text.h"

#define FAILURES     3 /* one after the other, before they count: a package may just be unpacked */
#define ANSWER_BYTES (PATH_MAX + 1024)
#define TEXT_BYTES   200

#define QUESTION_WAIT_NS_MAX (60 * TANDEM_NS_PER_S)

enum trial { TRIAL_NONE, TRIAL_WELL, TRIAL_FAILED };

/* From a failure to the next question: as long as the last one, and again. */
struct pause {
	uint64_t wait_ns, wait_ns_max;
	uint64_t until_ns;
};

struct tandem_qemu_match {
	struct tandem_qemu_match_options options;
	struct event_base *base;
	struct event *timer;
	struct event *wish; /* somebody waits for an answer, as an eventfd(2) tells */
	int wish_fd;
	/* of the question that is asked */
	struct event *reading; /* NULL: none is */
	bool is_of_trial;
	size_t length;
	char answer[ANSWER_BYTES];
	/* of the answer */
	unsigned failure_count;
	struct pause pause, trial_pause;

	/* Written by the loop's thread only, but for is_stale and what becomes of a trial. */
	pthread_mutex_t lock;
	pid_t process; /* that is asked; 0: none */
	char program[PATH_MAX];
	char program_mark[TANDEM_FILE_MARK_BYTES]; /* before it was asked */
	char config_mark[TANDEM_FILE_MARK_BYTES];
	bool is_known;
	bool is_stale; /* a file was seen to be another one, and the answer is still the old one */
	char identity[TEXT_BYTES]; /* "": there is none */
	char error[TEXT_BYTES];    /* why */
	bool is_trial_wanted;
	enum trial trial;
	char trial_error[TEXT_BYTES]; /* also why there is none yet; "": it is under way, or well */
};

static void pause_longer(struct pause *pause)
{
	pause->wait_ns =
	        pause->wait_ns < pause->wait_ns_max / 2 ? 2 * pause->wait_ns : pause->wait_ns_max;
}

static void pause_from_now(struct pause *pause)
{
	pause->until_ns = tandem_clock_now_ns() + pause->wait_ns;
}

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

/* Under the lock. */
static void forget_answer(struct tandem_qemu_match *match)
{
	match->trial = TRIAL_NONE;
	match->trial_error[0] = 0;
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
	match->is_trial_wanted |= match->trial != TRIAL_NONE;
	forget_answer(match);
	match->trial_pause.until_ns = 0;
	match->trial_pause.wait_ns = match->options.look_ns;
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
		pause_longer(&match->pause);
	pause_from_now(&match->pause);
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

/* A first failure is told, and what is another one. */
static void tell_trial(struct tandem_qemu_match *match, enum trial trial, const char *error)
{
	bool is_news = false;

	pthread_mutex_lock(&match->lock);
	const bool is_wanted = match->is_trial_wanted;
	if (is_wanted) {
		is_news = match->trial != trial || strcmp(match->trial_error, error) != 0;
		match->trial = trial;
		match->is_trial_wanted = trial != TRIAL_WELL;
		snprintf(match->trial_error, sizeof(match->trial_error), "%s", error);
	}
	pthread_mutex_unlock(&match->lock);
	if (trial != TRIAL_FAILED) /* a doubt that comes next is looked into at once */
		match->trial_pause.wait_ns = match->options.look_ns;
	pause_from_now(&match->trial_pause);
	if (trial == TRIAL_FAILED)
		pause_longer(&match->trial_pause);
	if (is_news && trial == TRIAL_FAILED)
		tandem_log(TANDEM_LOG_ERROR,
		           "pair %s: no guest could go on here: QEMU does not start: %s",
		           match->options.places.pair, error);
	else if (is_news && trial == TRIAL_WELL)
		tandem_log(TANDEM_LOG_INFO, "pair %s: QEMU starts as it has to for a take-over",
		           match->options.places.pair);
	else if (is_news)
		tandem_log(TANDEM_LOG_WARNING,
		           "pair %s: it is not known whether a guest could go on here: QEMU is not "
		           "tried yet: %s",
		           match->options.places.pair, error);
	if (is_news)
		match->options.on_change(match->options.argument);
}

static void take_trial(struct tandem_qemu_match *match, struct json_object *object)
{
	const char *trial = tandem_json_text(object, "trial", ""),
	           *error = tandem_json_text(object, "error", "");

	if (strcmp(trial, "well") == 0)
		tell_trial(match, TRIAL_WELL, "");
	else if (strcmp(trial, "busy") == 0)
		tell_trial(match, TRIAL_NONE, error);
	else
		tell_trial(match, TRIAL_FAILED,
		           error[0] ? error : "tandem-qemu --trial has said nothing");
}

static void take_identity(struct tandem_qemu_match *match, struct json_object *object)
{
	const char *identity = tandem_json_text(object, "identity", ""),
	           *error = tandem_json_text(object, "error", "");
	pthread_mutex_lock(&match->lock);
	if (tandem_json_text(object, "program", "")[0]) {
		snprintf(match->program, sizeof(match->program), "%s",
		         tandem_json_text(object, "program", ""));
		snprintf(match->program_mark, sizeof(match->program_mark), "%s",
		         tandem_json_text(object, "file", ""));
	}
	pthread_mutex_unlock(&match->lock);
	tell(match, identity, error[0] ? error : "tandem-qemu --identity has said nothing");
}

static void take_answer(struct tandem_qemu_match *match)
{
	struct json_object *object = NULL;

	match->answer[match->length] = 0;
	object = json_tokener_parse(match->answer);
	if (match->is_of_trial)
		take_trial(match, object);
	else
		take_identity(match, object);
	json_object_put(object);
}

/* What is asked has come to nothing. */
static void tell_failure(struct tandem_qemu_match *match, const char *what)
{
	char error[TEXT_BYTES];

	snprintf(error, sizeof(error), "tandem-qemu --%s %s",
	         match->is_of_trial ? "trial" : "identity", what);
	if (match->is_of_trial)
		tell_trial(match, TRIAL_FAILED, error);
	else
		tell(match, "", error);
}

/* Its end is waited for by whoever takes it from here. */
static pid_t take_process(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	const pid_t process = match->process;
	match->process = 0;
	pthread_mutex_unlock(&match->lock);
	return process;
}

static void end_question(struct tandem_qemu_match *match)
{
	close(event_get_fd(match->reading));
	event_free(match->reading);
	match->reading = NULL;
	waitpid(take_process(match), NULL, 0);
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
		tell_failure(match, "hangs");
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
	struct tandem_environment environment;
	posix_spawn_file_actions_t actions;

	tandem_environment_init(&environment, places);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, answer_fd, STDOUT_FILENO);
	pthread_mutex_lock(&match->lock);
	const int failure = tandem_environment_spawn_qemu(
	        &environment, places, match->is_of_trial ? "--trial" : "--identity", NULL, &actions,
	        &match->process);
	pthread_mutex_unlock(&match->lock);
	posix_spawn_file_actions_destroy(&actions);
	return failure == 0;
}

static bool await_answer(struct tandem_qemu_match *match, int fd)
{
	const struct timeval patience = tandem_clock_timeval(match->options.patience_ns);

	match->reading = event_new(match->base, fd, EV_READ | EV_PERSIST, on_readable, match);
	return match->reading && event_add(match->reading, &patience) == 0;
}

static void ask(struct tandem_qemu_match *match, bool is_of_trial)
{
	int ends[2];

	match->length = 0;
	pthread_mutex_lock(&match->lock);
	match->is_of_trial = is_of_trial;
	pthread_mutex_unlock(&match->lock);
	if (pipe2(ends, O_CLOEXEC) != 0) {
		tell_failure(match, "cannot be asked: no pipe");
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
		waitpid(take_process(match), NULL, 0);
	}
	tell_failure(match, "cannot be started");
}

static void ask_identity(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	look_whether_stale(match);
	tandem_file_mark(match->options.places.config_path, match->config_mark);
	tandem_file_mark(match->program, match->program_mark);
	pthread_mutex_unlock(&match->lock);
	ask(match, false);
}

/* Whoever was told AGAIN waits for it. */
static void try_when_due(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	const bool is_due = match->is_trial_wanted && match->is_known && !match->is_stale &&
	                    match->identity[0] && match->trial != TRIAL_WELL;
	pthread_mutex_unlock(&match->lock);
	if (is_due && !match->reading && tandem_clock_now_ns() >= match->trial_pause.until_ns)
		ask(match, true);
}

static void on_wish(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_match *match = context;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) <= 0)
		return;
	pthread_mutex_lock(&match->lock);
	const bool is_stale = match->is_stale;
	pthread_mutex_unlock(&match->lock);
	if (is_stale && !match->reading && match->failure_count == 0)
		ask_identity(match);
	try_when_due(match);
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
		match->pause.wait_ns = match->options.look_ns;
	if (!match->reading && (is_other || (match->failure_count > 0 &&
	                                     tandem_clock_now_ns() >= match->pause.until_ns)))
		ask_identity(match);
	try_when_due(match);
}

static int listen_to_wishes(struct tandem_qemu_match *match)
{
	match->wish_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (match->wish_fd < 0)
		return -1;
	match->wish = event_new(match->base, match->wish_fd, EV_READ | EV_PERSIST, on_wish, match);
	return match->wish ? event_add(match->wish, NULL) : -1;
}

int tandem_qemu_match_new(struct event_base *base, const struct tandem_qemu_match_options *options,
                          struct tandem_qemu_match **ret_match, struct tandem_error *reterr_error)
{
	const struct timeval interval = tandem_clock_timeval(options->look_ns);
	struct tandem_qemu_match *match = tandem_memory_alloc(sizeof(*match));

	if (match) {
		pthread_mutex_init(&match->lock, NULL);
		match->base = base;
		match->options = *options;
		match->wish_fd = -1;
		match->pause = (struct pause){.wait_ns = options->look_ns,
		                              .wait_ns_max = QUESTION_WAIT_NS_MAX};
		match->trial_pause = (struct pause){.wait_ns = options->look_ns,
		                                    .wait_ns_max = options->trial_wait_ns_max};
		match->timer = event_new(base, -1, EV_PERSIST, on_timer, match);
	}
	if (!match || !match->timer || event_add(match->timer, &interval) != 0 ||
	    listen_to_wishes(match) != 0) {
		tandem_qemu_match_free(match);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	}
	ask_identity(match);
	*ret_match = match;
	return 0;
}

static void wish(struct tandem_qemu_match *match)
{
	const uint64_t one = 1;

	if (write(match->wish_fd, &one, sizeof(one)) < 0)
		errno = 0; /* a full one is read as well */
}

/* Under the lock. */
static int judge_trial(struct tandem_qemu_match *match, char *ret_reason, size_t reason_bytes)
{
	if (!match->options.tries || match->trial == TRIAL_WELL)
		return 0;
	match->is_trial_wanted = true;
	wish(match);
	if (match->trial == TRIAL_NONE) {
		snprintf(ret_reason, reason_bytes, "its QEMU is %s%.130s",
		         match->trial_error[0] ? "not tried yet: " : "started on trial",
		         match->trial_error);
		return TANDEM_E_AGAIN;
	}
	snprintf(ret_reason, reason_bytes,
	         "its QEMU does not start: %.80s; mend that: it is tried again within %llu s",
	         match->trial_error,
	         (unsigned long long)(match->options.trial_wait_ns_max / TANDEM_NS_PER_S));
	return TANDEM_E_UNSUPPORTED;
}

int tandem_qemu_match_judge(struct tandem_qemu_match *match, const char *needs, char *ret_reason,
                            size_t reason_bytes)
{
	int code = 0;

	pthread_mutex_lock(&match->lock);
	look_whether_stale(match);
	if (!match->is_known || match->is_stale) {
		code = TANDEM_E_AGAIN;
		wish(match);
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
	} else {
		code = judge_trial(match, ret_reason, reason_bytes);
	}
	pthread_mutex_unlock(&match->lock);
	return code;
}

bool tandem_qemu_match_is_well(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	const bool is_well = match->is_known && !match->is_stale && match->trial == TRIAL_WELL;
	pthread_mutex_unlock(&match->lock);
	return is_well;
}

void tandem_qemu_match_doubt(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	forget_answer(match);
	match->is_trial_wanted = true;
	pthread_mutex_unlock(&match->lock);
}

void tandem_qemu_match_forget_trial(struct tandem_qemu_match *match)
{
	pthread_mutex_lock(&match->lock);
	forget_answer(match);
	match->is_trial_wanted = false;
	if (match->process > 0 && match->is_of_trial)
		kill(match->process, SIGKILL);
	pthread_mutex_unlock(&match->lock);
}

void tandem_qemu_match_free(struct tandem_qemu_match *match)
{
	if (!match)
		return;
	if (match->reading)
		give_up(match);
	if (match->timer)
		event_free(match->timer);
	if (match->wish)
		event_free(match->wish);
	if (match->wish_fd >= 0)
		close(match->wish_fd);
	pthread_mutex_destroy(&match->lock);
	tandem_memory_free(match);
}
