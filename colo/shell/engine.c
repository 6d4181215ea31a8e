#include "engine.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>

#include "../core/bitmap.h"

/* Pages pushed beside the running program before the world is looked at again: 4 MiB. */
#define SLICE_PAGES 1024u
/* A copy is nearly complete when this fraction of the pages is left; the rest is for the capture.
 */
#define SMALL_FRACTION 64u

static void step(struct tandem_engine *engine, const struct tandem_primary_event *event);

static void step_simple(struct tandem_engine *engine, enum tandem_primary_event_type type)
{
	struct tandem_primary_event event = {.type = type, .now_ns = tandem_clock_now_ns()};

	step(engine, &event);
}

static void wake(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof one);

	(void)written; /* a full eventfd is awake already */
}

static void set_phase(struct tandem_engine *engine, enum tandem_phase phase)
{
	atomic_store_explicit(&engine->stats->phase, phase, memory_order_relaxed);
}

/* ---- sessions ---- */

static void report(struct tandem_engine *engine, enum tandem_control_type type, uint64_t generation,
                   uint64_t epoch)
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

static void set_yankable(struct tandem_engine *engine, struct tandem_session *session)
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
	report(engine, TANDEM_CONTROL_SESSION_LOST, engine->core.generation, 0);
}

/* Frees the session and tells the core; engine->lost says why. */
static void end_session(struct tandem_engine *engine)
{
	bool was_up = atomic_load(&engine->has_session);

	set_yankable(engine, NULL);
	engine->session = tandem_session_free(engine->session);
	engine->is_slice_due = false;
	engine->is_scan_due = false;
	atomic_store(&engine->has_session, false);
	atomic_store(&engine->copied_epoch, 0);
	step_simple(engine, TANDEM_PRIMARY_ON_SESSION_LOST);
	atomic_store(&engine->session_incarnation, 0);
	if (!was_up)
		tell_failure(engine);
}

static void lose(struct tandem_engine *engine, int code, const char *operation, const char *reason)
{
	tandem_error_set(&engine->lost, code, operation, "%s", reason);
	end_session(engine);
}

/* A push, seal or settle failed: the session's own last event, if it has one, names the cause
 * (3.6). */
static void lose_work(struct tandem_engine *engine, int code, const char *operation,
                      const char *reason)
{
	static _Thread_local struct tandem_session_event event;

	tandem_session_progress(engine->session);
	while (tandem_session_next_event(engine->session, &event)) {
		if (event.type != TANDEM_SESSION_LOST)
			continue;
		engine->lost = event.error;
		tandem_error_wrap(&engine->lost, event.error.code, "%s", reason);
		end_session(engine);
		return;
	}
	lose(engine, code, operation, reason);
}

static void connect_session(struct tandem_engine *engine)
{
	struct tandem_session *session = NULL;

	if (tandem_transport_connect(engine->transport, &engine->transport_options, &session,
	                             &engine->lost) < 0) {
		end_session(engine);
		return;
	}
	engine->session = session;
	set_yankable(engine, session);
}

