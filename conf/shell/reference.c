#include <inttypes.h>
#include <stdio.h>

#include "core/schema.h"

static void takes_format(const struct tandem_config_key *key, char *text, size_t text_bytes)
{
	if (key->type == TANDEM_CONFIG_CHOICE) {
		/* The bar would end the table's cell. */
		size_t length = 0;
		for (const char *c = key->choices; *c && length + 4 < text_bytes; c++) {
			if (*c == '|')
				text[length++] = ',';
			text[length++] = *c == '|' ? ' ' : *c;
		}
		text[length] = '\0';
	} else if (key->type != TANDEM_CONFIG_FLAG && tandem_config_type_is_number(key->type)) {
		snprintf(text, text_bytes, "%s, %" PRIu64 " to %" PRIu64,
		         tandem_config_type_text(key->type), key->least, key->most);
	} else {
		snprintf(text, text_bytes, "%s", tandem_config_type_text(key->type));
	}
}

static void default_format(const struct tandem_config_key *key, char *text, size_t text_bytes)
{
	if (key->is_required)
		snprintf(text, text_bytes, "needed");
	else if (key->type == TANDEM_CONFIG_FLAG)
		snprintf(text, text_bytes, key->number_default ? "true" : "false");
	else if (tandem_config_type_is_number(key->type) && key->number_default >= key->least)
		snprintf(text, text_bytes, "%" PRIu64, key->number_default);
	else if (tandem_config_type_is_text(key->type) && key->text_default[0] != '\0')
		snprintf(text, text_bytes, "`%s`", key->text_default);
	else
		snprintf(text, text_bytes, "none");
}

static void group_write(enum tandem_config_group group,
                        void (*emit)(void *context, const char *line), void *context)
{
	char line[1536], takes[256], fallback[128];
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	snprintf(line, sizeof(line), "## In %s", tandem_config_group_text(group));
	emit(context, line);
	emit(context, "");
	emit(context, "| key | takes | default | why |");
	emit(context, "| --- | --- | --- | --- |");
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group != group)
			continue;
		takes_format(&keys[i], takes, sizeof(takes));
		default_format(&keys[i], fallback, sizeof(fallback));
		snprintf(line, sizeof(line), "| `%s` | %s | %s | %s |", keys[i].name, takes,
		         fallback, keys[i].why);
		emit(context, line);
	}
}

void tandem_config_reference(void (*emit)(void *context, const char *line), void *context)
{
	emit(context, "# Configuration");
	emit(context, "");
	emit(context,
	     "One libconfig file for the whole cluster, the same on every node. An unknown "
	     "or contradictory key is");
	emit(context, "an error. `tandemctl check FILE` tests a file with the same reader that the "
	              "programs start with.");
	emit(context, "This page is made by `tandemctl config --reference`.");
	for (int group = 0; group < TANDEM_CONFIG_GROUP_COUNT; group++) {
		emit(context, "");
		group_write((enum tandem_config_group)group, emit, context);
	}
}
