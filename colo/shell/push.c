#include "push_internal.h"

#include <poll.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "../core/bitmap.h"

#define POLL_MS 10

static int init_map(struct tandem_page_map *map, uint64_t page_count)
{
	map->page_count = page_count;
	map->recorded = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(page_count) + 1,
	                                          sizeof *map->recorded);
	map->zero =
	        tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(page_count) + 1, sizeof *map->zero);
	return map->recorded == NULL || map->zero == NULL ? TANDEM_E_MEMORY : 0;
}

static void done_map(struct tandem_page_map *map)
{
	tandem_memory_free(map->recorded);
	tandem_memory_free(map->zero);
	memset(map, 0, sizeof *map);
}

static int init_heat(struct tandem_push *push)
{
	struct tandem_heat *heat = &push->heat;
	uint64_t words = TANDEM_BITMAP_WORDS(push->layout.page_count) + 1;

	if (!push->pushes_beside)
		return 0;
	heat->page_count = push->layout.page_count;
	heat->pushed = tandem_memory_alloc_array(words, sizeof *heat->pushed);
	heat->hot = tandem_memory_alloc_array(words, sizeof *heat->hot);
	heat->epochs_left = tandem_memory_alloc(push->layout.page_count);
	return heat->pushed == NULL || heat->hot == NULL || heat->epochs_left == NULL
	               ? TANDEM_E_MEMORY
	               : 0;
}

static void done_heat(struct tandem_heat *heat)
{
	tandem_memory_free(heat->pushed);
	tandem_memory_free(heat->hot);
	tandem_memory_free(heat->epochs_left);
	memset(heat, 0, sizeof *heat);
}

static int init_stripes(struct tandem_push *push)
{
	struct tandem_stripes *stripes = &push->stripes;

	stripes->stripe_pages = push->layout.stripe_pages;
	stripes->stripe_count = push->layout.page_count / push->layout.stripe_pages;
	stripes->channels = tandem_memory_alloc(stripes->stripe_count);
	if (stripes->channels == NULL)
		return TANDEM_E_MEMORY;
	tandem_stripes_begin(stripes, 0);
	return 0;
}

int tandem_push_init(struct tandem_push *push, struct tandem_error *reterr_error)
{
	uint64_t page_count = push->layout.page_count;

	push->slots_bytes = tandem_layout_slots_bytes(&push->layout);
	push->slots = tandem_memory_map(push->slots_bytes);
	push->to_push.page_count = page_count;
	push->to_push.words = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(page_count) + 1,
	                                                sizeof *push->to_push.words);
	push->digests_bytes = page_count * TANDEM_DIGEST_BYTES;
	push->digests = tandem_memory_map(push->digests_bytes);
	push->loads = tandem_memory_alloc_array(push->layout.channel_count, sizeof *push->loads);
	push->lanes = tandem_memory_alloc_array(push->layout.channel_count, sizeof *push->lanes);
	if (init_stripes(push) == 0 && push->loads != NULL && push->lanes != NULL &&
	    init_map(&push->open, page_count) == 0 && init_map(&push->last, page_count) == 0 &&
	    push->slots != NULL && push->to_push.words != NULL && push->digests != NULL &&
	    tandem_stage_init(push) == 0 && init_heat(push) == 0)
		return 0;
	tandem_push_done(push);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "engine",
	                        "no memory for maps of %llu pages and %zu MiB of staging_mib",
	                        (unsigned long long)page_count, push->staging_bytes >> 20);
}

void tandem_push_done(struct tandem_push *push)
{
	done_map(&push->open);
	done_map(&push->last);
	tandem_stage_done(push);
	done_heat(&push->heat);
	tandem_memory_free(push->stripes.channels);
	tandem_memory_free(push->loads);
	tandem_memory_free(push->lanes);
	push->stripes.channels = NULL;
	push->loads = NULL;
	push->lanes = NULL;
	tandem_memory_free(push->to_push.words);
	memset(&push->to_push, 0, sizeof push->to_push);
	tandem_memory_unmap(push->digests, push->digests_bytes);
	push->digests = NULL;
	if (push->slots != NULL)
		tandem_memory_unmap(push->slots, push->slots_bytes);
	push->slots = NULL;
}

static uint64_t region_bytes(const struct tandem_push *push, unsigned region)
{
	return push->layout.regions.entries[region].page_count * TANDEM_PAGE_BYTES;
}

