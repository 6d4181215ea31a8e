#include <tandem/standby.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "../core/secondary.h"
#include "control_link.h"
#include "image.h"
#include "inbox.h"

#define FENCE_TIMEOUT_NS       (5 * TANDEM_NS_PER_S)
#define ATTACH_TIMEOUT_NS      (2 * TANDEM_NS_PER_S)
#define REFUSAL_TIMEOUT_NS     (50 * TANDEM_NS_PER_MS)
#define ATTACH_INTERVAL_MS     200
#define SLICE_PAGES            4096u /* applied between two looks at the session */
#define REPORT_INTERVAL_MIN_NS TANDEM_NS_PER_MS

struct standby_mail {
	bool has_stand_by, has_fence, has_activate, has_renew;
	uint64_t generation; /* STAND_BY */
	uint64_t fence_generation;
	uint64_t owner; /* STAND_BY */
	struct tandem_control_message activate;
	struct tandem_session *offered; /* owned */
	size_t hello_bytes;
	uint8_t hello[TANDEM_MESSAGE_BYTES_MAX];
};

struct tandem_standby {
	/* written at creation */
	struct tandem_standby_options options;
	char pair[TANDEM_NAME_BYTES];
	char run_directory[96];
	char image_directory[128];

	/* under `lock` */
	pthread_mutex_t lock;
	struct standby_mail mail;
	struct tandem_session *yankable;

	/* the thread's */
	pthread_t thread;
	bool has_thread;
	struct tandem_control_link *link;
	struct tandem_secondary core;
	struct tandem_image image;
	struct tandem_inbox inbox;
	bool has_inbox;
	bool is_fresh;     /* nothing was applied to the image */
	bool is_activated; /* a program runs on the image */
	struct tandem_session *session;
	struct tandem_error lost;
	uint8_t *state; /* blob of the last committed epoch */
	uint32_t state_bytes;
	uint32_t state_bytes_max;
	char last_refusal[TANDEM_REASON_BYTES]; /* so that a peer that tries again is told of once
	                                         */

	/* any thread */
	int wake_fd;
	_Atomic bool is_ending;
	_Atomic uint64_t heard_ns;
	_Atomic uint64_t committed;
	_Atomic uint64_t generation;
	_Atomic uint64_t session_incarnation; /* 0: no session */
	_Atomic bool has_copy;
};

static void step(struct tandem_standby *standby, const struct tandem_secondary_event *event);

static void say(struct tandem_standby *standby, bool is_error, const char *format, ...)
        TANDEM_PRINTF(3, 4);
static void say(struct tandem_standby *standby, bool is_error, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	standby->options.say(standby->options.argument, is_error, line);
}

static void wake(struct tandem_standby *standby)
{
	uint64_t one = 1;
	ssize_t written = write(standby->wake_fd, &one, sizeof one);

	(void)written; /* a full eventfd is awake already */
}

static void report(struct tandem_standby *standby, struct tandem_control_message *message)
{
	if (message->generation == 0)
		message->generation = standby->core.generation;
	message->epoch = standby->core.committed;
	message->peer_incarnation = atomic_load(&standby->session_incarnation);
	tandem_control_link_send(standby->link, message);
}

static void report_failure(struct tandem_standby *standby, enum tandem_control_type order,
                           const struct tandem_error *error)
{
	struct tandem_control_message message = {
	        .type = TANDEM_CONTROL_FAILED, .answers = order, .status = error->code};

	memcpy(message.text, error->detail, sizeof message.text - 1);
	say(standby, true, "pair %s: %s failed: %s", standby->pair, tandem_control_type_name(order),
	    error->detail);
	report(standby, &message);
}

static void publish(struct tandem_standby *standby)
{
	const struct tandem_secondary *core = &standby->core;

	atomic_store(&standby->committed, core->committed);
	atomic_store(&standby->generation, core->generation);
	atomic_store(&standby->has_copy, core->copy_incarnation != 0 && !core->is_void);
}

