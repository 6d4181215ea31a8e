#include <limits.h>
#include <string.h>
#include <wordexp.h>

#include <tandem/bytes.h>
#include <tandem/memory.h>
#include <tandem/qemu_arguments.h>

#include "qemu_command.h"
#include "tandemctl.h"

/* From a virtual machine that runs to the command of the node that takes over. */

struct place {
	struct tandem_config *config; /* NULL: a socket was named */
	const struct tandem_config_pair *pair;
	char qmp_path[PATH_MAX];
	char watch_path[PATH_MAX];
};

static int find_place(const struct tandemctl *tandemctl, struct place *place,
                      struct tandem_error *reterr_error)
{
	const char *path = tandemctl->path ? tandemctl->path : TANDEM_CONFIG_PATH_DEFAULT;
	const struct tandem_config_node *node;
	if (tandemctl->pair[0] == '/') {
		snprintf(place->qmp_path, sizeof(place->qmp_path), "%s", tandemctl->pair);
		return 0;
	}
	int rc = tandem_config_load(path, &place->config, NULL, reterr_error);
	if (rc == 0)
		rc = tandem_config_node(place->config, tandemctl->node, &node, reterr_error);
	if (rc < 0)
		return rc;
	place->pair = tandem_config_pair(place->config, tandemctl->pair);
	if (!place->pair || place->pair->protect.type[0] == '\0')
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "qemu-args",
		                        "%s has no pair \"%s\" with a group protect", path,
		                        tandemctl->pair);
	snprintf(place->watch_path, sizeof(place->watch_path), "%s/%s.watch", node->run_directory,
	         place->pair->name);
	return tandem_config_qmp(node, place->pair, place->qmp_path, sizeof(place->qmp_path),
	                         reterr_error);
}

static bool is_plain(const char *word)
{
	return word[0] != '\0' && word[strcspn(word, " \t\n'\"\\$`|&;<>(){}*?[]#~!")] == '\0';
}

static void quote(struct tandem_writer *writer, const char *word)
{
	tandem_write_u8(writer, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			tandem_write_bytes(writer, "'\\''", 4);
		else
			tandem_write_u8(writer, (uint8_t)*word);
	}
	tandem_write_u8(writer, '\'');
}

/* As a shell reads it back, and the configuration file. False: there is no room for it. */
static bool join(struct json_object *list, char *text, size_t text_bytes)
{
	struct tandem_writer writer = tandem_writer_over(text, text_bytes);

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(list, i));

		if (i > 0)
			tandem_write_u8(&writer, ' ');
		if (is_plain(word))
			tandem_write_bytes(&writer, word, strlen(word));
		else
			quote(&writer, word);
	}
	tandem_write_u8(&writer, '\0');
	return !writer.failed;
}

static struct json_object *derive(const struct place *place, const struct tandem_qemu_line *line)
{
	const char *const sockets[] = {place->qmp_path, place->watch_path};
	const char *words[TANDEM_QEMU_WORDS_MAX];
	struct json_object *list = json_object_new_array();
	size_t count = tandem_qemu_arguments_derive(
	        line->words, sockets, place->watch_path[0] ? 2 : 1, words, TANDEM_QEMU_WORDS_MAX);
	for (size_t i = 0; i < count; i++)
		json_object_array_add(list, json_object_new_string(words[i]));
	return list;
}

/* What the configuration has now. */
static bool is_alike(const struct place *place, const struct tandem_qemu_line *line,
                     struct tandem_qemu_difference *ret_difference)
{
	wordexp_t words = {.we_wordc = 0};
	if (!place->pair || wordexp(place->pair->protect.command, &words, WRDE_NOCMD) != 0)
		return true;
	/* The words stay: the difference points at them. */
	return !tandem_qemu_arguments_differ(words.we_wordv, line->words, ret_difference);
}

static void tell(const struct tandemctl *tandemctl, const char *command, pid_t process,
                 struct json_object *list, const char *why)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "ok", json_object_new_boolean(why[0] == '\0'));
	json_object_object_add(object, "process_id", json_object_new_int(process));
	json_object_object_add(object, "command", json_object_new_string(command));
	json_object_object_add(object, "words", list);
	if (why[0] != '\0')
		json_object_object_add(object, "error", json_object_new_string(why));
	if (why[0] != '\0' && !tandemctl->is_json)
		fprintf(stderr, "tandemctl: %s\n", why);
	puts(tandemctl->is_json ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN)
	                        : command);
	json_object_put(object);
}

static int show(const struct tandemctl *tandemctl, const struct place *place, pid_t process,
                const struct tandem_qemu_line *line)
{
	static char text[TANDEM_CONFIG_GUEST_BYTES];
	struct tandem_qemu_difference difference;
	struct json_object *list = derive(place, line);
	char why[300] = "";

	if (!join(list, text, sizeof(text))) {
		struct tandem_error error;

		json_object_put(list);
		(void)tandem_error_set(
		        &error, TANDEM_E_UNSUPPORTED, "qemu-args",
		        "the command line of process %d has more than the %zu characters that "
		        "protect.command may have: give QEMU part of it by -readconfig",
		        (int)process, sizeof(text) - 1);
		return tandemctl_fail(tandemctl, &error);
	}
	if (!is_alike(place, line, &difference))
		snprintf(why, sizeof(why),
		         "protect.command of the file differs: -%.30s '%.80s' seen, '%.80s' needed",
		         difference.option, difference.seen, difference.needed);
	tell(tandemctl, text, process, list, why);
	return why[0] == '\0' ? TANDEMCTL_OK : TANDEMCTL_FAILED;
}

int tandemctl_qemu_args(struct tandemctl *tandemctl)
{
	struct place place = {.config = NULL};
	struct tandem_qemu_line *line = NULL;
	struct tandem_error error = {.code = 0};
	pid_t process = 0;
	int rc = find_place(tandemctl, &place, &error);
	if (rc == 0)
		rc = tandem_qemu_process_find(place.qmp_path, &process, &error);
	if (rc == 0)
		rc = tandem_qemu_process_words(process, &line, &error);
	int status = rc == 0 ? show(tandemctl, &place, process, line)
	                     : tandemctl_fail(tandemctl, &error);
	tandem_memory_free(line);
	tandem_config_free(place.config);
	return status;
}
