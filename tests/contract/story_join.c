#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "descriptors.h"
#include "pair.h"
#include "story.h"

#define LEAK_ROUNDS 50

static int check_joined(struct pair *pair)
{
	char text[512] = "";
	const struct tandem_transport_capabilities *capabilities =
	        tandem_transport_capabilities(pair->bed->connecting);
	TANDEM_CONTRACT_CHECK(tandem_session_channel_count(pair->listening.session) ==
	                      pair->options.channel_count);
	TANDEM_CONTRACT_CHECK(tandem_session_channel_count(pair->connecting.session) ==
	                      pair->options.channel_count);
	TANDEM_CONTRACT_CHECK(strlen(tandem_session_peer_address(pair->listening.session)) > 0);
	TANDEM_CONTRACT_CHECK(strlen(tandem_session_peer_address(pair->connecting.session)) > 0);
	tandem_session_describe(pair->connecting.session, text, sizeof(text));
	TANDEM_CONTRACT_CHECK(strlen(text) > 0);
	TANDEM_CONTRACT_CHECK(strlen(capabilities->name) > 0 && strlen(capabilities->detail) > 0);
	TANDEM_CONTRACT_CHECK(capabilities->write_batch_max > 0);
	TANDEM_CONTRACT_CHECK(pair_is_complete(pair, 0));
	return 0;
}

static int join_with(struct tandem_contract_bed *bed, unsigned channel_count)
{
	struct tandem_transport_options options = pair_options(bed);
	options.channel_count = channel_count;
	return pair_run(bed, &options, false, check_joined);
}

int story_join_with_1_channel(struct tandem_contract_bed *bed)
{
	return join_with(bed, 1);
}

int story_join_with_4_channels(struct tandem_contract_bed *bed)
{
	return join_with(bed, 4);
}

int story_join_with_16_channels(struct tandem_contract_bed *bed)
{
	return join_with(bed, 16);
}

static int join_a_second(struct pair *first)
{
	struct pair *second = tandem_memory_alloc(sizeof(*second));
	TANDEM_CONTRACT_CHECK(second);
	second->bed = first->bed;
	second->options = first->options;
	second->options.channel_count = 2;
	second->listener = first->listener;
	int status = tandem_transport_connect(first->bed->connecting, &second->options,
	                                      &second->connecting.session, NULL);
	if (status == 0)
		status = pair_join(second);
	if (status == 0 && tandem_session_channel_count(second->listening.session) != 2)
		status = -1;
	second->listener = NULL;
	pair_end(second);
	tandem_memory_free(second);
	TANDEM_CONTRACT_CHECK(status == 0);
	/* The end of the one is not the other's. */
	TANDEM_CONTRACT_CHECK(pair_map(first) == 0);
	return 0;
}

int story_two_sessions_of_one_listener(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	return pair_run(bed, &options, false, join_a_second);
}

/* ---- nobody there ---- */

static int expect_lost(struct pair *pair)
{
	uint64_t begin_ns = tandem_clock_now_ns();
	TANDEM_CONTRACT_CHECK(pair_wait(pair, pair_is_connecting_lost, 0) == 0);
	TANDEM_CONTRACT_CHECK(tandem_clock_now_ns() - begin_ns < PAIR_WAIT_NS / 2);
	TANDEM_CONTRACT_CHECK(!pair->connecting.is_up);
	TANDEM_CONTRACT_CHECK(tandem_error_class(pair->connecting.lost.code) == TANDEM_CLASS_PEER);
	TANDEM_CONTRACT_CHECK(strlen(pair->connecting.lost.detail) > 0);
	TANDEM_CONTRACT_CHECK(tandem_session_send(pair->connecting.session, "x", 1) ==
	                      TANDEM_E_PEER_LOST);
	return 0;
}

/* A port that is bound and not listened at, so that nobody else listens there meanwhile. */
static int take_port(const char *address, uint16_t *ret_port)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	struct addrinfo *place = NULL;
	struct sockaddr_in6 taken = {0};
	socklen_t length = sizeof(taken);
	if (getaddrinfo(address, NULL, &hints, &place) != 0)
		return -1;
	int fd = socket(place->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_taken = bind(fd, place->ai_addr, place->ai_addrlen) == 0 &&
	                getsockname(fd, (struct sockaddr *)&taken, &length) == 0;
	freeaddrinfo(place);
	/* It lies where sockaddr_in has it. */
	*ret_port = is_taken ? ntohs(taken.sin6_port) : 0;
	return fd;
}

