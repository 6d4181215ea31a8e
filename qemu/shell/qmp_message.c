#include "shell/qmp_message.h"

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#define DEPTH_MAX 64

static int refuse(struct tandem_error *reterr_error, const char *needed)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "QMP",
	                        "QEMU's control socket sent something else than %s", needed);
}

static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

/* NULL where there is no such text, or one with a zero inside. */
static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key, json_type_string);
	const char *text = value ? json_object_get_string(value) : NULL;

	if (!text || strlen(text) != (size_t)json_object_get_string_len(value))
		return NULL;
	return text;
}

static bool number_of(struct json_object *object, const char *key, unsigned *ret_number)
{
	struct json_object *value = member(object, key, json_type_int);
	const int64_t number = value ? json_object_get_int64(value) : -1;

	if (number < 0 || number > INT_MAX)
		return false;
	*ret_number = (unsigned)number;
	return true;
}

static bool has_out_of_band(struct json_object *capabilities)
{
	for (size_t i = 0; i < json_object_array_length(capabilities); i++) {
		struct json_object *one = json_object_array_get_idx(capabilities, i);

		if (json_object_is_type(one, json_type_string) &&
		    strcmp(json_object_get_string(one), "oob") == 0)
			return true;
	}
	return false;
}

static int take_greeting(struct json_object *greeting, struct tandem_qmp_message *message,
                         struct tandem_error *reterr_error)
{
	struct json_object *version =
	        member(member(greeting, "version", json_type_object), "qemu", json_type_object);
	struct json_object *capabilities = member(greeting, "capabilities", json_type_array);

	if (!capabilities || !number_of(version, "major", &message->version.major) ||
	    !number_of(version, "minor", &message->version.minor) ||
	    !number_of(version, "micro", &message->version.micro))
		return refuse(reterr_error, "a greeting with a version and capabilities");
	message->type = TANDEM_QMP_GREETING;
	message->has_out_of_band = has_out_of_band(capabilities);
	return 0;
}

static int take_refusal(struct json_object *refusal, struct tandem_qmp_message *message,
                        struct tandem_error *reterr_error)
{
	message->type = TANDEM_QMP_REFUSAL;
	message->name = text_of(refusal, "class");
	message->detail = text_of(refusal, "desc");
	return message->name && message->detail ? 0 : refuse(reterr_error, "a class and a text");
}

static int take_id(struct json_object *root, struct tandem_qmp_message *message,
                   struct tandem_error *reterr_error)
{
	struct json_object *id = NULL;

	if (!json_object_object_get_ex(root, "id", &id))
		return 0;
	if (!json_object_is_type(id, json_type_int) || json_object_get_int64(id) < 0)
		return refuse(reterr_error, "an id as it was given");
	message->has_id = true;
	message->id = (uint64_t)json_object_get_int64(id);
	return 0;
}

static int take_root(struct tandem_qmp_message *message, struct tandem_error *reterr_error)
{
	struct json_object *root = message->root,
	                   *refusal = member(root, "error", json_type_object);
	struct json_object *greeting = member(root, "QMP", json_type_object);

	if (!json_object_is_type(root, json_type_object))
		return refuse(reterr_error, "an object on a line");
	if (greeting)
		return take_greeting(greeting, message, reterr_error);
	message->name = text_of(root, "event");
	if (message->name) {
		message->type = TANDEM_QMP_EVENT;
		message->value = member(root, "data", json_type_object);
		return 0;
	}
	int status = take_id(root, message, reterr_error);
	if (status != 0)
		return status;
	if (refusal)
		return take_refusal(refusal, message, reterr_error);
	message->type = TANDEM_QMP_ANSWER;
	return json_object_object_get_ex(root, "return", &message->value)
	               ? 0
	               : refuse(reterr_error, "a greeting, an answer or an event");
}

static int parse(const char *line, size_t length, struct json_object **ret_root,
                 struct tandem_error *reterr_error)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

	if (!tokener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QMP", "no memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *root = json_tokener_parse_ex(tokener, line, (int)length);
	const bool is_whole = root && json_tokener_get_error(tokener) == json_tokener_success;

	json_tokener_free(tokener);
	if (is_whole) {
		*ret_root = root;
		return 0;
	}
	json_object_put(root);
	return refuse(reterr_error, "an object on a line");
}

int tandem_qmp_message_parse(const char *line, size_t length,
                             struct tandem_qmp_message *ret_message,
                             struct tandem_error *reterr_error)
{
	struct tandem_qmp_message message = {0};

	/* The parser ends at a zero and takes what came before. */
	if (length > TANDEM_QMP_LINE_BYTES_MAX || memchr(line, 0, length))
		return refuse(reterr_error, "a line of text of at most 1 MiB");
	int status = parse(line, length, &message.root, reterr_error);
	if (status == 0)
		status = take_root(&message, reterr_error);
	if (status == 0)
		*ret_message = message;
	else
		tandem_qmp_message_end(&message);
	return status;
}

void tandem_qmp_message_end(struct tandem_qmp_message *message)
{
	json_object_put(message->root);
	*message = (struct tandem_qmp_message){0};
}
