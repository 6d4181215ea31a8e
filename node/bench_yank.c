#include "bench.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "bench_value.h"
#include "bench_peer_process.h"
#include "bench_report.h"
#include "bench_yank_bare.h"

#define REGION_BYTES TANDEM_WRITE_BYTES_MAX
#define PASSES_MAX   256 /* while filling: a device that goes on makes room again and again */
#define BATCH        32

static const char help[] =
        "usage: tandem-bench yank [options]\n"
        "\n"
        "Fills the queues of a session whose peer process is stopped, yanks it, and takes the time "
        "of the\n"
        "call and the time until everything pending has ended (the session's LOST). On tcp it does "
        "the\n"
        "same to bare sockets with full buffers (shutdown and close); bare queue pairs are "
        "measured "
        "by\n"
        "`yardstick-rdma --yanks`.\n"
        "\n"
        "  --provider NAME     auto, rdma or tcp (default auto)\n"
        "  --address A         local address of both sides (default 127.0.0.1)\n"
        "  --channels N        data channels, 1 to 16 (default 4)\n"
        "  --depth N           writes in flight per channel, 16 to 4096 (default 256)\n"
        "  --write-bytes N     of each write (default 64K)\n"
        "  --rounds N          (default 100)\n"
        "  --json              the result as JSON\n"
        "\n"
        "examples:\n"
        "  tandem-bench yank --provider tcp\n"
        "  tandem-bench yank --provider rdma --address 10.77.0.1 --json\n";

struct options {
	struct tandem_bench_link_options link;
	uint64_t write_bytes;
	unsigned rounds;
	bool is_json;
};

struct figures {
	struct tandem_histogram issue_ns;
	struct tandem_histogram done_ns;
	struct tandem_histogram bare_issue_ns;
	struct tandem_histogram bare_done_ns;
	struct tandem_histogram pending; /* requests */
};

/* ---- the peer ---- */

static uint8_t *peer_region;

/* Serves one session until it is lost; then nobody writes to the region any more. */
static int serve_session(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	int code = tandem_bench_link_accept(link, reterr_error);

	if (code == 0)
		code = tandem_session_expose(link->session, 0, peer_region, REGION_BYTES,
		                             reterr_error);
	if (code < 0)
		return code;
	/* Each lost channel is told before the session. */
	do
		code = tandem_bench_link_next(link, reterr_error);
	while (code != TANDEM_E_TIMEOUT && link->event.type != TANDEM_SESSION_LOST);
	if (code == TANDEM_E_TIMEOUT)
		return code;
	code = tandem_session_fence(link->session, tandem_clock_now_ns() + 10 * TANDEM_NS_PER_S,
	                            reterr_error);
	link->session = tandem_session_free(link->session);
	return code;
}

/* Until the sender ends it. */
static int serve(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	int code = 0;

	peer_region = tandem_memory_map(REGION_BYTES);
	if (peer_region == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "yank", "no memory");
	while (code == 0)
		code = serve_session(link, reterr_error);
	return code;
}

/* ---- a round ---- */

static int fill_channel(struct tandem_bench_link *link, const struct options *options,
                        const uint8_t *source, unsigned channel, unsigned *total,
                        struct tandem_error *reterr_error)
{
	struct tandem_write writes[BATCH];
	unsigned taken = 0;
	int code;

	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){.source = source,
		                                  .length = (uint32_t)options->write_bytes};
	do {
		code = tandem_session_write(link->session, channel, writes, BATCH, &taken);
		if (code < 0)
			return tandem_error_set(reterr_error, code, "write", "on channel %u: %s",
			                        channel, tandem_error_text(code));
		*total += taken;
	} while (taken == BATCH);
	return 0;
}

/* Until no channel takes anything. */
static int fill_channels(struct tandem_bench_link *link, const struct options *options,
                         const uint8_t *source, struct tandem_error *reterr_error)
{
	for (unsigned pass = 0; pass < PASSES_MAX; pass++) {
		unsigned total = 0;

		for (unsigned i = 0; i < options->link.channel_count; i++) {
			const int code =
			        fill_channel(link, options, source, i, &total, reterr_error);

			if (code < 0)
				return code;
		}
		if (total == 0)
			return 0;
		tandem_session_progress(link->session);
	}
	return 0;
}

static unsigned pending_count(const struct tandem_bench_link *link, const struct options *options)
{
	unsigned count = 0;

	for (unsigned i = 0; i < options->link.channel_count; i++)
		count += tandem_session_inflight_count(link->session, i);
	return count;
}

static int yank(struct tandem_bench_link *link, struct figures *figures,
                struct tandem_error *reterr_error)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	struct tandem_error cause;
	uint64_t issued_ns;
	int code;

	tandem_session_yank(link->session);
	issued_ns = tandem_clock_now_ns();
	do {
		code = tandem_bench_link_next(link, &cause);
	} while (link->event.type != TANDEM_SESSION_LOST && code != TANDEM_E_TIMEOUT);
	tandem_histogram_add(&figures->issue_ns, issued_ns - begin_ns);
	tandem_histogram_add(&figures->done_ns, tandem_clock_now_ns() - begin_ns);
	if (code == TANDEM_E_YANKED)
		return 0;
	return tandem_error_set(reterr_error, code < 0 ? code : TANDEM_E_PROTOCOL, "yank",
	                        "the session ended otherwise: %.180s", cause.detail);
}