static int connect_to_nobody(struct pair *pair, const struct tandem_transport_options *options)
{
	pair->options = *options;
	int fd = take_port(options->rails[0].address, &pair->options.port);
	int status = tandem_transport_connect(pair->bed->connecting, &pair->options,
	                                      &pair->connecting.session, NULL);
	if (status == 0)
		status = expect_lost(pair);
	close(fd);
	return status;
}

static int connect_to_silence(struct pair *pair, const struct tandem_transport_options *options)
{
	TANDEM_CONTRACT_CHECK(pair_begin(pair, pair->bed, options) == 0);
	/* Without a session of its own the pair would accept: it must not look at the listener. */
	struct tandem_listener *listener = pair->listener;
	pair->listener = NULL;
	int status = expect_lost(pair);
	pair->listener = listener;
	return status;
}

static int run_lose_connecting(struct tandem_contract_bed *bed, bool has_listener)
{
	struct tandem_transport_options options = pair_options(bed);
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	TANDEM_CONTRACT_CHECK(pair);
	options.connect_timeout_ns = UINT64_C(300) * TANDEM_NS_PER_MS;
	pair->bed = bed;
	int status = has_listener ? connect_to_silence(pair, &options)
	                          : connect_to_nobody(pair, &options);
	pair_end(pair);
	tandem_memory_free(pair);
	return status;
}

int story_connect_to_a_dead_port(struct tandem_contract_bed *bed)
{
	return run_lose_connecting(bed, false);
}

int story_connect_to_a_silent_listener(struct tandem_contract_bed *bed)
{
	return run_lose_connecting(bed, true);
}

/* ---- options ---- */

static int check_refused(struct tandem_contract_bed *bed,
                         const struct tandem_transport_options *options, const char *field)
{
	struct tandem_listener *listener = NULL;
	struct tandem_error error = {0};
	int status = tandem_transport_listen(bed->listening, options, &listener, &error);
	TANDEM_CONTRACT_CHECK(status == TANDEM_E_CONFIG);
	TANDEM_CONTRACT_CHECK(!listener);
	TANDEM_CONTRACT_CHECK(strstr(error.detail, field));
	return 0;
}

int story_wrong_options(struct tandem_contract_bed *bed)
{
	struct tandem_session *session = NULL;
	const struct tandem_transport_options good = pair_options(bed);
	struct tandem_transport_options options = good;
	options.channel_count = 17;
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "channel_count is 17") == 0);
	options = good;
	options.channel_count = 0;
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "1 to 16") == 0);
	options = good;
	options.write_depth = 8;
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "write_depth") == 0);
	options = good;
	options.peer_timeout_ns = 0;
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "peer_timeout_ns") == 0);
	options = good;
	options.connect_timeout_ns = UINT64_MAX;
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "connect_timeout_ns") == 0);
	options = good;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "localhost");
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "localhost") == 0);
	memset(options.rails[0].address, '1', sizeof(options.rails[0].address));
	TANDEM_CONTRACT_CHECK(check_refused(bed, &options, "address") == 0);
	TANDEM_CONTRACT_CHECK(tandem_transport_connect(bed->connecting, &good, &session, NULL) ==
	                      TANDEM_E_CONFIG); /* port 0 */
	TANDEM_CONTRACT_CHECK(!session);
	return 0;
}

/* ---- leaks ---- */

static int write_once(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = 4096};
	TANDEM_CONTRACT_CHECK(pair_notify(pair, 0, &write, 1) == 0);
	return pair_wait(pair, pair_has_notices, 1);
}

int story_nothing_leaks(struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = pair_options(bed);
	unsigned before = 0;
	for (unsigned round = 0; round <= LEAK_ROUNDS; round++) {
		TANDEM_CONTRACT_CHECK(pair_run(bed, &options, true, write_once) == 0);
		if (round == 0)
			before = descriptors_count(); /* the first may open what stays */
	}
	TANDEM_CONTRACT_CHECK(before > 0);
	TANDEM_CONTRACT_CHECK(descriptors_fall_to(before));
	return 0;
}
