#include "bench_failover_options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench_value.h"

/* A longer one leaves no room for the name of a socket behind it. */
#define DIRECTORY_LENGTH_MAX 48

static const char *const fault_texts[] = {
        [TANDEM_BENCH_FAULT_KILL] = "kill",
        [TANDEM_BENCH_FAULT_STOP] = "stop",
        [TANDEM_BENCH_FAULT_NONE] = "none",
        NULL,
};

const char *tandem_bench_fault_text(enum tandem_bench_fault fault)
{
	return fault_texts[fault];
}

/* A map's pages are half full at worst, and half of what the filling leaves is for the pages that
 * a transaction takes anew. */
uint64_t tandem_bench_writer_slots(const struct tandem_bench_failover_options *options)
{
	const uint64_t left = options->size_bytes / 100 * (100 - options->fill_percent) / 2;
	const uint64_t key = 2 * (options->value_bytes + TANDEM_BENCH_KEY_BYTES);
	const uint64_t slots = left / (key * (options->connections + 1));

	return slots < TANDEM_BENCH_WRITER_SLOTS_MAX ? slots : TANDEM_BENCH_WRITER_SLOTS_MAX;
}

static bool set_fault(const char *value, struct tandem_bench_failover_options *options)
{
	unsigned fault;

	if (!tandem_bench_parse_word("fault", value, fault_texts, &fault))
		return false;
	options->fault = (enum tandem_bench_fault)fault;
	return true;
}

static bool set_profile(const char *value, struct tandem_bench_failover_options *options)
{
	static const char *const profiles[] = {"lan-rt", "lan", "vm", NULL};
	unsigned profile;

	options->profile = value;
	return tandem_bench_parse_word("profile", value, profiles, &profile);
}

static bool set_directory(const char *value, struct tandem_bench_failover_options *options)
{
	options->directory = value;
	return (value[0] == '/' && strlen(value) <= DIRECTORY_LENGTH_MAX) ||
	       tandem_bench_refuse("directory", value, "an absolute path of at most 48 characters");
}

static bool set(int option, const char *value, struct tandem_bench_failover_options *options)
{
	switch (option) {
	case 'r':
		return tandem_bench_parse_unsigned(value, 1, 1000000, &options->rounds);
	case 't':
		return tandem_bench_parse_unsigned(value, 1, 1000000, &options->seconds);
	case 'f':
		return set_fault(value, options);
	case 'p':
		return set_profile(value, options);
	case 's':
		return tandem_bench_parse_size(value, UINT64_C(16) << 20, &options->size_bytes);
	case 'i':
		return tandem_bench_parse_unsigned(value, 0, TANDEM_BENCH_FILL_PERCENT_MAX,
		                                   &options->fill_percent);
	case 'c':
		return tandem_bench_parse_unsigned(value, 0, TANDEM_BENCH_CONNECTIONS_MAX,
		                                   &options->connections);
	case 'v':
		return tandem_bench_parse_bytes(value, 32, TANDEM_BENCH_VALUE_BYTES_MAX,
		                                &options->value_bytes);
	case 'd':
		return set_directory(value, options);
	case 'j':
		options->json_path = value;
		return true;
	case 'k':
		options->keeps_files = true;
		return true;
	default:
		return false;
	}
}

enum tandem_bench_reading tandem_bench_failover_options_read(
        int argument_count, char **arguments, struct tandem_bench_failover_options *ret_options)
{
	static const struct option long_options[] = {{"rounds", required_argument, NULL, 'r'},
	                                             {"seconds", required_argument, NULL, 't'},
	                                             {"fault", required_argument, NULL, 'f'},
	                                             {"profile", required_argument, NULL, 'p'},
	                                             {"size", required_argument, NULL, 's'},
	                                             {"fill", required_argument, NULL, 'i'},
	                                             {"connections", required_argument, NULL, 'c'},
	                                             {"value-bytes", required_argument, NULL, 'v'},
	                                             {"directory", required_argument, NULL, 'd'},
	                                             {"json", required_argument, NULL, 'j'},
	                                             {"keep", no_argument, NULL, 'k'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct tandem_bench_failover_options options = TANDEM_BENCH_FAILOVER_OPTIONS_DEFAULT;
	int option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h')
			return TANDEM_BENCH_HELP;
		if (!set(option, optarg, &options))
			return TANDEM_BENCH_WRONG;
	}
	if (optind != argument_count) {
		fprintf(stderr, "tandem-bench: unexpected argument '%s'\n", arguments[optind]);
		return TANDEM_BENCH_WRONG;
	}
	if ((options.seconds > 0) != (options.fault == TANDEM_BENCH_FAULT_NONE)) {
		fprintf(stderr, "tandem-bench: --seconds and --fault none need each other\n");
		return TANDEM_BENCH_WRONG;
	}
	if (tandem_bench_writer_slots(&options) < TANDEM_BENCH_WRITER_SLOTS_MIN) {
		fprintf(stderr,
		        "tandem-bench: %u writers have room for %" PRIu64 " values of %" PRIu64
		        " bytes each beside the filling, %d needed: a larger --size, or less of "
		        "--connections, --value-bytes or --fill\n",
		        options.connections + 1, tandem_bench_writer_slots(&options),
		        options.value_bytes, TANDEM_BENCH_WRITER_SLOTS_MIN);
		return TANDEM_BENCH_WRONG;
	}
	*ret_options = options;
	return TANDEM_BENCH_RUN;
}
