#ifndef TANDEM_FAILOVER_DETECTOR_H
#define TANDEM_FAILOVER_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/controller.h>

/* When to suspect the peer's controller: silence of a whole window on every link. It only says when
 * to suspect; the register says who is right. */
struct tandem_detector {
	uint64_t window_ns;
	uint64_t restart_ns; /* silence is counted from here at the earliest */
	uint64_t back_ns;    /* first heard after silence on every link */
	uint64_t tick_ns;    /* when this node last ran */
	size_t link_count;
	uint64_t heard_ns[TANDEM_CONTROLLER_LINKS_MAX]; /* 0: never */
};

void tandem_detector_init(struct tandem_detector *detector, uint64_t interval_ns,
                          uint32_t miss_count, size_t link_count, uint64_t now_ns);
/* How often a node must at least run so that half a window without running is no habit of its own:
 * each interval, or each quarter of the window where that is shorter. */
uint64_t tandem_detector_pace_ns(uint64_t interval_ns, uint32_t miss_count);
/* `link` is below link_count; heard_ns is when it arrived, which a busy node learns later. */
void tandem_detector_hear(struct tandem_detector *detector, size_t link, uint64_t heard_ns);
/* To be called at least at the pace. deaf_ns: for how long at most, since the last call, nobody
 * listened to the links. Returns 0, or for how long this node was not scheduled, the caller or who
 * listens, when that was half a window or more; then all windows start again, because a node that
 * slept may not accuse [H5]. */
uint64_t tandem_detector_tick(struct tandem_detector *detector, uint64_t now_ns, uint64_t deaf_ns);
/* The newest sign of life, or the restart when that is younger. */
uint64_t tandem_detector_silent_since_ns(const struct tandem_detector *detector);
bool tandem_detector_is_silent(const struct tandem_detector *detector, uint64_t now_ns);
bool tandem_detector_link_is_up(const struct tandem_detector *detector, size_t link,
                                uint64_t now_ns);
/* The newest heartbeat on any link, 0 when there was never one. */
uint64_t tandem_detector_heard_ns(const struct tandem_detector *detector);

#endif
