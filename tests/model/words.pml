/* The words of DESIGN as variables, and what the other files share. Two nodes; `n` is the node that
 * an action is about. */

#ifndef GENERATIONS
#define GENERATIONS 4 /* the register's last generation; it begins at 1 */
#endif
#ifndef OPERATIONS
#define OPERATIONS 2 /* requests that clients send, in all */
#endif
#ifndef PLANE_CRASHES
#define PLANE_CRASHES 1 /* of programs and standbys, with their memory */
#endif
#ifndef CONTROLLER_CRASHES
#define CONTROLLER_CRASHES 1
#endif

#ifndef LEAVES
#define LEAVES 1 /* of programs that end their protection in order */
#endif

#define PEER  (1 - n)
#define LIVES 3 /* of a node's program, and of its standby: incarnations 1 to LIVES */
#define HEIR(standby_incarnation) (LIVES + (standby_incarnation))

/* States of a controller, in the order of TANDEM_STATE_TABLE. */
mtype = {
	INIT,
	JOINING,
	SECONDARY,
	PRIMARY_PAIR,
	PRIMARY_SOLO,
	GATED,
	TAKING_OVER,
	HALTED,
	MAINTENANCE
};

/* A compare-and-set: none is asked; it is, and may have been applied; the answer that it won is on
 * its way. */
mtype = { IDLE, OUT, WON };
/* What the controller has ordered for a take-over. */
mtype = { NOTHING, FENCE, ACTIVATE };
/* The gate of a program. */
mtype = { HOLD, OPEN, ACKNOWLEDGED };
/* The session of a program: none; a full copy is under way; its last epoch is captured; it is
 * applied; epochs of a pair. */
mtype = { DOWN, COPYING, CAPTURED, COPIED, STREAMING };
/* An epoch: none; sealed, and in the peer's cache; committed, but in a generation that the program
 * does not lead in; committed, and the acknowledgement is on its way. */
mtype = { NO_EPOCH, ARRIVED, COMMITTED_BEFORE, COMMITTED };
/* The reply to a client: none; executed; in the sealed epoch. */
mtype = { NO_REPLY, EXECUTED, IN_EPOCH };
/* A planned switchover, at the primary's controller. */
mtype = { NO_OFFER, QUIESCING, OFFERED };

/* The register, one for both nodes or one of each node's own. A record is the newest one; it is SOLO
 * when no incarnation holds a copy. */
#ifdef OWN_RECORDS
#define REGISTERS  2
#define OF(node)   (node)
#else
#define REGISTERS  1
#define OF(node)   0
#endif
byte generation[REGISTERS] = 1;
bit owner[REGISTERS] = 0;
byte owner_incarnation[REGISTERS] = 1;
byte copy_incarnation[REGISTERS] = 1;
#define LEFT 7 /* in the place of a copy: nobody leads, the owner goes on unprotected */

/* Questions that may still replace the record of `generation`, however late: each node has two,
 * so that one is asked while an earlier one is in doubt. 0: none. */
#define SLOTS 2
#define SLOT(node, slot) ((node) * SLOTS + (slot))
byte asked[4];
#define RECORD(owner_, copy_) ((owner_) + 8 * (copy_))
#define BLIND 64 /* where each node keeps records of its own: the other node is switched off first */
#define OWNER_OF(record) ((record) % 8)
#define COPY_OF(record) ((record) / 8 % 8)

/* A controller: its state, the newest record it saw, its question, what it knows of its planes, and
 * its orders. A plane acts on them some time later; one that is overtaken by the next is one that
 * was read just before it. */
mtype state[2] = INIT;
byte seen_generation[2];
bit seen_owner[2];
byte seen_owner_incarnation[2];
byte seen_copy[2];
bit is_mine[2];      /* SOLO: this life wrote the record that it sees */
bit is_contested[2]; /* an earlier question may still replace that record */
bit is_led_solo[2];  /* a program was told to lead alone by that record */
mtype question[2] = IDLE;
byte question_slot[2] = SLOTS; /* SLOTS: this life has asked nothing about this record */
byte won_record[2];            /* WON: what it wrote */
byte known_program[2];         /* incarnations that are attached, 0: none */
byte known_standby[2];
bit is_halted[2];       /* HALT */
byte led_generation[2]; /* LEAD */
bit is_led_pair[2];
bit is_told[2]; /* STAND_BY with the generation of that record */
byte copied[2]; /* the peer's incarnation that holds a full copy, as the program said */
byte take_over_standby[2];
mtype take_over_order[2] = NOTHING;
mtype offer[2] = NO_OFFER;
bit is_by_offer[2]; /* the take-over was asked for because of an offer */
#ifdef WITH_LEAVING
bit is_released[2]; /* RELEASE, after LEFT */
#endif

/* The last offer in heartbeats: it may be seen long after it was withdrawn. */
byte offered_generation;
byte offered_copy;

/* A program. Memory is the set of the operations that were executed in it. */
byte program[2]; /* incarnation, 0: none */
byte program_lives[2];
byte led[2]; /* the generation that it leads in, 0: not led yet */
byte memory[2];
mtype gate[2] = HOLD;
mtype session[2] = DOWN;
bit is_copy_told[2]; /* of a copy, since the last LEAD: the gate holds until the next one */
byte session_peer[2]; /* the standby's incarnation, 0: none */
mtype epoch[2] = NO_EPOCH;
mtype reply[2] = NO_REPLY;
byte reply_effect[2];
byte reply_must_see[2];
bit is_quiet[2];
#ifdef WITH_LEAVING
bit is_leaving[2]; /* it wants to end its protection, or was told to: LEAVE */
bit has_left[2];   /* it was told so, and goes on by itself */
byte leaves;
#define HAS_LEFT(n)    has_left[n]
#define IS_RELEASED(n) is_released[n]
#else
#define HAS_LEFT(n)    0
#define IS_RELEASED(n) 0
#endif

/* A standby. */
byte standby[2]; /* incarnation, 0: none, or its copy was started */
byte standby_lives[2];
byte standby_generation[2];
byte standby_owner[2];
byte standby_session[2]; /* the program's incarnation */
byte copy_of[2];         /* the program whose full copy it holds, 0: none or in part */
byte image[2];
byte cache[2]; /* a complete epoch that arrived: its memory + ARRIVAL; 0: none */
#define ARRIVAL 128
bit is_fenced[2];

byte operations;
byte plane_crashes;
byte controller_crashes;
