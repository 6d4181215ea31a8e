#include <criterion/criterion.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "raw_peer.h"

/* What a peer has to have said by then may be late on a busy machine. */
#define SHORT_NS (UINT64_C(2) * TANDEM_NS_PER_S)
#define LONG_NS  (UINT64_C(20) * TANDEM_NS_PER_S)

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

/* T4, S2: it got an answer, and proves nothing. */
Test(tcp_join, a_peer_that_never_proves_itself_is_dropped_in_time)
{
	struct tandem_error error;
	raw_peer_listen(&peer, SHORT_NS);
	peer.fds[0] = raw_peer_ask(&peer);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	cr_assert(strstr(error.detail, "no proof of the key"), "%s", error.detail);
	cr_assert_eq(recv(peer.fds[0], &error, 1, 0), 0);
	cr_assert_null(peer.session);
}

/* T4: proven, and no data channel comes. */
Test(tcp_join, a_session_without_data_channels_is_lost_in_time)
{
	struct tandem_error error;
	raw_peer_listen(&peer, SHORT_NS);
	uint64_t begin_ns = tandem_clock_now_ns();
	raw_peer_join_control(&peer);
	raw_peer_wait_lost(&peer, &error);
	uint64_t took_ns = tandem_clock_now_ns() - begin_ns;
	cr_assert_eq(error.code, TANDEM_E_TIMEOUT);
	cr_assert(strstr(error.detail, "no data channel"), "%s", error.detail);
	cr_assert(took_ns >= SHORT_NS && took_ns < SHORT_NS + LONG_NS / 2);
}

Test(tcp_join, another_version_is_refused_and_told)
{
	struct tandem_error error;
	uint8_t bytes[TANDEM_HELLO_BYTES];
	struct tandem_answer answer;
	unsigned version;
	raw_peer_listen(&peer, LONG_NS);
	const struct tandem_hello control = raw_peer_control(&peer);
	tandem_hello_encode(&control, bytes);
	bytes[4] = 9;
	peer.fds[0] = raw_peer_connect(&peer);
	/* The hello of another version may be shorter. */
	raw_peer_send(peer.fds[0], bytes, 32);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_VERSION);
	cr_assert(strstr(error.detail, "version 9") && strstr(error.detail, "version 2"));
	cr_assert_eq(recv(peer.fds[0], bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	cr_assert_eq(tandem_answer_decode(bytes, &answer, &version), TANDEM_HELLO_FAULT_NONE);
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
	const struct tandem_hello control = raw_peer_control(&peer);
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

/* The control connection byte by byte, hello and proof. */
Test(tcp_join, what_is_said_may_come_in_pieces)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	raw_peer_listen(&peer, LONG_NS);
	peer.fds[0] = raw_peer_ask(&peer);
	tandem_proof_encode(peer.secrets.connecting_proof, bytes);
	for (unsigned i = 0; i + 1 < TANDEM_PROOF_FRAME_BYTES; i++) {
		raw_peer_send(peer.fds[0], bytes + i, 1);
		cr_assert_eq(tandem_listener_accept(peer.listener, &peer.session, NULL),
		             TANDEM_E_AGAIN);
	}
	raw_peer_send(peer.fds[0], bytes + TANDEM_PROOF_FRAME_BYTES - 1, 1);
	cr_assert_eq(raw_peer_accept(&peer, NULL), 0);
	const struct tandem_hello data = raw_peer_data(&peer, 0, 1);
	tandem_hello_encode(&data, bytes);
	peer.fds[1] = raw_peer_connect(&peer);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		struct tandem_session *other;
		raw_peer_send(peer.fds[1], bytes + i, 1);
		cr_assert_eq(tandem_listener_accept(peer.listener, &other, NULL), TANDEM_E_AGAIN);
	}
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[1]).verdict, TANDEM_VERDICT_JOINED);
}

/* ---- keys ---- */

static const struct tandem_key keys[3] = {{{1}}, {{2}}, {{3}}};

static void listen_with_keys(unsigned key_count)
{
	struct tandem_transport_options options = raw_peer_options(LONG_NS);
	memcpy(options.keys, keys, key_count * sizeof(keys[0]));
	options.key_count = key_count;
	raw_peer_listen_with(&peer, &options);
}

