#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/transport.h>

#define WRITE_DEPTH_MIN 16
#define WRITE_DEPTH_MAX 4096
#define TIMEOUT_NS_MIN  TANDEM_NS_PER_MS
#define POLL_NS_MAX     TANDEM_NS_PER_MS
#define TIMEOUT_NS_MAX  (UINT64_C(3600) * TANDEM_NS_PER_S)

static int check_address(const char *field, const char *text, size_t text_bytes, bool may_be_empty,
                         struct tandem_error *reterr_error)
{
	struct in6_addr parsed;
	char bare[sizeof(((struct tandem_rail *)0)->address)];
	if (!memchr(text, 0, text_bytes))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "%s is longer than %zu characters", field, text_bytes - 1);
	if (may_be_empty && text[0] == 0)
		return 0;
	/* A link-local IPv6 address names its link: fe80::1%eth0. */
	size_t length = strcspn(text, "%");
	memcpy(bare, text, length);
	bare[length] = 0;
	if (inet_pton(AF_INET, text, &parsed) == 1 || inet_pton(AF_INET6, bare, &parsed) == 1)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
	                        "%s is '%s'; it must be a numeric IPv4 or IPv6 address", field,
	                        text);
}

static int check_number(const char *field, uint64_t value, uint64_t min, uint64_t max,
                        struct tandem_error *reterr_error)
{
	if (value >= min && value <= max)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
	                        "%s is %" PRIu64 "; it must be %" PRIu64 " to %" PRIu64, field,
	                        value, min, max);
}

static int check_rails(const struct tandem_transport_options *options,
                       struct tandem_error *reterr_error)
{
	int status =
	        check_number("rail_count", options->rail_count, 1, TANDEM_RAILS_MAX, reterr_error);
	if (status == 0)
		status = check_number("control_rail", options->control_rail, 0,
		                      options->rail_count - 1, reterr_error);
	for (unsigned i = 0; status == 0 && i < options->rail_count; i++) {
		const struct tandem_rail *rail = &options->rails[i];
		status = check_address("address", rail->address, sizeof(rail->address), false,
		                       reterr_error);
		if (status == 0)
			status = check_address("source_address", rail->source_address,
			                       sizeof(rail->source_address), true, reterr_error);
	}
	return status;
}

int tandem_transport_options_validate(const struct tandem_transport_options *options,
                                      struct tandem_error *reterr_error)
{
	int status = check_rails(options, reterr_error);
	if (status == 0)
		status = check_number("channel_count", options->channel_count, 1,
		                      TANDEM_CHANNELS_MAX, reterr_error);
	if (status == 0)
		status = check_number("write_depth", options->write_depth, WRITE_DEPTH_MIN,
		                      WRITE_DEPTH_MAX, reterr_error);
	if (status == 0)
		status = check_number("connect_timeout_ns", options->connect_timeout_ns,
		                      TIMEOUT_NS_MIN, TIMEOUT_NS_MAX, reterr_error);
	if (status == 0)
		status = check_number("peer_timeout_ns", options->peer_timeout_ns, TIMEOUT_NS_MIN,
		                      TIMEOUT_NS_MAX, reterr_error);
	if (status == 0)
		status = check_number("poll_ns", options->poll_ns, 0, POLL_NS_MAX, reterr_error);
	if (status == 0)
		status = check_number("key_count", options->key_count, 0, TANDEM_KEYS_MAX,
		                      reterr_error);
	return status;
}
