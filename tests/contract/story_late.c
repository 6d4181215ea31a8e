#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tandem/clock.h>

#include "channels.h"
#include "story.h"

/* [T16]: no write that was posted before the fence of its channel changes memory after it. The
 * other side posts at full rate on every channel, before, during and after. */

#define PAGE         4096
#define POISON       0xa5
#define BATCH        16
#define NOTICES_MORE 200
#define TURNS_MAX    200000

struct race {
	struct pair *pair;
	unsigned channel; /* the one that is fenced */
	bool is_broken_first;
	atomic_uint break_asked; /* by the listening side's thread */
	atomic_uint told_count;  /* CHANNEL_LOST of that channel, to the writer */
	atomic_bool is_over;
	atomic_bool must_stop;
};

static void post(struct race *race, unsigned channel)
{
	struct tandem_session *session = race->pair->connecting.session;
	const uint8_t *source = race->pair->source;
	struct tandem_write writes[BATCH];
	unsigned taken_count;
	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){.offset = channel * CHANNELS_PART + i * PAGE,
		                                  .source = source,
		                                  .length = PAGE};
	if (tandem_session_write(session, channel, writes, BATCH, &taken_count) != 0)
		return;
	/* Full is as good as posted: the next round goes on. */
	if (tandem_session_notify(session, channel, &writes[0], 1) == TANDEM_E_USAGE)
		atomic_store(&race->is_over, true);
}

static void step(struct race *race)
{
	static struct tandem_session_event event;
	struct tandem_session *session = race->pair->connecting.session;
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++)
		post(race, channel);
	if (atomic_exchange(&race->break_asked, 0))
		tandem_session_break_channel(session, race->channel);
	tandem_session_progress(session);
	while (tandem_session_next_event(session, &event)) {
		if (event.type == TANDEM_SESSION_CHANNEL_LOST && event.channel == race->channel)
			atomic_fetch_add(&race->told_count, 1);
		if (event.type == TANDEM_SESSION_LOST) {
			fprintf(stderr, "the writer lost: '%s'\n", event.error.detail);
			atomic_store(&race->is_over, true);
		}
	}
}

static void *write_on(void *argument)
{
	struct race *race = argument;
	/* No sooner than the other side, which waits a few times. */
	uint64_t end_ns = tandem_clock_now_ns() + UINT64_C(4) * PAIR_WAIT_NS;
	while (!atomic_load(&race->must_stop) && !atomic_load(&race->is_over) &&
	       tandem_clock_now_ns() < end_ns)
		step(race);
	return NULL;
}

/* The writer is a thread, or takes turns with this side where all is in one thread. */
static int wait_for(struct race *race, pair_test test, uint64_t argument)
{
	if (!race->pair->bed->is_deterministic)
		return pair_wait(race->pair, test, argument);
	for (unsigned i = 0; i < TURNS_MAX && !test(race->pair, argument); i++) {
		step(race);
		pair_turn(race->pair);
	}
	TANDEM_CONTRACT_CHECK(test(race->pair, argument));
	return 0;
}

/* Each channel but one has had so many notices; argument: that channel, and the number. */
static bool have_others(const struct pair *pair, uint64_t argument)
{
	for (unsigned i = 0; i < CHANNELS_COUNT; i++) {
		if (i != argument >> 32 &&
		    pair->listening.channel_notice_counts[i] < (uint32_t)argument)
			return pair->listening.lost_count > 0;
	}
	return true;
}

static bool has_own(const struct pair *pair, uint64_t argument)
{
	return pair->listening.channel_notice_counts[argument >> 32] >= (uint32_t)argument ||
	       pair->listening.lost_count > 0;
}

/* The word of a fence and what the other channels carry are not ordered. */
static bool is_writer_told(const struct pair *pair, uint64_t argument)
{
	struct race *race = pair->connecting.context;
	(void)argument;
	return atomic_load(&race->told_count) > 0 || atomic_load(&race->is_over);
}