Test(tcp_join, each_key_of_the_listener_is_taken_and_named)
{
	for (unsigned i = 0; i < 2; i++) {
		listen_with_keys(2);
		peer.key = keys[i];
		raw_peer_join(&peer);
		cr_assert_eq(tandem_session_key_index(peer.session), i);
		raw_peer_done(&peer);
	}
	raw_peer_listen(&peer, LONG_NS);
	raw_peer_join(&peer);
	cr_assert_eq(tandem_session_key_index(peer.session), 0);
}

/* S1: zeros are nobody's key where one is configured. */
Test(tcp_join, a_key_that_is_not_the_listeners_is_refused_and_told)
{
	static const struct tandem_key strange[] = {{{3}}, {{0}}};
	for (unsigned i = 0; i < 2; i++) {
		struct tandem_error error;
		struct tandem_session *session;
		int status = TANDEM_E_AGAIN;
		listen_with_keys(2);
		peer.key = strange[i];
		const struct tandem_hello hello = raw_peer_control(&peer);
		int fd = raw_peer_connect(&peer);
		raw_peer_hello(fd, &hello);
		while (status == TANDEM_E_AGAIN)
			status = tandem_listener_accept(peer.listener, &session, &error);
		cr_assert_eq(status, TANDEM_E_REFUSED);
		cr_assert(strstr(error.detail, "refused: the peer holds another key for this pair "
		                               "(key_file differs)"),
		          "%s", error.detail);
		cr_assert_eq(raw_peer_answer(&peer, fd).verdict, TANDEM_VERDICT_KEY);
		close(fd);
		raw_peer_done(&peer);
	}
	raw_peer_listen(&peer, LONG_NS);
}

/* S2: who only heard the key's name cannot prove that he holds it. */
Test(tcp_join, a_wrong_proof_is_refused)
{
	struct tandem_error error;
	listen_with_keys(1);
	peer.key = keys[0];
	peer.fds[0] = raw_peer_ask(&peer);
	for (unsigned i = 0; i < TANDEM_PROOF_BYTES; i++)
		peer.secrets.connecting_proof[i] ^= (uint8_t)(i == 7);
	raw_peer_prove(&peer, peer.fds[0]);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_REFUSED);
	cr_assert(strstr(error.detail, "has not proven"), "%s", error.detail);
	cr_assert_eq(recv(peer.fds[0], &error, 1, 0), 0);
	/* The other side's own proof sent back is no proof either. */
	close(peer.fds[0]);
	peer.fds[0] = raw_peer_ask(&peer);
	memcpy(peer.secrets.connecting_proof, peer.secrets.listening_proof, TANDEM_PROOF_BYTES);
	raw_peer_prove(&peer, peer.fds[0]);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_REFUSED);
	cr_assert_null(peer.session);
}

/* ---- data connections ---- */

static enum tandem_verdict try_data(struct tandem_hello hello)
{
	return raw_peer_join_data(&peer, &hello);
}

/* T3, S4 */
Test(tcp_join, a_data_connection_needs_session_token_and_a_new_attempt)
{
	raw_peer_listen(&peer, LONG_NS);
	raw_peer_join_control(&peer);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 7);
	hello.session_id++;
	cr_assert_eq(try_data(hello), TANDEM_VERDICT_SESSION);
	for (unsigned i = 0; i < TANDEM_TOKEN_BYTES; i += 5) {
		hello = raw_peer_data(&peer, 0, 7);
		hello.token[i] ^= 0x80;
		cr_assert_eq(try_data(hello), TANDEM_VERDICT_TOKEN);
	}
	/* Each token is for one channel and one attempt. */
	hello = raw_peer_data(&peer, 1, 7);
	hello.channel = 0;
	cr_assert_eq(try_data(hello), TANDEM_VERDICT_TOKEN);
	hello = raw_peer_data(&peer, 0, 7);
	hello.attempt = 8;
	cr_assert_eq(try_data(hello), TANDEM_VERDICT_TOKEN);
	hello = raw_peer_data(&peer, 0, 7);
	hello.channel_count = 3;
	cr_assert_eq(try_data(hello), TANDEM_VERDICT_CHANNEL);
	hello = raw_peer_data(&peer, 5, 7);
	hello.channel_count = 6;
	int fd = raw_peer_connect(&peer);
	raw_peer_hello(fd, &hello);
	cr_assert_eq(raw_peer_answer(&peer, fd).verdict, 0, "it has no such channel");
	close(fd);
	/* Nothing of that has used up the attempt. */
	cr_assert_eq(try_data(raw_peer_data(&peer, 0, 7)), TANDEM_VERDICT_JOINED);
	cr_assert_eq(try_data(raw_peer_data(&peer, 0, 7)), TANDEM_VERDICT_ATTEMPT);
	cr_assert_eq(try_data(raw_peer_data(&peer, 0, 8)), TANDEM_VERDICT_CHANNEL);
}

