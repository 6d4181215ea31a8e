#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000

static const char help[] =
        "usage: yardstick-tcp [options]\n"
        "\n"
        "Two processes, one thread each, scatter pages over TCP on loopback: the sender gathers a "
        "batch with\n"
        "sendmsg(2), the receiver scatters it with recvmsg(2). An epoch ends when the receiver has "
        "said so.\n"
        "\n"
        "  --pattern P        random (4 KiB pages), runs (64 KiB at random places) or sequential "
        "(default random)\n"
        "  --channels N       connections, 1 to 16 (default 4)\n"
        "  --bytes B          of an epoch (default 67108864)\n"
        "  --region-bytes R   of the region at each side (default 268435456)\n"
        "  --epochs E         how many (default 10)\n"
        "  --poll-ns N        ask this long before waiting (default 20000)\n"
        "  --send-buffer N    SO_SNDBUF (default 0: as the kernel tunes it)\n"
        "  --recv-buffer N    SO_RCVBUF (default 0: as the kernel tunes it)\n"
        "  --json             one line of JSON\n";

void yardstick_fail(const char *what)
{
	fprintf(stderr, "yardstick-tcp: %s: %s\n", what, strerror(errno));
	_exit(EXIT_FAILURE);
}

void *yardstick_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		yardstick_fail("mmap");
	return memory;
}

void yardstick_watch(struct yardstick_side *side, uint32_t events)
{
	side->epoll = epoll_create1(0);
	for (unsigned i = 0; i <= side->options->channel_count; i++) {
		bool is_control = i == side->options->channel_count;
		struct epoll_event event = {.events = (is_control ? EPOLLIN : events) | EPOLLET,
		                            .data.u32 = i};
		int fd = is_control ? side->control : side->channels[i];
		if (epoll_ctl(side->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
			yardstick_fail("epoll_ctl");
	}
}

uint32_t yardstick_wait(struct yardstick_side *side)
{
	struct epoll_event ready[YARDSTICK_CHANNELS_MAX + 1];
	const uint64_t begin_ns = yardstick_now_ns();
	int count;
	do
		count = epoll_wait(side->epoll, ready, YARDSTICK_CHANNELS_MAX + 1, 0);
	while (count == 0 && yardstick_now_ns() - begin_ns < side->options->poll_ns);
	if (count == 0)
		count = epoll_wait(side->epoll, ready, YARDSTICK_CHANNELS_MAX + 1, WAIT_MS);
	if (count <= 0)
		yardstick_fail("nothing moves");
	uint32_t mask = 0;
	for (int i = 0; i < count; i++)
		mask |= 1u << ready[i].data.u32;
	return mask;
}

static void tune(int fd, const struct yardstick_options *options)
{
	const int on = 1;
	int failed = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (options->send_buffer_bytes > 0)
		failed |= setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options->send_buffer_bytes,
		                     sizeof(int));
	if (options->recv_buffer_bytes > 0)
		failed |= setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->recv_buffer_bytes,
		                     sizeof(int));
	if (failed)
		yardstick_fail("setsockopt");
}

static void connect_pair(int listener, const struct yardstick_options *options, int *ret_sender,
                         int *ret_receiver)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	*ret_sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_sender < 0)
		yardstick_fail("socket");
	tune(*ret_sender, options);
	if (getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
	    connect(*ret_sender, (struct sockaddr *)&address, sizeof(address)) != 0)
		yardstick_fail("connect");
	*ret_receiver = accept(listener, NULL, NULL);
	if (*ret_receiver < 0)
		yardstick_fail("accept");
	tune(*ret_receiver, options);
}

static void connect_sides(struct yardstick_side *sender, struct yardstick_side *receiver)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
	                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		yardstick_fail("socket");
	tune(listener, sender->options);
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 1) != 0)
		yardstick_fail("listen");
	connect_pair(listener, sender->options, &sender->control, &receiver->control);
	for (unsigned i = 0; i < sender->options->channel_count; i++)
		connect_pair(listener, sender->options, &sender->channels[i],
		             &receiver->channels[i]);
	close(listener);
}

static void close_side(struct yardstick_side *side)
{
	close(side->control);
	for (unsigned i = 0; i < side->options->channel_count; i++)
		close(side->channels[i]);
}

/* Each page says which one it is. */
static void stamp(const struct yardstick_side *side)
{
	uint64_t *words = (uint64_t *)(void *)side->region;
	for (size_t i = 0; i < side->options->region_bytes / sizeof(*words); i++)
		words[i] = i / (YARDSTICK_PAGE_BYTES / sizeof(*words)) + 1;
}

static struct yardstick_result run(const struct yardstick_options *options)
{
	struct yardstick_side sender = {.options = options}, receiver = {.options = options};
	struct yardstick_result result = {
	        .epoch_ns = yardstick_map(options->epoch_count * sizeof(uint64_t))};
	char is_ready;
	int status = 0;
	connect_sides(&sender, &receiver);
	yardstick_plan_make(&sender.plan, options);
	pid_t child = fork();
	if (child < 0)
		yardstick_fail("fork");
	if (child == 0) {
		close_side(&sender);
		yardstick_plan_make(&receiver.plan, options);
		receiver.region = yardstick_map(options->region_bytes);
		yardstick_receive(&receiver);
		_exit(EXIT_SUCCESS);
	}
	close_side(&receiver);
	sender.region = yardstick_map(options->region_bytes);
	stamp(&sender);
	if (recv(sender.control, &is_ready, 1, MSG_WAITALL) != 1)
		yardstick_fail("the receiver does not come up");
	yardstick_send(&sender, &result);
	if (recv(sender.control, &result.receiver_cpu_seconds, sizeof(double), MSG_WAITALL) !=
	            sizeof(double) ||
	    waitpid(child, &status, 0) != child || status != 0)
		yardstick_fail("the receiver failed");
	return result;
}

