#include "shell/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/quantity.h>

#define WHERE_BYTES 96
#define TEXT_BYTES  (TANDEM_CONFIG_COMMAND_BYTES + 16)

/* Goes through schema, tree and structs side by side, as the reader did. */
struct walk {
	void (*emit)(void *context, const struct tandem_config_value *value);
	void *context;
};

static void group_explain(const struct walk *walk, enum tandem_config_group group,
                          const config_setting_t *setting, const char *base);

static void where_join(const config_setting_t *group, const char *name, char *where)
{
	tandem_config_where(group, where, WHERE_BYTES);
	size_t length = strlen(where);
	snprintf(where + length, WHERE_BYTES - length, "%s%s", length > 0 ? "." : "", name);
}

static uint64_t number_of(const struct tandem_config_key *key, const void *field)
{
	uint64_t number = 0;
	switch (key->size) {
	case sizeof(bool):
		number = *(const bool *)field;
		break;
	case sizeof(uint16_t):
		number = *(const uint16_t *)field;
		break;
	case sizeof(uint32_t):
		number = *(const uint32_t *)field;
		break;
	default:
		TANDEM_ASSERT(key->size == sizeof(uint64_t));
		number = *(const uint64_t *)field;
		break;
	}
	return number / tandem_config_unit(key->type);
}

static void number_format(const struct tandem_config_key *key, uint64_t number, char *text)
{
	if (tandem_config_unit(key->type) > 1)
		tandem_quantity_span(number * tandem_config_unit(key->type), text);
	else if (key->type == TANDEM_CONFIG_BYTES)
		tandem_quantity_bytes(number, text);
	else if (key->type == TANDEM_CONFIG_FLAG)
		snprintf(text, TANDEM_QUANTITY_BYTES, "%s", number ? "true" : "false");
	else
		snprintf(text, TANDEM_QUANTITY_BYTES, "%" PRIu64, number);
}

/* The line of the member, or what stands in for one that the file does not have. */
static void find_origin(const struct tandem_config_key *key, const config_setting_t *group,
                        struct tandem_config_value *value)
{
	const config_setting_t *member = config_setting_get_member(group, key->name);
	bool has_no_default = tandem_config_type_is_number(key->type) &&
	                      key->number_default < key->least && value->number > 0;
	value->origin = TANDEM_CONFIG_FROM_DEFAULT;
	if (member) {
		value->origin = TANDEM_CONFIG_FROM_FILE;
	} else if (has_no_default) {
		value->origin = TANDEM_CONFIG_FROM_PROFILE;
		member = config_setting_get_member(group, "heartbeat_profile");
	}
	value->line = member ? config_setting_source_line(member) : 0;
}

static void scalar_explain(const struct walk *walk, const struct tandem_config_key *key,
                           const config_setting_t *group, const char *field)
{
	char where[WHERE_BYTES], text[TANDEM_QUANTITY_BYTES] = "";
	struct tandem_config_value value = {.where = where, .key = key->name, .text = field};
	where_join(group, key->name, where);
	if (tandem_config_type_is_number(key->type)) {
		value.number = number_of(key, field);
		value.is_flag = key->type == TANDEM_CONFIG_FLAG;
		value.is_number = !value.is_flag;
		value.text = text;
		number_format(key, value.number, text);
	}
	find_origin(key, group, &value);
	walk->emit(walk->context, &value);
}

static size_t count_of(const struct tandem_config_key *key, const char *base)
{
	size_t count = 0;
	if (key->type == TANDEM_CONFIG_NODE_PAIR)
		return 2;
	memcpy(&count, base + key->count_offset, sizeof(count));
	return count;
}

static void texts_explain(const struct walk *walk, const struct tandem_config_key *key,
                          const config_setting_t *group, const char *base)
{
	char where[WHERE_BYTES], text[TEXT_BYTES] = "";
	struct tandem_config_value value = {.where = where, .key = key->name, .text = text};
	where_join(group, key->name, where);
	for (size_t i = 0; i < count_of(key, base); i++) {
		size_t length = strlen(text);
		snprintf(text + length, sizeof(text) - length, "%s%s", i > 0 ? ", " : "",
		         base + key->offset + i * key->size);
	}
	find_origin(key, group, &value);
	walk->emit(walk->context, &value);
}

static void list_explain(const struct walk *walk, const struct tandem_config_key *key,
                         const config_setting_t *group, const char *base)
{
	const config_setting_t *list = config_setting_get_member(group, key->name);
	for (size_t i = 0; i < count_of(key, base); i++)
		group_explain(walk, key->inside, config_setting_get_elem(list, (unsigned)i),
		              base + key->offset + i * key->size);
}

/* Of an optional group that is left out nothing is in effect. */
static void one_explain(const struct walk *walk, const struct tandem_config_key *key,
                        const config_setting_t *group, const char *base)
{
	const config_setting_t *setting = config_setting_get_member(group, key->name);
	if (setting)
		group_explain(walk, key->inside, setting, base + key->offset);
}

static void key_explain(const struct walk *walk, const struct tandem_config_key *key,
                        const config_setting_t *group, const char *base)
{
	if (key->type == TANDEM_CONFIG_LIST)
		list_explain(walk, key, group, base);
	else if (key->type == TANDEM_CONFIG_ONE)
		one_explain(walk, key, group, base);
	else if (key->type == TANDEM_CONFIG_NODE_PAIR || key->type == TANDEM_CONFIG_ADDRESSES ||
	         key->type == TANDEM_CONFIG_URLS)
		texts_explain(walk, key, group, base);
	else
		scalar_explain(walk, key, group, base + key->offset);
}

static void group_explain(const struct walk *walk, enum tandem_config_group group,
                          const config_setting_t *setting, const char *base)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group == group)
			key_explain(walk, &keys[i], setting, base);
	}
}

static void look(struct tandem_config_reader *reader, void *argument)
{
	group_explain(argument, TANDEM_CONFIG_ROOT, config_root_setting(reader->tree),
	              (const char *)reader->config);
}

int tandem_config_explain(const char *path,
                          void (*emit)(void *context, const struct tandem_config_value *value),
                          void *context, struct tandem_config_mistakes *mistakes,
                          struct tandem_error *reterr_error)
{
	struct walk walk = {.emit = emit, .context = context};
	struct tandem_config *config = NULL;
	int rc = tandem_config_load_and_look(path, &config, mistakes, look, &walk, reterr_error);
	tandem_config_free(config);
	return rc;
}
