#include "standby_internal.h"

#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>

#include "copy.h"

#define SLICE_PAGES  4096u /* applied between two looks at the session */
#define REFUSALS_MAX 16u   /* lines a second */

void tandem_standby_set_session(struct tandem_standby *standby, struct tandem_session *session)
{
	pthread_mutex_lock(&standby->lock);
	standby->yankable = session;
	pthread_mutex_unlock(&standby->lock);
	standby->session = session;
}

static void pass_sent(const struct tandem_standby *standby, enum tandem_wire_type type)
{
	if (type == TANDEM_WIRE_WELCOME)
		TANDEM_FAILPOINT("standby_welcome");
	if (type == TANDEM_WIRE_COMMITTED ||
	    (type == TANDEM_WIRE_APPLIED && standby->core.is_said_once))
		TANDEM_FAILPOINT("standby_acknowledged");
	if (type == TANDEM_WIRE_APPLIED)
		TANDEM_FAILPOINT("standby_told");
}

void tandem_standby_send(struct tandem_standby *standby, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(message, bytes);

	if (message->type == TANDEM_WIRE_PONG)
		standby->granted_ns = tandem_clock_now_ns(); /* [C26] */
	/* The answers in flight are few; a peer that leaves no room for one takes nothing any more.
	 */
	if (standby->session != NULL &&
	    tandem_session_send(standby->session, bytes, length) == TANDEM_E_AGAIN)
		tandem_session_yank(standby->session);
	if (tandem_failpoint_armed)
		pass_sent(standby, message->type);
}

static void on_notified(struct tandem_standby *standby, const struct tandem_session_event *event)
{
	struct tandem_trailer trailer;
	struct tandem_secondary_event step_event = {
	        .type = TANDEM_SECONDARY_ON_SEAL, .channel = event->channel, .trailer = &trailer};
	struct tandem_error error;

	if (tandem_secondary_is_stale(&standby->core, event->immediate))
		return; /* [C24] */
	TANDEM_FAILPOINT("standby_seal");
	if (!standby->has_inbox || tandem_inbox_take(&standby->inbox, event->channel,
	                                             event->immediate, &trailer, &error) < 0) {
		if (standby->has_inbox)
			standby->lost = error;
		else
			tandem_error_set(&standby->lost, TANDEM_E_PROTOCOL, "seal",
			                 "a seal before WELCOME");
		tandem_session_yank(standby->session);
		return;
	}
	if (!tandem_standby_reserve(standby, event->channel)) {
		tandem_session_yank(standby->session);
		return;
	}
	TANDEM_FAILPOINT("standby_taken");
	step_event.listed_pages = standby->inbox.sealing.page_count[event->channel];
	tandem_standby_step(standby, &step_event);
}

/* One line a loss and one a return. */
static void on_channel(struct tandem_standby *standby, const struct tandem_session_event *event)
{
	struct tandem_secondary_event step_event = {.type = TANDEM_SECONDARY_ON_CHANNEL_UP,
	                                            .channel = event->channel};
	uint32_t bit = 1u << event->channel;

	if (event->type == TANDEM_SESSION_CHANNEL_LOST) {
		standby->lost_channel_mask |= bit;
		tandem_standby_say(standby, false,
		                   "pair %s: data channel %u of the session lost: %s",
		                   standby->pair, event->channel, event->error.detail);
		return;
	}
	if ((standby->lost_channel_mask & bit) != 0)
		tandem_standby_say(standby, false, "pair %s: data channel %u joined again",
		                   standby->pair, event->channel);
	standby->lost_channel_mask &= ~bit;
	tandem_standby_step(standby, &step_event);
}

static void on_message(struct tandem_standby *standby, const struct tandem_session_event *event)
{
	struct tandem_wire_message message;
	struct tandem_secondary_event step_event = {.type = TANDEM_SECONDARY_ON_MESSAGE,
	                                            .message = &message};

	if (tandem_wire_decode(event->message, event->message_bytes, &message) < 0) {
		tandem_error_set(&standby->lost, TANDEM_E_PROTOCOL, "message",
		                 "%zu bytes that are no message of version %u",
		                 event->message_bytes, TANDEM_WIRE_VERSION);
		tandem_session_yank(standby->session);
		return;
	}
	tandem_standby_step(standby, &step_event);
}

