#include "stripes.h"

#include <string.h>

static void free_carried(struct tandem_stripes *stripes)
{
	if (stripes->first_carried < stripes->end_carried)
		memset(stripes->channels + stripes->first_carried, TANDEM_STRIPE_FREE,
		       stripes->end_carried - stripes->first_carried);
	stripes->first_carried = stripes->stripe_count;
	stripes->end_carried = 0;
	memset(stripes->carried_count, 0, sizeof stripes->carried_count);
	stripes->posted_mask = 0;
}

void tandem_stripes_begin(struct tandem_stripes *stripes, uint32_t up_mask)
{
	stripes->first_carried = 0;
	stripes->end_carried = stripes->stripe_count;
	free_carried(stripes);
	stripes->up_mask = up_mask;
	stripes->waiting_mask = 0;
}

unsigned tandem_stripes_channel(const struct tandem_stripes *stripes, uint64_t page)
{
	return stripes->channels[page / stripes->stripe_pages];
}

void tandem_stripes_carry(struct tandem_stripes *stripes, uint64_t page, unsigned channel)
{
	const uint64_t stripe = page / stripes->stripe_pages;

	stripes->channels[stripe] = (uint8_t)channel;
	stripes->carried_count[channel]++;
	if (stripe < stripes->first_carried)
		stripes->first_carried = stripe;
	if (stripe >= stripes->end_carried)
		stripes->end_carried = stripe + 1;
}

void tandem_stripes_note_post(struct tandem_stripes *stripes, unsigned channel)
{
	stripes->posted_mask |= 1u << channel;
}

bool tandem_stripes_are_written(const struct tandem_stripes *stripes)
{
	uint64_t carried = 0;

	for (unsigned channel = 0; channel < TANDEM_STRIPE_LANES; channel++)
		carried += stripes->carried_count[channel];
	return stripes->posted_mask != 0 || carried > 0;
}

static void use_restored(struct tandem_stripes *stripes)
{
	stripes->up_mask |= stripes->waiting_mask;
	stripes->waiting_mask = 0;
}

void tandem_stripes_commit(struct tandem_stripes *stripes)
{
	free_carried(stripes);
	use_restored(stripes);
}

void tandem_stripes_lose(struct tandem_stripes *stripes, unsigned channel)
{
	stripes->up_mask &= ~(1u << channel);
	stripes->waiting_mask &= ~(1u << channel);
}

void tandem_stripes_fence(struct tandem_stripes *stripes, uint32_t channel_mask)
{
	for (uint64_t stripe = 0; stripe < stripes->stripe_count; stripe++) {
		unsigned channel = stripes->channels[stripe];

		if (channel != TANDEM_STRIPE_FREE && (channel_mask & 1u << channel) != 0)
			stripes->channels[stripe] = TANDEM_STRIPE_FREE;
	}
	for (unsigned channel = 0; channel < TANDEM_STRIPE_LANES; channel++) {
		if ((channel_mask & 1u << channel) != 0)
			stripes->carried_count[channel] = 0;
	}
	stripes->posted_mask &= ~channel_mask;
	if (!tandem_stripes_are_written(stripes))
		use_restored(stripes);
}

void tandem_stripes_restore(struct tandem_stripes *stripes, unsigned channel)
{
	stripes->waiting_mask |= 1u << channel;
	if (!tandem_stripes_are_written(stripes))
		use_restored(stripes);
}

unsigned tandem_stripes_lowest(const struct tandem_stripes *stripes)
{
	unsigned channel = 0;

	while (channel < TANDEM_STRIPE_LANES - 1 && (stripes->up_mask & 1u << channel) == 0)
		channel++;
	return channel;
}

void tandem_load_reset(struct tandem_load *load)
{
	load->posted_count = 0;
	load->posted_bytes = 0;
}

void tandem_load_post(struct tandem_load *load, uint64_t bytes)
{
	load->posted_bytes += bytes;
	load->posted_count++;
	load->bytes_after[load->posted_count % TANDEM_LOAD_WRITES] = load->posted_bytes;
}

uint64_t tandem_load_bytes(const struct tandem_load *load, unsigned inflight_count)
{
	if (inflight_count >= load->posted_count || inflight_count >= TANDEM_LOAD_WRITES)
		return load->posted_bytes;
	return load->posted_bytes -
	       load->bytes_after[(load->posted_count - inflight_count) % TANDEM_LOAD_WRITES];
}
