#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "failoverd_options.h"

#define MANUAL                                                                                     \
	"arbiter = { type = \"manual\"; path = \"/var/t\"; timeout_ms = 250; poll_interval_ms = "  \
	"125; };"

static struct tandem_config *load_all(const char *arbiter, const char *security, const char *extra)
{
	char text[2048];
	struct tandem_config *config = NULL;
	struct tandem_error error = {.code = 0};
	snprintf(text, sizeof(text),
	         "cluster = \"c\"; nodes = (\n"
	         "{ name = \"a\"; address = \"10.0.0.1\"; port = 1; run_directory = \"/run/a\";\n"
	         "  fence = ( { agent = \"off_a\"; timeout_ms = 3000; } );\n"
	         "  heartbeat = ( { address = \"10.1.0.1\"; port = 2; }, { address = "
	         "\"10.2.0.1\"; port = 3; } ); },\n"
	         "{ name = \"b\"; address = \"10.0.0.2\"; port = 4; fence = ( { agent = "
	         "\"off_b\"; parameters = \"plug=2\"; verify = false; } );\n"
	         "  heartbeat = ( { address = \"10.1.0.2\"; port = 5; }, { address = "
	         "\"10.2.0.2\"; port = 6; } ); },\n"
	         "{ name = \"c\"; address = \"10.0.0.3\"; heartbeat = ( { address = "
	         "\"10.1.0.3\"; } ); } );\n"
	         "pairs = ( { name = \"one\"; nodes = [\"b\", \"a\"]; promote = { command = "
	         "\"x\"; timeout_ms = 5000; };\n"
	         "%s\n%s %s } );\n",
	         arbiter, security, extra);
	cr_assert_eq(tandem_config_load_text("t", text, strlen(text), &config, NULL, &error), 0,
	             "%s", error.detail);
	return config;
}

static struct tandem_config *load_with(const char *security, const char *extra)
{
	return load_all(MANUAL, security, extra);
}

static struct tandem_config *load(const char *extra)
{
	return load_with("insecure = true;", extra);
}

Test(failoverd_options, everything_arrives)
{
	struct tandem_config *config =
	        load("heartbeat_interval_ms = 30; heartbeat_misses = 5; solo_after_ms = 400; "
	             "fence_timeout_ms = 700; take_overs_max = 2; take_over_window_ms = 9000; "
	             "channels = 3;");
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             0, "%s", error.detail);
	cr_assert_str_eq(options.node, "a");
	cr_assert_str_eq(options.run_directory, "/run/a");
	cr_assert_eq(options.pair_count, 1);
	cr_assert_eq(options.pairs, pairs);
	cr_assert_str_eq(pairs[0].name, "one");
	cr_assert_str_eq(pairs[0].peer_node, "b");
	cr_assert_str_eq(pairs[0].first_owner, "b");
	cr_assert_eq(pairs[0].link_count, 2);
	cr_assert_str_eq(pairs[0].links[1].local_address, "10.2.0.1");
	cr_assert_str_eq(pairs[0].links[1].peer_address, "10.2.0.2");
	cr_assert_eq(pairs[0].links[1].local_port, 3);
	cr_assert_eq(pairs[0].links[1].peer_port, 6);
	cr_assert_eq(pairs[0].heartbeat_interval_ns, 30 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].heartbeat_miss_count, 5);
	cr_assert_eq(pairs[0].solo_after_ns, 400 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].arbiter_type, TANDEM_ARBITER_MANUAL);
	cr_assert_str_eq(pairs[0].arbiter_path, "/var/t/a");
	cr_assert_eq(pairs[0].arbiter_timeout_ns, 250 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].arbiter_poll_ns, 125 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].fence_timeout_ns, 700 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].activate_timeout_ns, 5000 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].damper_window_ns, 9000 * TANDEM_NS_PER_MS);
	cr_assert_eq(pairs[0].damper_take_over_count, 2);
	for (unsigned i = 0; i < sizeof(pairs[0].key); i++)
		cr_assert_eq(pairs[0].key[i], 0);
	cr_assert_not(pairs[0].settings.has_key);
	cr_assert_str_eq(pairs[0].settings.rails[0].peer_address, "10.0.0.2");
	cr_assert_eq(pairs[0].settings.peer_port, 4);
	cr_assert_eq(pairs[0].settings.channel_count, 3);
	tandem_config_free(config);
}

