#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>

#include "peer.h"
#include "say.h"

#define FENCE_NS (UINT64_C(5000) * TANDEM_NS_PER_MS)

static void poison(struct peer *peer)
{
	memset(peer->memory, PEER_POISON, PEER_MEMORY_BYTES);
}

static void fence(struct peer *peer, unsigned channel)
{
	struct tandem_error error = {0};
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int rc = tandem_session_fence(peer->session, begin_ns + FENCE_NS, &error);

	(void)channel;
	poison(peer);
	say(rc == 0 ? "fenced" : "fence_failed", -1,
	    (tandem_clock_now_ns() - begin_ns) / TANDEM_NS_PER_MS, rc == 0 ? NULL : &error);
}

static void count_late_bytes(struct peer *peer, unsigned channel)
{
	uint64_t count = 0;

	(void)channel;
	for (size_t i = 0; i < PEER_MEMORY_BYTES; i++)
		count += peer->memory[i] != PEER_POISON;
	say("late", -1, count, NULL);
}

static void count_notices(struct peer *peer, unsigned channel)
{
	say("count", (int)channel, peer->notice_counts[channel], NULL);
}

static void break_channel(struct peer *peer, unsigned channel)
{
	tandem_session_break_channel(peer->session, channel);
	say("broken", (int)channel, 0, NULL);
}

static void yank(struct peer *peer, unsigned channel)
{
	const uint64_t begin_ns = tandem_clock_now_ns();

	(void)channel;
	tandem_session_yank(peer->session);
	say("yanked", -1, (tandem_clock_now_ns() - begin_ns) / TANDEM_NS_PER_MS, NULL);
}

static void send_message(struct peer *peer, unsigned channel)
{
	(void)channel;
	say("sent", -1, tandem_session_send(peer->session, "hello", 6) == 0, NULL);
}

static void set_silent(struct peer *peer, unsigned is_silent)
{
	peer->is_silent = is_silent != 0;
	say("silent", -1, is_silent, NULL);
}

static void set_deaf(struct peer *peer, unsigned is_deaf)
{
	peer->is_deaf = is_deaf != 0;
	say("deaf", -1, is_deaf, NULL);
}

static void set_streaming(struct peer *peer, unsigned is_streaming)
{
	peer->is_streaming = is_streaming != 0;
	say("streaming", -1, is_streaming, NULL);
}

static void end(struct peer *peer, unsigned channel)
{
	(void)channel;
	peer->is_ended = true;
}

static const struct {
	const char *name;
	void (*run)(struct peer *peer, unsigned argument);
	bool needs_session;
} commands[] = {
        {"fence", fence, true},
        {"late", count_late_bytes, false},
        {"count", count_notices, false},
        {"break", break_channel, true},
        {"yank", yank, true},
        {"send", send_message, true},
        {"silent", set_silent, true},
        {"deaf", set_deaf, false},
        {"stream", set_streaming, true},
        {"end", end, false},
};

void peer_command(struct peer *peer, char *line)
{
	char *argument = strchr(line, ' ');
	unsigned long number = 0;

	if (argument != NULL) {
		*argument++ = '\0';
		number = strtoul(argument, NULL, 10);
	}
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(line, commands[i].name) != 0 || number >= TANDEM_CHANNELS_MAX)
			continue;
		if (commands[i].needs_session && peer->session == NULL)
			break;
		commands[i].run(peer, (unsigned)number);
		return;
	}
	say("not_understood", -1, 0, NULL);
}
