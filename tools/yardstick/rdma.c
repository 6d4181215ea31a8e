#include "rdma.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_S 900 /* nothing here has a deadline of its own */

static const char help[] =
        "usage: yardstick-rdma [options]\n"
        "\n"
        "Two processes, one thread each: bare verbs that write the list of pages of `tandem-bench "
        "transport`\n"
        "over RC queue pairs. An epoch ends when the receiver has said so.\n"
        "\n"
        "  --address A        local IPv4 address of an RDMA device (default 127.0.0.1)\n"
        "  --pattern P        random (4 KiB pages), runs (64 KiB) or sequential (256 KiB)\n"
        "  --channels N       queue pairs, 1 to 16 (default 4)\n"
        "  --depth N          requests in flight per queue pair (default 256)\n"
        "  --batch N          requests per call, at most 32 (default 32)\n"
        "  --signal N         one request in N is signalled; divides the depth (default 32)\n"
        "  --post NAME        wr (ibv_wr_*) or list (ibv_post_send) (default wr)\n"
        "  --bytes N          of an epoch (default 67108864)\n"
        "  --region-bytes N   of the region at each side (default: as --bytes)\n"
        "  --epochs N         (default 8)\n"
        "  --commits N        round trips of one page (default 1000)\n"
        "  --poll-us N        poll this long before sleeping (default 20)\n"
        "  --yanks N          instead of all this, N times: stop the receiver, fill the queue "
        "pairs, set them\n"
        "                     to ERR and take back what was posted\n"
        "  --json             one line of JSON\n";

void yardstick_fail(const char *what, int number)
{
	fprintf(stderr, "yardstick-rdma: %s: %s\n", what, strerror(number));
	_exit(EXIT_FAILURE);
}

void *yardstick_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		yardstick_fail("mmap", errno);
	return memory;
}

/* ---- the report ---- */

