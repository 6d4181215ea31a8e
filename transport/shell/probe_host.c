#include <tandem/probe.h>

#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "core/probe_wire.h"

#define ANSWERS_MAX 32 /* to what has arrived and was not answered yet; a fair peer has two */
#define MEMORY_ID   0

struct tandem_probe_host {
	struct tandem_session *session;
	void *memory; /* scratch: nobody reads it */
	uint64_t deadline_ns;
	bool is_over;
	unsigned answer_count;
	struct tandem_probe_message answers[ANSWERS_MAX]; /* not sent yet, in order */
	struct tandem_session_event event;
};

const char *tandem_probe_pair(const void *message, size_t message_bytes, char *text)
{
	struct tandem_probe_message ask;

	if (tandem_probe_decode(message, message_bytes, &ask) != 0 || ask.type != TANDEM_PROBE_ASK)
		return NULL;
	memcpy(text, ask.pair, sizeof(ask.pair));
	return text;
}

static int send_message(struct tandem_session *session, const struct tandem_probe_message *message)
{
	uint8_t bytes[TANDEM_PROBE_BYTES];

	tandem_probe_encode(message, bytes);
	return tandem_session_send(session, bytes, sizeof(bytes));
}

void tandem_probe_refuse(struct tandem_session *session, bool is_busy, const char *reason)
{
	struct tandem_probe_message message = {.type = TANDEM_PROBE_REFUSED, .number = is_busy};

	snprintf(message.text, sizeof(message.text), "%s", reason);
	/* One that cannot be told is on its way out by itself. */
	if (send_message(session, &message) == 0)
		tandem_session_progress(session);
}

static void send_answers(struct tandem_probe_host *host)
{
	unsigned sent = 0;
	int code = 0;

	while (sent < host->answer_count && code == 0) {
		code = send_message(host->session, &host->answers[sent]);
		sent += code == 0;
	}
	host->answer_count -= sent;
	memmove(host->answers, host->answers + sent, host->answer_count * sizeof(host->answers[0]));
	if (code != 0 && code != TANDEM_E_AGAIN)
		host->is_over = true;
}

/* A peer that asks faster than it listens ends its own probe. */
static void answer(struct tandem_probe_host *host, enum tandem_probe_type type, uint64_t number)
{
	if (host->answer_count == ANSWERS_MAX) {
		host->is_over = true;
		return;
	}
	host->answers[host->answer_count++] =
	        (struct tandem_probe_message){.type = type, .number = number};
	send_answers(host);
}

int tandem_probe_host_new(struct tandem_session *session, struct tandem_probe_host **ret_host,
                          struct tandem_error *reterr_error)
{
	struct tandem_probe_host *host = tandem_memory_alloc(sizeof(*host));
	int code;

	if (host == NULL) {
		tandem_session_free(session);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "probe", "no memory");
	}
	host->session = session;
	host->deadline_ns = tandem_clock_now_ns() + TANDEM_PROBE_LIFE_NS;
	host->memory = tandem_memory_map(TANDEM_PROBE_MEMORY_BYTES);
	if (host->memory == NULL)
		code = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "probe", "no memory");
	else
		code = tandem_session_expose(session, MEMORY_ID, host->memory,
		                             TANDEM_PROBE_MEMORY_BYTES, reterr_error);
	if (code != 0) {
		tandem_probe_host_free(host);
		return code;
	}
	answer(host, TANDEM_PROBE_READY, 0);
	*ret_host = host;
	return 0;
}

/* [P3] */
static void take_event(struct tandem_probe_host *host)
{
	const struct tandem_session_event *event = &host->event;
	struct tandem_probe_message message;

	switch (event->type) {
	case TANDEM_SESSION_MESSAGE:
		if (tandem_probe_decode(event->message, event->message_bytes, &message) == 0 &&
		    message.type == TANDEM_PROBE_ECHO)
			answer(host, TANDEM_PROBE_ECHO, message.number);
		else
			host->is_over = true;
		break;
	case TANDEM_SESSION_NOTIFIED:
		answer(host, TANDEM_PROBE_ARRIVED, event->immediate);
		break;
	case TANDEM_SESSION_LOST:
		host->is_over = true;
		break;
	case TANDEM_SESSION_UP:
	case TANDEM_SESSION_CHANNEL_UP:
	case TANDEM_SESSION_CHANNEL_LOST:
	case TANDEM_SESSION_BEAT_READ:
		break;
	}
}

bool tandem_probe_host_progress(struct tandem_probe_host *host)
{
	tandem_session_progress(host->session);
	while (!host->is_over && tandem_session_next_event(host->session, &host->event))
		take_event(host);
	if (!host->is_over)
		send_answers(host);
	/* [P2] */
	return !host->is_over && tandem_clock_now_ns() < host->deadline_ns;
}

struct tandem_probe_host *tandem_probe_host_free(struct tandem_probe_host *host)
{
	if (host == NULL)
		return NULL;
	tandem_session_free(host->session);
	if (host->memory != NULL)
		tandem_memory_unmap(host->memory, TANDEM_PROBE_MEMORY_BYTES);
	tandem_memory_free(host);
	return NULL;
}
