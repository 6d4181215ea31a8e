#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/transport.h>

/* Data channels that are lost and come back, and rails that lead nowhere. */

#define CHANNELS  4
#define WAIT_NS   (UINT64_C(20) * TANDEM_NS_PER_S)
#define LONG_NS   (UINT64_C(10) * TANDEM_NS_PER_S)
#define DEAD_RAIL "127.0.0.2"

struct side {
	struct tandem_session *session;
	bool is_up;
	bool is_lost;
	uint32_t mask; /* of UP */
	unsigned up_counts[TANDEM_CHANNELS_MAX];
	unsigned lost_counts[TANDEM_CHANNELS_MAX];
	struct tandem_error error;
};

static struct tandem_transport *transport;
static struct tandem_transport_options options;
static struct tandem_listener *listener;
static struct side listening, connecting;

static void setup(void)
{
	options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	options.channel_count = CHANNELS;
	options.connect_timeout_ns = LONG_NS;
	options.peer_timeout_ns = LONG_NS;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "127.0.0.1");
	cr_assert_eq(tandem_transport_open("tcp", "", &transport, NULL), 0);
	cr_assert_eq(tandem_transport_listen(transport, &options, &listener, NULL), 0);
	options.port = tandem_listener_port(listener);
}

static void end_sessions(void)
{
	tandem_session_free(connecting.session);
	tandem_session_free(listening.session);
	memset(&connecting, 0, sizeof(connecting));
	memset(&listening, 0, sizeof(listening));
}

static void teardown(void)
{
	end_sessions();
	listener = tandem_listener_free(listener);
	transport = tandem_transport_free(transport);
}

TestSuite(tcp_repair, .init = setup, .fini = teardown, .timeout = 240);

static void serve(struct side *side)
{
	static struct tandem_session_event event;
	if (!side->session)
		return;
	tandem_session_progress(side->session);
	while (tandem_session_next_event(side->session, &event)) {
		if (event.type == TANDEM_SESSION_UP) {
			side->is_up = true;
			side->mask = event.channel_mask;
		}
		if (event.type == TANDEM_SESSION_CHANNEL_UP)
			side->up_counts[event.channel]++;
		if (event.type == TANDEM_SESSION_CHANNEL_LOST)
			side->lost_counts[event.channel]++;
		side->is_lost = side->is_lost || event.type == TANDEM_SESSION_LOST;
		if (event.type == TANDEM_SESSION_CHANNEL_LOST || event.type == TANDEM_SESSION_LOST)
			side->error = event.error;
	}
}