static int compare_ns(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static double us_at(const struct yardstick_latency *latency, unsigned per_mille)
{
	uint64_t place = (uint64_t)latency->count * per_mille / 1000;

	if (latency->count == 0)
		return 0;
	if (place >= latency->count)
		place = latency->count - 1;
	return (double)latency->ns[place] / 1e3;
}

static void print_latency(const char *name, struct yardstick_latency *latency)
{
	qsort(latency->ns, latency->count, sizeof *latency->ns, compare_ns);
	printf(", \"%s\": {\"count\": %u, \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": "
	       "%.3f}",
	       name, latency->count, us_at(latency, 500), us_at(latency, 990), us_at(latency, 999),
	       us_at(latency, 1000));
}

static void print_json(const struct yardstick_options *options, struct yardstick_result *result)
{
	static const char *const patterns[] = {"random", "runs", "sequential"};
	const double bytes = (double)options->bytes * options->epochs;
	const double gib = bytes / (1 << 30);

	printf("{\"pattern\": \"%s\", \"channels\": %u, \"bytes\": %zu, \"region_bytes\": %zu",
	       patterns[options->pattern], options->channel_count, options->bytes,
	       options->region_bytes);
	if (options->yanks > 0) {
		printf(", \"requests\": %u", options->channel_count * options->depth);
		print_latency("issue_us", &result->yank_issue);
		print_latency("done_us", &result->yank_done);
	} else {
		printf(", \"epochs\": %u, \"seconds\": %.6f, \"bytes_per_second\": %.0f, "
		       "\"pages_s\": %.0f, \"sender_cpu_s_per_gib\": %.6f, "
		       "\"receiver_cpu_s_per_gib\": %.6f",
		       options->epochs, result->seconds, bytes / result->seconds,
		       bytes / YARDSTICK_PAGE_BYTES / result->seconds,
		       result->sender_cpu_seconds / gib, result->receiver_cpu_seconds / gib);
		print_latency("epoch_us", &result->epoch);
		print_latency("commit_us", &result->commit);
		print_latency("pingpong_us", &result->pingpong);
	}
	puts("}");
}

static void print_line(const char *name, struct yardstick_latency *latency)
{
	qsort(latency->ns, latency->count, sizeof *latency->ns, compare_ns);
	if (latency->count > 0)
		printf("%s p50 %.1f us, p99 %.1f us, max %.1f us (%u)\n", name, us_at(latency, 500),
		       us_at(latency, 990), us_at(latency, 1000), latency->count);
}

static void print_text(const struct yardstick_options *options, struct yardstick_result *result)
{
	if (options->yanks == 0)
		printf("%u queue pairs: %.1f MB/s; CPU %.3f s sending, %.3f s receiving\n",
		       options->channel_count,
		       (double)options->bytes * options->epochs / result->seconds / 1e6,
		       result->sender_cpu_seconds, result->receiver_cpu_seconds);
	print_line("epoch", &result->epoch);
	print_line("commit", &result->commit);
	print_line("ping-pong", &result->pingpong);
	print_line("ERR issued", &result->yank_issue);
	print_line("ERR and drained", &result->yank_done);
}

/* ---- two processes ---- */

static struct yardstick_latency latency_of(unsigned count)
{
	return (struct yardstick_latency){.ns = yardstick_map((count + 1) * sizeof(uint64_t))};
}

static void be_receiver(const struct yardstick_options *options, int port_fd)
{
	struct yardstick_side side = {.options = options};
	uint16_t port;

	alarm(LIFE_S);
	/* A stopped one does not hear its alarm. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	yardstick_plan_make(&side.plan, options);
	side.region = yardstick_map(options->region_bytes + YARDSTICK_PAGE_BYTES);
	port = yardstick_listen(&side);
	if (write(port_fd, &port, sizeof port) != (ssize_t)sizeof port)
		yardstick_fail("write", errno);
	if (options->yanks > 0) {
		yardstick_be_yanked(&side);
	} else {
		yardstick_accept(&side);
		yardstick_receive(&side, port_fd);
		yardstick_await_disconnect(&side.channels[0]);
	}
	_exit(EXIT_SUCCESS);
}

static void be_sender(const struct yardstick_options *options, int port_fd, pid_t child,
                      struct yardstick_result *result)
{
	struct yardstick_side side = {.options = options};
	uint16_t port;

	yardstick_plan_make(&side.plan, options);
	side.region = yardstick_map(options->region_bytes + YARDSTICK_PAGE_BYTES);
	if (read(port_fd, &port, sizeof port) != (ssize_t)sizeof port)
		yardstick_fail("the receiver", EPIPE);
	if (options->yanks > 0) {
		yardstick_yank(&side, port, child, result);
		return;
	}
	yardstick_connect(&side, port);
	yardstick_send(&side, result);
	if (read(port_fd, &result->receiver_cpu_seconds, sizeof(double)) != sizeof(double))
		yardstick_fail("the receiver", EPIPE);
	rdma_disconnect(side.channels[0].id);
}

static void run(const struct yardstick_options *options, struct yardstick_result *result)
{
	int status = 0;
	int fds[2];
	pid_t child;

	alarm(LIFE_S);
	result->epoch = latency_of(options->epochs);
	result->pingpong = latency_of(options->commits);
	result->commit = latency_of(options->commits);
	result->yank_issue = latency_of(options->yanks);
	result->yank_done = latency_of(options->yanks);
	if (pipe(fds) != 0)
		yardstick_fail("pipe", errno);
	child = fork();
	if (child < 0)
		yardstick_fail("fork", errno);
	if (child == 0) {
		close(fds[0]);
		be_receiver(options, fds[1]);
	}
	close(fds[1]);
	be_sender(options, fds[0], child, result);
	if (waitpid(child, &status, 0) != child || status != 0)
		yardstick_fail("the receiver", ECHILD);
}

/* ---- options ---- */

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *ret_number >= least &&
	       *ret_number <= most;
}

static bool parse_unsigned(const char *text, uint64_t least, uint64_t most, unsigned *ret_number)
{
	uint64_t number;
	const bool is_sound = parse_number(text, least, most, &number);

	*ret_number = (unsigned)number;
	return is_sound;
}

static bool parse_word(const char *text, const char *const *words, unsigned count,
                       unsigned *ret_index)
{
	for (*ret_index = 0; *ret_index < count; ++*ret_index) {
		if (strcmp(text, words[*ret_index]) == 0)
			return true;
	}
	return false;
}

static bool parse_option(int option, const char *value, struct yardstick_options *options)
{
	static const char *const patterns[] = {"random", "runs", "sequential"};
	static const char *const posts[] = {"wr", "list"};
	bool is_sound;
	unsigned index;

	switch (option) {
	case 'a':
		options->address = value;
		return true;
	case 'p':
		is_sound = parse_word(value, patterns, 3, &index);
		options->pattern = index;
		return is_sound;
	case 'o':
		is_sound = parse_word(value, posts, 2, &index);
		options->has_lists = index == 1;
		return is_sound;
	case 'c':
		return parse_unsigned(value, 1, YARDSTICK_CHANNELS_MAX, &options->channel_count);
	case 'd':
		return parse_unsigned(value, 16, 4096, &options->depth);
	case 't':
		return parse_unsigned(value, 1, YARDSTICK_BATCH_MAX, &options->batch);
	case 's':
		return parse_unsigned(value, 1, 4096, &options->signal);
	case 'b':
		return parse_number(value, 4096, UINT64_C(1) << 40, &options->bytes);
	case 'r':
		return parse_number(value, 4096, UINT64_C(1) << 40, &options->region_bytes);
	case 'e':
		return parse_unsigned(value, 1, 1000000, &options->epochs);
	case 'm':
		return parse_unsigned(value, 0, 10000000, &options->commits);
	case 'y':
		return parse_unsigned(value, 1, 100000, &options->yanks);
	case 'u':
		is_sound = parse_number(value, 0, 1000000, &options->poll_ns);
		options->poll_ns *= 1000;
		return is_sound;
	case 'j':
		options->is_json = true;
		return true;
	default:
		return false;
	}
}

static bool is_whole(const struct yardstick_options *options)
{
	const size_t unit = options->pattern == YARDSTICK_RANDOM ? 4096
	                    : options->pattern == YARDSTICK_RUNS ? 65536
	                                                         : 262144;

	return options->bytes % unit == 0 && options->region_bytes % unit == 0 &&
	       options->bytes <= options->region_bytes && options->bytes >= unit &&
	       options->depth % options->signal == 0 && options->depth >= 2 * options->signal;
}

int main(int argument_count, char **arguments)
{
	static const struct option long_options[] = {{"address", required_argument, NULL, 'a'},
	                                             {"pattern", required_argument, NULL, 'p'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"depth", required_argument, NULL, 'd'},
	                                             {"batch", required_argument, NULL, 't'},
	                                             {"signal", required_argument, NULL, 's'},
	                                             {"post", required_argument, NULL, 'o'},
	                                             {"bytes", required_argument, NULL, 'b'},
	                                             {"region-bytes", required_argument, NULL, 'r'},
	                                             {"epochs", required_argument, NULL, 'e'},
	                                             {"commits", required_argument, NULL, 'm'},
	                                             {"yanks", required_argument, NULL, 'y'},
	                                             {"poll-us", required_argument, NULL, 'u'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct yardstick_options options = {.address = "127.0.0.1",
	                                    .channel_count = 4,
	                                    .depth = 256,
	                                    .batch = 32,
	                                    .signal = 32,
	                                    .bytes = (size_t)64 << 20,
	                                    .epochs = 8,
	                                    .commits = 1000,
	                                    .poll_ns = 20000};
	struct yardstick_result result = {.seconds = 0};
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
	if (options.region_bytes == 0)
		options.region_bytes = options.bytes;
	if (optind != argument_count || !is_whole(&options)) {
		fputs("yardstick-rdma: bytes and region must be whole writes, the depth twice the "
		      "signalling or a larger multiple\n",
		      stderr);
		return 2;
	}
	run(&options, &result);
	if (options.is_json)
		print_json(&options, &result);
	else
		print_text(&options, &result);
	return EXIT_SUCCESS;
}
