#include "shell/etcd_text.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/base64.h>

#define DEPTH_MAX 12

void tandem_etcd_spell_read(const char *key, char ret_text[static TANDEM_ETCD_REQUEST_BYTES])
{
	char name[TANDEM_BASE64_BYTES(TANDEM_ETCD_KEY_BYTES)];
	tandem_base64_encode(key, strlen(key), name);
	/* Every version is above -1, that of a key which does not exist too. */
	snprintf(ret_text, TANDEM_ETCD_REQUEST_BYTES,
	         "{\"compare\":[{\"key\":\"%s\",\"target\":\"VERSION\",\"result\":\"GREATER\","
	         "\"version\":\"-1\"}],"
	         "\"success\":[{\"requestRange\":{\"key\":\"%s\"}}],"
	         "\"failure\":[{\"requestPut\":{\"key\":\"%s\",\"value\":\"\"}}]}",
	         name, name, name);
}

void tandem_etcd_spell_cas(const char *key, const uint8_t *expected, const uint8_t *desired,
                           char ret_text[static TANDEM_ETCD_REQUEST_BYTES])
{
	char name[TANDEM_BASE64_BYTES(TANDEM_ETCD_KEY_BYTES)];
	char old[TANDEM_BASE64_BYTES(TANDEM_ETCD_VALUE_BYTES)];
	char new[TANDEM_BASE64_BYTES(TANDEM_ETCD_VALUE_BYTES)];
	tandem_base64_encode(key, strlen(key), name);
	tandem_base64_encode(desired, TANDEM_ETCD_VALUE_BYTES, new);
	if (expected)
		tandem_base64_encode(expected, TANDEM_ETCD_VALUE_BYTES, old);
	snprintf(ret_text, TANDEM_ETCD_REQUEST_BYTES,
	         "{\"compare\":[{\"key\":\"%s\",\"target\":\"%s\",\"result\":\"EQUAL\","
	         "\"%s\":\"%s\"}],"
	         "\"success\":[{\"requestPut\":{\"key\":\"%s\",\"value\":\"%s\"}}],"
	         "\"failure\":[{\"requestRange\":{\"key\":\"%s\"}}]}",
	         name, expected ? "VALUE" : "VERSION", expected ? "value" : "version",
	         expected ? old : "0", name, new, name);
}

static struct json_object *parse(const char *text, size_t length)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener || length > TANDEM_ETCD_ANSWER_BYTES)
		length = 0;
	struct json_object *object =
	        length > 0 ? json_tokener_parse_ex(tokener, text, (int)length) : NULL;
	if (tokener)
		json_tokener_free(tokener);
	return object;
}

/* NULL for what is not there or of another type. */
static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value = NULL;
	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

static struct json_object *first(struct json_object *object, const char *key)
{
	struct json_object *list = member(object, key, json_type_array);
	return list && json_object_array_length(list) == 1 ? json_object_array_get_idx(list, 0)
	                                                   : NULL;
}

static int refuse(struct tandem_error *reterr_error, const char *why)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "read", "is no answer of etcd: %s",
	                        why);
}

/* 64-bit numbers are texts in this JSON. */
static bool read_number(struct json_object *value, uint64_t *ret_number)
{
	char *end = NULL;
	const char *text = value ? json_object_get_string(value) : "";
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return errno == 0 && *end == 0;
}

static void read_value(struct json_object *range, struct tandem_etcd_answer *answer)
{
	struct json_object *pair = first(range, "kvs");
	struct json_object *value = member(pair, "value", json_type_string);
	if (!pair)
		return;
	answer->has_value = true;
	/* One that is empty or too long stays 0 bytes, which is no record. */
	if (value && tandem_base64_decode(json_object_get_string(value),
	                                  (size_t)json_object_get_string_len(value), answer->value,
	                                  sizeof(answer->value), &answer->value_length) != 0)
		answer->value_length = 0;
}

static int read_parts(struct json_object *object, bool is_cas, struct tandem_etcd_answer *answer,
                      struct tandem_error *reterr_error)
{
	struct json_object *header = member(object, "header", json_type_object);
	struct json_object *succeeded = member(object, "succeeded", json_type_boolean);
	struct json_object *response = first(object, "responses");
	struct json_object *range = member(response, "response_range", json_type_object);
	struct json_object *put = member(response, "response_put", json_type_object);
	if (!read_number(member(header, "cluster_id", json_type_string), &answer->cluster_id))
		return refuse(reterr_error, "without a cluster_id");
	answer->has_succeeded = succeeded && json_object_get_boolean(succeeded);
	bool is_put = is_cas && answer->has_succeeded;
	bool is_range = is_cas != answer->has_succeeded;
	if ((put != NULL) != is_put || (range != NULL) != is_range)
		return refuse(reterr_error, "without the response that was asked for");
	if (range)
		read_value(range, answer);
	return 0;
}

int tandem_etcd_read_answer(const char *text, size_t length, bool is_cas,
                            struct tandem_etcd_answer *ret_answer,
                            struct tandem_error *reterr_error)
{
	struct tandem_etcd_answer answer = {.cluster_id = 0};
	struct json_object *object = parse(text, length);
	if (!object)
		return refuse(reterr_error, "not JSON");
	int status = read_parts(object, is_cas, &answer, reterr_error);
	json_object_put(object);
	if (status == 0)
		*ret_answer = answer;
	return status;
}

void tandem_etcd_read_refusal(const char *text, size_t length, char *ret_text, size_t size)
{
	struct json_object *object = parse(text, length);
	struct json_object *reason = member(object, "error", json_type_string);
	snprintf(ret_text, size, "%s", reason ? json_object_get_string(reason) : "");
	for (char *at = ret_text; *at != 0; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
	json_object_put(object);
}
