#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tandem/config.h>

/* The file in git and the text that the schema gives, compared line by line. */
struct comparison {
	const char *path;
	FILE *file;
	unsigned line;
};

static void compare_line(void *context, const char *line)
{
	struct comparison *comparison = context;
	char expected[2048] = "";
	comparison->line++;
	cr_assert_not_null(fgets(expected, sizeof(expected), comparison->file),
	                   "%s ends before line %u", comparison->path, comparison->line);
	expected[strcspn(expected, "\n")] = '\0';
	cr_assert_str_eq(expected, line, "%s:%u differs from what the schema gives (%s)",
	                 comparison->path, comparison->line,
	                 "make it again: tandemctl config --example, --reference");
}

static void compare(const char *path,
                    void (*write)(void (*emit)(void *context, const char *line), void *context))
{
	struct comparison comparison = {.path = path, .file = fopen(path, "r")};
	char rest[8];
	cr_assert_not_null(comparison.file, "%s", path);
	write(compare_line, &comparison);
	cr_assert_null(fgets(rest, sizeof(rest), comparison.file), "%s goes on behind line %u",
	               path, comparison.line);
	cr_assert_gt(comparison.line, 20);
	fclose(comparison.file);
}

Test(texts, the_example_in_git_is_the_schemas)
{
	compare(SOURCE_DIR "/conf/tandem.conf.example", tandem_config_example);
}

Test(texts, the_reference_in_git_is_the_schemas)
{
	compare(SOURCE_DIR "/docs/configuration.md", tandem_config_reference);
}

static void measure(void *context, const char *line)
{
	size_t *longest = context;
	if (strlen(line) > *longest)
		*longest = strlen(line);
}

Test(texts, the_example_fits_a_terminal)
{
	size_t longest = 0;
	tandem_config_example(measure, &longest);
	cr_assert_leq(longest, 100);
}
