#ifndef JACOBI_KEEPER_H
#define JACOBI_KEEPER_H

#include <tandem/tandem.h>

#include "solver.h"

/* Keeps a solver's plate on a second node. This file and its source are all that the solver had to
 * get to survive the death of its node. */
struct keeper {
	struct tandem *tandem;     /* NULL: runs alone */
	uint64_t interval;         /* iterations from one checkpoint to the next */
	uint64_t resumed_at;       /* the iteration that a take-over went on from, 0: none */
	int code;                  /* of what failed, 0 while all is well */
	struct tandem_error error; /* and why */
	/* What is said of a checkpoint when it is safe on both nodes. */
	uint64_t ticket, iteration, said_ticket;
};

/* Protects the grids, which must not move any more. A program that was started to take over finds
 * the plate as it was at the last checkpoint, and `solver->iteration` as it was then. False on
 * failure. */
bool keeper_open(struct keeper *keeper, const struct tandem_options *options,
                 struct solver *solver);

/* For solver_run(): takes a checkpoint when one is due. */
bool keeper_between(void *keeper, const struct solver *solver);

/* Until the finished plate is safe: only then may its result be told. False on failure. */
bool keeper_finish(struct keeper *keeper, const struct solver *solver);

void keeper_close(struct keeper *keeper);

#endif
