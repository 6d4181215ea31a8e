#include <string.h>

#include <tandem/clock.h>

#include "channels.h"
#include "story.h"

/* What the loss of one data channel does, and what it leaves alone [T15]. */

#define PAGE     4096
#define ALL      ((UINT32_C(1) << CHANNELS_COUNT) - 1)
#define ATTEMPTS 5

/* ---- joining ---- */

static int check_told(struct pair *pair)
{
	pair_take(pair);
	TANDEM_CONTRACT_CHECK(pair->connecting.up_mask == ALL);
	for (unsigned i = 0; i < CHANNELS_COUNT; i++) {
		TANDEM_CONTRACT_CHECK(channels_carry(pair, i) == 0);
		TANDEM_CONTRACT_CHECK(pair->listening.channel_up_counts[i] == 1);
		TANDEM_CONTRACT_CHECK(pair->connecting.channel_up_counts[i] == 0);
	}
	return 0;
}

int story_each_channel_is_told_when_it_joins(struct tandem_contract_bed *bed)
{
	return channels_run(bed, check_told);
}

/* ---- the others ---- */

static int lose_one_by_one(struct pair *pair)
{
	uint32_t mask = ALL;
	for (unsigned channel = 0; channel + 1 < CHANNELS_COUNT; channel++) {
		struct pair_side *side = channel % 2 ? &pair->listening : &pair->connecting;
		TANDEM_CONTRACT_CHECK(channels_break(pair, side, channel) == 0);
		mask &= ~(UINT32_C(1) << channel);
		TANDEM_CONTRACT_CHECK(channels_carry_all(pair, mask) == 0);
		/* Once more says nothing more. */
		tandem_session_break_channel(pair->connecting.session, channel);
		tandem_session_break_channel(pair->listening.session, channel);
		TANDEM_CONTRACT_CHECK(channels_carry_all(pair, mask) == 0);
		TANDEM_CONTRACT_CHECK(pair->connecting.channel_lost_counts[channel] == 1);
		TANDEM_CONTRACT_CHECK(pair->listening.channel_lost_counts[channel] == 1);
	}
	return 0;
}

int story_a_lost_channel_leaves_the_others_alone(struct tandem_contract_bed *bed)
{
	return channels_run(bed, lose_one_by_one);
}

static int lose_last(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(lose_one_by_one(pair) == 0);
	tandem_session_break_channel(pair->connecting.session, CHANNELS_COUNT - 1);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->listening.lost.code) == TANDEM_CLASS_PEER);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->connecting.lost.code) == TANDEM_CLASS_PEER);
	TANDEM_CONTRACT_CHECK(strlen(pair->connecting.lost.detail) > 0);
	TANDEM_CONTRACT_CHECK(tandem_session_send(pair->connecting.session, "x", 1) ==
	                      TANDEM_E_PEER_LOST);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 0, NULL) ==
	                      TANDEM_E_PEER_LOST);
	return 0;
}

int story_the_last_channel_is_the_session(struct tandem_contract_bed *bed)
{
	return channels_run(bed, lose_last);
}

/* ---- what was pending, and what had arrived ---- */

static int fill_channel(struct pair *pair, unsigned channel)
{
	const struct tandem_write write = {.offset = channel * CHANNELS_PART,
	                                   .source = pair->source + channel * CHANNELS_PART,
	                                   .length = CHANNELS_PART};
	unsigned taken_count = 1;
	for (unsigned i = 0; taken_count > 0 && i < 4 * pair->options.write_depth; i++)
		TANDEM_CONTRACT_CHECK(tandem_session_write(pair->connecting.session, channel,
		                                           &write, 1, &taken_count) == 0);
	return 0;
}

static int lose_with_writes_pending(struct pair *pair)
{
	const struct tandem_write write = {
	        .offset = CHANNELS_PART, .source = pair->source, .length = 1};
	struct tandem_session *session = pair->connecting.session;
	unsigned taken_count = 0;
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++)
		TANDEM_CONTRACT_CHECK(fill_channel(pair, channel) == 0);
	tandem_session_break_channel(session, 1);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, channels_is_connecting_told, 1) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.lost_count == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_inflight_count(session, 1) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_write(session, 1, &write, 1, &taken_count) ==
	                      TANDEM_E_CHANNEL_LOST);
	TANDEM_CONTRACT_CHECK(tandem_session_notify(session, 1, &write, 1) ==
	                      TANDEM_E_CHANNEL_LOST);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	return channels_carry_all(pair, ALL & ~UINT32_C(2));
}

int story_pending_writes_of_a_lost_channel_end(struct tandem_contract_bed *bed)
{
	return channels_run(bed, lose_with_writes_pending);
}

static int lose_after_notices(struct pair *pair)
{
	const unsigned count = 20;
	memset(pair->source, 0x17, PAIR_MEMORY_BYTES);
	for (unsigned i = 0; i < count; i++) {
		const struct tandem_write write = {
		        .offset = i * PAGE, .source = pair->source, .length = PAGE};
		TANDEM_CONTRACT_CHECK(pair_notify(pair, 2, &write, i) == 0);
	}
	/* Nobody has taken a notice when the channel ends on the listening side too. */
	if (!pair->bed->is_deterministic)
		TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	tandem_session_progress(pair->listening.session);
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL & ~UINT32_C(4)) == 0);
	unsigned seen_count = pair->listening.channel_notice_counts[2];
	TANDEM_CONTRACT_CHECK(seen_count <= count);
	for (unsigned i = 0; i < seen_count; i++)
		TANDEM_CONTRACT_CHECK(pair->listening.notices[i].immediate == i);
	return seen_count == count ? 0 : 1;
}

