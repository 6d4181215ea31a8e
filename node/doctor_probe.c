#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#define ECHO_COUNT       100
#define SAMPLE_NS        TANDEM_NS_PER_S
#define WRITE_BYTES      65536
#define CONNECT_LEAST_NS TANDEM_NS_PER_S

static void fill_options(const struct tandem_config_pair *pair,
                         const struct tandem_doctor_facts *facts,
                         const struct tandem_doctor_rail *rail, const struct tandem_key *key,
                         struct tandem_probe_options *ret_options)
{
	struct tandem_probe_options options = {.pair = pair->name,
	                                       .transport = TANDEM_TRANSPORT_OPTIONS_DEFAULT,
	                                       .echo_count = ECHO_COUNT,
	                                       .sample_ns = SAMPLE_NS,
	                                       .write_bytes = WRITE_BYTES};
	struct tandem_transport_options *transport = &options.transport;
	snprintf(transport->rails[0].address, sizeof(transport->rails[0].address), "%s",
	         rail->peer_address);
	snprintf(transport->rails[0].source_address, sizeof(transport->rails[0].source_address),
	         "%s", rail->address);
	transport->port = facts->peer_port;
	transport->channel_count = pair->channel_count;
	transport->write_depth = pair->write_depth;
	transport->poll_ns = pair->poll_ns;
	transport->connect_timeout_ns = pair->connect_timeout_ns > CONNECT_LEAST_NS
	                                        ? pair->connect_timeout_ns
	                                        : CONNECT_LEAST_NS;
	transport->peer_timeout_ns = pair->commit_timeout_ns;
	transport->keys[0] = *key;
	transport->key_count = tandem_config_has_key(pair);
	*ret_options = options;
}

static void probe_rail(const struct tandem_config_pair *pair, struct tandem_doctor_facts *facts,
                       struct tandem_doctor_rail *rail, const struct tandem_key *key)
{
	static struct tandem_probe_options options;
	struct tandem_transport *transport = NULL;
	struct tandem_error error = {.code = 0};
	rail->is_probed = true;
	fill_options(pair, facts, rail, key, &options);
	rail->probe_code = tandem_transport_open(pair->provider, rail->address, &transport, &error);
	if (rail->probe_code == 0)
		rail->probe_code = tandem_probe_run(transport, &options, &rail->probe, &error);
	if (rail->probe_code == 0) {
		const struct tandem_transport_capabilities *capabilities =
		        tandem_transport_capabilities(transport);
		snprintf(rail->probe_text, sizeof(rail->probe_text), "%s (%.200s)",
		         capabilities->name, capabilities->detail);
	} else {
		snprintf(rail->probe_text, sizeof(rail->probe_text), "%s",
		         error.detail[0] ? error.detail : tandem_error_text(rail->probe_code));
	}
	tandem_transport_free(transport);
}

void tandem_doctor_probe(const struct tandem_config_pair *pair, struct tandem_doctor_facts *facts)
{
	struct tandem_key key;
	/* Told already, with its reason. */
	if (facts->key_code != 0 || tandem_config_key(pair, &key, NULL) < 0)
		return;
	for (unsigned i = 0; i < facts->rail_count; i++) {
		if (facts->rails[i].netdev[0] != '\0')
			probe_rail(pair, facts, &facts->rails[i], &key);
	}
}
