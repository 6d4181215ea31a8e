#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tandem/config.h>
#include <tandem/quantity.h>

static const char file[] =
        "cluster = \"c\";\n"
        "nodes = (\n"
        "{ name = \"a\"; address = \"10.0.0.1\"; rails = [\"10.1.0.1\", \"10.2.0.1\"];\n"
        "  heartbeat = ( { address = \"10.0.0.1\"; } ); },\n"
        "{ name = \"b\"; address = \"10.0.0.2\"; rails = [\"10.1.0.2\", \"10.2.0.2\"];\n"
        "  heartbeat = ( { address = \"10.0.0.2\"; port = 9; } ); } );\n"
        "pairs = ( { name = \"kv\"; nodes = [\"a\", \"b\"]; insecure = true;\n"
        "arbiter = { type = \"manual\"; }; promote = { command = \"true\"; };\n"
        "merge_bytes_max = 1048576; solo_after_ms = 1500; poll_us = 0;\n"
        "heartbeat_profile = \"lan\"; } );\n";

struct expectation {
	const char *where;
	const char *text;
	enum tandem_config_origin origin;
	unsigned line;
	uint64_t number;
};

static const struct expectation expectations[] = {
        {"cluster", "c", TANDEM_CONFIG_FROM_FILE, 1, 0},
        {"nodes[0].rails", "10.1.0.1, 10.2.0.1", TANDEM_CONFIG_FROM_FILE, 3, 0},
        {"nodes[0].port", "7400", TANDEM_CONFIG_FROM_DEFAULT, 0, 7400},
        {"nodes[0].heartbeat[0].port", "7401", TANDEM_CONFIG_FROM_DEFAULT, 0, 7401},
        {"nodes[1].heartbeat[0].port", "9", TANDEM_CONFIG_FROM_FILE, 6, 9},
        {"pairs[0].nodes", "a, b", TANDEM_CONFIG_FROM_FILE, 7, 0},
        {"pairs[0].insecure", "true", TANDEM_CONFIG_FROM_FILE, 7, 1},
        {"pairs[0].arbiter.path", "/var/lib/tandem", TANDEM_CONFIG_FROM_DEFAULT, 0, 0},
        {"pairs[0].arbiter.timeout_ms", "1 s", TANDEM_CONFIG_FROM_DEFAULT, 0, 1000},
        {"pairs[0].merge_bytes_max", "1 MiB", TANDEM_CONFIG_FROM_FILE, 9, 1048576},
        {"pairs[0].state_bytes_max", "64 KiB", TANDEM_CONFIG_FROM_DEFAULT, 0, 65536},
        {"pairs[0].solo_after_ms", "1.5 s", TANDEM_CONFIG_FROM_FILE, 9, 1500},
        {"pairs[0].poll_us", "0", TANDEM_CONFIG_FROM_FILE, 9, 0},
        {"pairs[0].heartbeat_interval_ms", "20 ms", TANDEM_CONFIG_FROM_PROFILE, 10, 20},
        {"pairs[0].heartbeat_misses", "10", TANDEM_CONFIG_FROM_PROFILE, 10, 10},
        {"pairs[0].key_file", "", TANDEM_CONFIG_FROM_DEFAULT, 0, 0},
};

#define EXPECTATION_COUNT (sizeof(expectations) / sizeof(expectations[0]))

struct seen {
	unsigned counts[EXPECTATION_COUNT];
	unsigned count;
};

static void compare(void *context, const struct tandem_config_value *value)
{
	struct seen *seen = context;
	seen->count++;
	for (size_t i = 0; i < EXPECTATION_COUNT; i++) {
		const struct expectation *expected = &expectations[i];
		if (strcmp(expected->where, value->where) != 0)
			continue;
		seen->counts[i]++;
		cr_assert_str_eq(value->text, expected->text, "%s: %s", value->where, value->text);
		cr_assert_eq(value->origin, expected->origin, "%s", value->where);
		cr_assert_eq(value->line, expected->line, "%s: %u", value->where, value->line);
		cr_assert_eq(value->number, expected->number, "%s", value->where);
	}
}

static void file_write(char *path, const char *text)
{
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

Test(explain, values_and_origins)
{
	char path[] = "/tmp/tandem-test-explain-XXXXXX";
	struct seen seen = {.count = 0};
	struct tandem_error error = {.code = 0};
	file_write(path, file);
	cr_assert_eq(tandem_config_explain(path, compare, &seen, NULL, &error), 0, "%s",
	             error.detail);
	unlink(path);
	cr_assert_gt(seen.count, 40);
	for (size_t i = 0; i < EXPECTATION_COUNT; i++)
		cr_assert_eq(seen.counts[i], 1, "%s: %u times", expectations[i].where,
		             seen.counts[i]);
}

static void refuse(void *context, const struct tandem_config_value *value)
{
	(void)context;
	cr_assert_fail("%s of a file with mistakes", value->where);
}

Test(explain, a_file_with_mistakes_explains_nothing)
{
	char path[] = "/tmp/tandem-test-explain-XXXXXX";
	struct tandem_error error = {.code = 0};
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	file_write(path, "cluster = 7;\n");
	cr_assert_eq(tandem_config_explain(path, refuse, NULL, &mistakes, &error), TANDEM_E_CONFIG);
	cr_assert_eq(mistakes.count, 3);
	tandem_config_mistakes_clear(&mistakes);
	unlink(path);
}

Test(explain, quantities)
{
	static const struct {
		uint64_t span_ns;
		const char *text;
	} spans[] = {
	        {0, "0"},
	        {1, "1 ns"},
	        {20000, "20 us"},
	        {1500, "1.5 us"},
	        {999999999, "999.999 ms"},
	        {1000000000, "1 s"},
	        {1001000000, "1.001 s"},
	        {86400000000000, "86400 s"},
	};
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
	        {0, "0 bytes"},    {1023, "1023 bytes"},         {1024, "1 KiB"},
	        {1536, "1.5 KiB"}, {UINT64_C(5) << 30, "5 GiB"}, {UINT64_MAX, "16777215.999 TiB"},
	};
	char text[TANDEM_QUANTITY_BYTES];
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		tandem_quantity_span(spans[i].span_ns, text);
		cr_assert_str_eq(text, spans[i].text);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		tandem_quantity_bytes(sizes[i].bytes, text);
		cr_assert_str_eq(text, sizes[i].text);
	}
}