/* ---- the session ---- */

static void set_session(struct tandem_standby *standby, struct tandem_session *session)
{
	pthread_mutex_lock(&standby->lock);
	standby->yankable = session;
	pthread_mutex_unlock(&standby->lock);
	standby->session = session;
}

static void send_message(struct tandem_standby *standby, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(message, bytes);

	/* The answers in flight are few; a peer that leaves no room for one takes nothing any more.
	 */
	if (standby->session != NULL &&
	    tandem_session_send(standby->session, bytes, length) == TANDEM_E_AGAIN)
		tandem_session_yank(standby->session);
}

static void on_notified(struct tandem_standby *standby, const struct tandem_session_event *event)
{
	struct tandem_trailer trailer;
	struct tandem_secondary_event step_event = {
	        .type = TANDEM_SECONDARY_ON_SEAL, .channel = event->channel, .trailer = &trailer};
	struct tandem_error error;

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
	step(standby, &step_event);
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
	step(standby, &step_event);
}

/* The copy can not be trusted: whoever held a key to the cache may still write to it. */
static void make_void(struct tandem_standby *standby, const struct tandem_error *error)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_VOID};

	say(standby, true, "pair %s: fence failed, this copy is void: %s", standby->pair,
	    error->detail);
	tandem_image_abandon_caches(&standby->image);
	if (standby->has_inbox)
		tandem_inbox_done(&standby->inbox, true);
	standby->has_inbox = false;
	step(standby, &event);
}

static void drain(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_session_event event;

	while (tandem_session_next_event(standby->session, &event)) {
		if (event.type == TANDEM_SESSION_NOTIFIED)
			on_notified(standby, &event);
		if (event.type == TANDEM_SESSION_LOST)
			return;
	}
}

static void apply_slice(struct tandem_standby *standby)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_APPLIED};
	uint32_t pages = 0;

	while (pages < SLICE_PAGES) {
		const struct tandem_run *run = tandem_inbox_next_run(&standby->inbox);

		if (run == NULL) {
			event.is_done = true;
			break;
		}
		tandem_image_apply(&standby->image, run);
		pages += run->page_count;
	}
	step(standby, &event);
}

static bool has_to_apply(const struct tandem_standby *standby)
{
	return standby->has_inbox && !standby->core.is_applied && !standby->core.is_void;
}

static void finish_apply(struct tandem_standby *standby)
{
	while (has_to_apply(standby))
		apply_slice(standby);
}

/* [C3]: fence, drain, decide, finish the apply: after this nothing of the old session can change
 * anything (3.5, 4.10). */
static void end_session(struct tandem_standby *standby)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_SESSION_LOST};
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_LOST};
	struct tandem_error error;

	if (standby->session == NULL)
		return;
	if (tandem_session_fence(standby->session, tandem_clock_now_ns() + FENCE_TIMEOUT_NS,
	                         &error) < 0)
		make_void(standby, &error);
	drain(standby);
	finish_apply(standby);
	if (standby->has_inbox)
		tandem_inbox_forget(&standby->inbox);
	step(standby, &event);
	struct tandem_session *session = standby->session;
	set_session(standby, NULL);
	tandem_session_free(session);
	memcpy(message.text, standby->lost.detail, sizeof message.text - 1);
	if (atomic_load(&standby->session_incarnation) != 0) {
		say(standby, false, "pair %s: session lost at epoch %llu: %s", standby->pair,
		    (unsigned long long)standby->core.committed, standby->lost.detail);
		report(standby, &message);
	}
	atomic_store(&standby->session_incarnation, 0);
	memset(&standby->lost, 0, sizeof standby->lost);
	publish(standby);
}

