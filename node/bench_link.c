#include "bench_link.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include <tandem/clock.h>
#include <tandem/log.h>

#include "bench_value.h"

#define SLICE_MS 100 /* of a wait: deadlines of session and listener come on top */

static struct tandem_transport_options transport_options(
        const struct tandem_bench_link_options *options)
{
	struct tandem_transport_options made = TANDEM_TRANSPORT_OPTIONS_DEFAULT;

	snprintf(made.rails[0].address, sizeof made.rails[0].address, "%s", options->address);
	made.port = options->port;
	made.channel_count = options->channel_count;
	made.write_depth = options->write_depth;
	made.poll_ns = options->poll_ns;
	/* An emulated device may need seconds for what is in flight. */
	made.peer_timeout_ns = 30 * TANDEM_NS_PER_S;
	made.connect_timeout_ns = 10 * TANDEM_NS_PER_S;
	return made;
}

bool tandem_bench_link_option(int option, const char *value,
                              struct tandem_bench_link_options *options)
{
	unsigned number = 0;

	switch (option) {
	case 'v':
		options->provider = value;
		return true;
	case 'a':
		options->address = value;
		return true;
	case 'o':
		if (!tandem_bench_parse_unsigned(value, 1, UINT16_MAX, &number))
			return false;
		options->port = (uint16_t)number;
		return true;
	case 'c':
		return tandem_bench_parse_unsigned(value, 1, TANDEM_CHANNELS_MAX,
		                                   &options->channel_count);
	case 'd':
		return tandem_bench_parse_unsigned(value, 16, 4096, &options->write_depth);
	case 'u':
		if (!tandem_bench_parse_unsigned(value, 0, 1000, &number))
			return false;
		options->poll_ns = number * TANDEM_NS_PER_US;
		return true;
	default:
		return false;
	}
}

int tandem_bench_link_listen(struct tandem_bench_link *link,
                             const struct tandem_bench_link_options *options,
                             struct tandem_error *reterr_error)
{
	const struct tandem_transport_options made = transport_options(options);
	int code = tandem_transport_open(options->provider, options->address, &link->transport,
	                                 reterr_error);

	if (code == 0)
		code = tandem_transport_listen(link->transport, &made, &link->listener,
		                               reterr_error);
	return code;
}

static int earlier_ms(int wait_ms, uint64_t deadline_ns)
{
	uint64_t now_ns, left_ms;

	if (deadline_ns == UINT64_MAX)
		return wait_ms;
	now_ns = tandem_clock_now_ns();
	if (deadline_ns <= now_ns)
		return 0;
	left_ms = (deadline_ns - now_ns) / TANDEM_NS_PER_MS + 1;
	return left_ms < (uint64_t)wait_ms ? (int)left_ms : wait_ms;
}

/* Data channels join by way of the listener while the session lives. */
static int accept_one(struct tandem_bench_link *link)
{
	struct tandem_session *session;
	struct tandem_error error;
	const int code = tandem_listener_accept(link->listener, &session, &error);

	if (code == 0 && link->session == NULL)
		link->session = session;
	else if (code == 0 && link->next_session == NULL)
		link->next_session = session;
	else if (code == 0)
		tandem_session_free(session); /* one sender at a time */
	else if (code != TANDEM_E_AGAIN)
		tandem_log(TANDEM_LOG_WARNING, "%s: %s", error.operation, error.detail);
	return code;
}

/* Sets descriptor and wait of the listener; how many descriptors: 0 or 1. */
static unsigned watch_listener(const struct tandem_bench_link *link, struct pollfd *descriptor,
                               int *wait_ms)
{
	if (link->listener == NULL)
		return 0;
	*descriptor = (struct pollfd){.fd = tandem_listener_fd(link->listener), .events = POLLIN};
	*wait_ms = earlier_ms(*wait_ms, tandem_listener_deadline_ns(link->listener));
	return 1;
}

bool tandem_bench_link_wait(struct tandem_bench_link *link)
{
	struct pollfd descriptors[2];
	int wait_ms = SLICE_MS;
	unsigned count = watch_listener(link, descriptors, &wait_ms);
	const bool listens = count > 0;
	int ready;

	if (link->session != NULL) {
		descriptors[count++] =
		        (struct pollfd){.fd = tandem_session_fd(link->session), .events = POLLIN};
		wait_ms = earlier_ms(wait_ms, tandem_session_deadline_ns(link->session));
	}
	ready = poll(descriptors, count, wait_ms);
	while (listens && (ready == 0 || descriptors[0].revents != 0) &&
	       accept_one(link) != TANDEM_E_AGAIN)
		;
	if (link->session != NULL)
		tandem_session_progress(link->session);
	return ready > 0;
}

