#include "engine_internal.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>

/* Who drives the engine. One thread at a time has the helm: the engine's own, or one of the
 * program's that waits for what the engine is to do and therefore does it itself. To hand a small
 * checkpoint to another thread and back costs several times what the checkpoint does. */

/* How late the own thread may read what nobody waits for, and how long after the program drove last
 * it is likely to do so again. */
#define UNWATCHED_NS (5 * TANDEM_NS_PER_MS)
#define DRIVEN_NS    (100 * TANDEM_NS_PER_MS)

/* How long the own thread sleeps for the helm before it lends its priority to who has it: a lock
 * that lends is asked for without a pause while the other is at work, on the processor that a
 * standby or the program may need. */
#define LEND_NS (50 * TANDEM_NS_PER_MS)

/* How old what status says of the channels may be. */
#define CHANNELS_SHOWN_NS (10 * TANDEM_NS_PER_MS)

/* ---- what there is to do ---- */

/* It was taken back when it held the program before and does not after. */
static void withdraw(struct tandem_engine *engine)
{
	bool was_held = engine->core.is_held;

	tandem_engine_tell(engine, TANDEM_PRIMARY_ON_WITHDRAW);
	pthread_mutex_lock(&engine->lock);
	engine->is_withdrawn = was_held && !engine->core.is_held;
	engine->is_withdrawing = false;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
}

static void read_mail(struct tandem_engine *engine)
{
	struct tandem_engine_mail mail;
	struct tandem_primary_event event = {.now_ns = tandem_clock_now_ns()};
	bool is_withdrawing;

	pthread_mutex_lock(&engine->lock);
	mail = engine->mail;
	memset(&engine->mail, 0, sizeof engine->mail);
	is_withdrawing = engine->is_withdrawing;
	pthread_mutex_unlock(&engine->lock);
	if (mail.order == TANDEM_ENGINE_LEAD) {
		event.type = TANDEM_PRIMARY_ON_LEAD;
		event.generation = mail.generation;
		event.is_pair = mail.is_pair;
		event.holds_output = mail.holds_output;
		tandem_engine_step(engine, &event);
	} else if (mail.order == TANDEM_ENGINE_HALT) {
		tandem_engine_tell(engine, TANDEM_PRIMARY_ON_HALT);
	}
	if (mail.has_quiesce)
		tandem_engine_tell(engine, TANDEM_PRIMARY_ON_QUIESCE);
	if (mail.has_release)
		tandem_engine_tell(engine, TANDEM_PRIMARY_ON_RELEASE);
	if (mail.has_key_news) {
		engine->transport_options.keys[0] = mail.key;
		engine->transport_options.key_count = mail.key_count;
	}
	if (mail.has_checkpoint) {
		engine->held_since_ns = mail.called_ns;
		engine->held_state = mail.state;
		engine->held_state_bytes = mail.state_bytes;
		TANDEM_FAILPOINT("run");
		tandem_engine_tell(engine, TANDEM_PRIMARY_ON_CHECKPOINT);
	}
	if (is_withdrawing)
		withdraw(engine);
}

/* What is done beside the running program, piece by piece. */
static void work_beside(struct tandem_engine *engine)
{
	if (engine->is_drain_due) {
		engine->is_drain_due = false;
		tandem_engine_drain(engine);
	} else if (engine->is_scan_due) {
		engine->is_scan_due = false;
		tandem_engine_scan(engine);
	} else if (engine->is_slice_due) {
		engine->is_slice_due = false;
		tandem_engine_slice(engine);
	}
}

static void look_after_channels(struct tandem_engine *engine)
{
	uint64_t now_ns = tandem_clock_now_ns();

	if (engine->session != NULL)
		tandem_channels_try(&engine->channels, engine->session, now_ns);
	if (now_ns < engine->channels.show_at_ns)
		return;
	engine->channels.show_at_ns = now_ns + CHANNELS_SHOWN_NS;
	tandem_channels_show(&engine->channels, engine->session, engine->stats);
}

static void take_turn(struct tandem_engine *engine)
{
	read_mail(engine);
	work_beside(engine);
	tandem_engine_tell(engine, TANDEM_PRIMARY_ON_TICK);
	look_after_channels(engine);
	tandem_beats_turn(&engine->beats, engine->session);
}

/* ---- when there is ---- */

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

/* 0: at once. */
static uint64_t next_turn_ns(const struct tandem_engine *engine)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_NS_PER_S;

	if (engine->is_slice_due || engine->is_scan_due || engine->is_drain_due)
		return 0;
	deadline_ns = earlier(deadline_ns, tandem_primary_deadline_ns(&engine->core));
	deadline_ns = earlier(deadline_ns, tandem_channels_deadline_ns(&engine->channels));
	if (engine->session == NULL)
		return deadline_ns;
	deadline_ns = earlier(deadline_ns, tandem_session_deadline_ns(engine->session));
	return earlier(deadline_ns, tandem_beats_deadline_ns(&engine->beats));
}

