#include "engine_internal.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/assert.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>

#include "digest.h"

/* For what is done in this process or by its device; how long the peer is waited for without a
 * sleep is the session's to learn. */
#define POLL_NS_MAX (20 * TANDEM_NS_PER_US)

void tandem_engine_tell(struct tandem_engine *engine, enum tandem_primary_event_type type)
{
	struct tandem_primary_event event = {.type = type, .now_ns = tandem_clock_now_ns()};

	tandem_engine_step(engine, &event);
}

/* It is called under the lock, which a thread of the program that is cancelled would keep. */
void tandem_engine_wake(int fd)
{
	uint64_t one = 1;
	ssize_t written;
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	written = write(fd, &one, sizeof one);
	(void)written; /* a full eventfd is awake already */
	pthread_setcancelstate(cancel_state, NULL);
}

void tandem_engine_set_phase(struct tandem_engine *engine, enum tandem_phase phase)
{
	atomic_store_explicit(&engine->stats->phase, phase, memory_order_relaxed);
}

/* ---- the program ---- */

/* Under the lock. A program that drives has what it waits for; a bell that nobody listens to would
 * be most of the cost. */
static void ring(struct tandem_engine *engine)
{
	engine->is_rung = true;
	if (engine->is_bell_out)
		tandem_engine_wake(engine->news_fd);
}

/* Under the lock. A program that polls and polls pays for the call only after a ring. */
static void hush(struct tandem_engine *engine)
{
	uint64_t count;
	ssize_t got;
	int cancel_state;

	if (!engine->is_rung)
		return;
	engine->is_rung = false;
	if (!engine->is_bell_out)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	got = read(engine->news_fd, &count, sizeof count);
	(void)got; /* somebody else may have taken it */
	pthread_setcancelstate(cancel_state, NULL);
}

/* Under the lock. */
static void free_program(struct tandem_engine *engine)
{
	engine->is_program_free = true;
	if (engine->is_program_watching)
		ring(engine);
	pthread_cond_broadcast(&engine->changed);
}

static void do_resume(struct tandem_engine *engine)
{
	uint64_t held_ns = tandem_clock_now_ns() - engine->held_since_ns;

	TANDEM_FAILPOINT("resume");
	tandem_histogram_add(&engine->stats->pause_ns, held_ns);
	pthread_mutex_lock(&engine->lock);
	free_program(engine);
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_note_held(engine, held_ns);
}

static void do_committed(struct tandem_engine *engine, uint64_t epoch)
{
	tandem_histogram_add(&engine->stats->commit_ns,
	                     tandem_clock_now_ns() - engine->sealed_at_ns);
	atomic_fetch_add(&engine->stats->epochs_committed, 1);
	atomic_store(&engine->stats->epoch_committed, epoch);
	atomic_store(&engine->stats->committed_ns, tandem_clock_now_ns());
	tandem_engine_set_phase(engine, TANDEM_PHASE_APPLY);
}

static void look(struct tandem_engine *engine, uint64_t now_ns, struct tandem_news *ret_news)
{
	const struct tandem_primary *core = &engine->core;

	memset(ret_news, 0, sizeof *ret_news);
	ret_news->released_ticket = core->gate.released_ticket;
	ret_news->generation = core->generation;
	ret_news->epoch_committed = core->committed;
	ret_news->is_pair = core->is_pair;
	ret_news->is_halted = atomic_load(&engine->is_halted);
	ret_news->can_checkpoint = tandem_primary_can_checkpoint(core, now_ns);
	ret_news->wants_checkpoint = tandem_primary_wants_checkpoint(core);
}

static enum tandem_pace_state pace_state(const struct tandem_primary *core)
{
	if (core->is_slowing)
		return TANDEM_PACE_SLOWING;
	if (core->phase != TANDEM_PRIMARY_OPEN || core->options.pace.budget_ns == 0)
		return TANDEM_PACE_FREE;
	if (core->pace.is_fitting)
		return TANDEM_PACE_FITS;
	if (core->pace.has_held)
		return TANDEM_PACE_SLOWING;
	return tandem_pace_is_overdue(&core->pace, tandem_clock_now_ns()) ? TANDEM_PACE_OVERDUE
	                                                                  : TANDEM_PACE_PUTTING_OFF;
}