int tandem_push_begin(struct tandem_push *push, struct tandem_session *session,
                      uint32_t channel_mask, struct tandem_error *reterr_error)
{
	int code = tandem_session_register(session, push->slots, push->slots_bytes, reterr_error);

	if (code == 0 && push->stage.memory != NULL) {
		code = tandem_session_register(session, push->stage.memory, push->stage.bytes,
		                               reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "staging_mib");
	}
	for (unsigned region = 0; code == 0 && region < push->layout.regions.count; region++) {
		code = tandem_session_register(session, push->bases[region],
		                               region_bytes(push, region), reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  push->layout.regions.entries[region].name);
	}
	push->session = session;
	tandem_stripes_begin(&push->stripes, channel_mask);
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++)
		tandem_load_reset(&push->loads[channel]);
	return code;
}

void tandem_push_mark_all(struct tandem_push *push, bool is_fresh)
{
	for (unsigned region = 0; region < push->layout.regions.count; region++)
		tandem_page_set_add_range(&push->to_push, push->layout.first_page[region],
		                          push->layout.regions.entries[region].page_count);
	push->skips_zeros = is_fresh;
	tandem_push_forget_digests(push);
}

void tandem_push_merge(struct tandem_push *push)
{
	tandem_page_set_add_words(&push->to_push, 0, push->open.recorded, push->open.page_count);
	tandem_page_set_add_words(&push->to_push, 0, push->last.recorded, push->last.page_count);
	tandem_push_unstage(push);
	tandem_page_map_clear(&push->open);
	tandem_page_map_clear(&push->last);
	push->is_last_kept = false;
	tandem_push_forget_digests(push);
	push->session = NULL;
}

void tandem_push_forget(struct tandem_push *push)
{
	tandem_page_map_clear(&push->last);
	push->is_last_kept = false;
}

void tandem_push_commit(struct tandem_push *push)
{
	tandem_stripes_commit(&push->stripes);
	if (push->pushes_beside)
		tandem_heat_note_epoch(&push->heat);
}

void tandem_push_learn(struct tandem_push *push)
{
	if (push->pushes_beside)
		tandem_heat_note_scan(&push->heat, push->to_push.words);
}

void tandem_push_abort(struct tandem_push *push)
{
	tandem_page_map_merge_under(&push->open, &push->last);
	tandem_push_forget(push);
}

bool tandem_push_lose(struct tandem_push *push, unsigned channel)
{
	tandem_stripes_lose(&push->stripes, channel);
	return push->stripes.carried_count[channel] > 0 ||
	       (push->stripes.posted_mask & 1u << channel) != 0;
}

void tandem_push_repush(struct tandem_push *push, uint32_t channel_mask)
{
	tandem_page_map_take_back(&push->open, &push->stripes, channel_mask, &push->to_push);
	tandem_stripes_fence(&push->stripes, channel_mask);
}

void tandem_push_restore(struct tandem_push *push, unsigned channel)
{
	tandem_load_reset(&push->loads[channel]);
	tandem_stripes_restore(&push->stripes, channel);
}

uint64_t tandem_push_left(const struct tandem_push *push)
{
	return tandem_page_set_count(&push->to_push);
}

bool tandem_push_is_unused(const struct tandem_push *push, unsigned region, uint64_t page)
{
	uint64_t end =
	        push->layout.first_page[region] + push->layout.regions.entries[region].page_count;

	return page >= end - atomic_load(&push->unused_pages[region]);
}

/* ---- waiting ---- */

unsigned tandem_push_inflight(const struct tandem_push *push)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < push->layout.channel_count; channel++)
		count += tandem_session_inflight_count(push->session, channel);
	return count;
}

void tandem_push_wait(struct tandem_push *push)
{
	struct pollfd descriptor = {.fd = tandem_session_fd(push->session), .events = POLLIN};
	uint64_t until_ns = tandem_clock_now_ns() + push->poll_ns;
	unsigned before = tandem_push_inflight(push);

	do
		tandem_session_progress(push->session);
	while (tandem_push_inflight(push) == before && tandem_clock_now_ns() < until_ns);
	if (tandem_push_inflight(push) == before) {
		poll(&descriptor, 1, POLL_MS);
		tandem_session_progress(push->session);
	}
	if (push->keep_alive != NULL)
		push->keep_alive(push->argument);
}

int tandem_push_settle(struct tandem_push *push)
{
	uint64_t moved_ns = tandem_clock_now_ns();
	unsigned before = tandem_push_inflight(push);

	while (tandem_push_inflight(push) > 0) {
		tandem_push_wait(push);
		if (tandem_push_inflight(push) != before) {
			before = tandem_push_inflight(push);
			moved_ns = tandem_clock_now_ns();
		}
		if (tandem_clock_now_ns() - moved_ns > push->stall_timeout_ns)
			return TANDEM_E_TIMEOUT;
	}
	return 0;
}
