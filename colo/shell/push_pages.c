#include "push_internal.h"

#include <tandem/clock.h>
#include <tandem/failpoint.h>

#include "../core/bitmap.h"
#include "zero.h"

/* First words that are asked for at once. */
#define PAGES_ASKED 32

struct pass {
	struct tandem_page_set *wanted; /* the pages: to push, or staged */
	bool is_staged;
	bool is_beside; /* an open epoch */
	bool leaves_hot;
	uint64_t next_page;  /* where the next free stripe is looked for */
	uint64_t asked_page; /* the first wanted one whose first words were not asked for yet */
	uint64_t pages_left;
	bool is_blocked;
};

uint8_t *tandem_push_page(const struct tandem_push *push, unsigned region, uint64_t page)
{
	return push->bases[region] + (page - push->layout.first_page[region]) * TANDEM_PAGE_BYTES;
}

static void extend(struct tandem_push *push, struct tandem_lane *lane, unsigned region,
                   uint64_t page, const uint8_t *source)
{
	uint64_t offset = (page - push->layout.first_page[region]) * TANDEM_PAGE_BYTES;
	struct tandem_write *last = lane->filled > 0 ? &lane->writes[lane->filled - 1] : NULL;

	lane->waiting_bytes += TANDEM_PAGE_BYTES;
	/* Neighbours in staging memory need not be neighbours. */
	if (last != NULL && (const uint8_t *)last->source + last->length == source &&
	    last->memory_id == region && last->offset + last->length == offset &&
	    page % push->layout.stripe_pages != 0) {
		last->length += TANDEM_PAGE_BYTES;
		return;
	}
	lane->writes[lane->filled++] = (struct tandem_write){
	        .memory_id = region,
	        .offset = offset,
	        .source = source,
	        .length = TANDEM_PAGE_BYTES,
	};
}

static void record(struct tandem_push *push, unsigned channel, uint64_t page,
                   enum tandem_run_kind kind)
{
	if (tandem_stripes_channel(&push->stripes, page) == TANDEM_STRIPE_FREE)
		tandem_stripes_carry(&push->stripes, page, channel);
	tandem_page_map_record(&push->open, page, kind);
}

/* What is free is not looked at: that would fill it with memory. */
bool tandem_push_is_zero(const struct tandem_push *push, unsigned region, uint64_t page)
{
	const uint64_t *free_pages = push->free_pages[region];

	return tandem_push_is_unused(push, region, page) ||
	       (free_pages != NULL &&
	        tandem_bitmap_get(free_pages, page - push->layout.first_page[region])) ||
	       tandem_is_zero(tandem_push_page(push, region, page), TANDEM_PAGE_BYTES);
}

/* NULL: the page is zeros. */
static const uint8_t *find_data(const struct tandem_push *push, const struct pass *pass,
                                unsigned region, uint64_t page)
{
	if (pass->is_staged)
		return tandem_stage_page(&push->stage, page);
	return tandem_push_is_zero(push, region, page) ? NULL
	                                               : tandem_push_page(push, region, page);
}

/* [C18]: the bit is cleared before the page is read (4.2). */
static void take_page(struct tandem_push *push, struct pass *pass, unsigned channel, uint64_t page)
{
	unsigned region = tandem_layout_region(&push->layout, page);
	const uint8_t *source;

	tandem_page_set_remove(pass->wanted, page);
	if (pass->is_beside)
		tandem_bitmap_set(push->heat.pushed, page);
	pass->pages_left--;
	push->handled_pages++;
	source = find_data(push, pass, region, page);
	if (tandem_push_is_in_image(push, page, source))
		return;
	if (source == NULL) {
		record(push, channel, page, TANDEM_RUN_ZERO);
		push->zero_pages++;
		return;
	}
	record(push, channel, page, TANDEM_RUN_DATA);
	push->data_pages++;
	extend(push, &push->lanes[channel], region, page, source);
}

bool tandem_push_must_wait(const struct tandem_push *push, uint64_t page)
{
	return push->is_last_kept && tandem_bitmap_get(push->last.recorded, page);
}

static uint64_t end_of_stripe(const struct tandem_push *push, uint64_t page)
{
	return page - page % push->layout.stripe_pages + push->layout.stripe_pages;
}

/* The look for zeros waits for a page's first words, which no near cache has where the program
 * wrote here and there: those of many pages are asked for at once. */
static void ask_ahead(const struct tandem_push *push, struct pass *pass, uint64_t page)
{
	if (pass->is_staged || page < pass->asked_page)
		return;
	for (unsigned i = 0; i < PAGES_ASKED && page < push->layout.page_count; i++) {
		__builtin_prefetch(
		        tandem_push_page(push, tandem_layout_region(&push->layout, page), page));
		page = tandem_page_set_next(pass->wanted, page + 1);
	}
	pass->asked_page = page;
}

