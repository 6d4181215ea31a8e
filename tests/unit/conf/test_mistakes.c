#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define KV                                                                                         \
	"{ name = \"kv2\"; insecure = true; nodes = [\"a\", \"b\"]; promote = { command = \"x\" "  \
	"}; "

#define FENCE_A "fence = ( { agent = \"fence_ipmilan\"; parameters = \"ip=10.9.0.1\"; } );"
#define FENCE_B "fence = ( { agent = \"/opt/off\"; verify = false; } );"
#define ETCD(more)                                                                                 \
	"arbiter = { type = \"etcd\"; endpoints = [\"http://10.0.0.3:2379\"]; " more " };"
#define TLS(more)                                                                                  \
	"arbiter = { type = \"etcd\"; endpoints = [\"https://etcd.lan:2379\"]; " more " };"

/* One edit makes one mistake, at that line and key, with that text. */
static const struct row {
	struct edit edit;
	unsigned line;
	const char *where;
	const char *text;
} rows[] = {
        {{.cluster = ""}, 0, "cluster", "is missing"},
        {{.cluster = "cluster = \"Big\";"}, 1, "cluster", "\"Big\" seen, 1 to 31 characters"},
        {{.cluster = "cluster = 7;"}, 1, "cluster", "7 seen"},
        {{.cluster = "cluster = \"c\"; nods = 1;"}, 1, "nods", "did you mean \"nodes\"?"},
        {{.cluster = "cluster = \"c\"; colour = 1;"}, 1, "colour", "unknown key"},
        {{.more = "channels = 4;"}, 16, "channels", "it belongs to \"pairs\""},
        {{.node_a = "prot = 7400;"}, 4, "nodes[0].prot", "did you mean \"port\"?"},
        {{.node_a = "port = 65536;"}, 4, "nodes[0].port", "65536 seen, a whole number from 1 to"},
        {{.node_a = "port = 0;"}, 4, "nodes[0].port", "0 seen"},
        {{.node_a = "port = -1;"}, 4, "nodes[0].port", "-1 seen"},
        {{.node_a = "port = 7400.0;"}, 4, "nodes[0].port", "7400 seen, a whole number"},
        {{.node_a = "port = \"7400\";"}, 4, "nodes[0].port", "\"7400\" seen, a whole number"},
        {{.node_a = "port = 7401;"}, 3, "nodes[0].heartbeat[0].port", "is taken by line 4"},
        {{.node_b = "run_directory = \"run\";"}, 9, "nodes[1].run_directory", "absolute path"},
        {{.nodes = "nodes = [\"a\", \"a\"];"}, 12, "pairs[0].nodes", "paired with itself"},
        {{.nodes = "nodes = [\"a\", \"bb\"];"}, 12, "pairs[0].nodes", "did you mean \"b\"?"},
        {{.nodes = "nodes = [\"a\"];"}, 12, "pairs[0].nodes", "1 seen, 2 to 2 needed"},
        {{.nodes = "nodes = \"a\";"}, 12, "pairs[0].nodes", "two names of nodes"},
        {{.nodes = ""}, 11, "pairs[0].nodes", "is missing"},
        {{.arbiter = ""}, 11, "pairs[0].arbiter", "type = \"manual\""},
        {{.arbiter = "arbiter = { type = \"file\" };"},
         13,
         "pairs[0].arbiter.path",
         "is missing: the type \"file\" needs"},
        {{.arbiter = "arbiter = { type = \"fyle\"; path = \"/x\" };"},
         13,
         "pairs[0].arbiter.type",
         "did you mean \"file\"?"},
        {{.arbiter = "arbiter = { path = \"/x\" };"},
         13,
         "pairs[0].arbiter.type",
         "is missing: one of file|etcd|fence|manual|external needed"},
        {{.arbiter = "arbiter = \"file\";"}, 13, "pairs[0].arbiter", "a group: { ... } needed"},
        {{.arbiter = "arbiter = { type = \"manual\"; path = "
                     "\"/"
                     "12345678901234567890123456789012345678901234567890123456789012345678901234"
                     "567890123456789\" };"},
         13,
         "pairs[0].arbiter.path",
         "at most 80 needed"},
        {{.arbiter = "arbiter = { type = \"etcd\" };"},
         13,
         "pairs[0].arbiter.endpoints",
         "is missing: the type \"etcd\" needs the members"},
        {{.arbiter = "arbiter = { type = \"etcd\"; endpoints = [] };"},
         13,
         "pairs[0].arbiter.endpoints",
         "0 seen, 1 to 7 needed"},
        {{.arbiter = "arbiter = { type = \"etcd\"; endpoints = [\"10.0.0.3:2379\"] };"},
         13,
         "pairs[0].arbiter.endpoints[0]",
         "\"10.0.0.3:2379\" seen, http://HOST:PORT or https://HOST:PORT needed"},
        {{.arbiter = "arbiter = { type = \"etcd\"; endpoints = [\"http://a:1\", "
                     "\"http://a:1\"] };"},
         13,
         "pairs[0].arbiter.endpoints",
         "stands twice"},
        {{.arbiter = ETCD("path = \"/shared\";")}, 13, "pairs[0].arbiter.path", "PREFIX/PAIR"},
        {{.arbiter = ETCD("prefix = \"\";")}, 13, "pairs[0].arbiter.prefix", "at least one"},
        {{.arbiter = ETCD("ca_file = \"/ca.pem\";")},
         13,
         "pairs[0].arbiter.endpoints",
         "https:// needed with ca_file"},
        {{.arbiter = TLS("cert_file = \"/c.pem\";")},
         13,
         "pairs[0].arbiter.client_key_file",
         "goes together with cert_file"},
        {{.arbiter = ETCD("request_timeout_ms = 251;")},
         13,
         "pairs[0].arbiter.request_timeout_ms",
         "251 seen"},
        {{.arbiter = ETCD("timeout_ms = 499;")},
         13,
         "pairs[0].arbiter.timeout_ms",
         "2 times request_timeout_ms (250 ms) must not exceed timeout_ms (499 ms)"},
        {{.arbiter = "arbiter = { type = \"etcd\"; endpoints = [\"http://a:1\", \"http://b:1\", "
                     "\"http://c:1\", \"http://d:1\", \"http://e:1\"]; };"},
         13,
         "pairs[0].arbiter.request_timeout_ms",
         "5 times request_timeout_ms (250 ms) must not exceed timeout_ms (1000 ms)"},
        {{.arbiter = "arbiter = { type = \"manual\"; endpoints = [\"http://a:1\"]; };"},
         13,
         "pairs[0].arbiter.endpoints",
         "is for the type \"etcd\", the type here is \"manual\""},
        {{.arbiter = "arbiter = { type = \"manual\"; fence_delay_ms = 5; };"},
         13,
         "pairs[0].arbiter.fence_delay_ms",
         "is for the type \"fence\""},
        {{.arbiter = "arbiter = { type = \"fence\" };", .node_a = FENCE_A},
         13,
         "pairs[0].arbiter.type",
         "node \"b\" has no fence"},
        {{.arbiter = "arbiter = { type = \"fence\"; fence_delay_ms = 39001; };",
          .node_a = FENCE_A,
          .node_b = FENCE_B},
         13,
         "pairs[0].arbiter.fence_delay_ms",
         "(60000 ms): a take-over must fit"},
        {{.node_a = "fence = ( { parameters = \"a=b\"; } );"},
         4,
         "nodes[0].fence[0].agent",
         "is missing"},
        {{.node_a = "fence = ( { agent = \"./off\"; } );"},
         4,
         "nodes[0].fence[0].agent",
         "\"./off\" seen, an absolute path or the name"},
        {{.node_a = "fence = ( { agent = \"off\"; timeout_ms = 99; } );"},
         4,
         "nodes[0].fence[0].timeout_ms",
         "99 seen"},
        {{.pair = "channels = 17;"}, 14, "pairs[0].channels", "17 seen"},
        {{.pair = "heartbeat_profile = \"lan\"; heartbeat_interval_ms = 20; heartbeat_misses = "
                  "5;"},
         14,
         "pairs[0].heartbeat_profile",
         "contradicts"},
        {{.pair = "heartbeat_misses = 5;"}, 11, "pairs[0].heartbeat_interval_ms", "is missing"},
        {{.pair = "heartbeat_interval_ms = 5;"}, 11, "pairs[0].heartbeat_misses", "is missing"},
        {{.pair = "ping_interval_ms = 76;"}, 14, "pairs[0].ping_interval_ms", "4 times"},
        {{.pair = "commit_timeout_ms = 299;"},
         14,
         "pairs[0].commit_timeout_ms",
         "heartbeat_interval_ms x heartbeat_misses (300 ms) must not exceed commit_timeout_ms "
         "(299 ms)"},
        {{.pair = "key = \"12\";"}, 14, "pairs[0].key", "unknown key"},
        {{.pair = "key_file = \"kv.key\";", .security = ""},
         14,
         "pairs[0].key_file",
         "\"kv.key\" seen, an absolute path needed"},
        {{.pair = "key_file = \"/k\";"}, 11, "pairs[0].insecure", "contradicts key_file"},
        {{.security = ""},
         11,
         "pairs[0].key_file",
         "is missing: 10.0.0.1 is not a loopback address, whoever reaches it could pose as the "
         "other node. tandemctl keygen /etc/tandem/kv.key makes one"},
        {{.security = "insecure = false;"}, 11, "pairs[0].key_file", "is missing: 10.0.0.1"},
        {{.security = "insecure = 1;"}, 11, "pairs[0].insecure", "1 seen, true or false needed"},
        {{.security = "insecure = \"true\";"}, 11, "pairs[0].insecure", "true or false needed"},
        {{.node_a = "rails = [\"10.1.0.1\"];"},
         12,
         "pairs[0].nodes",
         "node \"a\" has 1 rails and \"b\" has 0, equally many needed"},
        {{.node_a = "rails = [\"10.1.0.1\"];", .node_b = "rails = [\"127.0.0.2\"];"},
         12,
         "pairs[0].nodes",
         "the data addresses 10.1.0.1 and 127.0.0.2 cannot reach each other"},
        {{.node_a = "rails = [\"10.1.0.1\"];", .node_b = "rails = [\"fd00::2\"];"},
         12,
         "pairs[0].nodes",
         "one is IPv4, one is IPv6"},
        {{.node_a = "rails = [\"10.1.0.256\"];", .node_b = "rails = [\"10.1.0.2\"];"},
         4,
         "nodes[0].rails[0]",
         "\"10.1.0.256\" seen, a numeric IPv4 or IPv6 address"},
        {{.node_a = "rails = \"10.1.0.1\";"}, 4, "nodes[0].rails", "a list of numeric addresses"},
        {{.node_a = "rails = [\"10.1.0.1\", \"10.1.0.2\", \"10.1.0.3\", \"10.1.0.4\"];"},
         4,
         "nodes[0].rails",
         "4 seen, 1 to 3 needed"},
        {{.node_a = "rails = [\"10.0.0.1\"];", .node_b = "rails = [\"10.1.0.2\"];"},
         3,
         "nodes[0].port",
         "7400 of 10.0.0.1 is taken by line 3 already"},
        {{.pair = "write_depth = 15;"}, 14, "pairs[0].write_depth", "15 seen"},
        {{.pair = "write_depth = 4097;"}, 14, "pairs[0].write_depth", "from 16 to 4096 needed"},
        {{.pair = "poll_us = 1001;"}, 14, "pairs[0].poll_us", "microseconds from 0 to 1000"},
        {{.pair = "merge_bytes_max = 2048;"}, 14, "pairs[0].merge_bytes_max", "2048 seen"},
        {{.pair = "merge_bytes_max = 6000;"},
         14,
         "pairs[0].merge_bytes_max",
         "6000 seen, a multiple of 4096 needed"},
        {{.pair = "pause_budget_us = 500;"},
         14,
         "pairs[0].pause_budget_us",
         "500 seen, but nothing is pushed ahead of a pause: give push_interval_us too"},
        {{.pair = "on_overload = \"slow\";"}, 14, "pairs[0].on_overload", "there is none"},
        {{.pair = "protect = { type = \"qemu\"; network = \"plug:vm1\"; command = \"x\"; };"},
         11,
         "pairs[0].promote.command",
         "contradicts protect"},
        {{.pair = "capture = \"copy\";"}, 14, "pairs[0].capture", "stop"},
        {{.pair = "reconnect_interval_ms = 100; reconnect_interval_max_ms = 99;"},
         14,
         "pairs[0].reconnect_interval_ms",
         "must not exceed reconnect_interval_max_ms (99 ms): the pause grows"},
        {{.more = "@include \"other\""}, 16, "@include", "not supported"},
        {{.node_a = "port = 4294967297;"}, 4, "", "4294967297 seen"},
        {{.more = "= ="}, 16, "", "syntax error"},
        {{.more = "cluster = \"again\";"}, 16, "", "duplicate setting name"},
};

