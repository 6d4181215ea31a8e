#include "pair.h"

#include <poll.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/crc32c.h>
#include <tandem/memory.h>

struct tandem_transport_options pair_options(const struct tandem_contract_bed *bed)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "%s", bed->address);
	if (bed->second_address) {
		snprintf(options.rails[1].address, sizeof(options.rails[1].address), "%s",
		         bed->second_address);
		options.rail_count = 2;
	}
	if (bed->channel_count > 0)
		options.channel_count = bed->channel_count;
	/* A loaded machine must not look like a dead peer. */
	options.connect_timeout_ns = UINT64_C(10) * TANDEM_NS_PER_S;
	options.peer_timeout_ns = UINT64_C(10) * TANDEM_NS_PER_S;
	return options;
}

int pair_begin(struct pair *pair, struct tandem_contract_bed *bed,
               const struct tandem_transport_options *options)
{
	memset(pair, 0, sizeof(*pair));
	pair->bed = bed;
	pair->options = *options;
	struct tandem_error error = {0};
	int status = tandem_transport_listen(bed->listening, options, &pair->listener, &error);
	if (status != 0)
		fprintf(stderr, "listen: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(status == 0);
	pair->options.port = tandem_listener_port(pair->listener);
	TANDEM_CONTRACT_CHECK(pair->options.port != 0);
	status = tandem_transport_connect(bed->connecting, &pair->options,
	                                  &pair->connecting.session, &error);
	if (status != 0)
		fprintf(stderr, "connect: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(status == 0);
	return 0;
}

void pair_end(struct pair *pair)
{
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	pair->listening.session = tandem_session_free(pair->listening.session);
	pair->listener = tandem_listener_free(pair->listener);
	tandem_memory_unmap(pair->memory, PAIR_MEMORY_BYTES);
	tandem_memory_unmap(pair->source, PAIR_MEMORY_BYTES);
	pair->memory = pair->source = NULL;
}

static void note(struct pair_side *side, const struct tandem_session_event *event)
{
	switch (event->type) {
	case TANDEM_SESSION_UP:
		side->is_up = true;
		side->up_mask = event->channel_mask;
		break;
	case TANDEM_SESSION_CHANNEL_UP:
		side->channel_up_counts[event->channel]++;
		break;
	case TANDEM_SESSION_CHANNEL_LOST:
		side->channel_lost_counts[event->channel]++;
		side->channel_lost = event->error;
		break;
	case TANDEM_SESSION_MESSAGE:
		if (side->message_count < PAIR_MESSAGES_MAX) {
			side->message_bytes[side->message_count] = event->message_bytes;
			side->message_crc[side->message_count] =
			        tandem_crc32c(0, event->message, event->message_bytes);
		}
		side->message_count++;
		break;
	case TANDEM_SESSION_NOTIFIED:
		side->channel_notice_counts[event->channel]++;
		side->newest_immediates[event->channel] = event->immediate;
		if (side->channel_up_counts[event->channel] == 0)
			side->has_early_notice = true;
		if (side->notice_count < PAIR_NOTICES_MAX)
			side->notices[side->notice_count] = (struct pair_notice){
			        .channel = event->channel, .immediate = event->immediate};
		side->notice_count++;
		break;
	case TANDEM_SESSION_BEAT_READ:
		side->reading_count++;
		side->empty_reading_count += !event->has_beat;
		if (event->has_beat)
			side->beat = event->beat;
		break;
	case TANDEM_SESSION_LOST:
		side->lost_count++;
		side->lost = event->error;
		break;
	}
}

static void take(struct pair_side *side)
{
	static struct tandem_session_event event;
	while (side->session && !side->is_silent && !side->is_deaf &&
	       tandem_session_next_event(side->session, &event)) {
		note(side, &event);
		if (side->on_event)
			side->on_event(side->context, &event);
	}
}

void pair_take(struct pair *pair)
{
	take(&pair->listening);
	take(&pair->connecting);
}

static void accept_one(struct pair *pair)
{
	struct tandem_session *session = NULL;
	struct tandem_error error = {0};
	if (!pair->listener)
		return;
	int status = tandem_listener_accept(pair->listener, &session, &error);
	if (status == 0 && !pair->listening.session)
		pair->listening.session = session;
	else if (status == 0) {
		fprintf(stderr, "accept: a session that nobody asked for\n");
		tandem_session_free(session);
	} else if (status != TANDEM_E_AGAIN)
		pair->refusal = error;
}

/* A side is served only when its descriptor or its deadline asks for it: a provider whose
 * descriptor stays quiet while there is work makes the story fail. */
static void serve(struct pair_side *side, bool is_readable)
{
	if (!side->session || side->is_silent)
		return;
	if (is_readable || tandem_clock_now_ns() >= tandem_session_deadline_ns(side->session))
		tandem_session_progress(side->session);
	take(side);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t deadline_of(const struct pair_side *side)
{
	return side->session && !side->is_silent ? tandem_session_deadline_ns(side->session)
	                                         : UINT64_MAX;
}

static int fd_of(const struct pair_side *side)
{
	return side->session && !side->is_silent ? tandem_session_fd(side->session) : -1;
}

static void turn(struct pair *pair, uint64_t end_ns)
{
	struct pollfd fds[3] = {{.fd = fd_of(&pair->listening), .events = POLLIN},
	                        {.fd = fd_of(&pair->connecting), .events = POLLIN},
	                        {.fd = -1, .events = POLLIN}};
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns =
	        earlier(deadline_of(&pair->listening), deadline_of(&pair->connecting));
	if (pair->listener) {
		fds[2].fd = tandem_listener_fd(pair->listener);
		deadline_ns = earlier(deadline_ns, tandem_listener_deadline_ns(pair->listener));
	}
	deadline_ns = earlier(deadline_ns, end_ns);
	uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	poll(fds, 3, (int)((wait_ns + TANDEM_NS_PER_MS - 1) / TANDEM_NS_PER_MS));
	accept_one(pair);
	serve(&pair->listening, fds[0].revents != 0);
	serve(&pair->connecting, fds[1].revents != 0);
}

void pair_turn(struct pair *pair)
{
	turn(pair, tandem_clock_now_ns());
}

int pair_wait(struct pair *pair, pair_test test, uint64_t argument)
{
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	pair_take(pair);
	while (!test(pair, argument)) {
		if (tandem_clock_now_ns() >= end_ns) {
			fprintf(stderr, "waited for too long; lost: '%s', '%s'\n",
			        pair->listening.lost.detail, pair->connecting.lost.detail);
			return -1;
		}
		turn(pair, end_ns);
	}
	return 0;
}

/* ---- what stories wait for ---- */

bool pair_is_connecting_lost(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	return pair->connecting.lost_count > 0;
}

bool pair_is_listening_lost(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	return pair->listening.lost_count > 0;
}

bool pair_is_lost(const struct pair *pair, uint64_t argument)
{
	return pair_is_connecting_lost(pair, argument) && pair_is_listening_lost(pair, argument);
}

bool pair_has_notices(const struct pair *pair, uint64_t argument)
{
	return pair->listening.notice_count >= argument;
}

bool pair_is_complete(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	for (unsigned i = 0; i < tandem_session_channel_count(pair->connecting.session); i++) {
		if (tandem_session_inflight_count(pair->connecting.session, i) > 0)
			return false;
	}
	return true;
}

static bool is_joined(const struct pair *pair, uint64_t argument)
{
	(void)argument;
	return (pair->connecting.is_up && pair->listening.session) ||
	       pair->connecting.lost_count > 0;
}

static bool is_exposed(const struct pair *pair, uint64_t argument)
{
	return tandem_session_exposed_bytes(pair->connecting.session, 0) == argument;
}

/* ---- a pair ---- */

int pair_join(struct pair *pair)
{
	TANDEM_CONTRACT_CHECK(pair_wait(pair, is_joined, 0) == 0);
	TANDEM_CONTRACT_CHECK(pair->connecting.lost_count == 0);
	return 0;
}

int pair_map(struct pair *pair)
{
	struct tandem_error error = {0};
	pair->memory = tandem_memory_map(PAIR_MEMORY_BYTES);
	pair->source = tandem_memory_map(PAIR_MEMORY_BYTES);
	TANDEM_CONTRACT_CHECK(pair->memory && pair->source);
	int status = tandem_session_expose(pair->listening.session, 0, pair->memory,
	                                   PAIR_MEMORY_BYTES, &error);
	if (status == 0)
		status = tandem_session_register(pair->connecting.session, pair->source,
		                                 PAIR_MEMORY_BYTES, &error);
	if (status != 0)
		fprintf(stderr, "expose or register: %s\n", error.detail);
	TANDEM_CONTRACT_CHECK(status == 0);
	return pair_wait(pair, is_exposed, PAIR_MEMORY_BYTES);
}

int pair_run(struct tandem_contract_bed *bed, const struct tandem_transport_options *options,
             bool is_mapped, int (*story)(struct pair *pair))
{
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	TANDEM_CONTRACT_CHECK(pair);
	int status = pair_begin(pair, bed, options);
	if (status == 0)
		status = pair_join(pair);
	if (status == 0 && is_mapped)
		status = pair_map(pair);
	if (status == 0)
		status = story(pair);
	pair_end(pair);
	tandem_memory_free(pair);
	return status;
}

static bool has_room(const struct pair *pair, uint64_t argument)
{
	unsigned channel = (unsigned)argument;
	return pair->connecting.lost_count > 0 ||
	       tandem_session_inflight_count(pair->connecting.session, channel) <
	               pair->options.write_depth;
}

int pair_write(struct pair *pair, unsigned channel, const struct tandem_write *write)
{
	unsigned taken_count = 0;
	int status = 0;
	while (status == 0 && taken_count == 0) {
		status = tandem_session_write(pair->connecting.session, channel, write, 1,
		                              &taken_count);
		if (status == 0 && taken_count == 0 && pair_wait(pair, has_room, channel) != 0)
			return -1;
	}
	return status;
}

int pair_notify(struct pair *pair, unsigned channel, const struct tandem_write *write,
                uint32_t immediate)
{
	int status = TANDEM_E_AGAIN;
	while (status == TANDEM_E_AGAIN) {
		status = tandem_session_notify(pair->connecting.session, channel, write, immediate);
		if (status == TANDEM_E_AGAIN && pair_wait(pair, has_room, channel) != 0)
			return -1;
	}
	return status;
}
