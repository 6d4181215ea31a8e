#include "channels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TANDEM_STATS_CHANNELS_MAX >= TANDEM_CHANNELS_MAX, "each channel has its place");

void tandem_channels_init(struct tandem_channels *channels,
                          const struct tandem_control_settings *settings, uint64_t random)
{
	memset(channels, 0, sizeof *channels);
	channels->count = settings->channel_count;
	for (unsigned channel = 0; channel < channels->count; channel++)
		channels->items[channel].backoff = (struct tandem_backoff){
		        .interval_ns = settings->reconnect_interval_ns,
		        .interval_max_ns = settings->reconnect_interval_max_ns,
		        .random = random + channel};
	tandem_channels_end(channels);
}

void tandem_channels_begin(struct tandem_channels *channels, uint32_t channel_mask)
{
	for (unsigned channel = 0; channel < channels->count; channel++) {
		channels->items[channel].is_up = (channel_mask & 1u << channel) != 0;
		channels->items[channel].restore_at_ns = UINT64_MAX;
		tandem_backoff_reset(&channels->items[channel].backoff);
	}
}

void tandem_channels_end(struct tandem_channels *channels)
{
	tandem_channels_begin(channels, 0);
}

bool tandem_channels_lose(struct tandem_channels *channels, unsigned channel)
{
	struct tandem_channel *item = &channels->items[channel];
	bool was_up = item->is_up;

	item->is_up = false;
	item->restore_at_ns = UINT64_MAX;
	return was_up;
}

bool tandem_channels_restore(struct tandem_channels *channels, unsigned channel)
{
	struct tandem_channel *item = &channels->items[channel];
	bool was_up = item->is_up;

	item->is_up = true;
	item->restore_at_ns = UINT64_MAX;
	tandem_backoff_reset(&item->backoff);
	return !was_up;
}

unsigned tandem_channels_up_count(const struct tandem_channels *channels)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < channels->count; channel++)
		count += channels->items[channel].is_up;
	return count;
}

void tandem_channels_free(struct tandem_channels *channels, uint32_t channel_mask, uint64_t now_ns)
{
	for (unsigned channel = 0; channel < channels->count; channel++) {
		struct tandem_channel *item = &channels->items[channel];

		if ((channel_mask & 1u << channel) != 0)
			item->restore_at_ns = now_ns + tandem_backoff_next(&item->backoff);
	}
}

void tandem_channels_try(struct tandem_channels *channels, struct tandem_session *session,
                         uint64_t now_ns)
{
	for (unsigned channel = 0; channel < channels->count; channel++) {
		struct tandem_channel *item = &channels->items[channel];

		if (now_ns < item->restore_at_ns)
			continue;
		item->restore_at_ns = UINT64_MAX;
		/* Refused at once: a failure of this side, that may pass. */
		if (tandem_session_restore(session, channel, NULL) < 0)
			item->restore_at_ns = now_ns + tandem_backoff_next(&item->backoff);
	}
}

uint64_t tandem_channels_deadline_ns(const struct tandem_channels *channels)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (unsigned channel = 0; channel < channels->count; channel++) {
		if (channels->items[channel].restore_at_ns < deadline_ns)
			deadline_ns = channels->items[channel].restore_at_ns;
	}
	return deadline_ns;
}

static void show(struct tandem_channel_stats *stats, const struct tandem_channel_status *status)
{
	atomic_store_explicit(&stats->rail, status->rail, memory_order_relaxed);
	atomic_store_explicit(&stats->bytes, status->bytes, memory_order_relaxed);
	atomic_store_explicit(&stats->inflight_count, status->inflight_count, memory_order_relaxed);
	atomic_store_explicit(&stats->oldest_posted_ns, status->oldest_posted_ns,
	                      memory_order_relaxed);
	/* Before the numbers that make somebody look at it. */
	if (status->first_error.code != 0 && strncmp(stats->first_error, status->first_error.detail,
	                                             sizeof stats->first_error - 1) != 0)
		snprintf(stats->first_error, sizeof stats->first_error, "%.*s",
		         (int)sizeof stats->first_error - 1, status->first_error.detail);
	atomic_store_explicit(&stats->lost_count, status->lost_count, memory_order_release);
	atomic_store_explicit(&stats->state, status->state, memory_order_release);
}

void tandem_channels_show(const struct tandem_channels *channels,
                          const struct tandem_session *session, struct tandem_stats *stats)
{
	for (unsigned channel = 0; channel < channels->count; channel++) {
		struct tandem_channel_stats *place = &stats->channels[channel];
		struct tandem_channel_status status;

		if (session != NULL) {
			tandem_session_channel_status(session, channel, &status);
			show(place, &status);
			continue;
		}
		atomic_store_explicit(&place->inflight_count, 0, memory_order_relaxed);
		atomic_store_explicit(&place->oldest_posted_ns, 0, memory_order_relaxed);
		atomic_store_explicit(&place->state, TANDEM_CHANNEL_DOWN, memory_order_release);
	}
}
