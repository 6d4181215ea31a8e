#include "bench_copy_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench_value.h"

#define SIZE_LARGEST (UINT64_C(1) << 40)
#define PER_MILLE    43 /* of the memory is live where nothing else is said */

static const char *const history_texts[] = {
        [TANDEM_BENCH_HISTORY_BOOT] = "boot",
        [TANDEM_BENCH_HISTORY_ENDED] = "ended",
        NULL,
};

const char *tandem_bench_history_text(enum tandem_bench_history history)
{
	return history_texts[history];
}

static bool set_history(const char *value, struct tandem_bench_copy_options *options)
{
	unsigned history;

	if (!tandem_bench_parse_word("history", value, history_texts, &history))
		return false;
	options->history = (enum tandem_bench_history)history;
	return true;
}

static bool set(int option, const char *value, struct tandem_bench_copy_options *options)
{
	switch (option) {
	case 's':
		return tandem_bench_parse_size(value, UINT64_C(1) << 20, &options->pair.size_bytes);
	case 'l':
		return tandem_bench_parse_bytes(value, TANDEM_BENCH_PAGE_BYTES, SIZE_LARGEST,
		                                &options->live_bytes);
	case 'y':
		return set_history(value, options);
	case 'f':
		options->tells_free = true;
		return true;
	case 'r':
		return tandem_bench_parse_bytes(value, TANDEM_BENCH_PAGE_BYTES, SIZE_LARGEST,
		                                &options->pair.rate_bytes_s);
	case 'c':
		return tandem_bench_parse_unsigned(value, 1, 16, &options->pair.channel_count);
	case 'p':
		options->pair.provider = value;
		return true;
	case 't':
		options->pair.tracker = value;
		return true;
	case 'a':
		options->pair.address = value;
		return true;
	case 'j':
		options->pair.is_json = true;
		return true;
	default:
		return false;
	}
}

/* The program writes where it likes: what was free is not free then. */
static bool judge(struct tandem_bench_copy_options *options)
{
	const uint64_t size_bytes = options->pair.size_bytes;

	if (options->live_bytes == 0)
		options->live_bytes = size_bytes / 1000 * PER_MILLE;
	options->live_bytes -= options->live_bytes % TANDEM_BENCH_PAGE_BYTES;
	if (options->live_bytes > size_bytes) {
		fprintf(stderr, "tandem-bench: --live %llu is more than --size %llu\n",
		        (unsigned long long)options->live_bytes, (unsigned long long)size_bytes);
		return false;
	}
	if (options->tells_free && options->pair.rate_bytes_s > 0) {
		fputs("tandem-bench: --rate writes to all pages: leave out --free\n", stderr);
		return false;
	}
	return true;
}

enum tandem_bench_reading tandem_bench_copy_options_read(
        int argument_count, char **arguments, struct tandem_bench_copy_options *ret_options)
{
	static const struct option long_options[] = {{"size", required_argument, NULL, 's'},
	                                             {"live", required_argument, NULL, 'l'},
	                                             {"history", required_argument, NULL, 'y'},
	                                             {"free", no_argument, NULL, 'f'},
	                                             {"rate", required_argument, NULL, 'r'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"provider", required_argument, NULL, 'p'},
	                                             {"tracker", required_argument, NULL, 't'},
	                                             {"address", required_argument, NULL, 'a'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct tandem_bench_copy_options options = {.pair = {.size_bytes = UINT64_C(256) << 20,
	                                                     .channel_count = 4,
	                                                     .capture = {.mode = "stop"},
	                                                     .provider = "auto",
	                                                     .tracker = "auto",
	                                                     .address = "127.0.0.1"},
	                                            .history = TANDEM_BENCH_HISTORY_ENDED};
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
	if (!judge(&options))
		return TANDEM_BENCH_WRONG;
	*ret_options = options;
	return TANDEM_BENCH_RUN;
}
