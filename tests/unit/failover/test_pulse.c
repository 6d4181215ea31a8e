#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "shell/pulse.h"

/* The thread against a peer that the test plays on a socket of its own. */
static struct tandem_controller_pair pair;
static struct tandem_controller_options options;
static struct tandem_pulse *pulse;
static int peer_fd;
static struct sockaddr_in own, peer;
static uint64_t sequence;
static uint64_t echo_sequence; /* each answers a later heartbeat */

static int bind_to(struct sockaddr_in *ret_address)
{
	socklen_t length = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*ret_address = (struct sockaddr_in){.sin_family = AF_INET,
	                                    .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	cr_assert(bind(fd, (struct sockaddr *)ret_address, length) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)ret_address, &length) == 0);
	return fd;
}

static void begin(void)
{
	struct tandem_error error = {0};
	peer_fd = bind_to(&peer);
	close(bind_to(&own));
	pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	pair.heartbeat_interval_ns = 5 * TANDEM_NS_PER_MS;
	pair.heartbeat_miss_count = 8;
	snprintf(pair.name, sizeof(pair.name), "kv");
	snprintf(pair.peer_node, sizeof(pair.peer_node), "b");
	snprintf(pair.links[0].local_address, sizeof(pair.links[0].local_address), "127.0.0.1");
	snprintf(pair.links[0].peer_address, sizeof(pair.links[0].peer_address), "127.0.0.1");
	pair.links[0].local_port = ntohs(own.sin_port);
	pair.links[0].peer_port = ntohs(peer.sin_port);
	pair.link_count = 1;
	memset(pair.key, 7, sizeof(pair.key));
	options = (struct tandem_controller_options){.node = "a", .pairs = &pair, .pair_count = 1};
	cr_assert(tandem_pulse_new(&options, 11, &pulse, &error) == 0, "%s", error.detail);
	cr_assert(tandem_pulse_start(pulse, &error) == 0, "%s", error.detail);
}

static void end(void)
{
	tandem_pulse_free(pulse);
	close(peer_fd);
}

TestSuite(pulse, .init = begin, .fini = end);

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	return poll(&wanted, 1, timeout_ms) == 1;
}

static struct tandem_heartbeat receive(void)
{
	struct tandem_heartbeat heartbeat;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES + 1];
	cr_assert(is_readable(peer_fd, 10000), "no heartbeat in ten seconds");
	ssize_t length = recv(peer_fd, bytes, sizeof(bytes), 0);
	cr_assert(length == TANDEM_HEARTBEAT_BYTES);
	cr_assert(tandem_heartbeat_decode(bytes, (size_t)length, pair.key, &heartbeat) == 0);
	return heartbeat;
}

static void send_heartbeat(uint64_t instance, const struct tandem_statement *statement)
{
	struct tandem_heartbeat heartbeat = {.pair = "kv",
	                                     .node = "b",
	                                     .instance = instance,
	                                     .echo_instance = 11,
	                                     .sequence = ++sequence,
	                                     .statement = *statement};
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	heartbeat.echo_sequence = ++echo_sequence;
	tandem_heartbeat_encode(&heartbeat, pair.key, bytes);
	cr_assert(sendto(peer_fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&own, sizeof(own)) ==
	          (ssize_t)sizeof(bytes));
}

/* Until the thread has something to give. */
static void wait_for_news(void)
{
	cr_assert(is_readable(tandem_pulse_fd(pulse), 10000), "no news in ten seconds");
	tandem_pulse_rest(pulse);
}

Test(pulse, sends_what_was_published_and_nothing_before)
{
	struct tandem_statement statement = {.state = 4, .is_settled = true};
	cr_expect(!is_readable(peer_fd, 200), "nothing was said yet");
	tandem_pulse_publish(pulse, 0, &statement, false);
	struct tandem_heartbeat heartbeat = receive();
	cr_expect_str_eq(heartbeat.node, "a");
	cr_expect(heartbeat.instance == 11);
	cr_expect(heartbeat.statement.state == 4);
	cr_expect(heartbeat.statement.is_settled);
}

/* The loop published once and hangs: half a window later nobody says that this controller lives. */
Test(pulse, a_loop_that_hangs_is_not_covered_for)
{
	struct tandem_statement statement = {.state = 4};
	unsigned count = 0;
	uint64_t start_ns = tandem_clock_now_ns();
	tandem_pulse_publish(pulse, 0, &statement, false);
	uint64_t last_ns = start_ns;
	while (is_readable(peer_fd, 500)) {
		receive();
		last_ns = tandem_clock_now_ns();
		cr_assert(++count < 50, "it never stops");
	}
	cr_expect(count == pair.heartbeat_miss_count / 2, "%u heartbeats", count);
	cr_log_info("%u heartbeats, the last after %llu ms", count,
	            (unsigned long long)((last_ns - start_ns) / TANDEM_NS_PER_MS));
	/* It comes back to life: what it owes leaves at once, and it is not cut short again. */
	tandem_pulse_publish(pulse, 0, &statement, false);
	receive();
}

Test(pulse, what_is_urgent_leaves_at_once)
{
	struct tandem_statement statement = {.state = 4};
	tandem_pulse_free(pulse);
	pair.heartbeat_interval_ns = 10 * TANDEM_NS_PER_S;
	struct tandem_error error;
	cr_assert(tandem_pulse_new(&options, 11, &pulse, &error) == 0, "%s", error.detail);
	cr_assert(tandem_pulse_start(pulse, &error) == 0, "%s", error.detail);
	for (uint64_t i = 1; i <= 20; i++) {
		tandem_pulse_publish(pulse, 0, &statement, true);
		cr_assert(is_readable(peer_fd, 5000), "not before it is due, in ten seconds");
		cr_expect(receive().sequence == i);
	}
}

