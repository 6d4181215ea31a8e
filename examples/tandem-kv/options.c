#include "options.h"

#include <event2/util.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "number.h"

static const char options_help[] =
        "tandem-kv: a RESP (Redis protocol) server whose memory Tandem keeps alive on a second "
        "host\n"
        "\n"
        "usage: tandem-kv --pair PAIR --listen ADDRESS:PORT [--run-dir DIR] [options]\n"
        "\n"
        "  --pair PAIR            the pair of the configuration file that this program is\n"
        "  --listen ADDRESS:PORT  where clients connect, numeric; [ADDRESS]:PORT for IPv6\n"
        "  --run-dir DIR          where the controller's socket is (default /run/tandem)\n"
        "  --map FILE             keep the LMDB map in FILE, on tmpfs, and leave it there\n"
        "                         (default: a fresh file in /dev/shm, unlinked at once)\n"
        "  --map-size MIB         size of the map, 2 or more (default 64)\n"
        "  --tracker NAME         how written pages are found: auto (default), pagemap, mark,\n"
        "                         compare\n"
        "  --standalone           without Tandem: nothing is protected, replies leave at once\n"
        "  --stall-timeout MS     close a client that takes none of its replies for so long\n"
        "                         (default 30000)\n"
        "  --help                 this text\n"
        "\n"
        "Started by tandemd to take over, it serves the image it was given; --map and\n"
        "--map-size then have no meaning.\n"
        "\n"
        "examples:\n"
        "  tandem-kv --pair kv --run-dir /run/tandem --listen 127.0.0.1:6379\n"
        "  tandem-kv --standalone --listen 127.0.0.1:6379 --map /dev/shm/demo.mdb\n"
        "  redis-cli -p 6379 set greeting hello\n"
        "  redis-benchmark -p 6379 -t set,get -n 100000 -P 16\n"
        "\n"
        "exit status: 0 ended by a signal, 1 failed, 2 wrong use, 3 another node leads\n";

static int options_wrong(struct tandem_error *reterr_error, const char *option, const char *value,
                         const char *wanted)
{
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options", "%s '%s': %s", option,
	                        value, wanted);
}

static int options_set_tracker(struct tandem_kv_options *options, const char *value,
                               struct tandem_error *reterr_error)
{
	static const struct {
		const char *name;
		enum tandem_tracker tracker;
	} trackers[] = {{"auto", TANDEM_TRACKER_AUTO},
	                {"pagemap", TANDEM_TRACKER_PAGEMAP},
	                {"mark", TANDEM_TRACKER_MARK},
	                {"compare", TANDEM_TRACKER_COMPARE}};

	for (size_t i = 0; i < sizeof(trackers) / sizeof(trackers[0]); i++)
		if (strcmp(trackers[i].name, value) == 0) {
			options->tracker = trackers[i].tracker;
			return 0;
		}
	return options_wrong(reterr_error, "--tracker", value,
	                     "must be auto, pagemap, mark or compare");
}

static int options_set_number(const char *option, const char *value, uint64_t low, uint64_t high,
                              uint64_t *ret_number, struct tandem_error *reterr_error)
{
	uint64_t number;

	if (!tandem_kv_number_parse_unsigned(value, strlen(value), &number) || number < low ||
	    number > high)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "%s '%s': must be a number from %llu to %llu", option,
		                        value, (unsigned long long)low, (unsigned long long)high);
	*ret_number = number;
	return 0;
}

/* ADDRESS:PORT or [ADDRESS]:PORT. Port 0, which takes any free one, is allowed. */
static bool options_parse_address(struct tandem_kv_options *options, const char *text)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&options->listen_address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&options->listen_address;
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN];
	uint64_t port;

	if (!colon || !tandem_kv_number_parse_unsigned(colon + 1, strlen(colon + 1), &port) ||
	    port > UINT16_MAX)
		return false;
	bool is_bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
	if (is_bracketed) {
		text++;
		length -= 2;
	}
	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (is_bracketed) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		options->listen_address_bytes = (int)sizeof(*in6);
		return evutil_inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	options->listen_address_bytes = (int)sizeof(*in);
	return evutil_inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static int options_set_listen(struct tandem_kv_options *options, const char *value,
                              struct tandem_error *reterr_error)
{
	options->listen_text = value;
	if (!options_parse_address(options, value))
		return options_wrong(reterr_error, "--listen", value,
		                     "must be ADDRESS:PORT, numeric, as 127.0.0.1:6379");
	return 0;
}