static int run_round(const struct options *options, const struct tandem_bench_link_options *to,
                     const struct tandem_bench_peer_process *process, const uint8_t *source,
                     struct figures *figures, struct tandem_error *reterr_error)
{
	static struct tandem_bench_link link;
	int code = tandem_bench_link_connect(&link, to, reterr_error);

	if (code == 0)
		code = tandem_session_register(link.session, source, REGION_BYTES, reterr_error);
	if (code == 0)
		code = tandem_bench_link_await_exposure(&link, 0, reterr_error);
	if (code == 0)
		code = tandem_bench_peer_process_stop(process, reterr_error);
	if (code == 0)
		code = fill_channels(&link, options, source, reterr_error);
	if (code == 0) {
		tandem_histogram_add(&figures->pending, pending_count(&link, options));
		code = yank(&link, figures, reterr_error);
	}
	tandem_bench_link_close(&link);
	tandem_bench_peer_process_go_on(process);
	return code;
}

static int run_rounds(const struct options *options, struct figures *figures,
                      struct tandem_error *reterr_error)
{
	struct tandem_bench_link_options to = options->link;
	struct tandem_bench_peer_process process = {.pid = -1};
	uint8_t *source = tandem_memory_map(REGION_BYTES);
	int code;

	if (source == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "yank", "no memory");
	code = tandem_bench_peer_process_start(&to, serve, &process, reterr_error);
	to.port = process.port;
	for (unsigned i = 0; code == 0 && i < options->rounds; i++) {
		code = run_round(options, &to, &process, source, figures, reterr_error);
		if (code == 0)
			code = tandem_bench_yank_bare(options->link.channel_count + 1,
			                              &figures->bare_issue_ns,
			                              &figures->bare_done_ns, reterr_error);
	}
	tandem_memory_unmap(source, REGION_BYTES);
	if (process.pid > 0)
		tandem_bench_peer_process_kill(&process);
	return code;
}

/* ---- the report ---- */

static void print_line(const char *name, const struct tandem_histogram *latency_ns)
{
	printf("%-30s p50 %.1f us, p99 %.1f us, max %.1f us\n", name,
	       (double)tandem_histogram_at(latency_ns, 500) / 1e3,
	       (double)tandem_histogram_at(latency_ns, 990) / 1e3, (double)latency_ns->max / 1e3);
}

static void report(const struct options *options, const struct figures *figures)
{
	struct json_object *object;

	if (!options->is_json) {
		printf("%u yanks, %u channels, %llu writes of %llu bytes pending\n",
		       options->rounds, options->link.channel_count,
		       (unsigned long long)tandem_histogram_at(&figures->pending, 500),
		       (unsigned long long)options->write_bytes);
		print_line("yank issued", &figures->issue_ns);
		print_line("everything pending ended", &figures->done_ns);
		print_line("bare sockets: shutdown", &figures->bare_issue_ns);
		print_line("bare sockets: and closed", &figures->bare_done_ns);
		return;
	}
	object = json_object_new_object();
	tandem_bench_json_text(object, "provider", options->link.provider);
	tandem_bench_json_count(object, "rounds", options->rounds);
	tandem_bench_json_count(object, "channels", options->link.channel_count);
	tandem_bench_json_count(object, "write_bytes", options->write_bytes);
	tandem_bench_json_count(object, "requests", tandem_histogram_at(&figures->pending, 500));
	tandem_bench_json_latency(object, "issue_us", &figures->issue_ns);
	tandem_bench_json_latency(object, "done_us", &figures->done_ns);
	tandem_bench_json_latency(object, "bare_sockets_issue_us", &figures->bare_issue_ns);
	tandem_bench_json_latency(object, "bare_sockets_done_us", &figures->bare_done_ns);
	tandem_bench_json_print(object);
}

static bool parse_option(int option, const char *value, struct options *options)
{
	switch (option) {
	case 'w':
		return tandem_bench_parse_bytes(value, 1, TANDEM_WRITE_BYTES_MAX,
		                                &options->write_bytes);
	case 'r':
		return tandem_bench_parse_unsigned(value, 1, 1000000, &options->rounds);
	case 'j':
		options->is_json = true;
		return true;
	default:
		return tandem_bench_link_option(option, value, &options->link);
	}
}

int tandem_bench_yank_main(int argument_count, char **arguments)
{
	static const struct option long_options[] = {{"provider", required_argument, NULL, 'v'},
	                                             {"address", required_argument, NULL, 'a'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"depth", required_argument, NULL, 'd'},
	                                             {"write-bytes", required_argument, NULL, 'w'},
	                                             {"rounds", required_argument, NULL, 'r'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	static struct figures figures;
	struct options options = {
	        .link = TANDEM_BENCH_LINK_OPTIONS_DEFAULT, .write_bytes = 65536, .rounds = 100};
	struct tandem_error error = {.code = 0};
	int option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h' || !parse_option(option, optarg, &options)) {
			fputs(help, option == 'h' ? stdout : stderr);
			return option == 'h' ? EXIT_SUCCESS : 2;
		}
	}
	if (optind != argument_count) {
		fputs(help, stderr);
		return 2;
	}
	if (run_rounds(&options, &figures, &error) < 0) {
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
		return EXIT_FAILURE;
	}
	report(&options, &figures);
	return EXIT_SUCCESS;
}