static void send_message(struct tandem_engine *engine, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(message, bytes);
	int code = engine->session == NULL ? TANDEM_E_PEER_LOST
	                                   : tandem_session_send(engine->session, bytes, length);

	/* A ping that finds no room is not missed: the silence it would have broken has a deadline
	 * of its own. Any other failure is followed by the session's LOST. */
	if (code == TANDEM_E_AGAIN && message->type == TANDEM_WIRE_HELLO)
		tandem_session_yank(engine->session);
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

static void on_message(struct tandem_engine *engine, const struct tandem_session_event *event)
{
	struct tandem_wire_message message;
	struct tandem_primary_event step_event = {.type = TANDEM_PRIMARY_ON_MESSAGE,
	                                          .message = &message};

	if (tandem_wire_decode(event->message, event->message_bytes, &message) < 0) {
		lose(engine, TANDEM_E_PROTOCOL, "message",
		     "the secondary sent a message that cannot be read");
		return;
	}
	if (message.type == TANDEM_WIRE_WELCOME && !are_exposures_right(engine)) {
		lose(engine, TANDEM_E_PROTOCOL, "WELCOME",
		     "the secondary exposed other sizes than our regions have");
		return;
	}
	if (message.type == TANDEM_WIRE_REFUSED) {
		tandem_error_set(&engine->lost, TANDEM_E_REFUSED, "HELLO",
		                 "refused by the secondary: %s", message.reason);
		end_session(engine);
		return;
	}
	step_event.now_ns = tandem_clock_now_ns();
	atomic_store(&engine->heard_ns, step_event.now_ns);
	if (message.type == TANDEM_WIRE_APPLIED) {
		TANDEM_FAILPOINT("apply");
		tandem_histogram_add(&engine->stats->apply_ns, message.number);
		set_phase(engine, TANDEM_PHASE_RUN);
	}
	step(engine, &step_event);
}

static void on_session_event(struct tandem_engine *engine, const struct tandem_session_event *event)
{
	switch (event->type) {
	case TANDEM_SESSION_UP:
		if (tandem_push_begin(&engine->push, engine->session, &engine->lost) < 0)
			end_session(engine);
		else
			step_simple(engine, TANDEM_PRIMARY_ON_SESSION_UP);
		return;
	case TANDEM_SESSION_CHANNEL_UP:
		return;
	case TANDEM_SESSION_CHANNEL_LOST:
		engine->lost = event->error;
		end_session(engine);
		return;
	case TANDEM_SESSION_MESSAGE:
		on_message(engine, event);
		return;
	case TANDEM_SESSION_NOTIFIED:
		lose(engine, TANDEM_E_PROTOCOL, "notify", "the secondary wrote to the primary");
		return;
	case TANDEM_SESSION_LOST:
		engine->lost = event->error;
		end_session(engine);
		return;
	}
}

/* ---- the memory work ---- */

/* [C22]: a region whose tracker fails is all dirty: slow, and never silently stale. */
static void scan(struct tandem_engine *engine)
{
	const struct tandem_layout *layout = &engine->push.layout;
	uint64_t start_ns = tandem_clock_now_ns();
	bool has_failed = false;

	for (unsigned region = 0; region < layout->regions.count; region++) {
		if (tandem_tracker_scan(engine->trackers[region], engine->push.to_push,
		                        layout->first_page[region], NULL) == 0)
			continue;
		has_failed = true;
		tandem_bitmap_set_range(engine->push.to_push, layout->first_page[region],
		                        layout->regions.entries[region].page_count);
	}
	if (has_failed) /* status shows it */
		memcpy(engine->stats->tracker, "failed", sizeof "failed");
	tandem_histogram_add(&engine->stats->scan_ns, tandem_clock_now_ns() - start_ns);
}

static void do_scan(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SCANNED};
	uint64_t left;

	TANDEM_FAILPOINT("scan");
	scan(engine);
	left = tandem_push_left(&engine->push);
	event.is_small = left <= engine->push.layout.page_count / SMALL_FRACTION;
	event.now_ns = tandem_clock_now_ns();
	if (engine->core.is_copying)
		atomic_store(&engine->stats->copy_bytes_total,
		             atomic_load(&engine->stats->copy_bytes_done) +
		                     left * TANDEM_PAGE_BYTES);
	step(engine, &event);
}

static void count_pushed(struct tandem_engine *engine)
{
	const struct tandem_push *push = &engine->push;

	atomic_store(&engine->stats->pages_pushed, push->data_pages);
	atomic_store(&engine->stats->zero_pages, push->zero_pages);
	atomic_store(&engine->stats->bytes_pushed, push->data_pages * TANDEM_PAGE_BYTES);
}

/* SLICED only when the slice is locally complete: a page that a posted write may still read counts
 * as dirty (4.2). */
