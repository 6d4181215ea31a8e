#include "beats.h"

#include <tandem/clock.h>

#define INTERVAL_MIN_NS TANDEM_NS_PER_MS

/* Writers store the time first and readers load it last: a state is never seen with an older time
 * than its own, which would make an accusation of it. */
static void publish(struct tandem_beats *beats)
{
	const struct tandem_peer_beat_view *view = &beats->view;

	atomic_store(&beats->moved_ns, view->moved_ns);
	atomic_store(&beats->stale_ns,
	             view->read_ns + 2 * TANDEM_PEER_BEAT_TIMEOUT * view->interval_ns);
	atomic_store(&beats->state, (int)tandem_peer_beat_of(view));
}

void tandem_beats_begin(struct tandem_beats *beats, uint64_t interval_ns)
{
	if (interval_ns < INTERVAL_MIN_NS)
		interval_ns = INTERVAL_MIN_NS;
	tandem_peer_beat_begin(&beats->view, interval_ns, tandem_clock_now_ns());
	publish(beats);
}

void tandem_beats_end(struct tandem_beats *beats)
{
	tandem_peer_beat_end(&beats->view);
	publish(beats);
}

void tandem_beats_turn(struct tandem_beats *beats, struct tandem_session *session)
{
	struct tandem_peer_beat_view *view = &beats->view;
	uint64_t now_ns;
	int code;

	if (session == NULL)
		return;
	tandem_session_beat(session);
	now_ns = tandem_clock_now_ns();
	if (now_ns < tandem_peer_beat_deadline_ns(view))
		return;
	/* Whatever the reason is that it cannot: nothing is known. */
	code = tandem_session_read_beat(session, TANDEM_PEER_BEAT_TIMEOUT * view->interval_ns);
	tandem_peer_beat_reading(view, code == 0, now_ns);
	if (code < 0)
		publish(beats);
}

void tandem_beats_take(struct tandem_beats *beats, const struct tandem_session_event *event)
{
	tandem_peer_beat_read(&beats->view, event->has_beat, event->beat);
	publish(beats);
}

uint64_t tandem_beats_deadline_ns(const struct tandem_beats *beats)
{
	return tandem_peer_beat_deadline_ns(&beats->view);
}

void tandem_beats_report(const struct tandem_beats *beats, uint64_t now_ns,
                         struct tandem_control_message *report)
{
	enum tandem_peer_beat state = (enum tandem_peer_beat)atomic_load(&beats->state);
	uint64_t stale_ns = atomic_load(&beats->stale_ns);
	uint64_t moved_ns = atomic_load(&beats->moved_ns);

	if (state == TANDEM_PEER_BEAT_UNKNOWN || now_ns >= stale_ns)
		return;
	report->peer_beat = state;
	report->beat_age_ns = now_ns > moved_ns ? now_ns - moved_ns : 0;
}
