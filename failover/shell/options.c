#include <tandem/controller.h>

#include <arpa/inet.h>
#include <string.h>

#include "core/fencing.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

static int complain(struct tandem_error *reterr_error, const char *pair, const char *field,
                    const char *needed)
{
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate", "pair '%.31s': %s: %s",
	                        pair, field, needed);
}

static bool is_ended(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

/* Names become parts of file names. */
static bool is_name(const char text[TANDEM_NAME_BYTES])
{
	if (!is_ended(text, TANDEM_NAME_BYTES) || text[0] == 0 || text[0] == '.')
		return false;
	for (const char *at = text; *at != 0; at++) {
		if (*at == '/' || (unsigned char)*at <= ' ' || *at == 0x7f)
			return false;
	}
	return true;
}

static bool is_address(const char text[64])
{
	struct in6_addr address;
	return is_ended(text, 64) && (inet_pton(AF_INET, text, &address) == 1 ||
	                              inet_pton(AF_INET6, text, &address) == 1);
}

static bool is_directory_name(const char *text)
{
	return is_ended(text, TANDEM_CONTROLLER_PATH_BYTES) && text[0] != 0 &&
	       strlen(text) + sizeof("/" TANDEM_CONTROL_SOCKET) <= TANDEM_CONTROLLER_PATH_BYTES;
}

static bool is_between(uint64_t value, uint64_t low, uint64_t high)
{
	return value >= low && value <= high;
}

static int check_links(const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	if (!is_between(pair->link_count, 1, TANDEM_CONTROLLER_LINKS_MAX))
		return complain(reterr_error, pair->name, "links", "needs 1 to 4");
	for (size_t i = 0; i < pair->link_count; i++) {
		const struct tandem_controller_link *link = &pair->links[i];
		if (!is_address(link->local_address) || !is_address(link->peer_address))
			return complain(reterr_error, pair->name, "links",
			                "an address is not numeric IPv4 or IPv6");
		bool is_ipv6 = strchr(link->local_address, ':') != NULL;
		if (is_ipv6 != (strchr(link->peer_address, ':') != NULL))
			return complain(reterr_error, pair->name, "links",
			                "both ends of a link need the same address family");
		if (link->local_port == 0 || link->peer_port == 0)
			return complain(reterr_error, pair->name, "links", "needs ports above 0");
	}
	return 0;
}

static int check_names(const struct tandem_controller_options *options,
                       const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	if (!is_name(pair->name))
		return complain(reterr_error, "?", "name",
		                "needs 1 to 31 printable characters without '/' and blanks");
	if (!is_name(pair->peer_node) || strcmp(pair->peer_node, options->node) == 0)
		return complain(reterr_error, pair->name, "peer_node",
		                "needs the name of the other node");
	if (strcmp(pair->first_owner, options->node) != 0 &&
	    strcmp(pair->first_owner, pair->peer_node) != 0)
		return complain(reterr_error, pair->name, "first_owner",
		                "needs the name of one of the pair's two nodes");
	return 0;
}

static int check_times(const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	uint64_t window_ns = pair->heartbeat_interval_ns * pair->heartbeat_miss_count;
	const struct {
		const char *field;
		uint64_t value, low, high;
		const char *needed;
	} rows[] = {
	        {"heartbeat_interval", pair->heartbeat_interval_ns, NS_PER_MS, 10 * NS_PER_S,
	         "needs 1 ms to 10 s"},
	        {"heartbeat_miss_count", pair->heartbeat_miss_count, 2, 1000, "needs 2 to 1000"},
	        {"hung_after", pair->hung_after_ns, 0, 3600 * NS_PER_S, "needs at most 1 h"},
	        {"solo_after", pair->solo_after_ns, NS_PER_MS, 3600 * NS_PER_S,
	         "needs 1 ms to 1 h"},
	        {"arbiter_timeout", pair->arbiter_timeout_ns, NS_PER_MS, 60 * NS_PER_S,
	         "needs 1 ms to 60 s"},
	        {"arbiter_poll", pair->arbiter_poll_ns, NS_PER_MS, 60 * NS_PER_S,
	         "needs 1 ms to 60 s"},
	        {"fence_timeout", pair->fence_timeout_ns, NS_PER_MS, 600 * NS_PER_S,
	         "needs 1 ms to 10 min"},
	        {"fence_delay", pair->fence_delay_ns, 0, 3600 * NS_PER_S, "needs at most 1 h"},
	        {"activate_timeout", pair->activate_timeout_ns, NS_PER_MS, 3600 * NS_PER_S,
	         "needs 1 ms to 1 h"},
	        {"damper_window", pair->damper_window_ns, NS_PER_MS, 86400 * NS_PER_S,
	         "needs 1 ms to 1 day"},
	        {"damper_take_over_count", pair->damper_take_over_count, 1, 16, "needs 1 to 16"},
	        {"unprotected_after", pair->unprotected_after_ns, 0, 86400 * NS_PER_S,
	         "needs 0 to 1 day"},
	        {"hooks.timeout", pair->hooks.timeout_ns, NS_PER_MS, 3600 * NS_PER_S,
	         "needs 1 ms to 1 h"},
	        {"report_interval", pair->settings.report_interval_ns, 1, window_ns / 4,
	         "needs at most a quarter of heartbeat_interval * heartbeat_miss_count"},
	        {"ping_interval", pair->settings.ping_interval_ns, 1, window_ns / 4,
	         "needs at most a quarter of heartbeat_interval * heartbeat_miss_count"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!is_between(rows[i].value, rows[i].low, rows[i].high))
			return complain(reterr_error, pair->name, rows[i].field, rows[i].needed);
	}
	return 0;
}

static bool is_url(const char text[TANDEM_CONTROLLER_URL_BYTES])
{
	return is_ended(text, TANDEM_CONTROLLER_URL_BYTES) &&
	       (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0);
}

static bool is_path_or_none(const char text[TANDEM_CONTROLLER_PATH_BYTES])
{
	return is_ended(text, TANDEM_CONTROLLER_PATH_BYTES) && (text[0] == 0 || text[0] == '/');
}

static int check_etcd(const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	const struct tandem_controller_etcd *etcd = &pair->etcd;
	if (!is_between(etcd->endpoint_count, 1, TANDEM_CONTROLLER_ENDPOINTS_MAX))
		return complain(reterr_error, pair->name, "endpoints", "needs 1 to 7");
	for (size_t i = 0; i < etcd->endpoint_count; i++) {
		if (!is_url(etcd->endpoints[i]))
			return complain(reterr_error, pair->name, "endpoints",
			                "needs http://HOST:PORT or https://HOST:PORT");
	}
	if (!is_ended(etcd->prefix, sizeof(etcd->prefix)) || etcd->prefix[0] == 0)
		return complain(reterr_error, pair->name, "prefix", "needs 1 to 95 characters");
	if (!is_path_or_none(etcd->ca_file) || !is_path_or_none(etcd->cert_file) ||
	    !is_path_or_none(etcd->client_key_file))
		return complain(reterr_error, pair->name, "ca_file, cert_file, client_key_file",
		                "needs absolute paths, or none");
	if ((etcd->cert_file[0] == 0) != (etcd->client_key_file[0] == 0))
		return complain(reterr_error, pair->name, "cert_file", "goes with client_key_file");
	if (!is_between(etcd->request_timeout_ns, 10 * NS_PER_MS, 250 * NS_PER_MS))
		return complain(reterr_error, pair->name, "request_timeout",
		                "needs 10 ms to 250 ms");
	return 0;
}

static int check_fence(const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	if (!is_between(pair->fence_agent_count, 1, TANDEM_CONTROLLER_FENCE_AGENTS_MAX))
		return complain(reterr_error, pair->name, "fence_agents", "needs 1 to 4");
	for (size_t i = 0; i < pair->fence_agent_count; i++) {
		const struct tandem_controller_fence_agent *agent = &pair->fence_agents[i];
		if (!is_ended(agent->agent, sizeof(agent->agent)) || agent->agent[0] == 0 ||
		    !is_ended(agent->parameters, sizeof(agent->parameters)))
			return complain(reterr_error, pair->name, "fence_agents",
			                "needs an agent and its parameters");
		if (!is_between(agent->timeout_ns, 100 * NS_PER_MS, 600 * NS_PER_S))
			return complain(reterr_error, pair->name, "fence_agents.timeout",
			                "needs 100 ms to 10 min");
	}
	if (pair->fencing_timeout_ns < tandem_fencing_total_ns(pair))
		return complain(reterr_error, pair->name, "fencing_timeout",
		                "needs all agents' timeouts and 1 s for each");
	return 0;
}

static int check_arbiter(const struct tandem_controller_pair *pair,
                         struct tandem_error *reterr_error)
{
	if (!is_between(pair->arbiter_type, TANDEM_ARBITER_FILE, TANDEM_ARBITER_EXTERNAL))
		return complain(reterr_error, pair->name, "arbiter_type",
		                "needs 'file', 'manual', 'etcd', 'fence' or 'external'");
	if (pair->arbiter_type == TANDEM_ARBITER_ETCD)
		return check_etcd(pair, reterr_error);
	if (pair->arbiter_type == TANDEM_ARBITER_FENCE && check_fence(pair, reterr_error) != 0)
		return TANDEM_E_CONFIG;
	if (!is_directory_name(pair->arbiter_path) || pair->arbiter_path[0] != '/')
		return complain(reterr_error, pair->name, "arbiter_path",
		                "needs an absolute directory of at most 79 characters");
	return 0;
}

static int check_settings(const struct tandem_controller_pair *pair,
                          struct tandem_error *reterr_error)
{
	const struct tandem_control_settings *settings = &pair->settings;
	if (!is_ended(settings->node, sizeof(settings->node)) ||
	    !is_ended(settings->provider, sizeof(settings->provider)) ||
	    !is_ended(settings->tracker, sizeof(settings->tracker)) ||
	    !is_ended(settings->rails[0].local_address, sizeof(settings->rails[0].local_address)) ||
	    !is_ended(settings->rails[0].peer_address, sizeof(settings->rails[0].peer_address)))
		return complain(reterr_error, pair->name, "settings", "a text has no end");
	return 0;
}

static int check_pair(const struct tandem_controller_options *options,
                      const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	int status = check_names(options, pair, reterr_error);
	if (status == 0)
		status = check_links(pair, reterr_error);
	if (status == 0)
		status = check_times(pair, reterr_error);
	if (status == 0)
		status = check_arbiter(pair, reterr_error);
	if (status == 0)
		status = check_settings(pair, reterr_error);
	return status;
}

static int check_unique(const struct tandem_controller_options *options, size_t index,
                        struct tandem_error *reterr_error)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(options->pairs[i].name, options->pairs[index].name) == 0)
			return complain(reterr_error, options->pairs[i].name, "name",
			                "is given twice");
	}
	return 0;
}

