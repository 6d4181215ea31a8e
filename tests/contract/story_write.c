#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

#include "pair.h"
#include "story.h"

#define PAGE 4096

/* ---- exposing ---- */

static bool has_message(const struct pair *pair, uint64_t argument)
{
	return pair->connecting.message_count >= argument;
}

static int expose_then_send(struct pair *pair)
{
	uint8_t *other = tandem_memory_map(3 * PAGE);
	TANDEM_CONTRACT_CHECK(other);
	TANDEM_CONTRACT_CHECK(tandem_session_exposed_bytes(pair->connecting.session, 255) == 0);
	int status = tandem_session_expose(pair->listening.session, 255, other, 3 * PAGE, NULL);
	if (status == 0)
		status = tandem_session_send(pair->listening.session, "go", 2);
	if (status == 0)
		status = pair_wait(pair, has_message, 1);
	uint64_t seen_bytes = tandem_session_exposed_bytes(pair->connecting.session, 255);
	/* The memory is borrowed until the session is freed. */
	pair->listening.session = tandem_session_free(pair->listening.session);
	tandem_memory_unmap(other, 3 * PAGE);
	TANDEM_CONTRACT_CHECK(status == 0);
	TANDEM_CONTRACT_CHECK(seen_bytes == 3 * PAGE);
	return 0;
}

int story_expose_is_known_before_later_messages(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, false, expose_then_send);
}

static int expose_wrongly(struct pair *pair)
{
	struct tandem_session *listening = pair->listening.session;
	struct tandem_session *connecting = pair->connecting.session;
	struct tandem_error error = {0};
	TANDEM_CONTRACT_CHECK(tandem_session_expose(listening, 0, pair->memory, PAGE, &error) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(strlen(error.detail) > 0);
	TANDEM_CONTRACT_CHECK(tandem_session_expose(listening, 1, pair->memory + 8, PAGE, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_expose(listening, 1, pair->memory, 0, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_expose(listening, TANDEM_MEMORY_IDS_MAX, pair->memory,
	                                            PAGE, NULL) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_expose(connecting, 1, pair->memory, PAGE, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_register(listening, pair->source, PAGE, NULL) ==
	                      TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_exposed_bytes(connecting, 1) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_exposed_bytes(connecting, 9999) == 0);
	return 0;
}

int story_wrong_exposures(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, expose_wrongly);
}

/* ---- writing ---- */

/* Each channel has its own part of the memory, because channels are not ordered. */
static struct tandem_write random_write(const struct pair *pair, unsigned channel, uint64_t *seed)
{
	size_t part = PAIR_MEMORY_BYTES / pair->options.channel_count;
	uint32_t length = 1 + (uint32_t)(tandem_random_next(seed) % (3 * PAGE));
	size_t offset = tandem_random_next(seed) % (part - length);
	size_t from = tandem_random_next(seed) % (PAIR_MEMORY_BYTES - length);
	return (struct tandem_write){
	        .offset = channel * part + offset, .source = pair->source + from, .length = length};
}

static int write_round(struct pair *pair, uint8_t *model, uint64_t *seed)
{
	unsigned channel_count = pair->options.channel_count;
	unsigned before = pair->listening.notice_count;
	for (unsigned i = 0; i < 400; i++) {
		unsigned channel = (unsigned)(tandem_random_next(seed) % channel_count);
		struct tandem_write write = random_write(pair, channel, seed);
		TANDEM_CONTRACT_CHECK(pair_write(pair, channel, &write) == 0);
		memcpy(model + write.offset, write.source, write.length);
	}
	for (unsigned channel = 0; channel < channel_count; channel++) {
		struct tandem_write write = random_write(pair, channel, seed);
		TANDEM_CONTRACT_CHECK(pair_notify(pair, channel, &write, 100 + channel) == 0);
		memcpy(model + write.offset, write.source, write.length);
	}
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, before + channel_count) == 0);
	TANDEM_CONTRACT_CHECK(memcmp(model, pair->memory, PAIR_MEMORY_BYTES) == 0);
	for (unsigned i = before; i < before + channel_count; i++)
		TANDEM_CONTRACT_CHECK(pair->listening.notices[i].immediate ==
		                      100 + pair->listening.notices[i].channel);
	return pair_wait(pair, pair_is_complete, 0);
}

static int write_rounds(struct pair *pair)
{
	uint64_t seed = 7;
	uint8_t *model = tandem_memory_map(PAIR_MEMORY_BYTES);
	int status = model ? 0 : -1;
	for (size_t i = 0; i < PAIR_MEMORY_BYTES; i++)
		pair->source[i] = (uint8_t)(tandem_random_next(&seed) >> 5);
	for (unsigned round = 0; round < 5 && status == 0; round++)
		status = write_round(pair, model, &seed);
	tandem_memory_unmap(model, PAIR_MEMORY_BYTES);
	return status;
}

int story_random_writes_land_where_they_should(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	options.write_depth = 32; /* small, so that it fills */
	return pair_run(bed, &options, true, write_rounds);
}

#define ORDERED_COUNT 2000

static int overwrite_in_order(struct pair *pair)
{
	const unsigned channel = pair->options.channel_count - 1;
	for (uint32_t i = 0; i < ORDERED_COUNT; i++)
		memcpy(pair->source + i * sizeof(i), &i, sizeof(i));
	for (uint32_t i = 0; i < ORDERED_COUNT; i++) {
		const struct tandem_write write = {
		        .offset = 64, .source = pair->source + i * sizeof(i), .length = sizeof(i)};
		TANDEM_CONTRACT_CHECK(pair_notify(pair, channel, &write, i) == 0);
		unsigned seen_count = pair->listening.notice_count;
		uint32_t value;
		memcpy(&value, pair->memory + 64, sizeof(value));
		TANDEM_CONTRACT_CHECK(seen_count == 0 || value >= seen_count - 1);
	}
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, ORDERED_COUNT) == 0);
	for (uint32_t i = 0; i < ORDERED_COUNT; i++)
		TANDEM_CONTRACT_CHECK(pair->listening.notices[i].immediate == i &&
		                      pair->listening.notices[i].channel == channel);
	uint32_t last = ORDERED_COUNT - 1;
	TANDEM_CONTRACT_CHECK(memcmp(pair->memory + 64, &last, sizeof(last)) == 0);
	return 0;
}

