#include <string.h>

#include <tandem/memory.h>

#include "failoverd_options.h"
#include "live.h"
#include "tandemctl.h"

/* Exit statuses. */
#define CHECK_WARNINGS 1
#define CHECK_ERRORS   2

/* What a check found, on its way to text or JSON. */
struct report {
	const char *path;
	struct tandem_config *config;
	const struct tandem_config_node *node; /* this machine's, NULL when none is */
	struct tandem_config_mistakes mistakes;
	struct tandem_error error;       /* why it cannot be read */
	struct tandem_error start_error; /* why the controller would not start here */
	int rc;
	int start_rc;
	bool is_live;
	struct tandem_doctor_report found; /* on this machine, where it is one of the nodes */
};

/* What the controller does at start, short of starting. */
static void try_start(struct report *report)
{
	struct tandem_controller_options options;
	struct tandem_controller_pair *pairs =
	        tandem_memory_alloc_array(TANDEM_CONTROLLER_PAIRS_MAX, sizeof(*pairs));
	if (pairs)
		report->start_rc = tandem_failoverd_options(report->config, report->node, pairs,
		                                            &options, &report->start_error);
	else
		report->start_rc = tandem_error_set(&report->start_error, TANDEM_E_MEMORY, "check",
		                                    "no memory");
	tandem_live_permissions(report->config, report->node, &report->found);
	if (report->start_rc == 0 && report->is_live)
		tandem_live_probe(report->config, report->node, pairs, options.pair_count,
		                  &report->found);
	tandem_memory_free(pairs);
}

static void report_make(const struct tandemctl *tandemctl, struct report *report)
{
	report->is_live = tandemctl->is_live;
	report->path = tandemctl->file ? tandemctl->file : tandemctl->path;
	if (!report->path)
		report->path = TANDEM_CONFIG_PATH_DEFAULT;
	report->rc = tandem_config_load(report->path, &report->config, &report->mistakes,
	                                &report->error);
	if (report->rc < 0)
		return;
	/* A file may be checked on a machine that is none of its nodes; a name that was given must
	 * be one. */
	int rc = tandem_config_node(report->config, tandemctl->node, &report->node,
	                            &report->start_error);
	if (rc == 0)
		try_start(report);
	else if (tandemctl->node || tandemctl->is_live)
		report->start_rc = rc;
}

static int exit_status(const struct report *report)
{
	enum tandem_doctor_level worst = tandem_doctor_verdict(&report->found);
	if (report->rc < 0 || report->start_rc < 0 || worst == TANDEM_DOCTOR_FAILURE)
		return CHECK_ERRORS;
	return worst >= TANDEM_DOCTOR_WARNING ? CHECK_WARNINGS : TANDEMCTL_OK;
}

/* ---- for people ---- */

struct prefix {
	const char *text;
};

static void line_print(void *context, const char *line)
{
	const struct prefix *prefix = context;
	printf("%s%s\n", prefix->text, line);
}

static void mistakes_print(const struct report *report)
{
	char line[768];
	for (size_t i = 0; i < report->mistakes.count; i++) {
		tandem_config_mistake_format(report->path, &report->mistakes.list[i], line,
		                             sizeof(line));
		printf("%s\n", line);
	}
	printf("%s: %zu mistake%s\n", report->path, report->mistakes.count,
	       report->mistakes.count == 1 ? "" : "s");
}

static void needs_print(const struct report *report)
{
	struct prefix inside = {"  "}, here = {"  here: "}, note = {"note: "};
	for (size_t i = 0; i < report->config->node_count; i++) {
		const struct tandem_config_node *node = &report->config->nodes[i];
		printf("node %s%s\n", node->name, node == report->node ? " (this one)" : "");
		tandemctl_needs(report->config, node, line_print, &inside);
		if (node == report->node)
			tandemctl_machine(line_print, &here);
	}
	tandemctl_notes(report->config, line_print, &note);
}

static void text_print(const struct report *report)
{
	if (report->rc < 0 && report->mistakes.count == 0) {
		fprintf(stderr, "tandemctl: %s\n", report->error.detail);
	} else if (report->rc < 0) {
		mistakes_print(report);
	} else {
		if (report->start_rc < 0)
			printf("%s: %s\n", report->path, report->start_error.detail);
		else
			printf("%s: ok: cluster %s, %zu nodes, %zu pair%s\n", report->path,
			       report->config->cluster, report->config->node_count,
			       report->config->pair_count,
			       report->config->pair_count == 1 ? "" : "s");
		for (size_t i = 0; i < report->found.count; i++)
			tandemctl_finding_print(&report->found.findings[i]);
		needs_print(report);
	}
}

/* ---- for programs ---- */

static void line_append(void *context, const char *line)
{
	json_object_array_add(context, json_object_new_string(line));
}

static struct json_object *mistakes_object(const struct report *report)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < report->mistakes.count; i++) {
		const struct tandem_config_mistake *mistake = &report->mistakes.list[i];
		struct json_object *object = json_object_new_object();
		json_object_object_add(object, "line", json_object_new_uint64(mistake->line));
		json_object_object_add(object, "where", json_object_new_string(mistake->where));
		json_object_object_add(object, "text", json_object_new_string(mistake->text));
		json_object_array_add(list, object);
	}
	return list;
}

static struct json_object *nodes_object(const struct report *report)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < report->config->node_count; i++) {
		const struct tandem_config_node *node = &report->config->nodes[i];
		struct json_object *object = json_object_new_object();
		struct json_object *needs = json_object_new_array();
		json_object_object_add(object, "node", json_object_new_string(node->name));
		json_object_object_add(object, "is_this_one",
		                       json_object_new_boolean(node == report->node));
		tandemctl_needs(report->config, node, line_append, needs);
		json_object_object_add(object, "needs", needs);
		json_object_array_add(list, object);
	}
	return list;
}

static void json_print(const struct report *report)
{
	struct json_object *object = json_object_new_object();
	const char *error = NULL;
	json_object_object_add(object, "ok",
	                       json_object_new_boolean(exit_status(report) == TANDEMCTL_OK));
	json_object_object_add(object, "path", json_object_new_string(report->path));
	json_object_object_add(object, "mistakes", mistakes_object(report));
	if (report->rc < 0)
		error = report->error.detail;
	else if (report->start_rc < 0)
		error = report->start_error.detail;
	json_object_object_add(object, "error", error ? json_object_new_string(error) : NULL);
	struct json_object *findings = json_object_new_array();
	for (size_t i = 0; i < report->found.count; i++)
		json_object_array_add(findings,
		                      tandemctl_finding_object(&report->found.findings[i]));
	json_object_object_add(object, "findings", findings);
	if (report->config) {
		struct json_object *notes = json_object_new_array();
		tandemctl_notes(report->config, line_append, notes);
		json_object_object_add(object, "notes", notes);
		json_object_object_add(object, "nodes", nodes_object(report));
	}
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

int tandemctl_check(struct tandemctl *tandemctl)
{
	static struct report report; /* large */
	report_make(tandemctl, &report);
	if (tandemctl->is_json)
		json_print(&report);
	else
		text_print(&report);
	int status = exit_status(&report);
	tandem_config_mistakes_clear(&report.mistakes);
	tandem_config_free(report.config);
	return status;
}
