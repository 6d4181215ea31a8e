#include "push.h"

#include <poll.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/crc32c.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "zero.h"

#define BATCH_WRITES 32u
#define POLL_MS      10

/* Per channel: how far this pass has come, and writes that the queue has not taken yet. */
struct lane {
	uint64_t next_page; /* where its next stripe is looked for; page_count: at the end */
	unsigned filled;
	unsigned taken;
	struct tandem_write writes[BATCH_WRITES];
};

struct pass {
	struct lane lanes[TANDEM_CHANNELS_MAX];
	uint64_t pages_left;
	bool is_blocked;
};

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

int tandem_push_init(struct tandem_push *push, struct tandem_error *reterr_error)
{
	uint64_t page_count = push->layout.page_count;

	push->slots_bytes = tandem_layout_slots_bytes(&push->layout);
	push->slots = tandem_memory_map(push->slots_bytes);
	push->to_push = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(page_count) + 1,
	                                          sizeof *push->to_push);
	if (init_map(&push->open, page_count) == 0 && init_map(&push->last, page_count) == 0 &&
	    push->slots != NULL && push->to_push != NULL)
		return 0;
	tandem_push_done(push);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "engine",
	                        "no memory for maps of %llu pages", (unsigned long long)page_count);
}

void tandem_push_done(struct tandem_push *push)
{
	done_map(&push->open);
	done_map(&push->last);
	tandem_memory_free(push->to_push);
	push->to_push = NULL;
	if (push->slots != NULL)
		tandem_memory_unmap(push->slots, push->slots_bytes);
	push->slots = NULL;
}

static uint64_t region_bytes(const struct tandem_push *push, unsigned region)
{
	return push->layout.regions.entries[region].page_count * TANDEM_PAGE_BYTES;
}

int tandem_push_begin(struct tandem_push *push, struct tandem_session *session,
                      struct tandem_error *reterr_error)
{
	int code = tandem_session_register(session, push->slots, push->slots_bytes, reterr_error);

	for (unsigned region = 0; code == 0 && region < push->layout.regions.count; region++) {
		code = tandem_session_register(session, push->bases[region],
		                               region_bytes(push, region), reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  push->layout.regions.entries[region].name);
	}
	push->session = session;
	push->posted_mask = 0;
	return code;
}

void tandem_push_mark_all(struct tandem_push *push, bool is_fresh)
{
	for (unsigned region = 0; region < push->layout.regions.count; region++)
		tandem_bitmap_set_range(push->to_push, push->layout.first_page[region],
		                        push->layout.regions.entries[region].page_count);
	push->skips_zeros = is_fresh;
}

void tandem_push_merge(struct tandem_push *push)
{
	tandem_bitmap_or(push->to_push, push->open.recorded, push->open.page_count);
	tandem_bitmap_or(push->to_push, push->last.recorded, push->last.page_count);
	tandem_page_map_clear(&push->open);
	tandem_page_map_clear(&push->last);
	push->is_last_kept = false;
	push->session = NULL;
}

void tandem_push_forget(struct tandem_push *push)
{
	tandem_page_map_clear(&push->last);
	push->is_last_kept = false;
}

uint64_t tandem_push_left(const struct tandem_push *push)
{
	return tandem_bitmap_population(push->to_push, push->layout.page_count);
}

static uint8_t *page_memory(const struct tandem_push *push, unsigned region, uint64_t page)
{
	return push->bases[region] + (page - push->layout.first_page[region]) * TANDEM_PAGE_BYTES;
}

