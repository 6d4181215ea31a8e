#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "channels.h"
#include "story.h"

/* A listener and its sessions: either may end first, and each may have its own thread. */

#define ALL ((UINT32_C(1) << CHANNELS_COUNT) - 1)

/* ---- the listener goes first ---- */

static int free_listener(struct pair *pair)
{
	pair->listener = tandem_listener_free(pair->listener);
	TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL) == 0);
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 2) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 2) == 0);
	pair->connecting.channel_lost_seen[2] = pair->connecting.channel_lost_counts[2];
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 2, NULL) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, channels_is_connecting_told, 2) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.channel_up_counts[2] == 0);
	return channels_carry_all(pair, ALL & ~UINT32_C(4));
}

int story_a_listener_freed_before_the_session(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	options.connect_timeout_ns = UINT64_C(3) * TANDEM_NS_PER_S;
	return pair_run(bed, &options, true, free_listener);
}

static bool is_decided(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	return pair->connecting.is_up ||
	       (pair->connecting.lost_count > 0 &&
	        (!pair->listening.session || pair->listening.lost_count > 0));
}

static int free_after_turns(struct tandem_contract_bed *bed, struct pair *pair, unsigned turns)
{
	struct tandem_transport_options options = channels_options(bed);
	options.connect_timeout_ns = UINT64_C(1) * TANDEM_NS_PER_S;
	TANDEM_CONTRACT_CHECK(pair_begin(pair, bed, &options) == 0);
	for (unsigned i = 0; i < turns; i++)
		pair_turn(pair);
	pair->listener = tandem_listener_free(pair->listener);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_decided, 0) == 0);
	if (pair->connecting.is_up)
		TANDEM_CONTRACT_CHECK(pair->listening.session && pair->connecting.up_mask != 0);
	return 0;
}

/* At the worst of times: after each step that joining takes. */
int story_a_listener_freed_while_joining(struct tandem_contract_bed *bed)
{
	for (unsigned turns = 0; turns < 16; turns++) {
		struct pair *pair = tandem_memory_alloc(sizeof(*pair));
		TANDEM_CONTRACT_CHECK(pair);
		int status = free_after_turns(bed, pair, turns);
		pair_end(pair);
		tandem_memory_free(pair);
		TANDEM_CONTRACT_CHECK(status == 0);
	}
	return 0;
}

/* ---- a thread each ---- */

struct doorman {
	struct tandem_listener *listener;
	_Atomic(struct tandem_session *) session;
	atomic_bool must_stop;
};

static void *keep_accepting(void *argument)
{
	struct doorman *doorman = argument;
	uint64_t end_ns = tandem_clock_now_ns() + UINT64_C(4) * PAIR_WAIT_NS;
	while (!atomic_load(&doorman->must_stop) && tandem_clock_now_ns() < end_ns) {
		struct tandem_session *session = NULL;
		struct pollfd fd = {.fd = tandem_listener_fd(doorman->listener), .events = POLLIN};
		poll(&fd, 1, 5);
		if (tandem_listener_accept(doorman->listener, &session, NULL) == 0)
			atomic_store(&doorman->session, session);
	}
	return NULL;
}

static int take_session(struct pair *pair, struct doorman *doorman)
{
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	while (!pair->listening.session && tandem_clock_now_ns() < end_ns) {
		pair_turn(pair);
		pair->listening.session = atomic_load(&doorman->session);
	}
	TANDEM_CONTRACT_CHECK(pair->listening.session);
	TANDEM_CONTRACT_CHECK(pair_join(pair) == 0);
	return pair_map(pair);
}

static int repair_beside(struct pair *pair)
{
	for (unsigned round = 0; round < 20; round++) {
		unsigned channel = round % CHANNELS_COUNT;
		struct pair_side *side = round % 2 ? &pair->listening : &pair->connecting;
		TANDEM_CONTRACT_CHECK(channels_break(pair, side, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_fence(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_restore(pair, channel) == 0);
		TANDEM_CONTRACT_CHECK(channels_carry_all(pair, ALL) == 0);
	}
	return 0;
}

static int begin_last_restore(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(channels_break(pair, &pair->connecting, 1) == 0);
	TANDEM_CONTRACT_CHECK(channels_fence(pair, 1) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_restore(pair->connecting.session, 1, NULL) == 0);
	tandem_session_progress(pair->connecting.session);
	return 0;
}

static int serve_beside(struct pair *pair, struct doorman *doorman, bool is_session_first)
{
	int status = take_session(pair, doorman);
	if (status == 0)
		status = repair_beside(pair);
	if (status == 0)
		status = begin_last_restore(pair);
	if (status == 0 && is_session_first)
		pair->listening.session = tandem_session_free(pair->listening.session);
	return status;
}

/* It ends while a channel is on its way back, before or after the doorman. */
static int run_beside(struct tandem_contract_bed *bed, struct pair *pair, bool is_session_first)
{
	const struct tandem_transport_options options = channels_options(bed);
	struct doorman doorman = {0};
	pthread_t thread;
	TANDEM_CONTRACT_CHECK(pair_begin(pair, bed, &options) == 0);
	doorman.listener = pair->listener;
	TANDEM_CONTRACT_CHECK(pthread_create(&thread, NULL, keep_accepting, &doorman) == 0);
	pair->listener = NULL; /* the thread's */
	int status = serve_beside(pair, &doorman, is_session_first);
	atomic_store(&doorman.must_stop, true);
	pthread_join(thread, NULL);
	tandem_listener_free(doorman.listener);
	TANDEM_CONTRACT_CHECK(status == 0);
	return is_session_first ? pair_wait(pair, pair_is_connecting_lost, 0)
	                        : channels_carry(pair, 0);
}

int story_a_listener_on_another_thread(struct tandem_contract_bed *bed)
{
	if (bed->is_deterministic)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		struct pair *pair = tandem_memory_alloc(sizeof(*pair));
		TANDEM_CONTRACT_CHECK(pair);
		int status = run_beside(bed, pair, i == 0);
		pair_end(pair);
		tandem_memory_free(pair);
		TANDEM_CONTRACT_CHECK(status == 0);
	}
	return 0;
}
