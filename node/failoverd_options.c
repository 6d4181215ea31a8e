#include "failoverd_options.h"

#include <stdio.h>
#include <string.h>

_Static_assert(TANDEM_CONFIG_PAIRS_MAX == TANDEM_CONTROLLER_PAIRS_MAX, "pairs of a node");
_Static_assert(TANDEM_CONFIG_HEARTBEATS_MAX == TANDEM_CONTROLLER_LINKS_MAX, "links of a pair");
_Static_assert(TANDEM_KEY_BYTES == TANDEM_CONTROLLER_KEY_BYTES, "heartbeat key");
_Static_assert(TANDEM_CONFIG_ENDPOINTS_MAX == TANDEM_CONTROLLER_ENDPOINTS_MAX, "endpoints");
_Static_assert(TANDEM_CONFIG_FENCES_MAX == TANDEM_CONTROLLER_FENCE_AGENTS_MAX, "fence agents");
_Static_assert(TANDEM_CONFIG_URL_BYTES <= TANDEM_CONTROLLER_URL_BYTES, "endpoints");
_Static_assert(TANDEM_CONFIG_WORDS_BYTES <= TANDEM_CONTROLLER_PARAMETERS_BYTES, "parameters");
_Static_assert(TANDEM_CONFIG_PATH_BYTES <= TANDEM_CONTROLLER_PATH_BYTES, "directories");

static void fill_links(const struct tandem_config_node *node, const struct tandem_config_node *peer,
                       struct tandem_controller_pair *pair)
{
	pair->link_count = node->heartbeat_count;
	for (size_t i = 0; i < pair->link_count; i++) {
		struct tandem_controller_link *link = &pair->links[i];
		snprintf(link->local_address, sizeof(link->local_address), "%s",
		         node->heartbeats[i].address);
		snprintf(link->peer_address, sizeof(link->peer_address), "%s",
		         peer->heartbeats[i].address);
		link->local_port = node->heartbeats[i].port;
		link->peer_port = peer->heartbeats[i].port;
	}
}

static enum tandem_rejoin rejoin_of(const char *word)
{
	if (strcmp(word, "manual") == 0)
		return TANDEM_REJOIN_MANUAL;
	return strcmp(word, "keep-and-resync") == 0 ? TANDEM_REJOIN_KEEP_AND_RESYNC
	                                            : TANDEM_REJOIN_RESYNC;
}

static void fill_timers(const struct tandem_config_pair *from, struct tandem_controller_pair *pair)
{
	pair->heartbeat_interval_ns = from->heartbeat_interval_ns;
	pair->heartbeat_miss_count = from->heartbeat_miss_count;
	pair->hung_after_ns = from->hung_after_ns;
	pair->solo_after_ns = from->solo_after_ns;
	pair->arbiter_timeout_ns = from->arbiter.timeout_ns;
	pair->arbiter_poll_ns = from->arbiter.poll_interval_ns;
	pair->fence_timeout_ns = from->fence_timeout_ns;
	pair->activate_timeout_ns = from->promote.timeout_ns;
	pair->is_strict = strcmp(from->mode, "strict") == 0;
	pair->rejoin = rejoin_of(from->on_rejoin);
	pair->damper_window_ns = from->take_over_window_ns;
	pair->damper_take_over_count = from->take_over_count_max;
}

static enum tandem_arbiter_type arbiter_type(const struct tandem_config_pair *from)
{
	static const struct {
		const char *name;
		enum tandem_arbiter_type type;
	} types[] = {
	        {"file", TANDEM_ARBITER_FILE},         {"manual", TANDEM_ARBITER_MANUAL},
	        {"etcd", TANDEM_ARBITER_ETCD},         {"fence", TANDEM_ARBITER_FENCE},
	        {"external", TANDEM_ARBITER_EXTERNAL},
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(from->arbiter.type, types[i].name) == 0)
			return types[i].type;
	}
	return 0; /* the options are refused then */
}

static void fill_etcd(const struct tandem_config_arbiter *from, struct tandem_controller_etcd *etcd)
{
	etcd->endpoint_count = from->endpoint_count;
	for (size_t i = 0; i < from->endpoint_count; i++)
		snprintf(etcd->endpoints[i], sizeof(etcd->endpoints[i]), "%s", from->endpoints[i]);
	snprintf(etcd->prefix, sizeof(etcd->prefix), "%s", from->prefix);
	snprintf(etcd->ca_file, sizeof(etcd->ca_file), "%s", from->ca_file);
	snprintf(etcd->cert_file, sizeof(etcd->cert_file), "%s", from->cert_file);
	snprintf(etcd->client_key_file, sizeof(etcd->client_key_file), "%s", from->client_key_file);
	etcd->request_timeout_ns = from->request_timeout_ns;
}

