#include <tandem/probe.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "core/probe_wire.h"

#define ANSWER_TIMEOUT_NS (2 * TANDEM_NS_PER_S)
#define INFLIGHT_BYTES_MAX                                                                         \
	(UINT64_C(1) << 20) /* of a channel: what a slow path has to catch up                      \
	                     */
#define MEMORY_ID 0

/* One probe under way. */
struct probe {
	const struct tandem_probe_options *options;
	struct tandem_session *session;
	struct tandem_error *error;
	void *source;
	uint32_t up_mask; /* data channels */
	bool is_up;
	bool has_message;
	struct tandem_probe_message message; /* the last one, where has_message */
	uint32_t arrived_mask;
	uint64_t offset;
	struct tandem_session_event event;
};

static int lost(struct probe *probe)
{
	if (probe->error != NULL)
		*probe->error = probe->event.error;
	return probe->event.error.code != 0 ? probe->event.error.code : TANDEM_E_PEER_LOST;
}

static int take_message(struct probe *probe)
{
	const struct tandem_session_event *event = &probe->event;
	int code = tandem_probe_decode(event->message, event->message_bytes, &probe->message);

	if (code != 0)
		return tandem_error_set(probe->error, code, "probe",
		                        "the peer answered with something else: it runs another "
		                        "version");
	if (probe->message.type == TANDEM_PROBE_REFUSED)
		return tandem_error_set(probe->error,
		                        probe->message.number == 1 ? TANDEM_E_AGAIN
		                                                   : TANDEM_E_REFUSED,
		                        "probe", "%s", probe->message.text);
	if (probe->message.type == TANDEM_PROBE_ARRIVED && probe->message.number < 32)
		probe->arrived_mask |= UINT32_C(1) << probe->message.number;
	probe->has_message = true;
	return 0;
}

static int take_event(struct probe *probe)
{
	switch (probe->event.type) {
	case TANDEM_SESSION_UP:
		probe->is_up = true;
		probe->up_mask = probe->event.channel_mask;
		return 0;
	case TANDEM_SESSION_CHANNEL_LOST:
		probe->up_mask &= ~(UINT32_C(1) << probe->event.channel);
		return 0;
	case TANDEM_SESSION_MESSAGE:
		return take_message(probe);
	case TANDEM_SESSION_LOST:
		return lost(probe);
	case TANDEM_SESSION_CHANNEL_UP:
	case TANDEM_SESSION_NOTIFIED:
	case TANDEM_SESSION_BEAT_READ:
		break;
	}
	return 0;
}

/* Waits for something to do, at most until `deadline_ns`, and takes one event if there is one. */
static int turn(struct probe *probe, uint64_t deadline_ns)
{
	struct pollfd descriptor = {.fd = tandem_session_fd(probe->session), .events = POLLIN};
	uint64_t until_ns = tandem_session_deadline_ns(probe->session);
	uint64_t now_ns = tandem_clock_now_ns();

	tandem_session_progress(probe->session);
	if (tandem_session_next_event(probe->session, &probe->event))
		return take_event(probe);
	until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
	if (until_ns > now_ns)
		poll(&descriptor, 1, (int)((until_ns - now_ns) / TANDEM_NS_PER_MS + 1));
	return 0;
}

static int late(struct probe *probe, const char *what)
{
	return tandem_error_set(probe->error, TANDEM_E_TIMEOUT, "probe",
	                        "the peer did not %s within %u ms", what,
	                        (unsigned)(ANSWER_TIMEOUT_NS / TANDEM_NS_PER_MS));
}

static int join(struct probe *probe, struct tandem_transport *transport)
{
	const struct tandem_transport_options *options = &probe->options->transport;
	uint64_t deadline_ns = tandem_clock_now_ns() + 2 * options->connect_timeout_ns;
	int code = tandem_transport_connect(transport, options, &probe->session, probe->error);

	/* LOST comes within the connect timeout; the clock is for a provider that forgets it. */
	while (code == 0 && !probe->is_up) {
		code = turn(probe, deadline_ns);
		if (code == 0 && !probe->is_up && tandem_clock_now_ns() >= deadline_ns)
			code = late(probe, "join");
	}
	return code;
}

