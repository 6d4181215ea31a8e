#include "peer_beat.h"

void tandem_peer_beat_begin(struct tandem_peer_beat_view *view, uint64_t interval_ns,
                            uint64_t now_ns)
{
	*view = (struct tandem_peer_beat_view){
	        .interval_ns = interval_ns, .is_watched = true, .next_ns = now_ns};
}

void tandem_peer_beat_end(struct tandem_peer_beat_view *view)
{
	*view = (struct tandem_peer_beat_view){.interval_ns = view->interval_ns};
}

uint64_t tandem_peer_beat_deadline_ns(const struct tandem_peer_beat_view *view)
{
	return view->is_watched && !view->is_reading ? view->next_ns : UINT64_MAX;
}

static void forget(struct tandem_peer_beat_view *view)
{
	view->has_word = false;
	view->has_moved = false;
}

void tandem_peer_beat_reading(struct tandem_peer_beat_view *view, bool has_begun, uint64_t now_ns)
{
	view->is_reading = has_begun;
	view->begun_ns = now_ns;
	view->next_ns = now_ns + view->interval_ns;
	if (!has_begun)
		forget(view);
}

void tandem_peer_beat_read(struct tandem_peer_beat_view *view, bool has_word, uint64_t word)
{
	bool is_expected = view->is_watched && view->is_reading;

	view->is_reading = false;
	if (!is_expected || !has_word) {
		forget(view);
		return;
	}
	view->read_ns = view->begun_ns;
	view->has_moved = view->has_word && (view->has_moved || word != view->word);
	if (!view->has_word || word != view->word)
		view->moved_ns = view->begun_ns;
	view->has_word = true;
	view->word = word;
}

enum tandem_peer_beat tandem_peer_beat_of(const struct tandem_peer_beat_view *view)
{
	if (!view->has_word)
		return TANDEM_PEER_BEAT_UNKNOWN;
	if (view->read_ns - view->moved_ns >= TANDEM_PEER_BEAT_PATIENCE * view->interval_ns)
		return TANDEM_PEER_BEAT_STILL;
	/* One reading says nothing yet. */
	return view->has_moved ? TANDEM_PEER_BEAT_ADVANCING : TANDEM_PEER_BEAT_UNKNOWN;
}