static void do_slice(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SLICED};
	bool is_blocked;
	int code = tandem_push_pages(&engine->push, SLICE_PAGES, &event.is_done, &is_blocked);

	if (code == 0)
		code = tandem_push_settle(&engine->push);
	if (code < 0) {
		lose_work(engine, code, "push", "the push of a copy failed");
		return;
	}
	count_pushed(engine);
	atomic_fetch_add(&engine->stats->copy_bytes_done, SLICE_PAGES * TANDEM_PAGE_BYTES);
	event.now_ns = tandem_clock_now_ns();
	atomic_store(&engine->heard_ns, event.now_ns);
	step(engine, &event);
}

static void do_push(struct tandem_engine *engine)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_PUSHED};
	uint64_t start_ns = tandem_clock_now_ns();
	bool is_done = false, is_blocked = false;
	int code;

	set_phase(engine, TANDEM_PHASE_PUSH);
	code = tandem_push_pages(&engine->push, UINT64_MAX, &is_done, &is_blocked);
	if (code < 0) {
		lose_work(engine, code, "push", "the push of an epoch failed");
		return;
	}
	count_pushed(engine);
	tandem_histogram_add(&engine->stats->push_ns, tandem_clock_now_ns() - start_ns);
	event.is_done = !is_blocked;
	event.now_ns = tandem_clock_now_ns();
	step(engine, &event);
}

static bool do_seal(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	int code;

	set_phase(engine, TANDEM_PHASE_SEAL);
	code = tandem_push_seal(&engine->push, action->epoch, action->base, action->generation);
	engine->sealed_at_ns = tandem_clock_now_ns();
	if (code < 0)
		lose_work(engine, code, "seal", "the seal of an epoch failed");
	return code == 0;
}

/* [C17] */
static void do_settle(struct tandem_engine *engine)
{
	int code = tandem_push_settle(&engine->push);

	if (code < 0) {
		lose_work(engine, code, "push", "pushed pages did not complete");
		return;
	}
	atomic_store(&engine->heard_ns, tandem_clock_now_ns());
	set_phase(engine, TANDEM_PHASE_WAIT);
	TANDEM_FAILPOINT("wait");
	step_simple(engine, TANDEM_PRIMARY_ON_SETTLED);
}

/* ---- the program ---- */

static void do_resume(struct tandem_engine *engine)
{
	tandem_histogram_add(&engine->stats->pause_ns,
	                     tandem_clock_now_ns() - engine->held_since_ns);
	pthread_mutex_lock(&engine->lock);
	engine->is_program_free = true;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
}

static void do_committed(struct tandem_engine *engine, uint64_t epoch)
{
	tandem_histogram_add(&engine->stats->commit_ns,
	                     tandem_clock_now_ns() - engine->sealed_at_ns);
	atomic_fetch_add(&engine->stats->epochs_committed, 1);
	atomic_store(&engine->stats->epoch_committed, epoch);
	set_phase(engine, TANDEM_PHASE_APPLY);
}

static void look(struct tandem_engine *engine, struct tandem_news *ret_news)
{
	const struct tandem_primary *core = &engine->core;

	memset(ret_news, 0, sizeof *ret_news);
	ret_news->released_ticket = core->gate.released_ticket;
	ret_news->generation = core->generation;
	ret_news->epoch_committed = core->committed;
	ret_news->is_pair = core->is_pair;
	ret_news->is_halted = atomic_load(&engine->is_halted);
	ret_news->can_checkpoint = tandem_primary_can_checkpoint(core);
	ret_news->wants_checkpoint = tandem_primary_wants_checkpoint(core);
}

/* Wakes the program when something that it can see has changed. */
static void tell(struct tandem_engine *engine)
{
	struct tandem_news news;

	pthread_mutex_lock(&engine->lock);
	look(engine, &news);
	if (memcmp(&news, &engine->told, sizeof news) != 0) {
		engine->told = news;
		pthread_cond_broadcast(&engine->changed);
		wake(engine->news_fd);
	}
	pthread_mutex_unlock(&engine->lock);
	atomic_store(&engine->stats->generation, news.generation);
	atomic_store(&engine->stats->is_pair, news.is_pair);
}

