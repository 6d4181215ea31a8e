#ifndef TANDEM_GATE_H
#define TANDEM_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* Holds output until it may leave (DESIGN R1, R7; [C19]). A ticket stands for the output of one
 * turn of the program. It is released in order, and in PAIR only by an acknowledgement of the
 * secondary's software in the current generation: of the epoch that the output belongs to or a
 * later one, or, for output that only read, of a ping sent after it. Pure. */
#define TANDEM_GATE_PENDING_MAX 64u

struct tandem_gate_ticket {
	uint64_t ticket;
	uint64_t epoch;    /* a commit of this epoch or a later one releases it */
	uint64_t ping;     /* so does a pong of this number or a later one; 0: no ping does */
	uint64_t since_ns; /* when the oldest output that shares it was produced */
};

enum tandem_gate_mode {
	TANDEM_GATE_HOLD, /* not leading yet, or between the copy and the register's word (R7) */
	TANDEM_GATE_OPEN, /* SOLO: output is free */
	TANDEM_GATE_PAIR, /* acknowledgements release */
	TANDEM_GATE_SHUT, /* halted: nothing leaves any more, whatever comes */
};

struct tandem_gate {
	enum tandem_gate_mode mode;
	uint64_t generation;
	uint64_t last_ticket;
	uint64_t released_ticket;
	uint64_t acked_epoch; /* in this generation */
	uint64_t acked_ping;
	unsigned pending_count;
	struct tandem_gate_ticket pending[TANDEM_GATE_PENDING_MAX];
};

void tandem_gate_init(struct tandem_gate *gate);
/* The number of a new ticket. When the table is full it shares the last entry, under the stricter
 * of both demands. */
uint64_t tandem_gate_ticket(struct tandem_gate *gate, uint64_t epoch, uint64_t ping,
                            uint64_t now_ns);
/* A new word of the controller: acknowledgements of other generations count no more. `mode` is PAIR
 * or OPEN, or HOLD where SOLO must not open the gate (R7). */
void tandem_gate_lead(struct tandem_gate *gate, uint64_t generation, enum tandem_gate_mode mode);
void tandem_gate_hold(struct tandem_gate *gate);
void tandem_gate_shut(struct tandem_gate *gate);
/* The secondary, in `generation`, holds `epoch` and has answered `ping` (0: no ping). Others'
 * generations are ignored. */
void tandem_gate_acknowledge(struct tandem_gate *gate, uint64_t generation, uint64_t epoch,
                             uint64_t ping);
/* When the oldest output that still waits was produced; 0: none waits, or none ever leaves. */
uint64_t tandem_gate_held_since_ns(const struct tandem_gate *gate);
/* The same of output that needs a commit: how far the secondary is behind. */
uint64_t tandem_gate_behind_since_ns(const struct tandem_gate *gate);

#endif
