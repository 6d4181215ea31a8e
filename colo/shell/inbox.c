#include "inbox.h"

#include <string.h>

#include <tandem/crc32c.h>
#include <tandem/memory.h>

#include "../core/bitmap.h"

static int init_epoch(struct tandem_inbox_epoch *epoch, const struct tandem_layout *layout)
{
	epoch->state = tandem_memory_alloc(layout->state_bytes_max + 1);
	if (epoch->state == NULL)
		return TANDEM_E_MEMORY;
	for (unsigned channel = 0; channel < layout->channel_count; channel++) {
		epoch->runs[channel] =
		        tandem_memory_map(layout->runs_max * sizeof(struct tandem_run));
		if (epoch->runs[channel] == NULL)
			return TANDEM_E_MEMORY;
	}
	return 0;
}

static void done_epoch(struct tandem_inbox_epoch *epoch, const struct tandem_layout *layout)
{
	tandem_memory_free(epoch->state);
	for (unsigned channel = 0; channel < layout->channel_count; channel++) {
		if (epoch->runs[channel] != NULL)
			tandem_memory_unmap(epoch->runs[channel],
			                    layout->runs_max * sizeof(struct tandem_run));
	}
	memset(epoch, 0, sizeof *epoch);
}

int tandem_inbox_init(struct tandem_inbox *inbox, const struct tandem_layout *layout,
                      struct tandem_error *reterr_error)
{
	memset(inbox, 0, sizeof *inbox);
	inbox->layout = *layout;
	inbox->slots_bytes = tandem_layout_slots_bytes(layout);
	inbox->slots = tandem_memory_map(inbox->slots_bytes);
	inbox->listed = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(layout->page_count) + 1,
	                                          sizeof *inbox->listed);
	if (inbox->slots != NULL && inbox->listed != NULL &&
	    init_epoch(&inbox->sealing, layout) == 0 && init_epoch(&inbox->committed, layout) == 0)
		return 0;
	tandem_inbox_done(inbox, false);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "slots",
	                        "no memory for %llu KiB of run lists",
	                        (unsigned long long)(tandem_layout_slots_bytes(layout) >> 10));
}

void tandem_inbox_done(struct tandem_inbox *inbox, bool keeps_slots)
{
	if (inbox->slots != NULL && !keeps_slots)
		tandem_memory_unmap(inbox->slots, inbox->slots_bytes);
	tandem_memory_free(inbox->listed);
	done_epoch(&inbox->sealing, &inbox->layout);
	done_epoch(&inbox->committed, &inbox->layout);
	memset(inbox, 0, sizeof *inbox);
}

static int fault(struct tandem_error *reterr_error, unsigned channel, const char *what)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "seal", "channel %u: %s", channel,
	                        what);
}

/* [C12]: in the lists of all channels together no page is twice. */
static bool list_run(struct tandem_inbox *inbox, const struct tandem_run *run)
{
	for (uint64_t page = run->first_page; page < run->first_page + run->page_count; page++) {
		if (tandem_bitmap_get(inbox->listed, page))
			return false;
		tandem_bitmap_set(inbox->listed, page);
	}
	return true;
}

/* Each run is copied out of the slot first; the CRC and the checks are made of the copy. */
static int take_runs(struct tandem_inbox *inbox, unsigned channel,
                     const struct tandem_trailer *trailer, struct tandem_error *reterr_error)
{
	const uint8_t *slot =
	        inbox->slots + tandem_layout_runs_offset(&inbox->layout, trailer->epoch, channel);
	struct tandem_run *runs = inbox->sealing.runs[channel];
	uint64_t next_page = 0, data_pages = 0, page_count = 0;
	uint32_t crc = 0;

	for (uint32_t run = 0; run < trailer->run_count; run++) {
		uint8_t bytes[TANDEM_RUN_BYTES];

		memcpy(bytes, slot + (size_t)run * TANDEM_RUN_BYTES, sizeof bytes);
		crc = tandem_crc32c(crc, bytes, sizeof bytes);
		if (!tandem_run_decode(&inbox->layout, bytes, &next_page, &runs[run]))
			return fault(reterr_error, channel,
			             "a run outside its regions, stripe or order");
		if (!list_run(inbox, &runs[run]))
			return fault(reterr_error, channel, "a page that is in two runs");
		page_count += runs[run].page_count;
		if (runs[run].kind == TANDEM_RUN_DATA)
			data_pages += runs[run].page_count;
	}
	if (crc != trailer->run_crc || data_pages != trailer->data_pages)
		return fault(reterr_error, channel, "the list of runs does not match its trailer");
	inbox->sealing.run_count[channel] = trailer->run_count;
	inbox->sealing.page_count[channel] = page_count;
	return 0;
}