/* What is wanted of a stripe from `page` on, which is. The first wanted page behind the stripe. */
static uint64_t take_stripe(struct tandem_push *push, struct pass *pass, unsigned channel,
                            uint64_t page)
{
	uint64_t end = end_of_stripe(push, page);

	for (; page < end; page = tandem_page_set_next(pass->wanted, page + 1)) {
		ask_ahead(push, pass, page);
		if (pass->leaves_hot && tandem_bitmap_get(push->heat.hot, page))
			continue;
		if (tandem_push_must_wait(push, page))
			pass->is_blocked = true;
		else
			take_page(push, pass, channel, page);
	}
	return page;
}

static bool has_pages_left(const struct tandem_push *push, const struct pass *pass)
{
	return pass->pages_left > push->layout.stripe_pages;
}

/* A stripe adds at most half its pages as separate writes: a lane below the batch has room for one
 * more. */
static bool has_room(const struct tandem_lane *lane)
{
	return lane->taken == 0 && lane->filled < TANDEM_LANE_BATCH &&
	       lane->waiting_bytes < TANDEM_LANE_BYTES;
}

static bool is_up(const struct tandem_push *push, unsigned channel)
{
	return (push->stripes.up_mask & 1u << channel) != 0;
}

/* What the channel has carried since the last commit stays with it [C10]. */
static void gather_carried(struct tandem_push *push, struct pass *pass, unsigned channel)
{
	struct tandem_lane *lane = &push->lanes[channel];

	while (lane->next_page < push->layout.page_count && has_room(lane) &&
	       has_pages_left(push, pass)) {
		uint64_t page = tandem_page_set_next(pass->wanted, lane->next_page);

		lane->next_page = page;
		if (page >= push->layout.page_count)
			return;
		lane->next_page = tandem_stripes_channel(&push->stripes, page) == channel
		                          ? take_stripe(push, pass, channel, page)
		                          : end_of_stripe(push, page);
	}
}

/* The channel with the least bytes on their way, of those that are up and whose queue has taken
 * what was gathered before; channel_count when there is none. */
static unsigned least_loaded(const struct tandem_push *push)
{
	unsigned best = push->layout.channel_count;
	uint64_t least = UINT64_MAX;

	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		const struct tandem_lane *lane = &push->lanes[channel];
		uint64_t load = lane->inflight_bytes + lane->waiting_bytes;

		if (is_up(push, channel) && has_room(lane) && load < least) {
			least = load;
			best = channel;
		}
	}
	return best;
}

static void gather_free(struct tandem_push *push, struct pass *pass)
{
	while (pass->next_page < push->layout.page_count && has_pages_left(push, pass)) {
		unsigned channel = least_loaded(push);
		uint64_t page = tandem_page_set_next(pass->wanted, pass->next_page);

		pass->next_page = page;
		if (page >= push->layout.page_count || channel == push->layout.channel_count)
			return;
		pass->next_page = tandem_stripes_channel(&push->stripes, page) == TANDEM_STRIPE_FREE
		                          ? take_stripe(push, pass, channel, page)
		                          : end_of_stripe(push, page);
	}
}

static void gather(struct tandem_push *push, struct pass *pass)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct tandem_lane *lane = &push->lanes[channel];

		lane->inflight_bytes =
		        tandem_load_bytes(&push->loads[channel],
		                          tandem_session_inflight_count(push->session, channel));
		if (lane->taken < lane->filled)
			continue;
		lane->filled = 0;
		lane->taken = 0;
		lane->waiting_bytes = 0;
		if (is_up(push, channel))
			gather_carried(push, pass, channel);
	}
	gather_free(push, pass);
}

static int post(struct tandem_push *push, unsigned channel, unsigned *ret_taken)
{
	struct tandem_lane *lane = &push->lanes[channel];
	unsigned taken = 0;
	int code;

	if (lane->taken == lane->filled)
		return 0;
	tandem_stripes_note_post(&push->stripes, channel);
	code = tandem_session_write(push->session, channel, lane->writes + lane->taken,
	                            lane->filled - lane->taken, &taken);
	if (code < 0)
		return code;
	for (unsigned write = lane->taken; write < lane->taken + taken; write++) {
		tandem_load_post(&push->loads[channel], lane->writes[write].length);
		lane->waiting_bytes -= lane->writes[write].length;
	}
	lane->taken += taken;
	*ret_taken += taken;
	return 0;
}

static int post_all(struct tandem_push *push, unsigned *ret_taken)
{
	*ret_taken = 0;
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		int code = post(push, channel, ret_taken);

		if (code < 0)
			return code;
	}
	return 0;
}