/* The listener has read what was said, the session has not looked yet. */
static int leave_at_the_door(const struct tandem_hello *hello)
{
	struct tandem_session *none = NULL;
	int fd = raw_peer_connect(&peer);
	raw_peer_hello(fd, hello);
	struct pollfd listening = {.fd = tandem_listener_fd(peer.listener), .events = POLLIN};
	for (unsigned i = 0; i < 100 && poll(&listening, 1, 50) == 1; i++)
		cr_assert_neq(tandem_listener_accept(peer.listener, &none, NULL), 0);
	return fd;
}

/* S4: who saw the hello pass and says it again, and who shows no token, take nobody's place. */
Test(tcp_join, nobody_takes_the_place_of_who_waits_for_the_session)
{
	raw_peer_listen(&peer, LONG_NS);
	raw_peer_join_control(&peer);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 3);
	peer.fds[1] = leave_at_the_door(&hello);
	int replayed = leave_at_the_door(&hello);
	hello.attempt = 9;
	int forged = leave_at_the_door(&hello);
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[1]).verdict, TANDEM_VERDICT_JOINED);
	cr_assert_eq(raw_peer_answer(&peer, replayed).verdict, TANDEM_VERDICT_ATTEMPT);
	cr_assert_eq(raw_peer_answer(&peer, forged).verdict, TANDEM_VERDICT_TOKEN);
	close(replayed);
	close(forged);
}

/* A peer that has given an attempt up is not kept out by it. */
Test(tcp_join, a_newer_attempt_takes_the_place_of_an_older_one)
{
	raw_peer_listen(&peer, LONG_NS);
	raw_peer_join_control(&peer);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 3);
	close(leave_at_the_door(&hello));
	hello = raw_peer_data(&peer, 0, 4);
	peer.fds[1] = leave_at_the_door(&hello);
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[1]).verdict, TANDEM_VERDICT_JOINED);
}

/* One stranger among those that were faster than the proof holds up none of the others. */
Test(tcp_join, a_stranger_holds_up_no_early_data_connection)
{
	raw_peer_listen(&peer, LONG_NS);
	peer.fds[0] = raw_peer_ask(&peer);
	struct tandem_hello hello = raw_peer_data(&peer, 0, 1);
	hello.token[0] ^= 1;
	int forged = leave_at_the_door(&hello);
	for (unsigned i = 0; i < RAW_CHANNELS; i++) {
		hello = raw_peer_data(&peer, i, 1);
		peer.fds[1 + i] = leave_at_the_door(&hello);
	}
	raw_peer_prove(&peer, peer.fds[0]);
	cr_assert_eq(raw_peer_accept(&peer, NULL), 0);
	for (unsigned i = 0; i < RAW_CHANNELS; i++) {
		tandem_session_progress(peer.session);
		cr_assert_eq(raw_peer_answer(&peer, peer.fds[1 + i]).verdict,
		             TANDEM_VERDICT_JOINED);
	}
	close(forged);
}

/* The answer's token proves the listening side; the same one would prove nothing. */
Test(tcp_join, the_answer_to_a_data_hello_shows_its_own_token)
{
	uint8_t token[TANDEM_TOKEN_BYTES];
	raw_peer_listen(&peer, LONG_NS);
	raw_peer_join_control(&peer);
	const struct tandem_hello hello = raw_peer_data(&peer, 1, 3);
	peer.fds[2] = raw_peer_connect(&peer);
	raw_peer_hello(peer.fds[2], &hello);
	struct tandem_answer answer = raw_peer_answer(&peer, peer.fds[2]);
	cr_assert_eq(answer.verdict, TANDEM_VERDICT_JOINED);
	tandem_channel_token(&peer.secrets, 1, 3, true, token);
	cr_assert_arr_eq(answer.proof, token, sizeof(token));
	cr_assert_arr_neq(answer.proof, hello.token, sizeof(token));
	cr_assert_eq(answer.session_id, peer.transcript.session_id);
}

