#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <tandem/clock.h>

#include "tandemctl.h"

#define SLOTS_PER_STATE 2 /* double-buffered by epoch parity, on both sides */

struct lines {
	void (*emit)(void *context, const char *line);
	void *context;
};

static void TANDEM_PRINTF(2, 3) say(const struct lines *lines, const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	lines->emit(lines->context, line);
}

static bool is_text(const char *text, const char *word)
{
	return strcmp(text, word) == 0;
}

static void say_fencing(const struct lines *lines, const struct tandem_config *config,
                        const struct tandem_config_node *peer,
                        const struct tandem_config_pair *pair)
{
	for (size_t i = 0; i < peer->fence_count; i++)
		say(lines, "    node %s is switched off by %s%s, within %" PRIu64 " ms", peer->name,
		    peer->fences[i].agent[0] == '/' ? "" : "/usr/sbin/", peer->fences[i].agent,
		    peer->fences[i].timeout_ns / TANDEM_NS_PER_MS);
	say(lines, "    as secondary it waits %" PRIu64 " ms before that",
	    tandem_config_fence_delay_ns(config, pair) / TANDEM_NS_PER_MS);
}

static void say_arbiter(const struct lines *lines, const struct tandem_config *config,
                        const struct tandem_config_node *node,
                        const struct tandem_config_pair *pair)
{
	const struct tandem_config_arbiter *arbiter = &pair->arbiter;
	char path[TANDEM_CONFIG_PATH_BYTES] = "";
	struct tandem_error error;
	if (is_text(arbiter->type, "etcd")) {
		say(lines, "  arbiter etcd: key %s/%s", arbiter->prefix, pair->name);
		for (size_t i = 0; i < arbiter->endpoint_count; i++)
			say(lines, "    endpoint %s must be reachable", arbiter->endpoints[i]);
		return;
	}
	/* The loader has checked that it fits. */
	int rc = tandem_config_arbiter_path(node, pair, path, sizeof(path), &error);
	(void)rc;
	say(lines, "  arbiter %s: %s/%s, %s", arbiter->type, path, pair->name,
	    is_text(arbiter->type, "file") ? "on storage that both nodes see"
	                                   : "the node's own, must survive a restart");
	if (is_text(arbiter->type, "fence"))
		say_fencing(lines, config, tandem_config_peer(config, node, pair), pair);
}

static void say_pair(const struct lines *lines, const struct tandem_config *config,
                     const struct tandem_config_node *node, const struct tandem_config_pair *pair)
{
	const struct tandem_config_node *peer = tandem_config_peer(config, node, pair);
	say(lines, "pair %s with node %s: %s; a silent peer is suspect after %" PRIu64 " ms",
	    pair->name, peer->name,
	    is_text(pair->nodes[0], node->name) ? "leads first" : "standby first",
	    tandem_config_detect_ns(pair) / TANDEM_NS_PER_MS);
	say_arbiter(lines, config, node, pair);
}

static void say_memory(const struct lines *lines, const struct tandem_config_node *node,
                       size_t pair_count, uint64_t state_bytes, uint64_t staging_mib)
{
	say(lines,
	    "memory: as standby the regions of each of its %zu pair%s twice: as cache, and as "
	    "image "
	    "in %s (a tmpfs with room for it); %" PRIu64 " KiB for state blobs",
	    pair_count, pair_count == 1 ? "" : "s", node->image_directory,
	    SLOTS_PER_STATE * state_bytes / 1024);
	if (staging_mib > 0)
		say(lines,
		    "memory: as primary up to %" PRIu64 " MiB for staging (staging_mib), but not "
		    "more than the regions",
		    staging_mib);
}

static void say_limits(const struct lines *lines, size_t rdma_count)
{
	if (rdma_count > 0)
		say(lines,
		    "memory lock: RDMA pins the caches in tandemd and the regions in the protected "
		    "program: LimitMEMLOCK=infinity (or CAP_IPC_LOCK) for both");
	else
		say(lines, "memory lock: none for the data, no pair here uses RDMA");
	say(lines, "tandem-failoverd: CAP_SYS_NICE or LimitRTPRIO=11 for real-time scheduling, "
	           "CAP_IPC_LOCK or LimitMEMLOCK=infinity to stay in memory; it starts without, "
	           "and says so");
	say(lines, "trackers: none needs a privilege; pagemap needs Linux 6.7 or newer");
}

void tandemctl_needs(const struct tandem_config *config, const struct tandem_config_node *node,
                     void (*emit)(void *context, const char *line), void *context)
{
	struct lines lines = {emit, context};
	size_t pair_count = 0, rdma_count = 0;
	uint64_t state_bytes = 0, staging_mib = 0;
	for (size_t i = 0; i < config->pair_count; i++) {
		const struct tandem_config_pair *pair = &config->pairs[i];
		if (!tandem_config_serves(node, pair))
			continue;
		say_pair(&lines, config, node, pair);
		pair_count++;
		rdma_count += !is_text(pair->provider, "tcp");
		state_bytes += pair->state_bytes_max;
		staging_mib += is_text(pair->capture, "stop") ? 0 : pair->staging_mib;
	}
	if (pair_count == 0) {
		say(&lines, "serves no pair");
		return;
	}
	for (size_t i = 0; i < tandem_config_rail_count(node); i++)
		say(&lines, "ports: %s port %u for data", tandem_config_rail(node, i), node->port);
	for (size_t i = 0; i < node->heartbeat_count; i++)
		say(&lines, "ports: %s UDP port %u for heartbeats", node->heartbeats[i].address,
		    node->heartbeats[i].port);
	say_memory(&lines, node, pair_count, state_bytes, staging_mib);
	say_limits(&lines, rdma_count);
}

static void note_node(const struct lines *lines, const struct tandem_config_node *node)
{
	size_t shared_count = 0;
	for (size_t i = 0; i < node->heartbeat_count; i++)
		shared_count += is_text(node->heartbeats[i].address, node->address);
	if (shared_count == node->heartbeat_count)
		say(lines,
		    "node %s: all heartbeats take the data's network; one that fails silences both",
		    node->name);
}

void tandemctl_notes(const struct tandem_config *config,
                     void (*emit)(void *context, const char *line), void *context)
{
	struct lines lines = {emit, context};
	for (size_t i = 0; i < config->node_count; i++)
		note_node(&lines, &config->nodes[i]);
	for (size_t i = 0; i < config->pair_count; i++) {
		const struct tandem_config_pair *pair = &config->pairs[i];
		if (!tandem_config_has_key(pair))
			say(&lines,
			    "pair %s: no key_file, whoever reaches %s can pose as the other node",
			    pair->name,
			    pair->is_insecure ? "its addresses" : "this machine's loopback");
		if (is_text(pair->arbiter.type, "manual"))
			say(&lines, "pair %s: manual arbiter, nothing is promoted by itself",
			    pair->name);
	}
}

void tandemctl_machine(void (*emit)(void *context, const char *line), void *context)
{
	struct lines lines = {emit, context};
	struct utsname kernel;
	struct rlimit limit;
	if (uname(&kernel) == 0)
		say(&lines, "kernel %s", kernel.release);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	if (limit.rlim_max == RLIM_INFINITY)
		say(&lines, "memory lock limit: unlimited");
	else
		say(&lines, "memory lock limit: %llu KiB (ulimit -H -l)",
		    (unsigned long long)limit.rlim_max / 1024);
}
