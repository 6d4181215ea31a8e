#include "shell/request.h"

#include <json-c/json.h>
#include <string.h>

#define DEPTH_MAX 4

static const char *const names[TANDEM_COMMAND_COUNT] = {
#define X(name, text) [TANDEM_COMMAND_##name] = (text),
        TANDEM_COMMAND_TABLE(X)
#undef X
};

const char *tandem_command_name(enum tandem_command command)
{
	return command < TANDEM_COMMAND_COUNT ? names[command] : "unknown";
}

static int refuse(struct tandem_error *reterr_error, const char *why, const char *what)
{
	return tandem_error_set(reterr_error, TANDEM_E_USAGE, "request", "%s%s%.40s", why,
	                        what[0] ? ": " : "", what);
}

static bool find_command(const char *text, enum tandem_command *ret_command)
{
	for (enum tandem_command command = 0; command < TANDEM_COMMAND_COUNT; command++) {
		if (strcmp(names[command], text) == 0) {
			*ret_command = command;
			return true;
		}
	}
	return false;
}

static int take_text(const char *key, struct json_object *value, struct tandem_request *request,
                     struct tandem_error *reterr_error)
{
	const char *text = json_object_get_string(value);
	size_t length = (size_t)json_object_get_string_len(value);
	if (strlen(text) != length || length == 0 || length >= TANDEM_NAME_BYTES)
		return refuse(reterr_error, "a text of 1 to 31 characters is needed", key);
	if (strcmp(key, "command") == 0) {
		if (!find_command(text, &request->command))
			return refuse(reterr_error, "unknown command", text);
		return 0;
	}
	memcpy(request->pair, text, length + 1);
	request->has_pair = true;
	return 0;
}

static int take_number(struct json_object *value, struct tandem_request *request,
                       struct tandem_error *reterr_error)
{
	if (json_object_get_int64(value) < 0)
		return refuse(reterr_error, "a generation is not negative", "");
	request->generation = json_object_get_uint64(value);
	request->has_generation = true;
	return 0;
}

static int take_key(const char *key, struct json_object *value, struct tandem_request *request,
                    struct tandem_error *reterr_error)
{
	enum json_type type = json_object_get_type(value);
	bool is_text = strcmp(key, "command") == 0 || strcmp(key, "pair") == 0;
	if (is_text && type == json_type_string)
		return take_text(key, value, request, reterr_error);
	if (strcmp(key, "generation") == 0 && type == json_type_int)
		return take_number(value, request, reterr_error);
	if (strcmp(key, "accept_data_loss") == 0 && type == json_type_boolean) {
		request->accepts_data_loss = json_object_get_boolean(value) != 0;
		return 0;
	}
	if (strcmp(key, "on") == 0 && type == json_type_boolean) {
		request->has_on = true;
		request->is_on = json_object_get_boolean(value) != 0;
		return 0;
	}
	return refuse(reterr_error, "unknown key, or a value of another type", key);
}

static int take_object(struct json_object *object, struct tandem_request *ret_request,
                       struct tandem_error *reterr_error)
{
	struct tandem_request request = {.command = TANDEM_COMMAND_COUNT};
	if (json_object_get_type(object) != json_type_object)
		return refuse(reterr_error, "a request is one JSON object on one line", "");
	json_object_object_foreach(object, key, value)
	{
		int status = take_key(key, value, &request, reterr_error);
		if (status != 0)
			return status;
	}
	if (request.command == TANDEM_COMMAND_COUNT)
		return refuse(reterr_error, "the key 'command' is missing", "");
	*ret_request = request;
	return 0;
}

int tandem_request_parse(const char *line, size_t length, struct tandem_request *ret_request,
                         struct tandem_error *reterr_error)
{
	if (length > TANDEM_REQUEST_BYTES_MAX)
		return refuse(reterr_error, "a request has at most 4096 bytes", "");
	if (memchr(line, 0, length)) /* the parser would end there and take what came before */
		return refuse(reterr_error, "a request is one JSON object on one line", "");
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "request", "no memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, line, (int)length);
	bool is_whole = object && json_tokener_get_error(tokener) == json_tokener_success;
	int status = is_whole
	                     ? take_object(object, ret_request, reterr_error)
	                     : refuse(reterr_error, "a request is one JSON object on one line", "");
	json_object_put(object);
	json_tokener_free(tokener);
	return status;
}
