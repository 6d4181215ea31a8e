#ifndef TANDEM_ENGINE_H
#define TANDEM_ENGINE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <tandem/progress.h>
#include <tandem/stats_page.h>
#include <tandem/tandem.h>
#include <tandem/transport.h>

#include "../core/primary.h"
#include "channels.h"
#include "control_link.h"
#include "dead_man.h"
#include "push.h"
#include "tracker.h"
#include "beats.h"

/* The primary's shell: it owns session, maps and core, and executes what the core says. One thread
 * at a time drives it and has the helm: its own, or one of the program's that waits for it. The
 * program's threads and the link's thread talk to it through a mailbox and an eventfd. */

/* Steps within steps: an action's result is an event. The longest way is from COMMITTED over the
 * capture that waited for it to the loss of the session. */
#define TANDEM_ENGINE_STEPS_MAX 16u

enum tandem_engine_order {
	TANDEM_ENGINE_NO_ORDER,
	TANDEM_ENGINE_LEAD,
	TANDEM_ENGINE_HALT,
};

struct tandem_engine_mail {
	/* from the controller; the newest order wins, HALT for good */
	enum tandem_engine_order order;
	uint64_t generation;
	bool is_pair;
	bool holds_output;
	bool has_quiesce; /* since the order */
	bool has_release;
	/* from a controller that was started again: what proves the next session [S1] */
	bool has_key_news;
	struct tandem_key key;
	unsigned key_count;
	/* from the program */
	bool has_checkpoint;
	uint64_t called_ns;
	const void *state;
	uint32_t state_bytes;
};

struct tandem_engine {
	/* written before the thread starts, read only */
	struct tandem_control_settings settings;
	struct tandem_control_link *link;
	struct tandem_stats *stats;
	unsigned region_count;
	struct tandem_region_tracker *trackers[TANDEM_REGIONS_MAX];
	struct tandem_transport *transport;

	/* under `lock` */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* something for a waiting program */
	struct tandem_engine_mail mail;
	struct tandem_primary core; /* stepped by who has the helm; tickets by the program's */
	bool is_program_free;       /* no checkpoint reads its memory */
	bool is_program_watching;   /* the one under way was begun: news_fd tells its end */
	bool is_rung;               /* since the program asked; news_fd, too, ... */
	bool is_bell_out;           /* ... if it has that */
	bool is_withdrawing;        /* the engine is asked to take it back ... */
	bool is_withdrawn;          /* ... and did */
	char misfit[TANDEM_REASON_BYTES]; /* why the standby cannot go on with what is here */
	struct tandem_session *yankable; /* NULL while none; freed only after it was cleared here */

	pthread_t thread;
	bool has_thread;

	/* of who has the helm; it is taken before `lock` */
	pthread_mutex_t helm;
	uint64_t sleeps_until_ns; /* the engine's own thread, unless it is woken, */
	bool is_watched;          /* and what comes in the session wakes it */
	uint64_t driven_ns;       /* when a thread of the program did last */
	/* Not on the stack: the program's threads may have small ones. */
	struct tandem_primary_actions actions[TANDEM_ENGINE_STEPS_MAX];
	unsigned step_depth;
	struct tandem_transport_options transport_options; /* filled before it starts */
	struct tandem_push push;
	struct tandem_dead_man dead_man; /* lease mode only */
	struct tandem_progress progress; /* of a copy ... */
	uint64_t copy_handled_pages;     /* ... and what the push had counted when it began */
	uint64_t copy_equal_pages;
	struct tandem_session *session;
	struct tandem_channels channels;
	uint64_t refused_at_ns; /* a channel refused a write and its loss was not told yet; 0: none
	                         */
	bool is_slice_due;      /* background work of a copy, between two looks at the world */
	bool is_scan_due;
	uint64_t capture_count;
	bool is_drain_due;    /* so is what is staged */
	uint64_t slice_pages; /* of the slice that is due; 0: as many as a copy takes */
	uint64_t slice_hot_max;
	struct tandem_news told; /* what the program was last woken for */
	const void
	        *held_state; /* of the checkpoint that holds the program; borrowed until RESUME */
	uint32_t held_state_bytes;
	uint64_t held_since_ns;
	uint64_t sealed_at_ns;
	uint64_t apply_awaited_ns; /* since when an epoch waits for APPLIED; 0: none does */
	struct tandem_error lost;  /* why the last session ended */
	struct tandem_error end;   /* why there will be no other one; its code is 0 while there may
	                            */
	char told_failure[sizeof(((struct tandem_error *)0)->detail)]; /* so that attempts that fail
	                                                             alike are told of once */