static void expect_mistake(const struct tandem_config_mistake *mistake, size_t row)
{
	cr_assert_eq(mistake->line, rows[row].line, "row %zu: line %u: %s: %s", row, mistake->line,
	             mistake->where, mistake->text);
	cr_assert_str_eq(mistake->where, rows[row].where, "row %zu: %s: %s", row, mistake->where,
	                 mistake->text);
	cr_assert_not_null(strstr(mistake->text, rows[row].text), "row %zu: %s", row,
	                   mistake->text);
}

Test(mistakes, one_edit_one_mistake)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
		cr_assert_null(load_edited(&rows[i].edit, &mistakes), "row %zu", i);
		for (size_t j = 1; j < mistakes.count; j++)
			cr_log_warn("%s: %s", mistakes.list[j].where, mistakes.list[j].text);
		cr_assert_eq(mistakes.count, 1, "row %zu: %zu", i, mistakes.count);
		expect_mistake(&mistakes.list[0], i);
		tandem_config_mistakes_clear(&mistakes);
	}
}

static void expect_text(const char *text, size_t count, const char *needle)
{
	struct tandem_config *config = NULL;
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_error error;
	cr_assert_eq(
	        tandem_config_load_text("t.conf", text, strlen(text), &config, &mistakes, &error),
	        TANDEM_E_CONFIG);
	cr_assert_eq(mistakes.count, count, "%zu", mistakes.count);
	bool is_found = false;
	for (size_t i = 0; i < count; i++) {
		is_found = is_found || strstr(mistakes.list[i].text, needle);
		cr_assert(i == 0 || mistakes.list[i - 1].line <= mistakes.list[i].line);
	}
	cr_assert(is_found, "%s", needle);
	tandem_config_mistakes_clear(&mistakes);
}

