#ifndef TANDEM_PRIMARY_H
#define TANDEM_PRIMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"
#include "gate.h"
#include "lease.h"
#include "pace.h"
#include "repair.h"
#include "resync.h"
#include "wire.h"

/* The primary's side of the epoch protocol (DESIGN 4): events in, ordered actions out. Pure. The
 * shell moves the memory; it executes the actions in order and gives the results back as events. */

#define TANDEM_PRIMARY_PHASE_TABLE(X)                                                              \
	X(IDLE)      /* not leading */                                                             \
	X(DOWN)      /* no session; connects at reconnect_at_ns */                                 \
	X(JOINING)   /* the session is being set up */                                             \
	X(GREETING)  /* HELLO sent */                                                              \
	X(HELD)      /* PAIR, but the peer holds no copy of ours: waits for SOLO (R8) */           \
	X(COPYING)   /* first synchronisation or resync beside the running program */              \
	X(OPEN)      /* an epoch is open, nothing is under way */                                  \
	X(REPAIRING) /* a data channel is lost: until FENCED nothing is posted */                  \
	X(SCANNING)  /* program quiescent from here ... */                                         \
	X(STAGING)   /* what is left is copied to staging memory */                                \
	X(PUSHING)                                                                                 \
	X(BLOCKED)  /* pages of the epoch before are not applied yet (4.4) */                      \
	X(SETTLING) /* ... to here: posted writes still read its memory */                         \
	X(DRAINING) /* program runs, what was staged is pushed */                                  \
	X(UNSEALED) /* program runs, everything is pushed, the epoch before is not applied */      \
	X(SEALED)   /* waits for COMMITTED */                                                      \
	X(HALTED)

enum tandem_primary_phase {
#define X(name) TANDEM_PRIMARY_##name,
	TANDEM_PRIMARY_PHASE_TABLE(X)
#undef X
};

enum tandem_primary_event_type {
	TANDEM_PRIMARY_ON_LEAD,         /* controller: generation, is_pair, holds_output */
	TANDEM_PRIMARY_ON_QUIESCE,      /* controller: begin no epoch any more, until LEAD (R9) */
	TANDEM_PRIMARY_ON_HALT,         /* controller */
	TANDEM_PRIMARY_ON_RELEASE,      /* controller: it has left, and nobody can take over */
	TANDEM_PRIMARY_ON_LEASED,       /* the timer that ends this process is armed */
	TANDEM_PRIMARY_ON_CHECKPOINT,   /* program: it is quiescent until RESUME */
	TANDEM_PRIMARY_ON_WITHDRAW,     /* program: RESUME now, and no epoch, if none is sealed */
	TANDEM_PRIMARY_ON_SESSION_UP,   /* channel_mask: the data channels that joined */
	TANDEM_PRIMARY_ON_CHANNEL_LOST, /* channel_mask; is_unused: nothing was written to them
	                                   since the last commit, nor will be before the next */
	TANDEM_PRIMARY_ON_SESSION_LOST,
	TANDEM_PRIMARY_ON_MESSAGE, /* from the secondary */
	TANDEM_PRIMARY_ON_SCANNED, /* left_pages, elapsed_ns; is_small: they are few */
	TANDEM_PRIMARY_ON_STAGED,  /* is_done: all that was left is there */
	TANDEM_PRIMARY_ON_DRAINED, /* is_done: the pass has pushed all that it may; is_blocked: the
	                              rest waits for APPLIED */
	TANDEM_PRIMARY_ON_SLICED,  /* is_done: the pass has pushed all it knew; beside an open
	                              epoch: pages, elapsed_ns, left_pages */
	TANDEM_PRIMARY_ON_PUSHED,  /* is_done: nothing had to wait for APPLIED */
	TANDEM_PRIMARY_ON_SETTLED,
	TANDEM_PRIMARY_ON_TICK,
};

struct tandem_primary_event {
	enum tandem_primary_event_type type;
	uint64_t now_ns;
	uint64_t generation;
	bool is_pair;
	bool holds_output;
	bool is_done;
	bool is_small;
	bool is_blocked;
	bool is_unused;
	uint32_t channel_mask;
	uint64_t pages;
	uint64_t left_pages;
	uint64_t elapsed_ns;
	const struct tandem_wire_message *message;
};