	/* any thread */
	int wake_fd;  /* the engine's */
	int watch_fd; /* what its own thread sleeps on: wake_fd, and the session while is_watched */
	int news_fd;  /* the program's */
	_Atomic bool is_ending;
	_Atomic bool is_halted;
	_Atomic bool is_helm_wanted; /* by its own thread, which a program that comes again and
	                                again at once would never let have it */
	sem_t helm_left;             /* said to its own thread, that waits for it */
	_Atomic uint64_t heard_ns;
	_Atomic bool has_session; /* greeted */
	_Atomic bool has_lease;   /* the timer is armed */
	_Atomic uint64_t session_incarnation;
	struct tandem_beats beats;          /* of the peer's standby; says who may touch what */
	_Atomic uint64_t copied_epoch;      /* COPIED reported for this session, 0 for none */
	_Atomic uint64_t copied_generation; /* that the program was led in when it was */
};

/* Needs settings, link, stats, trackers, and push.layout and push.bases; the core's options are in
 * `options`. */
TANDEM_MUST_CHECK int tandem_engine_start(struct tandem_engine *engine,
                                          const struct tandem_primary_options *options,
                                          struct tandem_error *reterr_error);
/* Ends the thread and frees what start and the thread made. */
void tandem_engine_stop(struct tandem_engine *engine);

/* From the link's thread. */
void tandem_engine_lead(struct tandem_engine *engine, const struct tandem_control_message *lead);
void tandem_engine_halt(struct tandem_engine *engine);
void tandem_engine_quiesce(struct tandem_engine *engine);
void tandem_engine_release(struct tandem_engine *engine);
void tandem_engine_take_key(struct tandem_engine *engine,
                            const struct tandem_control_settings *settings);
void tandem_engine_yank(struct tandem_engine *engine);
void tandem_engine_report(struct tandem_engine *engine, struct tandem_control_message *report);
/* What the controller must hear again after it was restarted. */
void tandem_engine_repeat(struct tandem_engine *engine);

/* From any thread: news_fd, which is rung from now on. */
int tandem_engine_bell(struct tandem_engine *engine);
/* From any thread; tandem_engine_ask() takes the ring off news_fd again. */
void tandem_engine_ring(struct tandem_engine *engine);
/* From any thread; takes the ring off news_fd. Where the policy says so it is held, less than the
 * budget of a pause, while a checkpoint does not fit that. */
void tandem_engine_ask(struct tandem_engine *engine, struct tandem_news *ret_news);
/* Under the lock: until something has changed for a waiting program; then 0, else an errno. NULL
 * waits for ever. A thread that is cancelled here lets the lock go. */
int tandem_engine_await_change(struct tandem_engine *engine, const struct timespec *deadline);

/* From the program. `state` is borrowed until the program is free again; false when it is not free
 * now. Unless it is watching, tandem_engine_await() must follow, which does the work. */
bool tandem_engine_begin(struct tandem_engine *engine, const void *state, uint32_t state_bytes,
                         bool is_watching, uint64_t *ret_ticket);
/* Until the program is free, or the deadline on the monotonic clock has come: then it is false.
 * NULL waits for ever. */
bool tandem_engine_wait(struct tandem_engine *engine, const struct timespec *deadline);
/* Until the ticket is released, or the program is halted; NULL: until the program is free. Drives
 * the engine meanwhile, unless another thread does, and may overrun the deadline by what it does.
 */
bool tandem_engine_await(struct tandem_engine *engine, const uint64_t *ticket,
                         const struct timespec *deadline);
/* True when the checkpoint under way ends no epoch, and the program is free. */
bool tandem_engine_withdraw(struct tandem_engine *engine);
/* Of output that waits for the next checkpoint; of such that waits for an acknowledgement. */
uint64_t tandem_engine_ticket(struct tandem_engine *engine);
uint64_t tandem_engine_confirm(struct tandem_engine *engine);

#endif
