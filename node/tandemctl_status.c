#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "tandemctl.h"

/* The state of the pairs, once or again and again. */

#define WATCH_INTERVAL_MS 1000
#define CANNOT_TELL       2 /* of --exit-code */

static volatile sig_atomic_t has_ended;

static void on_end(int signal_number)
{
	(void)signal_number;
	has_ended = 1;
}

static void catch_end(void)
{
	struct sigaction action = {.sa_handler = on_end};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static size_t pair_count_of(struct json_object *answer)
{
	struct json_object *pairs = json_object_object_get(answer, "pairs");
	return json_object_is_type(pairs, json_type_array) ? json_object_array_length(pairs) : 0;
}

static struct json_object *pair_at(struct json_object *answer, size_t index)
{
	struct json_object *pair =
	        json_object_array_get_idx(json_object_object_get(answer, "pairs"), index);
	return json_object_is_type(pair, json_type_object) ? pair : NULL;
}

/* No answer, no pair or no word on one: not being able to tell is not the same as unprotected. */
static int protection_of(struct json_object *answer)
{
	size_t count = pair_count_of(answer);
	int status = count == 0 ? CANNOT_TELL : TANDEMCTL_OK;
	for (size_t i = 0; i < count; i++) {
		struct json_object *is_protected = NULL, *pair = pair_at(answer, i);
		if (!pair || !json_object_object_get_ex(pair, "protected", &is_protected))
			return CANNOT_TELL;
		if (!json_object_get_boolean(is_protected))
			status = 1;
	}
	return status;
}

static int exit_status_of(const struct tandemctl *tandemctl, struct json_object *answer)
{
	if (tandemctl->is_exit_code)
		return protection_of(answer);
	return answer ? TANDEMCTL_OK : TANDEMCTL_FAILED;
}

static int ask(const struct tandemctl *tandemctl, struct json_object **ret_answer,
               struct tandem_error *reterr_error)
{
	struct json_object *request = tandemctl_request_new(tandemctl, "status");
	int rc = tandemctl_ask(tandemctl, request, ret_answer, reterr_error);
	json_object_put(request);
	return rc;
}

static int show_once(const struct tandemctl *tandemctl)
{
	struct json_object *answer = NULL;
	struct tandem_error error = {.code = 0};
	if (ask(tandemctl, &answer, &error) < 0)
		tandemctl_fail(tandemctl, &error);
	else if (tandemctl->is_json)
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	else
		tandemctl_show_status(answer);
	int status = exit_status_of(tandemctl, answer);
	json_object_put(answer);
	return status;
}

/* ---- again and again ---- */

/* What of an answer is a change, in contrast to ages and counts that always do. */
static void write_essence(struct json_object *answer, struct json_object *list)
{
	static const char *const keys[] = {"pair", "protection", "state",  "owner",
	                                   "mode", "generation", "alarms", "waiting_for"};
	for (size_t i = 0; i < pair_count_of(answer); i++) {
		for (size_t j = 0; j < sizeof(keys) / sizeof(keys[0]); j++) {
			struct json_object *value = NULL;
			json_object_object_get_ex(pair_at(answer, i), keys[j], &value);
			json_object_array_add(list, json_object_get(value));
		}
	}
}

struct watch {
	const struct tandemctl *tandemctl;
	struct json_object *seen; /* the essence of the last answer, NULL before the first */
	bool is_screen;
	int status;
};

static void stamp_print(void)
{
	uint64_t wall_ns = tandem_clock_wall_ns();
	time_t seconds = (time_t)(wall_ns / TANDEM_NS_PER_S);
	struct tm parts;
	char text[40];
	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	printf("%s.%03uZ ", text, (unsigned)(wall_ns % TANDEM_NS_PER_S / TANDEM_NS_PER_MS));
}

static void change_print(struct watch *watch, struct json_object *answer,
                         const struct tandem_error *error)
{
	struct json_object *essence = json_object_new_array();
	write_essence(answer, essence);
	if (!answer)
		json_object_array_add(essence, json_object_new_string(error->detail));
	if (!watch->seen || !json_object_equal(essence, watch->seen)) {
		for (size_t i = 0; i < pair_count_of(answer); i++) {
			stamp_print();
			tandemctl_show_headline(pair_at(answer, i));
		}
		if (!answer) {
			stamp_print();
			printf("tandemctl: %s\n", error->detail);
		}
	}
	json_object_put(watch->seen);
	watch->seen = essence;
}

static void look(struct watch *watch)
{
	const struct tandemctl *tandemctl = watch->tandemctl;
	struct json_object *answer = NULL;
	struct tandem_error error = {.code = 0};
	int rc = ask(tandemctl, &answer, &error);
	if (tandemctl->is_json) {
		if (rc < 0)
			tandemctl_fail(tandemctl, &error);
		else
			puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	} else if (watch->is_screen) {
		fputs("\033[H\033[2J", stdout);
		if (rc < 0)
			printf("tandemctl: %s\n", error.detail);
		else
			tandemctl_show_status(answer);
	} else {
		change_print(watch, answer, &error);
	}
	watch->status = exit_status_of(tandemctl, answer);
	json_object_put(answer);
}

/* The end of who reads this ends the watch, and so does a signal. */
static bool is_over(void)
{
	struct pollfd reader = {.fd = STDOUT_FILENO};
	if (fflush(stdout) != 0 || has_ended)
		return true;
	return poll(&reader, 1, WATCH_INTERVAL_MS) != 0;
}

int tandemctl_status(struct tandemctl *tandemctl)
{
	struct watch watch = {.tandemctl = tandemctl,
	                      .is_screen = !tandemctl->is_json && isatty(STDOUT_FILENO)};
	if (!tandemctl->is_watch)
		return show_once(tandemctl);
	catch_end();
	do {
		look(&watch);
	} while (!is_over());
	json_object_put(watch.seen);
	return tandemctl->is_exit_code || has_ended ? watch.status : TANDEMCTL_OK;
}
