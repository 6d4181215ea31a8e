#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/schema.h"

#define COLUMNS 100

/* Where the lines go, and how deep the group is. */
struct page {
	void (*emit)(void *context, const char *line);
	void *context;
	int depth;
	size_t which; /* the first or the second element of a list */
};

static void group_write(const struct page *page, enum tandem_config_group group);

static void TANDEM_PRINTF(2, 3) line_write(const struct page *page, const char *format, ...)
{
	char line[1536];
	va_list arguments;
	int indent = 2 * page->depth;
	snprintf(line, sizeof(line), "%*s", indent, "");
	va_start(arguments, format);
	vsnprintf(line + indent, sizeof(line) - (size_t)indent, format, arguments);
	va_end(arguments);
	page->emit(page->context, line);
}

/* Words of `text` in comment lines no longer than COLUMNS. */
static void comment_write(const struct page *page, const char *text)
{
	char line[COLUMNS + 1] = "";
	size_t room = COLUMNS - 2 - 2 * (size_t)page->depth;
	while (*text) {
		size_t word = strcspn(text, " ");
		size_t length = strlen(line);
		if (length > 0 && length + 1 + word > room) {
			line_write(page, "# %s", line);
			length = 0;
		}
		snprintf(line + length, sizeof(line) - length, "%s%.*s", length > 0 ? " " : "",
		         (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	line_write(page, "# %s", line);
}

static void comment_limits(const struct page *page, const struct tandem_config_key *key)
{
	if (key->type == TANDEM_CONFIG_FLAG)
		line_write(page, "# (true|false)");
	else if (tandem_config_type_is_number(key->type))
		line_write(page, "# (%" PRIu64 " to %" PRIu64 ")", key->least, key->most);
	else if (key->type == TANDEM_CONFIG_CHOICE)
		line_write(page, "# (%s)", key->choices);
}

static void number_write(const struct page *page, const struct tandem_config_key *key)
{
	const char *example = key->examples[page->which];
	if (key->type == TANDEM_CONFIG_FLAG)
		line_write(page, "# %s = %s;", key->name, key->number_default ? "true" : "false");
	else if (example[0] != '\0')
		line_write(page, "%s = %s;", key->name, example);
	else if (key->number_default < key->least)
		line_write(page, "# %s = ;", key->name);
	else
		line_write(page, "# %s = %" PRIu64 ";", key->name, key->number_default);
}

static void text_write(const struct page *page, const struct tandem_config_key *key)
{
	const char *example = key->examples[page->which];
	if (example[0] != '\0')
		line_write(page, "%s = \"%s\";", key->name, example);
	else
		line_write(page, "# %s = \"%s\";", key->name, key->text_default);
}

static void element_write(const struct page *page, const struct tandem_config_key *key,
                          size_t which, const char *end)
{
	struct page inside = *page;
	inside.depth++;
	inside.which = which;
	line_write(page, "{");
	group_write(&inside, key->inside);
	line_write(page, "}%s", end);
}

/* Two nodes make the shortest cluster; of all else one shows it. */
static void list_write(const struct page *page, const struct tandem_config_key *key)
{
	struct page inside = *page;
	inside.depth++;
	line_write(page, "%s = (", key->name);
	if (key->least > 1) {
		element_write(&inside, key, 0, ",");
		element_write(&inside, key, 1, "");
	} else {
		element_write(&inside, key, page->which, "");
	}
	line_write(page, ");");
}

/* What an optional list may hold, in comments; its defaults are in the reference. */
static void element_sketch(const struct page *page, enum tandem_config_group group)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	const char *mark = "{ ";
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group != group || !keys[i].examples[0][0])
			continue;
		line_write(page, "#   %s%s = \"%s\";", mark, keys[i].name, keys[i].examples[0]);
		mark = "  ";
	}
	line_write(page, "#   }");
}

static void key_write(const struct page *page, const struct tandem_config_key *key)
{
	if (tandem_config_type_is_text(key->type)) {
		text_write(page, key);
	} else if (tandem_config_type_is_number(key->type)) {
		number_write(page, key);
	} else if (key->type == TANDEM_CONFIG_NODE_PAIR) {
		line_write(page, "%s = [\"a\", \"b\"];", key->name);
	} else if (key->type == TANDEM_CONFIG_ADDRESSES) {
		line_write(page, "# %s = [\"10.2.0.1\"];", key->name);
	} else if (key->type == TANDEM_CONFIG_URLS) {
		line_write(page,
		           "# %s = [\"http://10.0.0.3:2379\", \"http://10.0.0.4:2379\", "
		           "\"http://10.0.0.5:2379\"];",
		           key->name);
	} else if (key->type == TANDEM_CONFIG_ONE) {
		line_write(page, "%s =", key->name);
		element_write(page, key, page->which, ";");
	} else if (key->is_required) {
		list_write(page, key);
	} else {
		line_write(page, "# %s = (", key->name);
		element_sketch(page, key->inside);
		line_write(page, "# );");
	}
}

static bool is_shown(const struct page *page, const struct tandem_config_key *key)
{
	bool is_scalar =
	        tandem_config_type_is_text(key->type) || tandem_config_type_is_number(key->type);
	if (page->which == 0)
		return true;
	return is_scalar ? key->examples[page->which][0] != '\0' : key->is_required;
}

/* The second element repeats neither the comments nor the defaults of the first. */
static void group_write(const struct page *page, enum tandem_config_group group)
{
	size_t count;
	const struct tandem_config_key *keys = tandem_config_keys(&count);
	bool is_first = true;
	for (size_t i = 0; i < count; i++) {
		if (keys[i].group != group || !is_shown(page, &keys[i]))
			continue;
		if (page->which == 0) {
			if (!is_first)
				page->emit(page->context, "");
			comment_write(page, keys[i].why);
			comment_limits(page, &keys[i]);
		}
		key_write(page, &keys[i]);
		is_first = false;
	}
}

void tandem_config_example(void (*emit)(void *context, const char *line), void *context)
{
	struct page page = {.emit = emit, .context = context};
	comment_write(&page, "Tandem: the configuration of a cluster, the same file on every node. "
	                     "Keys that are commented out show their default.");
	comment_write(&page,
	              "Made by `tandemctl config --example`; test yours with `tandemctl check "
	              "FILE`.");
	emit(context, "");
	group_write(&page, TANDEM_CONFIG_ROOT);
}
