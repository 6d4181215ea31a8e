#include "engine_internal.h"

#include <string.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>

/* Pages pushed beside the running program before the world is looked at again: 4 MiB. */
#define SLICE_PAGES 1024u
/* What a slice costs whatever it holds is a part of it only: smaller ones cannot keep up with a
 * program that writes at a quarter of the link's rate. */
#define SLICE_PAGES_MIN 256u
/* A copy is nearly complete when this fraction of the pages is left; the rest is for the capture.
 */
#define SMALL_FRACTION 64u

static int scan(struct tandem_engine *engine, struct tandem_error *reterr_error)
{
	const struct tandem_layout *layout = &engine->push.layout;
	uint64_t start_ns = tandem_clock_now_ns();
	int code = 0;

	tandem_page_set_tighten(&engine->push.to_push);
	for (unsigned region = 0; code == 0 && region < layout->regions.count; region++) {
		code = TANDEM_FAILPOINT_FIRES("tracker")
		               ? tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "tracker",
		                                  "the failpoint says that it has failed")
		               : tandem_tracker_scan(engine->trackers[region],
		                                     &engine->push.to_push,
		                                     layout->first_page[region], reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  layout->regions.entries[region].name);
	}
	if (TANDEM_FAILPOINT_FIRES("rearm"))
		tandem_page_set_remove(&engine->push.to_push,
		                       tandem_page_set_next(&engine->push.to_push, 0));
	tandem_push_learn(&engine->push);
	tandem_histogram_add(&engine->stats->scan_ns, tandem_clock_now_ns() - start_ns);
	return code;
}

/* Of a captured epoch, so that none with a miss is ever sealed. */
static int verify(struct tandem_engine *engine, struct tandem_error *reterr_error)
{
	const struct tandem_layout *layout = &engine->push.layout;
	int code = 0;

	if (engine->core.phase != TANDEM_PRIMARY_SCANNING || engine->settings.verify_every == 0 ||
	    engine->capture_count++ % engine->settings.verify_every != 0)
		return 0;
	for (unsigned region = 0; code == 0 && region < layout->regions.count; region++) {
		code = tandem_tracker_verify(engine->trackers[region], reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  layout->regions.entries[region].name);
	}
	return code;
}

static bool has_moved(struct tandem_engine *engine)
{
	bool has_any = false;

	for (unsigned region = 0; region < engine->push.layout.regions.count; region++)
		has_any |= tandem_tracker_take_moved(engine->trackers[region]);
	return has_any;
}

void tandem_engine_scan(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SCANNED};
	struct tandem_error error;
	uint64_t start_ns = tandem_clock_now_ns();

	TANDEM_FAILPOINT("scan");
	if (scan(engine, &error) < 0 || verify(engine, &error) < 0) {
		tandem_engine_give_up(engine, &error);
		return;
	}
	if (has_moved(engine) &&
	    tandem_transport_capabilities(engine->transport)->needs_registration) {
		tandem_engine_lose(engine, TANDEM_E_AGAIN, "scan",
		                   "memory of a region was replaced (a hole was punched, or it "
		                   "was mapped anew); the next session registers it again");
		return;
	}
	TANDEM_FAILPOINT("scanned");
	event.left_pages = tandem_push_left(&engine->push);
	event.is_small = event.left_pages <= engine->push.layout.page_count / SMALL_FRACTION;
	event.now_ns = tandem_clock_now_ns();
	event.elapsed_ns = event.now_ns - start_ns;
	tandem_engine_note_scanned(engine, event.left_pages);
	tandem_engine_step(engine, &event);
}

/* More than a stripe, or nothing moves. */
static uint64_t slice_pages(const struct tandem_engine *engine)
{
	uint64_t least = engine->push.layout.stripe_pages + SLICE_PAGES_MIN;
	uint64_t pages = engine->slice_pages < SLICE_PAGES ? engine->slice_pages : SLICE_PAGES;

	return pages > least ? pages : least;
}

static void count_slice(struct tandem_engine *engine, bool is_copying, uint64_t pages)
{
	tandem_engine_note_pushed(engine);
	if (is_copying)
		return;
	atomic_fetch_add(&engine->stats->pages_beside, pages);
	atomic_store(&engine->stats->pages_vain, engine->push.heat.vain_pages);
}

/* SLICED only when the slice is locally complete: a page that a posted write may still read counts
 * as dirty (4.2). */
