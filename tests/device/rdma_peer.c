/* One side of an rdma session between two machines, driven by signals, for tests that freeze and
 * kill. Everything that happens is one line of output.
 *
 *   rdma_peer listen ADDRESS PORT   SIGUSR1: fence and poison the memory; SIGUSR2: count the bytes
 *                                   that changed since; SIGTERM: free and end
 *   rdma_peer write ADDRESS PORT    writes at full rate; SIGUSR1: yank; SIGTERM: free and end
 *
 * With "beats" as a fourth word nothing is written: it moves its beat on and says how the other's
 * is: "beat advancing", "beat still", "beat unknown". */

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/transport.h>

#define MEMORY_BYTES     ((size_t)8 << 20)
#define PAGE             4096
#define BATCH            32
#define POISON           0xa5
#define CONTENT          0x5a
#define PEER_TIMEOUT_NS  (UINT64_C(1000) * TANDEM_NS_PER_MS)
#define JOIN_TIMEOUT_NS  (UINT64_C(10000) * TANDEM_NS_PER_MS)
#define FENCE_TIMEOUT_NS (UINT64_C(5000) * TANDEM_NS_PER_MS)
#define STORY_MS         120000
#define BEAT_NS          (UINT64_C(100) * TANDEM_NS_PER_MS)
#define BEAT_TIMEOUT_NS  (UINT64_C(400) * TANDEM_NS_PER_MS)
#define BEATS_STILL      10 /* a machine that emulates does not run evenly */

struct peer {
	bool is_writer;
	bool watches_beats;
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct tandem_session *session;
	uint8_t *memory;
	int signal_fd;
	bool is_up;
	bool is_lost;
	bool is_ended;
	unsigned notice_count;
	uint64_t yanked_ns;
	uint64_t beat_ns; /* when the peer's word is read next */
	uint64_t beat;
	unsigned still_count;
	const char *beat_said;
};

static uint64_t ms_since(uint64_t then_ns)
{
	return (tandem_clock_now_ns() - then_ns) / TANDEM_NS_PER_MS;
}

static void fail(const char *what, const struct tandem_error *error)
{
	printf("failed %s: %s\n", what, error->detail);
	exit(EXIT_FAILURE);
}

/* ---- what signals ask for ---- */

static void fence(struct peer *peer)
{
	struct tandem_error error = {0};
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int rc = tandem_session_fence(peer->session, begin_ns + FENCE_TIMEOUT_NS, &error);

	memset(peer->memory, POISON, MEMORY_BYTES);
	printf("fenced %s within %llu ms %s\n", rc == 0 ? "well" : tandem_error_name(rc),
	       (unsigned long long)ms_since(begin_ns), error.detail);
}

static void count_late_bytes(const struct peer *peer)
{
	size_t count = 0;

	for (size_t i = 0; i < MEMORY_BYTES; i++)
		count += peer->memory[i] != POISON;
	printf("late %zu\n", count);
}

static void yank(struct peer *peer)
{
	peer->yanked_ns = tandem_clock_now_ns();
	tandem_session_yank(peer->session);
	printf("yanked within %llu ms\n", (unsigned long long)ms_since(peer->yanked_ns));
}

static void take_signal(struct peer *peer)
{
	struct signalfd_siginfo info;

	if (read(peer->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGTERM)
		peer->is_ended = true;
	else if (info.ssi_signo == SIGUSR1 && peer->is_writer)
		yank(peer);
	else if (info.ssi_signo == SIGUSR1)
		fence(peer);
	else if (info.ssi_signo == SIGUSR2)
		count_late_bytes(peer);
}

/* ---- beats ---- */

static void say_beat(struct peer *peer, const char *what)
{
	if (peer->beat_said != NULL && strcmp(peer->beat_said, what) == 0)
		return;
	peer->beat_said = what;
	printf("beat %s\n", what);
}

static void take_beat(struct peer *peer, const struct tandem_session_event *event)
{
	const bool has_moved = event->beat != peer->beat;

	peer->still_count = event->has_beat && !has_moved ? peer->still_count + 1 : 0;
	if (!event->has_beat)
		say_beat(peer, "unknown");
	else if (has_moved)
		say_beat(peer, "advancing");
	else if (peer->still_count >= BEATS_STILL)
		say_beat(peer, "still");
	if (event->has_beat)
		peer->beat = event->beat;
}

static void turn_beat(struct peer *peer)
{
	const uint64_t now_ns = tandem_clock_now_ns();

	if (!peer->watches_beats)
		return;
	tandem_session_beat(peer->session);
	if (now_ns < peer->beat_ns)
		return;
	peer->beat_ns = now_ns + BEAT_NS;
	/* One that is under way, or a session that is not up, is nothing new. */
	if (tandem_session_read_beat(peer->session, BEAT_TIMEOUT_NS) != 0)
		return;
}

/* ---- the session ---- */

static void say_lost(struct peer *peer, const struct tandem_error *error)
{
	peer->is_lost = true;
	if (peer->yanked_ns != 0)
		printf("back within %llu ms\n", (unsigned long long)ms_since(peer->yanked_ns));
	printf("lost %s, wc %d: %s\n", tandem_error_name(error->code), error->wc_status,
	       error->detail);
}

static void take_events(struct peer *peer)
{
	static struct tandem_session_event event;

	while (tandem_session_next_event(peer->session, &event)) {
		if (event.type == TANDEM_SESSION_UP)
			peer->is_up = true;
		if (event.type == TANDEM_SESSION_LOST)
			say_lost(peer, &event.error);
		if (event.type == TANDEM_SESSION_BEAT_READ)
			take_beat(peer, &event);
		if (event.type != TANDEM_SESSION_NOTIFIED)
			continue;
		if (++peer->notice_count == 20)
			printf("receiving\n");
	}
}

static void write_round(struct peer *peer, unsigned channel)
{
	const unsigned channel_count = tandem_session_channel_count(peer->session);
	struct tandem_write writes[BATCH];
	unsigned taken = 0;

	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){.offset = (uint64_t)PAGE *
		                                            (i * channel_count + channel),
		                                  .source = peer->memory + PAGE * i,
		                                  .length = PAGE};
	if (tandem_session_write(peer->session, channel, writes, BATCH, &taken) != 0)
		return;
	/* A queue that is full is what this is for. */
	if (tandem_session_notify(peer->session, channel, &writes[0], channel) != 0)
		return;
}