static bool is_answer_awaited(const struct tandem_engine *engine)
{
	enum tandem_primary_phase phase = engine->core.phase;

	return phase == TANDEM_PRIMARY_SEALED || phase == TANDEM_PRIMARY_REPAIRING ||
	       tandem_engine_awaits_apply(engine);
}

/* An answer that is near is waited for without sleeping, for the session asks for it a while:
 * waking up costs more than a round trip. */
static bool poll_for_answer(struct tandem_engine *engine)
{
	return is_answer_awaited(engine) && tandem_engine_read_session(engine);
}

/* As a sleeper is woken: by the session's descriptor and its deadline. Read without need, it would
 * ask for more a while, although nobody waits for that, and keep the helm from the program. */
static void look_at_session(struct tandem_engine *engine)
{
	struct pollfd descriptor = {.events = POLLIN};

	if (engine->session == NULL)
		return;
	descriptor.fd = tandem_session_fd(engine->session);
	if (is_answer_awaited(engine) || engine->refused_at_ns != 0 ||
	    poll(&descriptor, 1, 0) != 0 ||
	    tandem_clock_now_ns() >= tandem_session_deadline_ns(engine->session))
		tandem_engine_read_session(engine);
	else
		tandem_engine_take_events(engine);
}

/* Only right before a turn, with the helm: whoever takes a wake does what it was for. A thread that
 * slept beside the one that drives, or that leaves, would take it from who can. */
static void quiet(struct tandem_engine *engine)
{
	uint64_t count;
	ssize_t got = read(engine->wake_fd, &count, sizeof count);

	(void)got; /* it may be quiet already */
}

/* Whether the own thread is woken for the session. */
static void watch(struct tandem_engine *engine, bool is_wanted)
{
	struct epoll_event event = {.events = is_wanted ? EPOLLIN : 0};

	if (engine->session == NULL || engine->is_watched == is_wanted)
		return;
	/* It cannot fail: tandem_engine_connect() has added it. */
	epoll_ctl(engine->watch_fd, EPOLL_CTL_MOD, tandem_session_fd(engine->session), &event);
	engine->is_watched = is_wanted;
}

static void leave(struct tandem_engine *engine)
{
	pthread_mutex_unlock(&engine->helm);
	if (atomic_load(&engine->is_helm_wanted))
		sem_post(&engine->helm_left);
}

/* ---- the engine's own thread ---- */

/* Whoever had the helm when it was wanted says when it is left. */
static void take_own_helm(struct tandem_engine *engine)
{
	const struct timespec until = tandem_clock_timespec(tandem_clock_now_ns() + LEND_NS);
	bool may_sleep = true;

	atomic_store(&engine->is_helm_wanted, true);
	while (pthread_mutex_trylock(&engine->helm) != 0) {
		if (!may_sleep) {
			pthread_mutex_lock(&engine->helm);
			break;
		}
		may_sleep = sem_clockwait(&engine->helm_left, CLOCK_MONOTONIC, &until) == 0 ||
		            errno == EINTR;
	}
	atomic_store(&engine->is_helm_wanted, false);
	while (sem_trywait(&engine->helm_left) == 0)
		; /* what was said of others that had it */
}

static uint64_t own_turn_ns(const struct tandem_engine *engine)
{
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t turn_ns = next_turn_ns(engine);

	return now_ns < engine->driven_ns + DRIVEN_NS ? earlier(turn_ns, now_ns + UNWATCHED_NS)
	                                              : turn_ns;
}