static void turn(void)
{
	struct tandem_session *session = NULL;
	struct pollfd fds[3] = {
	        {.fd = tandem_listener_fd(listener), .events = POLLIN},
	        {.fd = tandem_session_fd(connecting.session), .events = POLLIN},
	        {.fd = listening.session ? tandem_session_fd(listening.session) : -1,
	         .events = POLLIN}};
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns = tandem_session_deadline_ns(connecting.session);
	if (deadline_ns > now_ns + TANDEM_NS_PER_S)
		deadline_ns = now_ns + TANDEM_NS_PER_S;
	poll(fds, 3,
	     deadline_ns > now_ns ? (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1 : 0);
	if (tandem_listener_accept(listener, &session, NULL) == 0)
		listening.session = session;
	serve(&connecting);
	serve(&listening);
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;                                 \
		while (!(condition)) {                                                             \
			cr_assert_lt(tandem_clock_now_ns(), end_ns, "never: %s", #condition);      \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static void connect_session(void)
{
	struct tandem_error error;
	cr_assert_eq(tandem_transport_connect(transport, &options, &connecting.session, &error), 0,
	             "%s", error.detail);
}

static void join(void)
{
	connect_session();
	TURN_UNTIL(connecting.is_up && listening.session && listening.up_counts[CHANNELS - 1] > 0 &&
	           listening.up_counts[0] > 0);
	cr_assert_eq(connecting.mask, (UINT32_C(1) << CHANNELS) - 1);
}

/* ---- a thousand rounds ---- */

static unsigned count_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;
	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The connecting side, the listening side, or a fence out of the blue ends it. */
static void repair(unsigned round)
{
	unsigned channel = round % CHANNELS;
	unsigned lost_count = connecting.lost_counts[channel];
	unsigned up_count = connecting.up_counts[channel];
	unsigned listening_count = listening.up_counts[channel];
	unsigned listening_lost_count = listening.lost_counts[channel];
	if (round % 3 == 0)
		tandem_session_break_channel(connecting.session, channel);
	if (round % 3 == 1)
		tandem_session_break_channel(listening.session, channel);
	if (round % 3 == 2)
		cr_assert_eq(
		        tandem_session_fence_channel(listening.session, channel, UINT64_MAX, NULL),
		        0);
	TURN_UNTIL(connecting.lost_counts[channel] > lost_count);
	if (round % 3 == 0)
		TURN_UNTIL(listening.lost_counts[channel] > listening_lost_count);
	cr_assert_eq(tandem_session_fence_channel(listening.session, channel, UINT64_MAX, NULL), 0);
	serve(&listening); /* what the fence raised is taken */
	cr_assert_eq(tandem_session_restore(connecting.session, channel, NULL), 0);
	TURN_UNTIL(connecting.up_counts[channel] > up_count &&
	           listening.up_counts[channel] > listening_count);
}

static void run_rounds(unsigned first, unsigned count)
{
	for (unsigned round = first; round < first + count; round++) {
		if (round % 10 == 0) {
			end_sessions();
			join();
		}
		repair(round);
	}
	end_sessions();
	/* The listener lets go of doors when it is asked. */
	struct tandem_session *session;
	cr_assert_eq(tandem_listener_accept(listener, &session, NULL), TANDEM_E_AGAIN);
}

Test(tcp_repair, a_thousand_repairs_leave_nothing)
{
	run_rounds(0, 50);
	unsigned fd_count = count_entries("/proc/self/fd");
	unsigned thread_count = count_entries("/proc/self/task");
	size_t heap_bytes = mallinfo2().uordblks;
	run_rounds(50, 1000);
	cr_assert_eq(count_entries("/proc/self/fd"), fd_count);
	cr_assert_eq(count_entries("/proc/self/task"), thread_count);
#ifndef __SANITIZE_ADDRESS__
	/* Less than a byte a round. */
	cr_assert_lt(mallinfo2().uordblks, heap_bytes + 1000, "%zu bytes before, %zu after",
	             heap_bytes, (size_t)mallinfo2().uordblks);
#else
	(void)heap_bytes;
#endif
}

/* ---- rails ---- */

static int listen_at(const char *address, int backlog)
{
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(options.port)};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(inet_pton(AF_INET, address, &place.sin_addr), 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	cr_assert_eq(bind(fd, (struct sockaddr *)&place, sizeof(place)), 0);
	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

static void use_dead_rail(unsigned control_rail)
{
	options.rail_count = 2;
	options.control_rail = control_rail;
	snprintf(options.rails[1].address, sizeof(options.rails[1].address), DEAD_RAIL);
}

static void assert_half_up(int wanted_code)
{
	struct tandem_channel_status status;
	TURN_UNTIL(connecting.is_up || connecting.is_lost);
	cr_assert(connecting.is_up, "%s", connecting.error.detail);
	cr_assert_eq(connecting.mask, UINT32_C(5)); /* channels 0 and 2 */
	for (unsigned i = 0; i < CHANNELS; i++) {
		tandem_session_channel_status(connecting.session, i, &status);
		cr_assert_eq(status.rail, i % 2);
		cr_assert_eq(status.state, i % 2 ? TANDEM_CHANNEL_DOWN : TANDEM_CHANNEL_UP);
		cr_assert_eq(status.first_error.code, i % 2 ? wanted_code : 0, "%s",
		             status.first_error.detail);
		cr_assert(i % 2 == 0 || strstr(status.first_error.detail, DEAD_RAIL), "%s",
		          status.first_error.detail);
	}
}

/* Somebody who takes connections and says nothing costs half of the connect timeout. */
Test(tcp_repair, a_silent_rail_does_not_cost_the_session)
{
	int fd = listen_at(DEAD_RAIL, 16);
	use_dead_rail(0);
	options.connect_timeout_ns = UINT64_C(2) * TANDEM_NS_PER_S;
	uint64_t begin_ns = tandem_clock_now_ns();
	connect_session();
	assert_half_up(TANDEM_E_TIMEOUT);
	uint64_t took_ns = tandem_clock_now_ns() - begin_ns;
	cr_assert(took_ns >= options.connect_timeout_ns / 2 && took_ns < LONG_NS);
	close(fd);
}

Test(tcp_repair, a_rail_that_refuses_costs_nothing)
{
	use_dead_rail(0);
	connect_session();
	assert_half_up(TANDEM_E_PEER_LOST);
	/* When the rail is there its channels come back to it. */
	cr_assert_eq(tandem_session_restore(connecting.session, 1, NULL), 0);
	TURN_UNTIL(connecting.lost_counts[1] == 1);
	cr_assert_eq(connecting.error.code, TANDEM_E_PEER_LOST);
	cr_assert(!connecting.is_lost && connecting.lost_counts[3] == 0);
}

/* An address that this machine has not, as of a card that is gone. */
Test(tcp_repair, a_source_that_is_not_there_costs_the_channels_of_its_rail)
{
	use_dead_rail(0);
	snprintf(options.rails[1].source_address, sizeof(options.rails[1].source_address),
	         "192.0.2.77");
	connect_session();
	assert_half_up(TANDEM_E_CONFIG);
	end_sessions();
	options.control_rail = 1;
	struct tandem_error error;
	cr_assert_eq(tandem_transport_connect(transport, &options, &connecting.session, &error),
	             TANDEM_E_CONFIG);
}

Test(tcp_repair, a_dead_rail_of_the_control_channel_is_the_sessions)
{
	use_dead_rail(1);
	connect_session();
	TURN_UNTIL(connecting.is_lost);
	cr_assert_eq(connecting.error.code, TANDEM_E_PEER_LOST);
	cr_assert(strstr(connecting.error.detail, DEAD_RAIL), "%s", connecting.error.detail);
}

/* One port on each address; a channel says by which rail it came. */
Test(tcp_repair, a_listener_has_one_port_on_every_rail)
{
	struct tandem_listener *both = NULL;
	use_dead_rail(0);
	options.port = 0;
	listener = tandem_listener_free(listener);
	cr_assert_eq(tandem_transport_listen(transport, &options, &both, NULL), 0);
	listener = both;
	options.port = tandem_listener_port(listener);
	join();
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct tandem_channel_status status;
		tandem_session_channel_status(listening.session, i, &status);
		cr_assert_eq(status.rail, i % 2);
		cr_assert_eq(status.state, TANDEM_CHANNEL_UP);
	}
	/* The port is taken on both of them. */
	struct tandem_error error;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), DEAD_RAIL);
	options.rail_count = 1;
	cr_assert_eq(tandem_transport_listen(transport, &options, &both, &error), TANDEM_E_SYSTEM);
}

/* Two rails of the peer may lead to one address of this side. */
Test(tcp_repair, rails_with_one_address_are_listened_on_once)
{
	struct tandem_listener *both = NULL;
	options.rail_count = 2;
	options.port = 0;
	options.rails[1] = options.rails[0];
	cr_assert_eq(tandem_transport_listen(transport, &options, &both, NULL), 0);
	tandem_listener_free(both);
}