void tandem_engine_look(struct tandem_engine *engine, struct tandem_news *ret_news)
{
	pthread_mutex_lock(&engine->lock);
	look(engine, ret_news);
	pthread_mutex_unlock(&engine->lock);
}

/* ---- actions ---- */

/* True while the actions behind this one still make sense: a lost session ends the list. */
static bool execute(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	switch (action->type) {
	case TANDEM_PRIMARY_DO_CONNECT:
		connect_session(engine);
		return true;
	case TANDEM_PRIMARY_DO_DROP_SESSION:
		lose(engine, action->code, "session", action->reason);
		return true;
	case TANDEM_PRIMARY_DO_SEND:
		send_message(engine, &action->message);
		return true;
	case TANDEM_PRIMARY_DO_MARK_ALL:
		atomic_store(&engine->stats->copy_bytes_done, 0);
		tandem_push_mark_all(&engine->push, action->is_fresh);
		return true;
	case TANDEM_PRIMARY_DO_SLICE:
		engine->is_slice_due = true;
		return true;
	case TANDEM_PRIMARY_DO_SCAN:
		if (engine->core.phase == TANDEM_PRIMARY_COPYING) {
			engine->is_scan_due = true;
		} else {
			set_phase(engine, TANDEM_PHASE_SCAN);
			tandem_push_state(&engine->push, engine->core.captured, engine->held_state,
			                  engine->held_state_bytes);
			do_scan(engine);
		}
		return true;
	case TANDEM_PRIMARY_DO_PUSH:
		do_push(engine);
		return true;
	case TANDEM_PRIMARY_DO_SEAL:
		return do_seal(engine, action);
	case TANDEM_PRIMARY_DO_SETTLE:
		do_settle(engine);
		return true;
	case TANDEM_PRIMARY_DO_RESUME:
		do_resume(engine);
		return true;
	case TANDEM_PRIMARY_DO_FORGET_MAP:
		tandem_push_forget(&engine->push);
		return true;
	case TANDEM_PRIMARY_DO_MERGE_MAPS:
		tandem_push_merge(&engine->push);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_UP:
		atomic_store(&engine->session_incarnation, action->peer_incarnation);
		atomic_store(&engine->has_session, true);
		engine->told_failure[0] = '\0';
		report(engine, TANDEM_CONTROL_SESSION_UP, engine->core.generation, 0);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_LOST:
		atomic_fetch_add(&engine->stats->epochs_aborted, engine->core.sealed != 0);
		report(engine, TANDEM_CONTROL_SESSION_LOST, engine->core.generation, 0);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_COPIED:
		report(engine, TANDEM_CONTROL_COPIED, engine->core.generation, action->epoch);
		atomic_store(&engine->copied_epoch, action->epoch); /* [L4] */
		atomic_store(&engine->copied_generation, engine->core.generation);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_COMMITTED:
		do_committed(engine, action->epoch);
		return true;
	}
	return true;
}

static void execute_all(struct tandem_engine *engine, const struct tandem_primary_actions *actions)
{
	for (unsigned index = 0; index < actions->count; index++) {
		if (!execute(engine, &actions->items[index]))
			return;
	}
}

static void step(struct tandem_engine *engine, const struct tandem_primary_event *event)
{
	struct tandem_primary_actions actions;

	pthread_mutex_lock(&engine->lock);
	tandem_primary_step(&engine->core, event, &actions);
	pthread_mutex_unlock(&engine->lock);
	tell(engine);
	execute_all(engine, &actions);
	tell(engine);
}

/* A push waits for the peer: the pings go on. */
static void keep_alive(void *argument)
{
	struct tandem_engine *engine = argument;
	struct tandem_primary_actions actions;

	pthread_mutex_lock(&engine->lock);
	tandem_primary_keep_alive(&engine->core, tandem_clock_now_ns(), &actions);
	pthread_mutex_unlock(&engine->lock);
	execute_all(engine, &actions);
}

