#include <tandem/clock.h>

#include "library_internal.h"

/* ---- epochs ---- */

static int begin(struct tandem *tandem, const char *operation, const void *state,
                 size_t state_bytes, bool is_watched, uint64_t *ret_ticket,
                 struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	int code = tandem_library_check(tandem, reterr_error);

	if (code < 0)
		return code;
	if (!tandem->is_started || (state == NULL && state_bytes > 0))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "a state blob of %zu bytes has to be there, and "
		                        "tandem_start() before it",
		                        state_bytes);
	if (state_bytes > engine->settings.state_bytes_max)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "the state blob has %zu bytes, and the pair's "
		                        "state_bytes_max is %u: make that larger on both nodes",
		                        state_bytes, engine->settings.state_bytes_max);
	if (!tandem_engine_begin(engine, state, (uint32_t)state_bytes, is_watched, ret_ticket))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "a checkpoint is under way: wait for it with "
		                        "tandem_checkpoint_wait(), or abort it");
	return 0;
}

/* Halted: nothing that the program did counts any more. */
static int check_halt(const struct tandem *tandem, const char *operation,
                      struct tandem_error *reterr_error)
{
	if (!atomic_load(&tandem->engine.is_halted))
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, operation, "%s",
	                        tandem->halt_reason);
}

int tandem_checkpoint(struct tandem *tandem, const void *state, size_t state_bytes,
                      uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	int code = begin(tandem, "tandem_checkpoint", state, state_bytes, false, ret_ticket,
	                 reterr_error);

	if (code < 0)
		return code;
	tandem_engine_await(&tandem->engine, NULL, NULL);
	return check_halt(tandem, "tandem_checkpoint", reterr_error);
}

int tandem_checkpoint_begin(struct tandem *tandem, const void *state, size_t state_bytes,
                            uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	int code = check_halt(tandem, "tandem_checkpoint_begin", reterr_error);

	return code < 0 ? code
	                : begin(tandem, "tandem_checkpoint_begin", state, state_bytes, true,
	                        ret_ticket, reterr_error);
}

static int wait_captured(struct tandem *tandem, const struct timespec *deadline, int code_otherwise)
{
	if (tandem_library_check(tandem, NULL) < 0)
		return TANDEM_E_USAGE;
	if (!tandem_engine_wait(&tandem->engine, deadline))
		return code_otherwise;
	return check_halt(tandem, "tandem_checkpoint", NULL);
}

int tandem_checkpoint_test(struct tandem *tandem)
{
	const struct timespec past = {0};

	return wait_captured(tandem, &past, TANDEM_E_AGAIN);
}

int tandem_checkpoint_wait(struct tandem *tandem, uint64_t timeout_ns)
{
	const struct timespec deadline = tandem_library_deadline(timeout_ns);

	return wait_captured(tandem, &deadline, TANDEM_E_TIMEOUT);
}

bool tandem_checkpoint_abort(struct tandem *tandem)
{
	return tandem_library_check(tandem, NULL) == 0 && tandem->is_started &&
	       tandem_engine_withdraw(&tandem->engine);
}

/* ---- the gate ---- */

static int give_ticket(struct tandem *tandem, const char *operation,
                       uint64_t (*give)(struct tandem_engine *engine), uint64_t *ret_ticket,
                       struct tandem_error *reterr_error)
{
	int code = tandem_library_check(tandem, reterr_error);

	if (code == 0 && !tandem->is_started)
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "only after tandem_start()");
	if (code == 0)
		code = check_halt(tandem, operation, reterr_error);
	if (code < 0)
		return code;
	*ret_ticket = give(&tandem->engine);
	return 0;
}

int tandem_confirm(struct tandem *tandem, uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	return give_ticket(tandem, "tandem_confirm", tandem_engine_confirm, ret_ticket,
	                   reterr_error);
}

int tandem_ticket(struct tandem *tandem, uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	return give_ticket(tandem, "tandem_ticket", tandem_engine_ticket, ret_ticket, reterr_error);
}

void tandem_poll(struct tandem *tandem, struct tandem_news *ret_news)
{
	if (tandem_library_check(tandem, NULL) < 0) {
		/* A child would take the parent's event, and could wait for a lock that a thread of
		 * the parent held. */
		*ret_news = (struct tandem_news){0};
		return;
	}
	tandem_library_look(tandem);
	tandem_engine_ask(&tandem->engine, ret_news);
}

int tandem_event_fd(struct tandem *tandem)
{
	/* A thread of the parent may have held the lock when a child was forked. */
	return tandem_library_check(tandem, NULL) < 0 ? tandem->engine.news_fd
	                                              : tandem_engine_bell(&tandem->engine);
}

int tandem_wait_released(struct tandem *tandem, uint64_t ticket, uint64_t timeout_ns)
{
	struct tandem_engine *engine = &tandem->engine;
	const struct timespec deadline = tandem_library_deadline(timeout_ns);
	int code = 0;

	if (tandem_library_check(tandem, NULL) < 0 || !tandem->is_started)
		return TANDEM_E_USAGE;
	tandem_engine_await(engine, &ticket, &deadline);
	pthread_mutex_lock(&engine->lock);
	if (engine->core.gate.released_ticket < ticket)
		code = atomic_load(&engine->is_halted) ? TANDEM_E_NOT_LEADER : TANDEM_E_TIMEOUT;
	pthread_mutex_unlock(&engine->lock);
	return code;
}

void tandem_note_reply(struct tandem *tandem, bool is_sending)
{
	if (tandem_library_check(tandem, NULL) == 0 && tandem->engine.stats != NULL)
		atomic_store_explicit(&tandem->engine.stats->phase,
		                      is_sending ? TANDEM_PHASE_REPLY : TANDEM_PHASE_RUN,
		                      memory_order_relaxed);
}
