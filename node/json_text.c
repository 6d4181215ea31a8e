#include "json_text.h"

const char *tandem_json_text(struct json_object *object, const char *key, const char *fallback)
{
	struct json_object *text = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &text) ||
	    !json_object_is_type(text, json_type_string))
		return fallback;
	return json_object_get_string(text);
}
