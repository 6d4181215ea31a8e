#include "engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>

void tandem_engine_say(struct tandem_engine *engine, enum tandem_control_type type,
                       uint64_t generation, uint64_t epoch)
{
	struct tandem_control_message message = {
	        .type = type,
	        .peer_incarnation = atomic_load(&engine->session_incarnation),
	        .generation = generation,
	        .epoch = epoch,
	};

	if (type == TANDEM_CONTROL_SESSION_LOST)
		memcpy(message.text, engine->lost.detail, sizeof message.text - 1);
	tandem_control_link_send(engine->link, &message);
}

void tandem_engine_set_yankable(struct tandem_engine *engine, struct tandem_session *session)
{
	pthread_mutex_lock(&engine->lock);
	engine->yankable = session;
	pthread_mutex_unlock(&engine->lock);
}

/* A session that never came up: the controller's log is where people look. */
static void tell_failure(struct tandem_engine *engine)
{
	if (strcmp(engine->told_failure, engine->lost.detail) == 0)
		return;
	memcpy(engine->told_failure, engine->lost.detail, sizeof engine->told_failure);
	tandem_engine_say(engine, TANDEM_CONTROL_SESSION_LOST, engine->core.generation, 0);
}

/* Frees the session and tells the core; engine->lost says why. */
static void end_session(struct tandem_engine *engine)
{
	bool was_up = atomic_load(&engine->has_session);

	TANDEM_FAILPOINT("session_lost");
	tandem_engine_set_yankable(engine, NULL);
	engine->session = tandem_session_free(engine->session);
	tandem_channels_end(&engine->channels);
	engine->channels.show_at_ns = 0;
	/* The next attempt tries another path. */
	engine->transport_options.control_rail =
	        (engine->transport_options.control_rail + 1) % engine->transport_options.rail_count;
	engine->refused_at_ns = 0;
	engine->is_slice_due = false;
	engine->is_scan_due = false;
	tandem_engine_end_progress(engine);
	engine->is_drain_due = false;
	atomic_store(&engine->has_session, false);
	tandem_beats_end(&engine->beats);
	atomic_store(&engine->copied_epoch, 0);
	tandem_engine_tell(engine, TANDEM_PRIMARY_ON_SESSION_LOST);
	atomic_store(&engine->session_incarnation, 0);
	if (!was_up)
		tell_failure(engine);
}

void tandem_engine_lose(struct tandem_engine *engine, int code, const char *operation,
                        const char *reason)
{
	tandem_error_set(&engine->lost, code, operation, "%s", reason);
	end_session(engine);
}

/* [C22] */
void tandem_engine_give_up(struct tandem_engine *engine, const struct tandem_error *error)
{
	engine->end = *error;
	tandem_error_wrap(&engine->end, error->code, "protection has stopped");
	memcpy(engine->stats->tracker, "failed", sizeof "failed"); /* status shows it */
	engine->lost = engine->end;
	end_session(engine);
}

/* A push, seal or settle failed: the session's own last event, if it has one, names the cause
 * (3.6). */
void tandem_engine_lose_work(struct tandem_engine *engine, int code, const char *operation,
                             const char *reason)
{
	static _Thread_local struct tandem_session_event event;

	/* The channel's loss is told by an event of its own, and is not the session's. */
	if (code == TANDEM_E_CHANNEL_LOST) {
		engine->refused_at_ns = tandem_clock_now_ns();
		return;
	}
	tandem_session_progress(engine->session);
	while (tandem_session_next_event(engine->session, &event)) {
		if (event.type != TANDEM_SESSION_LOST)
			continue;
		engine->lost = event.error;
		tandem_error_wrap(&engine->lost, event.error.code, "%s", reason);
		end_session(engine);
		return;
	}
	tandem_engine_lose(engine, code, operation, reason);
}