static int ms_until(uint64_t deadline_ns)
{
	uint64_t now_ns = tandem_clock_now_ns();

	return deadline_ns <= now_ns ? 0 : (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1;
}

/* What is pushed beside the running program does not take its processor from it, above all not when
 * it is woken at the end of a pause. A policy that was chosen for the program stays. */
static void give_way(const struct tandem_engine *engine)
{
	const struct sched_param none = {.sched_priority = 0};

	if (engine->settings.pause_budget_ns != 0 && sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH, &none); /* a wish */
}

void *tandem_engine_run(void *argument)
{
	struct tandem_engine *engine = argument;
	struct epoll_event ready[2];
	bool is_woken = false;

	give_way(engine);
	while (!atomic_load(&engine->is_ending)) {
		bool has_answer;
		uint64_t until_ns;

		take_own_helm(engine);
		if (is_woken)
			quiet(engine);
		look_at_session(engine);
		take_turn(engine);
		has_answer = poll_for_answer(engine);
		until_ns = has_answer ? 0 : own_turn_ns(engine);
		engine->sleeps_until_ns = until_ns;
		watch(engine, true);
		pthread_mutex_unlock(&engine->helm);
		is_woken = epoll_wait(engine->watch_fd, ready, 2, ms_until(until_ns)) > 0;
	}
	return NULL;
}

/* ---- a thread of the program ---- */

/* Under the lock. */
static bool is_met(const struct tandem_engine *engine, const uint64_t *ticket)
{
	if (ticket == NULL)
		return engine->is_program_free;
	return engine->core.gate.released_ticket >= *ticket || atomic_load(&engine->is_halted);
}

static bool look_met(struct tandem_engine *engine, const uint64_t *ticket)
{
	bool answer;

	pthread_mutex_lock(&engine->lock);
	answer = is_met(engine, ticket);
	pthread_mutex_unlock(&engine->lock);
	return answer;
}

/* True when it was woken. */
static bool sleep_until(struct tandem_engine *engine, uint64_t deadline_ns)
{
	struct pollfd descriptors[2] = {{.fd = engine->wake_fd, .events = POLLIN},
	                                {.fd = -1, .events = POLLIN}};
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	const struct timespec wait = tandem_clock_timespec(wait_ns);

	if (engine->session != NULL)
		descriptors[1].fd = tandem_session_fd(engine->session);
	return ppoll(descriptors, 2, &wait, NULL) > 0 && descriptors[0].revents != 0;
}

/* Sessions that are set up and copies that are made take their time, and are the own thread's. */
static bool is_steady(const struct tandem_engine *engine)
{
	enum tandem_primary_phase phase = engine->core.phase;

	return phase >= TANDEM_PRIMARY_OPEN && phase <= TANDEM_PRIMARY_SEALED;
}

static bool drive(struct tandem_engine *engine, const uint64_t *ticket, uint64_t deadline_ns)
{
	bool is_woken = false;

	/* No epoch is sealed without APPLIED; but a pause with a budget waits for nothing. */
	if (engine->settings.pause_budget_ns != 0)
		look_at_session(engine);
	else if (!engine->core.is_applied)
		tandem_engine_read_session(engine);
	read_mail(engine);
	while (!look_met(engine, ticket) && is_steady(engine) &&
	       tandem_clock_now_ns() < deadline_ns) {
		if (is_woken)
			quiet(engine);
		is_woken = false;
		take_turn(engine);
		if (look_met(engine, ticket) || poll_for_answer(engine))
			continue;
		is_woken = sleep_until(engine, earlier(deadline_ns, next_turn_ns(engine)));
		tandem_engine_read_session(engine);
	}
	return look_met(engine, ticket);
}

static bool take_helm(struct tandem_engine *engine)
{
	uint64_t until_ns = tandem_clock_now_ns() + engine->push.poll_ns;

	while (atomic_load(&engine->is_helm_wanted) || pthread_mutex_trylock(&engine->helm) != 0) {
		if (tandem_clock_now_ns() >= until_ns)
			return false;
	}
	if (is_steady(engine)) {
		watch(engine, false);
		return true;
	}
	leave(engine);
	return false;
}

/* Nothing but APPLIED and the like is to come. Who takes the next checkpoint soon reads that
 * itself, and must not meet the own thread at it; with a budget it asks first, and is told no. */
static bool is_answer_wanted(struct tandem_engine *engine)
{
	bool is_held;

	pthread_mutex_lock(&engine->lock);
	is_held = engine->core.gate.pending_count > 0;
	pthread_mutex_unlock(&engine->lock);
	return is_held || engine->core.phase != TANDEM_PRIMARY_OPEN ||
	       (engine->settings.pause_budget_ns != 0 && !engine->core.is_applied) ||
	       engine->sleeps_until_ns > engine->driven_ns + UNWATCHED_NS;
}

/* What is due sooner than the own thread knows is its work again. */
static void leave_helm(struct tandem_engine *engine)
{
	bool must_wake = next_turn_ns(engine) < engine->sleeps_until_ns;

	engine->driven_ns = tandem_clock_now_ns();
	watch(engine, is_answer_wanted(engine));
	leave(engine);
	if (must_wake)
		tandem_engine_wake(engine->wake_fd);
}

static bool wait_for_driver(struct tandem_engine *engine, const uint64_t *ticket,
                            const struct timespec *deadline)
{
	bool has_met;
	int waited = 0;

	pthread_mutex_lock(&engine->lock);
	if (engine->mail.has_checkpoint)
		tandem_engine_wake(engine->wake_fd);
	while (!(has_met = is_met(engine, ticket)) && waited == 0)
		waited = tandem_engine_await_change(engine, deadline);
	pthread_mutex_unlock(&engine->lock);
	return has_met;
}

static uint64_t ns_of(const struct timespec *deadline)
{
	return deadline == NULL
	               ? UINT64_MAX
	               : (uint64_t)deadline->tv_sec * TANDEM_NS_PER_S + (uint64_t)deadline->tv_nsec;
}

bool tandem_engine_await(struct tandem_engine *engine, const uint64_t *ticket,
                         const struct timespec *deadline)
{
	bool has_met = look_met(engine, ticket);
	int cancel_state;

	if (has_met || tandem_clock_now_ns() >= ns_of(deadline))
		return has_met;
	/* One that is cancelled would take the helm with it, or the state that a checkpoint reads.
	 */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (take_helm(engine)) {
		has_met = drive(engine, ticket, ns_of(deadline));
		leave_helm(engine);
	}
	if (ticket != NULL)
		pthread_setcancelstate(cancel_state, NULL);
	has_met = has_met || wait_for_driver(engine, ticket, deadline);
	pthread_setcancelstate(cancel_state, NULL);
	return has_met;
}

bool tandem_engine_wait(struct tandem_engine *engine, const struct timespec *deadline)
{
	return wait_for_driver(engine, NULL, deadline);
}
