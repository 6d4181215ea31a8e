#include <criterion/criterion.h>

#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "qemu_forward.h"
#include "qemu_gates.h"
#include "qemu_hand.h"

Test(qemu_gates, each_card_has_one_of_its_kind)
{
	static struct tandem_qemu_gates gates;

	cr_assert(tandem_qemu_gates_add(&gates, "user:vm1"));
	cr_assert(tandem_qemu_gates_add(&gates, "user:/run/network"));
	cr_assert(tandem_qemu_gates_add(&gates, "plug:vm2"));
	cr_assert_eq(gates.count, 3);
	cr_assert_eq(gates.cards[1].kind, TANDEM_QEMU_GATE_USER);
	cr_assert_str_eq(gates.cards[1].outside, "/run/network");
	cr_assert_eq(gates.cards[2].kind, TANDEM_QEMU_GATE_PLUG);
	cr_assert_str_eq(gates.cards[2].outside, "vm2");
}

Test(qemu_gates, what_is_none_is_refused)
{
	static const char *const texts[] = {
	        "", "vm1", "user", "user:", "plug:", "tap:vm1", "ungated"};
	static struct tandem_qemu_gates gates;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_not(tandem_qemu_gates_add(&gates, texts[i]), "%s", texts[i]);
	cr_assert_eq(gates.count, 0);
	for (unsigned i = 0; i < TANDEM_QEMU_GATES_MAX; i++)
		cr_assert(tandem_qemu_gates_add(&gates, "user:vm1"));
	cr_assert_not(tandem_qemu_gates_add(&gates, "user:vm1"), "there is room for eight");
}

static struct tandem_qemu_gates gates;
static char folder[] = "/tmp/tandem-gates-XXXXXX";

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void open_gates(struct event_base *base, unsigned card_count)
{
	struct tandem_error error = {.code = 0};
	char network[64];

	cr_assert_not_null(mkdtemp(folder));
	snprintf(network, sizeof(network), "user:%s/network", folder);
	for (unsigned i = 0; i < card_count; i++)
		cr_assert(tandem_qemu_gates_add(&gates, network));
	cr_assert_eq(tandem_qemu_gates_open(&gates, base, folder, "vm1", &error), 0, "%s",
	             error.detail);
}

static void close_gates(struct event_base *base)
{
	tandem_qemu_gates_close(&gates);
	event_base_free(base);
	cr_assert_eq(rmdir(folder), 0);
}

Test(qemu_gates, a_card_that_goes_elsewhere_is_seen)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};

	open_gates(base, 2);
	const int first = connect_to("vm1.card0");
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert_eq(tandem_qemu_gates_check(&gates, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "tandem1 is not connected"), "%s", error.detail);
	cr_assert_not_null(strstr(error.detail, "vm1.card1,reconnect-ms=100"), "%s", error.detail);
	const int second = connect_to("vm1.card1");
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert_eq(tandem_qemu_gates_check(&gates, &error), 0, "%s", error.detail);
	close(first);
	close(second);
	close_gates(base);
}

static void connect_later(const char *name)
{
	poll(NULL, 0, 50);
	connect_to(name);
	poll(NULL, 0, -1);
}

Test(qemu_gates, a_card_that_comes_later_is_waited_for)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};

	open_gates(base, 1);
	tandem_qemu_gates_await(&gates, TANDEM_NS_PER_MS); /* nobody comes, and it returns */
	const pid_t child = fork();
	if (child == 0)
		connect_later("vm1.card0");
	tandem_qemu_gates_await(&gates, 60 * TANDEM_NS_PER_S);
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert_eq(tandem_qemu_gates_check(&gates, &error), 0, "%s", error.detail);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	close_gates(base);
}

/* Who would take them ends in the middle of it. */
Test(qemu_gates, those_that_nobody_takes_stay)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};
	int ends[2];
	unsigned count;
	pid_t qemu;

	open_gates(base, 2);
	const int card = connect_to("vm1.card0");
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(tandem_qemu_hand_ask(ends[1], &qemu, &count, NULL) == 0 && qemu == 77 &&
		                      count == 2
		              ? EXIT_SUCCESS
		              : EXIT_FAILURE);
	}
	close(ends[1]);
	cr_assert_lt(tandem_qemu_hand_give(&gates, 77, ends[0], &error), 0);
	int status = -1;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert(tandem_qemu_gates_are_open(&gates));
	close(ends[0]);
	close(card);
	close_gates(base);
}

