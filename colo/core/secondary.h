#ifndef TANDEM_SECONDARY_H
#define TANDEM_SECONDARY_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

/* The secondary's side of the epoch protocol (DESIGN 3.2, 3.3, 4): events in, ordered actions out.
 * Pure. The shell copies slots to private memory and checks run lists before it reports a seal; a
 * seal reported here is well formed. */
enum tandem_secondary_event_type {
	TANDEM_SECONDARY_ON_STAND_BY, /* controller: generation, owner incarnation (0: not known) */
	TANDEM_SECONDARY_ON_HELLO, /* without objection; no session is up (the old one was ended) */
	TANDEM_SECONDARY_ON_PREPARED, /* cache and image are there and exposed; is_fresh */
	TANDEM_SECONDARY_ON_MESSAGE,
	TANDEM_SECONDARY_ON_SEAL,            /* channel, trailer, listed_pages; not stale */
	TANDEM_SECONDARY_ON_CHANNEL_UP,      /* channel has joined, or joined again */
	TANDEM_SECONDARY_ON_CHANNELS_FENCED, /* and all that had arrived before was read */
	TANDEM_SECONDARY_ON_APPLIED,         /* is_done, or one more slice is left */
	TANDEM_SECONDARY_ON_SESSION_LOST,    /* after its fence and drain */
	TANDEM_SECONDARY_ON_FENCE, /* controller: acknowledge nothing more; the shell ends the
	                              session next */
	TANDEM_SECONDARY_ON_VOID,  /* cache or image can not be trusted any more */
};

struct tandem_secondary_event {
	enum tandem_secondary_event_type type;
	uint64_t generation;
	uint64_t incarnation;
	bool is_done;
	bool lands_in_calls; /* HELLO: nothing of the peer lands while this side applies */
	uint64_t elapsed_ns; /* APPLIED: since COMMIT, for the primary's statistics */
	bool is_fresh;
	unsigned channel;
	const struct tandem_trailer *trailer;
	uint64_t listed_pages; /* SEAL: of all runs of its list */
	const struct tandem_wire_message *message;
};

/* Of an epoch of at most so many pages one word says all [C15]. To apply it takes a few
 * microseconds, about as long as a message does at each end. */
#define TANDEM_SECONDARY_FEW_PAGES 32u

enum tandem_secondary_action_type {
	TANDEM_SECONDARY_DO_SEND,    /* message */
	TANDEM_SECONDARY_DO_DROP,    /* end the session: code, reason */
	TANDEM_SECONDARY_DO_PREPARE, /* make cache and image for the HELLO's regions and expose
	                                them: PREPARED */
	TANDEM_SECONDARY_DO_RENEW,   /* before PREPARE: there are other regions */
	TANDEM_SECONDARY_DO_COMMIT, /* the collected lists and blob become the committed ones: epoch
	                             */
	TANDEM_SECONDARY_DO_APPLY,  /* a bounded slice: APPLIED; is_at_once: all of it, before
	                               anything else is done */
	TANDEM_SECONDARY_DO_FENCE_CHANNELS, /* channel_mask; read what had arrived:
	                                       CHANNELS_FENCED */
	TANDEM_SECONDARY_DO_DISCARD,        /* collected lists and blob are nothing */
	TANDEM_SECONDARY_DO_SEND_DIGESTS,   /* message: DIGESTS without the digests, which are made
	                                       of the image */
	TANDEM_SECONDARY_DO_REPORT_UP,      /* to the controller: primary's incarnation */
};

struct tandem_secondary_action {
	enum tandem_secondary_action_type type;
	uint64_t epoch;
	uint64_t incarnation;
	uint32_t channel_mask;
	int code;
	bool is_at_once;
	const char *reason;                 /* a literal */
	struct tandem_wire_message message; /* last: see TANDEM_WIRE_HEAD_BYTES */
};

#define TANDEM_SECONDARY_ACTIONS_MAX 6u

struct tandem_secondary_actions {
	unsigned count;
	struct tandem_secondary_action items[TANDEM_SECONDARY_ACTIONS_MAX];
};

struct tandem_secondary {
	char pair[TANDEM_NAME_BYTES];
	uint64_t incarnation;
	/* the controller's word */
	uint64_t generation;        /* 0: accepts no session */
	uint64_t owner_incarnation; /* 0: not known */
	bool is_fenced;             /* for good: nothing is acknowledged any more */
	bool is_void;
	/* the copy */
	struct tandem_layout layout;
	uint64_t copy_incarnation; /* whose memory the copy is, 0 for none */
	uint64_t committed;        /* K */
	bool is_applied;
	bool is_said_once;  /* of K: APPLIED says COMMITTED, too ... */
	bool is_said_first; /* ... and has been said */
	uint64_t apply_ns;  /* of the last apply, until it is told; 0 then */
	bool is_fresh;      /* nothing was ever applied */
	/* the session */
	bool has_session;
	bool is_greeted; /* WELCOME sent */
	bool lands_in_calls;
	bool has_committed; /* in this session */
	bool is_dropped;    /* it broke the protocol: what still comes in is not believed */
	uint64_t session_generation;
	uint64_t session_incarnation;
	uint64_t last_ping;
	/* the epoch being sealed */
	uint32_t sealed_mask;        /* channels that have sealed; 0: none */
	struct tandem_trailer first; /* what the others must agree with */
	uint64_t listed_pages;       /* by those */
	/* lost channels */
	uint32_t fence_mask;  /* of the FENCE under way, 0 for none */
	uint64_t fence_epoch; /* that it named */
	uint32_t fenced_mask; /* fenced and not joined again */
	bool has_bar;
	uint64_t bar; /* seals up to this epoch were decided by a FENCED: they are stale */
};

void tandem_secondary_init(struct tandem_secondary *secondary, const char *pair,
                           uint64_t incarnation);
void tandem_secondary_step(struct tandem_secondary *secondary,
                           const struct tandem_secondary_event *event,
                           struct tandem_secondary_actions *ret_actions);
/* NULL, or why this HELLO is refused, and the error to tell. To be asked before an old session is
 * ended for a new one. */
const char *tandem_secondary_objection(const struct tandem_secondary *secondary,
                                       const struct tandem_wire_message *hello, int *ret_code);
/* A seal of an epoch that a FENCED has decided: it is not read, its slots may be written anew
 * [C24]. */
bool tandem_secondary_is_stale(const struct tandem_secondary *secondary, uint32_t immediate);
/* A promoted program may run on the image: a copy is there, fenced and applied. */
bool tandem_secondary_is_promotable(const struct tandem_secondary *secondary);

#endif