bool tandem_engine_awaits_apply(const struct tandem_engine *engine)
{
	const struct tandem_primary *core = &engine->core;

	return core->phase == TANDEM_PRIMARY_BLOCKED || core->phase == TANDEM_PRIMARY_UNSEALED ||
	       (core->phase == TANDEM_PRIMARY_DRAINING && core->is_drain_blocked);
}

static void time_apply(struct tandem_engine *engine)
{
	bool is_awaited = tandem_engine_awaits_apply(engine);

	if (is_awaited == (engine->apply_awaited_ns != 0))
		return;
	if (!is_awaited)
		tandem_histogram_add(&engine->stats->apply_wait_ns,
		                     tandem_clock_now_ns() - engine->apply_awaited_ns);
	engine->apply_awaited_ns = is_awaited ? tandem_clock_now_ns() : 0;
}

static void show_pace(struct tandem_engine *engine)
{
	const struct tandem_primary *core = &engine->core;

	atomic_store_explicit(&engine->stats->pace, pace_state(core), memory_order_relaxed);
	atomic_store_explicit(&engine->stats->pauses_misfit, core->misfit_count,
	                      memory_order_relaxed);
	atomic_store_explicit(&engine->stats->is_staging,
	                      core->options.has_staging && core->pace.is_staging,
	                      memory_order_relaxed);
}

/* That a checkpoint has become impossible or needless is nothing to wake a program for: it is what
 * its own checkpoint does. */
static bool is_news(const struct tandem_news *before, const struct tandem_news *now)
{
	struct tandem_news told = *now;

	told.can_checkpoint = told.can_checkpoint || before->can_checkpoint;
	told.wants_checkpoint = told.wants_checkpoint || before->wants_checkpoint;
	return memcmp(&told, before, sizeof told) != 0;
}

static void tell(struct tandem_engine *engine)
{
	struct tandem_news news;
	uint64_t held_since_ns, behind_since_ns, now_ns = tandem_clock_now_ns();

	pthread_mutex_lock(&engine->lock);
	look(engine, now_ns, &news);
	/* That it does not fit comes and goes: only who has asked is told when it does. */
	if (tandem_primary_puts_off(&engine->core, now_ns))
		news.can_checkpoint = engine->told.can_checkpoint;
	held_since_ns = tandem_gate_held_since_ns(&engine->core.gate);
	behind_since_ns = tandem_gate_behind_since_ns(&engine->core.gate);
	if (is_news(&engine->told, &news)) {
		pthread_cond_broadcast(&engine->changed);
		ring(engine);
	}
	engine->told = news;
	pthread_mutex_unlock(&engine->lock);
	show_pace(engine);
	time_apply(engine);
	atomic_store_explicit(&engine->stats->generation, news.generation, memory_order_release);
	atomic_store_explicit(&engine->stats->is_pair, news.is_pair, memory_order_release);
	atomic_store_explicit(&engine->stats->held_since_ns, held_since_ns, memory_order_release);
	atomic_store_explicit(&engine->stats->behind_since_ns, behind_since_ns,
	                      memory_order_release);
}

static uint64_t ask(struct tandem_engine *engine, uint64_t now_ns, struct tandem_news *ret_news)
{
	uint64_t hold_ns;

	look(engine, now_ns, ret_news);
	ret_news->can_checkpoint = tandem_primary_ask_checkpoint(&engine->core, now_ns, &hold_ns);
	if (!ret_news->can_checkpoint)
		engine->told.can_checkpoint = false;
	return ret_news->is_halted ? 0 : hold_ns;
}

void tandem_engine_ask(struct tandem_engine *engine, struct tandem_news *ret_news)
{
	uint64_t asked_ns = tandem_clock_now_ns(), now_ns = asked_ns, end_ns;

	pthread_mutex_lock(&engine->lock);
	hush(engine); /* before the look: what comes after it rings again */
	end_ns = now_ns + ask(engine, now_ns, ret_news);
	if (now_ns < end_ns)
		tandem_primary_hold(&engine->core, now_ns, true);
	while (now_ns < end_ns) {
		const struct timespec end = tandem_clock_timespec(end_ns);

		(void)tandem_engine_await_change(engine, &end);
		now_ns = tandem_clock_now_ns();
		if (ask(engine, now_ns, ret_news) == 0)
			break;
	}
	if (now_ns != asked_ns) {
		tandem_primary_hold(&engine->core, now_ns, false);
		tandem_histogram_add(&engine->stats->slowed_ns, now_ns - asked_ns);
	}
	pthread_mutex_unlock(&engine->lock);
}