/* Its patience was over just then: the gates are served by one of the two. */
Test(qemu_gates, those_that_are_not_let_go_of_are_not_taken)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};
	int ends[2];

	open_gates(base, 1);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		char byte;

		close(ends[1]);
		_exit(recv(ends[0], &byte, 1, 0) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[0]);
	cr_assert_eq(tandem_qemu_hand_confirm(&gates, ends[1], &error), TANDEM_E_PEER_LOST);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	close(ends[1]);
	close_gates(base);
}

static void limit_to(int link, unsigned ms)
{
	const struct timeval limit = {.tv_usec = (suseconds_t)ms * 1000};

	cr_assert_eq(setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

/* The other one hears that they are taken when nobody waits for its word any more, or says that
 * word at the last moment. */
static int give_late(int link, bool says_it)
{
	char bytes[2];

	if (recv(link, bytes, 1, 0) != 1)
		return 1;
	if (says_it)
		return send(link, bytes, 1, MSG_NOSIGNAL) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (recv(link, bytes, 1, 0) != 0) /* until the link is shut */
		return 2;
	return send(link, bytes, 1, MSG_NOSIGNAL) < 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

Test(qemu_gates, whoever_does_not_hear_that_they_are_let_go_of_shuts_the_link_first)
{
	for (unsigned says_it = 0; says_it < 2; says_it++) {
		struct tandem_error error = {.code = 0};
		int ends[2], status = -1;

		cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
		const pid_t child = fork();
		if (child == 0) {
			close(ends[1]);
			tandem_qemu_hand_limit(ends[0]);
			_exit(give_late(ends[0], says_it == 1));
		}
		close(ends[0]);
		limit_to(ends[1], says_it == 1 ? 0 : 100);
		cr_expect_eq(tandem_qemu_hand_confirm(&gates, ends[1], &error),
		             says_it == 1 ? 0 : TANDEM_E_TIMEOUT);
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_expect_eq(status, 0, "%d", status);
		close(ends[1]);
	}
}

/* In the process that takes them, all of them or none. */
static bool takes(int link, unsigned card_count)
{
	static struct tandem_qemu_gates taken;
	struct event_base *base = event_base_new();
	char network[64];
	unsigned count;
	pid_t qemu;

	snprintf(network, sizeof(network), "user:%s/network", folder);
	for (unsigned i = 0; i < card_count; i++)
		tandem_qemu_gates_add(&taken, network);
	return tandem_qemu_hand_ask(link, &qemu, &count, NULL) == 0 &&
	       tandem_qemu_hand_take(&taken, base, folder, "vm1", count, link, NULL) == 0 &&
	       tandem_qemu_hand_confirm(&taken, link, NULL) == 0 &&
	       tandem_qemu_gates_are_open(&taken);
}

/* Those of who has taken them, and has ended. */
static void unlink_taken(unsigned card_count)
{
	for (unsigned i = 0; i < 2 * card_count; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/vm1.%s%u", folder, i % 2 == 0 ? "card" : "net",
		         i / 2);
		cr_assert_eq(unlink(path), 0, "%s", path);
	}
}

static int hand_over(unsigned card_count, struct tandem_error *reterr_error)
{
	int ends[2], status = -1;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(takes(ends[1], card_count) ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[1]);
	tandem_qemu_hand_limit(ends[0]);
	const int code = tandem_qemu_hand_give(&gates, 77, ends[0], reterr_error);
	close(ends[0]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status == 0, code == 0);
	return code;
}

static void on_alarm(int number)
{
	(void)number;
}

/* For the rest of this process: with a limit the kernel goes on with no call by itself. */
static void interrupt_each_ms(void)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval each_ms = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &each_ms, NULL), 0);
}

Test(qemu_gates, signals_do_not_keep_them_from_being_handed_over)
{
	const struct itimerval never = {.it_value.tv_usec = 0};
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};
	int ends[2], status = -1;

	open_gates(base, 1);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		poll(NULL, 0, 50); /* it is waited for */
		interrupt_each_ms();
		tandem_qemu_hand_limit(ends[1]);
		_exit(takes(ends[1], 1) ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[1]);
	tandem_qemu_hand_limit(ends[0]);
	interrupt_each_ms();
	const int code = tandem_qemu_hand_give(&gates, 77, ends[0], &error);
	poll(NULL, 0, 50); /* and waits for the end of the link */
	close(ends[0]);
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cr_expect_eq(code, 0, "%s", error.detail);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	unlink_taken(1);
	close_gates(base);
}

/* ---- from who has those of a guest that was let go ---- */

