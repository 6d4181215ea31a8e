#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <tandem/controller.h>

static struct tandem_controller_pair pairs[2];
static struct tandem_controller_options options;

static void fill(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tandem_controller_pair *pair = &pairs[i];
		*pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
		snprintf(pair->name, sizeof(pair->name), "kv%u", i);
		memcpy(pair->peer_node, "b", 2);
		memcpy(pair->first_owner, "a", 2);
		memcpy(pair->arbiter_path, "/shared", 8);
		pair->link_count = 1;
		memcpy(pair->links[0].local_address, "10.0.0.1", 9);
		memcpy(pair->links[0].peer_address, "10.0.0.2", 9);
		pair->links[0].local_port = pair->links[0].peer_port = 7400;
	}
	options = TANDEM_CONTROLLER_OPTIONS_DEFAULT;
	memcpy(options.node, "a", 2);
	memcpy(options.run_directory, "/run/tandem", 12);
	options.pairs = pairs;
	options.pair_count = 2;
}

static void expect_refused(const char *word)
{
	struct tandem_error error = {0};
	cr_expect(tandem_controller_options_validate(&options, &error) == TANDEM_E_CONFIG, "%s",
	          word);
	cr_expect(strstr(error.detail, word) != NULL, "'%s' is not in '%s'", word, error.detail);
	fill();
}

Test(options, defaults_with_names_are_right, .init = fill)
{
	struct tandem_error error = {0};
	cr_assert(tandem_controller_options_validate(&options, &error) == 0, "%s", error.detail);
}

Test(options, names_are_checked, .init = fill)
{
	options.node[0] = 0;
	expect_refused("node");
	memcpy(options.run_directory, "", 1);
	expect_refused("run_directory");
	options.pair_count = 0;
	expect_refused("pairs");
	memcpy(pairs[0].name, "a/b", 4);
	expect_refused("name");
	memcpy(pairs[0].name, "..", 3);
	expect_refused("name");
	memset(pairs[0].name, 'x', sizeof(pairs[0].name));
	expect_refused("name");
	memcpy(pairs[1].name, "kv0", 4);
	expect_refused("twice");
	memcpy(pairs[1].peer_node, "a", 2);
	expect_refused("peer_node");
	memcpy(pairs[1].first_owner, "c", 2);
	expect_refused("first_owner");
	memcpy(pairs[1].arbiter_path, "shared", 7);
	expect_refused("arbiter_path");
}

Test(options, links_are_checked, .init = fill)
{
	pairs[0].link_count = 0;
	expect_refused("links");
	pairs[0].link_count = TANDEM_CONTROLLER_LINKS_MAX + 1;
	expect_refused("links");
	memcpy(pairs[0].links[0].peer_address, "host.example", 13);
	expect_refused("numeric");
	memcpy(pairs[0].links[0].peer_address, "fe80::1", 8);
	expect_refused("family");
	pairs[0].links[0].peer_port = 0;
	expect_refused("port");
}

Test(options, times_are_checked, .init = fill)
{
	pairs[0].heartbeat_interval_ns = 10;
	expect_refused("heartbeat_interval");
	pairs[0].heartbeat_miss_count = 1;
	expect_refused("heartbeat_miss_count");
	pairs[0].solo_after_ns = 0;
	expect_refused("solo_after");
	pairs[0].arbiter_timeout_ns = 0;
	expect_refused("arbiter_timeout");
	pairs[0].fence_timeout_ns = 0;
	expect_refused("fence_timeout");
	pairs[0].activate_timeout_ns = UINT64_MAX;
	expect_refused("activate_timeout");
	pairs[0].damper_take_over_count = 17;
	expect_refused("damper_take_over_count");
	pairs[0].settings.ping_interval_ns = 51000000;
	expect_refused("ping_interval");
	pairs[0].settings.report_interval_ns = 51000000;
	expect_refused("report_interval");
}