/* ---- actions ---- */

static void execute_map(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	struct tandem_push *push = &engine->push;

	if (action->type == TANDEM_PRIMARY_DO_MARK_ALL) {
		tandem_engine_end_progress(engine); /* of an attempt before */
		tandem_push_mark_all(push, action->is_fresh);
		TANDEM_FAILPOINT("copy");
	} else if (action->type == TANDEM_PRIMARY_DO_COMMIT_MAP) {
		tandem_push_commit(push);
	} else if (action->type == TANDEM_PRIMARY_DO_ABORT_MAP) {
		atomic_fetch_add(&engine->stats->epochs_aborted, 1);
		tandem_push_abort(push);
	} else if (action->type == TANDEM_PRIMARY_DO_REPUSH) {
		tandem_push_repush(push, action->channel_mask);
		tandem_channels_free(&engine->channels, action->channel_mask,
		                     tandem_clock_now_ns());
	} else if (action->type == TANDEM_PRIMARY_DO_FORGET_MAP) {
		tandem_push_forget(push);
		tandem_engine_set_phase(engine, TANDEM_PHASE_RUN);
	} else if (action->type == TANDEM_PRIMARY_DO_UNSTAGE) {
		tandem_push_unstage(push);
	} else {
		tandem_push_merge(push);
	}
}

static void take_digests(struct tandem_engine *engine, const struct tandem_wire_message *message)
{
	const struct tandem_primary *core = &engine->core;
	uint64_t seed = tandem_digest_seed(core->options.incarnation, core->session_incarnation);

	tandem_push_take_digests(&engine->push, seed, message->first_page, message->page_count,
	                         message->digests);
	tandem_engine_note_compared(engine);
}

/* The timer first, then the output. */
static void renew_lease(struct tandem_engine *engine, uint64_t end_ns)
{
	if (!tandem_dead_man_arm(&engine->dead_man, end_ns))
		return;
	atomic_store(&engine->has_lease, true);
	if (!engine->core.is_leased)
		tandem_engine_tell(engine, TANDEM_PRIMARY_ON_LEASED);
}

static void end_lease(struct tandem_engine *engine)
{
	tandem_dead_man_disarm(&engine->dead_man);
	atomic_store(&engine->has_lease, false);
}

/* Beside the running program it waits for its turn; a capture ends what was due there. */
static void scan(struct tandem_engine *engine, bool was_slowing)
{
	if (engine->core.phase != TANDEM_PRIMARY_SCANNING) {
		engine->is_scan_due = true;
		return;
	}
	engine->is_scan_due = false;
	engine->is_slice_due = false;
	if (was_slowing) {
		uint64_t now_ns = tandem_clock_now_ns();

		pthread_mutex_lock(&engine->lock); /* who asks may be held meanwhile */
		tandem_histogram_add(&engine->stats->slowed_ns, now_ns - engine->held_since_ns);
		pthread_mutex_unlock(&engine->lock);
		engine->held_since_ns = now_ns;
	}
	tandem_engine_set_phase(engine, TANDEM_PHASE_SCAN);
	tandem_push_state(&engine->push, engine->core.captured, engine->held_state,
	                  engine->held_state_bytes);
	tandem_engine_scan(engine);
}

static void report_up(struct tandem_engine *engine, uint64_t peer_incarnation)
{
	atomic_store(&engine->session_incarnation, peer_incarnation);
	atomic_store(&engine->has_session, true);
	tandem_beats_begin(&engine->beats, engine->settings.report_interval_ns);
	engine->told_failure[0] = '\0';
	tandem_engine_say(engine, TANDEM_CONTROL_SESSION_UP, engine->core.generation, 0);
}

static void execute_report(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	uint64_t generation = engine->core.generation;

	if (action->type == TANDEM_PRIMARY_DO_REPORT_UP) {
		report_up(engine, action->peer_incarnation);
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_LOST) {
		atomic_fetch_add(&engine->stats->epochs_aborted, engine->core.sealed != 0);
		tandem_engine_say(engine, TANDEM_CONTROL_SESSION_LOST, generation, 0);
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_COPIED) {
		tandem_engine_end_progress(engine);
		tandem_engine_say(engine, TANDEM_CONTROL_COPIED, generation, action->epoch);
		atomic_store(&engine->copied_epoch, action->epoch); /* [L4] */
		atomic_store(&engine->copied_generation, generation);
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_QUIESCED) {
		tandem_engine_say(engine, TANDEM_CONTROL_QUIESCED, generation, action->epoch);
	} else {
		do_committed(engine, action->epoch);
	}
}

