#include <tandem/clock.h>

#include "pair.h"
#include "story.h"

/* [T18]: what a side reads of the other's beat, and what the reading leaves alone. */

#define PAGE   4096
#define ROUNDS 200

/* Where nobody can read without the peer's processor the answer is that nothing is known. */
static int be_refused(struct pair *pair)
{
	tandem_session_beat(pair->listening.session);
	TANDEM_CONTRACT_CHECK(tandem_session_read_beat(pair->connecting.session, PAIR_WAIT_NS) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_read_beat(pair->listening.session, PAIR_WAIT_NS) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count + pair->connecting.lost_count == 0);
	return 0;
}

static int run(struct tandem_contract_bed *bed, int (*story)(struct pair *pair))
{
	const struct tandem_transport_capabilities *capabilities =
	        tandem_transport_capabilities(bed->connecting);
	struct tandem_transport_options options = pair_options(bed);
	if (!capabilities->has_one_sided_reads)
		printf("skipped: %s has no one-sided reads, so that a reading is refused\n",
		       capabilities->name);
	return pair_run(bed, &options, true,
	                capabilities->has_one_sided_reads ? story : be_refused);
}

/* Until the peer has told where its word is. */
static int start(struct pair *pair, struct pair_side *side)
{
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	int status = TANDEM_E_AGAIN;
	while (status == TANDEM_E_AGAIN && tandem_clock_now_ns() < end_ns) {
		status = tandem_session_read_beat(side->session, PAIR_WAIT_NS);
		if (status == TANDEM_E_AGAIN)
			pair_turn(pair);
	}
	TANDEM_CONTRACT_CHECK(status == 0);
	return 0;
}

static bool has_listening_read(const struct pair *pair, uint64_t argument)
{
	return pair->listening.reading_count >= argument;
}

static bool has_connecting_read(const struct pair *pair, uint64_t argument)
{
	return pair->connecting.reading_count >= argument;
}

/* Of readings that have begun before, this side's has ended when its own begins; the other side's
 * may end meanwhile. */
static int read_word(struct pair *pair, struct pair_side *side, uint64_t *ret_word)
{
	pair_test has_read = side == &pair->listening ? has_listening_read : has_connecting_read;
	TANDEM_CONTRACT_CHECK(start(pair, side) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_read, side->reading_count + 1) == 0);
	TANDEM_CONTRACT_CHECK(side->empty_reading_count == 0);
	*ret_word = side->beat;
	return 0;
}

static int watch(struct pair *pair, struct pair_side *side, struct pair_side *peer)
{
	uint64_t first, second, third;
	TANDEM_CONTRACT_CHECK(read_word(pair, side, &first) == 0);
	/* As a process that is stopped: its host answers. */
	peer->is_silent = true;
	TANDEM_CONTRACT_CHECK(read_word(pair, side, &second) == 0);
	tandem_session_beat(peer->session);
	TANDEM_CONTRACT_CHECK(read_word(pair, side, &third) == 0);
	peer->is_silent = false;
	TANDEM_CONTRACT_CHECK(first == second);
	TANDEM_CONTRACT_CHECK(third != second);
	return 0;
}

static int watch_both(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(watch(pair, &pair->connecting, &pair->listening) == 0);
	return watch(pair, &pair->listening, &pair->connecting);
}

int story_the_peers_word_is_read_while_it_does_nothing(struct tandem_contract_bed *bed)
{
	return run(bed, watch_both);
}

/* ---- beside everything else ---- */

/* Full, or under way already, is what this is for. */
static bool may_fail_so(int status)
{
	return status == 0 || status == TANDEM_E_AGAIN;
}

static int stir(struct pair_side *side)
{
	tandem_session_beat(side->session);
	TANDEM_CONTRACT_CHECK(may_fail_so(tandem_session_send(side->session, "beside", 6)));
	TANDEM_CONTRACT_CHECK(may_fail_so(tandem_session_read_beat(side->session, PAIR_WAIT_NS)));
	return 0;
}

static int stir_all(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = PAGE};
	for (unsigned i = 0; i < ROUNDS; i++) {
		TANDEM_CONTRACT_CHECK(
		        pair_notify(pair, i % pair->options.channel_count, &write, i) == 0);
		TANDEM_CONTRACT_CHECK(stir(&pair->connecting) == 0);
		TANDEM_CONTRACT_CHECK(stir(&pair->listening) == 0);
		pair_turn(pair);
	}
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, ROUNDS) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_complete, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.lost_count + pair->connecting.lost_count == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.message_count > 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.message_count > 0);
	TANDEM_CONTRACT_CHECK(pair->listening.empty_reading_count == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.empty_reading_count == 0);
	/* What both have begun to read is older than the beat that follows. */
	TANDEM_CONTRACT_CHECK(stir(&pair->listening) == 0);
	TANDEM_CONTRACT_CHECK(stir(&pair->connecting) == 0);
	tandem_session_beat(pair->listening.session);
	return watch_both(pair);
}

int story_a_word_is_read_beside_writes_and_messages(struct tandem_contract_bed *bed)
{
	return run(bed, stir_all);
}

/* ---- limits ---- */

static int read_twice(struct pair *pair)
{
	struct pair_side *side = &pair->listening;
	uint64_t word;
	TANDEM_CONTRACT_CHECK(start(pair, side) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_read_beat(side->session, PAIR_WAIT_NS) ==
	                      TANDEM_E_AGAIN);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_listening_read, 1) == 0);
	TANDEM_CONTRACT_CHECK(read_word(pair, side, &word) == 0);
	/* With no time at all it ends, with or without a word, and the next one begins. */
	TANDEM_CONTRACT_CHECK(tandem_session_read_beat(side->session, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_listening_read, 3) == 0);
	side->empty_reading_count = 0;
	return read_word(pair, side, &word);
}

int story_one_reading_at_a_time(struct tandem_contract_bed *bed)
{
	return run(bed, read_twice);
}

/* ---- the end ---- */

static int yank_reading(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(start(pair, &pair->connecting) == 0);
	tandem_session_yank(pair->connecting.session);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.lost.code == TANDEM_E_YANKED);
	TANDEM_CONTRACT_CHECK(tandem_session_read_beat(pair->connecting.session, 1) ==
	                      TANDEM_E_PEER_LOST);
	/* An end changes nothing about it. */
	tandem_session_beat(pair->connecting.session);
	return 0;
}

int story_a_reading_ends_with_the_session(struct tandem_contract_bed *bed)
{
	return run(bed, yank_reading);
}

static int read_fenced(struct pair *pair)
{
	struct pair_side *side = &pair->connecting;
	uint64_t word;
	TANDEM_CONTRACT_CHECK(read_word(pair, side, &word) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_fence(pair->listening.session,
	                                           tandem_clock_now_ns() + PAIR_WAIT_NS,
	                                           NULL) == 0);
	tandem_session_beat(pair->listening.session);
	int status = tandem_session_read_beat(side->session, PAIR_WAIT_NS);
	TANDEM_CONTRACT_CHECK(status == 0 || status == TANDEM_E_AGAIN ||
	                      status == TANDEM_E_PEER_LOST);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(side->beat == word);
	TANDEM_CONTRACT_CHECK(side->reading_count == 1 + side->empty_reading_count);
	return 0;
}

int story_a_fenced_word_is_not_read(struct tandem_contract_bed *bed)
{
	return run(bed, read_fenced);
}
