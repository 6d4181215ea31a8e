#include <tandem/config.h>

#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>

#include "core/timers.h"

#define KILL_NS TANDEM_NS_PER_S /* as in failover/core/fencing.h: until a killed agent is gone */

static void fill_rails(const struct tandem_config_node *node, const struct tandem_config_node *peer,
                       struct tandem_control_settings *settings)
{
	/* Both nodes of a pair have equally many: the loader has checked it. */
	size_t count = tandem_config_rail_count(node);
	settings->rail_count = (uint16_t)count;
	for (size_t i = 0; i < count; i++) {
		struct tandem_control_rail *rail = &settings->rails[i];
		snprintf(rail->local_address, sizeof(rail->local_address), "%s",
		         tandem_config_rail(node, i));
		snprintf(rail->peer_address, sizeof(rail->peer_address), "%s",
		         tandem_config_rail(peer, i));
	}
}

int tandem_config_settings(const struct tandem_config *config,
                           const struct tandem_config_node *node,
                           const struct tandem_config_pair *pair,
                           struct tandem_control_settings *ret_settings,
                           struct tandem_error *reterr_error)
{
	const struct tandem_config_node *peer = tandem_config_peer(config, node, pair);
	struct tandem_control_settings settings = TANDEM_CONTROL_SETTINGS_DEFAULT;
	if (!peer)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "settings",
		                        "node \"%s\" does not serve pair \"%s\" (%s, %s)",
		                        node->name, pair->name, pair->nodes[0], pair->nodes[1]);
	snprintf(settings.node, sizeof(settings.node), "%s", node->name);
	snprintf(settings.provider, sizeof(settings.provider), "%s", pair->provider);
	snprintf(settings.tracker, sizeof(settings.tracker), "%s", pair->tracker);
	fill_rails(node, peer, &settings);
	settings.channel_count = pair->channel_count;
	settings.write_depth = pair->write_depth;
	settings.merge_bytes_max = pair->merge_bytes_max;
	settings.poll_ns = pair->poll_ns;
	settings.verify_every = pair->verify_every;
	settings.lease_ns = pair->lease_ns;
	settings.staging_bytes = strcmp(pair->capture, "stop") == 0 ? 0 : pair->staging_mib << 20;
	settings.is_capture_auto = strcmp(pair->capture, "auto") == 0;
	settings.push_interval_ns = pair->push_interval_ns;
	settings.push_rate_max = pair->push_rate_max_mib << 20;
	settings.pause_budget_ns = pair->pause_budget_ns;
	settings.overload_wait_ns = pair->overload_wait_ns;
	settings.slows_program = strcmp(pair->on_overload, "slow") == 0;
	settings.state_bytes_max = pair->state_bytes_max;
	settings.connect_timeout_ns = pair->connect_timeout_ns;
	settings.commit_timeout_ns = pair->commit_timeout_ns;
	settings.ping_interval_ns = pair->ping_interval_ns;
	settings.report_interval_ns = tandem_config_report_interval_ns(pair);
	settings.reconnect_interval_ns = pair->reconnect_interval_ns;
	settings.reconnect_interval_max_ns = pair->reconnect_interval_max_ns;
	settings.peer_port = peer->port;
	settings.has_key = tandem_config_has_key(pair);
	int rc = tandem_config_key(pair, &settings.key, reterr_error);
	if (rc < 0)
		return rc;
	*ret_settings = settings;
	return 0;
}

uint64_t tandem_config_fencing_ns(const struct tandem_config_node *node)
{
	uint64_t total_ns = 0;
	for (size_t i = 0; i < node->fence_count; i++)
		total_ns += node->fences[i].timeout_ns + KILL_NS;
	return total_ns;
}

uint64_t tandem_config_fence_delay_ns(const struct tandem_config *config,
                                      const struct tandem_config_pair *pair)
{
	uint64_t delay_ns = pair->arbiter.fence_delay_ns;
	for (size_t i = 0; i < config->node_count && pair->arbiter.fence_delay_ns == 0; i++) {
		const struct tandem_config_node *node = &config->nodes[i];
		uint64_t fencing_ns = tandem_config_fencing_ns(node);
		if (tandem_config_serves(node, pair) && fencing_ns > delay_ns)
			delay_ns = fencing_ns;
	}
	return delay_ns;
}

int tandem_config_arbiter_path(const struct tandem_config_node *node,
                               const struct tandem_config_pair *pair, char *ret_path,
                               size_t path_bytes, struct tandem_error *reterr_error)
{
	char path[TANDEM_CONFIG_PATH_BYTES + TANDEM_NAME_BYTES];
	/* Two nodes on one machine must not share what only one of them was told. */
	bool is_own = strcmp(pair->arbiter.type, "file") != 0;
	snprintf(path, sizeof(path), "%s%s%s", pair->arbiter.path, is_own ? "/" : "",
	         is_own ? node->name : "");
	if (strlen(path) >= path_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "arbiter",
		                        "%s: %zu characters seen, at most %zu needed", path,
		                        strlen(path), path_bytes - 1);
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}

int tandem_config_qmp(const struct tandem_config_node *node, const struct tandem_config_pair *pair,
                      char *ret_path, size_t path_bytes, struct tandem_error *reterr_error)
{
	char path[TANDEM_CONFIG_PATH_BYTES + TANDEM_NAME_BYTES + 8];
	if (pair->protect.qmp[0] != '\0')
		snprintf(path, sizeof(path), "%s", pair->protect.qmp);
	else
		snprintf(path, sizeof(path), "%s/%s.qmp", node->run_directory, pair->name);
	if (strlen(path) >= path_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "protect.qmp",
		                        "%s: %zu characters seen, at most %zu needed", path,
		                        strlen(path), path_bytes - 1);
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}
