#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "fixture.h"

Test(lookup, nodes_and_peers)
{
	struct tandem_config *config = load_good(&EDIT_NONE);
	const struct tandem_config_node *node = NULL, *peer;
	struct tandem_error error;
	cr_assert_eq(tandem_config_node(config, "b", &node, &error), 0);
	const struct tandem_config_pair *pair = tandem_config_pair(config, "kv");
	cr_assert_not_null(pair);
	cr_assert_null(tandem_config_pair(config, "kw"));
	peer = tandem_config_peer(config, node, pair);
	cr_assert_str_eq(peer->name, "a");
	cr_assert_eq(tandem_config_peer(config, peer, pair), node);
	cr_assert(tandem_config_serves(node, pair));
	struct tandem_config_node stranger = {.name = "c"};
	cr_assert_not(tandem_config_serves(&stranger, pair));
	cr_assert_null(tandem_config_peer(config, &stranger, pair));
	tandem_config_free(config);
}

Test(lookup, an_unknown_node_is_told_the_known_ones)
{
	struct tandem_config *config = load_good(&EDIT_NONE);
	const struct tandem_config_node *node = NULL;
	struct tandem_error error;
	cr_assert_eq(tandem_config_node(config, "c", &node, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "no node \"c\"; its nodes are: a, b"));
	cr_assert_null(node);
	tandem_config_free(config);
}

/* A host name may have a domain, which the node's name then has not. */
Test(lookup, the_host_name)
{
	struct tandem_config *config = load_good(&EDIT_NONE);
	const struct tandem_config_node *node = NULL;
	struct tandem_error error;
	char host[256] = "";
	cr_assert_eq(gethostname(host, sizeof(host) - 1), 0);
	cr_assert_eq(tandem_config_node(config, NULL, &node, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "this machine's name; --node"));
	host[strcspn(host, ".")] = '\0';
	cr_assert_lt(strlen(host), sizeof(config->nodes[1].name));
	strcpy(config->nodes[1].name, host);
	cr_assert_eq(tandem_config_node(config, NULL, &node, &error), 0, "%s", error.detail);
	cr_assert_eq(node, &config->nodes[1]);
	tandem_config_free(config);
}

Test(lookup, settings_for_a_data_plane)
{
	struct edit edit = {
	        .pair = "channels = 2; tracker = \"mark\"; connect_timeout_ms = 50; "
	                "capture = \"auto\"; staging_mib = 2; "
	                "push_interval_us = 900; push_rate_max_mib = 3; "
	                "pause_budget_us = 400; on_overload = \"slow\"; "
	                "write_depth = 64; merge_bytes_max = 8192; poll_us = 7; verify_every = 6; "
	                "reconnect_interval_max_ms = 900;",
	        .node_a = "rails = [\"10.1.0.1\", \"10.2.0.1\"];",
	        .node_b = "port = 9999; rails = (\"10.1.0.2\", \"10.2.0.2\");"};
	struct tandem_config *config = load_good(&edit);
	const struct tandem_config_pair *pair = &config->pairs[0];
	struct tandem_control_settings settings;
	struct tandem_error error;
	cr_assert_eq(tandem_config_settings(config, &config->nodes[0], pair, &settings, &error), 0);
	cr_assert_str_eq(settings.node, "a");
	cr_assert_str_eq(settings.provider, "auto");
	cr_assert_str_eq(settings.tracker, "mark");
	cr_assert_str_eq(settings.rails[0].local_address, "10.0.0.1");
	cr_assert_str_eq(settings.rails[0].peer_address, "10.0.0.2");
	cr_assert_eq(settings.rail_count, 3);
	cr_assert_str_eq(settings.rails[2].local_address, "10.2.0.1");
	cr_assert_str_eq(settings.rails[2].peer_address, "10.2.0.2");
	cr_assert_eq(settings.write_depth, 64);
	cr_assert_eq(settings.merge_bytes_max, 8192);
	cr_assert_eq(settings.staging_bytes, 2u << 20);
	cr_assert(settings.is_capture_auto && settings.slows_program);
	cr_assert_eq(settings.push_interval_ns, 900 * TANDEM_NS_PER_US);
	cr_assert_eq(settings.push_rate_max, 3u << 20);
	cr_assert_eq(settings.pause_budget_ns, 400 * TANDEM_NS_PER_US);
	cr_assert_eq(settings.overload_wait_ns, TANDEM_NS_PER_S);
	cr_assert_eq(settings.poll_ns, 7 * TANDEM_NS_PER_US);
	cr_assert_eq(settings.verify_every, 6);
	cr_assert_eq(settings.reconnect_interval_max_ns, 900 * TANDEM_NS_PER_MS);
	cr_assert_not(settings.has_key);
	cr_assert_eq(settings.peer_port, 9999);
	cr_assert_eq(settings.channel_count, 2);
	cr_assert_eq(settings.state_bytes_max, 65536);
	cr_assert_eq(settings.connect_timeout_ns, 50 * TANDEM_NS_PER_MS);
	cr_assert_eq(settings.commit_timeout_ns, 1000 * TANDEM_NS_PER_MS);
	cr_assert_eq(settings.ping_interval_ns, 5 * TANDEM_NS_PER_MS);
	cr_assert_eq(settings.report_interval_ns, 20 * TANDEM_NS_PER_MS);
	cr_assert_eq(settings.reconnect_interval_ns, 100 * TANDEM_NS_PER_MS);
	struct tandem_config_node stranger = {.name = "c"};
	cr_assert_eq(tandem_config_settings(config, &stranger, pair, &settings, &error),
	             TANDEM_E_USAGE);
	tandem_config_free(config);
}

Test(lookup, arbiter_paths)
{
	struct tandem_config *config = load_good(&EDIT_NONE);
	struct tandem_config_pair *pair = &config->pairs[0];
	char path[TANDEM_CONFIG_PATH_BYTES] = "unchanged";
	struct tandem_error error;
	cr_assert_eq(tandem_config_arbiter_path(&config->nodes[0], pair, path, 4, &error),
	             TANDEM_E_CONFIG);
	cr_assert_str_eq(path, "unchanged");
	cr_assert_eq(
	        tandem_config_arbiter_path(&config->nodes[0], pair, path, sizeof(path), &error), 0);
	cr_assert_str_eq(path, "/shared");
	strcpy(pair->arbiter.type, "manual");
	cr_assert_eq(
	        tandem_config_arbiter_path(&config->nodes[1], pair, path, sizeof(path), &error), 0);
	cr_assert_str_eq(path, "/shared/b");
	tandem_config_free(config);
}
