#include "push_internal.h"

#include <string.h>

#include <tandem/clock.h>
#include <tandem/crc32c.h>
#include <tandem/failpoint.h>

static int write_slot(struct tandem_push *push, unsigned channel, uint64_t offset, size_t length)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + push->stall_timeout_ns;

	tandem_stripes_note_post(&push->stripes, channel);
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
			tandem_load_post(&push->loads[channel], piece);
			offset += piece;
			length -= piece;
		} else if (tandem_clock_now_ns() > deadline_ns) {
			return TANDEM_E_TIMEOUT;
		} else {
			tandem_push_wait(push);
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
	tandem_stripes_note_post(&push->stripes, trailer->channel);
	while ((code = tandem_session_notify(push->session, trailer->channel, &write,
	                                     (uint32_t)trailer->epoch)) == TANDEM_E_AGAIN) {
		if (tandem_clock_now_ns() > deadline_ns)
			return TANDEM_E_TIMEOUT;
		tandem_push_wait(push);
	}
	if (code == 0)
		tandem_load_post(&push->loads[trailer->channel], write.length);
	return code;
}

static int seal_channel(struct tandem_push *push, struct tandem_trailer *trailer,
                        const struct tandem_run_list *list)
{
	uint64_t offset =
	        tandem_layout_runs_offset(&push->layout, trailer->epoch, trailer->channel);
	int code = write_slot(push, trailer->channel, offset,
	                      (size_t)list->run_count * TANDEM_RUN_BYTES);

	TANDEM_FAILPOINT("seal_list");
	trailer->run_count = list->run_count;
	trailer->run_crc = list->crc;
	trailer->data_pages = list->data_pages;
	return code < 0 ? code : notify(push, trailer);
}

static void make_lists(const struct tandem_push *push, uint64_t epoch,
                       struct tandem_run_list *ret_lists)
{
	for (unsigned channel = 0; channel < push->layout.channel_count; channel++)
		ret_lists[channel] = (struct tandem_run_list){
		        .bytes = push->slots +
		                 tandem_layout_runs_offset(&push->layout, epoch, channel)};
	tandem_page_map_encode(&push->open, &push->stripes, ret_lists, push->layout.channel_count);
}

/* Channels with zero runs only take part too: their list has to arrive. */
static uint32_t seal_mask(const struct tandem_push *push)
{
	uint32_t mask = push->stripes.posted_mask;

	for (unsigned channel = 0; channel < push->layout.channel_count; channel++) {
		if (push->stripes.carried_count[channel] > 0)
			mask |= 1u << channel;
	}
	if (push->state_bytes > 0 || mask == 0)
		mask |= 1u << tandem_stripes_lowest(&push->stripes);
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
	tandem_push_forget_digests(push);
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
	struct tandem_run_list lists[TANDEM_CHANNELS_MAX];
	uint64_t state_offset = tandem_layout_state_offset(&push->layout, epoch);
	int code = 0;

	trailer.mask = seal_mask(push);
	if (push->state_bytes > 0) {
		trailer.state_bytes = push->state_bytes;
		trailer.state_crc = tandem_crc32c(0, push->slots + state_offset, push->state_bytes);
		code = write_slot(push, tandem_stripes_lowest(&push->stripes), state_offset,
		                  push->state_bytes);
		TANDEM_FAILPOINT("seal_blob");
	}
	make_lists(push, epoch, lists);
	for (unsigned channel = 0; code == 0 && channel < push->layout.channel_count; channel++) {
		if ((trailer.mask & 1u << channel) == 0)
			continue;
		trailer.channel = channel;
		code = seal_channel(push, &trailer, &lists[channel]);
		TANDEM_FAILPOINT("seal");
	}
	swap_maps(push);
	return code;
}
