#include "shell/reader.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <tandem/assert.h>

#include "core/form.h"

#define SEEN_BYTES 96

static const char *aggregate_text(int type)
{
	switch (type) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_LIST:
		return "a list";
	case CONFIG_TYPE_ARRAY:
		return "an array";
	default:
		return "nothing";
	}
}

void tandem_config_value_text(const config_setting_t *setting, char *text, size_t text_bytes)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		snprintf(text, text_bytes, "\"%s\"", config_setting_get_string(setting));
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(text, text_bytes, "%lld", config_setting_get_int64(setting));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(text, text_bytes, "%g", config_setting_get_float(setting));
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(text, text_bytes, "%s",
		         config_setting_get_bool(setting) ? "true" : "false");
		break;
	default:
		snprintf(text, text_bytes, "%s", aggregate_text(config_setting_type(setting)));
		break;
	}
}

static bool address_is_reachable(int family, const void *address)
{
	if (family == AF_INET) {
		uint32_t host_order = ntohl(((const struct in_addr *)address)->s_addr);
		return host_order != INADDR_ANY && !IN_MULTICAST(host_order) &&
		       host_order != INADDR_BROADCAST;
	}
	return !IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)address) &&
	       !IN6_IS_ADDR_MULTICAST((const struct in6_addr *)address);
}

/* Keeps the canonical form, so that two spellings of one address compare equal. */
static bool address_read(const char *text, char *ret_address, size_t address_bytes)
{
	struct in6_addr address; /* the larger of the two */
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, &address) != 1 || !address_is_reachable(family, &address))
		return false;
	return inet_ntop(family, &address, ret_address, (socklen_t)address_bytes) != NULL;
}

static bool text_has_form(const struct tandem_config_key *key, const char *text)
{
	switch (key->type) {
	case TANDEM_CONFIG_NAME:
		return tandem_config_is_name(text);
	case TANDEM_CONFIG_DIRECTORY:
		return tandem_config_is_path(text);
	case TANDEM_CONFIG_CHOICE:
		return tandem_config_is_choice(text, key->choices);
	case TANDEM_CONFIG_COMMAND:
		return text[strspn(text, " \t\r\n")] != '\0';
	case TANDEM_CONFIG_AGENT:
		return tandem_config_is_agent(text);
	case TANDEM_CONFIG_WORDS:
		return tandem_config_is_words(text);
	case TANDEM_CONFIG_URL:
		return tandem_config_is_url(text);
	case TANDEM_CONFIG_ADDRESS:
	case TANDEM_CONFIG_NUMBER:
	case TANDEM_CONFIG_BYTES:
	case TANDEM_CONFIG_MICROSECONDS:
	case TANDEM_CONFIG_MILLISECONDS:
	case TANDEM_CONFIG_FLAG:
	case TANDEM_CONFIG_NODE_PAIR:
	case TANDEM_CONFIG_ADDRESSES:
	case TANDEM_CONFIG_URLS:
	case TANDEM_CONFIG_ONE:
	case TANDEM_CONFIG_LIST:
		break;
	}
	return false;
}

/* "one of auto|rdma|tcp" and for a near miss the word meant. */
static void choice_mistake(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                           const config_setting_t *setting, const char *text)
{
	char words[SEEN_BYTES];
	const char *list[16] = {NULL};
	char *rest = NULL;
	size_t count = 0;
	snprintf(words, sizeof(words), "%s", key->choices);
	for (char *word = strtok_r(words, "|", &rest); word && count < 15;
	     word = strtok_r(NULL, "|", &rest))
		list[count++] = word;
	const char *nearest = tandem_config_nearest(text, list);
	tandem_config_mistake_at(reader, setting, "\"%.80s\" seen, one of %s needed%s%s%s", text,
	                         key->choices, nearest ? "; did you mean \"" : "",
	                         nearest ? nearest : "", nearest ? "\"?" : "");
}

static void text_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                      const config_setting_t *setting, char *field)
{
	const char *text = config_setting_get_string(setting);
	if (key->type == TANDEM_CONFIG_ADDRESS) {
		if (address_read(text, field, key->size))
			return;
	} else if (text_has_form(key, text)) {
		if (strlen(text) < key->size)
			memcpy(field, text, strlen(text) + 1);
		else
			tandem_config_mistake_at(reader, setting,
			                         "%zu characters seen, at most %zu needed",
			                         strlen(text), key->size - 1);
		return;
	} else if (key->type == TANDEM_CONFIG_CHOICE) {
		choice_mistake(reader, key, setting, text);
		return;
	}
	tandem_config_mistake_at(reader, setting, "\"%.80s\" seen, %s needed", text,
	                         tandem_config_type_text(key->type));
}

static void number_store(const struct tandem_config_key *key, uint64_t number, void *field)
{
	number *= tandem_config_unit(key->type);
	switch (key->size) {
	case sizeof(bool):
		*(bool *)field = number != 0;
		break;
	case sizeof(uint16_t):
		*(uint16_t *)field = (uint16_t)number;
		break;
	case sizeof(uint32_t):
		*(uint32_t *)field = (uint32_t)number;
		break;
	default:
		TANDEM_ASSERT(key->size == sizeof(uint64_t));
		*(uint64_t *)field = number;
		break;
	}
}

static void number_read(struct tandem_config_reader *reader, const struct tandem_config_key *key,
                        const config_setting_t *setting, void *field)
{
	long long number = config_setting_get_int64(setting);
	if (number < 0 || (uint64_t)number < key->least || (uint64_t)number > key->most) {
		tandem_config_mistake_at(
		        reader, setting, "%lld seen, %s from %" PRIu64 " to %" PRIu64 " needed",
		        number, tandem_config_type_text(key->type), key->least, key->most);
		return;
	}
	number_store(key, (uint64_t)number, field);
}

void tandem_config_value_read(struct tandem_config_reader *reader,
                              const struct tandem_config_key *key, const config_setting_t *setting,
                              void *field)
{
	int type = config_setting_type(setting);
	bool is_integer = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	if (key->type == TANDEM_CONFIG_FLAG && type == CONFIG_TYPE_BOOL) {
		number_store(key, config_setting_get_bool(setting) ? 1 : 0, field);
	} else if (tandem_config_type_is_text(key->type) && type == CONFIG_TYPE_STRING) {
		text_read(reader, key, setting, field);
	} else if (tandem_config_type_is_number(key->type) && is_integer &&
	           key->type != TANDEM_CONFIG_FLAG) {
		number_read(reader, key, setting, field);
	} else {
		char seen[SEEN_BYTES];
		bool is_choice = key->type == TANDEM_CONFIG_CHOICE;
		tandem_config_value_text(setting, seen, sizeof(seen));
		tandem_config_mistake_at(reader, setting, "%s seen, %s%s%s%s needed", seen,
		                         tandem_config_type_text(key->type), is_choice ? " " : "",
		                         is_choice ? key->choices : "",
		                         tandem_config_type_is_text(key->type) ? " in quotes" : "");
	}
}

void tandem_config_value_default(const struct tandem_config_key *key, void *field)
{
	if (tandem_config_type_is_text(key->type)) {
		TANDEM_ASSERT(strlen(key->text_default) < key->size);
		memcpy(field, key->text_default, strlen(key->text_default) + 1);
	} else {
		number_store(key, key->number_default, field);
	}
}
