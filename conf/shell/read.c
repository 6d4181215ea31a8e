#include "shell/reader.h"

#include <string.h>

#define KEYS_MAX 64

static void group_read(struct tandem_config_reader *reader, enum tandem_config_group group,
                       const config_setting_t *setting, void *base);

static const struct tandem_config_key *key_of_other_group(const char *name)
{
	for (int group = 0; group < TANDEM_CONFIG_GROUP_COUNT; group++) {
		const struct tandem_config_key *key =
		        tandem_config_key_find((enum tandem_config_group)group, name);
		if (key)
			return key;
	}
	return NULL;
}

static void unknown_key(struct tandem_config_reader *reader, enum tandem_config_group group,
                        const config_setting_t *setting)
{
	const char *words[KEYS_MAX] = {NULL};
	size_t count, word_count = 0;
	const char *name = config_setting_name(setting);
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	for (size_t i = 0; i < count && word_count < KEYS_MAX - 1; i++) {
		if (keys[i].group == group)
			words[word_count++] = keys[i].name;
	}
	const char *nearest = tandem_config_nearest(name, words);
	const struct tandem_config_key *elsewhere = key_of_other_group(name);
	if (elsewhere)
		tandem_config_mistake_at(reader, setting, "unknown key here; it belongs to \"%s\"",
		                         tandem_config_group_text(elsewhere->group));
	else if (nearest)
		tandem_config_mistake_at(reader, setting, "unknown key; did you mean \"%s\"?",
		                         nearest);
	else
		tandem_config_mistake_at(reader, setting,
		                         "unknown key; docs/configuration.md has all keys");
}

static void find_unknown_keys(struct tandem_config_reader *reader, enum tandem_config_group group,
                              const config_setting_t *setting)
{
	int count = config_setting_length(setting);
	for (int i = 0; i < count; i++) {
		const config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
		if (!tandem_config_key_find(group, config_setting_name(member)))
			unknown_key(reader, group, member);
	}
}

static void wrong_type(struct tandem_config_reader *reader, const config_setting_t *setting,
                       enum tandem_config_type type)
{
	char seen[96];
	tandem_config_value_text(setting, seen, sizeof(seen));
	tandem_config_mistake_at(reader, setting, "%s seen, %s needed", seen,
	                         tandem_config_type_text(type));
}

/* True and the number of elements within the key's limits, or false. */
static bool length_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                        const config_setting_t *setting, size_t *ret_count)
{
	size_t count = (size_t)config_setting_length(setting);
	if (count >= key->least && count <= key->most) {
		*ret_count = count;
		return true;
	}
	tandem_config_mistake_at(reader, setting, "%zu seen, %zu to %zu needed", count,
	                         (size_t)key->least, (size_t)key->most);
	return false;
}

static void list_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                      const config_setting_t *setting, char *base)
{
	size_t count;
	if (config_setting_type(setting) != CONFIG_TYPE_LIST) {
		wrong_type(reader, setting, key->type);
		return;
	}
	if (!length_read(reader, key, setting, &count))
		return;
	memcpy(base + key->count_offset, &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		const config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);
		if (config_setting_type(element) == CONFIG_TYPE_GROUP)
			group_read(reader, key->inside, element,
			           base + key->offset + i * key->size);
		else
			wrong_type(reader, element, TANDEM_CONFIG_ONE);
	}
}

/* A list of plain texts, each as the key `like` would be read. */
static void texts_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                       const struct tandem_config_key *like, const config_setting_t *setting,
                       char *base)
{
	int type = config_setting_type(setting);
	size_t count;
	if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		wrong_type(reader, setting, key->type);
		return;
	}
	if (!length_read(reader, key, setting, &count))
		return;
	if (key->type != TANDEM_CONFIG_NODE_PAIR)
		memcpy(base + key->count_offset, &count, sizeof(count));
	for (size_t i = 0; i < count; i++)
		tandem_config_value_read(reader, like,
		                         config_setting_get_elem(setting, (unsigned)i),
		                         base + key->offset + i * key->size);
}

static void one_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                     const config_setting_t *setting, char *base)
{
	if (config_setting_type(setting) == CONFIG_TYPE_GROUP)
		group_read(reader, key->inside, setting, base + key->offset);
	else
		wrong_type(reader, setting, key->type);
}

static void key_missing(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                        const config_setting_t *group)
{
	/* The one choice that a new user cannot guess. */
	if (key->type == TANDEM_CONFIG_ONE && key->inside == TANDEM_CONFIG_ARBITER)
		tandem_config_mistake_in(
		        reader, group, key->name,
		        "is missing: without an arbiter two nodes that cannot see each other "
		        "would both lead. { type = \"file\"; path = \"/shared/dir\"; } on storage "
		        "that both nodes see, or { type = \"etcd\"; endpoints = [ ... ]; }, or "
		        "{ type = \"fence\"; } with fence on both nodes, or { type = \"manual\"; "
		        "}: "
		        "an operator promotes");
	else
		tandem_config_mistake_in(reader, group, key->name, "is missing: %s%s%s needed",
		                         tandem_config_type_text(key->type),
		                         key->type == TANDEM_CONFIG_CHOICE ? " " : "",
		                         key->type == TANDEM_CONFIG_CHOICE ? key->choices : "");
}

/* No key takes a single one. */
static const struct tandem_config_key url = {.type = TANDEM_CONFIG_URL,
                                             .size = TANDEM_CONFIG_URL_BYTES};

/* A group that is left out is as one with nothing in it. */
static void group_default(enum tandem_config_group group, char *base)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group == group)
			tandem_config_value_default(&keys[i], base + keys[i].offset);
	}
}

static void key_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                     const config_setting_t *group, char *base)
{
	const config_setting_t *setting = config_setting_get_member(group, key->name);
	bool is_scalar =
	        tandem_config_type_is_text(key->type) || tandem_config_type_is_number(key->type);
	if (!setting) {
		if (key->is_required)
			key_missing(reader, key, group);
		else if (key->type == TANDEM_CONFIG_ONE)
			group_default(key->inside, base + key->offset);
		else if (is_scalar)
			tandem_config_value_default(key, base + key->offset);
	} else if (key->type == TANDEM_CONFIG_LIST) {
		list_read(reader, key, setting, base);
	} else if (key->type == TANDEM_CONFIG_ONE) {
		one_read(reader, key, setting, base);
	} else if (key->type == TANDEM_CONFIG_NODE_PAIR) {
		texts_read(reader, key, tandem_config_key_find(TANDEM_CONFIG_NODE, "name"), setting,
		           base);
	} else if (key->type == TANDEM_CONFIG_ADDRESSES) {
		texts_read(reader, key, tandem_config_key_find(TANDEM_CONFIG_NODE, "address"),
		           setting, base);
	} else if (key->type == TANDEM_CONFIG_URLS) {
		texts_read(reader, key, &url, setting, base);
	} else {
		tandem_config_value_read(reader, key, setting, base + key->offset);
	}
}

/* The schema is three groups deep, so this recursion is, whatever the file holds. */
static void group_read(struct tandem_config_reader *reader, enum tandem_config_group group,
                       const config_setting_t *setting, void *base)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	find_unknown_keys(reader, group, setting);
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group == group)
			key_read(reader, &keys[i], setting, base);
	}
}

void tandem_config_read(struct tandem_config_reader *reader)
{
	group_read(reader, TANDEM_CONFIG_ROOT, config_root_setting(reader->tree), reader->config);
}
