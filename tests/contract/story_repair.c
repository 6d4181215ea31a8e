#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "channels.h"
#include "descriptors.h"
#include "story.h"

/* Data channels that come back [T3], [T17]. */

#define PAGE   4096
#define ALL    ((UINT32_C(1) << CHANNELS_COUNT) - 1)
#define ROUNDS 50

/* ---- what restore wants ---- */

static int restore_wrongly(struct pair *pair)
{
	struct tandem_error error = {0};
	struct tandem_session *connecting = pair->connecting.session;
	TANDEM_CONTRACT_CHECK(tandem_session_restore(connecting, 1, &error) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(strlen(error.detail) > 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(connecting, CHANNELS_COUNT, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->listening.session, 1, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_fence_channel(connecting, 1, channels_soon_ns(),
	                                                   NULL) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_fence_channel(pair->listening.session, CHANNELS_COUNT,
	                                                   channels_soon_ns(),
	                                                   NULL) == TANDEM_E_USAGE);
	tandem_session_break_channel(connecting, CHANNELS_COUNT);
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL) == 0);
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 1) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 1) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 1) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(connecting, 1, NULL) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(connecting, 1, NULL) == TANDEM_E_USAGE);
	return 0;
}

int story_wrong_restores_are_refused(struct tandem_contract_bed *bed)
{
	return channels_run(bed, restore_wrongly);
}

static int restore_early(struct pair *pair)
{
	struct tandem_channel_status status;
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 3) == 0);
	pair->connecting.channel_lost_seen[3] = pair->connecting.channel_lost_counts[3];
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 3, NULL) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, channels_is_connecting_told, 3) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.channel_up_counts[3] == 0);
	TANDEM_CONTRACT_CHECK(strlen(pair->connecting.channel_lost.detail) > 0);
	tandem_session_channel_status(pair->listening.session, 3, &status);
	TANDEM_CONTRACT_CHECK(status.state == TANDEM_CHANNEL_LOST);
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL & ~UINT32_C(8)) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 3) == 0);
	TANDEM_CONTRACT_CHECK(channels_restore(pair, 3) == 0);
	return channels_carry_all(pair, ALL);
}

int story_a_restore_before_the_fence_is_refused(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	options.connect_timeout_ns = UINT64_C(3) * TANDEM_NS_PER_S;
	return pair_run(bed, &options, true, restore_early);
}

/* ---- again and again ---- */

/* Writes on the other channels that nobody waits for. */
static int load(struct pair *pair, unsigned except)
{
	for (unsigned i = 0; i < 64; i++) {
		unsigned channel = i % CHANNELS_COUNT;
		unsigned taken_count;
		const struct tandem_write write = {
		        .offset = channel * CHANNELS_PART + (i / CHANNELS_COUNT) * PAGE,
		        .source = pair->source + channel * CHANNELS_PART +
		                  (i / CHANNELS_COUNT) * PAGE,
		        .length = PAGE};
		if (channel != except)
			TANDEM_CONTRACT_CHECK(tandem_session_write(pair->connecting.session,
			                                           channel, &write, 1,
			                                           &taken_count) == 0);
	}
	return 0;
}

/* By the connecting side, by the listening side, or by a fence out of the blue. */
static int lose(struct pair *pair, unsigned round, unsigned channel)
{
	if (round % 3 < 2)
		TANDEM_CONTRACT_CHECK(
		        channels_break(pair, round % 3 == 0 ? &pair->connecting : &pair->listening,
		                       channel) == 0);
	TANDEM_CONTRACT_CHECK(load(pair, channel) == 0);
	pair->connecting.channel_lost_seen[channel] =
	        pair->connecting.channel_lost_counts[channel] - (round % 3 < 2);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, channel) == 0);
	return pair_wait(pair, channels_is_connecting_told, channel);
}

