/* One side of a session, for tests that break what is under it. Each event is one line of JSON;
 * commands come on stdin (peer_command.c).
 *
 *   stuck_peer listen|connect PROVIDER ADDRESS PORT [NAME=NUMBER...]
 *
 * channels, connect_ms, peer_ms   as the options of a session
 * stream   connecting side: writes whenever there is room, `gap_ms` apart
 * repair   lost channels are fenced and restored
 * deaf     listening side: 1 answers nobody, 2 only the control channel */

#include "peer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "say.h"

#define PAGE        4096
#define BATCH       8
#define POLL_MAX_MS 1000
#define STORY_NS    (UINT64_C(180000) * TANDEM_NS_PER_MS) /* nobody is left behind for longer */

static void fail(const char *what, const struct tandem_error *error)
{
	say(what, -1, 0, error);
	exit(EXIT_FAILURE);
}

/* ---- the session ---- */

static void write_round(struct peer *peer, unsigned channel)
{
	const unsigned channel_count = tandem_session_channel_count(peer->session);
	struct tandem_write writes[BATCH];
	unsigned taken_count = 0;

	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){.offset = (uint64_t)PAGE *
		                                            (i * channel_count + channel),
		                                  .source = peer->memory + PAGE * i,
		                                  .length = PAGE};
	/* What is full or lost shows in the events. */
	if (tandem_session_write(peer->session, channel, writes, BATCH, &taken_count) != 0 ||
	    tandem_session_notify(peer->session, channel, &writes[0], channel) != 0)
		return;
}

static void stream(struct peer *peer, uint64_t now_ns)
{
	if (!peer->is_streaming || !peer->is_up || peer->is_lost || peer->is_silent ||
	    now_ns < peer->next_write_ns ||
	    tandem_session_exposed_bytes(peer->session, 0) != PEER_MEMORY_BYTES)
		return;
	peer->next_write_ns = now_ns + peer->gap_ns;
	for (unsigned i = 0; i < tandem_session_channel_count(peer->session); i++)
		write_round(peer, i);
}

static void drive(struct peer *peer)
{
	if (peer->session == NULL || peer->is_silent)
		return;
	tandem_session_progress(peer->session);
	peer_take_events(peer);
	peer_restore_due(peer, tandem_clock_now_ns());
	stream(peer, tandem_clock_now_ns());
}

static void take_session(struct peer *peer, struct tandem_session *session)
{
	struct tandem_error error = {0};

	if (peer->session != NULL) {
		say("surplus", -1, 0, NULL);
		tandem_session_free(session);
		return;
	}
	peer->session = session;
	if (tandem_session_expose(session, 0, peer->memory, PEER_MEMORY_BYTES, &error) != 0)
		say("expose_failed", -1, 0, &error);
	say("joined", -1, 0, NULL);
}

static bool is_accepting(const struct peer *peer)
{
	return peer->listener != NULL && !peer->is_deaf &&
	       !(peer->is_deaf_to_data && peer->session != NULL);
}

static void accept_all(struct peer *peer)
{
	int rc = 0;

	while (is_accepting(peer) && rc != TANDEM_E_AGAIN) {
		struct tandem_session *session = NULL;
		struct tandem_error error = {0};

		rc = tandem_listener_accept(peer->listener, &session, &error);
		if (rc == 0)
			take_session(peer, session);
		else if (rc != TANDEM_E_AGAIN)
			say("turned_away", -1, 0, &error);
	}
}

/* ---- waiting ---- */

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static int wait_ms(const struct peer *peer)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns = now_ns + (uint64_t)POLL_MAX_MS * TANDEM_NS_PER_MS;

	if (is_accepting(peer))
		deadline_ns = earlier(deadline_ns, tandem_listener_deadline_ns(peer->listener));
	if (peer->session != NULL && !peer->is_silent) {
		deadline_ns = earlier(deadline_ns, tandem_session_deadline_ns(peer->session));
		deadline_ns = earlier(deadline_ns, peer_restore_deadline_ns(peer));
		if (peer->is_streaming && peer->is_up && !peer->is_lost)
			deadline_ns = earlier(deadline_ns, peer->next_write_ns);
	}
	if (deadline_ns <= now_ns)
		return 0;
	return (int)((deadline_ns - now_ns + TANDEM_NS_PER_MS - 1) / TANDEM_NS_PER_MS);
}

/* Whole lines; a test that has gone is a reason to go too. */
static void read_commands(struct peer *peer)
{
	static char text[256];
	static size_t text_bytes;
	const ssize_t got = read(STDIN_FILENO, text + text_bytes, sizeof(text) - 1 - text_bytes);
	char *newline;

	if (got <= 0) {
		peer->is_ended = true;
		return;
	}
	text_bytes += (size_t)got;
	text[text_bytes] = '\0';
	while ((newline = memchr(text, '\n', text_bytes)) != NULL) {
		*newline = '\0';
		peer_command(peer, text);
		text_bytes -= (size_t)(newline + 1 - text);
		memmove(text, newline + 1, text_bytes + 1);
	}
	if (text_bytes == sizeof(text) - 1)
		peer->is_ended = true;
}

