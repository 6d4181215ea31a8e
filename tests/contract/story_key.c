#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "channels.h"
#include "story.h"

/* Who holds no key of the pair gets no session [S1]. */

static struct tandem_key make_key(uint8_t value)
{
	struct tandem_key key;
	memset(key.bytes, value, sizeof(key.bytes));
	return key;
}

static bool is_refused(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	return pair->connecting.lost_count > 0 && pair->refusal.code != 0;
}

static int connect_with(struct pair *pair, const struct tandem_transport_options *options)
{
	pair->options = *options;
	pair->options.port = tandem_listener_port(pair->listener);
	memset(&pair->refusal, 0, sizeof(pair->refusal));
	memset(&pair->connecting, 0, sizeof(pair->connecting));
	memset(&pair->listening, 0, sizeof(pair->listening));
	TANDEM_CONTRACT_CHECK(tandem_transport_connect(pair->bed->connecting, &pair->options,
	                                               &pair->connecting.session, NULL) == 0);
	return 0;
}

static int check_refused(struct pair *pair, const struct tandem_transport_options *options)
{
	TANDEM_CONTRACT_CHECK(connect_with(pair, options) == 0);
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_refused, 0) == 0);
	TANDEM_CONTRACT_CHECK(!pair->listening.session && !pair->connecting.is_up);
	TANDEM_CONTRACT_CHECK(pair->refusal.code == TANDEM_E_REFUSED);
	TANDEM_CONTRACT_CHECK(strstr(pair->refusal.detail, "key"));
	TANDEM_CONTRACT_CHECK(pair->connecting.lost.code == TANDEM_E_REFUSED);
	TANDEM_CONTRACT_CHECK(strstr(pair->connecting.lost.detail, "key"));
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	return 0;
}

static int check_accepted(struct pair *pair, const struct tandem_transport_options *options,
                          unsigned key_index)
{
	TANDEM_CONTRACT_CHECK(connect_with(pair, options) == 0);
	TANDEM_CONTRACT_CHECK(pair_join(pair) == 0);
	TANDEM_CONTRACT_CHECK(tandem_session_key_index(pair->listening.session) == key_index);
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	pair->listening.session = tandem_session_free(pair->listening.session);
	return 0;
}

static int with_listener(struct tandem_contract_bed *bed,
                         const struct tandem_transport_options *options,
                         int (*story)(struct pair *pair))
{
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	TANDEM_CONTRACT_CHECK(pair);
	pair->bed = bed;
	int status = tandem_transport_listen(bed->listening, options, &pair->listener, NULL);
	if (status == 0)
		status = story(pair);
	pair_end(pair);
	tandem_memory_free(pair);
	return status;
}

/* ---- none of ours ---- */

static int refuse_other_keys(struct pair *pair)
{
	struct tandem_transport_options options = channels_options(pair->bed);
	TANDEM_CONTRACT_CHECK(check_refused(pair, &options) == 0);
	options.keys[0] = make_key(1);
	options.keys[0].bytes[TANDEM_KEY_BYTES - 1] = 2; /* the last byte counts too */
	options.keys[1] = make_key(1); /* only the first is the connecting side's */
	options.key_count = 2;
	TANDEM_CONTRACT_CHECK(check_refused(pair, &options) == 0);
	options.keys[0] = make_key(1);
	return check_accepted(pair, &options, 0);
}

static int refuse_any_key(struct pair *pair)
{
	struct tandem_transport_options options = channels_options(pair->bed);
	options.keys[0] = make_key(1);
	options.key_count = 1;
	TANDEM_CONTRACT_CHECK(check_refused(pair, &options) == 0);
	options.key_count = 0;
	return check_accepted(pair, &options, 0);
}

int story_wrong_keys_are_refused(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	TANDEM_CONTRACT_CHECK(with_listener(bed, &options, refuse_any_key) == 0);
	options.keys[0] = make_key(1);
	options.key_count = 1;
	return with_listener(bed, &options, refuse_other_keys);
}

/* ---- one of several ---- */

static int accept_each(struct pair *pair)
{
	static const unsigned indices[] = {0, 1, 5, TANDEM_KEYS_MAX - 1};
	struct tandem_transport_options options = channels_options(pair->bed);
	options.key_count = 1;
	for (unsigned i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		options.keys[0] = make_key((uint8_t)(indices[i] + 1));
		TANDEM_CONTRACT_CHECK(check_accepted(pair, &options, indices[i]) == 0);
	}
	options.keys[0] = make_key(TANDEM_KEYS_MAX + 1);
	return check_refused(pair, &options);
}

int story_one_listener_serves_several_keys(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = channels_options(bed);
	for (unsigned i = 0; i < TANDEM_KEYS_MAX; i++)
		options.keys[i] = make_key((uint8_t)(i + 1));
	options.key_count = TANDEM_KEYS_MAX;
	return with_listener(bed, &options, accept_each);
}
