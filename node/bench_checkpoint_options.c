#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_number.h"

static const char help[] =
        "usage: tandem-bench checkpoint [options]\n"
        "\n"
        "Measures one pair inside this process: scan, push, commit and apply of an epoch, the "
        "pause of the\n"
        "program, and the fraction of a plain memcpy of the same pages that the pause took.\n"
        "\n"
        "  --size-mib N      memory of the region (default 256)\n"
        "  --dirty LIST      per cent of the pages that each epoch dirties (default 1,10,100)\n"
        "  --epochs N        epochs per row (default 20)\n"
        "  --channels N      data channels, 1 to 16 (default 4)\n"
        "  --provider NAME   auto, rdma or tcp (default auto)\n"
        "  --tracker NAME    auto, pagemap or compare (default auto)\n"
        "  --address A       local address to use (default 127.0.0.1)\n"
        "  --json            the result as JSON\n"
        "\n"
        "examples:\n"
        "  tandem-bench checkpoint\n"
        "  tandem-bench checkpoint --size-mib 64 --dirty 5 --tracker compare --json\n";

static bool parse_dirty(char *text, struct tandem_bench_options *options)
{
	options->dirty_count = 0;
	for (char *rest = NULL, *word = strtok_r(text, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		uint64_t percent;

		if (options->dirty_count == 8 || !tandem_bench_parse_number(word, 0, 100, &percent))
			return false;
		options->dirty_percent[options->dirty_count++] = (unsigned)percent;
	}
	return options->dirty_count > 0;
}

static bool parse_option(int option, char *value, struct tandem_bench_options *options)
{
	uint64_t number = 0;

	switch (option) {
	case 's':
		if (!tandem_bench_parse_number(value, 1, 1 << 20, &number))
			return false;
		options->size_bytes = number << 20;
		return true;
	case 'd':
		return parse_dirty(value, options);
	case 'e':
		if (!tandem_bench_parse_number(value, 1, 1000000, &number))
			return false;
		options->epochs = (unsigned)number;
		return true;
	case 'c':
		if (!tandem_bench_parse_number(value, 1, 16, &number))
			return false;
		options->channel_count = (unsigned)number;
		return true;
	case 'p':
		options->provider = value;
		return true;
	case 't':
		options->tracker = value;
		return true;
	case 'a':
		options->address = value;
		return true;
	case 'j':
		options->is_json = true;
		return true;
	default:
		return false;
	}
}

int tandem_bench_checkpoint_main(int argument_count, char **arguments)
{
	static const struct option long_options[] = {{"size-mib", required_argument, NULL, 's'},
	                                             {"dirty", required_argument, NULL, 'd'},
	                                             {"epochs", required_argument, NULL, 'e'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"provider", required_argument, NULL, 'p'},
	                                             {"tracker", required_argument, NULL, 't'},
	                                             {"address", required_argument, NULL, 'a'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct tandem_bench_options options = {.size_bytes = UINT64_C(256) << 20,
	                                       .dirty_percent = {1, 10, 100},
	                                       .dirty_count = 3,
	                                       .epochs = 20,
	                                       .channel_count = 4,
	                                       .provider = "auto",
	                                       .tracker = "auto",
	                                       .address = "127.0.0.1"};
	int option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		}
		if (!parse_option(option, optarg, &options)) {
			fputs(help, stderr);
			return 2;
		}
	}
	if (optind != argument_count) {
		fputs(help, stderr);
		return 2;
	}
	return tandem_bench_checkpoint(&options);
}