/* True while the actions behind this one still make sense: a lost session ends the list. */
static bool execute(struct tandem_engine *engine, const struct tandem_primary_action *action)
{
	switch (action->type) {
	case TANDEM_PRIMARY_DO_CONNECT:
		tandem_engine_connect(engine);
		return true;
	case TANDEM_PRIMARY_DO_DROP_SESSION:
		tandem_engine_lose(engine, action->code, "session", action->reason);
		return true;
	case TANDEM_PRIMARY_DO_SEND:
		tandem_engine_send(engine, &action->message);
		return true;
	case TANDEM_PRIMARY_DO_SLICE:
		engine->is_slice_due = true;
		engine->slice_pages = action->pages_max;
		engine->slice_hot_max = action->hot_max;
		return true;
	case TANDEM_PRIMARY_DO_SCAN:
		scan(engine, action->was_slowing);
		return true;
	case TANDEM_PRIMARY_DO_STAGE:
		tandem_engine_stage(engine);
		return true;
	case TANDEM_PRIMARY_DO_DRAIN:
		engine->is_drain_due = true;
		return true;
	case TANDEM_PRIMARY_DO_PUSH:
		tandem_engine_push(engine);
		return true;
	case TANDEM_PRIMARY_DO_SEAL:
		return tandem_engine_seal(engine, action);
	case TANDEM_PRIMARY_DO_SETTLE:
		tandem_engine_settle(engine);
		return true;
	case TANDEM_PRIMARY_DO_RESUME:
		do_resume(engine);
		return true;
	case TANDEM_PRIMARY_DO_MARK_ALL:
	case TANDEM_PRIMARY_DO_COMMIT_MAP:
	case TANDEM_PRIMARY_DO_ABORT_MAP:
	case TANDEM_PRIMARY_DO_REPUSH:
	case TANDEM_PRIMARY_DO_FORGET_MAP:
	case TANDEM_PRIMARY_DO_UNSTAGE:
	case TANDEM_PRIMARY_DO_MERGE_MAPS:
		execute_map(engine, action);
		return true;
	case TANDEM_PRIMARY_DO_TAKE_DIGESTS:
		take_digests(engine, &action->message);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_UP:
	case TANDEM_PRIMARY_DO_REPORT_LOST:
	case TANDEM_PRIMARY_DO_REPORT_COPIED:
	case TANDEM_PRIMARY_DO_REPORT_COMMITTED:
	case TANDEM_PRIMARY_DO_REPORT_QUIESCED:
		execute_report(engine, action);
		return true;
	case TANDEM_PRIMARY_DO_RENEW_LEASE:
		renew_lease(engine, action->end_ns);
		return true;
	case TANDEM_PRIMARY_DO_END_LEASE:
		end_lease(engine);
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

static struct tandem_primary_actions *begin_step(struct tandem_engine *engine)
{
	TANDEM_ASSERT(engine->step_depth < TANDEM_ENGINE_STEPS_MAX);
	return &engine->actions[engine->step_depth++];
}

void tandem_engine_step(struct tandem_engine *engine, const struct tandem_primary_event *event)
{
	struct tandem_primary_actions *actions = begin_step(engine);

	pthread_mutex_lock(&engine->lock);
	tandem_primary_step(&engine->core, event, actions);
	pthread_mutex_unlock(&engine->lock);
	tell(engine);
	execute_all(engine, actions);
	engine->step_depth--;
}

/* A push waits for the peer: the pings go on, and this thread is not one that hangs. */
static void keep_alive(void *argument)
{
	struct tandem_engine *engine = argument;
	struct tandem_primary_actions *actions = begin_step(engine);

	pthread_mutex_lock(&engine->lock);
	tandem_primary_keep_alive(&engine->core, tandem_clock_now_ns(), actions);
	pthread_mutex_unlock(&engine->lock);
	execute_all(engine, actions);
	engine->step_depth--;
	tandem_beats_turn(&engine->beats, engine->session);
}

/* The program waits in a checkpoint. */
static bool is_hurried(void *argument)
{
	struct tandem_engine *engine = argument;
	bool is_called;

	pthread_mutex_lock(&engine->lock);
	is_called = engine->mail.has_checkpoint;
	pthread_mutex_unlock(&engine->lock);
	return is_called;
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
	failure = pthread_create(&engine->thread, NULL, tandem_engine_run, engine);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "engine");
	engine->has_thread = true;
	return 0;
}

/* Where a tracker must not be asked beside the running program nothing can be pushed there, and no
 * budget be kept. */
static void set_pace(struct tandem_engine *engine, struct tandem_primary_options *options)
{
	const struct tandem_control_settings *settings = &engine->settings;

	engine->push.staging_bytes = settings->staging_bytes;
	options->has_staging = settings->staging_bytes != 0;
	options->pace.capture = settings->is_capture_auto      ? TANDEM_CAPTURE_AUTO
	                        : settings->staging_bytes != 0 ? TANDEM_CAPTURE_STAGE
	                                                       : TANDEM_CAPTURE_STOP;
	if (options->copy_passes_max == 0)
		return;
	engine->push.pushes_beside = settings->push_interval_ns != 0;
	options->push_interval_ns = settings->push_interval_ns;
	options->push_rate_max = settings->push_rate_max;
	options->slows_program = settings->slows_program;
	options->pace.budget_ns = settings->pause_budget_ns;
	options->pace.wait_max_ns = settings->overload_wait_ns;
}

int tandem_engine_start(struct tandem_engine *engine, const struct tandem_primary_options *options,
                        struct tandem_error *reterr_error)
{
	struct tandem_primary_options core_options = *options;
	int code;

	core_options.copy_passes_max = copy_passes(engine);
	set_pace(engine, &core_options);
	code = tandem_push_init(&engine->push, reterr_error);
	if (code == 0 && engine->settings.lease_ns != 0)
		code = tandem_dead_man_open(&engine->dead_man, reterr_error);
	if (code < 0)
		return code;
	core_options.regions = engine->push.layout.regions;
	engine->push.keep_alive = keep_alive;
	engine->push.is_hurried = is_hurried;
	engine->push.argument = engine;
	engine->push.poll_ns =
	        engine->settings.poll_ns < POLL_NS_MAX ? engine->settings.poll_ns : POLL_NS_MAX;
	engine->push.stall_timeout_ns = 2 * engine->settings.commit_timeout_ns;
	tandem_channels_init(&engine->channels, &engine->settings, ~core_options.random);
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
	tandem_engine_wake(engine->wake_fd);
	if (engine->has_thread)
		pthread_join(engine->thread, NULL);
	engine->has_thread = false;
	tandem_engine_set_yankable(engine, NULL);
	engine->session = tandem_session_free(engine->session);
	tandem_dead_man_close(&engine->dead_man);
	tandem_push_done(&engine->push);
}

/* ---- from other threads ---- */

void tandem_engine_lead(struct tandem_engine *engine, const struct tandem_control_message *lead)
{
	pthread_mutex_lock(&engine->lock);
	if (engine->mail.order != TANDEM_ENGINE_HALT) {
		engine->mail.order = TANDEM_ENGINE_LEAD;
		engine->mail.generation = lead->generation;
		engine->mail.is_pair = lead->is_pair;
		engine->mail.holds_output = lead->holds_output;
		engine->mail.has_quiesce = false;
	}
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
}

void tandem_engine_halt(struct tandem_engine *engine)
{
	atomic_store(&engine->is_halted, true);
	pthread_mutex_lock(&engine->lock);
	engine->mail.order = TANDEM_ENGINE_HALT;
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
}

void tandem_engine_quiesce(struct tandem_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->mail.has_quiesce = true;
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
}

void tandem_engine_release(struct tandem_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->mail.has_release = true;
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
}

void tandem_engine_ring(struct tandem_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	ring(engine);
	pthread_mutex_unlock(&engine->lock);
}

int tandem_engine_bell(struct tandem_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	if (!engine->is_bell_out && engine->is_rung)
		tandem_engine_wake(engine->news_fd);
	engine->is_bell_out = true;
	pthread_mutex_unlock(&engine->lock);
	return engine->news_fd;
}

void tandem_engine_take_key(struct tandem_engine *engine,
                            const struct tandem_control_settings *settings)
{
	pthread_mutex_lock(&engine->lock);
	engine->mail.key = settings->key;
	engine->mail.key_count = settings->has_key;
	engine->mail.has_key_news = true;
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
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
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t behind_since_ns = atomic_load(&engine->stats->behind_since_ns);

	if (behind_since_ns != 0 && behind_since_ns < now_ns)
		report_message->behind_age_ns = now_ns - behind_since_ns;
	report_message->has_lease = atomic_load(&engine->has_lease);
	report_message->has_session = atomic_load(&engine->has_session);
	report_message->peer_incarnation = atomic_load(&engine->session_incarnation);
	report_message->epoch = atomic_load(&engine->stats->epoch_committed);
	report_message->generation = atomic_load(&engine->stats->generation);
	/* [L8] */
	report_message->has_copy =
	        report_message->generation != 0 &&
	        report_message->generation == atomic_load(&engine->copied_generation);
	report_message->heard_age_ns = now_ns - atomic_load(&engine->heard_ns);
	if (report_message->has_session)
		tandem_beats_report(&engine->beats, now_ns, report_message);
}

void tandem_engine_repeat(struct tandem_engine *engine)
{
	uint64_t copied = atomic_load(&engine->copied_epoch);

	if (atomic_load(&engine->has_session))
		tandem_engine_say(engine, TANDEM_CONTROL_SESSION_UP,
		                  atomic_load(&engine->stats->generation), 0);
	if (copied != 0)
		tandem_engine_say(engine, TANDEM_CONTROL_COPIED,
		                  atomic_load(&engine->copied_generation), copied);
}

bool tandem_engine_begin(struct tandem_engine *engine, const void *state, uint32_t state_bytes,
                         bool is_watching, uint64_t *ret_ticket)
{
	bool is_free;

	pthread_mutex_lock(&engine->lock);
	is_free = engine->is_program_free;
	if (is_free)
		*ret_ticket =
		        tandem_primary_checkpoint_ticket(&engine->core, tandem_clock_now_ns());
	if (is_free && tandem_primary_skips_checkpoint(&engine->core)) {
		pthread_cond_broadcast(&engine->changed); /* the ticket may be free already */
		ring(engine);
	} else if (is_free) {
		engine->is_program_free = false;
		engine->is_program_watching = is_watching;
		engine->mail.has_checkpoint = true;
		engine->mail.called_ns = tandem_clock_now_ns();
		engine->mail.state = state;
		engine->mail.state_bytes = state_bytes;
		if (is_watching)
			tandem_engine_wake(engine->wake_fd);
	}
	pthread_mutex_unlock(&engine->lock);
	return is_free;
}

static void unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

int tandem_engine_await_change(struct tandem_engine *engine, const struct timespec *deadline)
{
	int waited;

	pthread_cleanup_push(unlock, &engine->lock);
	waited = deadline == NULL
	                 ? pthread_cond_wait(&engine->changed, &engine->lock)
	                 : pthread_cond_timedwait(&engine->changed, &engine->lock, deadline);
	pthread_cleanup_pop(0);
	return waited;
}

/* A checkpoint that the engine has not taken yet is taken back here; of any other the core decides.
 */
bool tandem_engine_withdraw(struct tandem_engine *engine)
{
	bool is_withdrawn = false;

	pthread_mutex_lock(&engine->lock);
	if (!engine->is_program_free && engine->mail.has_checkpoint) {
		engine->mail.has_checkpoint = false;
		free_program(engine);
		is_withdrawn = true;
	} else if (!engine->is_program_free) {
		engine->is_withdrawing = true;
		tandem_engine_wake(engine->wake_fd);
		while (engine->is_withdrawing)
			tandem_engine_await_change(engine, NULL);
		is_withdrawn = engine->is_withdrawn;
	}
	pthread_mutex_unlock(&engine->lock);
	return is_withdrawn;
}

uint64_t tandem_engine_ticket(struct tandem_engine *engine)
{
	uint64_t ticket;

	pthread_mutex_lock(&engine->lock);
	ticket = tandem_primary_checkpoint_ticket(&engine->core, tandem_clock_now_ns());
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
	return ticket;
}

uint64_t tandem_engine_confirm(struct tandem_engine *engine)
{
	uint64_t ticket;

	pthread_mutex_lock(&engine->lock);
	ticket = tandem_primary_confirm_ticket(&engine->core, tandem_clock_now_ns());
	pthread_mutex_unlock(&engine->lock);
	tandem_engine_wake(engine->wake_fd);
	return ticket;
}