/* The two nodes on one machine, and what else only whole files show. */
Test(mistakes, look_alikes)
{
	const char *const head = "cluster = \"c\"; nodes = (\n"
	                         "{ name = \"a\"; address = \"127.0.0.1\"; port = 1; heartbeat = "
	                         "( { address = \"127.0.0.1\"; port = 2; } ); },\n";
	const char *const pair = "pairs = ( { name = \"p\"; nodes = [\"a\", \"b\"]; arbiter = { "
	                         "type = \"manual\" }; promote = { command = \"x\" } } );\n";
	static const struct {
		const char *node;
		size_t count;
		const char *text;
	} nodes[] = {
	        {"{ name = \"b\"; address = \"127.0.0.1\"; port = 3; heartbeat = ( { address = "
	         "\"127.0.0.1\"; port = 4; } ); } );\n",
	         2, "is also that of node \"a\" on the same machine"},
	        {"{ name = \"b\"; address = \"127.0.0.1\"; port = 2; run_directory = \"/r\"; "
	         "image_directory = \"/i\"; heartbeat = ( { address = \"127.0.0.1\"; port = 4; } "
	         "); } );\n",
	         1, "2 of 127.0.0.1 is taken by line 2 already"},
	        {"{ name = \"b\"; address = \"10.0.0.1\"; heartbeat = ( { address = "
	         "\"127.0.0.1\"; port = 4; } ); } );\n",
	         2, "one is a loopback address"},
	        {"{ name = \"b\"; address = \"::1\"; heartbeat = ( { address = \"127.0.0.1\"; "
	         "port = 4; } ); } );\n",
	         1, "one is IPv4, one is IPv6"},
	        {"{ name = \"b\"; address = \"127.0.0.2\"; heartbeat = ( { address = "
	         "\"127.0.0.2\"; }, { address = \"127.0.0.3\"; } ); } );\n",
	         1, "has 1 heartbeat links and \"b\" has 2"},
	        {"{ name = \"a\"; address = \"127.0.0.2\"; heartbeat = ( { address = "
	         "\"127.0.0.2\"; } ); } );\n",
	         2, "is the node of line 2 already"},
	};
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char text[2048];
		snprintf(text, sizeof(text), "%s%s%s", head, nodes[i].node, pair);
		expect_text(text, nodes[i].count, nodes[i].text);
	}
}