static int repair_rounds(struct pair *pair)
{
	for (unsigned round = 0; round < ROUNDS * CHANNELS_COUNT; round++) {
		unsigned channel = round % CHANNELS_COUNT;
		TANDEM_CONTRACT_CHECK(load(pair, CHANNELS_COUNT) == 0);
		TANDEM_CONTRACT_CHECK(lose(pair, round / CHANNELS_COUNT, channel) == 0);
		TANDEM_CONTRACT_CHECK(load(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_restore(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL) == 0);
	}
	return 0;
}

/* The session lets go of what a channel left when its device has given it up [N21]. */
static bool has_descriptors(const struct pair *pair, uint64_t argument)
{
	(void)pair;
	return descriptors_count() <= argument;
}

static int repair_and_count(struct pair *pair)
{
	struct tandem_channel_status status;
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL) == 0);
	unsigned before = descriptors_count();
	TANDEM_CONTRACT_CHECK(repair_rounds(pair) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_descriptors, before) == 0);
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++) {
		tandem_session_channel_status(pair->connecting.session, channel, &status);
		TANDEM_CONTRACT_CHECK(status.state == TANDEM_CHANNEL_UP);
		TANDEM_CONTRACT_CHECK(status.lost_count == ROUNDS);
		TANDEM_CONTRACT_CHECK(pair->connecting.channel_up_counts[channel] == ROUNDS);
	}
	return 0;
}

int story_each_channel_is_repaired_fifty_times(struct tandem_contract_bed *bed)
{
	return channels_run(bed, repair_and_count);
}

static bool is_restored_or_told(const struct pair *pair, uint64_t argument)
{
	unsigned channel = (unsigned)argument & 0xff;
	return pair->connecting.channel_up_counts[channel] > argument >> 8 ||
	       channels_is_connecting_told(pair, channel);
}

static int fence_unheard(struct pair *pair)
{
	struct pair_side *connecting = &pair->connecting;
	pair->listening.is_deaf = true;
	for (uint64_t round = 0; round < 100; round++) {
		unsigned channel = round % 2;
		connecting->channel_lost_seen[channel] = connecting->channel_lost_counts[channel];
		TANDEM_CONTRACT_CHECK(channels_fence(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(pair_wait(pair, channels_is_connecting_told, channel) == 0);
		connecting->channel_lost_seen[channel] = connecting->channel_lost_counts[channel];
		unsigned before = connecting->channel_up_counts[channel];
		TANDEM_CONTRACT_CHECK(tandem_session_restore(connecting->session, channel, NULL) ==
		                      0);
		/* Refused is right too, for a peer that does not listen. */
		TANDEM_CONTRACT_CHECK(
		        pair_wait(pair, is_restored_or_told, (uint64_t)before << 8 | channel) == 0);
		if (connecting->channel_up_counts[channel] == before)
			break;
	}
	pair->listening.is_deaf = false;
	return channels_carry_all(pair, ALL & ~UINT32_C(3));
}

/* A side that is slow to take its events keeps a bounded number of them. */
int story_fences_that_nobody_takes_notice_of(struct tandem_contract_bed *bed)
{
	return channels_run(bed, fence_unheard);
}

static int restore_starved(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 2) == 0);
	pair->connecting.channel_lost_seen[2] = pair->connecting.channel_lost_counts[2];
	int status = descriptors_take_all();
	if (status == 0)
		status = tandem_session_restore(pair->connecting.session, 2, NULL);
	if (status == 0)
		status = pair_wait(pair, is_restored_or_told, 2);
	descriptors_give_back();
	TANDEM_CONTRACT_CHECK(status == 0);
	if (pair->connecting.channel_up_counts[2] == 0)
		TANDEM_CONTRACT_CHECK(strlen(pair->connecting.channel_lost.detail) > 0);
	else
		TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL & ~UINT32_C(4)) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_restore(pair, 2) == 0);
	return channels_carry_all(pair, ALL);
}

int story_a_restore_without_descriptors_may_be_tried_again(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	options.connect_timeout_ns = UINT64_C(3) * TANDEM_NS_PER_S;
	return pair_run(bed, &options, true, restore_starved);
}

/* ---- ends while a channel comes back ---- */

static int begin_restore(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 0) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 0) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 0, NULL) == 0);
	return 0;
}

static int yank_connecting(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	tandem_session_yank(pair->connecting.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.lost.code == TANDEM_E_YANKED);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 0, NULL) ==
	                      TANDEM_E_PEER_LOST);
	return 0;
}

static int yank_listening(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	tandem_session_yank(pair->listening.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.lost.code == TANDEM_E_YANKED);
	return 0;
}

int story_yank_during_a_restore(struct tandem_contract_bed *bed)
{
	for (unsigned i = 0; i < 5; i++) {
		TANDEM_CONTRACT_CHECK(channels_run(bed, yank_connecting) == 0);
		TANDEM_CONTRACT_CHECK(channels_run(bed, yank_listening) == 0);
	}
	return 0;
}