static bool is_gathered(const struct tandem_push *push, const struct pass *pass)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		if (push->lanes[channel].next_page < push->layout.page_count)
			return false;
	}
	return pass->next_page >= push->layout.page_count;
}

static bool is_finished(const struct tandem_push *push, const struct pass *pass)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		if (push->lanes[channel].taken < push->lanes[channel].filled)
			return false;
	}
	return !has_pages_left(push, pass) || is_gathered(push, pass);
}

/* What no queue has taken is recorded and not written: it is wanted again. */
static void put_back(struct tandem_push *push, const struct pass *pass)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct tandem_lane *lane = &push->lanes[channel];

		for (; lane->taken < lane->filled; lane->taken++) {
			const struct tandem_write *write = &lane->writes[lane->taken];

			tandem_page_set_add_range(pass->wanted,
			                          push->layout.first_page[write->memory_id] +
			                                  write->offset / TANDEM_PAGE_BYTES,
			                          write->length / TANDEM_PAGE_BYTES);
		}
	}
}

/* A channel that carries nothing finds nothing. */
static int begin_pass(struct tandem_push *push, struct pass *pass, bool goes_on)
{
	pass->next_page = goes_on ? push->cut_page : 0;
	pass->asked_page = 0;
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct tandem_lane *lane = &push->lanes[channel];
		bool has_carried = push->stripes.carried_count[channel] > 0;

		if (has_carried && !is_up(push, channel))
			return TANDEM_E_CHANNEL_LOST;
		if (!has_carried)
			lane->next_page = push->layout.page_count;
		else if (!goes_on)
			lane->next_page = 0;
		lane->filled = 0;
		lane->taken = 0;
		lane->waiting_bytes = 0;
	}
	return 0;
}

static int run_pass(struct tandem_push *push, struct pass *pass)
{
	uint64_t moved_ns = tandem_clock_now_ns();

	do {
		unsigned taken;
		int code;

		if (pass->is_beside && push->is_hurried != NULL && push->is_hurried(push->argument))
			pass->pages_left = 0;
		gather(push, pass);
		code = post_all(push, &taken);
		if (code < 0)
			return code;
		TANDEM_FAILPOINT("push");
		if (taken > 0 || is_finished(push, pass))
			moved_ns = tandem_clock_now_ns();
		else
			tandem_push_wait(push);
		if (tandem_clock_now_ns() - moved_ns > push->stall_timeout_ns)
			return TANDEM_E_TIMEOUT;
	} while (!is_finished(push, pass));
	return 0;
}

static int push_wanted(struct tandem_push *push, struct pass *pass, bool *ret_is_done,
                       bool *ret_is_blocked)
{
	bool goes_on = push->cut_short == pass->wanted;
	int code = begin_pass(push, pass, goes_on);

	push->cut_short = NULL;
	if (code == 0)
		code = run_pass(push, pass);
	/* Done is what has looked at everything: pages may have come behind it. */
	if (code == 0 && goes_on && is_gathered(push, pass)) {
		code = begin_pass(push, pass, false);
		if (code == 0)
			code = run_pass(push, pass);
	}
	if (code < 0) {
		put_back(push, pass);
		return code;
	}
	*ret_is_blocked = pass->is_blocked;
	*ret_is_done = is_gathered(push, pass);
	if (!*ret_is_done)
		push->cut_short = pass->wanted;
	push->cut_page = pass->next_page;
	return 0;
}

int tandem_push_pages(struct tandem_push *push, uint64_t pages_max, bool *ret_is_done,
                      bool *ret_is_blocked)
{
	struct pass pass = {.wanted = &push->to_push, .pages_left = pages_max};

	return push_wanted(push, &pass, ret_is_done, ret_is_blocked);
}

static uint64_t hot_left(const struct tandem_push *push)
{
	uint64_t pages = 0;

	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(push->layout.page_count); word++)
		pages += (unsigned)__builtin_popcountll(push->to_push.words[word] &
		                                        push->heat.hot[word]);
	return pages;
}

int tandem_push_beside(struct tandem_push *push, uint64_t pages_max, uint64_t hot_max,
                       bool *ret_is_done)
{
	struct pass pass = {.wanted = &push->to_push,
	                    .is_beside = true,
	                    .leaves_hot = hot_left(push) <= hot_max,
	                    .pages_left = pages_max};
	bool is_blocked;

	return push_wanted(push, &pass, ret_is_done, &is_blocked);
}

int tandem_push_staged(struct tandem_push *push, uint64_t pages_max, bool *ret_is_done,
                       bool *ret_is_blocked)
{
	struct pass pass = {
	        .wanted = &push->stage.left, .is_staged = true, .pages_left = pages_max};

	return push_wanted(push, &pass, ret_is_done, ret_is_blocked);
}
