#include "push_internal.h"

#include <tandem/clock.h>
#include <tandem/failpoint.h>

#include "../core/bitmap.h"
#include "zero.h"

struct pass {
	uint64_t next_page; /* where the next free stripe is looked for */
	uint64_t pages_left;
	bool is_blocked;
};

static uint8_t *page_memory(const struct tandem_push *push, unsigned region, uint64_t page)
{
	return push->bases[region] + (page - push->layout.first_page[region]) * TANDEM_PAGE_BYTES;
}

static void extend(struct tandem_push *push, struct tandem_lane *lane, unsigned region,
                   uint64_t page)
{
	const uint8_t *source = page_memory(push, region, page);
	struct tandem_write *last = lane->filled > 0 ? &lane->writes[lane->filled - 1] : NULL;

	lane->waiting_bytes += TANDEM_PAGE_BYTES;
	if (last != NULL && (const uint8_t *)last->source + last->length == source &&
	    page % push->layout.stripe_pages != 0) {
		last->length += TANDEM_PAGE_BYTES;
		return;
	}
	lane->writes[lane->filled++] = (struct tandem_write){
	        .memory_id = region,
	        .offset = (page - push->layout.first_page[region]) * TANDEM_PAGE_BYTES,
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
static bool reads_as_zeros(const struct tandem_push *push, unsigned region, uint64_t page)
{
	const uint64_t *free_pages = push->free_pages[region];

	return tandem_push_is_unused(push, region, page) ||
	       (free_pages != NULL &&
	        tandem_bitmap_get(free_pages, page - push->layout.first_page[region])) ||
	       tandem_is_zero(page_memory(push, region, page), TANDEM_PAGE_BYTES);
}

/* [C18]: the bit is cleared before the page is read (4.2). */
static void take_page(struct tandem_push *push, struct pass *pass, unsigned channel, uint64_t page)
{
	unsigned region = tandem_layout_region(&push->layout, page);
	const uint8_t *memory = page_memory(push, region, page);
	bool is_zero;

	tandem_bitmap_clear(push->to_push, page);
	pass->pages_left--;
	push->handled_pages++;
	is_zero = reads_as_zeros(push, region, page);
	if (tandem_push_is_in_image(push, page, is_zero ? NULL : memory))
		return;
	if (is_zero) {
		record(push, channel, page, TANDEM_RUN_ZERO);
		push->zero_pages++;
		return;
	}
	record(push, channel, page, TANDEM_RUN_DATA);
	push->data_pages++;
	extend(push, &push->lanes[channel], region, page);
}

/* [C16]: a page of an epoch that is not applied stays in the cache as it is (4.4). */
static bool must_wait(const struct tandem_push *push, uint64_t page)
{
	return push->is_last_kept && tandem_bitmap_get(push->last.recorded, page);
}

static void take_stripe(struct tandem_push *push, struct pass *pass, unsigned channel,
                        uint64_t first)
{
	for (uint64_t page = first; page < first + push->layout.stripe_pages; page++) {
		if (!tandem_bitmap_get(push->to_push, page))
			continue;
		if (must_wait(push, page))
			pass->is_blocked = true;
		else
			take_page(push, pass, channel, page);
	}
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

/* The first page to push of a stripe at or after `from`, or page_count. */
static uint64_t next_stripe(const struct tandem_push *push, uint64_t from)
{
	uint64_t page = tandem_bitmap_next(push->to_push, push->layout.page_count, from);

	return page < push->layout.page_count ? page - page % push->layout.stripe_pages : page;
}

/* What the channel has carried since the last commit stays with it [C10]. */
static void gather_carried(struct tandem_push *push, struct pass *pass, unsigned channel)
{
	struct tandem_lane *lane = &push->lanes[channel];

	while (lane->next_page < push->layout.page_count && has_room(lane) &&
	       has_pages_left(push, pass)) {
		uint64_t first = next_stripe(push, lane->next_page);

		lane->next_page = first;
		if (first >= push->layout.page_count)
			return;
		if (tandem_stripes_channel(&push->stripes, first) == channel)
			take_stripe(push, pass, channel, first);
		lane->next_page += push->layout.stripe_pages;
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
		uint64_t first = next_stripe(push, pass->next_page);

		pass->next_page = first;
		if (first >= push->layout.page_count || channel == push->layout.channel_count)
			return;
		if (tandem_stripes_channel(&push->stripes, first) == TANDEM_STRIPE_FREE)
			take_stripe(push, pass, channel, first);
		pass->next_page += push->layout.stripe_pages;
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

/* What no queue has taken is recorded and not written: it is to push again. */
static void put_back(struct tandem_push *push)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct tandem_lane *lane = &push->lanes[channel];

		for (; lane->taken < lane->filled; lane->taken++) {
			const struct tandem_write *write = &lane->writes[lane->taken];

			tandem_bitmap_set_range(push->to_push,
			                        push->layout.first_page[write->memory_id] +
			                                write->offset / TANDEM_PAGE_BYTES,
			                        write->length / TANDEM_PAGE_BYTES);
		}
	}
}

/* A channel that carries nothing finds nothing. */
static int begin_pass(struct tandem_push *push)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct tandem_lane *lane = &push->lanes[channel];
		bool has_carried = push->stripes.carried_count[channel] > 0;

		if (has_carried && !is_up(push, channel))
			return TANDEM_E_CHANNEL_LOST;
		lane->next_page = has_carried ? 0 : push->layout.page_count;
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

int tandem_push_pages(struct tandem_push *push, uint64_t pages_max, bool *ret_is_done,
                      bool *ret_is_blocked)
{
	struct pass pass = {.pages_left = pages_max};
	int code = begin_pass(push);

	if (code == 0)
		code = run_pass(push, &pass);
	if (code < 0) {
		put_back(push);
		return code;
	}
	*ret_is_blocked = pass.is_blocked;
	*ret_is_done = is_gathered(push, &pass);
	return 0;
}