/* ---- the thread ---- */

static void read_mail(struct tandem_engine *engine)
{
	struct tandem_engine_mail mail;
	struct tandem_primary_event event = {.now_ns = tandem_clock_now_ns()};

	pthread_mutex_lock(&engine->lock);
	mail = engine->mail;
	memset(&engine->mail, 0, sizeof engine->mail);
	pthread_mutex_unlock(&engine->lock);
	if (mail.order == TANDEM_ENGINE_LEAD) {
		event.type = TANDEM_PRIMARY_ON_LEAD;
		event.generation = mail.generation;
		event.is_pair = mail.is_pair;
		step(engine, &event);
	} else if (mail.order == TANDEM_ENGINE_HALT) {
		step_simple(engine, TANDEM_PRIMARY_ON_HALT);
	}
	if (mail.has_checkpoint) {
		engine->held_since_ns = event.now_ns;
		engine->held_state = mail.state;
		engine->held_state_bytes = mail.state_bytes;
		TANDEM_FAILPOINT("run");
		step_simple(engine, TANDEM_PRIMARY_ON_CHECKPOINT);
	}
}

static void read_session(struct tandem_engine *engine)
{
	static _Thread_local struct tandem_session_event event;

	if (engine->session == NULL)
		return;
	tandem_session_progress(engine->session);
	while (engine->session != NULL && tandem_session_next_event(engine->session, &event))
		on_session_event(engine, &event);
}

static void work_on_copy(struct tandem_engine *engine)
{
	if (engine->is_scan_due) {
		engine->is_scan_due = false;
		do_scan(engine);
	} else if (engine->is_slice_due) {
		engine->is_slice_due = false;
		do_slice(engine);
	}
}

static int wait_ms(const struct tandem_engine *engine)
{
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns = tandem_primary_deadline_ns(&engine->core);

	if (engine->session != NULL && tandem_session_deadline_ns(engine->session) < deadline_ns)
		deadline_ns = tandem_session_deadline_ns(engine->session);
	if (engine->is_slice_due || engine->is_scan_due || deadline_ns <= now_ns)
		return 0;
	if (deadline_ns - now_ns > TANDEM_NS_PER_S)
		return 1000;
	return (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1;
}

static void wait_for_work(struct tandem_engine *engine)
{
	struct pollfd descriptors[2] = {{.fd = engine->wake_fd, .events = POLLIN},
	                                {.fd = -1, .events = POLLIN}};
	uint64_t count;

	if (engine->session != NULL)
		descriptors[1].fd = tandem_session_fd(engine->session);
	poll(descriptors, 2, wait_ms(engine));
	if (descriptors[0].revents != 0 && read(engine->wake_fd, &count, sizeof count) < 0)
		return; /* nothing was written in between */
}

static void *run_engine(void *argument)
{
	struct tandem_engine *engine = argument;

	while (!atomic_load(&engine->is_ending)) {
		wait_for_work(engine);
		read_session(engine);
		read_mail(engine);
		work_on_copy(engine);
		step_simple(engine, TANDEM_PRIMARY_ON_TICK);
	}
	return NULL;
}

static unsigned copy_passes(const struct tandem_engine *engine)
{
	for (unsigned region = 0; region < engine->push.layout.regions.count; region++) {
		if (tandem_tracker_needs_quiescence(engine->trackers[region]))
			return 0;
	}
	return 8;
}

static int start_thread(struct tandem_engine *engine, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	int failure;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&engine->thread, NULL, run_engine, engine);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "engine");
	engine->has_thread = true;
	return 0;
}

int tandem_engine_start(struct tandem_engine *engine, const struct tandem_primary_options *options,
                        struct tandem_error *reterr_error)
{
	struct tandem_primary_options core_options = *options;
	int code = tandem_push_init(&engine->push, reterr_error);

