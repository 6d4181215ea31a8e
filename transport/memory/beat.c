#include <tandem/clock.h>

#include "memory/fabric.h"

/* [T18] As a device reads: what the peer's word is when the reading moves, whatever the peer's own
 * thread does. */

static const struct tandem_memory_session *readable_peer(
        const struct tandem_memory_session *session)
{
	const enum tandem_memory_side side = session->side == TANDEM_SIDE_CONNECTING
	                                             ? TANDEM_SIDE_LISTENING
	                                             : TANDEM_SIDE_CONNECTING;
	const struct tandem_memory_session *peer = session->link->ends[side];
	bool is_readable = peer && !session->link->is_over[side] && !atomic_load(&peer->is_yanked);
	return is_readable ? peer : NULL;
}

void tandem_memory_session_beat(struct tandem_session *head)
{
	tandem_memory_session_of(head)->beat.word++;
}

int tandem_memory_session_read_beat(struct tandem_session *head, uint64_t timeout_ns)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	struct tandem_memory_beat *beat = &session->beat;
	if (session->state == TANDEM_MEMORY_OVER || atomic_load(&session->is_yanked))
		return TANDEM_E_PEER_LOST;
	if (session->state == TANDEM_MEMORY_JOINING || beat->is_awaited || beat->has_event)
		return TANDEM_E_AGAIN;
	beat->is_awaited = true;
	beat->deadline_ns = tandem_clock_now_ns() + timeout_ns;
	tandem_memory_session_refresh(session);
	return 0;
}

bool tandem_memory_beat_may_move(const struct tandem_memory_session *session)
{
	return session->beat.is_awaited && readable_peer(session);
}

void tandem_memory_beat_move(struct tandem_memory_session *session, uint64_t now_ns)
{
	struct tandem_memory_beat *beat = &session->beat;
	const struct tandem_memory_session *peer = readable_peer(session);
	bool has_come = peer && !tandem_fabric_is_held(session->link->fabric);
	if (!beat->is_awaited || (!has_come && now_ns < beat->deadline_ns))
		return;
	beat->is_awaited = false;
	beat->has_event = true;
	beat->has_come = has_come;
	beat->peer_word = has_come ? peer->beat.word : 0;
}

uint64_t tandem_memory_beat_deadline_ns(const struct tandem_memory_session *session)
{
	return session->beat.is_awaited ? session->beat.deadline_ns : UINT64_MAX;
}

bool tandem_memory_beat_take(struct tandem_memory_session *session,
                             struct tandem_session_event *ret_event)
{
	struct tandem_memory_beat *beat = &session->beat;
	if (!beat->has_event)
		return false;
	beat->has_event = false;
	ret_event->type = TANDEM_SESSION_BEAT_READ;
	ret_event->has_beat = beat->has_come;
	ret_event->beat = beat->peer_word;
	return true;
}
