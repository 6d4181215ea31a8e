#ifndef TANDEM_JSON_TEXT_H
#define TANDEM_JSON_TEXT_H

#include <json-c/json.h>

/* A text of `object`, which may be NULL or no object; `fallback` where there is none. Borrowed from
 * `object`. */
const char *tandem_json_text(struct json_object *object, const char *key, const char *fallback);

#endif
