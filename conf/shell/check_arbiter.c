#include "shell/reader.h"

#include <inttypes.h>
#include <string.h>

#include <tandem/clock.h>

/* A pair's arbiter: each type that promotes by itself must have what it decides with. */
struct subject {
	struct tandem_config_reader *reader;
	const struct tandem_config_pair *pair;
	const struct tandem_config_node *nodes[2]; /* NULL when not known */
};

static bool has_type(const struct subject *subject, const char *type)
{
	return strcmp(subject->pair->arbiter.type, type) == 0;
}

/* A key that its arbiter does not look at means that something else was meant. */
static void check_strangers(struct subject *subject, const config_setting_t *arbiter)
{
	static const struct {
		const char *key, *type;
	} rows[] = {
	        {"endpoints", "etcd"},       {"prefix", "etcd"},
	        {"ca_file", "etcd"},         {"cert_file", "etcd"},
	        {"client_key_file", "etcd"}, {"request_timeout_ms", "etcd"},
	        {"fence_delay_ms", "fence"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (has_type(subject, rows[i].type) ||
		    !config_setting_get_member(arbiter, rows[i].key))
			continue;
		tandem_config_mistake_in(subject->reader, arbiter, rows[i].key,
		                         "is for the type \"%s\", the type here is \"%s\"",
		                         rows[i].type, subject->pair->arbiter.type);
	}
	if (has_type(subject, "etcd") && config_setting_get_member(arbiter, "path"))
		tandem_config_mistake_in(
		        subject->reader, arbiter, "path",
		        "is a directory; the type \"etcd\" keeps the record in the "
		        "key PREFIX/PAIR");
}

static void check_endpoints(struct subject *subject, const config_setting_t *setting)
{
	const struct tandem_config_arbiter *arbiter = &subject->pair->arbiter;
	size_t secure_count = 0;
	for (size_t i = 0; i < arbiter->endpoint_count; i++) {
		secure_count += strncmp(arbiter->endpoints[i], "https:", 6) == 0;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(arbiter->endpoints[i], arbiter->endpoints[j]) == 0)
				tandem_config_mistake_in(subject->reader, setting, "endpoints",
				                         "\"%s\" stands twice",
				                         arbiter->endpoints[i]);
		}
	}
	if (arbiter->endpoint_count > 0 && secure_count == 0 &&
	    (arbiter->ca_file[0] || arbiter->cert_file[0]))
		tandem_config_mistake_in(subject->reader, setting, "endpoints",
		                         "start with http://, where no certificate is looked at; "
		                         "https:// needed with ca_file or cert_file");
}

/* Every endpoint is asked once, and one that hangs must leave time for another. */
static void check_request_timeout(struct subject *subject, const config_setting_t *setting)
{
	const struct tandem_config_arbiter *arbiter = &subject->pair->arbiter;
	uint64_t count = arbiter->endpoint_count > 2 ? arbiter->endpoint_count : 2;
	if (arbiter->request_timeout_ns == 0 || arbiter->timeout_ns == 0 ||
	    count * arbiter->request_timeout_ns <= arbiter->timeout_ns)
		return;
	tandem_config_mistake_in(
	        subject->reader, setting,
	        config_setting_get_member(setting, "timeout_ms") ? "timeout_ms"
	                                                         : "request_timeout_ms",
	        "%" PRIu64 " times request_timeout_ms (%" PRIu64 " ms) must not exceed timeout_ms "
	        "(%" PRIu64 " ms): each endpoint is asked once within it, and two must fit",
	        count, arbiter->request_timeout_ns / TANDEM_NS_PER_MS,
	        arbiter->timeout_ns / TANDEM_NS_PER_MS);
}

