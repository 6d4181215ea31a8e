#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *or_else(const char *text, const char *fallback)
{
	return text ? text : fallback;
}

static void file_write(const struct edit *edit, char *text, size_t text_bytes)
{
	snprintf(text, text_bytes,
	         "%s\n"
	         "nodes = (\n"
	         "  { name = \"a\"; address = \"10.0.0.1\"; heartbeat = ( { address = "
	         "\"10.0.0.1\"; } );\n"
	         "%s\n"
	         "  },\n"
	         "  {\n"
	         "    name = \"b\"; address = \"10.0.0.2\";\n"
	         "    heartbeat = ( { address = \"10.0.0.2\"; } );\n"
	         "%s\n"
	         "  } );\n"
	         "pairs = ( { name = \"kv\"; promote = { command = \"true\"; }; %s\n"
	         "%s\n"
	         "%s\n"
	         "%s\n"
	         "} );\n"
	         "%s\n",
	         or_else(edit->cluster, "cluster = \"test\";"), or_else(edit->node_a, ""),
	         or_else(edit->node_b, ""), or_else(edit->security, "insecure = true;"),
	         or_else(edit->nodes, "nodes = [\"a\", \"b\"];"),
	         or_else(edit->arbiter, "arbiter = { type = \"file\"; path = \"/shared\"; };"),
	         or_else(edit->pair, ""), or_else(edit->more, ""));
}

struct tandem_config *load_edited(const struct edit *edit, struct tandem_config_mistakes *mistakes)
{
	char text[8192];
	struct tandem_config *config = NULL;
	struct tandem_error error = {.code = 0};
	file_write(edit, text, sizeof(text));
	int rc = tandem_config_load_text("t.conf", text, strlen(text), &config, mistakes, &error);
	cr_assert_eq(rc, mistakes->count > 0 ? TANDEM_E_CONFIG : 0, "%d: %s", rc, error.detail);
	cr_assert_eq(error.code, rc);
	return config;
}

struct tandem_config *load_good(const struct edit *edit)
{
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_config *config = load_edited(edit, &mistakes);
	cr_assert_eq(mistakes.count, 0, "line %u: %s: %s", mistakes.list[0].line,
	             mistakes.list[0].where, mistakes.list[0].text);
	return config;
}