/* A virtual machine: what its group must not leave out, and what it must not say. */
Test(mistakes, guests)
{
	const char *const head = "cluster = \"c\"; nodes = (\n"
	                         "{ name = \"a\"; address = \"10.0.0.1\"; heartbeat = "
	                         "( { address = \"10.0.0.1\"; } ); },\n"
	                         "{ name = \"b\"; address = \"10.0.0.2\"; heartbeat = "
	                         "( { address = \"10.0.0.2\"; } ); } );\n"
	                         "pairs = ( { name = \"p\"; insecure = true; nodes = [\"a\", "
	                         "\"b\"]; arbiter = { type = \"file\"; path = \"/s\"; }; ";
	static const struct {
		const char *pair;
		size_t count;
		const char *text;
	} guests[] = {
	        {"", 1, "or protect for a virtual machine"},
	        {"promote = { timeout_ms = 500; };", 1, "is missing: a shell command needed"},
	        {"protect = { };", 1, "or protect for a virtual machine"},
	        {"protect = { type = \"qemu\"; command = \"q\"; };", 1,
	         "is missing: a gate for each network card needed"},
	        {"protect = { type = \"qemu\"; network = \"plug:vm1\"; };", 1,
	         "what starts QEMU on the node that takes over"},
	        {"protect = { command = \"q\"; network = \"plug:vm1\"; };", 1, "\"qemu\" needed"},
	        {"protect = { type = \"xen\"; command = \"q\"; network = \"plug:vm1\"; };", 1,
	         "\"xen\" seen, one of qemu needed"},
	        {"protect = { type = \"qemu\"; command = \"q\"; network = \"plug:vm1\"; disks = "
	         "\"shared\"; };",
	         1, "nothing keeps a node that is cut off from them"},
	        {"protect = { type = \"qemu\"; command = \"q\"; network = \"ungated\"; };", 1,
	         "nothing ends the guest of a node that hangs"},
	        {"lease_ms = 3000; protect = { type = \"qemu\"; network = \"ungated\"; };", 1,
	         "what starts QEMU on the node that takes over"},
	        {"protect = { type = \"qemu\"; command = \"q\"; network = \"user:vm1 tap\"; };", 1,
	         "\"user:vm1 tap\" seen, \"ungated\" needed, or one to 8"},
	        {"protect = { type = \"qemu\"; command = \"q -nic none\"; network = \"plug:vm1\"; "
	         "};",
	         1, "-nic  seen, but the network is gates"},
	        {"protect = { type = \"qemu\"; command = \"q\"; network = \"plug:vm1\"; qmp = "
	         "\"run/q\"; };",
	         1, "an absolute path needed"},
	        {"protect = { type = \"qemu\"; command = \"q -m 1G > log\"; network = "
	         "\"plug:vm1\"; "
	         "};",
	         1, "outside quotes seen"},
	        {"protect = { type = \"qemu\"; command = \"q 'x\"; network = \"plug:vm1\"; };", 1,
	         "a quote without its end"},
	        {"protect = { type = \"qemu\"; command = \"q $(id)\"; network = \"plug:vm1\"; };",
	         1, "plain words needed"},
	};
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		char text[2048];
		snprintf(text, sizeof(text), "%s%s } );\n", head, guests[i].pair);
		expect_text(text, guests[i].count, guests[i].text);
	}
}