static int send_message(struct probe *probe, enum tandem_probe_type type, uint64_t number)
{
	struct tandem_probe_message message = {.type = type, .number = number};
	uint8_t bytes[TANDEM_PROBE_BYTES];
	int code;

	snprintf(message.pair, sizeof(message.pair), "%s", probe->options->pair);
	tandem_probe_encode(&message, bytes);
	code = tandem_session_send(probe->session, bytes, sizeof(bytes));
	return code == 0 ? 0
	                 : tandem_error_set(probe->error, code, "probe",
	                                    "a message could not be sent");
}

/* Sends, and waits for a message of type `answer`. */
static int ask(struct probe *probe, enum tandem_probe_type type, uint64_t number,
               enum tandem_probe_type answer)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + ANSWER_TIMEOUT_NS;
	int code = send_message(probe, type, number);

	probe->has_message = false;
	while (code == 0 && !(probe->has_message && probe->message.type == answer)) {
		code = turn(probe, deadline_ns);
		if (code == 0 && tandem_clock_now_ns() >= deadline_ns)
			code = late(probe, "answer");
	}
	return code;
}

static int compare_spans(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static int measure_echoes(struct probe *probe, struct tandem_probe_result *result)
{
	uint64_t spans_ns[TANDEM_PROBE_ECHOES_MAX];
	unsigned count = probe->options->echo_count, done = 0;
	int code = 0;

	count = count < TANDEM_PROBE_ECHOES_MAX ? count : TANDEM_PROBE_ECHOES_MAX;
	while (code == 0 && done < count) {
		uint64_t begin_ns = tandem_clock_now_ns();

		code = ask(probe, TANDEM_PROBE_ECHO, done, TANDEM_PROBE_ECHO);
		if (code == 0)
			spans_ns[done++] = tandem_clock_now_ns() - begin_ns;
	}
	if (code != 0 || done == 0)
		return code;
	qsort(spans_ns, done, sizeof(spans_ns[0]), compare_spans);
	result->echo_count = done;
	result->echo_min_ns = spans_ns[0];
	result->echo_median_ns = spans_ns[done / 2];
	result->echo_max_ns = spans_ns[done - 1];
	return 0;
}

static struct tandem_write next_write(struct probe *probe)
{
	uint32_t length = probe->options->write_bytes;
	struct tandem_write write = {.memory_id = MEMORY_ID, .length = length};

	if (probe->offset + length > TANDEM_PROBE_MEMORY_BYTES)
		probe->offset = 0;
	write.offset = probe->offset;
	write.source = (const char *)probe->source + probe->offset;
	probe->offset += length;
	return write;
}

/* As much on each channel as may be under way; the bytes that were taken. */
static uint64_t fill_channels(struct probe *probe)
{
	uint64_t most = INFLIGHT_BYTES_MAX / probe->options->write_bytes + 1, bytes = 0;
	unsigned channel_count = tandem_session_channel_count(probe->session);

	for (unsigned channel = 0; channel < channel_count; channel++) {
		bool is_up = probe->up_mask >> channel & 1;

		while (is_up && tandem_session_inflight_count(probe->session, channel) < most) {
			struct tandem_write write = next_write(probe);
			unsigned taken = 0;

			/* A channel that is lost says so by its event. */
			if (tandem_session_write(probe->session, channel, &write, 1, &taken) != 0 ||
			    taken == 0)
				break;
			bytes += write.length;
		}
	}
	return bytes;
}

/* The last word of each channel, which the peer confirms when all before it has been placed. */
static int notify_all(struct probe *probe)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + ANSWER_TIMEOUT_NS;
	unsigned channel_count = tandem_session_channel_count(probe->session);
	uint32_t left_mask = probe->up_mask;
	int code = 0;

	while (code == 0 && (left_mask & probe->up_mask) != 0) {
		for (unsigned channel = 0; channel < channel_count; channel++) {
			struct tandem_write write = next_write(probe);

			if (left_mask >> channel & 1 &&
			    tandem_session_notify(probe->session, channel, &write, channel) == 0)
				left_mask &= ~(UINT32_C(1) << channel);
		}
		code = turn(probe, deadline_ns);
		if (code == 0 && tandem_clock_now_ns() >= deadline_ns)
			code = late(probe, "take all of the sample");
	}
	return code;
}