static void read_session(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_session_event event;

	if (standby->session == NULL)
		return;
	tandem_session_progress(standby->session);
	while (standby->session != NULL && tandem_session_next_event(standby->session, &event)) {
		atomic_store(&standby->heard_ns, tandem_clock_now_ns());
		if (event.type == TANDEM_SESSION_NOTIFIED) {
			on_notified(standby, &event);
		} else if (event.type == TANDEM_SESSION_MESSAGE) {
			on_message(standby, &event);
		} else if (event.type == TANDEM_SESSION_LOST) {
			if (standby->lost.code == 0)
				standby->lost = event.error;
			end_session(standby);
		}
	}
}

/* ---- actions ---- */

static int expose(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	const struct tandem_region_table *regions = &standby->core.layout.regions;
	int code = tandem_session_expose(standby->session, TANDEM_SLOTS_MEMORY_ID,
	                                 standby->inbox.slots, standby->inbox.slots_bytes,
	                                 reterr_error);

	for (unsigned region = 0; code == 0 && region < regions->count; region++) {
		code = tandem_session_expose(
		        standby->session, region, standby->image.caches[region],
		        regions->entries[region].page_count * TANDEM_PAGE_BYTES, reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  regions->entries[region].name);
	}
	return code;
}

static int reserve_state(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	uint32_t state_bytes_max = standby->core.layout.state_bytes_max;
	uint8_t *state;

	if (standby->state != NULL && standby->state_bytes_max >= state_bytes_max)
		return 0;
	state = tandem_memory_alloc((size_t)state_bytes_max + 1);
	if (state == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "state",
		                        "no memory for a state blob of %u bytes", state_bytes_max);
	if (standby->state != NULL)
		memcpy(state, standby->state, standby->state_bytes);
	tandem_memory_free(standby->state);
	standby->state = state;
	standby->state_bytes_max = state_bytes_max;
	return 0;
}

static int prepare(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	const struct tandem_layout *layout = &standby->core.layout;
	int code = reserve_state(standby, reterr_error);

	if (code == 0 && !standby->image.is_made) {
		code = tandem_image_make(&standby->image, layout, reterr_error);
		standby->is_fresh = code == 0;
	}
	if (standby->has_inbox && memcmp(&standby->inbox.layout, layout, sizeof *layout) != 0) {
		tandem_inbox_done(&standby->inbox, false);
		standby->has_inbox = false;
	}
	if (code == 0 && !standby->has_inbox) {
		code = tandem_inbox_init(&standby->inbox, layout, reterr_error);
		standby->has_inbox = code == 0;
	}
	return code < 0 ? code : expose(standby, reterr_error);
}

/* Answers and ends a session that exposes nothing. The wait lets the reason arrive; the peer ends
 * it sooner. */
static void refuse_session(struct tandem_session *session, uint64_t generation, int code,
                           const char *reason)
{
	static _Thread_local struct tandem_session_event event;
	struct tandem_wire_message message = {
	        .type = TANDEM_WIRE_REFUSED, .generation = generation, .code = code};
	uint64_t deadline_ns = tandem_clock_now_ns() + REFUSAL_TIMEOUT_NS;
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	bool is_lost = false;

	snprintf(message.reason, sizeof message.reason, "%.*s", (int)sizeof message.reason - 1,
	         reason);
	if (tandem_session_send(session, bytes, tandem_wire_encode(&message, bytes)) < 0)
		is_lost = true;
	while (!is_lost && tandem_clock_now_ns() < deadline_ns) {
		struct pollfd descriptor = {.fd = tandem_session_fd(session), .events = POLLIN};

		poll(&descriptor, 1, 5);
		tandem_session_progress(session);
		while (tandem_session_next_event(session, &event))
			is_lost = is_lost || event.type == TANDEM_SESSION_LOST;
	}
	tandem_session_free(session);
}

static void say_refusal(struct tandem_standby *standby, struct tandem_session *session,
                        const char *reason)
{
	if (strncmp(standby->last_refusal, reason, sizeof standby->last_refusal - 1) == 0)
		return;
	snprintf(standby->last_refusal, sizeof standby->last_refusal, "%s", reason);
	say(standby, true, "pair %s: session of %s refused: %s", standby->pair,
	    tandem_session_peer_address(session), reason);
}