Test(mistakes, too_many_pairs)
{
	char text[16384];
	int length = snprintf(text, sizeof(text), "cluster = \"c\"; nodes = (); pairs = (");
	for (int i = 0; i < 65; i++)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
		                   "%s{ name = \"p%d\"; }", i > 0 ? "," : "", i);
	snprintf(text + length, sizeof(text) - (size_t)length, ");");
	expect_text(text, 2, "65 seen, 1 to 64 needed");
}

Test(mistakes, same_pair_twice)
{
	struct edit edit = {
	        .pair = "}, " KV "arbiter = { type = \"manual\" } }, " KV
	                "arbiter = { type = \"manual\" }",
	};
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	cr_assert_null(load_edited(&edit, &mistakes));
	cr_assert_eq(mistakes.count, 1);
	cr_assert_str_eq(mistakes.list[0].where, "pairs[2].name");
	cr_assert_not_null(strstr(mistakes.list[0].text, "\"kv2\" is the name of pairs[1]"));
	tandem_config_mistakes_clear(&mistakes);
}

Test(mistakes, a_zero_byte)
{
	const char text[] = "cluster = \"c\";\n\0nodes = 1;";
	struct tandem_config *config = NULL;
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_error error;
	cr_assert_eq(
	        tandem_config_load_text("t", text, sizeof(text) - 1, &config, &mistakes, &error),
	        TANDEM_E_CONFIG);
	cr_assert_eq(mistakes.list[0].line, 2);
	cr_assert_not_null(strstr(error.detail, "t:2: a zero byte seen"));
	tandem_config_mistakes_clear(&mistakes);
}

/* More than fits the first allocation, and all of them are told. */
Test(mistakes, all_are_told)
{
	char text[16384] = "";
	size_t length = 0;
	for (int i = 0; i < 200; i++)
		length +=
		        (size_t)snprintf(text + length, sizeof(text) - length, "wrong%d = 1;\n", i);
	expect_text(text, 203, "unknown key");
}

Test(mistakes, line_of_text)
{
	struct tandem_config_mistake mistake = {.line = 7, .where = "a.b", .text = "is wrong"};
	char text[64];
	tandem_config_mistake_format("f", &mistake, text, sizeof(text));
	cr_assert_str_eq(text, "f:7: a.b: is wrong");
	mistake.line = 0;
	mistake.where[0] = '\0';
	tandem_config_mistake_format("f", &mistake, text, sizeof(text));
	cr_assert_str_eq(text, "f: is wrong");
	tandem_config_mistake_format("f", &mistake, text, 4);
	cr_assert_str_eq(text, "f: ");
}