static int compare_ns(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static const char *const pattern_names[] = {
        [YARDSTICK_RANDOM] = "random",
        [YARDSTICK_RUNS] = "runs",
        [YARDSTICK_SEQUENTIAL] = "sequential",
};

static void report(const struct yardstick_options *options, const struct yardstick_result *result)
{
	const size_t piece_bytes =
	        YARDSTICK_PAGE_BYTES *
	        (options->pattern == YARDSTICK_RANDOM ? 1 : YARDSTICK_STRIPE_PAGES);
	const double bytes =
	        (double)(options->bytes / piece_bytes * piece_bytes) * options->epoch_count;
	qsort(result->epoch_ns, options->epoch_count, sizeof(uint64_t), compare_ns);
	const double p50_us = (double)result->epoch_ns[options->epoch_count / 2] / 1e3;
	const double p99_us = (double)result->epoch_ns[options->epoch_count * 99ull / 100] / 1e3;
	if (!options->is_json) {
		printf("%s, %u channels: %.0f bytes in %.3f s, %.0f MB/s; epoch p50 %.1f us, p99 "
		       "%.1f us; CPU %.3f s sending, %.3f s receiving\n",
		       pattern_names[options->pattern], options->channel_count, bytes,
		       result->seconds, bytes / result->seconds / 1e6, p50_us, p99_us,
		       result->sender_cpu_seconds, result->receiver_cpu_seconds);
		return;
	}
	printf("{\"pattern\": \"%s\", \"channels\": %u, \"epochs\": %u, \"bytes\": %.0f, "
	       "\"seconds\": %.6f, \"bytes_per_second\": %.0f, \"epoch_p50_us\": %.3f, "
	       "\"epoch_p99_us\": %.3f, \"sender_cpu_seconds\": %.6f, "
	       "\"receiver_cpu_seconds\": %.6f}\n",
	       pattern_names[options->pattern], options->channel_count, options->epoch_count, bytes,
	       result->seconds, bytes / result->seconds, p50_us, p99_us, result->sender_cpu_seconds,
	       result->receiver_cpu_seconds);
}

static bool parse_pattern(const char *text, enum yardstick_pattern *ret_pattern)
{
	for (unsigned i = 0; i < sizeof(pattern_names) / sizeof(pattern_names[0]); i++) {
		if (strcmp(text, pattern_names[i]) == 0) {
			*ret_pattern = (enum yardstick_pattern)i;
			return true;
		}
	}
	return false;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	char *end;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *ret_number >= least &&
	       *ret_number <= most;
}

static bool parse_option(int option, const char *value, struct yardstick_options *options)
{
	uint64_t number = 0;
	bool is_sound = true;
	switch (option) {
	case 'p':
		return parse_pattern(value, &options->pattern);
	case 'j':
		options->is_json = true;
		return true;
	case 'c':
		is_sound = parse_number(value, 1, YARDSTICK_CHANNELS_MAX, &number);
		options->channel_count = (unsigned)number;
		return is_sound;
	case 'e':
		is_sound = parse_number(value, 1, 10000000, &number);
		options->epoch_count = (unsigned)number;
		return is_sound;
	case 'b':
		is_sound = parse_number(value, YARDSTICK_PAGE_BYTES, SIZE_MAX / 2, &options->bytes);
		return is_sound;
	case 'r':
		return parse_number(value, YARDSTICK_PAGE_BYTES, (uint64_t)1 << 40,
		                    &options->region_bytes);
	case 'n':
		return parse_number(value, 0, 1000000000, &options->poll_ns);
	case 's':
		is_sound = parse_number(value, 0, 1 << 30, &number);
		options->send_buffer_bytes = (int)number;
		return is_sound;
	case 'v':
		is_sound = parse_number(value, 0, 1 << 30, &number);
		options->recv_buffer_bytes = (int)number;
		return is_sound;
	default:
		return false;
	}
}

int main(int argument_count, char **arguments)
{
	static const struct option long_options[] = {{"pattern", required_argument, NULL, 'p'},
	                                             {"channels", required_argument, NULL, 'c'},
	                                             {"bytes", required_argument, NULL, 'b'},
	                                             {"region-bytes", required_argument, NULL, 'r'},
	                                             {"epochs", required_argument, NULL, 'e'},
	                                             {"poll-ns", required_argument, NULL, 'n'},
	                                             {"send-buffer", required_argument, NULL, 's'},
	                                             {"recv-buffer", required_argument, NULL, 'v'},
	                                             {"json", no_argument, NULL, 'j'},
	                                             {"help", no_argument, NULL, 'h'},
	                                             {NULL, 0, NULL, 0}};
	struct yardstick_options options = {.channel_count = 4,
	                                    .bytes = (size_t)64 << 20,
	                                    .region_bytes = (size_t)256 << 20,
	                                    .epoch_count = 10,
	                                    .poll_ns = 20000};
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
	const size_t row_bytes =
	        YARDSTICK_STRIPE_PAGES * YARDSTICK_PAGE_BYTES * options.channel_count;
	if (optind != argument_count || options.region_bytes < row_bytes) {
		fprintf(stderr, "yardstick-tcp: the region has at least 64 KiB for each channel\n");
		return 2;
	}
	if (options.pattern != YARDSTICK_RANDOM &&
	    options.bytes < row_bytes / options.channel_count) {
		fprintf(stderr, "yardstick-tcp: an epoch of runs has at least 65536 bytes\n");
		return 2;
	}
	const struct yardstick_result result = run(&options);
	report(&options, &result);
	return EXIT_SUCCESS;
}
