#ifndef TANDEM_STATS_PAGE_H
#define TANDEM_STATS_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/error.h>
#include <tandem/histogram.h>

/* What the engine of a protected program lets others see while it runs and after it was killed: a
 * file RUN_DIR/PAIR.stats mapped by the engine (the only writer) and by whoever reports. */
#define TANDEM_STATS_MAGIC UINT64_C(0x35737461746e6174)

/* Where in an epoch's life the engine is. */
#define TANDEM_PHASE_TABLE(X)                                                                      \
	X(RUN, "run")     /* the program runs, nothing of an epoch is under way */                 \
	X(SCAN, "scan")   /* the program is quiescent, dirty pages are looked for */               \
	X(PUSH, "push")   /* pages are written */                                                  \
	X(SEAL, "seal")   /* run lists and trailers are written */                                 \
	X(WAIT, "wait")   /* sealed, not committed */                                              \
	X(APPLY, "apply") /* committed, not applied */                                             \
	X(REPLY, "reply") /* the gate has opened, the program sends what it held */

enum tandem_phase {
#define X(name, text) TANDEM_PHASE_##name,
	TANDEM_PHASE_TABLE(X)
#undef X
	        TANDEM_PHASE_COUNT,
};

/* Whether the next checkpoint fits the budget, and what is done when it does not. */
#define TANDEM_PACE_TABLE(X)                                                                       \
	X(FREE, "free") /* no budget, or no epoch is open */                                       \
	X(FITS, "fits")                                                                            \
	X(PUTTING_OFF, "putting off") /* the interval grows while pages are pushed */              \
	X(OVERDUE, "overdue")         /* it has grown to its limit: more is written than pushed */ \
	X(SLOWING, "slowing")         /* the program is held while pages are pushed */

enum tandem_pace_state {
#define X(name, text) TANDEM_PACE_##name,
	TANDEM_PACE_TABLE(X)
#undef X
	        TANDEM_PACE_COUNT,
};

/* One data channel, as the transport's struct tandem_channel_status says. */
struct tandem_channel_stats {
	_Atomic uint32_t state; /* enum tandem_channel_state */
	_Atomic uint32_t rail;
	_Atomic uint64_t bytes;
	_Atomic uint32_t inflight_count;
	_Atomic uint32_t lost_count;
	_Atomic uint64_t oldest_posted_ns; /* monotonic; 0: nothing is pending */
	char first_error[192];             /* in words; "" for none */
};

#define TANDEM_STATS_CHANNELS_MAX 16

struct tandem_stats {
	uint64_t magic;
	uint64_t incarnation;
	uint32_t process_id;
	_Atomic uint32_t phase; /* enum tandem_phase */
	_Atomic uint32_t is_pair;
	_Atomic uint32_t channel_count;
	_Atomic uint32_t pace;       /* enum tandem_pace_state */
	_Atomic uint32_t is_staging; /* the next capture, as far as is known */
	_Atomic uint64_t generation;
	_Atomic uint64_t epochs_committed;
	_Atomic uint64_t epochs_aborted;
	_Atomic uint64_t epoch_committed; /* number of the last one */
	_Atomic uint64_t pages_pushed;
	_Atomic uint64_t zero_pages;
	_Atomic uint64_t bytes_pushed;
	/* The copy that is under way, or the last one. While digests of the peer's image are
	 * fetched the bytes are of the memory that they are of, then of what is to push. */
	_Atomic uint64_t copy_since_ns; /* monotonic; 0: none is under way */
	_Atomic uint64_t copy_is_comparing;
	_Atomic uint64_t copy_bytes_total;
	_Atomic uint64_t copy_bytes_done;
	_Atomic uint64_t copy_bytes_equal; /* done without being pushed: the image held them */
	_Atomic uint64_t copy_bytes_per_s; /* 0: not known yet */
	_Atomic uint64_t copy_held_ns;     /* so long was the program held for the rest, because it
	                                      wrote as fast as pages travelled; 0: it was not */
	_Atomic uint64_t pages_staged; /* copied in a pause, pushed beside the running program */
	_Atomic uint64_t pages_beside; /* pushed between checkpoints, beside the running program, */
	_Atomic uint64_t pages_vain;   /* and of them, written again before the next one */
	_Atomic uint64_t pauses_misfit; /* checkpoints that did not fit the budget */
	_Atomic uint64_t stages_short; /* captures that found no room for all and pushed the rest in
	                                  the pause */
	/* Monotonic; 0: never, or nothing waits. */
	_Atomic uint64_t committed_ns;    /* the last commit */
	_Atomic uint64_t held_since_ns;   /* the oldest output that waits */
	_Atomic uint64_t behind_since_ns; /* the oldest output that waits for a commit */
	char transport[16];               /* provider in use, "" before the first session */
	char transport_detail[128];
	char tracker[16];
	struct tandem_channel_stats channels[TANDEM_STATS_CHANNELS_MAX];
	struct tandem_histogram pause_ns; /* program held, per checkpoint */
	struct tandem_histogram scan_ns;
	struct tandem_histogram stage_ns;      /* copying to staging memory */
	struct tandem_histogram slowed_ns;     /* program held before the pause, so that it fits */
	struct tandem_histogram apply_wait_ns; /* an epoch waited until the one before was applied
	                                        */
	struct tandem_histogram push_ns;
	struct tandem_histogram commit_ns; /* sealed to COMMITTED */
	struct tandem_histogram apply_ns;  /* as the secondary measured it */
	_Atomic uint32_t life;             /* of the engine's process (tandem/life.h) */
};

const char *tandem_phase_name(enum tandem_phase phase);
const char *tandem_pace_name(uint32_t pace);
/* "up": the words of enum tandem_channel_state. */
const char *tandem_channel_stats_state(uint32_t state);

/* Room for the next DIR/PAIR.stats, so that a file system that is full by then is not in the way of
 * a program that is promoted. */
TANDEM_MUST_CHECK int tandem_stats_reserve(const char *directory, const char *pair,
                                           struct tandem_error *reterr_error);
/* Maps DIR/PAIR.stats, mode 0600, made anew or from the room that was reserved. *ret_stats is
 * unmapped by tandem_stats_close(). */
TANDEM_MUST_CHECK int tandem_stats_create(const char *directory, const char *pair,
                                          struct tandem_stats **ret_stats,
                                          struct tandem_error *reterr_error);
/* Maps an existing one for reading; TANDEM_E_SYSTEM when there is none, TANDEM_E_VERSION for
 * another layout. */
TANDEM_MUST_CHECK int tandem_stats_open(const char *directory, const char *pair,
                                        const struct tandem_stats **ret_stats,
                                        struct tandem_error *reterr_error);
/* Whether the page that is there says that the program of this incarnation was let lead. */
bool tandem_stats_has_led(const char *directory, const char *pair, uint64_t incarnation);
void tandem_stats_close(const struct tandem_stats *stats); /* NULL is allowed */

#endif
