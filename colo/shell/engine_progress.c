#include "engine_internal.h"

#include <stdio.h>

#include <tandem/clock.h>

#define MIB_SHIFT 20

/* What status shows of a copy; copy_since_ns is 0 while none is under way. */

static void begin_stage(struct tandem_engine *engine, bool is_comparing, uint64_t total_bytes)
{
	struct tandem_stats *stats = engine->stats;
	uint64_t now_ns = tandem_clock_now_ns();

	tandem_progress_begin(&engine->progress, now_ns);
	engine->copy_handled_pages = engine->push.handled_pages;
	atomic_store(&stats->copy_is_comparing, is_comparing);
	atomic_store(&stats->copy_bytes_done, 0);
	atomic_store(&stats->copy_bytes_total, total_bytes);
	atomic_store(&stats->copy_bytes_per_s, 0);
	if (atomic_load(&stats->copy_since_ns) != 0)
		return;
	engine->copy_equal_pages = engine->push.equal_pages;
	atomic_store(&stats->copy_bytes_equal, 0);
	atomic_store(&stats->copy_held_ns, 0);
	atomic_store(&stats->copy_since_ns, now_ns);
}

static void note(struct tandem_engine *engine, uint64_t done_bytes)
{
	struct tandem_stats *stats = engine->stats;

	tandem_progress_note(&engine->progress, done_bytes, tandem_clock_now_ns());
	atomic_store(&stats->copy_bytes_done, done_bytes);
	atomic_store(&stats->copy_bytes_per_s, engine->progress.bytes_per_s);
}

void tandem_engine_note_compared(struct tandem_engine *engine)
{
	const struct tandem_stats *stats = engine->stats;

	if (atomic_load(&stats->copy_since_ns) == 0 || !atomic_load(&stats->copy_is_comparing))
		begin_stage(engine, true, engine->push.layout.page_count * TANDEM_PAGE_BYTES);
	note(engine, engine->push.digest_count * TANDEM_PAGE_BYTES);
}

void tandem_engine_note_scanned(struct tandem_engine *engine, uint64_t left_pages)
{
	struct tandem_stats *stats = engine->stats;
	uint64_t left_bytes = left_pages * TANDEM_PAGE_BYTES;

	if (!engine->core.is_copying)
		return;
	if (atomic_load(&stats->copy_since_ns) == 0 || atomic_load(&stats->copy_is_comparing))
		begin_stage(engine, false, left_bytes);
	else
		atomic_store(&stats->copy_bytes_total,
		             atomic_load(&stats->copy_bytes_done) + left_bytes);
}

void tandem_engine_note_pushed(struct tandem_engine *engine)
{
	const struct tandem_push *push = &engine->push;
	struct tandem_stats *stats = engine->stats;

	atomic_store(&stats->pages_pushed, push->data_pages);
	atomic_store(&stats->zero_pages, push->zero_pages);
	atomic_store(&stats->bytes_pushed, push->data_pages * TANDEM_PAGE_BYTES);
	if (atomic_load(&stats->copy_since_ns) == 0)
		return;
	atomic_store(&stats->copy_bytes_equal,
	             (push->equal_pages - engine->copy_equal_pages) * TANDEM_PAGE_BYTES);
	note(engine, (push->handled_pages - engine->copy_handled_pages) * TANDEM_PAGE_BYTES);
}

void tandem_engine_end_progress(struct tandem_engine *engine)
{
	atomic_store(&engine->stats->copy_since_ns, 0);
}

void tandem_engine_note_held(struct tandem_engine *engine, uint64_t held_ns)
{
	const struct tandem_primary *core = &engine->core;
	struct tandem_control_message message = {.type = TANDEM_CONTROL_REPORT};

	if (!core->is_copy_captured || !core->is_outpaced ||
	    atomic_load(&engine->stats->copy_held_ns) != 0)
		return;
	atomic_store(&engine->stats->copy_held_ns, held_ns);
	tandem_engine_report(engine, &message);
	snprintf(message.text, sizeof message.text,
	         "the program writes as fast as a copy of it is made: it was held for %llu ms, "
	         "until "
	         "the last %llu of %llu MiB were on their way",
	         (unsigned long long)(held_ns / TANDEM_NS_PER_MS),
	         (unsigned long long)(core->captured_pages * TANDEM_PAGE_BYTES >> MIB_SHIFT),
	         (unsigned long long)(core->page_count * TANDEM_PAGE_BYTES >> MIB_SHIFT));
	tandem_control_link_send(engine->link, &message);
}