	if (code < 0)
		return code;
	core_options.copy_passes_max = copy_passes(engine);
	core_options.regions = engine->push.layout.regions;
	engine->push.keep_alive = keep_alive;
	engine->push.argument = engine;
	engine->push.stall_timeout_ns = 2 * engine->settings.commit_timeout_ns;
	tandem_primary_init(&engine->core, &core_options);
	code = start_thread(engine, reterr_error);
	if (code < 0)
		tandem_push_done(&engine->push);
	return code;
}

void tandem_engine_stop(struct tandem_engine *engine)
{
	atomic_store(&engine->is_ending, true);
	tandem_engine_yank(engine);
	wake(engine->wake_fd);
	if (engine->has_thread)
		pthread_join(engine->thread, NULL);
	engine->has_thread = false;
	set_yankable(engine, NULL);
	engine->session = tandem_session_free(engine->session);
	tandem_push_done(&engine->push);
}

/* ---- from other threads ---- */

void tandem_engine_order(struct tandem_engine *engine, enum tandem_engine_order order,
                         uint64_t generation, bool is_pair)
{
	if (order == TANDEM_ENGINE_HALT)
		atomic_store(&engine->is_halted, true);
	pthread_mutex_lock(&engine->lock);
	if (engine->mail.order != TANDEM_ENGINE_HALT) {
		engine->mail.order = order;
		engine->mail.generation = generation;
		engine->mail.is_pair = is_pair;
	}
	pthread_mutex_unlock(&engine->lock);
	wake(engine->wake_fd);
}

void tandem_engine_yank(struct tandem_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	if (engine->yankable != NULL)
		tandem_session_yank(engine->yankable);
	pthread_mutex_unlock(&engine->lock);
}

void tandem_engine_report(struct tandem_engine *engine,
                          struct tandem_control_message *report_message)
{
	report_message->has_session = atomic_load(&engine->has_session);
	report_message->peer_incarnation = atomic_load(&engine->session_incarnation);
	report_message->epoch = atomic_load(&engine->stats->epoch_committed);
	report_message->generation = atomic_load(&engine->stats->generation);
	/* [L8] */
	report_message->has_copy =
	        report_message->generation != 0 &&
	        report_message->generation == atomic_load(&engine->copied_generation);
	report_message->heard_age_ns = tandem_clock_now_ns() - atomic_load(&engine->heard_ns);
}

void tandem_engine_repeat(struct tandem_engine *engine)
{
	uint64_t copied = atomic_load(&engine->copied_epoch);

	if (atomic_load(&engine->has_session))
		report(engine, TANDEM_CONTROL_SESSION_UP, atomic_load(&engine->stats->generation),
		       0);
	if (copied != 0)
		report(engine, TANDEM_CONTROL_COPIED, atomic_load(&engine->copied_generation),
		       copied);
}

void tandem_engine_checkpoint(struct tandem_engine *engine, const void *state, uint32_t state_bytes,
                              uint64_t *ret_ticket)
{
	pthread_mutex_lock(&engine->lock);
	*ret_ticket = tandem_primary_checkpoint_ticket(&engine->core);
	if (tandem_primary_skips_checkpoint(&engine->core)) {
		pthread_cond_broadcast(&engine->changed); /* the ticket may be free already */
		wake(engine->news_fd);
		pthread_mutex_unlock(&engine->lock);
		return;
	}
	engine->is_program_free = false;
	engine->mail.has_checkpoint = true;
	engine->mail.state = state;
	engine->mail.state_bytes = state_bytes;
	wake(engine->wake_fd);
	while (!engine->is_program_free)
		pthread_cond_wait(&engine->changed, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

uint64_t tandem_engine_confirm(struct tandem_engine *engine)
{
	uint64_t ticket;

	pthread_mutex_lock(&engine->lock);
	ticket = tandem_primary_confirm_ticket(&engine->core);
	pthread_mutex_unlock(&engine->lock);
	wake(engine->wake_fd);
	return ticket;
}