void tandem_engine_connect(struct tandem_engine *engine)
{
	struct tandem_session *session = NULL;
	struct epoll_event event = {.events = EPOLLIN};

	if (engine->end.code != 0) {
		engine->lost = engine->end;
		end_session(engine);
		return;
	}
	TANDEM_FAILPOINT("connect");
	if (tandem_transport_connect(engine->transport, &engine->transport_options, &session,
	                             &engine->lost) < 0) {
		end_session(engine);
		return;
	}
	engine->session = session;
	tandem_engine_set_yankable(engine, session);
	engine->is_watched = true;
	if (epoll_ctl(engine->watch_fd, EPOLL_CTL_ADD, tandem_session_fd(session), &event) == 0)
		return;
	tandem_error_set_errno(&engine->lost, TANDEM_E_SYSTEM, errno, "epoll_ctl", "session");
	end_session(engine);
}

static void pass_sent(enum tandem_wire_type type)
{
	if (type == TANDEM_WIRE_HELLO)
		TANDEM_FAILPOINT("hello");
	if (type == TANDEM_WIRE_FENCE)
		TANDEM_FAILPOINT("fence_asked");
}

void tandem_engine_send(struct tandem_engine *engine, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(message, bytes);
	int code = engine->session == NULL ? TANDEM_E_PEER_LOST
	                                   : tandem_session_send(engine->session, bytes, length);

	/* A ping that finds no room is not missed: the silence it would have broken has a deadline
	 * of its own. Any other failure is followed by the session's LOST. */
	if (code == TANDEM_E_AGAIN &&
	    (message->type == TANDEM_WIRE_HELLO || message->type == TANDEM_WIRE_FENCE))
		tandem_session_yank(engine->session);
	if (tandem_failpoint_armed)
		pass_sent(message->type);
}

static bool are_exposures_right(const struct tandem_engine *engine)
{
	const struct tandem_layout *layout = &engine->push.layout;

	for (unsigned region = 0; region < layout->regions.count; region++) {
		uint64_t needed = layout->regions.entries[region].page_count * TANDEM_PAGE_BYTES;

		if (tandem_session_exposed_bytes(engine->session, region) != needed)
			return false;
	}
	return tandem_session_exposed_bytes(engine->session, TANDEM_SLOTS_MEMORY_ID) ==
	       engine->push.slots_bytes;
}

static void pass_read(const struct tandem_engine *engine, enum tandem_wire_type type)
{
	if (type == TANDEM_WIRE_WELCOME)
		TANDEM_FAILPOINT("welcome");
	if (type == TANDEM_WIRE_COMMITTED ||
	    (type == TANDEM_WIRE_APPLIED && engine->core.phase == TANDEM_PRIMARY_SEALED))
		TANDEM_FAILPOINT("committed");
	if (type == TANDEM_WIRE_APPLIED)
		TANDEM_FAILPOINT("apply");
	if (type == TANDEM_WIRE_FENCED)
		TANDEM_FAILPOINT("fence_answered");
}

/* [C35] */
static void keep_misfit(struct tandem_engine *engine, const char *reason)
{
	pthread_mutex_lock(&engine->lock);
	snprintf(engine->misfit, sizeof engine->misfit, "%s", reason);
	pthread_mutex_unlock(&engine->lock);
	if (reason[0] != '\0')
		tandem_engine_ring(engine);
}

static void on_message(struct tandem_engine *engine, const struct tandem_session_event *event)
{
	struct tandem_wire_message message;
	struct tandem_primary_event step_event = {.type = TANDEM_PRIMARY_ON_MESSAGE,
	                                          .message = &message};

	if (tandem_wire_decode(event->message, event->message_bytes, &message) < 0) {
		tandem_engine_lose(engine, TANDEM_E_PROTOCOL, "message",
		                   "the secondary sent a message that cannot be read");
		return;
	}
	if (message.type == TANDEM_WIRE_WELCOME && !are_exposures_right(engine)) {
		tandem_engine_lose(engine, TANDEM_E_PROTOCOL, "WELCOME",
		                   "the secondary exposed other sizes than our regions have");
		return;
	}
	if (message.type == TANDEM_WIRE_WELCOME)
		keep_misfit(engine, "");
	if (message.type == TANDEM_WIRE_REFUSED) {
		keep_misfit(engine, message.code == TANDEM_E_UNSUPPORTED ? message.reason : "");
		tandem_error_set(&engine->lost, TANDEM_E_REFUSED, "HELLO",
		                 "refused by the secondary: %s", message.reason);
		end_session(engine);
		return;
	}
	step_event.now_ns = tandem_clock_now_ns();
	atomic_store(&engine->heard_ns, step_event.now_ns);
	if (tandem_failpoint_armed)
		pass_read(engine, message.type);
	if (message.type == TANDEM_WIRE_APPLIED && message.number > 0)
		tandem_histogram_add(&engine->stats->apply_ns, message.number);
	tandem_engine_step(engine, &step_event);
}

