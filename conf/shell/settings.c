#include <tandem/config.h>

#include <stdio.h>
#include <string.h>

#include "core/timers.h"

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
	snprintf(settings.rails[0].local_address, sizeof(settings.rails[0].local_address), "%s",
	         node->address);
	snprintf(settings.rails[0].peer_address, sizeof(settings.rails[0].peer_address), "%s",
	         peer->address);
	settings.channel_count = pair->channel_count;
	settings.state_bytes_max = pair->state_bytes_max;
	settings.connect_timeout_ns = pair->connect_timeout_ns;
	settings.commit_timeout_ns = pair->commit_timeout_ns;
	settings.ping_interval_ns = pair->ping_interval_ns;
	settings.report_interval_ns = tandem_config_report_interval_ns(pair);
	settings.reconnect_interval_ns = pair->reconnect_interval_ns;
	settings.peer_port = peer->port;
	*ret_settings = settings;
	return 0;
}

int tandem_config_arbiter_path(const struct tandem_config_node *node,
                               const struct tandem_config_pair *pair, char *ret_path,
                               size_t path_bytes, struct tandem_error *reterr_error)
{
	char path[TANDEM_CONFIG_PATH_BYTES + TANDEM_NAME_BYTES];
	/* Two nodes on one machine must not share what only one of them was told. */
	bool is_own = strcmp(pair->arbiter.type, "manual") == 0;
	snprintf(path, sizeof(path), "%s%s%s", pair->arbiter.path, is_own ? "/" : "",
	         is_own ? node->name : "");
	if (strlen(path) >= path_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "arbiter",
		                        "%s: %zu characters seen, at most %zu needed", path,
		                        strlen(path), path_bytes - 1);
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}
