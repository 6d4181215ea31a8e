#include "core/schema.h"

#include <string.h>

#include <tandem/clock.h>

#define REQUIRED true
#define OPTIONAL false

#define X(name, type, text) typedef type name##_struct;
TANDEM_CONFIG_GROUP_TABLE(X)
#undef X

#define FIELD_SIZE(type, field)   sizeof(((type *)0)->field)
#define ELEMENT_SIZE(type, field) sizeof(((type *)0)->field[0])

#define TEXT(GROUP, key, TYPE, field, need, fallback, words, example_1, example_2, reason)         \
	{.group = TANDEM_CONFIG_##GROUP,                                                           \
	 .name = #key,                                                                             \
	 .type = TANDEM_CONFIG_##TYPE,                                                             \
	 .is_required = need,                                                                      \
	 .offset = offsetof(GROUP##_struct, field),                                                \
	 .size = FIELD_SIZE(GROUP##_struct, field),                                                \
	 .text_default = fallback,                                                                 \
	 .choices = words,                                                                         \
	 .examples = {example_1, example_2},                                                       \
	 .why = reason},

#define NUMBER(GROUP, key, TYPE, field, need, fallback, low, high, example_1, example_2, reason)   \
	{.group = TANDEM_CONFIG_##GROUP,                                                           \
	 .name = #key,                                                                             \
	 .type = TANDEM_CONFIG_##TYPE,                                                             \
	 .is_required = need,                                                                      \
	 .offset = offsetof(GROUP##_struct, field),                                                \
	 .size = FIELD_SIZE(GROUP##_struct, field),                                                \
	 .number_default = fallback,                                                               \
	 .least = low,                                                                             \
	 .most = high,                                                                             \
	 .examples = {example_1, example_2},                                                       \
	 .why = reason},

#define NEST_SIZE_LIST(type, field)      ELEMENT_SIZE(type, field)
#define NEST_SIZE_NODE_PAIR(type, field) ELEMENT_SIZE(type, field)
#define NEST_SIZE_ADDRESSES(type, field) ELEMENT_SIZE(type, field)
#define NEST_SIZE_URLS(type, field)      ELEMENT_SIZE(type, field)
#define NEST_SIZE_ONE(type, field)       FIELD_SIZE(type, field)

#define NEST(GROUP, key, TYPE, field, count_field, need, INSIDE, low, high, reason)                \
	{.group = TANDEM_CONFIG_##GROUP,                                                           \
	 .name = #key,                                                                             \
	 .type = TANDEM_CONFIG_##TYPE,                                                             \
	 .is_required = need,                                                                      \
	 .offset = offsetof(GROUP##_struct, field),                                                \
	 .size = NEST_SIZE_##TYPE(GROUP##_struct, field),                                          \
	 .least = low,                                                                             \
	 .most = high,                                                                             \
	 .inside = TANDEM_CONFIG_##INSIDE,                                                         \
	 .count_offset = offsetof(GROUP##_struct, count_field),                                    \
	 .why = reason},

static const struct tandem_config_key keys[] = {TANDEM_CONFIG_SCHEMA(TEXT, NUMBER, NEST)};

static const char *const group_texts[] = {
#define X(name, type, text) [TANDEM_CONFIG_##name] = text,
        TANDEM_CONFIG_GROUP_TABLE(X)
#undef X
};

const struct tandem_config_key *tandem_config_keys(size_t *ret_count)
{
	*ret_count = sizeof(keys) / sizeof(keys[0]);
	return keys;
}

const struct tandem_config_key *tandem_config_key_find(enum tandem_config_group group,
                                                       const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].group == group && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

const char *tandem_config_group_text(enum tandem_config_group group)
{
	return group_texts[group];
}

const char *tandem_config_type_text(enum tandem_config_type type)
{
	switch (type) {
	case TANDEM_CONFIG_NAME:
		return "1 to 31 characters of a-z, 0-9, _ and -";
	case TANDEM_CONFIG_ADDRESS:
		return "a numeric IPv4 or IPv6 address that other machines can reach";
	case TANDEM_CONFIG_DIRECTORY:
		return "an absolute path";
	case TANDEM_CONFIG_COMMAND:
		return "a shell command";
	case TANDEM_CONFIG_AGENT:
		return "an absolute path or the name of a program in /usr/sbin";
	case TANDEM_CONFIG_WORDS:
		return "printable characters";
	case TANDEM_CONFIG_URL:
		return "http://HOST:PORT or https://HOST:PORT";
	case TANDEM_CONFIG_CHOICE:
		return "one of";
	case TANDEM_CONFIG_NUMBER:
		return "a whole number";
	case TANDEM_CONFIG_BYTES:
		return "a whole number of bytes";
	case TANDEM_CONFIG_MICROSECONDS:
		return "a whole number of microseconds";
	case TANDEM_CONFIG_MILLISECONDS:
		return "a whole number of milliseconds";
	case TANDEM_CONFIG_FLAG:
		return "true or false";
	case TANDEM_CONFIG_NODE_PAIR:
		return "two names of nodes: [\"a\", \"b\"]";
	case TANDEM_CONFIG_ADDRESSES:
		return "a list of numeric addresses: [\"10.1.0.1\", \"10.2.0.1\"]";
	case TANDEM_CONFIG_URLS:
		return "a list: [\"http://10.0.0.3:2379\", \"http://10.0.0.4:2379\"]";
	case TANDEM_CONFIG_ONE:
		return "a group: { ... }";
	case TANDEM_CONFIG_LIST:
		return "a list of groups: ( { ... }, { ... } )";
	}
	return "";
}

bool tandem_config_type_is_text(enum tandem_config_type type)
{
	return type <= TANDEM_CONFIG_CHOICE;
}

bool tandem_config_type_is_number(enum tandem_config_type type)
{
	return type >= TANDEM_CONFIG_NUMBER && type <= TANDEM_CONFIG_FLAG;
}

uint64_t tandem_config_unit(enum tandem_config_type type)
{
	if (type == TANDEM_CONFIG_MICROSECONDS)
		return TANDEM_NS_PER_US;
	return type == TANDEM_CONFIG_MILLISECONDS ? TANDEM_NS_PER_MS : 1;
}
