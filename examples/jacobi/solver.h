#ifndef JACOBI_SOLVER_H
#define JACOBI_SOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The heat equation on a square plate, by Jacobi's method: every inner point becomes the mean of
 * its four neighbours, again and again. It knows nothing of Tandem. */

#define SOLVER_THREADS_MAX 64u

struct solver {
	unsigned side;         /* points a side, the fixed edges included */
	unsigned thread_count; /* share the rows */
	double *grids; /* two, one behind the other: an iteration reads one, writes the other */
	uint64_t iteration; /* how many are done; an even number: the first grid is the newer one */
};

/* Both grids, in whole pages. */
size_t solver_bytes(unsigned side);

/* A cold plate with a hot upper edge, no iteration done. Needs side and grids. */
void solver_begin(struct solver *solver);

/* Iterates until `iterations` are done, or `between` returns false. `between` is called after each
 * iteration, on the calling thread; meanwhile the others wait, so nobody writes to the grids. Where
 * the system gives fewer threads, fewer share the rows. */
void solver_run(struct solver *solver, uint64_t iterations,
                bool (*between)(void *argument, const struct solver *solver), void *argument);

/* The largest change that the last iteration made. */
double solver_change(const struct solver *solver);

/* Of every bit of the newer grid (FNV-1a): equal for two plates that are bit-identical. */
uint64_t solver_digest(const struct solver *solver);

#endif