int story_order_within_a_channel(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, overwrite_in_order);
}

static int fill_write_queue(struct pair *pair)
{
	const unsigned channel = pair->options.channel_count - 1;
	struct tandem_write writes[64];
	unsigned taken_count = 0, total_count = 0;
	for (unsigned i = 0; i < 64; i++) {
		pair->source[i * PAGE] = (uint8_t)(i + 1);
		writes[i] = (struct tandem_write){
		        .offset = i * PAGE, .source = pair->source + i * PAGE, .length = PAGE};
	}
	TANDEM_CONTRACT_CHECK(tandem_session_write(pair->connecting.session, channel, writes, 64,
	                                           &taken_count) == 0);
	TANDEM_CONTRACT_CHECK(taken_count >= 1 && taken_count <= pair->options.write_depth);
	for (total_count = taken_count; total_count < 64; total_count++)
		TANDEM_CONTRACT_CHECK(pair_write(pair, channel, &writes[total_count]) == 0);
	TANDEM_CONTRACT_CHECK(pair_notify(pair, channel, &writes[0], 1) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_has_notices, 1) == 0);
	TANDEM_CONTRACT_CHECK(memcmp(pair->memory, pair->source, 64 * PAGE) == 0);
	return pair_wait(pair, pair_is_complete, 0);
}

int story_a_full_write_queue_recovers(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	options.write_depth = 16;
	return pair_run(bed, &options, true, fill_write_queue);
}

static int write_wrongly(struct pair *pair)
{
	static const uint8_t elsewhere[PAGE];
	const uint8_t *end = pair->source + PAIR_MEMORY_BYTES;
	const struct tandem_write wrong[] = {
	        {.offset = PAIR_MEMORY_BYTES - 10, .source = pair->source, .length = 11},
	        {.offset = UINT64_MAX - 1, .source = pair->source, .length = 11},
	        {.offset = PAIR_MEMORY_BYTES, .source = pair->source, .length = 1},
	        {.memory_id = 1, .source = pair->source, .length = 1},
	        {.memory_id = 1000, .source = pair->source, .length = 1},
	        {.source = pair->source, .length = 0},
	        {.source = pair->source, .length = TANDEM_WRITE_BYTES_MAX + 1},
	        {.source = NULL, .length = 1},
	        {.source = elsewhere, .length = PAGE},
	        {.source = end - 1, .length = 2},
	};
	const struct tandem_write good = {.source = pair->source, .length = 1};
	struct tandem_session *connecting = pair->connecting.session;
	unsigned taken_count = 77;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct tandem_write both[2] = {good, wrong[i]};
		TANDEM_CONTRACT_CHECK(tandem_session_write(connecting, 0, both, 2, &taken_count) ==
		                      TANDEM_E_USAGE);
		TANDEM_CONTRACT_CHECK(tandem_session_notify(connecting, 0, &wrong[i], 1) ==
		                      TANDEM_E_USAGE);
	}
	TANDEM_CONTRACT_CHECK(tandem_session_write(connecting, pair->options.channel_count, &good,
	                                           1, &taken_count) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(tandem_session_write(pair->listening.session, 0, &good, 1,
	                                           &taken_count) == TANDEM_E_USAGE);
	TANDEM_CONTRACT_CHECK(taken_count == 77);
	TANDEM_CONTRACT_CHECK(pair_is_complete(pair, 0));
	TANDEM_CONTRACT_CHECK(pair_notify(pair, 0, &good, 5) == 0);
	return pair_wait(pair, pair_has_notices, 1);
}

int story_wrong_writes_are_refused(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, true, write_wrongly);
}
