#include "bench_receiver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

struct receiver {
	struct tandem_bench_link *link;
	struct tandem_bench_load load;
	unsigned channel_count;
	uint8_t *region;
	uint8_t *trailers;
	uint64_t number;    /* being received */
	uint32_t seen_mask; /* channels that sealed it */
	uint64_t cpu_start_ns;
	bool has_result; /* sent */
};

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * TANDEM_NS_PER_S +
	       (uint64_t)time->tv_usec * TANDEM_NS_PER_US;
}

uint64_t tandem_bench_cpu_ns(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return 0;
	return timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime);
}

/* The sender says how much: not more than half of this machine's memory. */
static int check_setup(const struct tandem_bench_message *setup, struct tandem_error *reterr_error)
{
	const uint64_t memory_bytes =
	        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	if (setup->load.region_bytes > memory_bytes / 2)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "setup",
		                        "a region of %" PRIu64 " bytes, half of the receiver's "
		                        "memory are %" PRIu64,
		                        setup->load.region_bytes, memory_bytes / 2);
	if (setup->load.write_bytes > TANDEM_WRITE_BYTES_MAX || setup->channel_count == 0 ||
	    setup->channel_count > TANDEM_CHANNELS_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "setup",
		                        "writes of %u bytes on %u channels",
		                        setup->load.write_bytes, setup->channel_count);
	return 0;
}

/* Touched before it is registered, so that no page is made while figures are taken. */
static int make_memory(struct receiver *receiver, struct tandem_error *reterr_error)
{
	struct tandem_session *session = receiver->link->session;
	const size_t bytes = receiver->load.region_bytes;
	int code = tandem_bench_load_make(&receiver->load, reterr_error);

	if (code < 0)
		return code;
	receiver->region = tandem_memory_map(bytes);
	receiver->trailers = tandem_memory_map(TANDEM_BENCH_TRAILERS_SIZE);
	if (receiver->region == NULL || receiver->trailers == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "setup",
		                        "no memory for a region of %zu bytes", bytes);
	memset(receiver->region, 1, bytes);
	code = tandem_session_expose(session, 0, receiver->region, bytes, reterr_error);
	if (code == 0)
		code = tandem_session_expose(session, 1, receiver->trailers,
		                             TANDEM_BENCH_TRAILERS_SIZE, reterr_error);
	return code;
}

static int answer(struct receiver *receiver, enum tandem_bench_message_kind kind,
                  struct tandem_error *reterr_error)
{
	struct tandem_bench_message message = {.kind = kind, .number = receiver->number};

	if (kind == TANDEM_BENCH_RESULT) {
		message.cpu_ns = tandem_bench_cpu_ns() - receiver->cpu_start_ns;
		message.crc32c = tandem_bench_load_crc32c(&receiver->load, receiver->region);
		receiver->has_result = true;
	}
	return tandem_bench_link_send(receiver->link, &message, reterr_error);
}

static int set_up(struct receiver *receiver, const struct tandem_bench_message *setup,
                  struct tandem_error *reterr_error)
{
	struct tandem_bench_message refusal = {.kind = TANDEM_BENCH_REFUSED};
	struct tandem_error error = {.code = 0};
	int code = receiver->region == NULL
	                   ? check_setup(setup, &error)
	                   : tandem_error_set(&error, TANDEM_E_PROTOCOL, "setup", "a second one");

	receiver->load = setup->load;
	receiver->channel_count = setup->channel_count;
	if (code == 0)
		code = make_memory(receiver, &error);
	if (code == 0)
		return answer(receiver, TANDEM_BENCH_READY, reterr_error);
	if (reterr_error != NULL)
		*reterr_error = error;
	snprintf(refusal.detail, sizeof refusal.detail, "%s: %.200s", error.operation,
	         error.detail);
	if (tandem_bench_link_send(receiver->link, &refusal, NULL) < 0)
		return code; /* it learns from the end of the session */
	return code;
}