static const struct tandem_controller_pair *pair_of(struct tandem_config *config, size_t node)
{
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	cr_assert_eq(
	        tandem_failoverd_options(config, &config->nodes[node], pairs, &options, &error), 0,
	        "%s", error.detail);
	return &pairs[0];
}

Test(failoverd_options, an_arbiter_in_etcd_arrives)
{
	struct tandem_config *config =
	        load_all("arbiter = { type = \"etcd\"; endpoints = [\"https://10.0.0.3:2379\", "
	                 "\"https://10.0.0.4:2379\"]; prefix = \"p\"; ca_file = \"/ca\"; cert_file "
	                 "= \"/c\"; "
	                 "client_key_file = \"/k\"; request_timeout_ms = 99; };",
	                 "insecure = true;", "");
	const struct tandem_controller_pair *pair = pair_of(config, 0);
	cr_assert_eq(pair->arbiter_type, TANDEM_ARBITER_ETCD);
	cr_assert_eq(pair->etcd.endpoint_count, 2);
	cr_assert_str_eq(pair->etcd.endpoints[1], "https://10.0.0.4:2379");
	cr_assert_str_eq(pair->etcd.prefix, "p");
	cr_assert_str_eq(pair->etcd.ca_file, "/ca");
	cr_assert_str_eq(pair->etcd.cert_file, "/c");
	cr_assert_str_eq(pair->etcd.client_key_file, "/k");
	cr_assert_eq(pair->etcd.request_timeout_ns, 99 * TANDEM_NS_PER_MS);
	tandem_config_free(config);
}

Test(failoverd_options, a_node_is_told_how_its_peer_is_switched_off)
{
	struct tandem_config *config = load_all(
	        "arbiter = { type = \"fence\"; path = \"/var/t\"; };", "insecure = true;", "");
	const struct tandem_controller_pair *pair = pair_of(config, 0);
	cr_assert_eq(pair->arbiter_type, TANDEM_ARBITER_FENCE);
	cr_assert_str_eq(pair->arbiter_path, "/var/t/a");
	cr_assert_eq(pair->fence_agent_count, 1);
	cr_assert_str_eq(pair->fence_agents[0].agent, "off_b");
	cr_assert_str_eq(pair->fence_agents[0].parameters, "plug=2");
	cr_assert_eq(pair->fence_agents[0].timeout_ns, 20 * TANDEM_NS_PER_S);
	cr_assert(!pair->fence_agents[0].is_verified);
	cr_assert_eq(pair->fence_delay_ns, 21 * TANDEM_NS_PER_S);
	cr_assert_eq(pair->fencing_timeout_ns, 21 * TANDEM_NS_PER_S);
	pair = pair_of(config, 1);
	cr_assert_str_eq(pair->fence_agents[0].agent, "off_a");
	cr_assert(pair->fence_agents[0].is_verified);
	tandem_config_free(config);
}

Test(failoverd_options, other_arbiters)
{
	struct tandem_config *config =
	        load_all("arbiter = { type = \"external\"; };", "insecure = true;", "");
	const struct tandem_controller_pair *pair = pair_of(config, 1);
	cr_assert_eq(pair->arbiter_type, TANDEM_ARBITER_EXTERNAL);
	cr_assert_str_eq(pair->arbiter_path, "/var/lib/tandem/b");
	cr_assert_eq(pair->fence_agent_count, 0);
	tandem_config_free(config);
	config = load_all("arbiter = { type = \"file\"; path = \"/s\"; };", "insecure = true;", "");
	cr_assert_eq(pair_of(config, 0)->arbiter_type, TANDEM_ARBITER_FILE);
	tandem_config_free(config);
}

Test(failoverd_options, a_node_without_pairs)
{
	struct tandem_config *config = load("");
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options = {.pair_count = 77};
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[2], pairs, &options, &error),
	             TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "no pair names node \"c\""));
	cr_assert_eq(options.pair_count, 77, "set on success only");
	tandem_config_free(config);
}

