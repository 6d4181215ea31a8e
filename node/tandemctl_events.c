#include <poll.h>
#include <unistd.h>

#include "tandemctl.h"

/* What was decided, and with --follow what is decided from now on. */

#define FOLLOW_INTERVAL_MS 500

static size_t event_count_of(struct json_object *answer)
{
	struct json_object *events = json_object_object_get(answer, "events");
	return json_object_is_type(events, json_type_array) ? json_object_array_length(events) : 0;
}

static struct json_object *event_at(struct json_object *answer, size_t index)
{
	return json_object_array_get_idx(json_object_object_get(answer, "events"), index);
}

static uint64_t number_of(struct json_object *event)
{
	if (!json_object_is_type(event, json_type_object))
		return 0;
	return json_object_get_uint64(json_object_object_get(event, "number"));
}

static int ask(const struct tandemctl *tandemctl, struct json_object **ret_answer,
               struct tandem_error *reterr_error)
{
	struct json_object *request = tandemctl_request_new(tandemctl, "events");
	int rc = tandemctl_ask(tandemctl, request, ret_answer, reterr_error);
	json_object_put(request);
	return rc;
}

static void event_print(const struct tandemctl *tandemctl, struct json_object *event)
{
	if (tandemctl->is_json)
		puts(json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN));
	else
		tandemctl_show_event(event);
}

/* Numbers begin anew with each life of the controller. */
static void news_print(const struct tandemctl *tandemctl, struct json_object *answer,
                       uint64_t *last_number)
{
	size_t count = event_count_of(answer);
	if (count == 0 || number_of(event_at(answer, count - 1)) < *last_number)
		*last_number = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t number = number_of(event_at(answer, i));
		if (number <= *last_number)
			continue;
		event_print(tandemctl, event_at(answer, i));
		*last_number = number;
	}
}

/* The end of who reads this ends it, and so does a signal. */
static bool is_over(void)
{
	struct pollfd reader = {.fd = STDOUT_FILENO};
	return fflush(stdout) != 0 || poll(&reader, 1, FOLLOW_INTERVAL_MS) > 0;
}

static int follow(const struct tandemctl *tandemctl)
{
	uint64_t last_number = 0;
	bool was_told = false;
	do {
		struct json_object *answer = NULL;
		struct tandem_error error = {.code = 0};
		if (ask(tandemctl, &answer, &error) == 0) {
			news_print(tandemctl, answer, &last_number);
			was_told = false;
		} else if (!was_told) {
			tandemctl_fail(tandemctl, &error);
			was_told = true;
		}
		json_object_put(answer);
	} while (!is_over());
	return TANDEMCTL_OK;
}

int tandemctl_events(struct tandemctl *tandemctl)
{
	struct json_object *answer = NULL;
	struct tandem_error error = {.code = 0};
	if (tandemctl->is_follow)
		return follow(tandemctl);
	if (ask(tandemctl, &answer, &error) < 0)
		return tandemctl_fail(tandemctl, &error);
	if (tandemctl->is_json)
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	for (size_t i = 0; !tandemctl->is_json && i < event_count_of(answer); i++)
		tandemctl_show_event(event_at(answer, i));
	json_object_put(answer);
	return TANDEMCTL_OK;
}
