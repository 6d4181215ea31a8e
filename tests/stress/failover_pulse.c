#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <tandem/random.h>
#include <unistd.h>

#include "shell/pulse.h"

/* Two heartbeat threads that talk to each other, and one loop that uses all of both without pause,
 * for thread sanitizer; begun and ended again and again.
 * Usage: stress_pulse [ROUNDS] */
#define PAIRS    3
#define ROUND_NS (500 * TANDEM_NS_PER_MS)

struct side {
	struct tandem_controller_pair pairs[PAIRS];
	struct tandem_controller_options options;
	struct tandem_pulse *pulse;
	uint64_t heard_count;
	uint64_t said;  /* number of the last statement */
	uint64_t heard; /* the highest that the other said */
};

static struct side sides[2];

static void fail(const char *why)
{
	printf("stress_pulse: %s\n", why);
	exit(1);
}

static int bind_any(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, length) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		fail("no port");
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* Each is held until all are known, so that no two are the same. */
static void find_ports(uint16_t ret_ports[2][2])
{
	int fds[4];
	for (unsigned i = 0; i < 4; i++)
		fds[i] = bind_any(&ret_ports[i / 2][i % 2]);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

static void fill_side(unsigned which, uint16_t ports[2][2])
{
	struct side *side = &sides[which];
	memset(side, 0, sizeof(*side));
	for (unsigned i = 0; i < PAIRS; i++) {
		struct tandem_controller_pair *pair = &side->pairs[i];
		*pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
		pair->heartbeat_interval_ns = (1 + i) * TANDEM_NS_PER_MS;
		pair->heartbeat_miss_count = 1000;
		snprintf(pair->name, sizeof(pair->name), "pair%u", i);
		snprintf(pair->peer_node, sizeof(pair->peer_node), "%s", which == 0 ? "b" : "a");
		pair->link_count = 2;
		for (unsigned j = 0; j < 2; j++) {
			struct tandem_controller_link *link = &pair->links[j];
			snprintf(link->local_address, sizeof(link->local_address), "127.0.0.1");
			snprintf(link->peer_address, sizeof(link->peer_address), "127.0.0.1");
			link->local_port = ports[which][j];
			link->peer_port = ports[1 - which][j];
		}
	}
	side->options =
	        (struct tandem_controller_options){.pairs = side->pairs, .pair_count = PAIRS};
	snprintf(side->options.node, sizeof(side->options.node), "%s", which == 0 ? "a" : "b");
}

static void begin(void)
{
	struct tandem_error error;
	uint16_t ports[2][2];
	find_ports(ports);
	for (unsigned i = 0; i < 2; i++) {
		fill_side(i, ports);
		if (tandem_pulse_new(&sides[i].options, tandem_random_unique(), &sides[i].pulse,
		                     &error) != 0 ||
		    tandem_pulse_start(sides[i].pulse, &error) != 0)
			fail(error.detail);
	}
}

static void take(struct side *side, size_t pair)
{
	struct tandem_pulse_news news;
	tandem_pulse_take(side->pulse, pair, &news);
	for (size_t i = 0; i < 2; i++)
		side->heard_count += news.heard_ns[i] != 0;
	if (!news.has_statement)
		return;
	/* A statement is whole: all its parts are of one publication. */
	uint64_t number = news.statement.program.incarnation;
	if (news.statement.standby.incarnation != number ||
	    news.statement.standby.dead_incarnation != number)
		fail("a torn statement");
	if (number > side->heard)
		side->heard = number;
}

static void use(struct side *side, uint64_t *random)
{
	struct tandem_histogram histogram;
	size_t pair = tandem_random_next(random) % PAIRS;
	uint64_t number = ++side->said;
	struct tandem_statement statement = {
	        .program = {TANDEM_PLANE_ALIVE, number, number},
	        .standby = {TANDEM_PLANE_ALIVE, number, number},
	};
	struct pollfd news = {.fd = tandem_pulse_fd(side->pulse), .events = POLLIN};
	tandem_pulse_publish(side->pulse, pair, &statement, tandem_random_next(random) % 8 == 0);
	if (poll(&news, 1, 0) == 1)
		tandem_pulse_rest(side->pulse);
	take(side, pair);
	if (tandem_random_next(random) % 16 != 0)
		return;
	tandem_pulse_gaps(side->pulse, pair, 1, &histogram);
	tandem_pulse_lateness(side->pulse, &histogram);
	if (tandem_pulse_refused(side->pulse, pair).count +
	            tandem_pulse_refused(side->pulse, PAIRS).count >
	    0)
		fail("a heartbeat was refused");
}

static void run_round(uint64_t *random)
{
	uint64_t end_ns = tandem_clock_now_ns() + ROUND_NS;
	begin();
	while (tandem_clock_now_ns() < end_ns || sides[0].heard == 0 || sides[1].heard == 0) {
		use(&sides[0], random);
		use(&sides[1], random);
	}
	unsigned first = (unsigned)(tandem_random_next(random) % 2);
	tandem_pulse_free(sides[first].pulse);
	tandem_pulse_free(sides[1 - first].pulse);
	printf("heard %" PRIu64 " and %" PRIu64 " heartbeats\n", sides[0].heard_count,
	       sides[1].heard_count);
}

int main(int argument_count, char **arguments)
{
	uint64_t random = 1;
	unsigned long rounds = argument_count > 1 ? strtoul(arguments[1], NULL, 10) : 3;
	for (unsigned long i = 0; i < rounds; i++)
		run_round(&random);
	return 0;
}
