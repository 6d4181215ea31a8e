#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/probe.h>

#include "core/probe_wire.h"

#define PAIR "kv"

Test(probe, every_field_comes_back)
{
	struct tandem_probe_message message = {.type = TANDEM_PROBE_ECHO, .number = 77}, back;
	uint8_t bytes[TANDEM_PROBE_BYTES];
	strcpy(message.pair, "kv");
	strcpy(message.text, "because");
	tandem_probe_encode(&message, bytes);
	cr_assert_eq(tandem_probe_decode(bytes, sizeof(bytes), &back), 0);
	cr_assert_eq(back.type, TANDEM_PROBE_ECHO);
	cr_assert_eq(back.number, 77);
	cr_assert_str_eq(back.pair, "kv");
	cr_assert_str_eq(back.text, "because");
}

Test(probe, wrong_bytes_are_no_message)
{
	static const struct {
		size_t at;
		uint8_t value;
		int code;
	} rows[] = {
	        {0, 0, TANDEM_E_PROTOCOL}, {4, 2, TANDEM_E_VERSION},
	        {6, 0, TANDEM_E_PROTOCOL}, {6, 6, TANDEM_E_PROTOCOL},
	        {7, 1, TANDEM_E_PROTOCOL}, {TANDEM_PROBE_BYTES - 1, 1, TANDEM_E_PROTOCOL},
	};
	const struct tandem_probe_message message = {.type = TANDEM_PROBE_ASK, .pair = PAIR};
	struct tandem_probe_message back = {.number = 42};
	uint8_t bytes[TANDEM_PROBE_BYTES + 1] = {0};
	char pair[TANDEM_PROBE_PAIR_BYTES];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tandem_probe_encode(&message, bytes);
		bytes[rows[i].at] = rows[i].value;
		cr_assert_eq(tandem_probe_decode(bytes, TANDEM_PROBE_BYTES, &back), rows[i].code,
		             "row %zu", i);
		cr_assert_null(tandem_probe_pair(bytes, TANDEM_PROBE_BYTES, pair));
	}
	tandem_probe_encode(&message, bytes);
	cr_assert_eq(tandem_probe_decode(bytes, TANDEM_PROBE_BYTES - 1, &back), TANDEM_E_PROTOCOL);
	cr_assert_eq(tandem_probe_decode(bytes, TANDEM_PROBE_BYTES + 1, &back), TANDEM_E_PROTOCOL);
	memset(bytes + 16, 'k', TANDEM_PROBE_PAIR_BYTES);
	cr_assert_eq(tandem_probe_decode(bytes, TANDEM_PROBE_BYTES, &back), TANDEM_E_PROTOCOL);
	cr_assert_eq(back.number, 42, "set on success only");
}

/* A peer on a thread of its own: accepts one session and treats it as `treat` says. */
enum treatment { HOST, REFUSE, POSTPONE, SILENCE };

struct peer {
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	pthread_t thread;
	enum treatment treat;
	bool is_asked;
	_Atomic bool is_ending;
	struct tandem_session *session;
	struct tandem_probe_host *host;
	struct tandem_session_event event;
};

static void peer_meet(struct peer *peer)
{
	char pair[TANDEM_PROBE_PAIR_BYTES];
	struct tandem_error error;
	tandem_session_progress(peer->session);
	while (!peer->is_asked && tandem_session_next_event(peer->session, &peer->event)) {
		if (peer->event.type != TANDEM_SESSION_MESSAGE)
			continue;
		peer->is_asked = true;
		cr_assert_str_eq(
		        tandem_probe_pair(peer->event.message, peer->event.message_bytes, pair),
		        PAIR);
		if (peer->treat == REFUSE || peer->treat == POSTPONE)
			tandem_probe_refuse(peer->session, peer->treat == POSTPONE, "not today");
		if (peer->treat == HOST)
			cr_assert_eq(tandem_probe_host_new(peer->session, &peer->host, &error), 0,
			             "%s", error.detail);
	}
}