void tandem_engine_slice(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SLICED};
	bool is_copying = engine->core.phase == TANDEM_PRIMARY_COPYING, is_blocked;
	uint64_t start_ns = tandem_clock_now_ns(), before = tandem_push_left(&engine->push);
	int code;

	TANDEM_FAILPOINT("slice");
	if (is_copying)
		code = tandem_push_pages(&engine->push, SLICE_PAGES, &event.is_done, &is_blocked);
	else
		code = tandem_push_beside(&engine->push, slice_pages(engine), engine->slice_hot_max,
		                          &event.is_done);
	if (code == 0)
		code = tandem_push_settle(&engine->push);
	if (code < 0) {
		tandem_engine_lose_work(engine, code, "push",
		                        "the push beside the running program failed");
		return;
	}
	TANDEM_FAILPOINT("sliced");
	event.now_ns = tandem_clock_now_ns();
	event.elapsed_ns = event.now_ns - start_ns;
	event.left_pages = tandem_push_left(&engine->push);
	event.pages = before - event.left_pages;
	count_slice(engine, is_copying, event.pages);
	atomic_store(&engine->heard_ns, event.now_ns);
	tandem_engine_step(engine, &event);
}

/* [C17], [C31]: a write of an attempt that was given up may still read what was staged for it. */
void tandem_engine_stage(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_STAGED};
	struct tandem_stats *stats = engine->stats;
	int code = tandem_push_settle(&engine->push);
	uint64_t start_ns = tandem_clock_now_ns(), left = tandem_push_left(&engine->push);

	if (code < 0) {
		tandem_engine_lose_work(engine, code, "push", "pushed pages did not complete");
		return;
	}
	TANDEM_FAILPOINT("stage");
	event.is_done = tandem_push_stage(&engine->push);
	event.now_ns = tandem_clock_now_ns();
	tandem_histogram_add(&stats->stage_ns, event.now_ns - start_ns);
	atomic_fetch_add(&stats->pages_staged, left - tandem_push_left(&engine->push));
	atomic_fetch_add(&stats->stages_short, !event.is_done);
	tandem_engine_step(engine, &event);
}

void tandem_engine_drain(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_DRAINED};
	int code;

	tandem_engine_set_phase(engine, TANDEM_PHASE_PUSH);
	code = tandem_push_staged(&engine->push, SLICE_PAGES, &event.is_done, &event.is_blocked);
	if (code < 0) {
		tandem_engine_lose_work(engine, code, "push", "the push of an epoch failed");
		return;
	}
	TANDEM_FAILPOINT("drain");
	tandem_engine_note_pushed(engine);
	event.now_ns = tandem_clock_now_ns();
	tandem_engine_step(engine, &event);
}

void tandem_engine_push(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_PUSHED};
	uint64_t start_ns = tandem_clock_now_ns();
	bool is_done = false, is_blocked = false;
	int code;

	tandem_engine_set_phase(engine, TANDEM_PHASE_PUSH);
	code = tandem_push_pages(&engine->push, UINT64_MAX, &is_done, &is_blocked);
	if (code < 0) {
		tandem_engine_lose_work(engine, code, "push", "the push of an epoch failed");
		return;
	}
	TANDEM_FAILPOINT("pushed");
	tandem_engine_note_pushed(engine);
	tandem_histogram_add(&engine->stats->push_ns, tandem_clock_now_ns() - start_ns);
	event.is_done = !is_blocked;
	event.now_ns = tandem_clock_now_ns();
	tandem_engine_step(engine, &event);
}

bool tandem_engine_seal(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	int code;

	tandem_engine_set_phase(engine, TANDEM_PHASE_SEAL);
	code = tandem_push_seal(&engine->push, action->epoch, action->base, action->generation);
	TANDEM_FAILPOINT("sealed");
	engine->sealed_at_ns = tandem_clock_now_ns();
	if (code < 0)
		tandem_engine_lose_work(engine, code, "seal", "the seal of an epoch failed");
	/* Sealed on some channels or on none: only FENCED decides it now. */
	return code == 0 || code == TANDEM_E_CHANNEL_LOST;
}

/* [C17] */
void tandem_engine_settle(struct tandem_engine *engine)
{
	int code = TANDEM_FAILPOINT_FIRES("settle") ? 0 : tandem_push_settle(&engine->push);

	if (code < 0) {
		tandem_engine_lose_work(engine, code, "push", "pushed pages did not complete");
		return;
	}
	atomic_store(&engine->heard_ns, tandem_clock_now_ns());
	tandem_engine_set_phase(engine, TANDEM_PHASE_WAIT);
	TANDEM_FAILPOINT("wait");
	tandem_engine_tell(engine, TANDEM_PRIMARY_ON_SETTLED);
}
