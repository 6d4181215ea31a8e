#include "standby_internal.h"

#include <string.h>

#include <tandem/clock.h>

/* A tenth of a millisecond or less: what comes in meanwhile waits for it. */
#define SLICE_PAGES 64u
#define QUIET_NS    (2 * TANDEM_NS_PER_MS)
#define RETRY_NS    (200 * TANDEM_NS_PER_MS)
#define TURN_NS_MAX (2 * TANDEM_NS_PER_MS)
/* Of a session that is never quiet it takes so small a part of the time. */
#define BUSY_FACTOR 127u

static void note_no_room(struct tandem_standby *standby)
{
	standby->room.is_out = true;
	standby->room.next_ns = tandem_clock_now_ns() + RETRY_NS;
}

bool tandem_standby_reserve(struct tandem_standby *standby, unsigned channel)
{
	const struct tandem_inbox_epoch *sealing = &standby->inbox.sealing;

	if (tandem_image_reserve(&standby->image, sealing->runs[channel],
	                         sealing->run_count[channel], &standby->lost) == 0)
		return true;
	note_no_room(standby);
	return false;
}

int tandem_standby_restore_room(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	int code = 0;

	if (standby->room.is_out)
		code = tandem_image_reserve_more(&standby->image, standby->image.missing_pages,
		                                 reterr_error);
	if (code == 0)
		standby->room.is_out = false;
	return code;
}

static bool wants_room(const struct tandem_standby *standby)
{
	return standby->image.is_made && !standby->core.is_void &&
	       (standby->image.missing_pages > 0 || standby->room.owes_fenced);
}

uint64_t tandem_standby_room_at_ns(const struct tandem_standby *standby)
{
	const struct tandem_standby_room *room = &standby->room;

	if (!wants_room(standby) || (room->is_out && !room->owes_fenced))
		return UINT64_MAX;
	if (room->is_out)
		return room->next_ns;
	if (room->owes_fenced)
		return 0;
	return room->next_ns < room->quiet_ns ? room->next_ns : room->quiet_ns;
}

/* A first copy brings so many pages at once that their room is taken in step with it: as much time
 * goes there as into all else. */
static bool is_first_copy(const struct tandem_standby *standby)
{
	return standby->session != NULL && !standby->core.has_committed &&
	       standby->core.copy_incarnation == 0;
}

static uint64_t until_ns(const struct tandem_standby *standby, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - standby->room.ended_ns;

	if (!is_first_copy(standby))
		return now_ns;
	return now_ns + (passed_ns < TURN_NS_MAX ? passed_ns : TURN_NS_MAX);
}

static int take(struct tandem_standby *standby, uint64_t now_ns, struct tandem_error *reterr_error)
{
	struct tandem_standby_room *room = &standby->room;
	const uint64_t until = until_ns(standby, now_ns);
	int code;

	do {
		code = tandem_image_reserve_more(&standby->image, SLICE_PAGES, reterr_error);
		room->ended_ns = tandem_clock_now_ns();
	} while (code == 0 && standby->image.missing_pages > 0 && room->ended_ns < until);
	room->next_ns = room->ended_ns;
	if (!is_first_copy(standby))
		room->next_ns += BUSY_FACTOR * (room->ended_ns - now_ns);
	return code;
}

/* [C33]: the copy stays as it is, and no session goes on without room. */
static void on_no_room(struct tandem_standby *standby, const struct tandem_error *error)
{
	const bool was_out = standby->room.is_out;

	note_no_room(standby);
	if (standby->room.owes_fenced && !was_out) {
		tandem_standby_report_failure(standby, TANDEM_CONTROL_FENCE, error);
	} else if (standby->session != NULL && standby->lost.code == 0) {
		standby->lost = *error;
		tandem_session_yank(standby->session);
	}
}

void tandem_standby_turn_room(struct tandem_standby *standby, bool has_news)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_error error;

	if (has_news)
		standby->room.quiet_ns = now_ns + QUIET_NS;
	if (now_ns < tandem_standby_room_at_ns(standby))
		return;
	if (take(standby, now_ns, &error) < 0) {
		on_no_room(standby, &error);
		return;
	}
	standby->room.is_out = false;
	if (!standby->room.owes_fenced || standby->image.missing_pages > 0)
		return;
	standby->room.owes_fenced = false;
	tandem_standby_answer_fence(standby);
}
