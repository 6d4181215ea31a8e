#include <criterion/criterion.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "raw_peer.h"

#define SHORT_NS (UINT64_C(200) * TANDEM_NS_PER_MS)
#define LONG_NS  (UINT64_C(20) * TANDEM_NS_PER_S)

static const struct tandem_hello control = {.kind = TANDEM_HELLO_CONTROL, .channel_count = 2};
static struct raw_peer peer;

static void teardown(void)
{
	raw_peer_done(&peer);
}

TestSuite(tcp_join, .fini = teardown, .timeout = 60);

Test(tcp_join, a_peer_that_says_nothing_is_dropped_in_time)
{
	struct tandem_error error;
	raw_peer_listen(&peer, SHORT_NS);
	uint64_t begin_ns = tandem_clock_now_ns();
	peer.fds[0] = raw_peer_connect(&peer);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	uint64_t took_ns = tandem_clock_now_ns() - begin_ns;
	cr_assert(took_ns >= SHORT_NS && took_ns < SHORT_NS + LONG_NS / 2);
	cr_assert(strstr(error.detail, "no hello"), "%s", error.detail);
	cr_assert(strstr(error.detail, "127.0.0.1:"));
	cr_assert_eq(recv(peer.fds[0], &error, 1, 0), 0);
	cr_assert_eq(tandem_listener_deadline_ns(peer.listener), UINT64_MAX);
}

Test(tcp_join, a_peer_that_joins_the_control_channel_only_is_dropped_in_time)
{
	struct tandem_error error;
	raw_peer_listen(&peer, SHORT_NS);
	peer.fds[0] = raw_peer_connect(&peer);
	raw_peer_hello(peer.fds[0], &control);
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[0]).verdict, TANDEM_VERDICT_JOINED);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	cr_assert(strstr(error.detail, "0 of 2 data channels"), "%s", error.detail);
	cr_assert_eq(recv(peer.fds[0], &error, 1, 0), 0);
	cr_assert_null(peer.session);
}

Test(tcp_join, another_version_is_refused_and_told)
{
	struct tandem_error error;
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_answer answer;
	raw_peer_listen(&peer, LONG_NS);
	tandem_hello_encode(&control, bytes);
	bytes[4] = 9;
	peer.fds[0] = raw_peer_connect(&peer);
	raw_peer_send(peer.fds[0], bytes, sizeof(bytes));
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_VERSION);
	cr_assert(strstr(error.detail, "version 9") && strstr(error.detail, "version 1"));
	cr_assert_eq(recv(peer.fds[0], bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	cr_assert_eq(tandem_answer_decode(bytes, &answer), TANDEM_HELLO_FAULT_NONE);
	cr_assert_eq(answer.verdict, TANDEM_VERDICT_VERSION);
}

static void assert_refused(const void *bytes, size_t length, const char *reason)
{
	struct tandem_error error;
	int fd = raw_peer_connect(&peer);
	raw_peer_send(fd, bytes, length);
	shutdown(fd, SHUT_WR);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	cr_assert(strstr(error.detail, reason), "%s", error.detail);
	close(fd);
}

Test(tcp_join, strangers_are_refused_with_the_reason)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	raw_peer_listen(&peer, LONG_NS);
	tandem_hello_encode(&control, bytes);
	assert_refused("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35, "magic");
	assert_refused(bytes, sizeof(bytes) - 1, "left without a hello");
	assert_refused(bytes, 0, "left without a hello");
	bytes[8]++;
	assert_refused(bytes, sizeof(bytes), "checksum");
	const struct tandem_hello wrong = {.kind = TANDEM_HELLO_CONTROL, .channel_count = 99};
	tandem_hello_encode(&wrong, bytes);
	assert_refused(bytes, sizeof(bytes), "a field out of its range");
	/* It still takes sound ones. */
	raw_peer_join(&peer);
}

Test(tcp_join, a_hello_may_come_in_pieces)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	raw_peer_listen(&peer, LONG_NS);
	tandem_hello_encode(&control, bytes);
	peer.fds[0] = raw_peer_connect(&peer);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		raw_peer_send(peer.fds[0], bytes + i, 1);
		cr_assert_eq(tandem_listener_accept(peer.listener, &peer.session, NULL),
		             TANDEM_E_AGAIN);
	}
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[0]).verdict, TANDEM_VERDICT_JOINED);
}

static enum tandem_verdict try_data(uint64_t key, unsigned channel, unsigned channel_count)
{
	const struct tandem_hello hello = {.kind = TANDEM_HELLO_DATA,
	                                   .channel = channel,
	                                   .channel_count = channel_count,
	                                   .key = key};
	int fd = raw_peer_connect(&peer);
	raw_peer_hello(fd, &hello);
	enum tandem_verdict verdict = raw_peer_answer(&peer, fd).verdict;
	for (unsigned i = 1; i < 1 + TANDEM_CHANNELS_MAX; i++) {
		if (peer.fds[i] < 0) {
			peer.fds[i] = fd;
			break;
		}
	}
	return verdict;
}