static void do_prepare(struct tandem_standby *standby)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_PREPARED};
	struct tandem_session *session = standby->session;
	struct tandem_error error;

	if (prepare(standby, &error) == 0) {
		event.is_fresh = standby->is_fresh;
		step(standby, &event);
		return;
	}
	say_refusal(standby, session, error.detail);
	if (tandem_session_fence(session, tandem_clock_now_ns() + FENCE_TIMEOUT_NS, &error) < 0)
		make_void(standby, &error);
	set_session(standby, NULL);
	event.type = TANDEM_SECONDARY_ON_SESSION_LOST;
	step(standby, &event);
	refuse_session(session, standby->core.generation, TANDEM_E_REFUSED, standby->last_refusal);
}

static void do_commit(struct tandem_standby *standby)
{
	const struct tandem_inbox_epoch *epoch = &standby->inbox.committed;

	tandem_inbox_commit(&standby->inbox);
	standby->is_fresh = false;
	standby->state_bytes = epoch->state_bytes;
	memcpy(standby->state, epoch->state, epoch->state_bytes);
	publish(standby);
}

static void do_report_up(struct tandem_standby *standby, uint64_t incarnation)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_UP};

	atomic_store(&standby->session_incarnation, incarnation);
	say(standby, false,
	    "pair %s: session with %s up, %u channels, generation %llu, copy of epoch %llu",
	    standby->pair, tandem_session_peer_address(standby->session),
	    standby->core.layout.channel_count,
	    (unsigned long long)standby->core.session_generation,
	    (unsigned long long)standby->core.committed);
	report(standby, &message);
}

static void execute(struct tandem_standby *standby, const struct tandem_secondary_action *action)
{
	switch (action->type) {
	case TANDEM_SECONDARY_DO_SEND:
		send_message(standby, &action->message);
		return;
	case TANDEM_SECONDARY_DO_DROP:
		tandem_error_set(&standby->lost, action->code, "session", "%s", action->reason);
		if (standby->session != NULL)
			tandem_session_yank(standby->session);
		return;
	case TANDEM_SECONDARY_DO_RENEW:
		tandem_image_done(&standby->image, true);
		return;
	case TANDEM_SECONDARY_DO_PREPARE:
		do_prepare(standby);
		return;
	case TANDEM_SECONDARY_DO_COMMIT:
		do_commit(standby);
		return;
	case TANDEM_SECONDARY_DO_APPLY:
		return; /* the loop applies slice after slice while the core says that it is not
		           applied */
	case TANDEM_SECONDARY_DO_REPORT_UP:
		do_report_up(standby, action->incarnation);
		return;
	}
}

static void step(struct tandem_standby *standby, const struct tandem_secondary_event *event)
{
	struct tandem_secondary_actions actions;

	tandem_secondary_step(&standby->core, event, &actions);
	for (unsigned index = 0; index < actions.count; index++)
		execute(standby, &actions.items[index]);
	publish(standby);
}

/* ---- the controller's orders ---- */

static void on_order(void *argument, const struct tandem_control_message *message)
{
	struct tandem_standby *standby = argument;

	pthread_mutex_lock(&standby->lock);
	if (message->type == TANDEM_CONTROL_STAND_BY) {
		standby->mail.has_stand_by = true;
		standby->mail.generation = message->generation;
		standby->mail.owner = message->peer_incarnation;
	} else if (message->type == TANDEM_CONTROL_FENCE) {
		standby->mail.has_fence = true;
		standby->mail.fence_generation = message->generation;
	} else if (message->type == TANDEM_CONTROL_ACTIVATE) {
		standby->mail.has_activate = true;
		standby->mail.activate = *message;
	} else if (message->type == TANDEM_CONTROL_YANK && standby->yankable != NULL) {
		tandem_session_yank(standby->yankable);
	}
	pthread_mutex_unlock(&standby->lock);
	wake(standby);
}