static void extend(struct tandem_push *push, struct lane *lane, unsigned region, uint64_t page)
{
	const uint8_t *source = page_memory(push, region, page);
	struct tandem_write *last = lane->filled > 0 ? &lane->writes[lane->filled - 1] : NULL;

	if (last != NULL && (const uint8_t *)last->source + last->length == source &&
	    page % TANDEM_STRIPE_PAGES != 0) {
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

/* [C18]: the bit is cleared before the page is read (4.2). The peer's cache and image of a fresh
 * copy are zeros already, unless this copy has written the page before. */
static void take_page(struct tandem_push *push, struct pass *pass, struct lane *lane, uint64_t page)
{
	unsigned region = tandem_layout_region(&push->layout, page);
	bool is_recorded = tandem_bitmap_get(push->open.recorded, page);

	tandem_bitmap_clear(push->to_push, page);
	pass->pages_left--;
	if (tandem_is_zero(page_memory(push, region, page), TANDEM_PAGE_BYTES)) {
		if (push->skips_zeros && !is_recorded)
			return;
		tandem_page_map_record(&push->open, page, TANDEM_RUN_ZERO);
		push->zero_pages++;
		return;
	}
	tandem_page_map_record(&push->open, page, TANDEM_RUN_DATA);
	push->data_pages++;
	extend(push, lane, region, page);
}

/* [C16]: a page of an epoch that is not applied stays in the cache as it is (4.4). */
static bool must_wait(const struct tandem_push *push, uint64_t page)
{
	return push->is_last_kept && tandem_bitmap_get(push->last.recorded, page);
}

static void fill_stripe(struct tandem_push *push, struct pass *pass, struct lane *lane,
                        uint64_t first)
{
	for (uint64_t page = first; page < first + TANDEM_STRIPE_PAGES; page++) {
		if (!tandem_bitmap_get(push->to_push, page))
			continue;
		if (must_wait(push, page))
			pass->is_blocked = true;
		else
			take_page(push, pass, lane, page);
	}
}

/* A stripe adds at most half its pages as separate writes; the batch always has room for one more
 * stripe. */
static void fill(struct tandem_push *push, struct pass *pass, unsigned channel)
{
	struct lane *lane = &pass->lanes[channel];
	uint64_t page_count = push->layout.page_count;

	lane->filled = 0;
	lane->taken = 0;
	while (lane->next_page < page_count && lane->filled + TANDEM_STRIPE_PAGES <= BATCH_WRITES &&
	       pass->pages_left > TANDEM_STRIPE_PAGES) {
		uint64_t page = tandem_bitmap_next(push->to_push, page_count, lane->next_page);
		uint64_t first = page - page % TANDEM_STRIPE_PAGES;

		if (page >= page_count) {
			lane->next_page = page_count;
			return;
		}
		if (tandem_layout_channel(&push->layout, first) == channel)
			fill_stripe(push, pass, lane, first);
		lane->next_page = first + TANDEM_STRIPE_PAGES;
	}
}

static void wait_a_little(struct tandem_push *push)
{
	struct pollfd descriptor = {.fd = tandem_session_fd(push->session), .events = POLLIN};

	poll(&descriptor, 1, POLL_MS);
	tandem_session_progress(push->session);
	if (push->keep_alive != NULL)
		push->keep_alive(push->argument);
}

/* Posts one lane's batch; *ret_taken counts what the queue took. */
static int post(struct tandem_push *push, struct lane *lane, unsigned channel, unsigned *ret_taken)
{
	unsigned taken = 0;
	int code;

	if (lane->taken == lane->filled)
		return 0;
	push->posted_mask |= 1u << channel;
	code = tandem_session_write(push->session, channel, lane->writes + lane->taken,
	                            lane->filled - lane->taken, &taken);
	if (code < 0)
		return code;
	lane->taken += taken;
	*ret_taken += taken;
	return 0;
}

static bool is_finished(const struct tandem_push *push, const struct pass *pass)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		const struct lane *lane = &pass->lanes[channel];

		if (lane->taken < lane->filled)
			return false;
		if (lane->next_page < push->layout.page_count &&
		    pass->pages_left > TANDEM_STRIPE_PAGES)
			return false;
	}
	return true;
}

static int post_all(struct tandem_push *push, struct pass *pass, unsigned *ret_taken)
{
	*ret_taken = 0;
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		struct lane *lane = &pass->lanes[channel];

		if (lane->taken == lane->filled)
			fill(push, pass, channel);
		int code = post(push, lane, channel, ret_taken);
		if (code < 0)
			return code;
	}
	return 0;
}

int tandem_push_pages(struct tandem_push *push, uint64_t pages_max, bool *ret_is_done,
                      bool *ret_is_blocked)
{
	struct pass pass = {.pages_left = pages_max};
	uint64_t moved_ns = tandem_clock_now_ns();

	do {
		unsigned taken;
		int code = post_all(push, &pass, &taken);

		if (code < 0)
			return code;
		TANDEM_FAILPOINT("push");
		if (taken > 0 || is_finished(push, &pass))
			moved_ns = tandem_clock_now_ns();
		else
			wait_a_little(push);
		if (tandem_clock_now_ns() - moved_ns > push->stall_timeout_ns)
			return TANDEM_E_TIMEOUT;
	} while (!is_finished(push, &pass));
	*ret_is_blocked = pass.is_blocked;
	*ret_is_done = true;
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++)
		*ret_is_done =
		        *ret_is_done && pass.lanes[channel].next_page >= push->layout.page_count;
	return 0;
}

static unsigned inflight(const struct tandem_push *push)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < push->layout.channel_count; channel++)
		count += tandem_session_inflight_count(push->session, channel);
	return count;
}

int tandem_push_settle(struct tandem_push *push)
{
	uint64_t moved_ns = tandem_clock_now_ns();
	unsigned before = inflight(push);

	tandem_session_progress(push->session);
	while (inflight(push) > 0) {
		wait_a_little(push);
		if (inflight(push) != before) {
			before = inflight(push);
			moved_ns = tandem_clock_now_ns();
		}
		if (tandem_clock_now_ns() - moved_ns > push->stall_timeout_ns)
			return TANDEM_E_TIMEOUT;
	}
	return 0;
}

/* ---- sealing ---- */