void tandem_standby_make_void(struct tandem_standby *standby, const struct tandem_error *error)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_VOID};

	tandem_standby_say(standby, true, "pair %s: fence failed, this copy is void: %s",
	                   standby->pair, error->detail);
	tandem_image_abandon_caches(&standby->image);
	if (standby->has_inbox)
		tandem_inbox_done(&standby->inbox, true);
	standby->has_inbox = false;
	tandem_standby_step(standby, &event);
}

/* [C14] A peer that broke the protocol is not believed any more: what it sent later and is still
 * queued is read past. */
static bool is_condemned(const struct tandem_standby *standby)
{
	return standby->lost.code != 0;
}

static void take_event(struct tandem_standby *standby, const struct tandem_session_event *event)
{
	switch (event->type) {
	case TANDEM_SESSION_NOTIFIED:
		on_notified(standby, event);
		return;
	case TANDEM_SESSION_MESSAGE:
		on_message(standby, event);
		return;
	case TANDEM_SESSION_CHANNEL_UP:
	case TANDEM_SESSION_CHANNEL_LOST:
		on_channel(standby, event);
		return;
	case TANDEM_SESSION_BEAT_READ:
		tandem_beats_take(&standby->beats, event);
		return;
	case TANDEM_SESSION_UP:
	case TANDEM_SESSION_LOST:
		return;
	}
}

/* [C23]: what had arrived before the fences is read before the answer. A channel whose fence cannot
 * be proven ends the session, whose own fence decides over the copy. */
void tandem_standby_fence_channels(struct tandem_standby *standby, uint32_t channel_mask)
{
	static _Thread_local struct tandem_session_event event;
	struct tandem_secondary_event fenced = {.type = TANDEM_SECONDARY_ON_CHANNELS_FENCED};
	uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_STANDBY_FENCE_TIMEOUT_NS;

	TANDEM_FAILPOINT("standby_channels");
	for (unsigned channel = 0; channel < standby->core.layout.channel_count; channel++) {
		if ((channel_mask & 1u << channel) == 0)
			continue;
		if (tandem_session_fence_channel(standby->session, channel, deadline_ns,
		                                 &standby->lost) < 0) {
			tandem_session_yank(standby->session);
			return;
		}
	}
	TANDEM_FAILPOINT("standby_channels_fenced");
	while (!is_condemned(standby) && tandem_session_next_event(standby->session, &event)) {
		if (event.type == TANDEM_SESSION_LOST) {
			standby->lost = event.error;
			tandem_standby_end_session(standby, "");
			return;
		}
		take_event(standby, &event);
	}
	if (!is_condemned(standby))
		tandem_standby_step(standby, &fenced);
}

static void drain(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_session_event event;

	while (tandem_session_next_event(standby->session, &event)) {
		if (event.type == TANDEM_SESSION_LOST)
			return;
		/* A seal's mask may name a channel that joined again right before it. */
		if ((event.type == TANDEM_SESSION_NOTIFIED ||
		     event.type == TANDEM_SESSION_CHANNEL_UP) &&
		    !is_condemned(standby))
			take_event(standby, &event);
	}
}

void tandem_standby_apply_slice(struct tandem_standby *standby)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_APPLIED};
	uint32_t pages = 0;
	bool is_skipped;

	is_skipped = TANDEM_FAILPOINT_FIRES("standby_apply");
	while (pages < SLICE_PAGES) {
		const struct tandem_run *run = tandem_inbox_next_run(&standby->inbox);

		if (run == NULL) {
			TANDEM_FAILPOINT("standby_applied");
			event.is_done = true;
			event.elapsed_ns = tandem_clock_now_ns() - standby->applies_since_ns;
			break;
		}
		if (!is_skipped)
			tandem_image_apply(&standby->image, run);
		pages += run->page_count;
	}
	tandem_copy_publish();
	tandem_standby_step(standby, &event);
}

bool tandem_standby_has_to_apply(const struct tandem_standby *standby)
{
	return standby->has_inbox && !standby->core.is_applied && !standby->core.is_void;
}

void tandem_standby_finish_apply(struct tandem_standby *standby)
{
	while (tandem_standby_has_to_apply(standby))
		tandem_standby_apply_slice(standby);
}