/* Each node is told how its peer is switched off. */
static void fill_fence(const struct tandem_config_node *peer, struct tandem_controller_pair *pair)
{
	pair->fence_agent_count = peer->fence_count;
	for (size_t i = 0; i < peer->fence_count; i++) {
		const struct tandem_config_fence *from = &peer->fences[i];
		struct tandem_controller_fence_agent *agent = &pair->fence_agents[i];
		snprintf(agent->agent, sizeof(agent->agent), "%s", from->agent);
		snprintf(agent->parameters, sizeof(agent->parameters), "%s", from->parameters);
		agent->timeout_ns = from->timeout_ns;
		agent->is_verified = from->is_verified;
	}
}

static void fill_hooks(const struct tandem_config_hooks *from,
                       struct tandem_controller_hooks *hooks)
{
	*hooks =
	        (struct tandem_controller_hooks){.commands = {[TANDEM_HOOK_LEAD] = from->on_lead,
	                                                      [TANDEM_HOOK_STOP] = from->on_stop,
	                                                      [TANDEM_HOOK_STATE] = from->on_state,
	                                                      [TANDEM_HOOK_ALARM] = from->on_alarm},
	                                         .timeout_ns = from->timeout_ns};
}

/* Without a key it stays zero: that protects against accidents only. */
static void fill_key(struct tandem_controller_pair *pair)
{
	struct tandem_key key;
	if (!pair->settings.has_key)
		return;
	tandem_key_derive(&pair->settings.key, "heartbeat", &key);
	memcpy(pair->key, key.bytes, sizeof(pair->key));
}

int tandem_failoverd_pair(const struct tandem_config *config, const struct tandem_config_node *node,
                          const struct tandem_config_pair *from,
                          struct tandem_controller_pair *ret_pair,
                          struct tandem_error *reterr_error)
{
	struct tandem_controller_pair pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	const struct tandem_config_node *peer = tandem_config_peer(config, node, from);
	int rc = tandem_config_settings(config, node, from, &pair.settings, reterr_error);
	if (rc < 0)
		return rc;
	rc = tandem_config_arbiter_path(node, from, pair.arbiter_path, sizeof(pair.arbiter_path),
	                                reterr_error);
	if (rc < 0)
		return rc;
	fill_key(&pair);
	snprintf(pair.name, sizeof(pair.name), "%s", from->name);
	snprintf(pair.peer_node, sizeof(pair.peer_node), "%s", peer->name);
	snprintf(pair.first_owner, sizeof(pair.first_owner), "%s", from->nodes[0]);
	pair.arbiter_type = arbiter_type(from);
	fill_etcd(&from->arbiter, &pair.etcd);
	if (pair.arbiter_type == TANDEM_ARBITER_FENCE) {
		fill_fence(peer, &pair);
		pair.fencing_timeout_ns = tandem_config_fencing_ns(peer);
		pair.fence_delay_ns = tandem_config_fence_delay_ns(config, from);
	}
	fill_links(node, peer, &pair);
	fill_timers(from, &pair);
	fill_hooks(&from->hooks, &pair.hooks);
	pair.unprotected_after_ns = from->unprotected_after_ns;
	*ret_pair = pair;
	return 0;
}

int tandem_failoverd_options(const struct tandem_config *config,
                             const struct tandem_config_node *node,
                             struct tandem_controller_pair *pairs,
                             struct tandem_controller_options *ret_options,
                             struct tandem_error *reterr_error)
{
	struct tandem_controller_options options = TANDEM_CONTROLLER_OPTIONS_DEFAULT;
	snprintf(options.node, sizeof(options.node), "%s", node->name);
	snprintf(options.watchdog_path, sizeof(options.watchdog_path), "%s", node->watchdog);
	options.watchdog_timeout_s = node->watchdog_timeout_s;
	snprintf(options.run_directory, sizeof(options.run_directory), "%s", node->run_directory);
	snprintf(options.metrics_address, sizeof(options.metrics_address), "%s",
	         node->metrics_address);
	options.metrics_port = node->metrics_port;
	options.pairs = pairs;
	for (size_t i = 0; i < config->pair_count; i++) {
		const struct tandem_config_pair *pair = &config->pairs[i];
		if (!tandem_config_serves(node, pair))
			continue;
		int rc = tandem_failoverd_pair(config, node, pair, &pairs[options.pair_count],
		                               reterr_error);
		if (rc < 0)
			return tandem_error_wrap(reterr_error, rc, "pair %s", pair->name);
		options.pair_count++;
	}
	if (options.pair_count == 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "%s: no pair names node \"%s\"", config->path, node->name);
	int rc = tandem_controller_options_validate(&options, reterr_error);
	if (rc < 0)
		return rc;
	*ret_options = options;
	return 0;
}