/* Whoever learns the one from heartbeats has not learned the other. */
Test(failoverd_options, sessions_and_heartbeats_have_keys_of_their_own)
{
	char path[] = "/tmp/tandem-test-key-XXXXXX", security[64];
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	struct tandem_key expected;
	int fd = mkstemp(path);
	cr_assert_eq(write(fd, "000102030405060708090a0b0c0d0e0f\n", 33), 33);
	close(fd);
	snprintf(security, sizeof(security), "key_file = \"%s\";", path);
	struct tandem_config *config = load_with(security, "");
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             0, "%s", error.detail);
	unlink(path);
	cr_assert(pairs[0].settings.has_key);
	for (unsigned i = 0; i < TANDEM_KEY_BYTES; i++)
		cr_assert_eq(pairs[0].settings.key.bytes[i], i);
	tandem_key_derive(&pairs[0].settings.key, "heartbeat", &expected);
	cr_assert_arr_eq(pairs[0].key, expected.bytes, sizeof(expected.bytes));
	cr_assert_arr_neq(pairs[0].key, pairs[0].settings.key.bytes, sizeof(expected.bytes));
	tandem_config_free(config);
}

Test(failoverd_options, a_missing_key_file_is_named_with_its_pair)
{
	struct tandem_config *config = load_with("key_file = \"/nonexistent/key\";", "");
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "pair one: key_file /nonexistent/key"));
	tandem_config_free(config);
}

/* What the reader lets through, the controller takes: the limits of both agree at the edges. */
Test(failoverd_options, the_controller_takes_what_the_reader_does)
{
	static const char *const edges[] = {
	        "heartbeat_profile = \"lan-rt\";",
	        "heartbeat_profile = \"lan\";",
	        "heartbeat_interval_ms = 1; heartbeat_misses = 4; ping_interval_ms = 1;",
	        "heartbeat_interval_ms = 10000; heartbeat_misses = 60; commit_timeout_ms = 600000; "
	        "solo_after_ms = 600000;",
	        "take_overs_max = 16; take_over_window_ms = 86400000; fence_timeout_ms = 600000;",
	        "take_overs_max = 1; ping_interval_ms = 75;",
	        "connect_timeout_ms = 10; reconnect_interval_ms = 10; state_bytes_max = "
	        "67108864;",
	};
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		struct tandem_config *config = load(edges[i]);
		struct tandem_controller_options options;
		struct tandem_error error = {.code = 0};
		cr_assert_eq(tandem_failoverd_options(config, &config->nodes[1], pairs, &options,
		                                      &error),
		             0, "%s: %s", edges[i], error.detail);
		tandem_config_free(config);
	}
}

/* As long as the reader allows. */
Test(failoverd_options, the_longest_directories)
{
	struct tandem_config *config = load("");
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	char *directory = config->nodes[0].run_directory;
	memset(directory, '/', sizeof(config->nodes[0].run_directory) - 1);
	cr_assert_eq(strlen(directory), TANDEM_CONFIG_PATH_BYTES - 1);
	memset(config->pairs[0].arbiter.path, '/', TANDEM_CONFIG_PATH_BYTES - 1 - 2);
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             0, "%s", error.detail);
	tandem_config_free(config);
}

Test(failoverd_options, hooks_and_metrics)
{
	static struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct tandem_error error = {.code = 0};
	struct tandem_config *config = load("hooks = { on_lead = \"up\"; on_alarm = \"page\"; "
	                                    "timeout_ms = 250; };");
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             0, "%s", error.detail);
	cr_expect_str_eq(pairs[0].hooks.commands[TANDEM_HOOK_LEAD], "up");
	cr_expect_str_eq(pairs[0].hooks.commands[TANDEM_HOOK_STOP], "");
	cr_expect_str_eq(pairs[0].hooks.commands[TANDEM_HOOK_ALARM], "page");
	cr_expect_eq(pairs[0].hooks.timeout_ns, 250 * TANDEM_NS_PER_MS);
	cr_expect_eq(options.metrics_port, 0);
	cr_expect_str_eq(options.metrics_address, "127.0.0.1");
	tandem_config_free(config);
	config = load("");
	cr_assert_eq(tandem_failoverd_options(config, &config->nodes[0], pairs, &options, &error),
	             0, "%s", error.detail);
	cr_expect_str_eq(pairs[0].hooks.commands[TANDEM_HOOK_LEAD], "");
	cr_expect_eq(pairs[0].hooks.timeout_ns, 10000 * TANDEM_NS_PER_MS, "an absent group");
	tandem_config_free(config);
}
