#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "fixture.h"

Test(load, values_and_defaults)
{
	struct edit edit = {
	        .pair = "channels = 7; provider = \"tcp\"; commit_timeout_ms = 700; "
	                "heartbeat_profile = \"lan\"; state_bytes_max = 0;",
	        .node_a = "port = 65535;",
	};
	struct tandem_config *config = load_good(&edit);
	const struct tandem_config_pair *pair = &config->pairs[0];
	cr_assert_str_eq(config->path, "t.conf");
	cr_assert_str_eq(config->cluster, "test");
	cr_assert_eq(config->node_count, 2);
	cr_assert_eq(config->pair_count, 1);
	cr_assert_eq(config->nodes[0].port, 65535);
	cr_assert_eq(config->nodes[1].port, 7400);
	cr_assert_eq(config->nodes[1].heartbeat_count, 1);
	cr_assert_str_eq(config->nodes[1].heartbeats[0].address, "10.0.0.2");
	cr_assert_eq(config->nodes[1].heartbeats[0].port, 7401);
	cr_assert_str_eq(config->nodes[0].run_directory, "/run/tandem");
	cr_assert_str_eq(pair->nodes[0], "a");
	cr_assert_str_eq(pair->nodes[1], "b");
	cr_assert_eq(pair->channel_count, 7);
	cr_assert_eq(pair->write_depth, 256);
	cr_assert_eq(pair->merge_bytes_max, 65536);
	cr_assert_eq(pair->poll_ns, 100 * TANDEM_NS_PER_US);
	cr_assert_eq(pair->verify_every, 0);
	cr_assert_eq(pair->reconnect_interval_max_ns, 5 * TANDEM_NS_PER_S);
	cr_assert(pair->is_insecure);
	cr_assert_not(tandem_config_has_key(pair));
	cr_assert_eq(pair->state_bytes_max, 0);
	cr_assert_str_eq(pair->provider, "tcp");
	cr_assert_str_eq(pair->tracker, "auto");
	cr_assert_eq(pair->commit_timeout_ns, 700 * TANDEM_NS_PER_MS);
	cr_assert_eq(pair->heartbeat_interval_ns, 20 * TANDEM_NS_PER_MS);
	cr_assert_eq(pair->heartbeat_miss_count, 10);
	cr_assert_str_eq(pair->arbiter.path, "/shared");
	cr_assert_eq(pair->promote.timeout_ns, 10 * TANDEM_NS_PER_S);
	tandem_config_free(config);
}

Test(load, heartbeat_numbers_instead_of_a_profile)
{
	struct edit edit = {.pair = "heartbeat_interval_ms = 30; heartbeat_misses = 4;"};
	struct tandem_config *config = load_good(&edit);
	cr_assert_eq(tandem_config_detect_ns(&config->pairs[0]), 120 * TANDEM_NS_PER_MS);
	tandem_config_free(config);
}

Test(load, addresses_become_canonical)
{
	struct edit edit = {
	        .more = "",
	        .node_a = "run_directory = \"/run/a\";",
	};
	struct tandem_config *config = load_good(&edit);
	tandem_config_free(config);
	const char text[] = "cluster = \"c\"; nodes = (\n"
	                    "{ name = \"a\"; address = \"FD00:0::1\"; heartbeat = ( { address = "
	                    "\"fd00::1\"; } ); },\n"
	                    "{ name = \"b\"; address = \"fd00::2\"; heartbeat = ( { address = "
	                    "\"fd00::2\"; } ); } );\n"
	                    "pairs = ( { name = \"p\"; insecure = true; nodes = (\"a\", \"b\"); "
	                    "arbiter = { type = "
	                    "\"manual\" }; promote = { command = \"x\" } } );";
	struct tandem_error error;
	cr_assert_eq(tandem_config_load_text("t", text, strlen(text), &config, NULL, &error), 0,
	             "%s", error.detail);
	cr_assert_str_eq(config->nodes[0].address, "fd00::1");
	tandem_config_free(config);
}

/* Its group stands in for promote, and its devices have more state than a program. */
Test(load, a_virtual_machine)
{
	const char text[] =
	        "cluster = \"c\"; nodes = (\n"
	        "{ name = \"a\"; address = \"10.0.0.1\"; heartbeat = ( { address = "
	        "\"10.0.0.1\"; } ); },\n"
	        "{ name = \"b\"; address = \"10.0.0.2\"; heartbeat = ( { address = "
	        "\"10.0.0.2\"; } ); } );\n"
	        "pairs = ( { name = \"vm1\"; insecure = true; nodes = (\"a\", \"b\"); "
	        "arbiter = { type = \"manual\" }; protect = { type = \"qemu\"; network = "
	        "\"user:vm1 plug:vm2\"; interval_ms = 20; allow_untested = true; command = "
	        "\"qemu-system-x86_64 -m 1G\"; } } );";
	struct tandem_config *config = NULL;
	struct tandem_error error;
	char path[TANDEM_CONFIG_PATH_BYTES];
	cr_assert_eq(tandem_config_load_text("t", text, strlen(text), &config, NULL, &error), 0,
	             "%s", error.detail);
	const struct tandem_config_pair *pair = &config->pairs[0];
	cr_assert_str_eq(pair->protect.command, "qemu-system-x86_64 -m 1G");
	cr_assert_str_eq(pair->protect.disks, "refused");
	cr_assert_str_eq(pair->protect.network, "user:vm1 plug:vm2");
	cr_assert_eq(pair->protect.interval_ns, 20 * TANDEM_NS_PER_MS);
	cr_assert_eq(pair->protect.pause_limit_ns, 10 * TANDEM_NS_PER_S);
	cr_assert(pair->protect.is_untested_allowed);
	cr_assert_eq(pair->promote.timeout_ns, 10 * TANDEM_NS_PER_S);
	cr_assert_eq(pair->state_bytes_max, 1048576);
	cr_assert_eq(tandem_config_qmp(&config->nodes[0], pair, path, sizeof(path), &error), 0);
	cr_assert_str_eq(path, "/run/tandem/vm1.qmp");
	tandem_config_free(config);
}