static void write_all(struct peer *peer)
{
	if (!peer->is_up || peer->is_lost || peer->watches_beats ||
	    tandem_session_exposed_bytes(peer->session, 0) != MEMORY_BYTES)
		return;
	for (unsigned i = 0; i < tandem_session_channel_count(peer->session); i++)
		write_round(peer, i);
}

static void progress(struct peer *peer)
{
	tandem_session_progress(peer->session);
	take_events(peer);
	turn_beat(peer);
}

/* As long as the session lives too: its data channels come in here. */
static void accept_session(struct peer *peer)
{
	struct tandem_session *session = NULL;
	struct tandem_error error = {0};
	const int rc = tandem_listener_accept(peer->listener, &session, &error);

	if (rc == TANDEM_E_AGAIN)
		return;
	if (rc != 0 || peer->session != NULL)
		fail("accept", &error);
	peer->session = session;
	if (tandem_session_expose(peer->session, 0, peer->memory, MEMORY_BYTES, &error) != 0)
		fail("expose", &error);
	printf("joined\n");
}

static int wait_ms(const struct peer *peer)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns = UINT64_MAX;

	if (peer->listener != NULL)
		deadline_ns = tandem_listener_deadline_ns(peer->listener);
	if (peer->session != NULL && tandem_session_deadline_ns(peer->session) < deadline_ns)
		deadline_ns = tandem_session_deadline_ns(peer->session);
	if (peer->session != NULL && peer->watches_beats && !peer->is_lost &&
	    peer->beat_ns < deadline_ns)
		deadline_ns = peer->beat_ns;
	if (deadline_ns <= now_ns)
		return 0;
	deadline_ns -= now_ns;
	return deadline_ns < UINT64_C(1000) * TANDEM_NS_PER_MS
	               ? (int)(deadline_ns / TANDEM_NS_PER_MS) + 1
	               : 1000;
}

static void serve(struct peer *peer)
{
	struct pollfd fds[3] = {{.fd = peer->signal_fd, .events = POLLIN},
	                        {.fd = -1, .events = POLLIN},
	                        {.fd = -1, .events = POLLIN}};

	if (peer->session != NULL)
		fds[1].fd = tandem_session_fd(peer->session);
	if (peer->listener != NULL)
		fds[2].fd = tandem_listener_fd(peer->listener);
	poll(fds, 3, wait_ms(peer));
	if (peer->listener != NULL)
		accept_session(peer);
	if (peer->session != NULL)
		progress(peer);
	if (peer->is_writer)
		write_all(peer);
	if ((fds[0].revents & POLLIN) != 0)
		take_signal(peer);
}

/* ---- beginning ---- */

static void begin(struct peer *peer, const char *address, const char *port)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_error error = {0};
	int rc;

	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "%s", address);
	options.port = (uint16_t)strtoul(port, NULL, 10);
	options.connect_timeout_ns = JOIN_TIMEOUT_NS;
	options.peer_timeout_ns = PEER_TIMEOUT_NS;
	if (tandem_transport_open("rdma", peer->is_writer ? "" : address, &peer->transport,
	                          &error) != 0)
		fail("open", &error);
	if (!peer->is_writer) {
		if (tandem_transport_listen(peer->transport, &options, &peer->listener, &error) !=
		    0)
			fail("listen", &error);
		printf("listening\n");
		return;
	}
	memset(peer->memory, CONTENT, MEMORY_BYTES);
	rc = tandem_transport_connect(peer->transport, &options, &peer->session, &error);
	if (rc == 0)
		rc = tandem_session_register(peer->session, peer->memory, MEMORY_BYTES, &error);
	if (rc != 0)
		fail("connect", &error);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argument_count, char **arguments)
{
	struct peer peer = {.memory = tandem_memory_map(MEMORY_BYTES)};
	const uint64_t begin_ns = tandem_clock_now_ns();

	if (argument_count < 4 || argument_count > 5 || peer.memory == NULL)
		return 2;
	peer.watches_beats = argument_count == 5 && strcmp(arguments[4], "beats") == 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	peer.signal_fd = open_signals();
	peer.is_writer = strcmp(arguments[1], "write") == 0;
	begin(&peer, arguments[2], arguments[3]);
	while (!peer.is_ended && ms_since(begin_ns) < STORY_MS)
		serve(&peer);
	tandem_session_free(peer.session);
	tandem_listener_free(peer.listener);
	tandem_transport_free(peer.transport);
	printf("ended\n");
	return peer.is_ended ? EXIT_SUCCESS : EXIT_FAILURE;
}
