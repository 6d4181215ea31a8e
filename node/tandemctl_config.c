#include <string.h>

#include "tandemctl.h"

static void line_print(void *context, const char *line)
{
	(void)context;
	puts(line);
}

/* "tandem.conf:12", "default" or "heartbeat_profile, tandem.conf:12" */
static void origin_format(const char *path, const struct tandem_config_value *value, char *text,
                          size_t text_bytes)
{
	const char *profile =
	        value->origin == TANDEM_CONFIG_FROM_PROFILE ? "heartbeat_profile, " : "";
	if (value->line > 0)
		snprintf(text, text_bytes, "%s%s:%u", profile, path, value->line);
	else
		snprintf(text, text_bytes, "%sdefault", profile);
}

/* ---- for people ---- */

struct page {
	const char *path;
	size_t group_length; /* of `group` */
	char group[96];      /* "pairs[0].arbiter", whose keys are being printed */
};

static void heading_print(struct page *page, const char *where, const char *key)
{
	size_t length = strlen(where) - strlen(key);
	length -= length > 0; /* the dot */
	if (length == page->group_length && strncmp(where, page->group, length) == 0)
		return;
	snprintf(page->group, sizeof(page->group), "%.*s", (int)length, where);
	page->group_length = length;
	if (length > 0)
		printf("\n%s\n", page->group);
}

static void value_print(void *context, const struct tandem_config_value *value)
{
	struct page *page = context;
	char origin[600];
	heading_print(page, value->where, value->key);
	origin_format(page->path, value, origin, sizeof(origin));
	printf("  %-26s %-24s  %s\n", value->key, value->text[0] ? value->text : "none", origin);
}

/* ---- for programs ---- */

struct list {
	const char *path;
	struct json_object *values;
};

static void value_append(void *context, const struct tandem_config_value *value)
{
	static const char *const origins[] = {[TANDEM_CONFIG_FROM_FILE] = "file",
	                                      [TANDEM_CONFIG_FROM_DEFAULT] = "default",
	                                      [TANDEM_CONFIG_FROM_PROFILE] = "heartbeat_profile"};
	struct list *list = context;
	struct json_object *object = json_object_new_object(), *plain;
	if (value->is_flag)
		plain = json_object_new_boolean(value->number != 0);
	else if (value->is_number)
		plain = json_object_new_uint64(value->number);
	else
		plain = json_object_new_string(value->text);
	json_object_object_add(object, "key", json_object_new_string(value->where));
	json_object_object_add(object, "value", plain);
	json_object_object_add(object, "text", json_object_new_string(value->text));
	json_object_object_add(object, "origin", json_object_new_string(origins[value->origin]));
	json_object_object_add(object, "line",
	                       value->line > 0 ? json_object_new_uint64(value->line) : NULL);
	json_object_array_add(list->values, object);
}

/* ---- the command ---- */

static int explain_failed(const struct tandemctl *tandemctl, const char *path,
                          const struct tandem_config_mistakes *mistakes,
                          const struct tandem_error *error)
{
	char line[768];
	if (tandemctl->is_json || mistakes->count == 0)
		return tandemctl_fail(tandemctl, error);
	for (size_t i = 0; i < mistakes->count; i++) {
		tandem_config_mistake_format(path, &mistakes->list[i], line, sizeof(line));
		fprintf(stderr, "%s\n", line);
	}
	return TANDEMCTL_FAILED;
}

static int explain(const struct tandemctl *tandemctl, const char *path)
{
	struct page page = {.path = path};
	struct list list = {.path = path, .values = json_object_new_array()};
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_error error = {.code = 0};
	struct json_object *object = json_object_new_object();
	int status = TANDEMCTL_OK, rc;
	json_object_object_add(object, "ok", json_object_new_boolean(true));
	json_object_object_add(object, "path", json_object_new_string(path));
	json_object_object_add(object, "values", list.values);
	if (tandemctl->is_json)
		rc = tandem_config_explain(path, value_append, &list, &mistakes, &error);
	else
		rc = tandem_config_explain(path, value_print, &page, &mistakes, &error);
	if (rc < 0)
		status = explain_failed(tandemctl, path, &mistakes, &error);
	else if (tandemctl->is_json)
		puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	tandem_config_mistakes_clear(&mistakes);
	json_object_put(object);
	return status;
}

int tandemctl_config(struct tandemctl *tandemctl)
{
	const char *path = tandemctl->file ? tandemctl->file : tandemctl->path;
	if (tandemctl->is_example && tandemctl->is_reference) {
		fprintf(stderr, "tandemctl: config takes --example or --reference, not both\n");
		return TANDEMCTL_USAGE;
	}
	if (tandemctl->is_example)
		tandem_config_example(line_print, NULL);
	else if (tandemctl->is_reference)
		tandem_config_reference(line_print, NULL);
	else
		return explain(tandemctl, path ? path : TANDEM_CONFIG_PATH_DEFAULT);
	return TANDEMCTL_OK;
}

int tandemctl_keygen(struct tandemctl *tandemctl)
{
	struct tandem_error error = {.code = 0};
	if (tandem_config_key_make(tandemctl->file, &error) < 0)
		return tandemctl_fail(tandemctl, &error);
	printf("%s: made, mode 0600. Both nodes of the pair need the same file; then "
	       "key_file = \"%s\" in the pair.\n",
	       tandemctl->file, tandemctl->file);
	return TANDEMCTL_OK;
}
