#include "qemu_identity.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/qemu_arguments.h>
#include <tandem/qemu_probe.h>
#include <unistd.h>

#include "file_mark.h"

/* As execvp(3) finds it. */
static void find_program(const char *name, char ret_path[PATH_MAX])
{
	const char *places = getenv("PATH");

	snprintf(ret_path, PATH_MAX, "%s", name);
	while (places && !strchr(name, '/') && access(ret_path, X_OK) != 0) {
		const size_t length = strcspn(places, ":");

		snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)length, places, name);
		places = places[length] ? places + length + 1 : NULL;
	}
}

int tandem_qemu_identity_say(char *const *words, uint64_t timeout_ns)
{
	struct json_object *object = json_object_new_object();
	char text[TANDEM_QEMU_IDENTITY_BYTES], path[PATH_MAX];
	struct tandem_error error;
	char mark[TANDEM_FILE_MARK_BYTES];

	find_program(words[tandem_qemu_arguments_program(words)], path);
	/* Before the question: one that is exchanged meanwhile is asked again. */
	tandem_file_mark(path, mark);
	const int code = tandem_qemu_probe(words, timeout_ns, text, &error);
	json_object_object_add(object, code == 0 ? "identity" : "error",
	                       json_object_new_string(code == 0 ? text : error.detail));
	json_object_object_add(object, "program", json_object_new_string(path));
	json_object_object_add(object, "file", json_object_new_string(mark));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