Test(load, an_arbiter_in_etcd)
{
	struct edit edit = {
	        .arbiter = "arbiter = { type = \"etcd\"; endpoints = [\"https://10.0.0.3:2379\", "
	                   "\"https://etcd.lan:2379\"]; ca_file = \"/etc/tandem/ca.pem\"; "
	                   "cert_file = \"/etc/tandem/a.pem\"; client_key_file = "
	                   "\"/etc/tandem/a.key\"; request_timeout_ms = 200; };",
	};
	struct tandem_config *config = load_good(&edit);
	const struct tandem_config_arbiter *arbiter = &config->pairs[0].arbiter;
	cr_assert_eq(arbiter->endpoint_count, 2);
	cr_assert_str_eq(arbiter->endpoints[1], "https://etcd.lan:2379");
	cr_assert_str_eq(arbiter->prefix, "/tandem");
	cr_assert_str_eq(arbiter->cert_file, "/etc/tandem/a.pem");
	cr_assert_eq(arbiter->request_timeout_ns, 200 * TANDEM_NS_PER_MS);
	tandem_config_free(config);
}

Test(load, an_arbiter_that_fences)
{
	struct edit edit = {
	        .node_a = "fence = ( { agent = \"fence_ipmilan\"; parameters = \"ip=10.9.0.1 "
	                  "lanplus=1\"; }, { agent = \"/opt/pdu\"; timeout_ms = 5000; verify = "
	                  "false; } );",
	        .node_b = "fence = ( { agent = \"fence_sbd\"; timeout_ms = 4000; } );",
	        .arbiter = "arbiter = { type = \"fence\"; };",
	};
	struct tandem_config *config = load_good(&edit);
	struct tandem_config_pair *pair = &config->pairs[0];
	const struct tandem_config_node *node = &config->nodes[0];
	cr_assert_eq(node->fence_count, 2);
	cr_assert_str_eq(node->fences[0].parameters, "ip=10.9.0.1 lanplus=1");
	cr_assert(node->fences[0].is_verified && !node->fences[1].is_verified);
	/* Each way has a second more, to be killed. */
	cr_assert_eq(tandem_config_fencing_ns(node), 27 * TANDEM_NS_PER_S);
	cr_assert_eq(tandem_config_fencing_ns(&config->nodes[1]), 5 * TANDEM_NS_PER_S);
	cr_assert_eq(tandem_config_fence_delay_ns(config, pair), 27 * TANDEM_NS_PER_S);
	pair->arbiter.fence_delay_ns = 3;
	cr_assert_eq(tandem_config_fence_delay_ns(config, pair), 3);
	tandem_config_free(config);
}

Test(load, shipped_files_are_good)
{
	static const char *const paths[] = {SOURCE_DIR "/conf/quickstart.conf",
	                                    SOURCE_DIR "/conf/tandem.conf.example"};
	for (size_t i = 0; i < 2; i++) {
		struct tandem_config *config = NULL;
		struct tandem_error error = {.code = 0};
		cr_assert_eq(tandem_config_load(paths[i], &config, NULL, &error), 0, "%s",
		             error.detail);
		cr_assert_eq(config->node_count, 2);
		tandem_config_free(config);
	}
}

Test(load, files_that_cannot_be_read)
{
	static const char *const paths[] = {"/nonexistent/tandem.conf", "/", "/dev/null"};
	for (size_t i = 0; i < 3; i++) {
		struct tandem_config *config = NULL;
		struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
		struct tandem_error error = {.code = 0};
		cr_assert_eq(tandem_config_load(paths[i], &config, &mistakes, &error),
		             TANDEM_E_SYSTEM);
		cr_assert_not_null(strstr(error.detail, paths[i]));
		cr_assert_null(config);
		cr_assert_eq(mistakes.count, 0);
	}
}

Test(load, too_large)
{
	static char text[(1 << 20) + 1];
	struct tandem_config *config = NULL;
	struct tandem_error error;
	memset(text, '\n', sizeof(text));
	cr_assert_eq(tandem_config_load_text("t", text, sizeof(text), &config, NULL, &error),
	             TANDEM_E_SYSTEM);
	cr_assert_not_null(strstr(error.detail, "1 MiB"));
	cr_assert_eq(tandem_config_load_text("t", text, sizeof(text) - 1, &config, NULL, &error),
	             TANDEM_E_CONFIG, "the limit itself is read");
	cr_assert_null(config);
}

/* Every allocation that can fail does, once; nothing leaks and the caller learns of it. */
Test(load, without_memory)
{
	for (uint64_t number = 1; number <= 3; number++) {
		const char text[] = "cluster = 1;";
		struct tandem_config *config = NULL;
		struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
		struct tandem_error error = {.code = 0};
		tandem_memory_fail_from(number);
		int rc = tandem_config_load_text("t", text, strlen(text), &config, &mistakes,
		                                 &error);
		tandem_memory_fail_from(0);
		cr_assert_eq(rc, TANDEM_E_MEMORY, "%d at %d", rc, (int)number);
		cr_assert_null(config);
		tandem_config_mistakes_clear(&mistakes);
	}
	cr_assert_null(tandem_config_free(NULL));
}