Test(pulse, stamps_when_it_came_and_keeps_the_newest)
{
	struct tandem_statement statement = {.state = 3};
	struct tandem_pulse_news news;
	uint64_t before_ns = tandem_clock_now_ns();
	send_heartbeat(21, &statement);
	wait_for_news();
	uint64_t heard_by_ns = tandem_clock_now_ns();
	statement.state = 5;
	send_heartbeat(21, &statement);
	wait_for_news();
	tandem_pulse_take(pulse, 0, &news);
	cr_expect(news.has_statement);
	cr_expect(news.statement.state == 5);
	cr_expect(news.heard_ns[0] > before_ns && news.heard_ns[0] <= tandem_clock_now_ns());
	cr_expect(news.heard_ns[0] + TANDEM_NS_PER_S > heard_by_ns);
	cr_expect(news.heard_ns[1] == 0);
	tandem_pulse_take(pulse, 0, &news);
	cr_expect(!news.has_statement && news.heard_ns[0] == 0, "it is taken once");
}

Test(pulse, an_old_heartbeat_is_no_life_and_no_gap)
{
	struct tandem_statement statement = {.state = 3};
	struct tandem_histogram gaps_ns;
	send_heartbeat(21, &statement);
	wait_for_news();
	sequence--;
	send_heartbeat(21, &statement); /* again */
	send_heartbeat(21, &statement);
	wait_for_news();
	tandem_pulse_gaps(pulse, 0, 0, &gaps_ns);
	cr_expect(gaps_ns.count == 1);
	sequence = 0;
	send_heartbeat(22, &statement); /* another life */
	wait_for_news();
	tandem_pulse_gaps(pulse, 0, 0, &gaps_ns);
	cr_expect(gaps_ns.count == 1, "no gap lies between two lives");
}

static bool has_refused(size_t which, uint64_t count, enum tandem_pulse_refusal why)
{
	struct tandem_statement statement = {.state = 3};
	/* Datagrams of one socket are taken in their order. */
	send_heartbeat(21, &statement);
	wait_for_news();
	struct tandem_pulse_refused refused = tandem_pulse_refused(pulse, which);
	return refused.count == count && refused.last == why;
}

static void send_bytes(int fd, const uint8_t *bytes, size_t length)
{
	cr_assert(sendto(fd, bytes, length, 0, (struct sockaddr *)&own, sizeof(own)) ==
	          (ssize_t)length);
}

Test(pulse, strangers_are_refused_and_wake_nobody)
{
	struct tandem_heartbeat heartbeat = {
	        .pair = "kv", .node = "c", .instance = 1, .sequence = 1};
	struct sockaddr_in elsewhere;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	int other_fd = bind_to(&elsewhere);
	tandem_heartbeat_encode(&heartbeat, pair.key, bytes);
	send_bytes(peer_fd, bytes, 7);
	cr_expect(has_refused(1, 1, TANDEM_PULSE_REFUSAL_NO_PAIR));
	send_bytes(peer_fd, bytes, sizeof(bytes));
	cr_expect(has_refused(0, 1, TANDEM_PULSE_REFUSAL_NODE));
	send_bytes(other_fd, bytes, sizeof(bytes));
	cr_expect(has_refused(0, 2, TANDEM_PULSE_REFUSAL_ADDRESS));
	bytes[100] ^= 1;
	send_bytes(peer_fd, bytes, sizeof(bytes));
	cr_expect(has_refused(0, 3, TANDEM_PULSE_REFUSAL_DAMAGED));
	bytes[4]++;
	send_bytes(peer_fd, bytes, sizeof(bytes));
	cr_expect(has_refused(0, 4, TANDEM_PULSE_REFUSAL_VERSION));
	send_bytes(peer_fd, bytes, sizeof(bytes));
	cr_expect(!is_readable(tandem_pulse_fd(pulse), 100), "a flood would keep the loop busy");
	close(other_fd);
}

Test(pulse, tells_for_how_long_nobody_listened)
{
	struct tandem_pulse_news news;
	struct tandem_histogram late_ns;
	struct tandem_statement statement = {.state = 3};
	tandem_pulse_take(pulse, 0, &news);
	tandem_pulse_publish(pulse, 0, &statement, false);
	receive();
	tandem_pulse_take(pulse, 0, &news);
	cr_expect(news.deaf_ns > 0);
	cr_expect(news.deaf_ns < 10 * TANDEM_NS_PER_S);
	tandem_pulse_lateness(pulse, &late_ns);
	cr_expect(late_ns.count > 0);
}

Test(pulse, says_why_it_is_not_real_time)
{
	if (tandem_pulse_is_real_time(pulse))
		cr_expect(tandem_pulse_real_time_errno(pulse) == 0);
	else
		cr_expect(tandem_pulse_real_time_errno(pulse) == EPERM);
}

Test(pulse, names_the_link_that_it_cannot_open)
{
	struct tandem_pulse *second = NULL;
	struct tandem_error error = {0};
	cr_expect(tandem_pulse_new(&options, 12, &second, &error) == TANDEM_E_SYSTEM);
	cr_expect(strstr(error.detail, "127.0.0.1") != NULL, "%s", error.detail);
	cr_expect(second == NULL);
}
