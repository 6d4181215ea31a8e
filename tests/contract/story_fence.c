#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "channels.h"
#include "story.h"

#define PAGE     4096
#define ATTEMPTS 5
#define POISON   0xa5

/* ---- what had arrived ---- */

static int fence_with_notices_pending(struct pair *pair)
{
	unsigned channel_count = pair->options.channel_count;
	memset(pair->source, 0x17, PAIR_MEMORY_BYTES);
	pair->listening.is_silent = true;
	for (unsigned i = 0; i < channel_count; i++) {
		const struct tandem_write write = {
		        .offset = i * PAGE, .source = pair->source, .length = PAGE};
		TANDEM_CONTRACT_CHECK(pair_notify(pair, i, &write, i) == 0);
	}
	if (!pair->bed->is_deterministic)
		TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	TANDEM_CONTRACT_CHECK(
	        tandem_session_fence(pair->listening.session, channels_soon_ns(), NULL) == 0);
	pair->listening.is_silent = false;
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	for (unsigned i = 0; i < pair->listening.notice_count; i++) {
		unsigned channel = pair->listening.notices[i].channel;
		TANDEM_CONTRACT_CHECK(memcmp(pair->memory + channel * PAGE, pair->source, PAGE) ==
		                      0);
	}
	TANDEM_CONTRACT_CHECK(pair->listening.notice_count <= channel_count);
	return pair->listening.notice_count == channel_count ? 0 : 1;
}

/* A write that this side has completed may still be under way, so not every attempt must find all;
 * but if they never come, fence does not drain. */
int story_fence_delivers_what_had_arrived(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	int status = 1;
	for (unsigned i = 0; i < ATTEMPTS && status == 1; i++)
		status = pair_run(bed, &options, true, fence_with_notices_pending);
	TANDEM_CONTRACT_CHECK(status == 0);
	return 0;
}

/* ---- nothing lands later ---- */

struct writer {
	struct pair *pair;
	atomic_uint posted_count;
	bool is_lost;
};

static void post_round(struct writer *writer)
{
	struct tandem_session *session = writer->pair->connecting.session;
	unsigned channel_count = writer->pair->options.channel_count;
	struct tandem_write writes[32];
	for (unsigned channel = 0; channel < channel_count; channel++) {
		unsigned taken_count = 0;
		for (unsigned i = 0; i < 32; i++)
			writes[i] = (struct tandem_write){
			        .offset =
			                ((i * channel_count + channel) * PAGE) % PAIR_MEMORY_BYTES,
			        .source = writer->pair->source,
			        .length = PAGE};
		if (tandem_session_write(session, channel, writes, 32, &taken_count) != 0)
			return;
		/* Full is as good as posted: the next round goes on. */
		int status = tandem_session_notify(session, channel, &writes[0], 1);
		atomic_fetch_add(&writer->posted_count, taken_count + (status == 0));
	}
}

static void *write_until_lost(void *argument)
{
	static struct tandem_session_event event;
	struct writer *writer = argument;
	struct tandem_session *session = writer->pair->connecting.session;
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	while (!writer->is_lost && tandem_clock_now_ns() < end_ns) {
		post_round(writer);
		tandem_session_progress(session);
		while (tandem_session_next_event(session, &event))
			writer->is_lost = event.type == TANDEM_SESSION_LOST;
	}
	return NULL;
}

static bool is_poison(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != POISON)
			return false;
	}
	return true;
}

static int fence_and_poison(struct pair *pair)
{
	struct tandem_error error = {0};
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, 200) == 0);
	int status = tandem_session_fence(pair->listening.session, channels_soon_ns(), &error);
	memset(pair->memory, POISON, PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(status == 0);
	return pair_wait(pair, pair_is_listening_lost, 0);
}

static int fence_against_thread(struct pair *pair)
{
	struct writer writer = {.pair = pair};
	pthread_t thread;
	memset(pair->source, 0x5a, PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(pthread_create(&thread, NULL, write_until_lost, &writer) == 0);
	/* The session is the thread's while it runs. */
	pair->connecting.is_silent = true;
	int status = fence_and_poison(pair);
	if (status != 0)
		tandem_session_yank(pair->connecting.session);
	pthread_join(thread, NULL);
	TANDEM_CONTRACT_CHECK(status == 0);
	TANDEM_CONTRACT_CHECK(writer.is_lost);
	TANDEM_CONTRACT_CHECK(is_poison(pair->memory, PAIR_MEMORY_BYTES));
	return 0;
}

static int fence_against_posted(struct pair *pair)
{
	struct writer writer = {.pair = pair};
	memset(pair->source, 0x5a, PAIR_MEMORY_BYTES);
	for (unsigned i = 0; i < 60; i++) {
		post_round(&writer);
		tandem_session_progress(pair->listening.session);
		pair_take(pair);
	}
	post_round(&writer);
	TANDEM_CONTRACT_CHECK(fence_and_poison(pair) == 0);
	post_round(&writer);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(is_poison(pair->memory, PAIR_MEMORY_BYTES));
	return 0;
}

int story_nothing_lands_after_fence(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	int (*story)(struct pair *) =
	        bed->is_deterministic ? fence_against_posted : fence_against_thread;
	for (unsigned i = 0; i < ATTEMPTS; i++)
		TANDEM_CONTRACT_CHECK(pair_run(bed, &options, true, story) == 0);
	return 0;
}

static int fence_lost(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(tandem_session_fence(pair->connecting.session, channels_soon_ns(),
	                                           NULL) == TANDEM_E_USAGE);
	tandem_session_yank(pair->listening.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(
	        tandem_session_fence(pair->listening.session, channels_soon_ns(), NULL) == 0);
	TANDEM_CONTRACT_CHECK(
	        tandem_session_fence(pair->listening.session, channels_soon_ns(), NULL) == 0);
	pair_take(pair);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 1);
	return 0;
}

int story_fence_of_a_lost_session(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, fence_lost);
}
