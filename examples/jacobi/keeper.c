#include "keeper.h"

#include <stdio.h>

/* How long the end of the last epoch is waited for before another one is tried: an epoch is lost
 * when the other node dies under it. */
#define FINISH_TIMEOUT_NS UINT64_C(1000000000)

/* What is not in the grids: it travels with each checkpoint, as its state. */
struct state {
	uint64_t iteration;
};

/* ---- start ---- */

/* The regions are added, the library has not started: the image comes into their memory. */
static int recover(struct keeper *keeper, struct solver *solver)
{
	struct state state;
	size_t bytes = 0;
	int code = tandem_region_recover(keeper->tandem, NULL, &keeper->error);

	if (code == 0)
		code = tandem_state_recover(&state, sizeof state, &bytes, &keeper->error);
	if (code == 0 && bytes == sizeof state) {
		solver->iteration = state.iteration;
		keeper->resumed_at = state.iteration;
	}
	return code;
}

bool keeper_open(struct keeper *keeper, const struct tandem_options *options, struct solver *solver)
{
	struct tandem_recovery recovery;
	int code = tandem_open(options, &keeper->tandem, &keeper->error);

	if (code == 0)
		code = tandem_region_add(keeper->tandem, "grids", solver->grids,
		                         solver_bytes(solver->side), TANDEM_TRACKER_AUTO,
		                         &keeper->error);
	if (code == 0 && tandem_recovery_read(&recovery))
		code = recover(keeper, solver);
	if (code == 0)
		code = tandem_start(keeper->tandem, &keeper->error);
	keeper->code = code;
	return code == 0;
}

/* ---- between iterations ---- */

/* All threads but this one wait at the barrier: that is the quiescence which a checkpoint needs. */
static bool checkpoint(struct keeper *keeper, const struct solver *solver)
{
	const struct state state = {.iteration = solver->iteration};

	keeper->code = tandem_checkpoint(keeper->tandem, &state, sizeof state, &keeper->ticket,
	                                 &keeper->error);
	keeper->iteration = solver->iteration;
	return keeper->code == 0;
}

/* Output belongs to the checkpoint after it and waits for that one's ticket: whatever happens, this
 * iteration will not be computed again. */
static void say_progress(struct keeper *keeper, const struct tandem_news *news)
{
	if (keeper->said_ticket == keeper->ticket || news->released_ticket < keeper->ticket)
		return;
	keeper->said_ticket = keeper->ticket;
	fprintf(stderr, "jacobi: iteration %llu is safe (%s, epoch %llu)\n",
	        (unsigned long long)keeper->iteration,
	        news->is_pair ? "on both nodes" : "as far as one node can be",
	        (unsigned long long)news->epoch_committed);
}

bool keeper_between(void *argument, const struct solver *solver)
{
	struct keeper *keeper = argument;
	struct tandem_news news;

	if (keeper->tandem == NULL)
		return true;
	tandem_poll(keeper->tandem, &news);
	say_progress(keeper, &news);
	/* A new copy is completed by a checkpoint; it need not wait for the next interval. */
	if (solver->iteration % keeper->interval != 0 && !news.wants_checkpoint)
		return true;
	return checkpoint(keeper, solver);
}

/* ---- the end ---- */

bool keeper_finish(struct keeper *keeper, const struct solver *solver)
{
	if (keeper->tandem == NULL)
		return true;
	while (checkpoint(keeper, solver)) {
		keeper->code =
		        tandem_wait_released(keeper->tandem, keeper->ticket, FINISH_TIMEOUT_NS);
		if (keeper->code != TANDEM_E_TIMEOUT)
			return keeper->code == 0;
	}
	return false;
}

void keeper_close(struct keeper *keeper)
{
	keeper->tandem = tandem_close(keeper->tandem);
}
