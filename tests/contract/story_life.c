#include <string.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "channels.h"
#include "story.h"

/* Seeded lives of four channels: writes, breaks, fences, restores and sides that do not listen, in
 * any order. What must hold is checked at each event and after each step. */

#define LIVES     24
#define STEPS     300
#define SLOTS     512
#define AHEAD_MAX 400 /* below SLOTS: a number's place is its own until it was heard of */

struct life {
	struct pair *pair;
	uint64_t seed;
	bool is_wrong;
	uint64_t number[CHANNELS_COUNT];        /* the newest that was written */
	uint64_t first_unheard[CHANNELS_COUNT]; /* below it nothing more is to come */
	uint64_t heard[CHANNELS_COUNT];
	bool is_up[2][CHANNELS_COUNT];   /* as the events say: connecting, listening */
	bool is_watched[CHANNELS_COUNT]; /* fenced, and like `snapshot` since */
	uint8_t snapshot[CHANNELS_COUNT][SLOTS * sizeof(uint64_t)];
};

static unsigned draw(struct life *life, unsigned below)
{
	return (unsigned)((tandem_random_next(&life->seed) >> 11) % below);
}

static void check(struct life *life, bool holds, const char *what, unsigned channel)
{
	if (holds)
		return;
	fprintf(stderr, "channel %u: %s\n", channel, what);
	life->is_wrong = true;
}

static uint8_t *place_of(uint8_t *base, unsigned channel, uint64_t number)
{
	return base + channel * CHANNELS_PART + number % SLOTS * sizeof(number);
}

static enum tandem_channel_state state_of(const struct pair_side *side, unsigned channel)
{
	struct tandem_channel_status status;
	tandem_session_channel_status(side->session, channel, &status);
	return status.state;
}

/* ---- what the events must say ---- */

static void hear_notice(struct life *life, unsigned channel, uint32_t number)
{
	uint64_t stored;
	memcpy(&stored, place_of(life->pair->memory, channel, number), sizeof(stored));
	check(life, number > life->heard[channel], "a notice came twice, or late", channel);
	check(life, stored >= number, "a notice came before its write", channel);
	check(life, life->is_up[1][channel], "a notice came while it was not up", channel);
	life->heard[channel] = number;
}

static void hear(struct life *life, unsigned side, const struct tandem_session_event *event)
{
	unsigned channel = event->channel;
	if (event->type == TANDEM_SESSION_NOTIFIED)
		hear_notice(life, channel, event->immediate);
	if (event->type == TANDEM_SESSION_CHANNEL_UP) {
		/* The listening side's own fence ends one without an event. */
		check(life, side == 1 || !life->is_up[side][channel], "it is up twice", channel);
		life->is_up[side][channel] = true;
		if (side == 0)
			life->first_unheard[channel] = life->number[channel];
	}
	if (event->type == TANDEM_SESSION_CHANNEL_LOST) {
		check(life, event->error.detail[0] != 0, "its loss has no cause", channel);
		/* What was in flight on the listening side may still come, until the fence. */
		life->is_up[0][channel] = life->is_up[0][channel] && side == 1;
	}
}

static void hear_connecting(void *context, const struct tandem_session_event *event)
{
	struct life *life = context;
	hear(life, 0, event);
	if (event->type != TANDEM_SESSION_UP)
		return;
	for (unsigned i = 0; i < CHANNELS_COUNT; i++)
		life->is_up[0][i] = event->channel_mask >> i & 1;
}

static void hear_listening(void *context, const struct tandem_session_event *event)
{
	hear(context, 1, event);
}

/* ---- what may happen ---- */

