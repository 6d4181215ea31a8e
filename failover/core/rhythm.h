#ifndef TANDEM_FAILOVER_RHYTHM_H
#define TANDEM_FAILOVER_RHYTHM_H

#include <stdbool.h>
#include <stdint.h>

/* When the heartbeats of one pair are due, and whether they may be sent at all. */
struct tandem_rhythm {
	uint64_t interval_ns;
	uint64_t window_ns;
	uint64_t pace_ns;
	uint64_t due_ns; /* on a grid of interval_ns, so that lateness never adds up */
};

void tandem_rhythm_init(struct tandem_rhythm *rhythm, uint64_t interval_ns, uint32_t miss_count,
                        uint64_t now_ns);
bool tandem_rhythm_is_due(const struct tandem_rhythm *rhythm, uint64_t now_ns);
/* To the next point of the grid after now; what was missed is not made up for. Returns how late the
 * one is that was due. */
uint64_t tandem_rhythm_advance(struct tandem_rhythm *rhythm, uint64_t now_ns);
/* When to look again at the latest. */
uint64_t tandem_rhythm_wake_ns(const struct tandem_rhythm *rhythm, uint64_t now_ns);
/* published_ns: when the controller's loop last said what heartbeats say, 0: never. A controller
 * whose loop hangs must not say that it lives, however well the thread runs that sends: half a
 * window after the loop's last word there is silence, so the peer has its suspicion one window and
 * a half after the loop stopped [H3]. */
bool tandem_rhythm_may_speak(const struct tandem_rhythm *rhythm, uint64_t published_ns,
                             uint64_t now_ns);

#endif
