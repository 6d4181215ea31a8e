#include <string.h>

#include <tandem/crc32c.h>
#include <tandem/random.h>

#include "pair.h"
#include "story.h"

#define MESSAGE_COUNT 300

/* The content follows from the number and the direction, so that both sides know it. */
static size_t make_message(unsigned number, uint64_t direction, uint8_t *message)
{
	uint64_t seed = number * 2 + direction;
	size_t bytes = number % 10 == 0 ? TANDEM_MESSAGE_BYTES_MAX
	               : number % 10 == 1
	                       ? 1
	                       : 1 + tandem_random_next(&seed) % TANDEM_MESSAGE_BYTES_MAX;
	for (size_t i = 0; i < bytes; i++)
		message[i] = (uint8_t)tandem_random_next(&seed);
	return bytes;
}

static bool is_message(const struct pair_side *side, unsigned number, uint64_t direction)
{
	static uint8_t message[TANDEM_MESSAGE_BYTES_MAX];
	size_t bytes = make_message(number, direction, message);
	return side->message_bytes[number] == bytes &&
	       side->message_crc[number] == tandem_crc32c(0, message, bytes);
}

/* Sends one as soon as there is room; true when it went. */
static int send_one(struct tandem_session *session, unsigned number, uint64_t direction,
                    bool *ret_sent)
{
	static uint8_t message[TANDEM_MESSAGE_BYTES_MAX];
	size_t bytes = make_message(number, direction, message);
	int status = tandem_session_send(session, message, bytes);
	/* It is copied: what happens to ours must not matter. */
	memset(message, 0xee, sizeof(message));
	TANDEM_CONTRACT_CHECK(status == 0 || status == TANDEM_E_AGAIN);
	*ret_sent = status == 0;
	return 0;
}

static bool has_more(const struct pair *pair, uint64_t argument)
{
	return pair->listening.message_count + pair->connecting.message_count > argument;
}

static int check_all(const struct pair *pair)
{
	for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
		TANDEM_CONTRACT_CHECK(is_message(&pair->listening, i, 0));
		TANDEM_CONTRACT_CHECK(is_message(&pair->connecting, i, 1));
	}
	return 0;
}

static int send_both_ways(struct pair *pair)
{
	unsigned sent_count[2] = {0, 0};
	while (pair->listening.message_count < MESSAGE_COUNT ||
	       pair->connecting.message_count < MESSAGE_COUNT) {
		bool went[2] = {false, false};
		unsigned had = pair->listening.message_count + pair->connecting.message_count;
		if (sent_count[0] < MESSAGE_COUNT)
			TANDEM_CONTRACT_CHECK(send_one(pair->connecting.session, sent_count[0], 0,
			                               &went[0]) == 0);
		if (sent_count[1] < MESSAGE_COUNT)
			TANDEM_CONTRACT_CHECK(
			        send_one(pair->listening.session, sent_count[1], 1, &went[1]) == 0);
		sent_count[0] += went[0];
		sent_count[1] += went[1];
		if (!went[0] && !went[1])
			TANDEM_CONTRACT_CHECK(pair_wait(pair, has_more, had) == 0);
	}
	return check_all(pair);
}

int story_messages_both_ways_in_order(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, false, send_both_ways);
}

static int fill_message_queue(struct pair *pair)
{
	unsigned sent_count = 0;
	bool went = true;
	/* Nobody serves either side: it must fill, whatever the kernel takes. */
	while (went && sent_count < MESSAGE_COUNT * 100) {
		TANDEM_CONTRACT_CHECK(send_one(pair->connecting.session, sent_count % MESSAGE_COUNT,
		                               0, &went) == 0);
		sent_count += went;
	}
	TANDEM_CONTRACT_CHECK(sent_count > 0 && sent_count < MESSAGE_COUNT * 100);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_more, sent_count - 1) == 0);
	for (unsigned i = 0; i < sent_count && i < MESSAGE_COUNT; i++)
		TANDEM_CONTRACT_CHECK(is_message(&pair->listening, i, 0));
	TANDEM_CONTRACT_CHECK(pair->listening.message_count == sent_count);
	TANDEM_CONTRACT_CHECK(send_one(pair->connecting.session, 0, 0, &went) == 0);
	TANDEM_CONTRACT_CHECK(went);
	return pair_wait(pair, has_more, sent_count);
}

int story_a_full_message_queue_recovers(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, false, fill_message_queue);
}

static int send_wrongly(struct pair *pair)
{
	static uint8_t message[TANDEM_MESSAGE_BYTES_MAX + 1];
	struct tandem_session *session = pair->connecting.session;
	TANDEM_CONTRACT_CHECK(tandem_session_send(session, message, sizeof(message)) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_send(session, message, 0) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_send(session, NULL, 1) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_send(session, message, 3) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, has_more, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->listening.message_bytes[0] == 3);
	return 0;
}

int story_wrong_messages_are_refused(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, false, send_wrongly);
}
