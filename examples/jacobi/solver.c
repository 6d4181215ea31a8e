#include "solver.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PAGE_BYTES  4096u
#define HOT_DEGREES 100.0

/* What the threads of a run share. */
struct run {
	struct solver *solver;
	pthread_mutex_t start; /* until it is known how many they are */
	pthread_barrier_t barrier;
	_Atomic unsigned next_thread; /* number of the thread that asks next */
	bool is_ending;               /* written between two barriers only */
};

static size_t points(const struct solver *solver)
{
	return (size_t)solver->side * solver->side;
}

/* The result of iteration number `iteration`. */
static double *grid_after(const struct solver *solver, uint64_t iteration)
{
	return solver->grids + iteration % 2 * points(solver);
}

size_t solver_bytes(unsigned side)
{
	size_t bytes = 2 * sizeof(double) * side * side;

	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

void solver_begin(struct solver *solver)
{
	memset(solver->grids, 0, solver_bytes(solver->side));
	for (unsigned column = 0; column < solver->side; column++) {
		grid_after(solver, 0)[column] = HOT_DEGREES;
		grid_after(solver, 1)[column] = HOT_DEGREES;
	}
	solver->iteration = 0;
}

/* The order of the sum is fixed: the result does not depend on how rows are shared out. */
static void update_row(const double *old, double *new, unsigned side, unsigned row)
{
	const double *here = old + (size_t)row * side, *above = here - side, *below = here + side;
	double *target = new + (size_t)row *side;

	for (unsigned column = 1; column < side - 1; column++)
		target[column] = 0.25 * (above[column] + here[column - 1] + here[column + 1] +
		                         below[column]);
}

static void update_share(const struct solver *solver, unsigned thread)
{
	const double *old = grid_after(solver, solver->iteration);
	double *new = grid_after(solver, solver->iteration + 1);
	unsigned inner = solver->side - 2;
	unsigned first = 1 + inner * thread / solver->thread_count;
	unsigned end = 1 + inner * (thread + 1) / solver->thread_count;

	for (unsigned row = first; row < end; row++)
		update_row(old, new, solver->side, row);
}

/* Between the two barriers everybody else waits for the first thread. */
static void *work(void *argument)
{
	struct run *run = argument;
	unsigned thread = atomic_fetch_add(&run->next_thread, 1);

	pthread_mutex_lock(&run->start);
	pthread_mutex_unlock(&run->start);
	for (;;) {
		pthread_barrier_wait(&run->barrier);
		if (run->is_ending)
			return NULL;
		update_share(run->solver, thread);
		pthread_barrier_wait(&run->barrier);
	}
}

static void lead(struct run *run, uint64_t iterations,
                 bool (*between)(void *argument, const struct solver *solver), void *argument)
{
	struct solver *solver = run->solver;
	bool goes_on = true;

	while (goes_on && solver->iteration < iterations) {
		pthread_barrier_wait(&run->barrier);
		update_share(solver, 0);
		pthread_barrier_wait(&run->barrier);
		solver->iteration++;
		goes_on = between(argument, solver);
	}
}

void solver_run(struct solver *solver, uint64_t iterations,
                bool (*between)(void *argument, const struct solver *solver), void *argument)
{
	struct run run = {.solver = solver, .start = PTHREAD_MUTEX_INITIALIZER, .next_thread = 1};
	pthread_t threads[SOLVER_THREADS_MAX];
	unsigned started = 1;

	pthread_mutex_lock(&run.start);
	while (started < solver->thread_count &&
	       pthread_create(&threads[started], NULL, work, &run) == 0)
		started++;
	solver->thread_count = started;
	pthread_barrier_init(&run.barrier, NULL, started);
	pthread_mutex_unlock(&run.start);
	lead(&run, iterations, between, argument);
	run.is_ending = true;
	pthread_barrier_wait(&run.barrier);
	for (unsigned thread = 1; thread < started; thread++)
		pthread_join(threads[thread], NULL);
	pthread_barrier_destroy(&run.barrier);
}

double solver_change(const struct solver *solver)
{
	const double *new = grid_after(solver, solver->iteration);
	const double *old = grid_after(solver, solver->iteration + 1);
	double largest = 0;

	for (size_t point = 0; point < points(solver); point++)
		largest = fmax(largest, fabs(new[point] - old[point]));
	return largest;
}

uint64_t solver_digest(const struct solver *solver)
{
	const double *grid = grid_after(solver, solver->iteration);
	uint64_t digest = UINT64_C(0xcbf29ce484222325);

	for (size_t point = 0; point < points(solver); point++) {
		uint64_t bits;

		memcpy(&bits, &grid[point], sizeof bits);
		digest = (digest ^ bits) * UINT64_C(0x100000001b3);
	}
	return digest;
}