static void on_report(void *argument, struct tandem_control_message *message)
{
	struct tandem_standby *standby = argument;

	message->peer_incarnation = atomic_load(&standby->session_incarnation);
	message->has_session = message->peer_incarnation != 0;
	message->has_copy = atomic_load(&standby->has_copy);
	message->epoch = atomic_load(&standby->committed);
	message->generation = atomic_load(&standby->generation);
	message->heard_age_ns = tandem_clock_now_ns() - atomic_load(&standby->heard_ns);
}

static void on_attached(void *argument)
{
	struct tandem_standby *standby = argument;
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_UP};

	message.peer_incarnation = atomic_load(&standby->session_incarnation);
	message.generation = atomic_load(&standby->generation);
	message.epoch = atomic_load(&standby->committed);
	if (message.peer_incarnation != 0)
		tandem_control_link_send(standby->link, &message);
}

/* [L5] */
static void do_fence(struct tandem_standby *standby, uint64_t generation)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_FENCE};
	struct tandem_control_message message = {.type = TANDEM_CONTROL_FENCED,
	                                         .generation = generation};
	struct tandem_error error;

	step(standby, &event);
	end_session(standby);
	finish_apply(standby);
	if (tandem_secondary_is_promotable(&standby->core)) {
		report(standby, &message);
		return;
	}
	tandem_error_set(&error, TANDEM_E_FENCE, "fence", "%s",
	                 standby->core.is_void ? "the copy is void"
	                                       : "this node holds no committed copy");
	report_failure(standby, TANDEM_CONTROL_FENCE, &error);
}

/* [L6] */
static void do_activate(struct tandem_standby *standby, const struct tandem_control_message *order)
{
	char state_file[192];
	struct tandem_activation activation = {
	        .pair = standby->pair,
	        .generation = order->generation,
	        .epoch = standby->core.committed,
	        .incarnation = order->incarnation,
	        .image_directory = standby->image.directory,
	        .state_file = state_file,
	};
	struct tandem_error error;
	int code = 0;

	snprintf(state_file, sizeof state_file, "%s/%s", standby->image.directory,
	         TANDEM_STATE_FILE);
	if (!tandem_secondary_is_promotable(&standby->core) || standby->is_activated ||
	    order->epoch != standby->core.committed)
		code = tandem_error_set(
		        &error, TANDEM_E_USAGE, "activate",
		        "this standby is not fenced at epoch %llu, or was activated before",
		        (unsigned long long)order->epoch);
	if (code == 0)
		code = tandem_image_write_state(&standby->image, standby->state,
		                                standby->state_bytes, &error);
	if (code == 0) {
		standby->is_activated = true;
		tandem_image_done(&standby->image, false);
		code = standby->options.activate(standby->options.argument, &activation, &error);
	}
	if (code < 0)
		report_failure(standby, TANDEM_CONTROL_ACTIVATE, &error);
}

static void greet(struct tandem_standby *standby, struct tandem_session *session,
                  const uint8_t *hello, size_t hello_bytes)
{
	struct tandem_wire_message message;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_HELLO,
	                                       .message = &message};
	const char *reason;
	int code;

	if (tandem_wire_decode(hello, hello_bytes, &message) < 0 ||
	    message.type != TANDEM_WIRE_HELLO) {
		tandem_session_free(session);
		return;
	}
	reason = tandem_secondary_objection(&standby->core, &message, &code);
	if (reason != NULL) {
		say_refusal(standby, session, reason);
		refuse_session(session, standby->core.generation, code, reason);
		return;
	}
	standby->last_refusal[0] = '\0';
	end_session(standby);
	set_session(standby, session);
	atomic_store(&standby->heard_ns, tandem_clock_now_ns());
	step(standby, &event);
}

/* ---- the thread ---- */

