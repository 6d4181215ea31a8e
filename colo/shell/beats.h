#ifndef TANDEM_COLO_BEATS_H
#define TANDEM_COLO_BEATS_H

#include <stdatomic.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/transport.h>

#include "../core/peer_beat.h"

/* A data plane's part of the beats [T18]: its working thread, the one that serves session,
 * scan and apply, moves the own word on at each turn and reads the peer's. So a thread that hangs
 * does neither: its word stands still, and it accuses nobody. The report is made by another
 * thread. */
struct tandem_beats {
	/* the working thread's */
	struct tandem_peer_beat_view view;

	/* any thread */
	_Atomic int state; /* enum tandem_peer_beat */
	_Atomic uint64_t moved_ns;
	_Atomic uint64_t stale_ns; /* what is older than this says nothing any more */
};

/* The session is up on both sides. A reading an interval, which is that of the reports: none sees
 * more often. */
void tandem_beats_begin(struct tandem_beats *beats, uint64_t interval_ns);
/* It has ended. */
void tandem_beats_end(struct tandem_beats *beats);
/* At each turn of the working thread; `session` may be NULL. */
void tandem_beats_turn(struct tandem_beats *beats, struct tandem_session *session);
/* TANDEM_SESSION_BEAT_READ. */
void tandem_beats_take(struct tandem_beats *beats, const struct tandem_session_event *event);
/* When the next turn must be; UINT64_MAX for never. */
uint64_t tandem_beats_deadline_ns(const struct tandem_beats *beats);
/* Any thread. */
void tandem_beats_report(const struct tandem_beats *beats, uint64_t now_ns,
                         struct tandem_control_message *report);

#endif
