/* The words of DESIGN as variables, and what the other files share. */

#ifndef EPOCHS
#define EPOCHS 2 /* captures, each with a number of its own */
#endif
#ifndef STORES
#define STORES 2 /* of the program, in all */
#endif
#ifndef SESSION_LOSSES
#define SESSION_LOSSES 0
#endif
#ifndef CHANNEL_LOSSES
#define CHANNEL_LOSSES 0
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 0 /* of attempts that are not sealed, as when a third channel is lost */
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* of the secondary, which ends its session */
#endif

#define PAGES    2
#define SLOT     PAGES /* of state blob and run lists: like a page [C11] */
#define PLACES   3
#define CHANNELS 2
#define DEPTH    3    /* writes that a channel holds */
#define NONE     2    /* no channel */
#define NO_EPOCH 0    /* of a number that was sealed */
#define BIT(n)   (1 << (n))
#define EVERY    (BIT(PAGES) - 1)
#define BOTH     3

/* Phases of a primary, in the order of TANDEM_PRIMARY_PHASE_TABLE. */
mtype = {
	IDLE,
	DOWN,
	JOINING,
	GREETING,
	HELD,
	COPYING,
	OPEN,
	REPAIRING,
	SCANNING,
	PUSHING,
	BLOCKED,
	SETTLING,
	UNSEALED,
	SEALED,
	HALTED
};
/* Not entered here: IDLE, HELD and HALTED are the controller's; JOINING, GREETING and SCANNING are
 * passed at once; COPYING is OPEN with everything to push; BLOCKED is PUSHING with nothing that may be
 * pushed, SETTLING is is_held, and UNSEALED is PUSHING with nothing left, before APPLIED. */

/* What a channel carries. */
mtype = { WRITE, SEAL };
/* Where a write gets its bytes: from memory when it lands, or from what was read before. */
mtype = { MEMORY, READ };
/* What the secondary says. */
mtype = { COMMITTED, APPLIED, FENCED };

/* The program. A page's content is a number, 0 for zeros. */
byte memory[PAGES];
byte stores;
bit is_held;

/* Truth: what the program and its state were when an epoch was captured. */
byte truth[(EPOCHS + 1) * PLACES];
#define TRUTH(epoch, place) truth[(epoch) * PLACES + (place)]

/* The primary. Sets of pages and of channels are bit masks. */
mtype phase = OPEN;
byte dirty; /* what its trackers know, and what is to push */
byte to_push; /* of the epoch that is captured, with the slot */
byte copied[PAGES]; /* mode `stage`: what was captured */
byte open_map; /* recorded since the last seal ... */
byte open_zeros; /* ... as zeros */
byte last_map; /* of the sealed epoch, and of the committed one until APPLIED */
byte last_zeros;
byte owner[PLACES]; /* the channel of a place since the last commit */
byte posted; /* channels since the last seal */
byte last_posted;
byte reading[PLACES]; /* writes that still read memory */
byte up = BOTH;
byte waiting; /* joined again, not written to yet */
byte lost = NONE; /* FENCE has asked for this channel */
byte next_epoch = 1;
byte captured;
byte sealed = NO_EPOCH; /* undecided */
byte committed;
byte base;
bit is_applied = 1;
bit has_digests; /* of a full copy: what the image held before it */
byte digest[PAGES];
byte known_life = 1; /* of the secondary that is known to hold a copy, 0: of none */

/* The device: WRITE {page, source, content, -}, SEAL {epoch, mask, lists, base}. Lists are the data
 * pages of a channel, and its zero pages shifted by PAGES. */
chan wire[CHANNELS] = [DEPTH] of { mtype, byte, byte, byte, byte };
chan answers = [4] of { mtype, byte };

/* The secondary. */
byte cache[PLACES];
byte image[PAGES];
byte blob;
byte found; /* the last committed epoch */
bit has_copy = 1;
bit is_said_first; /* APPLIED of the last committed epoch was said before it is */
byte life = 1;
byte to_copy; /* of the committed epoch, not applied yet */
byte to_clear;
byte sealing_epoch;
byte sealing_mask;
byte sealing_base;
byte sealing_data;
byte sealing_zeros;
byte sealed_by;
byte bar; /* seals up to this one are stale */
bit is_dropped;

byte session_losses;
byte channel_losses;
byte give_ups;
byte restarts;
#ifdef WITHOUT_ARMED_DIGESTS
bit compared;
#endif

/* Of the step that is taken; no part of a state where the search allows that. */
#ifdef TOLERANT
#define OF_STEP byte
#else
#define OF_STEP hidden byte
#endif
OF_STEP place;
OF_STEP got_kind;
OF_STEP got_a;
OF_STEP got_b;
OF_STEP got_c;
OF_STEP got_d;