static bool attach(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	struct tandem_control_callbacks callbacks = {.on_message = on_order,
	                                             .on_report = on_report,
	                                             .on_attached = on_attached,
	                                             .argument = standby};
	struct tandem_control_message welcome, message = {
	                                               .type = TANDEM_CONTROL_ATTACH,
	                                               .kind = TANDEM_CONTROL_KIND_STANDBY,
	                                               .incarnation = standby->core.incarnation,
	                                               .process_id = (uint32_t)getpid(),
	                                       };

	memcpy(message.pair, standby->pair, sizeof message.pair);
	if (tandem_control_link_open(standby->run_directory, &message, ATTACH_TIMEOUT_NS,
	                             &standby->link, &welcome, reterr_error) < 0)
		return false;
	if (welcome.settings.report_interval_ns < REPORT_INTERVAL_MIN_NS)
		welcome.settings.report_interval_ns = REPORT_INTERVAL_MIN_NS;
	return tandem_control_link_start(standby->link, &callbacks,
	                                 welcome.settings.report_interval_ns, reterr_error) == 0;
}

/* A fresh life: a new incarnation that holds nothing. */
static void begin_life(struct tandem_standby *standby)
{
	struct tandem_error error;
	bool has_told = false;
	struct pollfd descriptor = {.fd = standby->wake_fd, .events = POLLIN};

	tandem_secondary_init(&standby->core, standby->pair, tandem_random_unique());
	standby->is_activated = false;
	publish(standby);
	while (!atomic_load(&standby->is_ending)) {
		if (attach(standby, &error))
			break;
		standby->link = tandem_control_link_free(standby->link);
		if (!has_told)
			say(standby, false, "pair %s: waiting for the controller: %s",
			    standby->pair, error.detail);
		has_told = true;
		poll(&descriptor, 1, ATTACH_INTERVAL_MS);
	}
	if (standby->link != NULL)
		say(standby, false, "pair %s: standing by, incarnation %016llx", standby->pair,
		    (unsigned long long)standby->core.incarnation);
}

static void end_life(struct tandem_standby *standby)
{
	struct standby_mail mail;

	end_session(standby);
	standby->link = tandem_control_link_free(standby->link);
	pthread_mutex_lock(&standby->lock);
	mail = standby->mail;
	memset(&standby->mail, 0, sizeof standby->mail);
	pthread_mutex_unlock(&standby->lock);
	tandem_session_free(mail.offered);
	tandem_image_done(&standby->image, !standby->is_activated);
	if (standby->has_inbox)
		tandem_inbox_done(&standby->inbox, false);
	standby->has_inbox = false;
	tandem_memory_free(standby->state);
	standby->state = NULL;
	standby->state_bytes = 0;
}

static void read_mail(struct tandem_standby *standby)
{
	static _Thread_local struct standby_mail mail;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_STAND_BY};

	pthread_mutex_lock(&standby->lock);
	mail = standby->mail;
	memset(&standby->mail, 0, sizeof standby->mail);
	pthread_mutex_unlock(&standby->lock);
	if (mail.has_stand_by) {
		event.generation = mail.generation;
		event.incarnation = mail.owner;
		step(standby, &event);
	}
	if (mail.has_fence)
		do_fence(standby, mail.fence_generation);
	if (mail.has_activate)
		do_activate(standby, &mail.activate);
	if (mail.offered != NULL)
		greet(standby, mail.offered, mail.hello, mail.hello_bytes);
	if (mail.has_renew) {
		end_life(standby);
		begin_life(standby);
	}
}