static int write_slot(struct tandem_push *push, unsigned channel, uint64_t offset, size_t length)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + push->stall_timeout_ns;

	while (length > 0) {
		uint32_t piece =
		        length > TANDEM_WRITE_BYTES_MAX ? TANDEM_WRITE_BYTES_MAX : (uint32_t)length;
		struct tandem_write write = {.memory_id = TANDEM_SLOTS_MEMORY_ID,
		                             .offset = offset,
		                             .source = push->slots + offset,
		                             .length = piece};
		unsigned taken = 0;
		int code = tandem_session_write(push->session, channel, &write, 1, &taken);

		if (code < 0)
			return code;
		if (taken == 1) {
			offset += piece;
			length -= piece;
		} else if (tandem_clock_now_ns() > deadline_ns) {
			return TANDEM_E_TIMEOUT;
		} else {
			wait_a_little(push);
		}
	}
	return 0;
}

static int notify(struct tandem_push *push, const struct tandem_trailer *trailer)
{
	uint64_t offset =
	        tandem_layout_trailer_offset(&push->layout, trailer->epoch, trailer->channel);
	uint64_t deadline_ns = tandem_clock_now_ns() + push->stall_timeout_ns;
	struct tandem_write write = {.memory_id = TANDEM_SLOTS_MEMORY_ID,
	                             .offset = offset,
	                             .source = push->slots + offset,
	                             .length = TANDEM_TRAILER_BYTES};
	int code;

	tandem_trailer_encode(trailer, push->slots + offset);
	while ((code = tandem_session_notify(push->session, trailer->channel, &write,
	                                     (uint32_t)trailer->epoch)) == TANDEM_E_AGAIN) {
		if (tandem_clock_now_ns() > deadline_ns)
			return TANDEM_E_TIMEOUT;
		wait_a_little(push);
	}
	return code;
}

static int seal_channel(struct tandem_push *push, struct tandem_trailer *trailer)
{
	uint64_t offset =
	        tandem_layout_runs_offset(&push->layout, trailer->epoch, trailer->channel);
	struct tandem_run_list list = tandem_page_map_encode(
	        &push->open, &push->layout, trailer->channel, push->slots + offset);
	int code = write_slot(push, trailer->channel, offset,
	                      (size_t)list.run_count * TANDEM_RUN_BYTES);

	trailer->run_count = list.run_count;
	trailer->run_crc = list.crc;
	trailer->data_pages = list.data_pages;
	return code < 0 ? code : notify(push, trailer);
}

/* Channels with zero runs only take part too: their list has to arrive. */
static uint32_t seal_mask(const struct tandem_push *push)
{
	uint32_t mask = push->posted_mask, all = (1u << push->layout.channel_count) - 1;
	uint64_t page = tandem_bitmap_next(push->open.recorded, push->layout.page_count, 0);

	while (page < push->layout.page_count && mask != all) {
		mask |= 1u << tandem_layout_channel(&push->layout, page);
		page = tandem_bitmap_next(push->open.recorded, push->layout.page_count,
		                          page - page % TANDEM_STRIPE_PAGES + TANDEM_STRIPE_PAGES);
	}
	if (push->state_bytes > 0 || mask == 0)
		mask |= 1u;
	return mask;
}

static void swap_maps(struct tandem_push *push)
{
	struct tandem_page_map map = push->last;

	push->last = push->open;
	push->open = map;
	tandem_page_map_clear(&push->open);
	push->is_last_kept = true;
	push->skips_zeros = false;
	push->posted_mask = 0;
}

/* No write still reads the slot: the capture before this one settled after the slot's last seal. */
void tandem_push_state(struct tandem_push *push, uint64_t epoch, const void *state,
                       uint32_t state_bytes)
{
	if (state_bytes > 0)
		memcpy(push->slots + tandem_layout_state_offset(&push->layout, epoch), state,
		       state_bytes);
	push->state_bytes = state_bytes;
}

int tandem_push_seal(struct tandem_push *push, uint64_t epoch, uint64_t base, uint64_t generation)
{
	struct tandem_trailer trailer = {.generation = generation, .epoch = epoch, .base = base};
	uint64_t state_offset = tandem_layout_state_offset(&push->layout, epoch);
	int code = 0;

	trailer.mask = seal_mask(push);
	if (push->state_bytes > 0) {
		trailer.state_bytes = push->state_bytes;
		trailer.state_crc = tandem_crc32c(0, push->slots + state_offset, push->state_bytes);
		code = write_slot(push, 0, state_offset, push->state_bytes);
	}
	for (unsigned channel = 0; code == 0 && channel < push->layout.channel_count; channel++) {
		if ((trailer.mask & 1u << channel) == 0)
			continue;
		trailer.channel = channel;
		code = seal_channel(push, &trailer);
		TANDEM_FAILPOINT("seal");
	}
	swap_maps(push);
	return code;
}
