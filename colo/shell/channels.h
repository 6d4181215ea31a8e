#ifndef TANDEM_CHANNELS_H
#define TANDEM_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/stats_page.h>
#include <tandem/transport.h>

#include "../core/backoff.h"

/* The data channels of the primary's session: which are up, when a fenced one is tried again, and
 * what others may see of them. One thread. */
struct tandem_channel {
	bool is_up;
	uint64_t restore_at_ns; /* UINT64_MAX: not now */
	struct tandem_backoff backoff;
};

struct tandem_channels {
	unsigned count;
	struct tandem_channel items[TANDEM_CHANNELS_MAX];
	uint64_t show_at_ns;
};

void tandem_channels_init(struct tandem_channels *channels,
                          const struct tandem_control_settings *settings, uint64_t random);
/* A session that came up with these; the others wait for their fence. */
void tandem_channels_begin(struct tandem_channels *channels, uint32_t channel_mask);
void tandem_channels_end(struct tandem_channels *channels);
/* True when the channel was up: worth a line. One that could not be restored is not. */
bool tandem_channels_lose(struct tandem_channels *channels, unsigned channel);
bool tandem_channels_restore(struct tandem_channels *channels, unsigned channel);
unsigned tandem_channels_up_count(const struct tandem_channels *channels);
/* [T17], [C25]: from now on they may join again; each after its pause. */
void tandem_channels_free(struct tandem_channels *channels, uint32_t channel_mask, uint64_t now_ns);
/* Starts to restore those whose pause is over. */
void tandem_channels_try(struct tandem_channels *channels, struct tandem_session *session,
                         uint64_t now_ns);
uint64_t tandem_channels_deadline_ns(const struct tandem_channels *channels);
/* Writes what the transport says into the statistics; `session` may be NULL. */
void tandem_channels_show(const struct tandem_channels *channels,
                          const struct tandem_session *session, struct tandem_stats *stats);

#endif