Test(tcp_join, a_data_channel_needs_the_key_and_comes_once)
{
	raw_peer_listen(&peer, LONG_NS);
	peer.fds[0] = raw_peer_connect(&peer);
	raw_peer_hello(peer.fds[0], &control);
	uint64_t key = raw_peer_answer(&peer, peer.fds[0]).key;
	cr_assert_neq(key, 0);
	cr_assert_eq(try_data(key + 1, 0, 2), TANDEM_VERDICT_KEY);
	cr_assert_eq(try_data(0, 0, 2), TANDEM_VERDICT_KEY);
	cr_assert_eq(try_data(key, 0, 3), TANDEM_VERDICT_CHANNEL);
	cr_assert_eq(try_data(key, 0, 2), TANDEM_VERDICT_JOINED);
	cr_assert_eq(try_data(key, 0, 2), TANDEM_VERDICT_CHANNEL);
	cr_assert_null(peer.session);
	cr_assert_eq(try_data(key, 1, 2), TANDEM_VERDICT_JOINED);
	cr_assert_not_null(peer.session);
	/* Late: the session is complete. */
	cr_assert_eq(try_data(key, 1, 2), TANDEM_VERDICT_KEY);
}

Test(tcp_join, strangers_are_bounded)
{
	struct tandem_error error;
	int fds[80];
	unsigned dropped_count = 0;
	raw_peer_listen(&peer, LONG_NS);
	for (unsigned i = 0; i < 80; i++)
		fds[i] = raw_peer_connect(&peer);
	for (unsigned i = 0; i < 200; i++) {
		int status = tandem_listener_accept(peer.listener, &peer.session, &error);
		cr_assert(status == TANDEM_E_AGAIN || status == TANDEM_E_PROTOCOL);
		dropped_count += status == TANDEM_E_PROTOCOL;
	}
	cr_assert_eq(dropped_count, 80 - 64);
	/* Who is sound still gets in. */
	raw_peer_join(&peer);
	for (unsigned i = 0; i < 80; i++)
		close(fds[i]);
}

Test(tcp_join, half_joined_sessions_are_bounded)
{
	int fds[70];
	raw_peer_listen(&peer, LONG_NS);
	for (unsigned i = 0; i < 70; i++) {
		fds[i] = raw_peer_connect(&peer);
		raw_peer_hello(fds[i], &control);
		cr_assert_eq(raw_peer_answer(&peer, fds[i]).verdict, TANDEM_VERDICT_JOINED);
	}
	/* The oldest had to go. */
	char byte;
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(recv(fds[i], &byte, 1, 0), 0);
	cr_assert_eq(recv(fds[6], &byte, 1, MSG_DONTWAIT), -1);
	raw_peer_join(&peer);
	for (unsigned i = 0; i < 70; i++)
		close(fds[i]);
}

/* ---- the connecting side and a wrong listener ---- */

static int listen_raw(uint16_t *ret_port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	/* Port and family lie where sockaddr_in has them. */
	const uint8_t *bytes = (const uint8_t *)&address;
	*ret_port = (uint16_t)(bytes[2] << 8 | bytes[3]);
	return fd;
}

/* Connects a session to a listener that answers `bytes`; how the session was lost. */
static struct tandem_error answered_with(const void *bytes, size_t length)
{
	static struct tandem_session_event event;
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_transport *transport = NULL;
	struct tandem_session *session = NULL;
	int listener = listen_raw(&options.port);
	memcpy(options.rails[0].address, "127.0.0.1", sizeof("127.0.0.1"));
	options.connect_timeout_ns = LONG_NS;
	cr_assert_eq(tandem_transport_open("tcp", "", &transport, NULL), 0);
	cr_assert_eq(tandem_transport_connect(transport, &options, &session, NULL), 0);
	int fd = accept(listener, NULL, NULL);
	raw_peer_send(fd, bytes, length);
	shutdown(fd, SHUT_WR);
	event.type = TANDEM_SESSION_MESSAGE;
	for (uint64_t end_ns = tandem_clock_now_ns() + LONG_NS;
	     event.type != TANDEM_SESSION_LOST && tandem_clock_now_ns() < end_ns;) {
		tandem_session_progress(session);
		while (tandem_session_next_event(session, &event))
			cr_assert_eq(event.type, TANDEM_SESSION_LOST);
	}
	tandem_session_free(session);
	tandem_transport_free(transport);
	close(fd);
	close(listener);
	return event.error;
}

static struct tandem_error answered(enum tandem_verdict verdict, unsigned version, uint64_t key)
{
	const struct tandem_answer answer = {.verdict = verdict, .version = version, .key = key};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	tandem_answer_encode(&answer, bytes);
	return answered_with(bytes, sizeof(bytes));
}

Test(tcp_connect, answers_are_judged)
{
	struct tandem_error error = answered(TANDEM_VERDICT_VERSION, 7, 0);
	cr_assert_eq(error.code, TANDEM_E_VERSION);
	cr_assert(strstr(error.detail, "version 7"), "%s", error.detail);
	cr_assert_eq(answered(TANDEM_VERDICT_JOINED, 2, 5).code, TANDEM_E_VERSION);
	cr_assert_eq(answered(TANDEM_VERDICT_BUSY, 1, 0).code, TANDEM_E_REFUSED);
	cr_assert_eq(answered(TANDEM_VERDICT_JOINED, 1, 0).code, TANDEM_E_PROTOCOL);
	error = answered_with("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 40);
	cr_assert_eq(error.code, TANDEM_E_PROTOCOL);
	cr_assert(strstr(error.detail, "magic"), "%s", error.detail);
	cr_assert_eq(answered_with("", 0).code, TANDEM_E_PEER_LOST);
}