int tandem_controller_options_validate(const struct tandem_controller_options *options,
                                       struct tandem_error *reterr_error)
{
	if (!is_name(options->node))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate",
		                        "node: needs 1 to 31 printable characters without '/' and "
		                        "blanks");
	if (!is_directory_name(options->run_directory))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate",
		                        "run_directory: needs 1 to 79 characters");
	if (options->metrics_port != 0 && !is_address(options->metrics_address))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate",
		                        "metrics_address: needs a numeric IPv4 or IPv6 address");
	if (options->watchdog_path[0] != 0 &&
	    (options->watchdog_path[0] != '/' || !is_between(options->watchdog_timeout_s, 2, 600)))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate",
		                        "watchdog: needs an absolute path and 2 to 600 s");
	if (!is_between(options->pair_count, 1, TANDEM_CONTROLLER_PAIRS_MAX) || !options->pairs)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "validate",
		                        "pairs: %zu given, 1 to %d needed", options->pair_count,
		                        TANDEM_CONTROLLER_PAIRS_MAX);
	for (size_t i = 0; i < options->pair_count; i++) {
		int status = check_pair(options, &options->pairs[i], reterr_error);
		if (status == 0)
			status = check_unique(options, i, reterr_error);
		if (status != 0)
			return status;
	}
	return 0;
}