static int wait_arrived(struct probe *probe)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + ANSWER_TIMEOUT_NS;
	int code = 0;

	while (code == 0 && (probe->up_mask & ~probe->arrived_mask) != 0) {
		code = turn(probe, deadline_ns);
		if (code == 0 && tandem_clock_now_ns() >= deadline_ns)
			code = late(probe, "say that the sample has arrived");
	}
	return code;
}

static int measure_goodput(struct probe *probe, struct tandem_probe_result *result)
{
	uint64_t begin_ns = tandem_clock_now_ns(), bytes = 0;
	uint64_t end_ns = begin_ns + probe->options->sample_ns;
	uint32_t mask = probe->up_mask;
	int code = 0;

	while (code == 0 && tandem_clock_now_ns() < end_ns) {
		bytes += fill_channels(probe);
		code = turn(probe, end_ns);
	}
	if (code == 0)
		code = notify_all(probe);
	if (code == 0)
		code = wait_arrived(probe);
	if (code != 0)
		return code;
	/* What a lost channel took with it cannot be told from what arrived. */
	if (probe->up_mask != mask)
		return tandem_error_set(probe->error, TANDEM_E_CHANNEL_LOST, "probe",
		                        "a data channel was lost during the sample");
	result->sample_bytes = bytes;
	result->sample_ns = tandem_clock_now_ns() - begin_ns;
	return 0;
}

static int prepare_source(struct probe *probe)
{
	probe->source = tandem_memory_map(TANDEM_PROBE_MEMORY_BYTES);
	if (probe->source == NULL)
		return tandem_error_set(probe->error, TANDEM_E_MEMORY, "probe", "no memory");
	/* Pages that were never written are all the same zero page, which is faster than memory. */
	memset(probe->source, 0x5a, TANDEM_PROBE_MEMORY_BYTES);
	return tandem_session_register(probe->session, probe->source, TANDEM_PROBE_MEMORY_BYTES,
	                               probe->error);
}

static int run(struct probe *probe, struct tandem_transport *transport,
               struct tandem_probe_result *result)
{
	uint64_t begin_ns = tandem_clock_now_ns();
	int code = join(probe, transport);

	result->join_ns = tandem_clock_now_ns() - begin_ns;
	for (uint32_t mask = probe->up_mask; mask != 0; mask &= mask - 1)
		result->channel_count++;
	if (code == 0)
		code = ask(probe, TANDEM_PROBE_ASK, 0, TANDEM_PROBE_READY);
	if (code == 0)
		code = measure_echoes(probe, result);
	if (code == 0 && probe->options->sample_ns > 0) {
		code = prepare_source(probe);
		if (code == 0)
			code = measure_goodput(probe, result);
	}
	return code;
}

int tandem_probe_run(struct tandem_transport *transport, const struct tandem_probe_options *options,
                     struct tandem_probe_result *ret_result, struct tandem_error *reterr_error)
{
	struct probe *probe = tandem_memory_alloc(sizeof(*probe));
	struct tandem_probe_result result = {.channel_count = 0};
	int code;

	if (probe == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "probe", "no memory");
	probe->options = options;
	probe->error = reterr_error;
	code = run(probe, transport, &result);
	tandem_session_free(probe->session);
	if (probe->source != NULL)
		tandem_memory_unmap(probe->source, TANDEM_PROBE_MEMORY_BYTES);
	tandem_memory_free(probe);
	if (code == 0)
		*ret_result = result;
	return code;
}