enum tandem_primary_action_type {
	TANDEM_PRIMARY_DO_CONNECT,
	TANDEM_PRIMARY_DO_DROP_SESSION, /* reason; SESSION_LOST must follow */
	TANDEM_PRIMARY_DO_SEND,         /* message */
	TANDEM_PRIMARY_DO_MARK_ALL, /* every page is to push; is_fresh: zero pages need no record */
	TANDEM_PRIMARY_DO_SLICE,    /* push a bounded piece beside the running program: SLICED */
	TANDEM_PRIMARY_DO_SCAN,     /* re-arm the trackers, add what they found: SCANNED */
	TANDEM_PRIMARY_DO_STAGE,    /* when no write is on its way, copy what is left: STAGED */
	TANDEM_PRIMARY_DO_DRAIN,    /* push a bounded piece of what was staged: DRAINED */
	TANDEM_PRIMARY_DO_UNSTAGE,  /* the captured epoch is given up: what is staged and not pushed
	                               is to push */
	TANDEM_PRIMARY_DO_PUSH,     /* push all that may be pushed: PUSHED */
	TANDEM_PRIMARY_DO_SEAL,     /* post blob, run lists, trailers: epoch, base, generation */
	TANDEM_PRIMARY_DO_SETTLE,   /* wait until every write is locally complete: SETTLED, or
	                               SESSION_LOST; then go on with the actions behind */
	TANDEM_PRIMARY_DO_RESUME,   /* the program may go on */
	TANDEM_PRIMARY_DO_COMMIT_MAP, /* the last epoch's map is committed: every stripe is free */
	TANDEM_PRIMARY_DO_ABORT_MAP,  /* it is not: it merges under the open one */
	TANDEM_PRIMARY_DO_REPUSH,     /* channel_mask is fenced: what they carried is to push again,
	                                 on others; they may be restored */
	TANDEM_PRIMARY_DO_FORGET_MAP, /* the last epoch's map is applied */
	TANDEM_PRIMARY_DO_MERGE_MAPS, /* every page of both maps is to push again */
	TANDEM_PRIMARY_DO_TAKE_DIGESTS, /* message: until the next seal a page that equals its
	                                   digest need not travel; the message's bytes are borrowed
	                                 */
	TANDEM_PRIMARY_DO_REPORT_UP,    /* to the controller: peer_incarnation */
	TANDEM_PRIMARY_DO_REPORT_LOST,
	TANDEM_PRIMARY_DO_REPORT_COPIED,    /* epoch, peer_incarnation */
	TANDEM_PRIMARY_DO_REPORT_COMMITTED, /* epoch: for statistics */
	TANDEM_PRIMARY_DO_RENEW_LEASE,      /* end_ns: this process ends then, or is renewed; LEASED
	                                       must follow */
	TANDEM_PRIMARY_DO_END_LEASE,        /* it leads alone, or has left: nobody can take over */
	TANDEM_PRIMARY_DO_REPORT_QUIESCED,  /* epoch: acknowledged and applied, nothing after it */
};

struct tandem_primary_action {
	enum tandem_primary_action_type type;
	uint64_t epoch;
	uint64_t base;
	uint64_t generation;
	uint64_t peer_incarnation;
	uint64_t end_ns;
	uint32_t channel_mask;
	uint64_t pages_max; /* SLICE: 0 for as many as is usual */
	uint64_t hot_max;   /* SLICE: hot pages are left alone when they are no more than this */
	bool is_fresh;
	bool was_slowing;   /* SCAN: the program was held until now so that what is left fits */
	int code;           /* DROP_SESSION: TANDEM_E_* */
	const char *reason; /* DROP_SESSION: a literal */
	struct tandem_wire_message message;
};

#define TANDEM_PRIMARY_ACTIONS_MAX 14u

struct tandem_primary_actions {
	unsigned count;
	struct tandem_primary_action items[TANDEM_PRIMARY_ACTIONS_MAX];
};

struct tandem_primary_options {
	char pair[TANDEM_NAME_BYTES];
	uint64_t incarnation;
	uint32_t channel_count;
	uint32_t stripe_pages;
	uint32_t state_bytes_max;
	uint64_t connect_timeout_ns;
	uint64_t commit_timeout_ns;
	uint64_t ping_interval_ns;
	uint64_t lease_ns; /* 0: output is gated */
	uint64_t reconnect_interval_ns;
	uint64_t reconnect_interval_max_ns;
	uint64_t random;          /* seed of the jitter */
	unsigned copy_passes_max; /* background passes of a copy; 0 when a tracker needs a quiescent
	                             program */
	bool has_staging;
	bool slows_program;        /* a checkpoint that does not fit the budget holds it until it
	                              does */
	uint64_t push_interval_ns; /* between passes beside an open epoch; 0: none are made */
	uint64_t push_rate_max;    /* bytes a second of them; 0: no limit */
	struct tandem_pace_options pace;
	uint64_t first_epoch; /* 1, or K+1 of the epoch this program was promoted at */
	struct tandem_region_table regions;
	char needs[TANDEM_NEEDS_BYTES]; /* of whoever is to go on with the copy */
};