static void post(struct life *life)
{
	struct pair *pair = life->pair;
	unsigned channel = draw(life, CHANNELS_COUNT);
	for (unsigned i = draw(life, 20); i > 0; i--) {
		uint64_t number = life->number[channel] + 1;
		uint64_t from = life->heard[channel] > life->first_unheard[channel]
		                        ? life->heard[channel]
		                        : life->first_unheard[channel];
		const struct tandem_write write = {
		        .offset =
		                (uint64_t)(place_of(pair->memory, channel, number) - pair->memory),
		        .source = place_of(pair->source, channel, number),
		        .length = sizeof(number)};
		if (number - from > AHEAD_MAX)
			return;
		memcpy(place_of(pair->source, channel, number), &number, sizeof(number));
		int status = tandem_session_notify(pair->connecting.session, channel, &write,
		                                   (uint32_t)number);
		check(life,
		      status == 0 || status == TANDEM_E_AGAIN || status == TANDEM_E_CHANNEL_LOST ||
		              status == TANDEM_E_PEER_LOST,
		      tandem_error_text(status), channel);
		if (status != 0)
			return;
		life->number[channel] = number;
	}
}

/* Mostly not the last one: that is another story. */
static bool may_end(struct life *life, unsigned channel)
{
	unsigned up_count = 0;
	for (unsigned i = 0; i < CHANNELS_COUNT; i++)
		up_count += i != channel &&
		            state_of(&life->pair->connecting, i) == TANDEM_CHANNEL_UP &&
		            state_of(&life->pair->listening, i) == TANDEM_CHANNEL_UP;
	return up_count > 0 || draw(life, 200) == 0;
}

static void break_one(struct life *life, struct pair_side *side)
{
	unsigned channel = draw(life, CHANNELS_COUNT);
	if (may_end(life, channel))
		tandem_session_break_channel(side->session, channel);
}

static void fence_one(struct life *life)
{
	unsigned channel = draw(life, CHANNELS_COUNT);
	struct tandem_error error = {0};
	if (!may_end(life, channel))
		return;
	int status = tandem_session_fence_channel(life->pair->listening.session, channel,
	                                          channels_soon_ns(), &error);
	check(life, status == 0, error.detail, channel);
	memcpy(life->snapshot[channel], life->pair->memory + channel * CHANNELS_PART,
	       sizeof(life->snapshot[channel]));
	life->is_watched[channel] = status == 0;
}

static void restore_one(struct life *life)
{
	unsigned channel = draw(life, CHANNELS_COUNT);
	int status = tandem_session_restore(life->pair->connecting.session, channel, NULL);
	check(life, status == 0 || status == TANDEM_E_USAGE || status == TANDEM_E_PEER_LOST,
	      tandem_error_text(status), channel);
}

static void send_message(struct life *life, struct pair_side *side)
{
	int status = tandem_session_send(side->session, "life", 4);
	check(life, status == 0 || status == TANDEM_E_AGAIN || status == TANDEM_E_PEER_LOST,
	      tandem_error_text(status), CHANNELS_COUNT);
}

static void step(struct life *life)
{
	struct pair *pair = life->pair;
	struct pair_side *side = draw(life, 2) ? &pair->listening : &pair->connecting;
	unsigned choice = draw(life, 100);
	if (choice < 35)
		post(life);
	else if (choice < 60)
		pair_turn(pair);
	else if (choice < 67)
		break_one(life, side);
	else if (choice < 75)
		fence_one(life);
	else if (choice < 90)
		restore_one(life);
	else if (choice < 94)
		send_message(life, side);
	else
		side->is_deaf = !side->is_deaf;
}

/* [T16] Fenced and not joined again: nothing changes it. */
static void check_fenced(struct life *life)
{
	for (unsigned i = 0; i < CHANNELS_COUNT; i++) {
		const uint8_t *part = life->pair->memory + i * CHANNELS_PART;
		if (state_of(&life->pair->listening, i) != TANDEM_CHANNEL_DOWN)
			life->is_watched[i] = false;
		if (life->is_watched[i])
			check(life, memcmp(part, life->snapshot[i], sizeof(life->snapshot[i])) == 0,
			      "it was written to after its fence", i);
	}
}

/* ---- the end of a life ---- */

static bool is_settled(const struct pair *pair, uint64_t channel)
{
	return state_of(&pair->connecting, (unsigned)channel) != TANDEM_CHANNEL_JOINING ||
	       pair->connecting.lost_count > 0;
}