static int take_state(struct tandem_inbox *inbox, const struct tandem_trailer *trailer,
                      struct tandem_error *reterr_error)
{
	const uint8_t *slot =
	        inbox->slots + tandem_layout_state_offset(&inbox->layout, trailer->epoch);

	memcpy(inbox->sealing.state, slot, trailer->state_bytes);
	inbox->sealing.state_bytes = trailer->state_bytes;
	if (tandem_crc32c(0, inbox->sealing.state, trailer->state_bytes) != trailer->state_crc)
		return fault(reterr_error, 0, "the state blob does not match its trailer");
	return 0;
}

int tandem_inbox_take(struct tandem_inbox *inbox, unsigned channel, uint32_t immediate,
                      struct tandem_trailer *ret_trailer, struct tandem_error *reterr_error)
{
	uint8_t bytes[TANDEM_TRAILER_BYTES];
	struct tandem_trailer trailer;
	int code;

	if (channel >= inbox->layout.channel_count)
		return fault(reterr_error, channel, "no such channel");
	memcpy(bytes,
	       inbox->slots + tandem_layout_trailer_offset(&inbox->layout, immediate, channel),
	       sizeof bytes);
	code = tandem_trailer_decode(bytes, &trailer);
	if (code < 0)
		return fault(reterr_error, channel,
		             "a trailer with a wrong magic, version or checksum");
	if ((uint32_t)trailer.epoch != immediate)
		return fault(reterr_error, channel,
		             "a trailer of another epoch than its immediate");
	if ((inbox->sealing.mask & 1u << channel) != 0)
		return fault(reterr_error, channel, "a channel sealed twice");
	if (trailer.run_count > inbox->layout.runs_max ||
	    trailer.state_bytes > inbox->layout.state_bytes_max)
		return fault(reterr_error, channel, "more runs or state than was agreed");
	code = take_runs(inbox, channel, &trailer, reterr_error);
	if (code == 0 && (trailer.mask & ((2u << channel) - 1)) == 1u << channel)
		code = take_state(inbox, &trailer, reterr_error);
	if (code < 0)
		return code;
	inbox->sealing.mask |= 1u << channel;
	*ret_trailer = trailer;
	return 0;
}

static void begin_epoch(struct tandem_inbox *inbox)
{
	inbox->sealing.mask = 0;
	inbox->sealing.state_bytes = 0;
}

/* Cheaper than the whole bitmap where few pages are listed. */
static void unlist(struct tandem_inbox *inbox)
{
	const struct tandem_inbox_epoch *epoch = &inbox->sealing;

	for (unsigned channel = 0; channel < inbox->layout.channel_count; channel++) {
		if ((epoch->mask & 1u << channel) == 0)
			continue;
		for (uint32_t run = 0; run < epoch->run_count[channel]; run++) {
			const struct tandem_run *one = &epoch->runs[channel][run];

			for (uint32_t page = 0; page < one->page_count; page++)
				tandem_bitmap_clear(inbox->listed, one->first_page + page);
		}
	}
}

void tandem_inbox_discard(struct tandem_inbox *inbox)
{
	unlist(inbox);
	begin_epoch(inbox);
}

void tandem_inbox_forget(struct tandem_inbox *inbox)
{
	begin_epoch(inbox);
	tandem_bitmap_zero(inbox->listed, inbox->layout.page_count); /* a refused list too */
	for (uint64_t parity = 0; parity < 2; parity++) {
		for (unsigned channel = 0; channel < inbox->layout.channel_count; channel++)
			memset(inbox->slots + tandem_layout_trailer_offset(&inbox->layout, parity,
			                                                   channel),
			       0, TANDEM_TRAILER_BYTES);
	}
}

void tandem_inbox_commit(struct tandem_inbox *inbox)
{
	struct tandem_inbox_epoch epoch = inbox->committed;

	unlist(inbox);
	inbox->committed = inbox->sealing;
	inbox->sealing = epoch;
	begin_epoch(inbox);
	inbox->apply_channel = 0;
	inbox->apply_run = 0;
}

const struct tandem_run *tandem_inbox_next_run(struct tandem_inbox *inbox)
{
	const struct tandem_inbox_epoch *epoch = &inbox->committed;

	while (inbox->apply_channel < inbox->layout.channel_count) {
		unsigned channel = inbox->apply_channel;

		if ((epoch->mask & 1u << channel) != 0 &&
		    inbox->apply_run < epoch->run_count[channel])
			return &epoch->runs[channel][inbox->apply_run++];
		inbox->apply_channel++;
		inbox->apply_run = 0;
	}
	return NULL;
}
