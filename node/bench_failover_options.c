#include "bench_failover_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench_number.h"

/* A longer one leaves no room for the name of a socket behind it. */
#define DIRECTORY_LENGTH_MAX 48

static const char *const fault_texts[] = {
        [TANDEM_BENCH_FAULT_KILL] = "kill",
        [TANDEM_BENCH_FAULT_STOP] = "stop",
        [TANDEM_BENCH_FAULT_NONE] = "none",
};

const char *tandem_bench_fault_text(enum tandem_bench_fault fault)
{
	return fault_texts[fault];
}

static bool set_fault(const char *value, struct tandem_bench_failover_options *options)
{
	for (unsigned i = 0; i < sizeof fault_texts / sizeof *fault_texts; i++) {
		if (strcmp(value, fault_texts[i]) == 0) {
			options->fault = (enum tandem_bench_fault)i;
			return true;
		}
	}
	return tandem_bench_refuse("fault", value, "kill, stop or none");
}

static bool set_profile(const char *value, struct tandem_bench_failover_options *options)
{
	options->profile = value;
	return strcmp(value, "lan-rt") == 0 || strcmp(value, "lan") == 0 ||
	       strcmp(value, "vm") == 0 ||
	       tandem_bench_refuse("profile", value, "lan-rt, lan or vm");
}

static bool set_directory(const char *value, struct tandem_bench_failover_options *options)
{
	options->directory = value;
	return (value[0] == '/' && strlen(value) <= DIRECTORY_LENGTH_MAX) ||
	       tandem_bench_refuse("directory", value, "an absolute path of at most 48 characters");
}

/* What the server's map has: whole MiB. */
static bool set_size(const char *value, struct tandem_bench_failover_options *options)
{
	return tandem_bench_parse_bytes(value, UINT64_C(16) << 20, UINT64_C(1) << 40,
	                                &options->size_bytes) &&
	       (options->size_bytes % (UINT64_C(1) << 20) == 0 ||
	        tandem_bench_refuse("size", value, "whole MiB"));
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
		return set_size(value, options);
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
	*ret_options = options;
	return TANDEM_BENCH_RUN;
}