static bool is_listening_told(const struct pair *pair, uint64_t channel)
{
	return pair->listening.channel_lost_counts[channel] > 0 || pair->listening.lost_count > 0;
}

static unsigned most_notices(const struct pair *pair)
{
	unsigned most = 0;
	for (unsigned i = 0; i < CHANNELS_COUNT; i++) {
		if (pair->listening.channel_notice_counts[i] > most)
			most = pair->listening.channel_notice_counts[i];
	}
	return most;
}

static int check_poison(const struct pair *pair, unsigned channel)
{
	const uint8_t *part = pair->memory + channel * CHANNELS_PART;
	size_t changed_count = 0;
	for (size_t i = 0; i < CHANNELS_PART; i++)
		changed_count += part[i] != POISON;
	if (changed_count > 0)
		fprintf(stderr, "channel %u: %zu bytes were written after the fence\n", channel,
		        changed_count);
	TANDEM_CONTRACT_CHECK(changed_count == 0);
	return 0;
}

static int fence_at_full_rate(struct race *race)
{
	struct pair *pair = race->pair;
	uint64_t channel = race->channel;
	TANDEM_CONTRACT_CHECK(wait_for(race, has_own, channel << 32 | 50) == 0);
	if (race->is_broken_first) {
		atomic_store(&race->break_asked, 1);
		TANDEM_CONTRACT_CHECK(wait_for(race, is_listening_told, channel) == 0);
	}
	TANDEM_CONTRACT_CHECK(channels_fence(pair, race->channel) == 0);
	memset(pair->memory + channel * CHANNELS_PART, POISON, CHANNELS_PART);
	TANDEM_CONTRACT_CHECK(wait_for(race, is_writer_told, 0) == 0);
	TANDEM_CONTRACT_CHECK(wait_for(race, have_others,
	                               channel << 32 | (most_notices(pair) + NOTICES_MORE)) == 0);
	if (pair->listening.lost_count > 0)
		fprintf(stderr, "lost: '%s'\n", pair->listening.lost.detail);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 0);
	TANDEM_CONTRACT_CHECK(check_poison(pair, race->channel) == 0);
	TANDEM_CONTRACT_CHECK(atomic_load(&race->told_count) == 1);
	return 0;
}

static int run_race(struct pair *pair, unsigned channel, bool is_broken_first)
{
	struct race race = {.pair = pair, .channel = channel, .is_broken_first = is_broken_first};
	pthread_t thread;
	bool has_thread = !pair->bed->is_deterministic;
	memset(pair->source, 0x5a, PAIR_MEMORY_BYTES);
	/* The session is the writer's. */
	pair->connecting.is_silent = true;
	pair->connecting.context = &race;
	if (has_thread)
		TANDEM_CONTRACT_CHECK(pthread_create(&thread, NULL, write_on, &race) == 0);
	int status = fence_at_full_rate(&race);
	atomic_store(&race.must_stop, true);
	if (has_thread)
		pthread_join(thread, NULL);
	pair->connecting.is_silent = false;
	pair->connecting.context = NULL;
	return status;
}

static int race_all(struct pair *pair, bool is_broken_first)
{
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++) {
		memset(pair->listening.channel_lost_counts, 0,
		       sizeof(pair->listening.channel_lost_counts));
		memset(pair->listening.channel_notice_counts, 0,
		       sizeof(pair->listening.channel_notice_counts));
		TANDEM_CONTRACT_CHECK(run_race(pair, channel, is_broken_first) == 0);
		/* What still waits on the others is none of the next race's. */
		TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
		TANDEM_CONTRACT_CHECK(channels_restore(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	}
	return 0;
}

static int race_up(struct pair *pair)
{
	return race_all(pair, false);
}

static int race_broken(struct pair *pair)
{
	return race_all(pair, true);
}

int story_nothing_lands_after_a_channel_is_fenced(struct tandem_contract_bed *bed)
{
	return channels_run(bed, race_up);
}

int story_nothing_lands_late_after_a_lost_channel_is_fenced(struct tandem_contract_bed *bed)
{
	return channels_run(bed, race_broken);
}