static int take_message(struct receiver *receiver, struct tandem_error *reterr_error)
{
	const struct tandem_session_event *event = &receiver->link->event;
	struct tandem_bench_message message;
	const int code = tandem_bench_message_decode(event->message, event->message_bytes, &message,
	                                             reterr_error);

	if (code < 0)
		return code;
	if (message.kind == TANDEM_BENCH_SETUP)
		return set_up(receiver, &message, reterr_error);
	if (message.kind == TANDEM_BENCH_START && receiver->region != NULL) {
		receiver->cpu_start_ns = tandem_bench_cpu_ns();
		return answer(receiver, TANDEM_BENCH_READY, reterr_error);
	}
	if (message.kind == TANDEM_BENCH_FINISH && receiver->region != NULL)
		return answer(receiver, TANDEM_BENCH_RESULT, reterr_error);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "message", "kind %d out of turn",
	                        (int)message.kind);
}

/* [T5] The seal has arrived, so all that its channel wrote before it has. */
static int take_seal(struct receiver *receiver, struct tandem_error *reterr_error)
{
	const unsigned channel = receiver->link->event.channel;
	const uint64_t number = receiver->number + 1;
	struct tandem_bench_trailer trailer;

	if (receiver->region == NULL || channel >= receiver->channel_count)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "seal",
		                        "on channel %u of %u", channel, receiver->channel_count);
	trailer = tandem_bench_trailer_decode(receiver->trailers +
	                                      tandem_bench_trailer_offset(number, channel));
	if (trailer.number != number || (uint32_t)number != receiver->link->event.immediate ||
	    (trailer.channel_mask >> channel & 1) == 0 || (receiver->seen_mask >> channel & 1) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "seal",
		                        "%" PRIu64 " with mask 0x%x on channel %u, %" PRIu64
		                        " is due",
		                        trailer.number, trailer.channel_mask, channel, number);
	receiver->seen_mask |= UINT32_C(1) << channel;
	if (receiver->seen_mask != trailer.channel_mask)
		return 0;
	receiver->seen_mask = 0;
	receiver->number = number;
	return answer(receiver, TANDEM_BENCH_COMMITTED, reterr_error);
}

static bool has_left(const struct tandem_bench_link *link)
{
	return link->event.type == TANDEM_SESSION_LOST ||
	       link->event.type == TANDEM_SESSION_CHANNEL_LOST;
}

static int serve(struct receiver *receiver, struct tandem_error *reterr_error)
{
	for (;;) {
		int code = tandem_bench_link_next(receiver->link, reterr_error);

		if (code < 0 && receiver->has_result && has_left(receiver->link))
			return 0;
		if (code == 0 && receiver->link->event.type == TANDEM_SESSION_MESSAGE)
			code = take_message(receiver, reterr_error);
		if (code == 0 && receiver->link->event.type == TANDEM_SESSION_NOTIFIED)
			code = take_seal(receiver, reterr_error);
		if (code < 0)
			return code;
	}
}

/* The memory may go only when nobody writes to it any more. */
static int end(struct receiver *receiver, int code, struct tandem_error *reterr_error)
{
	struct tandem_session *session = receiver->link->session;
	struct tandem_error error;
	const int fence_code =
	        tandem_session_fence(session, tandem_clock_now_ns() + 10 * TANDEM_NS_PER_S, &error);

	tandem_bench_load_clear(&receiver->load);
	if (fence_code == 0 && receiver->region != NULL)
		tandem_memory_unmap(receiver->region, receiver->load.region_bytes);
	if (fence_code == 0 && receiver->trailers != NULL)
		tandem_memory_unmap(receiver->trailers, TANDEM_BENCH_TRAILERS_SIZE);
	if (code < 0 || fence_code == 0)
		return code;
	if (reterr_error != NULL)
		*reterr_error = error;
	return fence_code;
}

int tandem_bench_receiver_run(struct tandem_bench_link *link, struct tandem_error *reterr_error)
{
	struct receiver receiver = {.link = link};
	int code = tandem_bench_link_accept(link, reterr_error);

	if (code == 0)
		code = serve(&receiver, reterr_error);
	return link->session == NULL ? code : end(&receiver, code, reterr_error);
}
