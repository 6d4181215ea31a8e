#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/log.h>

#include "bench_value.h"
#include "bench_peer_process.h"
#include "bench_receiver.h"
#include "bench_report.h"
#include "bench_sender.h"

#define PORT 7480

static const char help[] =
        "usage: tandem-bench transport [options]\n"
        "\n"
        "Measures one session: epochs of writes over its data channels, each sealed and answered "
        "by "
        "the\n"
        "peer's software. The receiver is a second process, or another host.\n"
        "\n"
        "  --provider NAME     auto, rdma or tcp (default auto)\n"
        "  --address A         local address of both sides (default 127.0.0.1)\n"
        "  --listen            be the receiver for one sender, on --address\n"
        "  --connect ADDRESS   be the sender to a receiver on another host\n"
        "  --port N            of --listen and --connect (default 7480)\n"
        "  --channels N        data channels, 1 to 16 (default 4)\n"
        "  --depth N           writes in flight per channel, 16 to 4096 (default 256)\n"
        "  --poll-us N         poll this long before sleeping, 0 to 1000 (default 100)\n"
        "  --pattern NAME      random (4 KiB pages), runs (64 KiB, in random order) or\n"
        "                      sequential (the pages in order, merged to 256 KiB); default random\n"
        "  --bytes N           of an epoch, such as 64M (default 64M)\n"
        "  --region-bytes N    memory that they lie in (default: as --bytes)\n"
        "  --epochs N          (default 8)\n"
        "  --commits N         one-page epochs of which the latency is taken (default 1000); each\n"
        "                      has another page of the list, and a line of it was written before\n"
        "  --huge-pages        transparent huge pages for the sender's region\n"
        "  --json              the result as JSON\n"
        "\n"
        "examples:\n"
        "  tandem-bench transport --pattern random --bytes 256M --epochs 4\n"
        "  tandem-bench transport --provider tcp --pattern runs --channels 2 --json\n"
        "  tandem-bench transport --listen --provider rdma --address 10.0.0.2     (first host)\n"
        "  tandem-bench transport --connect 10.0.0.2 --provider rdma              (second host)\n";

struct options {
	struct tandem_bench_link_options link;
	struct tandem_bench_plan plan;
	const char *peer_address;
	bool is_listening;
	bool is_json;
};

static bool parse_pattern(const char *value, struct tandem_bench_load *load)
{
	load->pattern = tandem_bench_pattern_of(value);
	if (load->pattern < TANDEM_BENCH_PATTERNS)
		return true;
	fprintf(stderr, "tandem-bench: '%s' must be random, runs or sequential\n", value);
	return false;
}

static bool parse_option(int option, const char *value, struct options *options)
{
	struct tandem_bench_plan *plan = &options->plan;

	switch (option) {
	case 'p':
		return parse_pattern(value, &plan->load);
	case 'b':
		return tandem_bench_parse_bytes(value, 4096, UINT64_C(1) << 40, &plan->load.bytes);
	case 'r':
		return tandem_bench_parse_bytes(value, 4096, UINT64_C(1) << 40,
		                                &plan->load.region_bytes);
	case 'e':
		return tandem_bench_parse_unsigned(value, 1, 1000000, &plan->epochs);
	case 'm':
		return tandem_bench_parse_unsigned(value, 0, 10000000, &plan->commits);
	case 'H':
		plan->has_huge_pages = true;
		return true;
	case 'j':
		options->is_json = true;
		return true;
	case 'l':
		options->is_listening = true;
		return true;
	case 'C':
		options->peer_address = value;
		return true;
	default:
		return tandem_bench_link_option(option, value, &options->link);
	}
}

/* 'h' where help was asked for, '?' where something is wrong, else 0. */
static int parse(int argument_count, char **arguments, struct options *options)
{
	static const struct option long_options[] = {{"provider", required_argument, NULL, 'v'},
	                                             {"address", required_argument, NULL, 'a'},
	                                             {"listen", no_argument, NULL, 'l'},
	                                             {"connect", required_argument, NULL, 'C'},
	                                             {"port", required_argument, NULL, 'o'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"depth", required_argument, NULL, 'd'},
	                                             {"poll-us", required_argument, NULL, 'u'},
	                                             {"pattern", required_argument, NULL, 'p'},
	                                             {"bytes", required_argument, NULL, 'b'},
	                                             {"region-bytes", required_argument, NULL, 'r'},
	                                             {"epochs", required_argument, NULL, 'e'},
	                                             {"commits", required_argument, NULL, 'm'},
	                                             {"huge-pages", no_argument, NULL, 'H'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h')
			return 'h';
		if (!parse_option(option, optarg, options))
			return '?';
	}
	if (optind != argument_count || (options->is_listening && options->peer_address != NULL))
		return '?';
	options->plan.channel_count = options->link.channel_count;
	options->plan.load.write_bytes =
	        tandem_bench_pattern_write_bytes(options->plan.load.pattern);
	if (options->plan.load.region_bytes == 0)
		options->plan.load.region_bytes = options->plan.load.bytes;
	return 0;
}

/* ---- the three ways to run ---- */

static int send_plan(const struct options *options, const struct tandem_bench_link_options *to,
                     struct tandem_error *error)
{
	static struct tandem_bench_figures figures;
	static struct tandem_bench_link link;
	int code = tandem_bench_link_connect(&link, to, error);

	if (code == 0)
		code = tandem_bench_sender_run(&link, &options->plan, &figures, error);
	if (code == 0)
		tandem_bench_report(tandem_transport_capabilities(link.transport), &options->plan,
		                    &figures, options->is_json);
	tandem_bench_link_close(&link);
	return code;
}

static int run_both(const struct options *options, struct tandem_error *error)
{
	struct tandem_bench_link_options to = options->link;
	struct tandem_bench_peer_process process;
	int code;

	to.port = 0;
	code = tandem_bench_peer_process_start(&to, tandem_bench_receiver_run, &process, error);
	if (code < 0)
		return code;
	to.port = process.port;
	code = send_plan(options, &to, error);
	return tandem_bench_peer_process_end(&process, code, error);
}

static int run_receiver(const struct options *options, struct tandem_error *error)
{
	static struct tandem_bench_link link;
	int code = tandem_bench_link_listen(&link, &options->link, error);

	if (code == 0) {
		fprintf(stderr, "%s port %u\n", options->link.address, options->link.port);
		code = tandem_bench_receiver_run(&link, error);
	}
	tandem_bench_link_close(&link);
	return code;
}

static int run_sender(const struct options *options, struct tandem_error *error)
{
	struct tandem_bench_link_options to = options->link;

	to.address = options->peer_address;
	return send_plan(options, &to, error);
}

int tandem_bench_transport_main(int argument_count, char **arguments)
{
	struct options options = {
	        .link = TANDEM_BENCH_LINK_OPTIONS_DEFAULT,
	        .plan = {.load = {.bytes = UINT64_C(64) << 20}, .epochs = 8, .commits = 1000}};
	struct tandem_error error = {.code = 0};
	int parsed, code;

	options.link.port = PORT;
	parsed = parse(argument_count, arguments, &options);
	if (parsed != 0) {
		fputs(help, parsed == 'h' ? stdout : stderr);
		return parsed == 'h' ? EXIT_SUCCESS : 2;
	}
	if (options.is_listening)
		code = run_receiver(&options, &error);
	else if (options.peer_address != NULL)
		code = run_sender(&options, &error);
	else
		code = run_both(&options, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