static void check_etcd(struct subject *subject, const config_setting_t *setting)
{
	const struct tandem_config_arbiter *arbiter = &subject->pair->arbiter;
	if (!config_setting_get_member(setting, "endpoints"))
		tandem_config_mistake_in(subject->reader, setting, "endpoints",
		                         "is missing: the type \"etcd\" needs the members of the "
		                         "cluster: [\"http://10.0.0.3:2379\", ... ]");
	check_endpoints(subject, setting);
	check_request_timeout(subject, setting);
	if (!arbiter->cert_file[0] != !arbiter->client_key_file[0])
		tandem_config_mistake_in(subject->reader, setting,
		                         arbiter->cert_file[0] ? "client_key_file" : "cert_file",
		                         "is missing: it goes together with %s",
		                         arbiter->cert_file[0] ? "cert_file" : "client_key_file");
	if (config_setting_get_member(setting, "prefix") && !arbiter->prefix[0])
		tandem_config_mistake_in(subject->reader, setting, "prefix",
		                         "\"\" seen, at least one character needed");
}

static void check_fencing_time(struct subject *subject, const config_setting_t *setting)
{
	const struct tandem_config_pair *pair = subject->pair;
	uint64_t delay_ns = tandem_config_fence_delay_ns(subject->reader->config, pair);
	for (size_t i = 0; i < 2; i++) {
		uint64_t fencing_ns = tandem_config_fencing_ns(subject->nodes[i]);
		if (pair->take_over_window_ns == 0 ||
		    delay_ns + fencing_ns <= pair->take_over_window_ns)
			continue;
		tandem_config_mistake_in(
		        subject->reader, setting, "fence_delay_ms",
		        "the delay (%" PRIu64
		        " ms) and all ways to switch off node \"%s\" (%" PRIu64
		        " ms with 1 s each to end) must not exceed take_over_window_ms (%" PRIu64
		        " ms): a take-over must fit into the window that counts them",
		        delay_ns / TANDEM_NS_PER_MS, subject->nodes[i]->name,
		        fencing_ns / TANDEM_NS_PER_MS,
		        pair->take_over_window_ns / TANDEM_NS_PER_MS);
		return;
	}
}

static void check_fence(struct subject *subject, const config_setting_t *setting)
{
	bool has_all = subject->nodes[0] && subject->nodes[1];
	for (size_t i = 0; i < 2; i++) {
		if (!subject->nodes[i] || subject->nodes[i]->fence_count > 0)
			continue;
		tandem_config_mistake_in(
		        subject->reader, setting, "type",
		        "\"fence\" lets a node lead when it has the other one switched off, but "
		        "node \"%s\" has no fence = ( { agent = \"...\"; } ): give it one, or "
		        "choose another arbiter; without either only \"manual\" is safe",
		        subject->nodes[i]->name);
		has_all = false;
	}
	if (has_all)
		check_fencing_time(subject, setting);
}

static void check_arbiter_path(struct subject *subject, const config_setting_t *setting)
{
	const struct tandem_config_pair *pair = subject->pair;
	char path[TANDEM_CONFIG_PATH_BYTES];
	struct tandem_error error;
	if (has_type(subject, "file") && !config_setting_get_member(setting, "path"))
		tandem_config_mistake_in(
		        subject->reader, setting, "path",
		        "is missing: the type \"file\" needs a directory on storage that "
		        "both nodes see");
	for (size_t i = 0; i < 2; i++) {
		if (!subject->nodes[i] || pair->arbiter.path[0] == '\0' ||
		    tandem_config_arbiter_path(subject->nodes[i], pair, path, sizeof(path),
		                               &error) == 0)
			continue;
		tandem_config_mistake_in(subject->reader, setting, "path", "%s", error.detail);
		return;
	}
}

void tandem_config_check_arbiter(struct tandem_config_reader *reader,
                                 const struct tandem_config_pair *pair,
                                 const config_setting_t *pair_setting,
                                 const struct tandem_config_node *const nodes[2])
{
	const config_setting_t *setting = config_setting_get_member(pair_setting, "arbiter");
	struct subject subject = {.reader = reader, .pair = pair, .nodes = {nodes[0], nodes[1]}};
	if (!setting || config_setting_type(setting) != CONFIG_TYPE_GROUP || !pair->arbiter.type[0])
		return;
	check_strangers(&subject, setting);
	if (has_type(&subject, "etcd"))
		check_etcd(&subject, setting);
	else
		check_arbiter_path(&subject, setting);
	if (has_type(&subject, "fence"))
		check_fence(&subject, setting);
}