static bool is_down(const struct pair *pair, uint64_t channel)
{
	enum tandem_channel_state state = state_of(&pair->connecting, (unsigned)channel);
	return state == TANDEM_CHANNEL_LOST || state == TANDEM_CHANNEL_DOWN ||
	       pair->connecting.lost_count > 0;
}

static bool is_taken(const struct pair *pair, uint64_t channel)
{
	return state_of(&pair->listening, (unsigned)channel) == TANDEM_CHANNEL_UP ||
	       pair->listening.lost_count > 0;
}

/* An attempt that a fence met on its way is refused, and so is one before the word of the fence has
 * come. */
static int bring_back(struct pair *pair, unsigned channel)
{
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	struct tandem_error error = {0};
	while (pair->connecting.lost_count == 0 && tandem_clock_now_ns() < end_ns) {
		TANDEM_CONTRACT_CHECK(pair_wait(pair, is_settled, channel) == 0);
		if (state_of(&pair->connecting, channel) == TANDEM_CHANNEL_UP &&
		    state_of(&pair->listening, channel) == TANDEM_CHANNEL_UP)
			return 0;
		TANDEM_CONTRACT_CHECK(channels_fence(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(pair_wait(pair, is_down, channel) == 0);
		pair_take(pair);
		int status = tandem_session_restore(pair->connecting.session, channel, &error);
		if (status != 0)
			pair_turn(pair);
		else
			TANDEM_CONTRACT_CHECK(pair_wait(pair, is_settled, channel) == 0);
		if (state_of(&pair->connecting, channel) == TANDEM_CHANNEL_UP)
			TANDEM_CONTRACT_CHECK(pair_wait(pair, is_taken, channel) == 0);
	}
	if (pair->connecting.lost_count > 0)
		return 0;
	fprintf(stderr, "channel %u does not come back; refused at last: '%s'\n", channel,
	        error.detail);
	return -1;
}

/* Whatever happened, either the session is lost on both sides or all of it can be made whole. */
static int finish(struct life *life)
{
	struct pair *pair = life->pair;
	pair->listening.is_deaf = pair->connecting.is_deaf = false;
	for (unsigned i = 0; i < CHANNELS_COUNT; i++)
		TANDEM_CONTRACT_CHECK(bring_back(pair, i) == 0);
	if (pair->connecting.lost_count + pair->listening.lost_count > 0)
		return pair_wait(pair, pair_is_lost, 0);
	pair->listening.on_event = pair->connecting.on_event = NULL;
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	return channels_carry_all(pair, (UINT32_C(1) << CHANNELS_COUNT) - 1);
}

static int live(struct pair *pair, uint64_t seed)
{
	static struct life life;
	life = (struct life){.pair = pair, .seed = seed};
	for (unsigned i = 0; i < CHANNELS_COUNT; i++)
		life.is_up[0][i] = true;
	pair_take(pair);
	for (unsigned i = 0; i < CHANNELS_COUNT; i++)
		life.is_up[1][i] = pair->listening.channel_up_counts[i] > 0;
	pair->connecting.on_event = hear_connecting;
	pair->listening.on_event = hear_listening;
	pair->connecting.context = pair->listening.context = &life;
	for (unsigned i = 0; i < STEPS && !life.is_wrong && pair->connecting.lost_count == 0 &&
	                     pair->listening.lost_count == 0;
	     i++) {
		step(&life);
		check_fenced(&life);
	}
	int status = life.is_wrong ? -1 : finish(&life);
	if (status != 0 || life.is_wrong)
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	TANDEM_CONTRACT_CHECK(status == 0 && !life.is_wrong);
	return 0;
}

static uint64_t next_seed;

static int live_next(struct pair *pair)
{
	return live(pair, next_seed);
}

int story_channels_live_through_anything(struct tandem_contract_bed *bed)
{
	for (next_seed = 1; next_seed <= LIVES; next_seed++)
		TANDEM_CONTRACT_CHECK(channels_run(bed, live_next) == 0);
	return 0;
}