static void on_up(struct tandem_engine *engine, uint32_t channel_mask)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SESSION_UP,
	                                     .now_ns = tandem_clock_now_ns(),
	                                     .channel_mask = channel_mask};

	if (tandem_push_begin(&engine->push, engine->session, channel_mask, &engine->lost) < 0) {
		end_session(engine);
		return;
	}
	tandem_channels_begin(&engine->channels, channel_mask);
	tandem_engine_step(engine, &event);
}

/* One line a loss and one a return, through the controller, whose log is where people look. */
static void tell_channel(struct tandem_engine *engine, unsigned channel, const char *what)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_REPORT};

	tandem_engine_report(engine, &message);
	snprintf(message.text, sizeof message.text, "data channel %u %.160s; %u of %u are up",
	         channel, what, tandem_channels_up_count(&engine->channels),
	         engine->channels.count);
	tandem_control_link_send(engine->link, &message);
	engine->channels.show_at_ns = 0;
}

static void on_channel_up(struct tandem_engine *engine, unsigned channel)
{
	tandem_push_restore(&engine->push, channel);
	if (tandem_channels_restore(&engine->channels, channel))
		tell_channel(engine, channel, "joined again");
}

static void on_channel_lost(struct tandem_engine *engine, const struct tandem_session_event *event)
{
	struct tandem_primary_event step_event = {.type = TANDEM_PRIMARY_ON_CHANNEL_LOST,
	                                          .now_ns = tandem_clock_now_ns(),
	                                          .channel_mask = 1u << event->channel};
	char what[200];

	engine->refused_at_ns = 0;
	step_event.is_unused = !tandem_push_lose(&engine->push, event->channel);
	if (tandem_channels_lose(&engine->channels, event->channel)) {
		snprintf(what, sizeof what, "lost: %.150s", event->error.detail);
		tell_channel(engine, event->channel, what);
	}
	tandem_engine_step(engine, &step_event);
	if (engine->core.phase == TANDEM_PRIMARY_REPAIRING) {
		engine->is_slice_due = false;
		engine->is_scan_due = false;
		engine->is_drain_due = false;
	}
}

static void on_session_event(struct tandem_engine *engine, const struct tandem_session_event *event)
{
	switch (event->type) {
	case TANDEM_SESSION_UP:
		on_up(engine, event->channel_mask);
		return;
	case TANDEM_SESSION_CHANNEL_UP:
		on_channel_up(engine, event->channel);
		return;
	case TANDEM_SESSION_CHANNEL_LOST:
		on_channel_lost(engine, event);
		return;
	case TANDEM_SESSION_MESSAGE:
		on_message(engine, event);
		return;
	case TANDEM_SESSION_NOTIFIED:
		tandem_engine_lose(engine, TANDEM_E_PROTOCOL, "notify",
		                   "the secondary wrote to the primary");
		return;
	case TANDEM_SESSION_BEAT_READ:
		tandem_beats_take(&engine->beats, event);
		return;
	case TANDEM_SESSION_LOST:
		engine->lost = event->error;
		end_session(engine);
		return;
	}
}

bool tandem_engine_take_events(struct tandem_engine *engine)
{
	bool has_event = false;
	static _Thread_local struct tandem_session_event event;

	while (engine->session != NULL && tandem_session_next_event(engine->session, &event)) {
		has_event = true;
		on_session_event(engine, &event);
	}
	if (engine->refused_at_ns != 0 &&
	    tandem_clock_now_ns() - engine->refused_at_ns > engine->settings.commit_timeout_ns)
		tandem_engine_lose(engine, TANDEM_E_CHANNEL_LOST, "push",
		                   "a channel takes no writes, and its loss is not told");
	return has_event;
}

bool tandem_engine_read_session(struct tandem_engine *engine)
{
	if (engine->session == NULL)
		return false;
	tandem_session_progress(engine->session);
	return tandem_engine_take_events(engine);
}
