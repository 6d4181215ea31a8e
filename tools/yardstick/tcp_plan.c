#include "tcp.h"

static uint64_t next_random(uint64_t *state)
{
	/* splitmix64 (Steele, Lea, Flood 2014) */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void shuffle(uint32_t *pieces, size_t count, uint64_t *random)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = (size_t)(next_random(random) % i);
		uint32_t piece = pieces[i - 1];
		pieces[i - 1] = pieces[other];
		pieces[other] = piece;
	}
}

void yardstick_plan_make(struct yardstick_plan *plan, const struct yardstick_options *options)
{
	const size_t stripe_bytes = YARDSTICK_STRIPE_PAGES * YARDSTICK_PAGE_BYTES;
	const size_t stripes = options->region_bytes / stripe_bytes / options->channel_count;
	uint64_t random = 1;
	plan->options = options;
	plan->piece_bytes =
	        options->pattern == YARDSTICK_RANDOM ? YARDSTICK_PAGE_BYTES : stripe_bytes;
	plan->epoch_pieces = options->bytes / plan->piece_bytes;
	const size_t stripe_pieces = stripe_bytes / plan->piece_bytes;
	plan->channel_pieces = stripes * stripe_pieces;
	for (unsigned channel = 0; channel < options->channel_count; channel++) {
		uint32_t *pieces = yardstick_map(plan->channel_pieces * sizeof(*pieces));
		for (size_t i = 0; i < plan->channel_pieces; i++) {
			size_t stripe = i / stripe_pieces * options->channel_count + channel;
			pieces[i] = (uint32_t)(stripe * stripe_pieces + i % stripe_pieces);
		}
		if (options->pattern != YARDSTICK_SEQUENTIAL)
			shuffle(pieces, plan->channel_pieces, &random);
		plan->pieces[channel] = pieces;
		plan->next[channel] = 0;
	}
}

size_t yardstick_plan_share(const struct yardstick_plan *plan, unsigned epoch, unsigned channel)
{
	const unsigned count = plan->options->channel_count;
	const unsigned place = (channel + count - epoch % count) % count;
	return plan->epoch_pieces / count + (place < plan->epoch_pieces % count);
}

unsigned yardstick_plan_seals(const struct yardstick_plan *plan)
{
	const unsigned count = plan->options->channel_count;
	return plan->epoch_pieces < count ? (unsigned)plan->epoch_pieces : count;
}

struct yardstick_extent yardstick_plan_next(struct yardstick_plan *plan, unsigned channel)
{
	size_t *next = &plan->next[channel];
	const uint32_t piece = plan->pieces[channel][*next];
	*next = *next + 1 == plan->channel_pieces ? 0 : *next + 1;
	return (struct yardstick_extent){.offset = piece * (uint64_t)plan->piece_bytes,
	                                 .length = plan->piece_bytes};
}