static void serve(struct peer *peer)
{
	struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
	                        {.fd = -1, .events = POLLIN},
	                        {.fd = -1, .events = POLLIN}};

	if (is_accepting(peer))
		fds[1].fd = tandem_listener_fd(peer->listener);
	if (peer->session != NULL && !peer->is_silent)
		fds[2].fd = tandem_session_fd(peer->session);
	poll(fds, 3, wait_ms(peer));
	accept_all(peer);
	drive(peer);
	if (fds[0].revents != 0)
		read_commands(peer);
}

/* ---- beginning ---- */

static void set_option(struct peer *peer, const char *name, uint64_t value)
{
	if (strcmp(name, "channels") == 0)
		peer->options.channel_count = (unsigned)value;
	else if (strcmp(name, "connect_ms") == 0)
		peer->options.connect_timeout_ns = value * TANDEM_NS_PER_MS;
	else if (strcmp(name, "peer_ms") == 0)
		peer->options.peer_timeout_ns = value * TANDEM_NS_PER_MS;
	else if (strcmp(name, "gap_ms") == 0)
		peer->gap_ns = value * TANDEM_NS_PER_MS;
	else if (strcmp(name, "stream") == 0)
		peer->is_streaming = value != 0;
	else if (strcmp(name, "repair") == 0)
		peer->repairs = value != 0;
	else if (strcmp(name, "deaf") == 0) {
		peer->is_deaf = value == 1;
		peer->is_deaf_to_data = value == 2;
	} else {
		fprintf(stderr, "stuck_peer: unknown option '%s'\n", name);
		exit(2);
	}
}

static void set_options(struct peer *peer, char **arguments, int count)
{
	for (int i = 0; i < count; i++) {
		char *value = strchr(arguments[i], '=');

		if (value == NULL) {
			fprintf(stderr, "stuck_peer: '%s' is not NAME=NUMBER\n", arguments[i]);
			exit(2);
		}
		*value++ = '\0';
		set_option(peer, arguments[i], strtoull(value, NULL, 10));
	}
}

static void begin_listening(struct peer *peer)
{
	struct tandem_error error = {0};

	if (tandem_transport_listen(peer->transport, &peer->options, &peer->listener, &error) != 0)
		fail("listen_failed", &error);
	say("listening", -1, tandem_listener_port(peer->listener), NULL);
}

static void begin_connecting(struct peer *peer)
{
	struct tandem_error error = {0};

	memset(peer->memory, PEER_CONTENT, PEER_MEMORY_BYTES);
	if (tandem_transport_connect(peer->transport, &peer->options, &peer->session, &error) !=
	            0 ||
	    tandem_session_register(peer->session, peer->memory, PEER_MEMORY_BYTES, &error) != 0)
		fail("connect_failed", &error);
	say("connecting", -1, 0, NULL);
}

static void open_peer(struct peer *peer, const char *provider, const char *address,
                      const char *port)
{
	struct tandem_error error = {0};

	snprintf(peer->options.rails[0].address, sizeof(peer->options.rails[0].address), "%s",
	         address);
	peer->options.port = (uint16_t)strtoul(port, NULL, 10);
	if (tandem_transport_open(provider, peer->is_listening_side ? address : "",
	                          &peer->transport, &error) != 0)
		fail("open_failed", &error);
	if (peer->is_listening_side)
		begin_listening(peer);
	else
		begin_connecting(peer);
}

int main(int argument_count, char **arguments)
{
	struct peer peer = {.options = TANDEM_TRANSPORT_OPTIONS_DEFAULT,
	                    .memory = tandem_memory_map(PEER_MEMORY_BYTES),
	                    .gap_ns = UINT64_C(5) * TANDEM_NS_PER_MS};
	const uint64_t end_ns = tandem_clock_now_ns() + STORY_NS;

	if (argument_count < 5 || peer.memory == NULL)
		return 2;
	peer.is_listening_side = strcmp(arguments[1], "listen") == 0;
	set_options(&peer, arguments + 5, argument_count - 5);
	open_peer(&peer, arguments[2], arguments[3], arguments[4]);
	while (!peer.is_ended && tandem_clock_now_ns() < end_ns)
		serve(&peer);
	tandem_session_free(peer.session);
	tandem_listener_free(peer.listener);
	tandem_transport_free(peer.transport);
	tandem_memory_unmap(peer.memory, PEER_MEMORY_BYTES);
	say("ended", -1, 0, NULL);
	return peer.is_ended ? EXIT_SUCCESS : EXIT_FAILURE;
}