void tandem_standby_end_session(struct tandem_standby *standby, const char *reason)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_SESSION_LOST};
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_LOST};
	struct tandem_error error;
	uint64_t fenced_ns;

	if (standby->session == NULL)
		return;
	if (tandem_session_fence(standby->session,
	                         tandem_clock_now_ns() + TANDEM_STANDBY_FENCE_TIMEOUT_NS,
	                         &error) < 0)
		tandem_standby_make_void(standby, &error);
	fenced_ns = tandem_clock_now_ns();
	TANDEM_FAILPOINT("standby_drain");
	drain(standby);
	tandem_standby_finish_apply(standby);
	standby->drain_ns = tandem_clock_now_ns() - fenced_ns;
	TANDEM_FAILPOINT("standby_drained");
	if (standby->has_inbox)
		tandem_inbox_forget(&standby->inbox);
	tandem_standby_step(standby, &event);
	struct tandem_session *session = standby->session;
	tandem_standby_set_session(standby, NULL);
	tandem_session_free(session);
	tandem_beats_end(&standby->beats);
	if (!is_condemned(standby))
		tandem_error_set(&standby->lost, TANDEM_E_YANKED, "session", "%s", reason);
	memcpy(message.text, standby->lost.detail, sizeof message.text - 1);
	if (atomic_load(&standby->session_incarnation) != 0) {
		tandem_standby_say(standby, false, "pair %s: session lost at epoch %llu: %s",
		                   standby->pair, (unsigned long long)standby->core.committed,
		                   standby->lost.detail);
		tandem_standby_report(standby, &message);
	}
	atomic_store(&standby->session_incarnation, 0);
	memset(&standby->lost, 0, sizeof standby->lost);
	tandem_standby_publish(standby);
}

bool tandem_standby_read_session(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_session_event event;
	bool has_event = false;

	if (standby->session == NULL)
		return false;
	tandem_session_progress(standby->session);
	while (standby->session != NULL && tandem_session_next_event(standby->session, &event)) {
		has_event = true;
		/* What this side reads of a word is nothing that the peer's software has said. */
		if (event.type != TANDEM_SESSION_BEAT_READ)
			atomic_store(&standby->heard_ns, tandem_clock_now_ns());
		if (event.type == TANDEM_SESSION_LOST) {
			if (!is_condemned(standby))
				standby->lost = event.error;
			tandem_standby_end_session(standby, "");
		} else if (is_condemned(standby)) {
			continue;
		} else {
			take_event(standby, &event);
		}
	}
	return has_event;
}

int tandem_standby_tell_refused(struct tandem_session *session, uint64_t generation, int code,
                                const char *reason)
{
	struct tandem_wire_message message = {
	        .type = TANDEM_WIRE_REFUSED, .generation = generation, .code = code};
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];

	snprintf(message.reason, sizeof message.reason, "%.*s", (int)sizeof message.reason - 1,
	         reason);
	return tandem_session_send(session, bytes, tandem_wire_encode(&message, bytes));
}

static void end_farewell(struct tandem_standby *standby)
{
	standby->leaving = tandem_session_free(standby->leaving);
}

/* Nobody waits for one who leaves: a session may be up that has better things to do [C2]. */
void tandem_standby_refuse_session(struct tandem_standby *standby, struct tandem_session *session,
                                   int code, const char *reason)
{
	end_farewell(standby);
	standby->leaving = session;
	standby->leaving_until_ns = tandem_clock_now_ns() + TANDEM_STANDBY_FAREWELL_NS;
	if (tandem_standby_tell_refused(session, standby->core.generation, code, reason) < 0)
		end_farewell(standby);
}

void tandem_standby_see_off(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_session_event event;

	if (standby->leaving == NULL)
		return;
	tandem_session_progress(standby->leaving);
	while (tandem_session_next_event(standby->leaving, &event)) {
		if (event.type == TANDEM_SESSION_LOST)
			standby->leaving_until_ns = 0;
	}
	if (tandem_clock_now_ns() >= standby->leaving_until_ns)
		end_farewell(standby);
}

