#include "tandemctl.h"

/* The commands that are one question to the controller. */

struct json_object *tandemctl_request_new(const struct tandemctl *tandemctl, const char *command)
{
	struct json_object *request = json_object_new_object();
	json_object_object_add(request, "command", json_object_new_string(command));
	if (tandemctl->pair)
		json_object_object_add(request, "pair", json_object_new_string(tandemctl->pair));
	return request;
}

static void answer_print(struct json_object *answer)
{
	puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
}

/* Takes `request`. */
static int ask_and_show(const struct tandemctl *tandemctl, struct json_object *request,
                        void (*show)(struct json_object *answer))
{
	struct json_object *answer = NULL;
	struct tandem_error error = {.code = 0};
	int rc = tandemctl_ask(tandemctl, request, &answer, &error);
	json_object_put(request);
	if (rc < 0)
		return tandemctl_fail(tandemctl, &error);
	if (tandemctl->is_json)
		answer_print(answer);
	else
		show(answer);
	json_object_put(answer);
	return TANDEMCTL_OK;
}

static void show_text(struct json_object *answer)
{
	const char *text = json_object_get_string(json_object_object_get(answer, "text"));
	puts(text ? text : "done");
}

int tandemctl_yank(struct tandemctl *tandemctl)
{
	return ask_and_show(tandemctl, tandemctl_request_new(tandemctl, "yank"), show_text);
}

int tandemctl_promote(struct tandemctl *tandemctl)
{
	struct json_object *request = tandemctl_request_new(tandemctl, "promote");
	if (tandemctl->has_generation)
		json_object_object_add(request, "generation",
		                       json_object_new_uint64(tandemctl->generation));
	return ask_and_show(tandemctl, request, show_text);
}

int tandemctl_force(struct tandemctl *tandemctl)
{
	struct json_object *request = tandemctl_request_new(tandemctl, "force-primary");
	if (!tandemctl->accepts_data_loss) {
		json_object_put(request);
		fprintf(stderr,
		        "tandemctl: what only the other node holds will be lost, and a node that "
		        "still leads must be off: say --i-accept-data-loss when both is "
		        "understood\n");
		return TANDEMCTL_USAGE;
	}
	json_object_object_add(request, "accept_data_loss", json_object_new_boolean(true));
	return ask_and_show(tandemctl, request, show_text);
}

int tandemctl_maintenance(struct tandemctl *tandemctl)
{
	struct json_object *request = tandemctl_request_new(tandemctl, "maintenance");
	json_object_object_add(request, "on", json_object_new_boolean(tandemctl->is_on));
	return ask_and_show(tandemctl, request, show_text);
}

int tandemctl_fence_ack(struct tandemctl *tandemctl)
{
	return ask_and_show(tandemctl, tandemctl_request_new(tandemctl, "fence-ack"), show_text);
}
