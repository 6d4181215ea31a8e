#include <pthread.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "pair.h"
#include "story.h"

#define PAGE 4096

static int check_ended(const struct pair *pair, const struct pair_side *side, int code)
{
	TANDEM_CONTRACT_CHECK(side->lost_count == 1);
	TANDEM_CONTRACT_CHECK(side->lost.code == code);
	TANDEM_CONTRACT_CHECK(strlen(side->lost.detail) > 0);
	TANDEM_CONTRACT_CHECK(tandem_session_send(side->session, "x", 1) == TANDEM_E_PEER_LOST);
	for (unsigned i = 0; i < pair->options.channel_count; i++)
		TANDEM_CONTRACT_CHECK(tandem_session_inflight_count(side->session, i) == 0);
	return 0;
}

/* ---- yank ---- */

int story_yank_before_it_is_up(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	TANDEM_CONTRACT_CHECK(pair);
	int status = pair_begin(pair, bed, &options);
	if (status == 0) {
		tandem_session_yank(pair->connecting.session);
		status = pair_wait(pair, pair_is_connecting_lost, 0);
	}
	if (status == 0)
		status = check_ended(pair, &pair->connecting, TANDEM_E_YANKED);
	pair_end(pair);
	tandem_memory_free(pair);
	return status;
}

static int yank_idle(struct pair *pair)
{
	tandem_session_yank(pair->listening.session);
	tandem_session_yank(pair->listening.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(check_ended(pair, &pair->listening, TANDEM_E_YANKED) == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->connecting.lost.code) == TANDEM_CLASS_PEER);
	tandem_session_yank(pair->listening.session);
	tandem_session_yank(pair->connecting.session);
	tandem_session_progress(pair->listening.session);
	tandem_session_progress(pair->connecting.session);
	pair_take(pair);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count == 1 && pair->connecting.lost_count == 1);
	return 0;
}

int story_yank_when_idle_twice_and_late(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, yank_idle);
}

/* Posts until no queue takes more, with nobody serving the other side. */
static int fill(struct pair *pair)
{
	struct tandem_write write = {.source = pair->source, .length = PAIR_MEMORY_BYTES / 4};
	for (unsigned channel = 0; channel < pair->options.channel_count; channel++) {
		unsigned taken_count = 1;
		for (unsigned i = 0; taken_count > 0 && i < 4 * pair->options.write_depth; i++)
			TANDEM_CONTRACT_CHECK(tandem_session_write(pair->connecting.session,
			                                           channel, &write, 1,
			                                           &taken_count) == 0);
	}
	return 0;
}

static int yank_pending(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = 1};
	unsigned taken_count;
	TANDEM_CONTRACT_CHECK(fill(pair) == 0);
	tandem_session_yank(pair->connecting.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(check_ended(pair, &pair->connecting, TANDEM_E_YANKED) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_write(pair->connecting.session, 0, &write, 1,
	                                           &taken_count) == TANDEM_E_PEER_LOST);
	TANDEM_CONTRACT_CHECK(tandem_session_notify(pair->connecting.session, 0, &write, 1) ==
	                      TANDEM_E_PEER_LOST);
	return 0;
}

int story_yank_with_writes_pending(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	options.write_depth = 64;
	return pair_run(bed, &options, true, yank_pending);
}

static void *yank_in_thread(void *argument)
{
	tandem_session_yank(argument);
	return NULL;
}

static int yank_while_busy(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = PAGE};
	pthread_t thread;
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	int status = 0;
	TANDEM_CONTRACT_CHECK(pair_notify(pair, 0, &write, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, 1) == 0);
	TANDEM_CONTRACT_CHECK(
	        pthread_create(&thread, NULL, yank_in_thread, pair->connecting.session) == 0);
	for (uint32_t i = 1; status == 0 && tandem_clock_now_ns() < end_ns; i++) {
		status = pair_notify(pair, i % pair->options.channel_count, &write, i);
		tandem_session_progress(pair->connecting.session);
		pair_take(pair);
	}
	pthread_join(thread, NULL);
	TANDEM_CONTRACT_CHECK(status == TANDEM_E_PEER_LOST);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	return check_ended(pair, &pair->connecting, TANDEM_E_YANKED);
}

int story_yank_from_another_thread(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, yank_while_busy);
}

/* ---- the other side ---- */

static int free_connecting(struct pair *pair)
{
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_listening_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->listening.lost.code) == TANDEM_CLASS_PEER);
	return 0;
}

static int free_listening(struct pair *pair)
{
	pair->listening.session = tandem_session_free(pair->listening.session);
	/* It must not be accepted again. */
	pair->listener = tandem_listener_free(pair->listener);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_connecting_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->connecting.lost.code) == TANDEM_CLASS_PEER);
	return 0;
}

int story_a_freed_peer_is_lost(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	TANDEM_CONTRACT_CHECK(pair_run(bed, &options, true, free_connecting) == 0);
	return pair_run(bed, &options, true, free_listening);
}

static int ignore_writes(struct pair *pair)
{
	pair->listening.is_silent = true;
	TANDEM_CONTRACT_CHECK(fill(pair) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_connecting_lost, 0) == 0);
	return check_ended(pair, &pair->connecting, TANDEM_E_TIMEOUT);
}

int story_a_peer_that_takes_nothing_is_lost(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	/* A device takes writes without its processor. */
	if (tandem_transport_capabilities(bed->connecting)->has_one_sided_writes)
		return 0;
	/* A turn that comes late while it joins must not look like that. */
	options.peer_timeout_ns = UINT64_C(3) * TANDEM_NS_PER_S;
	options.write_depth = 256; /* 64 MiB: more than kernels buffer */
	return pair_run(bed, &options, true, ignore_writes);
}