int tandem_bench_link_accept(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_WAIT_NS;

	link->session = link->next_session;
	link->next_session = NULL;
	while (link->session == NULL) {
		if (tandem_clock_now_ns() > deadline_ns)
			return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "accept",
			                        "no sender came");
		tandem_bench_link_wait(link);
	}
	return 0;
}

static int judge(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	const struct tandem_session_event *event = &link->event;

	if (event->type != TANDEM_SESSION_LOST && event->type != TANDEM_SESSION_CHANNEL_LOST)
		return 0;
	if (reterr_error != NULL)
		*reterr_error = event->error;
	return event->error.code < 0 ? event->error.code : TANDEM_E_PEER_LOST;
}

/* The clock is asked only when nothing came: it is slow in an emulated machine. */
static bool is_late(uint64_t *deadline_ns)
{
	const uint64_t now_ns = tandem_clock_now_ns();

	if (*deadline_ns == 0)
		*deadline_ns = now_ns + TANDEM_BENCH_WAIT_NS;
	return now_ns > *deadline_ns;
}

int tandem_bench_link_next(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	uint64_t deadline_ns = 0;

	if (tandem_session_next_event(link->session, &link->event))
		return judge(link, reterr_error);
	/* Before the wait: this is where a provider polls for as long as it was told to. */
	tandem_session_progress(link->session);
	while (!tandem_session_next_event(link->session, &link->event)) {
		if (tandem_bench_link_wait(link) || !is_late(&deadline_ns))
			continue;
		return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "wait",
		                        "nothing from %s for %" PRIu64 " s",
		                        tandem_session_peer_address(link->session),
		                        TANDEM_BENCH_WAIT_NS / TANDEM_NS_PER_S);
	}
	return judge(link, reterr_error);
}

int tandem_bench_link_await_exposure(struct tandem_bench_link *link, unsigned memory_id,
                                     struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_WAIT_NS;
	int code = 0;

	while (code == 0 && tandem_session_exposed_bytes(link->session, memory_id) == 0) {
		if (tandem_clock_now_ns() > deadline_ns)
			return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "wait",
			                        "%s exposes nothing",
			                        tandem_session_peer_address(link->session));
		if (tandem_session_next_event(link->session, &link->event))
			code = judge(link, reterr_error);
		else
			tandem_bench_link_wait(link);
	}
	return code;
}

int tandem_bench_link_connect(struct tandem_bench_link *link,
                              const struct tandem_bench_link_options *options,
                              struct tandem_error *reterr_error)
{
	const struct tandem_transport_options made = transport_options(options);
	int code = tandem_transport_open(options->provider, "", &link->transport, reterr_error);

	if (code == 0)
		code = tandem_transport_connect(link->transport, &made, &link->session,
		                                reterr_error);
	while (code == 0) {
		code = tandem_bench_link_next(link, reterr_error);
		if (code == 0 && link->event.type == TANDEM_SESSION_UP)
			return 0;
	}
	return code;
}

int tandem_bench_link_send(struct tandem_bench_link *link,
                           const struct tandem_bench_message *message,
                           struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_WAIT_NS;
	uint8_t bytes[TANDEM_BENCH_MESSAGE_BYTES];
	const size_t length = tandem_bench_message_encode(message, bytes);
	int code = tandem_session_send(link->session, bytes, length);

	while (code == TANDEM_E_AGAIN && tandem_clock_now_ns() < deadline_ns) {
		tandem_bench_link_wait(link);
		code = tandem_session_send(link->session, bytes, length);
	}
	if (code < 0)
		return tandem_error_set(
		        reterr_error, code, "send", "message %d to %s: %s", (int)message->kind,
		        tandem_session_peer_address(link->session), tandem_error_text(code));
	return 0;
}

int tandem_bench_link_expect(struct tandem_bench_link *link, enum tandem_bench_message_kind kind,
                             struct tandem_bench_message *ret_message,
                             struct tandem_error *reterr_error)
{
	int code;

	do {
		code = tandem_bench_link_next(link, reterr_error);
	} while (code == 0 && link->event.type != TANDEM_SESSION_MESSAGE);
	if (code == 0)
		code = tandem_bench_message_decode(link->event.message, link->event.message_bytes,
		                                   ret_message, reterr_error);
	if (code < 0 || ret_message->kind == kind)
		return code;
	if (ret_message->kind == TANDEM_BENCH_REFUSED)
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "peer", "%s",
		                        ret_message->detail);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "peer",
	                        "message %d where %d was due", (int)ret_message->kind, (int)kind);
}

void tandem_bench_link_close(struct tandem_bench_link *link)
{
	link->session = tandem_session_free(link->session);
	link->next_session = tandem_session_free(link->next_session);
	link->listener = tandem_listener_free(link->listener);
	link->transport = tandem_transport_free(link->transport);
}
