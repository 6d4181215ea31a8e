#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>

#include "peer.h"
#include "say.h"

#define RETRY_NS    (UINT64_C(250) * TANDEM_NS_PER_MS)
#define FENCE_NS    (UINT64_C(5000) * TANDEM_NS_PER_MS)
#define LOST_WORD   "lost "
#define FENCED_WORD "fenced "
#define MESSAGE_MAX 64

/* ---- repair: the connecting side says what it lost; fence, say so, restore ---- */

static bool tell(struct peer *peer, const char *word, unsigned channel)
{
	char text[MESSAGE_MAX];

	snprintf(text, sizeof(text), "%s%u", word, channel);
	return tandem_session_send(peer->session, text, strlen(text) + 1) == 0;
}

static void fence_and_tell(struct peer *peer, unsigned channel)
{
	struct tandem_error error = {0};
	const int rc = tandem_session_fence_channel(peer->session, channel,
	                                            tandem_clock_now_ns() + FENCE_NS, &error);

	if (rc != 0)
		say("fence_failed", (int)channel, 0, &error);
	else
		say("fenced", (int)channel, tell(peer, FENCED_WORD, channel), NULL);
}

static void is_fenced(struct peer *peer, unsigned channel)
{
	const uint64_t pause_ns = peer->has_tried[channel] ? RETRY_NS : 0;

	peer->has_tried[channel] = true;
	peer->restore_ns[channel] = tandem_clock_now_ns() + pause_ns;
}

/* True when the text is `word` and a channel. */
static bool is_word(const char *text, const char *word, unsigned *ret_channel)
{
	unsigned long channel;

	if (strncmp(text, word, strlen(word)) != 0)
		return false;
	channel = strtoul(text + strlen(word), NULL, 10);
	*ret_channel = (unsigned)channel;
	return channel < TANDEM_CHANNELS_MAX;
}

static void take_message(struct peer *peer, const struct tandem_session_event *event)
{
	const char *text = (const char *)event->message;
	unsigned channel;

	peer->message_count++;
	if (event->message_bytes == 0 || text[event->message_bytes - 1] != '\0')
		return;
	if (peer->is_listening_side && is_word(text, LOST_WORD, &channel))
		fence_and_tell(peer, channel);
	if (!peer->is_listening_side && is_word(text, FENCED_WORD, &channel))
		is_fenced(peer, channel);
}

static void channel_lost(struct peer *peer, const struct tandem_session_event *event)
{
	say("channel_lost", (int)event->channel, 0, &event->error);
	if (!peer->repairs || peer->is_listening_side)
		return;
	/* [N20] Also after a restore that failed: its join may have been taken late, and be lost.
	 */
	if (!tell(peer, LOST_WORD, event->channel))
		say("not_told", (int)event->channel, 0, NULL);
}

void peer_restore_due(struct peer *peer, uint64_t now_ns)
{
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++) {
		struct tandem_error error = {0};

		if (peer->restore_ns[i] == 0 || now_ns < peer->restore_ns[i] || peer->is_lost)
			continue;
		peer->restore_ns[i] = 0;
		if (tandem_session_restore(peer->session, i, &error) != 0)
			say("restore_failed", (int)i, 0, &error);
	}
}

uint64_t peer_restore_deadline_ns(const struct peer *peer)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++) {
		if (peer->restore_ns[i] != 0 && peer->restore_ns[i] < deadline_ns)
			deadline_ns = peer->restore_ns[i];
	}
	return deadline_ns;
}

/* ---- events ---- */

static void notified(struct peer *peer, const struct tandem_session_event *event)
{
	if (++peer->notice_counts[event->channel] == 1)
		say("receiving", (int)event->channel, 1, NULL);
}

static void take(struct peer *peer, const struct tandem_session_event *event)
{
	switch (event->type) {
	case TANDEM_SESSION_UP:
		peer->is_up = true;
		say("up", -1, event->channel_mask, NULL);
		break;
	case TANDEM_SESSION_CHANNEL_UP:
		peer->has_tried[event->channel] = false;
		say("channel_up", (int)event->channel, 0, NULL);
		break;
	case TANDEM_SESSION_CHANNEL_LOST:
		channel_lost(peer, event);
		break;
	case TANDEM_SESSION_MESSAGE:
		take_message(peer, event);
		break;
	case TANDEM_SESSION_NOTIFIED:
		notified(peer, event);
		break;
	case TANDEM_SESSION_BEAT_READ:
		break;
	case TANDEM_SESSION_LOST:
		peer->is_lost = true;
		say("lost", -1, 0, &event->error);
		break;
	}
}

void peer_take_events(struct peer *peer)
{
	static struct tandem_session_event event;

	while (tandem_session_next_event(peer->session, &event))
		take(peer, &event);
}
