#ifndef TANDEM_FAILOVER_RHYTHM_H
#define TANDEM_FAILOVER_RHYTHM_H

#include <stdbool.h>
#include <stdint.h>

/* When the heartbeats of one pair are due, and whether they may be sent at all. */
struct tandem_rhythm {
	uint64_t interval_ns;
	uint64_t pace_ns;
	uint64_t due_ns; /* on a grid of interval_ns, so that lateness never adds up */
	uint64_t publication;
	uint32_t sent_count; /* of that publication */
	uint32_t sent_max;
};

void tandem_rhythm_init(struct tandem_rhythm *rhythm, uint64_t interval_ns, uint32_t miss_count,
                        uint64_t now_ns);
bool tandem_rhythm_is_due(const struct tandem_rhythm *rhythm, uint64_t now_ns);
/* To the next point of the grid after now; what was missed is not made up for. Returns how late the
 * one is that was due. */
uint64_t tandem_rhythm_advance(struct tandem_rhythm *rhythm, uint64_t now_ns);
/* When to look again at the latest. */
uint64_t tandem_rhythm_wake_ns(const struct tandem_rhythm *rhythm, uint64_t now_ns);
/* Whether the heartbeat that is due may be sent; to be asked once for each. `publication` numbers
 * what the controller's loop said last, 0: nothing yet. A controller whose loop hangs must not say
 * that it lives, however well the thread runs that sends: of what the loop said last half a window
 * is sent and no more, so the peer has its suspicion one window and a half after the loop stopped
 * [H3]. Heartbeats are counted and not time, because a node that did not run at all for a while
 * would blame its loop for it, and be silent even longer. */
bool tandem_rhythm_may_speak(struct tandem_rhythm *rhythm, uint64_t publication);

#endif
