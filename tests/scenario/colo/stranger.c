#include "lab.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "core/wire.h"

#define PATIENCE_NS (20 * TANDEM_NS_PER_S)

static bool next(struct tandem_session *session, struct tandem_session_event *ret_event)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;

	for (;;) {
		struct pollfd descriptor = {.fd = tandem_session_fd(session), .events = POLLIN};

		tandem_session_progress(session);
		if (tandem_session_next_event(session, ret_event))
			return true;
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(&descriptor, 1, 5);
	}
}

struct tandem_session *stranger_connect(struct lab *lab, unsigned channel_count)
{
	static _Thread_local struct tandem_session_event event;
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_session *session = NULL;

	memcpy(options.rails[0].address, "127.0.0.1", sizeof "127.0.0.1");
	options.port = tandem_listener_port(lab->listener);
	options.channel_count = channel_count;
	options.connect_timeout_ns = PATIENCE_NS;
	options.peer_timeout_ns = PATIENCE_NS;
	if (tandem_transport_connect(lab->transport, &options, &session, NULL) < 0)
		return NULL;
	if (!next(session, &event) || event.type != TANDEM_SESSION_UP)
		return tandem_session_free(session);
	return session;
}

/* What the program of this lab would say. */
struct tandem_wire_message *stranger_hello(struct lab *lab, struct tandem_wire_message *message)
{
	memset(message, 0, sizeof *message);
	message->type = TANDEM_WIRE_HELLO;
	message->generation = lab->generation;
	memcpy(message->pair, LAB_PAIR, sizeof LAB_PAIR);
	message->primary_incarnation = controller_incarnation(lab->primary_control);
	if (message->primary_incarnation == 0)
		message->primary_incarnation = 0x57a; /* no program was started */
	message->channel_count = lab->settings.channel_count;
	message->stripe_pages = 16;
	message->state_bytes_max = LAB_STATE_BYTES;
	message->regions.count = 2;
	memcpy(message->regions.entries[0].name, "heap", sizeof "heap");
	message->regions.entries[0].page_count = lab->region_bytes[0] / LAB_PAGE;
	memcpy(message->regions.entries[1].name, "notes", sizeof "notes");
	message->regions.entries[1].page_count = lab->region_bytes[1] / LAB_PAGE;
	return message;
}

bool stranger_say(struct tandem_session *session, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];

	return tandem_session_send(session, bytes, tandem_wire_encode(message, bytes)) == 0;
}

bool stranger_hear(struct tandem_session *session, struct tandem_wire_message *ret_message)
{
	static _Thread_local struct tandem_session_event event;

	return next(session, &event) && event.type == TANDEM_SESSION_MESSAGE &&
	       tandem_wire_decode(event.message, event.message_bytes, ret_message) == 0;
}

bool stranger_is_lost(struct tandem_session *session)
{
	static _Thread_local struct tandem_session_event event;

	while (next(session, &event)) {
		if (event.type == TANDEM_SESSION_LOST)
			return true;
	}
	return false;
}
