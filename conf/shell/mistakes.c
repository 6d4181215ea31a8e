#include "shell/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/memory.h>

#define WHERE_BYTES sizeof(((struct tandem_config_mistake *)0)->where)
#define DEPTH_MAX   8

static struct tandem_config_mistake *mistake_new(struct tandem_config_mistakes *mistakes)
{
	if (mistakes->count == mistakes->capacity) {
		size_t capacity = mistakes->capacity ? 2 * mistakes->capacity : 16;
		struct tandem_config_mistake *list =
		        tandem_memory_alloc_array(capacity, sizeof(*list));
		if (!list) {
			mistakes->lost_count++;
			return NULL;
		}
		if (mistakes->count > 0)
			memcpy(list, mistakes->list, mistakes->count * sizeof(*list));
		tandem_memory_free(mistakes->list);
		mistakes->list = list;
		mistakes->capacity = capacity;
	}
	return &mistakes->list[mistakes->count++];
}

static void mistake_add(struct tandem_config_mistakes *mistakes, unsigned line, const char *where,
                        const char *format, va_list arguments)
{
	struct tandem_config_mistake *mistake = mistake_new(mistakes);
	if (!mistake)
		return;
	mistake->line = line;
	snprintf(mistake->where, sizeof(mistake->where), "%s", where);
	vsnprintf(mistake->text, sizeof(mistake->text), format, arguments);
}

void tandem_config_mistake_add(struct tandem_config_mistakes *mistakes, unsigned line,
                               const char *where, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	mistake_add(mistakes, line, where, format, arguments);
	va_end(arguments);
}

/* "pairs[0].arbiter": from the root down, so the parents are collected first. The schema is less
 * deep than DEPTH_MAX, an unknown group is reported and not entered. */
void tandem_config_where(const config_setting_t *setting, char *where, size_t where_bytes)
{
	const config_setting_t *parents[DEPTH_MAX];
	size_t count = 0, length = 0;
	where[0] = '\0';
	for (; setting && !config_setting_is_root(setting) && count < DEPTH_MAX;
	     setting = config_setting_parent(setting))
		parents[count++] = setting;
	while (count-- > 0 && length < where_bytes - 1) {
		const char *name = config_setting_name(parents[count]);
		if (name)
			snprintf(where + length, where_bytes - length, "%s%s",
			         length > 0 ? "." : "", name);
		else
			snprintf(where + length, where_bytes - length, "[%d]",
			         config_setting_index(parents[count]));
		length = strlen(where);
	}
}

void tandem_config_mistake_at(struct tandem_config_reader *reader, const config_setting_t *setting,
                              const char *format, ...)
{
	char where[WHERE_BYTES];
	va_list arguments;
	tandem_config_where(setting, where, sizeof(where));
	va_start(arguments, format);
	mistake_add(reader->mistakes, config_setting_source_line(setting), where, format,
	            arguments);
	va_end(arguments);
}

void tandem_config_mistake_in(struct tandem_config_reader *reader, const config_setting_t *group,
                              const char *name, const char *format, ...)
{
	const config_setting_t *member = config_setting_get_member(group, name);
	char where[WHERE_BYTES];
	va_list arguments;
	tandem_config_where(group, where, sizeof(where));
	size_t length = strlen(where);
	snprintf(where + length, sizeof(where) - length, "%s%s", length > 0 ? "." : "", name);
	va_start(arguments, format);
	mistake_add(reader->mistakes, config_setting_source_line(member ? member : group), where,
	            format, arguments);
	va_end(arguments);
}

static int compare_lines(const void *left, const void *right)
{
	const struct tandem_config_mistake *a = left, *b = right;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return strcmp(a->where, b->where);
}

void tandem_config_mistakes_sort(struct tandem_config_mistakes *mistakes)
{
	if (mistakes->count > 1)
		qsort(mistakes->list, mistakes->count, sizeof(mistakes->list[0]), compare_lines);
}

void tandem_config_mistakes_clear(struct tandem_config_mistakes *mistakes)
{
	tandem_memory_free(mistakes->list);
	*mistakes = TANDEM_CONFIG_MISTAKES_NONE;
}

void tandem_config_mistake_format(const char *path, const struct tandem_config_mistake *mistake,
                                  char *text, size_t text_bytes)
{
	const char *separator = mistake->where[0] ? ": " : "";
	if (mistake->line > 0)
		snprintf(text, text_bytes, "%s:%u: %s%s%s", path, mistake->line, mistake->where,
		         separator, mistake->text);
	else
		snprintf(text, text_bytes, "%s: %s%s%s", path, mistake->where, separator,
		         mistake->text);
}