static int wait_ms(const struct tandem_standby *standby)
{
	uint64_t now_ns = tandem_clock_now_ns(), deadline_ns;

	if (has_to_apply(standby))
		return 0;
	if (standby->session == NULL)
		return 1000;
	deadline_ns = tandem_session_deadline_ns(standby->session);
	if (deadline_ns <= now_ns)
		return 0;
	return deadline_ns - now_ns > TANDEM_NS_PER_S
	               ? 1000
	               : (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1;
}

static void wait_for_work(struct tandem_standby *standby)
{
	struct pollfd descriptors[2] = {{.fd = standby->wake_fd, .events = POLLIN},
	                                {.fd = -1, .events = POLLIN}};
	uint64_t count;

	if (standby->session != NULL)
		descriptors[1].fd = tandem_session_fd(standby->session);
	poll(descriptors, 2, wait_ms(standby));
	if (descriptors[0].revents != 0 && read(standby->wake_fd, &count, sizeof count) < 0)
		return; /* nothing was written in between */
}

static void *run_standby(void *argument)
{
	struct tandem_standby *standby = argument;

	begin_life(standby);
	while (!atomic_load(&standby->is_ending)) {
		wait_for_work(standby);
		read_session(standby);
		read_mail(standby);
		if (has_to_apply(standby))
			apply_slice(standby);
	}
	end_life(standby);
	return NULL;
}

static int start(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	int failure;

	standby->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (standby->wake_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "standby");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&standby->thread, NULL, run_standby, standby);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "standby");
	standby->has_thread = true;
	return 0;
}

int tandem_standby_new(const struct tandem_standby_options *options,
                       struct tandem_standby **ret_standby, struct tandem_error *reterr_error)
{
	struct tandem_standby *standby = tandem_memory_alloc(sizeof *standby);
	int code;

	if (standby == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "standby", "no memory");
	pthread_mutex_init(&standby->lock, NULL);
	standby->options = *options;
	standby->wake_fd = -1;
	snprintf(standby->pair, sizeof standby->pair, "%s", options->pair);
	snprintf(standby->run_directory, sizeof standby->run_directory, "%s",
	         options->run_directory);
	snprintf(standby->image_directory, sizeof standby->image_directory, "%s",
	         options->image_directory);
	code = tandem_image_init(&standby->image, standby->image_directory, standby->pair,
	                         reterr_error);
	if (code == 0)
		code = start(standby, reterr_error);
	if (code < 0) {
		tandem_standby_free(standby);
		return code;
	}
	*ret_standby = standby;
	return 0;
}

/* ---- from other threads ---- */

const char *tandem_standby_hello_pair(const void *message, size_t message_bytes, char *text)
{
	struct tandem_wire_message hello;

	if (tandem_wire_decode(message, message_bytes, &hello) < 0 ||
	    hello.type != TANDEM_WIRE_HELLO)
		return NULL;
	memcpy(text, hello.pair, sizeof hello.pair);
	return text;
}

void tandem_standby_offer(struct tandem_standby *standby, struct tandem_session *session,
                          const void *hello, size_t hello_bytes)
{
	struct tandem_session *replaced;

	if (hello_bytes > sizeof standby->mail.hello) {
		tandem_session_free(session);
		return;
	}
	pthread_mutex_lock(&standby->lock);
	replaced = standby->mail.offered;
	standby->mail.offered = session;
	standby->mail.hello_bytes = hello_bytes;
	memcpy(standby->mail.hello, hello, hello_bytes);
	pthread_mutex_unlock(&standby->lock);
	tandem_session_free(replaced);
	wake(standby);
}

void tandem_standby_refuse(struct tandem_session *session, const char *reason)
{
	refuse_session(session, 0, TANDEM_E_REFUSED, reason);
}

void tandem_standby_renew(struct tandem_standby *standby)
{
	pthread_mutex_lock(&standby->lock);
	standby->mail.has_renew = true;
	pthread_mutex_unlock(&standby->lock);
	wake(standby);
}

struct tandem_standby *tandem_standby_free(struct tandem_standby *standby)
{
	if (standby == NULL)
		return NULL;
	atomic_store(&standby->is_ending, true);
	if (standby->has_thread) {
		wake(standby);
		pthread_join(standby->thread, NULL);
	}
	if (standby->wake_fd >= 0)
		close(standby->wake_fd);
	pthread_mutex_destroy(&standby->lock);
	tandem_memory_free(standby);
	return NULL;
}