/* A write that this side has completed may still be under way, so not every attempt must find all.
 */
int story_what_had_arrived_on_a_lost_channel_is_delivered(struct tandem_contract_bed *bed)
{
	int status = 1;
	for (unsigned i = 0; i < ATTEMPTS && status == 1; i++)
		status = channels_run(bed, lose_after_notices);
	TANDEM_CONTRACT_CHECK(status == 0);
	return 0;
}

/* ---- status ---- */

static int check_fresh(const struct pair *pair, struct tandem_session *session)
{
	for (unsigned channel = 0; channel < CHANNELS_COUNT; channel++) {
		struct tandem_channel_status status;
		tandem_session_channel_status(session, channel, &status);
		TANDEM_CONTRACT_CHECK(status.state == TANDEM_CHANNEL_UP);
		TANDEM_CONTRACT_CHECK(status.rail == channel % pair->options.rail_count);
		TANDEM_CONTRACT_CHECK(status.bytes == 0);
		TANDEM_CONTRACT_CHECK(status.inflight_count == 0 && status.oldest_posted_ns == 0);
		TANDEM_CONTRACT_CHECK(status.lost_count == 0 && status.first_error.code == 0);
	}
	return 0;
}

static int check_posted(struct pair *pair)
{
	struct tandem_channel_status status;
	uint64_t before_ns = tandem_clock_now_ns();
	TANDEM_CONTRACT_CHECK(fill_channel(pair, 1) == 0);
	uint64_t after_ns = tandem_clock_now_ns();
	tandem_session_channel_status(pair->connecting.session, 1, &status);
	TANDEM_CONTRACT_CHECK(status.state == TANDEM_CHANNEL_UP);
	TANDEM_CONTRACT_CHECK(status.bytes >= CHANNELS_PART && status.bytes % CHANNELS_PART == 0);
	TANDEM_CONTRACT_CHECK(status.inflight_count ==
	                      tandem_session_inflight_count(pair->connecting.session, 1));
	TANDEM_CONTRACT_CHECK(status.inflight_count <= status.bytes / CHANNELS_PART);
	TANDEM_CONTRACT_CHECK((status.inflight_count > 0) == (status.oldest_posted_ns > 0));
	if (status.inflight_count > 0)
		TANDEM_CONTRACT_CHECK(status.oldest_posted_ns >= before_ns &&
		                      status.oldest_posted_ns <= after_ns);
	return 0;
}

static int check_complete(struct pair *pair)
{
	struct tandem_channel_status sent, arrived;
	TANDEM_CONTRACT_CHECK(channels_carry(pair, 1) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	tandem_session_channel_status(pair->connecting.session, 1, &sent);
	tandem_session_channel_status(pair->listening.session, 1, &arrived);
	TANDEM_CONTRACT_CHECK(sent.inflight_count == 0 && sent.oldest_posted_ns == 0);
	TANDEM_CONTRACT_CHECK(sent.bytes > 0 && arrived.bytes <= sent.bytes);
	TANDEM_CONTRACT_CHECK(arrived.inflight_count == 0 && arrived.oldest_posted_ns == 0);
	return 0;
}

static int check_lost_and_back(struct pair *pair)
{
	struct tandem_channel_status before, after;
	tandem_session_channel_status(pair->connecting.session, 1, &before);
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->listening, 1) == 0);
	tandem_session_channel_status(pair->connecting.session, 1, &after);
	TANDEM_CONTRACT_CHECK(after.state == TANDEM_CHANNEL_LOST && after.lost_count == 1);
	TANDEM_CONTRACT_CHECK(after.bytes == before.bytes && after.inflight_count == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(after.first_error.code) == TANDEM_CLASS_PEER);
	TANDEM_CONTRACT_CHECK(strlen(after.first_error.detail) > 0);
	tandem_session_channel_status(pair->listening.session, 1, &after);
	TANDEM_CONTRACT_CHECK(after.state == TANDEM_CHANNEL_LOST && after.lost_count == 1);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 1) == 0);
	tandem_session_channel_status(pair->listening.session, 1, &after);
	TANDEM_CONTRACT_CHECK(after.state == TANDEM_CHANNEL_DOWN);
	TANDEM_CONTRACT_CHECK(channels_restore(pair, 1) == 0);
	TANDEM_CONTRACT_CHECK(check_complete(pair) == 0);
	tandem_session_channel_status(pair->connecting.session, 1, &after);
	TANDEM_CONTRACT_CHECK(after.state == TANDEM_CHANNEL_UP && after.lost_count == 1);
	TANDEM_CONTRACT_CHECK(after.first_error.code != 0);
	TANDEM_CONTRACT_CHECK(after.bytes == before.bytes + CHANNELS_PART);
	return 0;
}

static int check_status(struct pair *pair)
{
	struct tandem_channel_status status = {.lost_count = 9};
	tandem_session_channel_status(pair->connecting.session, CHANNELS_COUNT, &status);
	TANDEM_CONTRACT_CHECK(status.state == TANDEM_CHANNEL_DOWN && status.lost_count == 0);
	TANDEM_CONTRACT_CHECK(check_fresh(pair, pair->connecting.session) == 0);
	TANDEM_CONTRACT_CHECK(check_fresh(pair, pair->listening.session) == 0);
	TANDEM_CONTRACT_CHECK(check_posted(pair) == 0);
	TANDEM_CONTRACT_CHECK(check_complete(pair) == 0);
	return check_lost_and_back(pair);
}

int story_the_status_of_a_channel_is_true(struct tandem_contract_bed *bed)
{
	return channels_run(bed, check_status);
}