static int free_connecting(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	return pair_wait(pair, pair_is_listening_lost, 0);
}

static int free_listening(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	pair->listening.session = tandem_session_free(pair->listening.session);
	return pair_wait(pair, pair_is_connecting_lost, 0);
}

/* The join is at the listener when its session goes. */
static int free_listening_later(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	tandem_session_progress(pair->connecting.session);
	pair_turn(pair);
	pair->listening.session = tandem_session_free(pair->listening.session);
	return pair_wait(pair, pair_is_connecting_lost, 0);
}

int story_free_during_a_restore(struct tandem_contract_bed *bed)
{
	unsigned before = descriptors_count();
	for (unsigned i = 0; i < 5; i++) {
		TANDEM_CONTRACT_CHECK(channels_run(bed, free_connecting) == 0);
		TANDEM_CONTRACT_CHECK(channels_run(bed, free_listening) == 0);
		TANDEM_CONTRACT_CHECK(channels_run(bed, free_listening_later) == 0);
		if (i == 0)
			before = descriptors_count(); /* the first may open what stays */
	}
	TANDEM_CONTRACT_CHECK(descriptors_fall_to(before));
	return 0;
}

static int fence_session(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(begin_restore(pair) == 0);
	tandem_session_progress(pair->connecting.session);
	TANDEM_CONTRACT_CHECK(
	        tandem_session_fence(pair->listening.session, channels_soon_ns(), NULL) == 0);
	memset(pair->memory, 0xa5, PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 1 && pair->connecting.lost_count == 1);
	for (size_t i = 0; i < PAIR_MEMORY_BYTES; i++)
		TANDEM_CONTRACT_CHECK(pair->memory[i] == 0xa5);
	return 0;
}

int story_fence_of_the_session_during_a_restore(struct tandem_contract_bed *bed)
{
	for (unsigned i = 0; i < 5; i++)
		TANDEM_CONTRACT_CHECK(channels_run(bed, fence_session) == 0);
	return 0;
}

/* ---- rails ---- */

static unsigned rail_of(const struct pair *pair, unsigned channel)
{
	struct tandem_channel_status status;
	tandem_session_channel_status(pair->connecting.session, channel, &status);
	return status.rail;
}

static int keep_rails(struct pair *pair)
{
	unsigned first = pair->options.control_rail;
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++)
		TANDEM_CONTRACT_CHECK(rail_of(pair, channel) == (first + channel) % 2);
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++) {
		TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_fence(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_restore(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(rail_of(pair, channel) == (first + channel) % 2);
	}
	return channels_carry_all(pair, ALL);
}

/* Both rails of the connecting side lead to the one address that every bed has. */
static int run_on_one_address(struct tandem_contract_bed *bed, struct pair *pair)
{
	struct tandem_transport_options options = channels_options(bed);
	TANDEM_CONTRACT_CHECK(
	        tandem_transport_listen(bed->listening, &options, &pair->listener, NULL) == 0);
	options.rails[1] = options.rails[0];
	options.rail_count = 2;
	options.control_rail = 1;
	options.port = tandem_listener_port(pair->listener);
	pair->bed = bed;
	pair->options = options;
	TANDEM_CONTRACT_CHECK(tandem_transport_connect(bed->connecting, &options,
	                                               &pair->connecting.session, NULL) == 0);
	TANDEM_CONTRACT_CHECK(pair_join(pair) == 0);
	TANDEM_CONTRACT_CHECK(pair_map(pair) == 0);
	return keep_rails(pair);
}

int story_a_channel_comes_back_on_its_rail(struct tandem_contract_bed *bed)
{
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	TANDEM_CONTRACT_CHECK(pair);
	int status = run_on_one_address(bed, pair);
	pair_end(pair);
	tandem_memory_free(pair);
	return status;
}

int story_channels_spread_over_two_addresses(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	bool has_second = bed->second_address || strcmp(bed->address, "127.0.0.1") == 0;
	if (!has_second)
		return 0; /* without one the second of loopback is all that is surely there */
	if (!bed->second_address)
		snprintf(options.rails[1].address, sizeof(options.rails[1].address), "127.0.0.2");
	options.rail_count = 2;
	return pair_run(bed, &options, true, keep_rails);
}
