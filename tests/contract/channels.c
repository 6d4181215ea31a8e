#include "channels.h"

#include <string.h>

#include <tandem/clock.h>

struct tandem_transport_options channels_options(const struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	options.channel_count = CHANNELS_COUNT;
	return options;
}

int channels_run(struct tandem_contract_bed *bed, int (*story)(struct pair *pair))
{
	const struct tandem_transport_options options = channels_options(bed);
	return pair_run(bed, &options, true, story);
}

uint64_t channels_soon_ns(void)
{
	return tandem_clock_now_ns() + PAIR_WAIT_NS;
}

static bool is_told_lost(const struct pair_side *side, unsigned channel)
{
	return side->channel_lost_counts[channel] > side->channel_lost_seen[channel] ||
	       side->lost_count > 0;
}

bool channels_is_connecting_told(const struct pair *pair, uint64_t channel)
{
	return is_told_lost(&pair->connecting, (unsigned)channel);
}

bool channels_is_lost(const struct pair *pair, uint64_t channel)
{
	return is_told_lost(&pair->connecting, (unsigned)channel) &&
	       is_told_lost(&pair->listening, (unsigned)channel);
}

static bool is_back(const struct pair *pair, uint64_t channel)
{
	const struct pair_side *sides[2] = {&pair->listening, &pair->connecting};
	bool is_up = true;
	for (unsigned i = 0; i < 2; i++) {
		struct tandem_channel_status status;
		tandem_session_channel_status(sides[i]->session, (unsigned)channel, &status);
		is_up = is_up && status.state == TANDEM_CHANNEL_UP;
	}
	return is_up || pair->connecting.lost_count > 0 || pair->listening.lost_count > 0 ||
	       is_told_lost(&pair->connecting, (unsigned)channel);
}

static void see(struct pair *pair, unsigned channel)
{
	pair->connecting.channel_lost_seen[channel] = pair->connecting.channel_lost_counts[channel];
	pair->listening.channel_lost_seen[channel] = pair->listening.channel_lost_counts[channel];
}

static int check_alive(const struct pair *pair)
{
	if (pair->connecting.lost_count + pair->listening.lost_count > 0)
		fprintf(stderr, "lost: '%s', '%s'\n", pair->connecting.lost.detail,
		        pair->listening.lost.detail);
	TANDEM_CONTRACT_CHECK(pair->connecting.lost_count == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 0);
	TANDEM_CONTRACT_CHECK(!pair->listening.has_early_notice);
	return 0;
}

int channels_break(struct pair *pair, struct pair_side *side, unsigned channel)
{
	pair_take(pair);
	see(pair, channel);
	tandem_session_break_channel(side->session, channel);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, channels_is_lost, channel) == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(side->channel_lost.code) == TANDEM_CLASS_PEER);
	TANDEM_CONTRACT_CHECK(strlen(side->channel_lost.detail) > 0);
	return check_alive(pair);
}

int channels_fence(struct pair *pair, unsigned channel)
{
	struct tandem_error error = {0};
	int status = tandem_session_fence_channel(pair->listening.session, channel,
	                                          channels_soon_ns(), &error);
	if (status != 0)
		fprintf(stderr, "fence_channel: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(status == 0);
	return 0;
}

int channels_restore(struct pair *pair, unsigned channel)
{
	struct tandem_error error = {0};
	pair_take(pair);
	see(pair, channel);
	unsigned told[2] = {pair->connecting.channel_up_counts[channel],
	                    pair->listening.channel_up_counts[channel]};
	int status = tandem_session_restore(pair->connecting.session, channel, &error);
	if (status != 0)
		fprintf(stderr, "restore: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(status == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_back, channel) == 0);
	pair_take(pair);
	if (is_told_lost(&pair->connecting, channel))
		fprintf(stderr, "channel %u: '%s', accept: '%s'\n", channel,
		        pair->connecting.channel_lost.detail, pair->refusal.detail);
	TANDEM_CONTRACT_CHECK(!is_told_lost(&pair->connecting, channel));
	TANDEM_CONTRACT_CHECK(pair->connecting.channel_up_counts[channel] == told[0] + 1);
	TANDEM_CONTRACT_CHECK(pair->listening.channel_up_counts[channel] == told[1] + 1);
	return check_alive(pair);
}

/* Out of the way of what stories use. */
#define CARRY_BASE UINT32_C(0xc0000000)

static bool has_carried(const struct pair *pair, uint64_t argument)
{
	return pair->listening.newest_immediates[argument >> 32] == (uint32_t)argument ||
	       pair->listening.lost_count + pair->connecting.lost_count > 0 ||
	       is_told_lost(&pair->connecting, (unsigned)(argument >> 32));
}

int channels_carry(struct pair *pair, unsigned channel)
{
	size_t part = channel * CHANNELS_PART;
	uint32_t immediate = CARRY_BASE + ++pair->carried_count;
	see(pair, channel);
	memset(pair->source + part, (int)(1 + immediate % 250), CHANNELS_PART);
	for (size_t offset = 0; offset < CHANNELS_PART; offset += CHANNELS_PART / 8) {
		const struct tandem_write write = {.offset = part + offset,
		                                   .source = pair->source + part + offset,
		                                   .length = CHANNELS_PART / 8};
		bool is_last = offset + CHANNELS_PART / 8 == CHANNELS_PART;
		TANDEM_CONTRACT_CHECK((is_last ? pair_notify(pair, channel, &write, immediate)
		                               : pair_write(pair, channel, &write)) == 0);
	}
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_carried, (uint64_t)channel << 32 | immediate) ==
	                      0);
	TANDEM_CONTRACT_CHECK(check_alive(pair) == 0);
	TANDEM_CONTRACT_CHECK(memcmp(pair->memory + part, pair->source + part, CHANNELS_PART) == 0);
	return 0;
}

static bool has_messages(const struct pair *pair, uint64_t argument)
{
	return (pair->connecting.message_count >= (uint32_t)argument &&
	        pair->listening.message_count >= argument >> 32) ||
	       pair->listening.lost_count + pair->connecting.lost_count > 0;
}

int channels_carry_all(struct pair *pair, uint32_t mask)
{
	uint64_t connecting = pair->connecting.message_count + 1;
	uint64_t listening = pair->listening.message_count + 1;
	for (unsigned channel = 0; channel < pair->options.channel_count; channel++) {
		if (mask >> channel & 1)
			TANDEM_CONTRACT_CHECK(channels_carry(pair, channel) == 0);
	}
	TANDEM_CONTRACT_CHECK(tandem_session_send(pair->connecting.session, "to", 2) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_send(pair->listening.session, "fro", 3) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_messages, listening << 32 | connecting) == 0);
	return check_alive(pair);
}
