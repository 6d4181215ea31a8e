#include <criterion/criterion.h>
#include <string.h>

#include "core/schema.h"

Test(schema, finds_a_key_in_its_group_only)
{
	const struct tandem_config_key *key =
	        tandem_config_key_find(TANDEM_CONFIG_PAIR, "channels");
	cr_assert_not_null(key);
	cr_assert_eq(key->number_default, 4);
	cr_assert_eq(key->most, 16);
	cr_assert_null(tandem_config_key_find(TANDEM_CONFIG_NODE, "channels"));
	cr_assert_null(tandem_config_key_find(TANDEM_CONFIG_PAIR, "channel"));
}

Test(schema, every_row_is_whole)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	cr_assert_gt(count, 30);
	for (size_t i = 0; i < count; i++) {
		const struct tandem_config_key *key = &keys[i];
		size_t why = strlen(key->why);
		cr_assert(why > 8 && key->why[why - 1] == '.', "%s", key->name);
		cr_assert_eq(key, tandem_config_key_find(key->group, key->name),
		             "%s stands twice in its group", key->name);
		cr_assert_str_neq(tandem_config_type_text(key->type), "");
		if (tandem_config_type_is_text(key->type)) {
			cr_assert_lt(strlen(key->text_default), key->size, "%s", key->name);
			cr_assert_eq(key->type == TANDEM_CONFIG_CHOICE, key->choices[0] != '\0',
			             "%s", key->name);
		} else if (tandem_config_type_is_number(key->type)) {
			cr_assert_leq(key->least, key->most, "%s", key->name);
			cr_assert_leq(key->number_default, key->most, "%s", key->name);
			/* Larger ones lose bits in the reader, see core/scan.h. */
			cr_assert_leq(key->most, INT32_MAX, "%s", key->name);
			cr_assert(key->size >= 8 || key->most >> (8 * key->size) == 0, "%s",
			          key->name);
		}
	}
}

/* Spans of time are kept as nanoseconds, and the unit ends the name. */
Test(schema, units_are_in_the_names)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	for (size_t i = 0; i < count; i++) {
		const char *name = keys[i].name;
		size_t length = strlen(name);
		const char *end = length > 3 ? name + length - 3 : "";
		bool is_ms = strcmp(end, "_ms") == 0, is_us = strcmp(end, "_us") == 0;
		cr_assert_eq(is_ms, keys[i].type == TANDEM_CONFIG_MILLISECONDS, "%s", name);
		cr_assert_eq(is_us, keys[i].type == TANDEM_CONFIG_MICROSECONDS, "%s", name);
		if (is_ms || is_us)
			cr_assert_eq(keys[i].size, sizeof(uint64_t), "%s", name);
	}
}