/* The two connections are not ordered against each other. */
Test(tcp_join, a_data_connection_may_be_faster_than_the_proof)
{
	struct tandem_session *session;
	raw_peer_listen(&peer, LONG_NS);
	peer.fds[0] = raw_peer_ask(&peer);
	const struct tandem_hello hello = raw_peer_data(&peer, 0, 1);
	peer.fds[1] = raw_peer_connect(&peer);
	raw_peer_hello(peer.fds[1], &hello);
	/* Until the listener has read it all. */
	struct pollfd fd = {.fd = tandem_listener_fd(peer.listener), .events = POLLIN};
	for (unsigned i = 0; i < 100 && poll(&fd, 1, 50) == 1; i++)
		cr_assert_eq(tandem_listener_accept(peer.listener, &session, NULL), TANDEM_E_AGAIN);
	raw_peer_prove(&peer, peer.fds[0]);
	cr_assert_eq(raw_peer_accept(&peer, NULL), 0);
	cr_assert_eq(raw_peer_answer(&peer, peer.fds[1]).verdict, TANDEM_VERDICT_JOINED);
	raw_peer_wait_channel_up(&peer, 0);
}

Test(tcp_join, a_data_connection_whose_session_is_never_proven_is_dropped_in_time)
{
	struct tandem_error error;
	raw_peer_listen(&peer, SHORT_NS);
	peer.fds[0] = raw_peer_ask(&peer);
	const struct tandem_hello hello = raw_peer_data(&peer, 0, 1);
	peer.fds[1] = raw_peer_connect(&peer);
	raw_peer_hello(peer.fds[1], &hello);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	cr_assert_eq(raw_peer_accept(&peer, &error), TANDEM_E_PROTOCOL);
	cr_assert_eq(tandem_listener_deadline_ns(peer.listener), UINT64_MAX);
	char byte;
	for (unsigned i = 0; i < 2; i++) {
		while (recv(peer.fds[i], &byte, 1, 0) == 1)
			;
	}
}

/* ---- limits ---- */

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

/* T4 */
Test(tcp_join, unproven_connections_are_bounded)
{
	int fds[70];
	raw_peer_listen(&peer, LONG_NS);
	for (unsigned i = 0; i < 70; i++)
		fds[i] = raw_peer_ask(&peer);
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

static struct tandem_error answered(struct tandem_answer answer)
{
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	tandem_answer_encode(&answer, bytes);
	return answered_with(bytes, sizeof(bytes));
}

Test(tcp_connect, answers_are_judged)
{
	struct tandem_error error =
	        answered((struct tandem_answer){.verdict = TANDEM_VERDICT_VERSION, .version = 7});
	cr_assert_eq(error.code, TANDEM_E_VERSION);
	cr_assert(strstr(error.detail, "version 7"), "%s", error.detail);
	error = answered((struct tandem_answer){.verdict = TANDEM_VERDICT_BUSY,
	                                        .version = TANDEM_HELLO_VERSION});
	cr_assert_eq(error.code, TANDEM_E_REFUSED);
	error = answered((struct tandem_answer){.verdict = TANDEM_VERDICT_KEY,
	                                        .version = TANDEM_HELLO_VERSION});
	cr_assert_eq(error.code, TANDEM_E_REFUSED);
	cr_assert(strstr(error.detail,
	                 "refused: the peer holds another key for this pair (key_file differs)"),
	          "%s", error.detail);
	error = answered_with("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 40);
	cr_assert_eq(error.code, TANDEM_E_PROTOCOL);
	cr_assert(strstr(error.detail, "magic"), "%s", error.detail);
	cr_assert_eq(answered_with("", 0).code, TANDEM_E_PEER_LOST);
}

/* An answer of another version may be shorter than ours. */
Test(tcp_connect, a_short_answer_of_another_version_is_named)
{
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	const struct tandem_answer answer = {.verdict = TANDEM_VERDICT_VERSION, .version = 1};
	tandem_answer_encode(&answer, bytes);
	struct tandem_error error = answered_with(bytes, 32);
	cr_assert_eq(error.code, TANDEM_E_VERSION);
	cr_assert(strstr(error.detail, "version 1,"), "%s", error.detail);
}

/* S2: a listener that knows the key's name and not the key. */
Test(tcp_connect, a_listener_without_the_key_is_refused)
{
	struct tandem_error error =
	        answered((struct tandem_answer){.verdict = TANDEM_VERDICT_JOINED,
	                                        .version = TANDEM_HELLO_VERSION,
	                                        .session_id = 5});
	cr_assert_eq(error.code, TANDEM_E_REFUSED);
	cr_assert(strstr(error.detail, "has not proven"), "%s", error.detail);
}