static int listen_at_door(int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, type, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/vm1.gates", folder);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void close_door(int fd)
{
	char path[64];

	close(fd);
	snprintf(path, sizeof(path), "%s/vm1.gates", folder);
	cr_assert_eq(unlink(path), 0);
}

static int take_from_door(const char *network, pid_t qemu, struct tandem_error *reterr_error)
{
	struct tandem_qemu_options options = {.pair = "vm1", .run_directory = folder};
	struct event_base *base = event_base_new();
	bool is_taken = true;

	if (network)
		tandem_qemu_gates_add(&options.gates, network);
	const int code = tandem_qemu_forward_take(&options, base, qemu, &is_taken, reterr_error);
	cr_assert_not(is_taken);
	event_base_free(base);
	return code;
}

Test(qemu_gates, a_network_that_another_process_has_is_not_passed_over)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};

	open_gates(base, 1);
	const int door = listen_at_door(SOCK_SEQPACKET);
	cr_assert_eq(listen(door, 4), 0);
	const pid_t child = fork();
	if (child == 0) {
		struct tandem_error refused;

		for (;;) {
			const int link = accept(door, NULL, NULL);

			(void)tandem_qemu_hand_give(&gates, 77, link, &refused);
			close(link);
		}
	}
	cr_expect_eq(take_from_door(NULL, 77, &error), TANDEM_E_CONFIG, "ungated");
	cr_expect_not_null(strstr(error.detail, "has 1 cards with a gate user:"), "%s",
	                   error.detail);
	cr_expect_eq(take_from_door("plug:vm2", 77, &error), TANDEM_E_CONFIG);
	cr_expect_eq(take_from_door(NULL, 0, &error), TANDEM_E_AGAIN);
	cr_expect_not_null(strstr(error.detail, "process 77 "), "%s", error.detail);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	close_door(door);
	close_gates(base);
}

Test(qemu_gates, only_where_nobody_listens_there_is_none)
{
	struct tandem_error error = {.code = 0};
	int door;

	cr_assert_not_null(mkdtemp(folder));
	cr_expect_eq(take_from_door("user:vm1", 77, &error), 0, "%s", error.detail);
	door = listen_at_door(SOCK_SEQPACKET);
	cr_expect_eq(take_from_door("user:vm1", 77, &error), 0, "%s", error.detail);
	close_door(door);
	door = listen_at_door(SOCK_DGRAM);
	cr_expect_eq(take_from_door("user:vm1", 77, &error), TANDEM_E_SYSTEM);
	cr_expect_not_null(strstr(error.detail, "/vm1.gates: "), "%s", error.detail);
	close_door(door);
	cr_assert_eq(rmdir(folder), 0);
}

Test(qemu_gates, all_are_taken_or_none)
{
	struct event_base *base = event_base_new();
	struct tandem_error error = {.code = 0};

	open_gates(base, 2);
	const int card = connect_to("vm1.card1");
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert_lt(hand_over(1, &error), 0, "there is one card more");
	cr_assert(tandem_qemu_gates_are_open(&gates));
	cr_assert_eq(hand_over(2, &error), 0, "%s", error.detail);
	cr_assert_not(tandem_qemu_gates_are_open(&gates));
	close(card);
	unlink_taken(2);
	close_gates(base);
}

static void send_frame(int fd, size_t length)
{
	static uint8_t bytes[4 + 65536];

	bytes[1] = (uint8_t)(length >> 16);
	bytes[2] = (uint8_t)(length >> 8);
	bytes[3] = (uint8_t)length;
	cr_assert_eq(write(fd, bytes, 4 + length), (ssize_t)(4 + length));
}

Test(qemu_gates, what_is_held_and_what_was_dropped_is_told)
{
	char network[64];
	struct event_base *base = event_base_new();
	struct tandem_qemu_gate_state state;
	struct tandem_error error = {.code = 0};

	cr_assert_not_null(mkdtemp(folder));
	snprintf(network, sizeof(network), "user:%s/network", folder);
	cr_assert(tandem_qemu_gates_add(&gates, network));
	tandem_qemu_gates_look(&gates, 0, &state);
	cr_assert_eq(state.held_bytes, 0);
	cr_assert_eq(tandem_qemu_gates_open(&gates, base, folder, "vm1", &error), 0, "%s",
	             error.detail);
	const int card = connect_to("vm1.card0");
	for (size_t sent_bytes = 0; sent_bytes <= state.room_bytes; sent_bytes += 65536) {
		send_frame(card, 65536);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	tandem_qemu_gates_look(&gates, 0, &state);
	cr_expect_str_eq(state.way, "user");
	cr_expect_str_eq(state.outside, network + strlen("user:"));
	cr_expect_gt(state.held_bytes, state.room_bytes - 2 * 65536);
	cr_expect_leq(state.held_bytes, state.room_bytes);
	cr_expect_gt(state.dropped_count, 0);
	close(card);
	close_gates(base);
}