enum options_letter {
	OPTIONS_PAIR = 256,
	OPTIONS_RUN_DIR,
	OPTIONS_LISTEN,
	OPTIONS_MAP,
	OPTIONS_MAP_SIZE,
	OPTIONS_TRACKER,
	OPTIONS_STANDALONE,
	OPTIONS_STALL_TIMEOUT,
	OPTIONS_HELP,
};

static int options_set(struct tandem_kv_options *options, int letter, const char *value,
                       struct tandem_error *reterr_error)
{
	uint64_t number = 0;
	int result;

	switch (letter) {
	case OPTIONS_PAIR:
		options->pair = value;
		return 0;
	case OPTIONS_RUN_DIR:
		options->run_directory = value;
		return 0;
	case OPTIONS_LISTEN:
		return options_set_listen(options, value, reterr_error);
	case OPTIONS_MAP:
		options->map_path = value;
		return 0;
	case OPTIONS_MAP_SIZE:
		result = options_set_number("--map-size", value, TANDEM_KV_MAP_BYTES_MIN >> 20,
		                            TANDEM_KV_MAP_BYTES_MAX >> 20, &number, reterr_error);
		options->map_bytes = (size_t)number << 20;
		options->is_map_bytes_given = true;
		return result;
	case OPTIONS_TRACKER:
		return options_set_tracker(options, value, reterr_error);
	case OPTIONS_STANDALONE:
		options->is_standalone = true;
		return 0;
	case OPTIONS_STALL_TIMEOUT:
		result = options_set_number("--stall-timeout", value, 1, 86400000, &number,
		                            reterr_error);
		options->stall_timeout_ns = number * TANDEM_NS_PER_MS;
		return result;
	default:
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "see tandem-kv --help");
	}
}

static int options_check(struct tandem_kv_options *options, struct tandem_error *reterr_error)
{
	struct tandem_recovery recovery;

	if (!options->is_standalone && tandem_recovery_read(&recovery)) {
		options->is_takeover = true;
		options->image_directory = recovery.image_directory;
		if (!options->pair)
			options->pair = recovery.pair;
		options->is_map_bytes_given = false;
	}
	if (!options->pair && options->is_standalone)
		options->pair = "standalone";
	if (!options->pair)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "--pair is missing (or --standalone)");
	if (strchr(options->pair, '/'))
		return options_wrong(reterr_error, "--pair", options->pair, "must not hold a '/'");
	if (!options->listen_text)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "--listen is missing");
	return 0;
}

static const struct option options_long[] = {
        {"pair", required_argument, NULL, OPTIONS_PAIR},
        {"run-dir", required_argument, NULL, OPTIONS_RUN_DIR},
        {"listen", required_argument, NULL, OPTIONS_LISTEN},
        {"map", required_argument, NULL, OPTIONS_MAP},
        {"map-size", required_argument, NULL, OPTIONS_MAP_SIZE},
        {"tracker", required_argument, NULL, OPTIONS_TRACKER},
        {"standalone", no_argument, NULL, OPTIONS_STANDALONE},
        {"stall-timeout", required_argument, NULL, OPTIONS_STALL_TIMEOUT},
        {"help", no_argument, NULL, OPTIONS_HELP},
        {NULL, 0, NULL, 0},
};

enum tandem_kv_options_result tandem_kv_options_read(int argument_count, char *const *arguments,
                                                     struct tandem_kv_options *ret_options,
                                                     struct tandem_error *reterr_error)
{
	struct tandem_kv_options options = {.map_bytes = (size_t)64 << 20,
	                                    .tracker = TANDEM_TRACKER_AUTO,
	                                    .stall_timeout_ns = 30 * TANDEM_NS_PER_S};
	int letter;

	while ((letter = getopt_long(argument_count, arguments, "", options_long, NULL)) != -1) {
		if (letter == OPTIONS_HELP) {
			fputs(options_help, stdout);
			return TANDEM_KV_OPTIONS_HELP;
		}
		if (options_set(&options, letter, optarg, reterr_error) != 0)
			return TANDEM_KV_OPTIONS_WRONG;
	}
	if (optind < argument_count) {
		options_wrong(reterr_error, "argument", arguments[optind], "is not expected");
		return TANDEM_KV_OPTIONS_WRONG;
	}
	if (options_check(&options, reterr_error) != 0)
		return TANDEM_KV_OPTIONS_WRONG;
	*ret_options = options;
	return TANDEM_KV_OPTIONS_RUN;
}