static void *peer_run(void *argument)
{
	struct peer *peer = argument;
	bool is_over = false;
	while (!atomic_load(&peer->is_ending)) {
		struct pollfd fds[2] = {
		        {.fd = tandem_listener_fd(peer->listener), .events = POLLIN},
		        {.fd = peer->session ? tandem_session_fd(peer->session) : -1,
		         .events = POLLIN}};
		struct tandem_session *session;
		poll(fds, is_over ? 1 : 2, 5);
		if (tandem_listener_accept(peer->listener, &session, NULL) == 0)
			peer->session = session;
		if (peer->host && !is_over)
			is_over = !tandem_probe_host_progress(peer->host);
		else if (peer->session && !peer->host)
			peer_meet(peer);
	}
	return NULL;
}

static void peer_start(struct peer *peer, enum treatment treat)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_error error;
	*peer = (struct peer){.treat = treat};
	strcpy(options.rails[0].address, "127.0.0.1");
	cr_assert_eq(tandem_transport_open("tcp", "127.0.0.1", &peer->transport, &error), 0);
	cr_assert_eq(tandem_transport_listen(peer->transport, &options, &peer->listener, &error), 0,
	             "%s", error.detail);
	cr_assert_eq(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static void peer_end(struct peer *peer)
{
	atomic_store(&peer->is_ending, true);
	pthread_join(peer->thread, NULL);
	if (peer->host)
		tandem_probe_host_free(peer->host);
	else
		tandem_session_free(peer->session);
	tandem_listener_free(peer->listener);
	tandem_transport_free(peer->transport);
}

static int probe(const struct peer *peer, struct tandem_probe_result *ret_result,
                 struct tandem_error *error)
{
	struct tandem_probe_options options = {.pair = PAIR,
	                                       .transport = TANDEM_TRANSPORT_OPTIONS_DEFAULT,
	                                       .echo_count = 20,
	                                       .sample_ns = 50 * TANDEM_NS_PER_MS,
	                                       .write_bytes = 65536};
	struct tandem_transport *transport;
	strcpy(options.transport.rails[0].address, "127.0.0.1");
	options.transport.port = tandem_listener_port(peer->listener);
	cr_assert_eq(tandem_transport_open("tcp", "127.0.0.1", &transport, error), 0);
	int code = tandem_probe_run(transport, &options, ret_result, error);
	tandem_transport_free(transport);
	return code;
}

/* [P2], [P3] */
Test(probe, measures_the_path)
{
	struct peer peer;
	struct tandem_probe_result result;
	struct tandem_error error = {.code = 0};
	peer_start(&peer, HOST);
	cr_assert_eq(probe(&peer, &result, &error), 0, "%s", error.detail);
	peer_end(&peer);
	cr_assert_eq(result.channel_count, TANDEM_CHANNELS_DEFAULT);
	cr_assert_eq(result.echo_count, 20);
	cr_assert_gt(result.echo_min_ns, 0);
	cr_assert_leq(result.echo_min_ns, result.echo_median_ns);
	cr_assert_leq(result.echo_median_ns, result.echo_max_ns);
	cr_assert_geq(result.sample_bytes, 65536);
	cr_assert_geq(result.sample_ns, 50 * TANDEM_NS_PER_MS);
}

Test(probe, learns_why_it_is_refused)
{
	for (enum treatment treat = REFUSE; treat <= POSTPONE; treat++) {
		struct peer peer;
		struct tandem_probe_result result = {.echo_count = 99};
		struct tandem_error error = {.code = 0};
		peer_start(&peer, treat);
		cr_assert_eq(probe(&peer, &result, &error),
		             treat == POSTPONE ? TANDEM_E_AGAIN : TANDEM_E_REFUSED);
		cr_assert_str_eq(error.detail, "not today");
		cr_assert_eq(result.echo_count, 99, "set on success only");
		peer_end(&peer);
	}
}

Test(probe, does_not_wait_for_ever)
{
	struct peer peer;
	struct tandem_probe_result result;
	struct tandem_error error = {.code = 0};
	peer_start(&peer, SILENCE);
	cr_assert_eq(probe(&peer, &result, &error), TANDEM_E_TIMEOUT);
	cr_assert_not_null(strstr(error.detail, "did not answer within 2000 ms"), "%s",
	                   error.detail);
	peer_end(&peer);
}