void tandem_standby_say_refusal(struct tandem_standby *standby, struct tandem_session *session,
                                const char *reason)
{
	if (strncmp(standby->last_refusal, reason, sizeof standby->last_refusal - 1) == 0)
		return;
	snprintf(standby->last_refusal, sizeof standby->last_refusal, "%s", reason);
	if (!tandem_rate_take(&standby->refusals, REFUSALS_MAX, tandem_clock_now_ns()))
		return;
	tandem_standby_say(standby, true, "pair %s: session of %s refused: %s", standby->pair,
	                   tandem_session_peer_address(session), reason);
}

int tandem_standby_compare(const struct tandem_standby *standby, const char *needs,
                           char *ret_reason, size_t reason_bytes)
{
	if (needs[0] == '\0' || standby->options.judge == NULL)
		return 0;
	return standby->options.judge(standby->options.argument, needs, ret_reason, reason_bytes);
}

static void set_misfit(struct tandem_standby *standby, const char *reason)
{
	pthread_mutex_lock(&standby->lock);
	const bool is_other = strcmp(standby->misfit, reason) != 0;
	snprintf(standby->misfit, sizeof standby->misfit, "%s", reason);
	pthread_mutex_unlock(&standby->lock);
	if (is_other && standby->link != NULL)
		tandem_control_link_report(standby->link);
}

void tandem_standby_set_needs(struct tandem_standby *standby, const char *needs)
{
	pthread_mutex_lock(&standby->lock);
	snprintf(standby->needs, sizeof standby->needs, "%s", needs);
	pthread_mutex_unlock(&standby->lock);
	set_misfit(standby, "");
}

int tandem_standby_judge(struct tandem_standby *standby, char *ret_reason, size_t reason_bytes)
{
	const int code = tandem_standby_compare(standby, standby->needs, ret_reason, reason_bytes);

	if (code != TANDEM_E_AGAIN)
		set_misfit(standby, code < 0 ? ret_reason : "");
	return code;
}

void tandem_standby_judge_again(struct tandem_standby *standby)
{
	char reason[TANDEM_REASON_BYTES];

	if (standby->awaits_fit)
		tandem_standby_answer_fence(standby);
	if (standby->activate_awaits_fit)
		tandem_standby_activate(standby, &standby->activate);
	if (tandem_standby_judge(standby, reason, sizeof reason) == TANDEM_E_UNSUPPORTED)
		tandem_standby_end_session(standby, reason);
}

/* What a copy would need counts where none is held. */
static int judge_hello(struct tandem_standby *standby, const char *needs, char *ret_reason,
                       size_t reason_bytes)
{
	if (standby->session != NULL || atomic_load(&standby->has_copy))
		return tandem_standby_compare(standby, needs, ret_reason, reason_bytes);
	if (strcmp(standby->needs, needs) != 0)
		tandem_standby_set_needs(standby, needs);
	return tandem_standby_judge(standby, ret_reason, reason_bytes);
}

void tandem_standby_greet(struct tandem_standby *standby, struct tandem_session *session,
                          const uint8_t *hello, size_t hello_bytes)
{
	struct tandem_wire_message message;
	struct tandem_secondary_event event = {
	        .type = TANDEM_SECONDARY_ON_HELLO,
	        .message = &message,
	        .lands_in_calls = tandem_session_lands_in_calls(session),
	};
	char misfit[TANDEM_REASON_BYTES];
	const char *reason;
	int code;

	if (tandem_wire_decode(hello, hello_bytes, &message) < 0 ||
	    message.type != TANDEM_WIRE_HELLO) {
		tandem_session_free(session);
		return;
	}
	reason = tandem_secondary_objection(&standby->core, &message, &code);
	if (reason == NULL) {
		code = judge_hello(standby, message.needs, misfit, sizeof misfit);
		reason = code < 0 ? misfit : NULL;
	}
	if (reason != NULL) {
		tandem_standby_say_refusal(standby, session, reason);
		tandem_standby_refuse_session(standby, session, code, reason);
		return;
	}
	TANDEM_FAILPOINT("standby_hello");
	standby->last_refusal[0] = '\0';
	tandem_standby_end_session(standby, "a new session takes its place");
	tandem_standby_set_session(standby, session);
	standby->lost_channel_mask = 0;
	tandem_standby_set_needs(standby, message.needs);
	atomic_store(&standby->heard_ns, tandem_clock_now_ns());
	tandem_standby_step(standby, &event);
}