struct tandem_primary {
	struct tandem_primary_options options;
	struct tandem_gate gate;
	enum tandem_primary_phase phase;
	/* the controller's word */
	uint64_t generation;
	uint64_t generation_ns; /* since when */
	bool is_pair;
	bool holds_output; /* SOLO does not open the gate (mode strict) */
	bool is_leased;    /* lease mode, PAIR: output is free, for the process ends in time */
	bool is_quiescing; /* no epoch begins ... */
	bool is_quiet;     /* ... and none is under way; told (R9) */
	/* epochs */
	uint64_t next_epoch;   /* number of the open epoch */
	uint64_t captured;     /* number of the last capture; it may never be sealed */
	uint64_t committed;    /* K: the secondary's word */
	uint64_t sealed;       /* undecided, 0 for none; stays in doubt over a lost session */
	uint64_t base;         /* what the secondary of this session has committed, for trailers */
	uint64_t last_sealed;  /* in this session, or base: what FENCE names */
	bool is_applied;       /* K is applied */
	bool is_staged;        /* of the captured epoch something is to be pushed from staging */
	bool is_drain_blocked; /* DRAINING, and what is left waits for APPLIED */
	uint64_t captured_ns;  /* when it was captured, */
	uint64_t captured_rest_ns; /* how long it took to find what was left then, */
	uint64_t captured_pages;   /* how much that was, */
	bool was_blocked;          /* and whether something waited for APPLIED */
	uint64_t drain_since_ns;   /* 0: not measured */
	/* the push beside the open epoch */
	struct tandem_pace pace;
	bool is_beside_pass;   /* scanned, slices go on */
	bool is_slowing;       /* the program is held until what is left fits the budget, */
	bool is_slow_scanned;  /* and all that it wrote before is known */
	uint64_t beside_at_ns; /* the next scan or slice; UINT64_MAX: one is under way, or never */
	bool is_asked;         /* by a program that could not make its checkpoint */
	bool is_granted;       /* it was told that it can, and nothing has begun since */
	uint64_t misfit_count; /* captures that did not fit the budget */
	/* the copy at the peer */
	uint64_t peer_incarnation; /* who holds our copy, 0 for nobody */
	uint64_t peer_generation;  /* what the peer last said to know */
	uint64_t session_incarnation;
	bool is_copying;       /* the next commit completes a copy */
	bool is_copy_ready;    /* what is left is for the capture */
	bool is_copy_captured; /* its last epoch is: the gate is held (R7) */
	bool is_fresh;
	bool has_copied;   /* COPIED reported for this session */
	bool is_copy_told; /* COPIED reported since the last LEAD: only the next LEAD opens the
	                      gate, whatever happens to the session */
	unsigned copy_pass;
	uint64_t pass_pages; /* left when the pass began */
	bool is_outpaced;    /* the program writes as fast as pages travel: the rest of the copy is
	                        for a capture that holds it */
	/* the program */
	bool is_held;    /* between CHECKPOINT and RESUME */
	bool is_waiting; /* held, and the epoch before it is still undecided */
	/* time */
	uint64_t deadline_ns; /* of the phase; UINT64_MAX for none */
	uint64_t heard_ns;
	uint64_t ping_at_ns;
	uint64_t last_ping;
	uint64_t apply_deadline_ns; /* of APPLIED; UINT64_MAX for none */
	uint64_t reconnect_at_ns;
	struct tandem_backoff backoff;
	uint64_t session_generation;
	struct tandem_lease lease;
	/* lost data channels */
	struct tandem_repair repair;
	/* a copy onto an image that holds something */
	struct tandem_resync resync;
	uint64_t page_count; /* of the layout */
};

void tandem_primary_init(struct tandem_primary *primary,
                         const struct tandem_primary_options *options);
void tandem_primary_step(struct tandem_primary *primary, const struct tandem_primary_event *event,
                         struct tandem_primary_actions *ret_actions);
/* While a push waits: a ping if one is due, nothing else. */
void tandem_primary_keep_alive(struct tandem_primary *primary, uint64_t now_ns,
                               struct tandem_primary_actions *ret_actions);
/* A checkpoint would only be answered by RESUME. */
bool tandem_primary_skips_checkpoint(const struct tandem_primary *primary);
/* When a TICK is due; UINT64_MAX for never. */
uint64_t tandem_primary_deadline_ns(const struct tandem_primary *primary);
/* Tickets for the program's output; see gate.h. A checkpoint's is taken before its CHECKPOINT
 * event. */
uint64_t tandem_primary_checkpoint_ticket(struct tandem_primary *primary, uint64_t now_ns);
uint64_t tandem_primary_confirm_ticket(struct tandem_primary *primary, uint64_t now_ns);
bool tandem_primary_can_checkpoint(const struct tandem_primary *primary, uint64_t now_ns);
/* Only the budget is in its way, or what a pause with one would meet: a piece of the push beside
 * the program, or the apply of the epoch before. */
bool tandem_primary_puts_off(const struct tandem_primary *primary, uint64_t now_ns);
/* The same for a program that asks: a yes holds for a moment, after a no it gets the first moment
 * that fits. *ret_hold_ns: how long it is to be held for a better answer. */
bool tandem_primary_ask_checkpoint(struct tandem_primary *primary, uint64_t now_ns,
                                   uint64_t *ret_hold_ns);
/* Who asked is held now, or was until now. */
void tandem_primary_hold(struct tandem_primary *primary, uint64_t now_ns, bool is_held);
bool tandem_primary_wants_checkpoint(const struct tandem_primary *primary);
/* A ticket waits for a ping that has not been sent. */
bool tandem_primary_wants_ping(const struct tandem_primary *primary);
const char *tandem_primary_phase_name(enum tandem_primary_phase phase);

#endif
